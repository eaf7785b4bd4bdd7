"""The order of puzzles: in an epoch, in a resumed run, in a curriculum; the grading of thoughts that never end; and what an
evaluation logs.
"""

from collections import defaultdict, deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from datasets import Dataset
from torch.utils._python_dispatch import TorchDispatchMode
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from recipes.checkpoints import HELD_OUT_ACCURACY, best_model, complete_checkpoints
from recipes.packing import PackedGRPOTrainer
from recipes.tiny.model import CHATML, tiny_tokenizer
from recipes.trainer import EpochSampler, PuzzleTrainer
from rewards.accuracy import accuracy, published_accuracy

BANDS = ["hard", "easy", "medium", "easy", "hard", "easy", "medium"]
ROWS = Dataset.from_dict({"prompt": list("abcdefg"), "difficulty": BANDS})


def trainer(epoch=None, curriculum=None, history=()):
    """A trainer with only what the sampler uses."""
    this = PuzzleTrainer.__new__(PuzzleTrainer)
    this.num_generations, this.curriculum = 2, curriculum
    this.args, this.reward_weights = SimpleNamespace(seed=42, log_completions=True), torch.tensor([1.0, 0.0])
    this._metrics, this._logs = {"train": {}, "eval": {}}, {"prompt": deque(), "rewards": defaultdict(deque)}
    this.state = SimpleNamespace(epoch=epoch, log_history=list(history))
    return this


def order(**state):
    return list(EpochSampler(trainer(**state), ROWS, batch_size=3, repeat_count=2))


def test_the_first_epoch_has_trls_own_order():
    theirs = RepeatSampler(ROWS, mini_repeat_count=2, batch_size=3, repeat_count=2, seed=42)
    assert order() == list(theirs)
    assert len(order()) == len(theirs)


def test_an_epoch_has_the_same_order_in_a_resumed_run():
    """TRL 1.16.0's own sampler, created anew for a resumed run, starts over with epoch 0's order. When the last line fails,
    that is fixed upstream and EpochSampler may go.
    """
    uninterrupted = EpochSampler(running := trainer(), ROWS, batch_size=3, repeat_count=2)
    orders = []
    for epoch in (None, 1.0, 2.0):
        running.state.epoch = epoch
        orders.append(list(uninterrupted))
    assert orders[0] != orders[1] != orders[2]
    assert orders == [order(epoch=epoch) for epoch in (0, 1.5, 2.25)]

    theirs = RepeatSampler(ROWS, mini_repeat_count=2, batch_size=3, repeat_count=2, seed=42)
    first, second = list(theirs), list(theirs)
    resumed = list(RepeatSampler(ROWS, mini_repeat_count=2, batch_size=3, repeat_count=2, seed=42))
    assert resumed == first != second


@pytest.mark.parametrize(
    ("curriculum", "bands"),
    [("depth", ["easy", "medium", "hard"]), ("pass_rate", ["medium", "easy", "hard"])],
)
def test_in_the_first_epoch_a_curriculum_takes_one_band_after_another(curriculum, bands):
    before = {HELD_OUT_ACCURACY: 0.5, "eval_accuracy/easy": 0.5, "eval_accuracy/medium": 0.6, "step": 0}
    state = {"curriculum": curriculum, "history": [before]}
    seen = [BANDS[i] for i in dict.fromkeys(order(**state))]  # 6 of 7: an incomplete batch is left out
    assert seen == sorted(BANDS, key=bands.index)[: len(seen)]
    assert order(**state, epoch=1.0) == order(epoch=1.0)


