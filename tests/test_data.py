"""Other people's datasets: which prompts and solutions are accepted, and which are refused by name; the precision of training;
and what is uploaded to the Hub. The recipe runs in this process, for a step or two of the tiny model.
"""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
from datasets import ClassLabel, Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer, MambaConfig
from trl import GRPOConfig, ModelConfig

from puzzles.dataset import build
from puzzles.scenario import Size
from recipes import ROOT, grpo
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse, puzzles_of
from recipes.checks import lost_updates, prompt_lengths, too_long_prompts
from recipes.data import (
    clue_sets,
    fresh_puzzles,
    generate_on_the_spot,
    load_puzzles,
    normalize_prompt,
    normalize_solution,
)
from recipes.hub import hub_problems
from recipes.machine import this_machine
from recipes.pretrained import load_config
from tests.hub import TOKEN

TINY = ROOT / "recipes" / "tiny" / "tiny-base"
CLASHES = {"completions": "x", "prompts": "x", "completion_ids": 1, "trainer_state": 1, "log_metric": "x", "image": "x"}
CLASHES |= {"images": "x", "tools": "x", "environment": "x", "completion": "x", "seed": 4}


@pytest.fixture(scope="module")
def rows():
    return build(11, 0, 6, Size(3, 2, 3, 1, 0), wording="compact", directness=0.75).to_list()


def text(row):
    return row["prompt"][0]["content"]


def letters(row):
    return dict(zip("ABCDEFGH", row["solution"] + [None] * 8, strict=False))


