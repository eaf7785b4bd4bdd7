"""Supervised fine-tuning: what it refuses before training, and what it leaves on disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, BloomConfig, BloomForCausalLM
from trl import SFTConfig
from trl.trainer import utils

from puzzles.dataset import __main__ as dataset_command
from puzzles.dataset import read_rows
from recipes import ROOT, lm_head, sft
from recipes.arguments import parse
from recipes.demonstrations import from_datasets
from recipes.optimizer import MuonAdamW
from rewards.accuracy import accuracy
from rewards.deductions import Judge
from tests import forked

BASE = ROOT / "recipes" / "tiny" / "tiny-base"


@pytest.fixture
def imitate(monkeypatch, tmp_path):
    """Runs `recipes/sft.py` for two steps of four demonstrations into tmp_path/new."""

    def run(*overrides, recipe="tiny-base.yaml"):
        short = "--stages 2:0.75:0.75:0 --per_device_train_batch_size 4 --warmup_steps 0"
        given = ["--config", str(ROOT / "recipes" / recipe), "--output_dir", str(tmp_path / "new")]
        given = [*given, "--model_name_or_path", str(BASE), *short.split(), *map(str, overrides)]
        monkeypatch.setattr(sys, "argv", ["sft.py", *given])
        sft.main(*parse((sft.SftArguments, SFTConfig), sft.__doc__))

    return run


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (("--max_length", "100"), r"6 of 8 .* more than 100 tokens, the longest 129, .*--max_length 129.*--proofs true\), or"),
        (("--max_length", "20"), r"8 of 8 demonstrations have more than 20 tokens"),
        (("--max_length", "100", "--proofs", "true"), r"of 8 .* use --max_length \d+, or smaller puzzles"),
        (("--max_length", "0"), r"8 of 8 demonstrations have more than 0 tokens"),
        (("--padding_free", "true"), r"padding_free: true would let demonstrations see each other"),
        (("--stages", "0:1:1:0"), r"stage '0:1:1:0' is impossible: it needs STEPS of at least 1"),
        (("--stages", "2:1:0.5:0"), r"stage '2:1:0.5:0' is impossible"),
        (("--stages", "2:-1:0.5:0"), r"stage '2:-1:0.5:0' is impossible"),
        (("--stages", "2:0:1:1.5"), r"'2:0:1:1.5' is impossible: .* SKIPS from 0 to 1"),
        (("--stages", "2:nan:1:0"), r"'2:nan:1:0' is impossible"),
        (("--stages", "2:0:inf:0"), r"'2:0:inf:0' is impossible"),
        (("--stages", "2.5:0:1:0"), r"'2.5:0:1:0' is not STEPS:LOW:HIGH:SKIPS"),
        (("--num_train_epochs", "0"), "num_train_epochs: 0.0 is impossible: use more than 0"),
        (("--packing", "true"), r"packing: true would change which demonstrations a step sees"),
        (("--model_name_or_path", "no/such"), r"'no/such' is neither a folder with a model nor one that the Hub has"),
        (("--push_to_hub", "true"), r"push_to_hub: there is no token"),
    ],
)
def test_what_cannot_work_is_refused_before_training(monkeypatch, tmp_path, imitate, overrides, complaint):
    monkeypatch.setattr("recipes.sft.hub_is_unreachable", lambda: True)
    monkeypatch.setattr("recipes.hub.get_token", lambda: None)
    monkeypatch.setattr(sft.SFTTrainer, "train", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(SystemExit, match=complaint):
        imitate(*overrides)
    assert not list(tmp_path.iterdir())


def test_a_demonstration_longer_than_the_models_context_is_refused(monkeypatch, tmp_path, imitate):
    (tmp_path / "short").mkdir()
    for file in BASE.iterdir():
        shutil.copy(file, tmp_path / "short")
    config = json.loads((BASE / "config.json").read_text()) | {"max_position_embeddings": 64}
    (tmp_path / "short" / "config.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit, match=r"8 of 8 .* more than 64 tokens.*use a model with a longer context than 64, shorter"):
        imitate("--model_name_or_path", tmp_path / "short")
    (tmp_path / "short" / "chat_template.jinja").unlink()
    with pytest.raises(SystemExit, match="/short' has no chat template: use a chat model, or set chat_template_path"):
        imitate("--model_name_or_path", tmp_path / "short")


def test_a_model_without_a_limit_of_its_context_is_taught(tmp_path, imitate):
    shutil.copytree(BASE, tmp_path / "bloom")
    config = BloomConfig(vocab_size=AutoConfig.from_pretrained(BASE).vocab_size, hidden_size=8, n_layer=1, n_head=1)
    BloomForCausalLM(config).save_pretrained(tmp_path / "bloom")
    imitate("--model_name_or_path", tmp_path / "bloom", "--muon_learning_rate", "null")
    assert (tmp_path / "new" / "model.safetensors").exists()


def test_weights_train_in_float32_and_are_saved_in_their_own_dtype(tmp_path, imitate):
    """Nearly every weight of a bfloat16 checkpoint moves; in bfloat16 most would not."""
    AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(BASE / file, tmp_path / "half")
    seen = {}
    train = sft.SFTTrainer.train

    def watched(trainer, **_):
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        train(trainer)
        seen["dtypes"] = {p.dtype for p in trainer.model.parameters()}
        moved = sum((p != before[name]).sum().item() for name, p in trainer.model.named_parameters() if "embed" not in name)
        seen["moved"] = moved / sum(p.numel() for name, p in trainer.model.named_parameters() if "embed" not in name)

    sft.SFTTrainer.train = watched
    try:
        imitate("--model_name_or_path", tmp_path / "half", "--learning_rate", "6e-6", "--muon_learning_rate", "6e-6")
    finally:
        sft.SFTTrainer.train = train
    assert seen["dtypes"] == {torch.float32}
    assert seen["moved"] > 0.95
    assert {weight.dtype for weight in load_file(tmp_path / "new" / "model.safetensors").values()} == {torch.bfloat16}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "new"]


def test_only_completions_are_scored_with_a_large_vocabulary(monkeypatch, tmp_path, imitate):
    """It changes what is computed, not what is learned; a small vocabulary, as of the tiny model, is left to TRL."""
    scored, apply = [], utils._ChunkedLogProbFunction.apply
    monkeypatch.setattr(
        utils._ChunkedLogProbFunction, "apply", lambda hidden, *args: (scored.append(len(hidden)), apply(hidden, *args))[1]
    )
    weights = {}
    for large in (10_000, 100):
        monkeypatch.setattr(lm_head, "LARGE_VOCABULARY", large)
        imitate("--output_dir", tmp_path / f"{large}", "--bf16", "false", "--wording", "clear", "--max_length", "1024")
        weights[large] = load_file(tmp_path / f"{large}" / "model.safetensors")
    assert len(scored) == 4
    assert scored[2] < scored[0] / 2  # without the prompts and the padding
    assert scored[3] < scored[1] / 2
    for name, weight in weights[100].items():
        torch.testing.assert_close(weight, weights[10_000][name], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "optimizer", "attention"),
    [("tiny-base.yaml", MuonAdamW, "eager"), ("smollm2-135m-sft.yaml", torch.optim.AdamW, "sdpa")],
)
def test_optimizer_and_attention_are_those_of_the_recipe(monkeypatch, imitate, recipe, optimizer, attention):
    def check(trainer, **_):
        assert isinstance(trainer.create_optimizer(), optimizer)
        assert trainer.model.config._attn_implementation == attention

    monkeypatch.setattr(sft.SFTTrainer, "train", check)
    imitate("--use_cpu", "true", recipe=recipe)


def test_demonstrations_have_the_wording_that_is_asked_for(monkeypatch, imitate):
    def check(trainer, **_):
        row, decode = trainer.train_dataset[0], trainer.processing_class.decode
        learned = decode([i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100])
        assert "Mr. Boddy invited a few of his closest associates" in decode(row["input_ids"])
        assert "A. " in learned
        assert "invited" not in learned

    monkeypatch.setattr(sft.SFTTrainer, "train", check)
    with pytest.raises(SystemExit, match="wording='plain' is unknown: choose one of clear, published, compact"):
        imitate("--wording", "plain")
    imitate("--wording", "clear", "--max_length", "1024")


def test_a_killed_run_starts_again_and_a_running_one_is_left_alone(tmp_path, imitate):
    partial = tmp_path / "new.partial"
    (partial / "model").mkdir(parents=True)
    (partial / "model" / "model-00001-of-00002.safetensors").write_bytes(b"of a killed run")
    holder = f"from pathlib import Path; from puzzles.files import lock_folder; lock_folder(Path({str(partial)!r})); input()"
    other = subprocess.Popen([sys.executable, "-c", holder], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        while not (partial / "lock").exists() or not (partial / "lock").read_text():
            assert other.poll() is None
        with pytest.raises(SystemExit, match=f"new.partial is in use by process {other.pid}"):
            imitate()
    finally:
        other.communicate(b"\n")
    assert (partial / "model").exists()
    imitate()
    assert "model.safetensors" in os.listdir(tmp_path / "new")
    assert not list((tmp_path / "new").glob("model-0*"))
    assert not partial.exists()


def test_the_model_is_uploaded_to_the_hub_once(monkeypatch, tmp_path, imitate, hub):
    monkeypatch.setattr("recipes.sft.hub_is_unreachable", lambda: True)
    imitate("--push_to_hub", "true", "--save_strategy", "steps", "--save_steps", "1")
    assert {*hub.repos} == {"me/new"}
    assert {*hub.repos["me/new"]} == {path.name for path in (tmp_path / "new").iterdir()} - {"training_args.bin"}
    assert sum("/commit/" in request for request in hub.requests) == 1


def test_a_full_disk_is_reported(monkeypatch, tmp_path, imitate):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sft.SFTTrainer, "save_model", full)
    with pytest.raises(
        SystemExit, match=r"could not write .*new \(\[Errno 28\] No space left on device\)\. [\d,]+ MiB are free"
    ):
        imitate()
    assert not (tmp_path / "new").exists()
    with pytest.raises(SystemExit, match="Not a directory"):
        imitate("--output_dir", BASE / "config.json" / "new")


def make_dataset(folder, *options):
    with pytest.MonkeyPatch.context() as patch:
        few = ("--players", "1", "--validation", "1", "--test", "1", "--num-proc", "1")
        patch.setattr(sys, "argv", ["puzzles.dataset", *few, "--output", str(folder), *options])
        dataset_command.main()
    return folder


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two datasets with proofs, of 8 and 4 puzzles to train on, in two wordings; and one without proofs."""
    folder = tmp_path_factory.mktemp("datasets")
    clear = make_dataset(folder / "clear", "--proofs", "--train", "8")
    published = make_dataset(folder / "published", "--proofs", "--train", "4", "--wording", "published", "--seed", "1")
    return clear, published, make_dataset(folder / "none", "--train", "1")