@pytest.mark.parametrize(
    ("ending", "kwargs", "expected"),
    [
        ("<think>\n", {}, [0.0, 1.0, 1.0, 0.0]),
        ("<think>\n{% if enable_thinking is false %}\n</think>\n\n{% endif %}", {"enable_thinking": False}, [1.0] * 4),
        ("", {}, [1.0] * 4),
    ],
)  # fmt: skip
def test_a_thought_that_the_chat_template_opens_earns_nothing_unless_it_is_closed(ending, kwargs, expected, monkeypatch):
    this = trainer()
    this._tokenizer, this.chat_template_kwargs = tiny_tokenizer(), kwargs
    this._tokenizer.chat_template = CHATML.replace("assistant\n{% endif %}", f"assistant\n{ending}{{% endif %}}")
    this.model = SimpleNamespace(training=True)
    given = {}
    monkeypatch.setattr(PackedGRPOTrainer, "_calculate_rewards", lambda self, *args: given.update(args=args) or "rewards")
    sheet = "A. Hall\nB. Rope"
    texts = [sheet, f"A. Study\n</think>\n{sheet}", f"Well.</think>{sheet}", f"{sheet}\nand then it was truncated"]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    completions[2] = [{"role": "assistant", "content": sheet, "reasoning_content": "Well."}]  # parsed out by TRL
    ids = [this._tokenizer(text).input_ids for text in texts]
    rows = [{"prompt": [{"role": "user", "content": "Who?"}], "solution": ["Hall", "Rope"]}] * 4
    assert this._calculate_rewards(rows, [row["prompt"] for row in rows], completions, ids) == "rewards"
    inputs, prompts, *_ = given["args"]
    columns = {key: [row[key] for row in inputs] for key in inputs[0] if key != "prompt"}
    assert accuracy(prompts=prompts, completions=completions, **columns) == expected
    published_accuracy(prompts=prompts, completions=completions, **columns)


def test_the_best_weights_are_kept_and_a_resumed_run_knows_their_score(monkeypatch, tmp_path):
    this, scores = trainer(), iter([0.9, 0.3, 0.5, 0.4, 0.5, 0.6])
    this.args = SimpleNamespace(output_dir=tmp_path)
    this.accelerator = SimpleNamespace(wait_for_everyone=lambda: None, is_main_process=True)
    this.best_accuracy = -1.0

    def save(self, folder):
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "weights").write_text(str(self.state.global_step))

    monkeypatch.setattr(PackedGRPOTrainer, "evaluate", lambda self: {HELD_OUT_ACCURACY: next(scores)})
    monkeypatch.setattr(PackedGRPOTrainer, "save_model", save)
    kept = []
    for this.state.global_step in (0, 10, 20, 30, 40, 50):
        if this.state.global_step == 30:  # in another process
            this.best_accuracy = best_model(tmp_path)["accuracy"]
        this.evaluate()
        best = best_model(tmp_path)
        kept.append(best.get("step"))
        assert not best or (tmp_path / "best" / "weights").read_text() == str(best["step"])
    assert kept == [None, 10, 20, 20, 20, 50]
    assert best == {"step": 50, "accuracy": 0.6, "folder": str(tmp_path / "best")}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_completions_are_logged_once_a_generation(monkeypatch):
    """TRL 1.16.0 would write the same completions at each optimizer step of a generation."""
    this, logged, generated = trainer(), [], {"frac_reward_zero_std": [0.5]}
    this.model, this.held_out_scores = SimpleNamespace(training=True), []
    monkeypatch.setattr(PackedGRPOTrainer, "log", lambda self, logs, start_time: logged.append(self.log_completions))
    for this._metrics["train"], this.args.log_completions in (
        (generated, True),
        ({}, True),
        (generated, True),
        (generated, False),
    ):
        this.log({})
    assert logged == [True, False, True, False]


def test_an_evaluation_logs_its_own_completions_to_its_own_file(monkeypatch, tmp_path):
    """TRL 1.16.0 would write them, and what was trained on before, over the file of the same step."""
    this = trainer()
    this.args.output_dir, this.state.global_step, this.best_accuracy, this.held_out_scores = tmp_path, 5, 1.0, []
    this.accelerator, this.model = SimpleNamespace(is_main_process=True), SimpleNamespace(training=True)
    (tmp_path / "completions").mkdir()

    def generate(mode, *prompts):
        this.model.training = mode == "train"
        this._metrics[mode] = {"frac_reward_zero_std": [0.5]}
        this._logs["prompt"].extend(prompts)
        this._logs["rewards"]["accuracy"].extend(1.0 for _ in prompts)
        this.log({})

    def write(self, *_):
        rows = [*self._logs["prompt"], len(self._logs["rewards"]["accuracy"])]
        (tmp_path / "completions" / f"completions_{self.state.global_step:05d}.parquet").write_text(str(rows))

    monkeypatch.setattr(PackedGRPOTrainer, "log", write)
    monkeypatch.setattr(
        PackedGRPOTrainer, "evaluate", lambda self: (generate("eval", "c", "d", "e"), {HELD_OUT_ACCURACY: 0.5})[1]
    )
    generate("train", "a", "b")
    this.evaluate()
    this.state.global_step = 10  # without training logged at that step
    this.evaluate()
    written = {file.name: file.read_text() for file in (tmp_path / "completions").iterdir()}
    of_evaluation = "['c', 'd', 'e', 3]"
    assert written.pop("completions_00005.parquet") == "['a', 'b', 2]"
    assert written == {f"completions_{step}_eval.parquet": of_evaluation for step in ("00005", "00010")}
    assert this._logs["prompt"] == deque(["a", "b"])