SYSTEM, USER, BOT = (
    {"role": "system", "content": "Think."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
)
PARTS = [{"type": "text", "text": "So: "}]
SHAPES = {
    "text": lambda row: {"prompt": text(row), "solution": letters(row), **CLASHES},
    "text and lists": lambda row: {"prompt": text(row), "solution": row["solution"]},
    "one message": lambda row: {"prompt": row["prompt"], "solution": letters(row), "difficulty": 7},
    "system": lambda row: {"prompt": [SYSTEM, *row["prompt"]], "solution": row["solution"], "difficulty": row["difficulty"]},
    "turns": lambda row: {"prompt": [SYSTEM, USER, BOT, *row["prompt"]], "solution": letters(row)},
    "JSON in a table": lambda row: {
        "prompt": json.dumps(row["prompt"]), "solution": json.dumps(letters(row)), "difficulty": ["x"]
    },
    "parts": lambda row: {
        "prompt": [{"role": "user", "content": [*PARTS, {"type": "text", "text": text(row)}]}], "solution": letters(row)
    },
}  # fmt: skip


def write(folder, rows, shape, validation=None, suffix="parquet"):
    folder.mkdir(exist_ok=True)
    for split, how in (("train", shape), ("validation", validation or shape)):
        made = [SHAPES[how](row) for row in rows]
        if suffix == "parquet":
            Dataset.from_list(made).to_parquet(folder / f"{split}.parquet")
        else:
            (folder / f"{split}.{suffix}").write_text("\n".join(map(json.dumps, made)))
    return folder


@pytest.fixture
def train(monkeypatch, tmp_path, capsys):
    """Run `recipes/grpo.py` in this process, for one step by default, into tmp_path/run; return what it printed."""
    monkeypatch.setattr("recipes.checks.hub_is_unreachable", lambda: True)

    def run(*overrides):
        small = "--num_train_puzzles 2 --num_eval_puzzles 2 --num_generations 4 --per_device_train_batch_size 8 --max_steps 1"
        small += " --per_device_eval_batch_size 2 --num_generations_eval 1 --save_steps 1 --eval_strategy no"
        small += " --max_completion_length 60"
        recipe = ["--config", ROOT / "recipes" / "tiny-cpu.yaml", "--output_dir", tmp_path / "run", *small.split()]
        monkeypatch.setattr(sys, "argv", ["grpo.py", *map(str, [*recipe, *overrides])])
        monkeypatch.chdir(ROOT)
        grpo.main(*parse((PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), ""))
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_any_shape_are_normalized(tmp_path, capsys, rows, shape, suffix):
    folder = write(tmp_path / "data", rows, shape, "one message", suffix)
    train, held_out = load_puzzles(PuzzleArguments(dataset=str(folder), num_eval_puzzles=3), seed=0)
    assert (len(train), len(held_out)) == (6, 3)
    assert {*train.column_names} <= {"prompt", "solution", "difficulty", "seed"}
    assert ("difficulty" in train.column_names) == (shape == "system")
    assert "difficulty" not in held_out.column_names  # it means something else
    for ours, row in zip(rows, train, strict=True):
        assert row["solution"] == ours["solution"]
        *before, last = row["prompt"]
        assert last == {"role": "user", "content": ("So: " if shape == "parts" else "") + text(ours)}
        assert before == {"system": [SYSTEM], "turns": [SYSTEM, USER, BOT]}.get(shape, [])
    assert [row["prompt"] for row in held_out] == [row["prompt"] for row in rows[:3]]
    printed = capsys.readouterr().out
    assert ("its prompts are plain text; each becomes the user's message" in printed) == ("text" in shape)
    leak = "3 of the 3 held-out puzzles are also trained on, so held-out scores will be too high"
    assert (leak in printed) == (shape != "parts")  # where "So: " stands before each


@pytest.mark.parametrize("shape", ["text", "turns"])
def test_any_shape_trains(tmp_path, rows, train, shape):
    printed = train("--dataset", write(tmp_path / "data", rows, shape, "parts"))
    assert "held-out accuracy" in printed
    state = json.loads((tmp_path / "run" / "checkpoint-1" / "trainer_state.json").read_text())
    (step,) = [log for log in state["log_history"] if "loss" in log]
    assert "reward" in step
    assert step["unread_prompts"] == 0


def test_a_model_without_a_chat_template_gets_the_text(tmp_path, rows, train):
    shutil.copytree(TINY, tmp_path / "base", ignore=shutil.ignore_patterns("*.jinja"))
    model = ("--model_name_or_path", tmp_path / "base")
    assert "it gets the prompts as text" in train(*model, "--dataset", write(tmp_path / "data", rows, "text"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    alone, ours = [len(tokenizer(text(row)).input_ids) for row in rows], Dataset.from_list(rows)
    assert prompt_lengths(GRPOConfig("outputs/none", use_cpu=True), tokenizer, ours, ours.take(1)) == [*alone, alone[0]]
    with pytest.raises(
        SystemExit, match="the prompt of row 0, of the roles system, user, assistant, user: the model has no chat"
    ):
        train(*model, "--dataset", write(tmp_path / "data", rows, "turns"))


def test_prompt_lengths_are_those_of_the_trainer(rows):
    tokenizer, args = AutoTokenizer.from_pretrained(TINY), GRPOConfig("outputs/none", use_cpu=True)
    for shape in SHAPES.values():
        chats = [normalize_prompt(shape(row)["prompt"]) for row in rows]
        ours = Dataset.from_dict({"prompt": chats})
        made = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
        assert prompt_lengths(args, tokenizer, ours.take(2), ours.skip(2)) == [len(ids) for ids in made]


def test_no_prompt_is_too_long_for_a_model_without_a_limit():
    args = GRPOConfig("outputs/none", use_cpu=True, bf16=False)
    assert too_long_prompts(args, MambaConfig(), [10**6]) == []
    args.use_vllm, args.vllm_max_model_length = True, 4096
    assert "vllm_max_model_length 4,096 less" in too_long_prompts(args, MambaConfig(), [10**6])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_prompt_that_is_too_long_is_refused_in_any_shape(tmp_path, rows, train, shape):
    long = [{**row, "prompt": [{"role": "user", "content": text(row) * (40 if i == 1 else 1)}]} for i, row in enumerate(rows)]
    with pytest.raises(
        SystemExit, match=r"2 of 4 prompts are too long: row 1 has [\d,]+ tokens, and the model's context 1,024"
    ):
        train("--dataset", write(tmp_path / "data", long, shape))
    short_first = write(tmp_path / "data", rows, "text")
    shutil.copy(write(tmp_path / "long", long, shape) / "validation.parquet", short_first)
    with pytest.raises(SystemExit, match="1 of 4 prompts are too long: held-out row 1 has"):
        train("--dataset", short_first)


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        (None, "its prompt is None: use a text or a list of messages"),
        ([], r"its prompt is \[\]"),
        ("", "its last message is .*'content': ''.*: it must be a non-empty user message"),
        (" \n", "must be a non-empty user message"),
        ([{"role": "user", "content": None}], "its user message is None: only text"),
        ([{"role": "user", "content": []}], "its last message is .*'content': ''"),
        (
            [{"role": "user", "content": [{"type": "image", "image": "x.png"}]}],
            "message is .*'image': .*: only text",
        ),
        ([USER, BOT], "its last message is {'role': 'assistant', .*: it must be a non-empty user message"),
        ([SYSTEM], "its last message is {'role': 'system'"),
        (["Who?"], "its prompt holds 'Who.': use messages with a `role` and a `content`"),
        ([{"from": "human", "value": "Who?"}], "use messages with a `role`"),
        ({"role": "user", "content": "Who?"}, "use a text or a list of messages"),
        ("[{'role': 'user', 'content': 'Who?'}]", "a list or dict as text, .*, is not JSON: write it with json.dumps"),
        (7, "its prompt is 7"),
    ],
)
def test_an_invalid_prompt_is_named(prompt, complaint):
    with pytest.raises(ValueError, match=complaint):
        normalize_prompt(prompt)


@pytest.mark.parametrize(
    ("solution", "complaint"),
    [
        (None, "its solution is None: use a list of answers, or a dict from letter to answer"),
        ([], r"its solution is \[\]"),
        ({"A": None, "B": None}, r"its solution is \[\]"),
        ({"A": "Hall", "B": None, "C": "Rope"}, "has the letters A, C: use A, B, C and so on, without gaps"),
        ({"a": "Hall"}, "has the letters a"),
        ("['Hall' 'Rope']", "a list or dict as text, .*, is not JSON"),
        ('["Hall", 3]', "holds the answer 3"),
        (["Hall", None], "holds the answer None: use a text"),
        (["Hall", ""], "holds the answer ''"),
        ([1], "holds the answer 1"),
        ("A. Hall", "its solution is 'A. Hall'"),
    ],
)
def test_an_invalid_solution_is_named(solution, complaint):
    with pytest.raises(ValueError, match=complaint):
        normalize_solution(solution)


def test_answers_by_letter_are_put_in_order():
    assert normalize_solution({"C": "c", "A": "a", "B": "b", "D": None}) == ["a", "b", "c"]


def test_a_difficulty_that_means_something_else(tmp_path, rows):
    def load(difficulties, kind=None, **changes):
        data = Dataset.from_list([{**row, "difficulty": d} for row, d in zip(rows, difficulties, strict=True)])
        data = data.cast_column("difficulty", kind) if kind else data
        for split in ("train", "validation"):
            data.to_parquet(tmp_path / f"{split}.parquet")
        return load_puzzles(PuzzleArguments(dataset=str(tmp_path), num_eval_puzzles=2, **changes), seed=0)[0]

    bands = ["easy", "hard"] * 3
    assert load(bands, ClassLabel(names=["easy", "medium", "hard"]), difficulty=["hard"])["difficulty"] == ["hard"] * 3
    for other in (["easy"], {"band": "easy"}, None, 1.5):
        assert "difficulty" not in load([other] * 6).column_names
        with pytest.raises(ValueError, match="has no row of difficulty easy, only "):
            load([other] * 6, difficulty=["easy"])
        with pytest.raises(ValueError, match=r"has the difficulty .*: curriculum needs easy, medium, hard"):
            load([other] * 6, curriculum="depth")
    with pytest.raises(ValueError, match="has no row of difficulty easy, only Easy"):
        load(["Easy"] * 6, difficulty=["easy"])


def test_a_missing_split_or_column_is_named_with_those_there_are(tmp_path, rows):
    def load():
        return load_puzzles(PuzzleArguments(dataset=str(tmp_path), num_eval_puzzles=2), seed=0)

    with pytest.raises(ValueError, match=rf"dataset '{tmp_path}' cannot be read: .* doesn't contain any data files"):
        load()
    Dataset.from_list(rows).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"no split 'validation', only train: add one as a file or folder validation"):
        load()
    Dataset.from_list([{"question": text(row), "solution": ["x"]} for row in rows]).to_parquet(tmp_path / "train.parquet")
    Dataset.from_list(rows).to_parquet(tmp_path / "validation.parquet")
    with pytest.raises(ValueError, match=r"lacks the column\(s\) prompt, and has question, solution: rename them"):
        load()