@pytest.fixture
def imitate_proofs(monkeypatch, tmp_path, datasets):
    """Runs `recipes/sft.py` on both datasets with proofs into tmp_path/new, as the recipe of the published puzzles does."""

    def run(*overrides, folders=datasets[:2]):
        recipe = str(ROOT / "recipes" / "smollm2-135m-published-sft.yaml")
        given = ["--config", recipe, "--model_name_or_path", BASE, "--output_dir", tmp_path / "new", "--dataset", *folders]
        few = "--per_device_train_batch_size 3 --gradient_accumulation_steps 1 --warmup_steps 0 --dataset_num_proc 1"
        given += [*few.split(), "--max_length", "8192", "--use_cpu", "true"]
        monkeypatch.setattr(sys, "argv", ["sft.py", *map(str, [*given, *overrides])])
        sft.main(*parse((sft.SftArguments, SFTConfig), sft.__doc__))

    config = json.loads((BASE / "config.json").read_text()) | {"max_position_embeddings": 8192}
    load = AutoModelForCausalLM.from_pretrained
    long = load(BASE, dtype=torch.float32).config.__class__(**config)
    monkeypatch.setattr(sft.AutoModelForCausalLM, "from_pretrained", lambda name, **options: load(name, config=long, **options))
    return run


def test_demonstrations_of_a_dataset_are_its_proofs_and_answers(monkeypatch, datasets, imitate_proofs):
    seen = []

    def check(trainer, resume_from_checkpoint):
        seen.extend(trainer.train_dataset)
        assert all("demonstrations" in file["filename"] for file in trainer.train_dataset.cache_files)  # on disk

    monkeypatch.setattr(sft.SFTTrainer, "train", check)
    imitate_proofs()
    rows = [row for folder in datasets[:2] for row in read_rows(str(folder))["train"]]
    assert len(seen) == len(rows) == 12
    for demonstration, row in zip(seen, rows, strict=True):
        text = demonstration["completion"][0]["content"]
        assert demonstration["prompt"] == row["prompt"]
        assert accuracy([text], [row["solution"]]) == [1.0]
        counts = Judge(row["prompt"][0]["content"]).judge(text).tally
        assert counts["proved"] >= len(row["proof"].splitlines()) - 1  # a clue may state a step already
        assert counts["refuted"] == counts["undecided"] == counts["unread"] == 0, counts
        assert "because" not in text