def test_a_checkpoint_that_is_written_again_is_not_complete_until_it_is_written(monkeypatch, tmp_path):
    this, complete = trainer(), []
    this.args = SimpleNamespace(output_dir=tmp_path, should_save=True)
    this.state = SimpleNamespace(global_step=5, log_history=[])
    this.accelerator = SimpleNamespace(wait_for_everyone=lambda: None)
    monkeypatch.setattr(PackedGRPOTrainer, "_save_checkpoint", lambda *_: complete.append([*complete_checkpoints(tmp_path)]))
    for _ in range(2):
        (tmp_path / "checkpoint-5").mkdir(exist_ok=True)
        this._save_checkpoint(None, None)
        assert [*complete_checkpoints(tmp_path)] == [5]
    assert complete == [[], []]


def refill(monkeypatch, rounds, useless, step=0, training=True):
    """The prompts of a generation of three puzzles, two samples each, after refilling, and what was logged.

    The samples of `useless` puzzles earn the same.
    """

    def sample(self, prompts):
        texts = [f"{prompt}{i % 2}" for i, prompt in enumerate(prompts)]
        return [[p] for p in prompts], [[t] for t in texts], None, texts, None, {}, None, []

    def grade(self, rows, prompts, completions, ids):
        assert [row["prompt"] for row in rows] == prompts == [text[0] for text in completions]
        self._pending_extra_logs["unread"] = [0] * 6
        self.rewards = torch.tensor([[0.5 if text[0] in useless else float(text[1]), 9.0] for text in completions])

    monkeypatch.setattr(PackedGRPOTrainer, "_generate", sample)
    monkeypatch.setattr(PuzzleTrainer, "_calculate_rewards", grade)
    this = trainer()
    this.refill_groups, this.train_dataset, this.model = rounds, ROWS, SimpleNamespace(training=training)
    this.state.global_step, this._pending_extra_logs, this._pending_metrics = step, {}, {}
    this.accelerator, this._metrics["train"] = SimpleNamespace(num_processes=1, process_index=0), {"refilled_groups": []}
    prompts = list("aabbcc")
    this.rows = [{"prompt": prompt} for prompt in prompts]
    prompt_ids, completion_ids, _, completions, *_ = this._generate(prompts)
    assert [row["prompt"] for row in this.rows] == prompts == [ids[0] for ids in prompt_ids]
    assert completions == [f"{prompt}{i % 2}" for i, prompt in enumerate(prompts)] == [ids[0] for ids in completion_ids]
    assert not this._pending_extra_logs
    return "".join(prompts), this._metrics["train"]["refilled_groups"]


def test_puzzles_whose_samples_earn_the_same_are_replaced(monkeypatch):
    assert refill(monkeypatch, 0, "ac") == ("aabbcc", [])
    assert refill(monkeypatch, 3, "ac", training=False) == ("aabbcc", [])
    assert refill(monkeypatch, 3, "") == ("aabbcc", [0])
    drawn = [refill(monkeypatch, 20, "acdefg", step) for step in (0, 0, 1)]
    assert [prompts for prompts, _ in drawn] == ["bbbbbb"] * 3  # the only puzzle that is not useless
    assert drawn[0] == drawn[1]  # so a resumed run draws the same
    assert drawn[0][1] != drawn[2][1]
    one, two = refill(monkeypatch, 1, "abcdefg"), refill(monkeypatch, 2, "abcdefg")
    assert (one[1], two[1]) == ([3], [6])
    assert one[0] != two[0] != "aabbcc"
    assert all(prompts[i] == prompts[i + 1] for prompts, _ in (one, two) for i in (0, 2, 4))