def test_an_invalid_row_is_named_with_its_dataset_and_split(tmp_path, rows):
    def load(**changes):
        return load_puzzles(PuzzleArguments(dataset=str(tmp_path / "data"), num_eval_puzzles=2, **changes), seed=0)

    faulty = [*rows[:4], {**rows[4], "prompt": [{"role": "user", "content": ""}]}, rows[5]]
    write(tmp_path / "data", faulty, "one message")
    with pytest.raises(ValueError, match="data', split 'train', row 4: its last message is"):
        load()
    assert len(load(num_train_puzzles=4)[0]) == 4  # rows that are not used are not checked
    with pytest.raises(ValueError, match="has the difficulty 7: curriculum needs easy, medium, hard"):
        load(curriculum="depth", num_train_puzzles=4)
    for count in ("num_train_puzzles", "num_eval_puzzles"):
        with pytest.raises(ValueError, match=f"{count}=0 is too few"):
            load_puzzles(PuzzleArguments(**{count: 0}), seed=0)
    (tmp_path / "data" / "train.parquet").write_bytes(b"torn")
    with pytest.raises(ValueError, match="data' cannot be read: "):
        load()
    for suffix in ("json", "jsonl", "parquet"):
        (file := tmp_path / f"puzzles.{suffix}").write_text("[]")
        with pytest.raises(
            ValueError, match=rf"is one file: put it into a folder as train\.{suffix}, held-out puzzles beside it"
        ):
            load_puzzles(PuzzleArguments(dataset=str(file)), seed=0)