def test_demonstrations_that_are_too_long_are_left_out_and_counted(monkeypatch, imitate_proofs, capsys):
    lengths = []
    monkeypatch.setattr(
        sft.SFTTrainer, "train", lambda trainer, **_: lengths.append(sorted(map(len, trainer.train_dataset["input_ids"])))
    )
    imitate_proofs()
    shutil.rmtree(Path(sys.argv[sys.argv.index("--output_dir") + 1]))
    limit = lengths[0][5]
    imitate_proofs("--max_length", limit)
    assert lengths[1] == [n for n in lengths[0] if n <= limit]
    left_out = 12 - len(lengths[1])
    out = capsys.readouterr().out
    assert "12 demonstrations, " in out
    assert f"Left out, as longer than {limit:,} tokens: {left_out} ({left_out / 12:.1%})" in out


def test_demonstrations_kept_on_disk_are_those_of_the_dataset_that_is_there_now(tmp_path, datasets):
    """An interrupted run's are in the way if another dataset has taken its folder since."""
    read = []
    for source in datasets[:2]:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        shutil.copytree(source, tmp_path / "data")
        read.append([*from_datasets([str(tmp_path / "data")], tmp_path / "cache")["prompt"]])
        assert read[-1] == [row["prompt"] for row in read_rows(str(source))["train"]]
    assert read[0] != read[1]