@pytest.mark.parametrize("difficulty", [True, False])
def test_an_evaluation_counts_each_puzzle_once_and_knows_its_best_sample(difficulty, monkeypatch):
    """Five puzzles of two samples in batches of three: the last batch is filled with the first puzzle."""
    this, logged = trainer(), {}
    this.model, this.num_generations_eval, this.held_out_scores = SimpleNamespace(training=False), 2, []
    this.callback_handler = SimpleNamespace(eval_dataloader=SimpleNamespace(dataset=range(5)))
    accuracies = [[0.0, 1.0], [0.25, 0.5], [1.0, 1.0], [0.0, 0.0], [0.75, 0.5]]
    bands = ["easy", "hard", "easy", "hard", "hard"]
    monkeypatch.setattr(PackedGRPOTrainer, "_calculate_rewards", lambda self, inputs, *_: inputs[0]["rewards"])
    monkeypatch.setattr(PackedGRPOTrainer, "log", lambda self, logs, start_time: logged.update(logs))
    for batch in ([0, 1, 2], [3, 4, 0]):
        rewards = torch.tensor([[accuracy, 9.0] for i in batch for accuracy in accuracies[i]])
        rows = [{"rewards": rewards} | ({"difficulty": bands[i]} if difficulty else {}) for i in batch for _ in range(2)]
        this._calculate_rewards(rows, ["Who?"] * 6, [], [])
    this.log({})
    expected = {"eval_best_of_2": (1 + 0.5 + 1 + 0 + 0.75) / 5, "eval_pass_at_2": 2 / 5}
    expected["eval_sampling_error"] = ((1 / 2 + 1 / 32 + 0 + 0 + 1 / 32) / 5 / 10) ** 0.5  # of the mean of ten samples
    if difficulty:
        easy, hard = [0.5, 1.0], [0.375, 0.0, 0.625]
        expected |= {"eval_accuracy/easy": np.mean(easy), "eval_accuracy_error/easy": np.std(easy) / 2**0.5}
        expected |= {"eval_accuracy/hard": np.mean(hard), "eval_accuracy_error/hard": np.std(hard) / 3**0.5}
    assert logged == pytest.approx(expected)
    assert this.held_out_scores == []

    logged.clear()
    this.num_generations_eval = 1
    this._calculate_rewards([{"rewards": torch.tensor([[1.0], [0.0]]), "difficulty": "easy"}] * 2, ["Who?"] * 2, [], [])
    this.log({"loss": 1.0})
    error = pytest.approx(0.5 / 2**0.5)
    assert logged == {"loss": 1.0, "eval_accuracy/easy": 0.5, "eval_accuracy_error/easy": error, "eval_sampling_error": error}


@pytest.fixture
def new_accelerator_state():
    """Accelerate keeps one precision per process, and tests that ran earlier have set it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("use_vllm", [False, True])
def test_weights_are_cast_once_for_all_tokens_of_a_generation(use_vllm, monkeypatch, new_accelerator_state):
    """Each forward is wrapped in an autocast, whose cache of cast weights is dropped with the outermost one. Not around vLLM,
    where it would round the merged LoRA weights.
    """
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    layer = torch.nn.Linear(4, 4)
    forward = accelerator.prepare_model(layer, evaluation_mode=True).forward
    casts = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            casts.append(func is torch.ops.aten._to_copy.default and args[0].shape == layer.weight.shape)
            return func(*args, **(kwargs or {}))

    def generate(*_):
        with torch.no_grad(), Count():
            return [forward(torch.ones(1, 4)) for _ in range(3)]

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", generate)
    this = trainer()
    this.use_vllm, this.accelerator = use_vllm, accelerator
    assert len(this._generate_single_turn([], None, {}, 2)) == 3
    assert sum(casts) == (3 if use_vllm else 1)
