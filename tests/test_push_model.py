"""Publishing the model of a finished run, to a local Hub over real HTTP."""

import json
import shutil

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING

from recipes import ROOT, push_model
from recipes.pretrained import model_class
from tests.in_process import run
from tests.test_hub import loading
from tests.test_plan import EYES, HEADS, LINEAR
from tests.test_rehearsal import needs_vllm
from tests.test_report import write_row, write_run
from tests.test_serving import adapter_of

pytestmark = pytest.mark.filterwarnings("ignore")
BASE = ROOT / "recipes" / "tiny" / "tiny-base"


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished run, whose model is the tiny base."""
    folder = tmp_path / "run"
    write_run(folder)
    shutil.copytree(BASE, folder / "model")
    (folder / "model" / "training_args.bin").write_bytes(b"secret")
    arguments = json.loads((folder / "run.json").read_text())
    more = {
        "model_name_or_path": "Qwen/Qwen2.5-14B-Instruct",
        "learning_rate": 6e-6,
        "beta": 0.0,
        "logging_dir": "/home/me/logs",
    }
    (folder / "run.json").write_text(json.dumps(arguments | more))
    return folder


def test_what_is_published_loads_as_the_same_model_and_its_card_has_the_scores(hub, finished, tmp_path):
    for name, accuracy in (("base", 0.28), ("mine", 0.61)):
        write_row(tmp_path / "benchmark", name, accuracy, None)
    rows = [part for name in ("base", "mine") for part in ("--benchmark", tmp_path / "benchmark" / name)]
    done = run(push_model.main, finished, "me/detective", "--private", *rows)
    assert done.returncode == 0, done.stderr
    there = hub.repos["me/detective"]
    assert hub.private == {"me/detective": True}
    assert set(there) == {f.name for f in BASE.iterdir()} | {"README.md", "run.json", "accuracy.png"}
    assert b"/home/me" not in there["run.json"]
    _, head, card = there["README.md"].decode().split("---\n", 2)
    head = yaml.safe_load(head)
    assert (head["base_model"], head["library_name"]) == ("Qwen/Qwen2.5-14B-Instruct", "transformers")
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.61
    for line in ("| all | 0.300 | 0.630 |", "0.300 (0.261 to 0.339)", "| base | 0.280 (0.230 to 0.330) |", "beta: 0.0"):
        assert line in card
    code = "from transformers import AutoModelForCausalLM as M; M.from_pretrained('me/detective').save_pretrained('there')"
    loaded = loading(hub, "-c", f"import os; os.chdir({str(tmp_path)!r}); {code}")
    assert loaded.returncode == 0, loaded.stderr
    mine, base = (load_file(folder / "model.safetensors") for folder in (tmp_path / "there", BASE))
    assert mine.keys() == base.keys()
    assert all((mine[name] == base[name]).all() for name in base)

    again = run(push_model.main, finished, "me/detective")
    assert "the model me/detective exists already" in again.stderr
    (finished / "model" / "adapter_config.json").write_text("{}")
    assert run(push_model.main, finished, "me/detective", "--replace").returncode == 0
    assert b"library_name: peft" in hub.repos["me/detective"]["README.md"]


def test_an_adapter_is_published_as_it_is_or_merged_into_its_base(hub, finished, tmp_path):
    assert "no adapter: leave out --merge" in run(push_model.main, finished, "me/merged", "--merge").stderr
    shutil.rmtree(finished / "model")
    merged = adapter_of(finished / "model").merge_and_unload().state_dict()
    done = run(push_model.main, finished, "me/merged", "--merge")
    assert done.returncode == 0, done.stderr
    there = hub.repos["me/merged"]
    assert b"library_name: transformers" in there["README.md"]
    assert "model.safetensors" in there
    assert "tokenizer.json" in there
    assert not any(name.startswith("adapter") for name in there)
    (tmp_path / "model.safetensors").write_bytes(there["model.safetensors"])
    for name, weights in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(weights, merged[name])
    assert run(push_model.main, finished, "me/adapter").returncode == 0
    assert b"library_name: peft" in hub.repos["me/adapter"]["README.md"]
    assert "adapter_model.safetensors" in hub.repos["me/adapter"]


def test_the_adapter_of_a_model_with_a_vision_tower_is_merged_into_what_was_trained(tmp_path):
    """PEFT's own choice of class, without the tower, has other names of modules: it would merge nothing, and only warn."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING["qwen3_5"](
        architectures=["Qwen3_5ForConditionalGeneration"], text_config=HEADS | LINEAR, vision_config=EYES
    )
    model_class(config)(config).save_pretrained(tmp_path / "base")
    base = model_class(config).from_pretrained(tmp_path / "base")
    model = get_peft_model(base, LoraConfig(r=4, target_modules=".*language_model.*_proj"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "adapter")
    push_model.merge(tmp_path / "adapter", tmp_path / "merged")
    there, before = (load_file(tmp_path / name / "model.safetensors") for name in ("merged", "base"))
    expected = model.merge_and_unload().state_dict()
    assert there.keys() == before.keys()
    assert any(not torch.equal(there[name], before[name]) for name in there)
    merged = model_class(config).from_pretrained(tmp_path / "merged").state_dict()
    assert all(torch.equal(weights, expected[name]) for name, weights in merged.items())

    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({f"other.{name}": weights for name, weights in load_file(file).items()}, file)
    with pytest.raises(ValueError, match=r"adapter does not fit .*base: Found missing adapter keys"):
        push_model.merge(tmp_path / "adapter", tmp_path / "merged")


@pytest.mark.slow
@needs_vllm
def test_a_published_model_scores_on_the_benchmark_as_it_did_in_its_folder(hub, finished, tmp_path):
    assert run(push_model.main, finished, "me/detective").returncode == 0
    results = {}
    for name, model in (("folder", finished / "model"), ("hub", "vllm/me/detective")):
        asked = ("--recipe", ROOT / "recipes" / "tiny-cpu.yaml", "--puzzles", "12", "--samples", "1", "--temperature", "0")
        where = ("--name", name, "--output", tmp_path / "benchmark", "--max-connections", "1")  # one at a time: equal batches
        done = loading(hub, ROOT / "recipes" / "evaluation" / "benchmark.py", model, *asked, *where)
        assert done.returncode == 0, done.stdout + done.stderr
        results[name] = json.loads((tmp_path / "benchmark" / name / "result.json").read_text())
    for figure in ("accuracy", "solved", "completion_tokens", "verdicts", "puzzles", "by_difficulty"):
        assert results["hub"][figure] == results["folder"][figure]
    assert results["hub"]["accuracy"]["mean"] > 0.3
    assert any("me/detective/resolve" in request for request in hub.requests)


def test_a_dry_run_asks_nobody_and_an_unfinished_run_is_refused(hub, finished):
    done = run(push_model.main, finished, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in done.stdout
    assert hub.requests == []
    assert "where to?" in run(push_model.main, finished).stderr
    shutil.rmtree(finished / "model")
    refused = run(push_model.main, finished, "--dry-run")
    assert refused.returncode == 1
    assert "holds no finished run" in refused.stderr


def test_a_benchmark_without_a_single_answer_has_no_score_to_publish(finished, tmp_path):
    write_row(tmp_path / "benchmark", "mine", 0.5, None)
    file = tmp_path / "benchmark" / "mine" / "result.json"
    row = json.loads(file.read_text())
    row["accuracy"] = {"mean": None, "low": None, "high": None, "n": 0, "puzzles": 0}
    file.write_text(json.dumps(row))
    done = run(push_model.main, finished, "--dry-run", "--benchmark", file.parent)
    assert "--benchmark mine: none of its requests was answered, so it has no score" in done.stderr