def test_a_prompt_that_holds_the_chat_template_already_is_refused(tmp_path, rows, train):
    rendered = [{**row, "prompt": [{"role": "user", "content": f"<|im_start|>user\n{text(row)}<|im_end|>\n"}]} for row in rows]
    with pytest.raises(
        SystemExit, match=r"the prompt of row 0, of the roles user: it holds '<.im_end.>', which the chat template adds"
    ):
        train("--dataset", write(tmp_path / "data", rendered, "text"))
    shutil.copytree(TINY, tmp_path / "strict")
    (tmp_path / "strict" / "chat_template.jinja").write_text("{{ raise_exception('System role not supported') }}")
    with pytest.raises(
        SystemExit, match=r"row 0, of the roles system, user: the chat template refuses it \(System role not supported"
    ):
        train("--model_name_or_path", tmp_path / "strict", "--dataset", write(tmp_path / "data", rows, "system"))


def changed(folder):
    """The share of the base model's weights that training has changed."""
    before, after = load_file(TINY / "model.safetensors"), load_file(folder / "run" / "model" / "model.safetensors")
    return sum((after[name] != before[name].to(after[name].dtype)).sum() for name in before) / sum(
        map(torch.numel, before.values())
    )


@pytest.mark.parametrize(
    ("precision", "complaint"),
    [
        (("--dtype", "bfloat16", "--bf16", "true"), "dtype: bfloat16 would train all weights in bfloat16"),
        (("--dtype", "bfloat16", "--bf16", "false"), "where most updates of 6e-06 are rounded away: set dtype: float32"),
        (("--dtype", "float16", "--bf16", "false"), "dtype: float16 would train all weights in float16"),
        (("--dtype", "float16", "--fp16", "true", "--bf16", "false"), "or launch with DeepSpeed"),
        (("--dtype", "auto"), "dtype: auto would train all weights in bfloat16"),
        (("--dtype", "bfloat16", "--use_peft", "true", "--lora_modules_to_save", "embed_tokens"), "train lora_modules_to_save"),
        (("--model_init_kwargs", '{"dtype": "bfloat16"}'), "model_init_kwargs holds dtype: set the option dtype instead"),
        (("--dtype", "float32", "--bf16_full_eval", "true"), "bf16_full_eval: true would leave the trained weights in 16 bits"),
        (("--dtype", "float32", "--load_in_4bit", "true"), "load_in_4bit: true trains LoRA alone: set use_peft"),
    ],
)  # fmt: skip
def test_weights_in_16_bits_without_float32_copies_are_refused(tmp_path, train, precision, complaint):
    shutil.copytree(TINY, tmp_path / "half")
    config = json.loads((TINY / "config.json").read_text()) | {"dtype": "bfloat16"}
    (tmp_path / "half" / "config.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit, match=complaint):
        train("--model_name_or_path", tmp_path / "half", "--learning_rate", "6e-6", *precision)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("stage", "bf16", "refused"), [("0", "false", True), ("0", "true", False), ("1", "false", False)])
