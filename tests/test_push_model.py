"""Publishing the model of a finished run, to a local Hub over real HTTP."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from recipes import push_model
from tests.hub import TOKEN
from tests.in_process import run
from tests.test_hub import hub, loading  # noqa: F401 - a fixture
from tests.test_report import write_row, write_run

pytestmark = pytest.mark.filterwarnings("ignore")
BASE = Path(__file__).parents[1] / "recipes" / "tiny" / "tiny-base"


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


def test_what_is_published_loads_as_the_same_model_and_its_card_has_the_scores(hub, finished, tmp_path):  # noqa: F811
    hub.set("HF_TOKEN", TOKEN)
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


def test_a_dry_run_asks_nobody_and_an_unfinished_run_is_refused(hub, finished):  # noqa: F811
    done = run(push_model.main, finished, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in done.stdout
    assert hub.requests == []
    assert "where to?" in run(push_model.main, finished).stderr
    shutil.rmtree(finished / "model")
    refused = run(push_model.main, finished, "--dry-run")
    assert refused.returncode == 1
    assert "holds no finished run" in refused.stderr