@pytest.mark.parametrize(
    ("overrides", "which", "complaint"),
    [
        (
            ("--max_length", "9"),
            (0, 1),
            r"each of the 12 demonstrations has more than 9 tokens, the shortest \d+: use --max_le",
        ),
        ((), (0, 2), r"dataset .*none has no proofs to imitate: make it with `python -m puzzles.dataset --proofs`"),
        (("--wording", "clear", "--suspects", "3"), (0,), r"have their own sizes and wording: leave out suspects, wording"),
        (("--stages", "9:1:1:0"), (0,), r"leave out stages"),
    ],
)
def test_what_does_not_fit_a_dataset_is_refused(tmp_path, datasets, imitate_proofs, overrides, which, complaint):
    with pytest.raises(SystemExit, match=complaint):
        imitate_proofs(*overrides, folders=[datasets[i] for i in which])
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="gone does not hold a finished dataset"):
        imitate_proofs(folders=[tmp_path / "gone"])


@pytest.mark.parametrize("written", [2, 3])  # of the three steps' checkpoints; the next one is not yet marked as complete
def test_a_run_that_was_killed_resumes_from_its_last_checkpoint(monkeypatch, tmp_path, imitate_proofs, written):
    """With the same weights as an uninterrupted one; with other options it is refused, and nothing is lost."""
    often = ("--save_steps", "1", "--learning_rate", "1e-3", "--lr_scheduler_type", "constant", "--max_steps", "3")
    imitate_proofs(*often)
    os.replace(tmp_path / "new", tmp_path / "whole")
    resumed, save, train = [], sft.CheckpointCallback.on_save, sft.SFTTrainer.train

    def kill(self, args, state, control, **kwargs):
        if state.global_step > written:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, args, state, control, **kwargs)
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        sft.CheckpointCallback.on_save = kill
        imitate_proofs(*often)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    left = ["checkpoint-2", "checkpoint-3"][written - 2 :]
    assert sorted(path.name for path in (tmp_path / "new.partial").glob("checkpoint-*")) == left
    if not (child := os.fork()):
        with pytest.raises(SystemExit, match=r"holds another run \(learning_rate was 0.001, now 0.002\)"):
            imitate_proofs(*often, "--learning_rate", "2e-3")
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    def watched(trainer, resume_from_checkpoint):
        resumed.append(Path(resume_from_checkpoint).name)
        assert (tmp_path / "new.partial" / "checkpoint-3").exists() == (written == 3)
        return train(trainer, resume_from_checkpoint=resume_from_checkpoint)

    monkeypatch.setattr(sft.SFTTrainer, "train", watched)
    imitate_proofs(*often)
    assert resumed == [f"checkpoint-{written}"]
    new, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("new", "whole"))
    for name, weight in whole.items():
        assert weight.equal(new[name]), name
    assert not (tmp_path / "new.partial").exists()