def test_deepspeed_without_zero_keeps_float32_copies_in_mixed_precision_alone(monkeypatch, stage, bf16, refused):
    args = GRPOConfig("outputs/none", use_cpu=True, bf16=bf16 == "true")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", stage)
    model = ModelConfig(str(TINY), dtype="bfloat16")
    assert bool(lost_updates(load_config(model, True), args, model, this_machine(args))) == refused


def test_a_step_of_6e_6_changes_weights_in_float32_and_would_not_in_bfloat16(monkeypatch, tmp_path, train):
    train("--dtype", "float32", "--bf16", "true", "--learning_rate", "6e-6")
    assert changed(tmp_path) > 0.95
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr("recipes.checks.lost_updates", lambda *_: [])
    train("--dtype", "bfloat16", "--bf16", "true", "--learning_rate", "6e-6")
    assert changed(tmp_path) < 0.05


def test_lora_of_a_bfloat16_model_is_trained_in_float32(monkeypatch, tmp_path, train):
    seen = {}

    def watched(trainer, *args, **kwargs):
        seen.update({name: (p.dtype, p.requires_grad) for name, p in trainer.model.named_parameters()})
        return stock(trainer, *args, **kwargs)

    stock = grpo.PuzzleTrainer.train
    monkeypatch.setattr(grpo.PuzzleTrainer, "train", watched)
    train(
        "--dtype", "bfloat16", "--bf16", "true", "--use_peft", "true", "--lora_r", "24", "--lora_target_modules", "all-linear"
    )
    assert {dtype for dtype, trained in seen.values() if trained} == {torch.float32}
    assert {dtype for dtype, trained in seen.values() if not trained} == {torch.bfloat16}


def test_fresh_puzzles_are_not_those_trained_on_under_other_names():
    args = puzzles_of(ROOT / "recipes" / "smollm2-135m.yaml")
    args.num_train_puzzles, args.num_eval_puzzles = 60, 1
    seen = {*clue_sets(generate_on_the_spot(args, 3)[0])}
    fresh, unseen = fresh_puzzles(args, 3, 30), fresh_puzzles(args, 3, 30, seen)
    assert seen & {*clue_sets(fresh)}
    assert not seen & {*clue_sets(unseen)}
    assert (len(unseen), unseen[0]) == (30, next(row for row in fresh if not seen & {*clue_sets(Dataset.from_list([row]))}))
    with pytest.raises(ValueError, match="only 0 of 20 fresh puzzles differ in more than names from those trained on, not 1"):
        fresh_puzzles(args, 3, 1, {*clue_sets(fresh_puzzles(args, 3, 20))})