def test_another_number_of_processes_is_another_run(monkeypatch):
    """Half as many would count the steps of all, and so train on half of the demonstrations."""
    args, training_args = sft.SftArguments(), SFTConfig("never", use_cpu=True, bf16=False)
    alone = sft.identity(args, training_args)
    assert sft.identity(args, training_args) == alone
    monkeypatch.setattr(SFTConfig, "world_size", 2)
    assert sft.identity(args, training_args) != alone


@pytest.mark.parametrize("strategy", ["group_by_length", "random"])
def test_an_epoch_has_the_same_order_in_a_resumed_run(monkeypatch, tmp_path, imitate_proofs, strategy):
    trainers = []
    monkeypatch.setattr(sft.SFTTrainer, "train", lambda trainer, **_: trainers.append(trainer))
    for name in ("whole", "resumed"):
        imitate_proofs("--output_dir", tmp_path / name, "--train_sampling_strategy", strategy)
    whole, resumed = (trainer.get_train_dataloader() for trainer in trainers)
    orders = []
    for trainers[0].state.epoch in (None, 1.0, 2.0):
        orders.append([i for batch in whole.batch_sampler for i in batch])
    assert sorted(orders[0]) == list(range(12))
    assert orders[0] != orders[1] != orders[2]
    for trainers[1].state.epoch in (2.5, 1.25):
        assert [i for batch in resumed.batch_sampler for i in batch] == orders[int(trainers[1].state.epoch)]


def test_on_two_processes_one_model_is_written(tmp_path):
    short = "--stages 2:0.75:0.75:0 --per_device_train_batch_size 2 --warmup_steps 0"
    recipe = ("--config", "recipes/tiny-base.yaml", "--output_dir", tmp_path / "new", "--model_name_or_path", BASE)
    forked.run_on_two_processes(tmp_path / "rank.log", "recipes/sft.py", *recipe, *short.split())
    new, base = (load_file(folder / "model.safetensors") for folder in (tmp_path / "new", BASE))
    assert new.keys() == base.keys()
    assert not all(new[name].equal(base[name]) for name in base)
    assert not (tmp_path / "new.partial").exists()