def test_the_model_is_uploaded_once(tmp_path, train, hub):
    printed = train(
        "--push_to_hub",
        "true",
        "--hub_model_id",
        "me/detective",
        "--max_steps",
        "2",
        "--hub_private_repo",
        "true",
        "--hub_revision",
        "v2",
    )
    assert "push_to_hub: me/detective gets the model once, at the end, and no checkpoints." in printed
    assert f"uploaded: {hub.url}" in printed
    assert hub.private == {"me/detective": True}
    assert hub.branches == [("me/detective", "v2")]
    there, model = hub.repos["me/detective"], tmp_path / "run" / "model"
    files = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {*there} == files | {"chat_template.jinja", "README.md"}
    assert all(there[name] == (model / name).read_bytes() for name in there)
    assert b"me/detective" in there["README.md"]
    assert str(tmp_path).encode() not in b"".join(there.values())
    assert sum("/commit/" in request for request in hub.requests) == 1


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ({"token": ""}, "push_to_hub: there is no token: log in"),
        ({"endpoint": "http://127.0.0.1:9"}, "the Hub at http://127.0.0.1:9 cannot be reached"),
        ({"id": "me/a b"}, "hub_model_id 'me/a b': Repo id must"),
        ({"strategy": "all_checkpoints"}, "hub_strategy: all_checkpoints is not supported"),
    ],
)
def test_what_prevents_an_upload_is_reported_before_training(monkeypatch, tmp_path, train, hub, how, complaint):
    monkeypatch.setattr("recipes.hub.get_token", lambda: how.get("token", TOKEN))
    hub.go_to(how.get("endpoint", hub.url))
    monkeypatch.setattr(grpo, "PuzzleTrainer", lambda *_, **__: pytest.fail("a model was loaded"))
    more = ("--hub_model_id", how.get("id", "me/detective"), "--hub_strategy", how.get("strategy", "every_save"))
    with pytest.raises(SystemExit, match=complaint):
        train("--push_to_hub", "true", *more)
    assert not hub.repos


def test_only_the_process_that_uploads_needs_a_token(monkeypatch):
    monkeypatch.setattr("recipes.hub.get_token", lambda: None)
    args = SimpleNamespace(push_to_hub=True, hub_strategy="every_save", hub_token=None)
    found = [hub_problems(SimpleNamespace(**vars(args), process_index=rank)) for rank in (0, 1)]
    assert "there is no token" in found[0][0]
    assert found[1] == []


@pytest.mark.parametrize(
    ("lora", "complaint"),
    [
        (("--lora_target_modules", "q_proj"), r"q_proj alone is a pattern for the full name .* try '\.\*q_proj', or name two"),
        (("--lora_target_modules", "q_proj", "k", "x_proj"), "lora_target_modules: the model has no k, x_proj"),
        (("--lora_r", "0"), "lora_r: 0 is impossible: use 1 or more"),
        (("--chat_template_kwargs", '{"tokenize": true}'), "chat_template_kwargs holds tokenize, which the trainer sets"),
    ],
)
def test_lora_without_matching_modules_and_arguments_that_the_trainer_sets_are_refused(tmp_path, train, lora, complaint):
    with pytest.raises(SystemExit, match=complaint):
        train("--use_peft", "true", *lora)
    assert not (tmp_path / "run").exists()


def test_lora_of_one_module_trains_as_the_message_suggests(tmp_path, train):
    train("--use_peft", "true", "--lora_target_modules", ".*q_proj")
    assert {name.split(".")[-3] for name in load_file(tmp_path / "run" / "model" / "adapter_model.safetensors")} == {"q_proj"}


def test_a_finished_run_prints_how_to_upload_it(monkeypatch, tmp_path, train, hub):
    monkeypatch.setattr("recipes.checkpoints.lock_folder", lambda _: None)  # this process keeps its lock
    train()
    printed = train("--push_to_hub", "true", "--hub_model_id", "me/detective")
    assert f"Nothing is uploaded now. To do so: hf upload me/detective {tmp_path / 'run' / 'model'} --exclude" in printed
    assert not hub.repos


def test_a_failed_upload_loses_nothing(monkeypatch, tmp_path, train, hub):
    monkeypatch.setattr(
        "recipes.hub.HfApi.upload_folder", lambda *_, **__: (_ for _ in ()).throw(OSError("the network is down"))
    )
    with pytest.raises(
        SystemExit, match=r"not on the Hub \(the network is down\). To try again: hf upload me/detective .*/model"
    ):
        train("--push_to_hub", "true", "--hub_model_id", "me/detective")
    assert (tmp_path / "run" / "result.json").exists()
    assert (tmp_path / "run" / "model" / "README.md").exists()
