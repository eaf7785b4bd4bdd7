"""Packing against stock TRL, on the same completions: log-probabilities, entropies, losses, gradients, metrics, weights."""

import json
import random
import subprocess
import sys

import pytest
import torch
from transformers import CONFIG_MAPPING, AttentionInterface, AutoModelForCausalLM
from trl import GRPOConfig

from recipes import ROOT, attention, packing
from recipes.attention import packed_attention
from recipes.batch_geometry import can_regroup_rows
from recipes.packing import SequencePacker, packing_problems
from tests import forked
from tests.packed_and_stock import make, train
from tests.test_rehearsal import ENVIRONMENT, needs_deepspeed, objectives

TIGHT, WIDE = 45, 10**6  # tokens of a packed sequence: many in a step, or one
TOLERANCE = 1e-5  # relative, in float32
LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]
TWO_STEPS = {"per_device_train_batch_size": 8, "steps_per_generation": 2, "max_steps": 2}  # of a generation: clipping matters
THREE_AND_TWO = {"per_device_train_batch_size": 8, "steps_per_generation": 3, "gradient_accumulation_steps": 2}
FOUR_AT_ONCE = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
METRICS = ("loss", "grad_norm", "entropy", "kl", "clip_ratio", "cispo_clip_ratio", "vespo", "reward", "sampling", "completions")
SCORES = ("loss", "grad_norm")  # the same as stock's even if rows are dropped, or metrics are means over micro-batches


def assert_same_gradients(stock, packed):
    assert len(stock["gradients"]) == len(packed["gradients"]) > 0
    for theirs, ours in zip(stock["gradients"], packed["gradients"], strict=True):
        assert theirs.keys() == ours.keys()
        total, errors = (
            torch.cat([x.flatten() for x in gradients]).norm()
            for gradients in (theirs.values(), (theirs[name] - ours[name] for name in theirs))
        )
        assert errors <= TOLERANCE * total
        for name, gradient in theirs.items():  # rounding matters more where a gradient is almost 0
            assert (gradient - ours[name]).norm() <= 10 * TOLERANCE * max(gradient.norm(), 1e-2 * total), name


def assert_same_log(stock, packed, metrics=METRICS):
    for theirs, ours in zip(stock["log"], packed["log"], strict=True):
        assert theirs.keys() == ours.keys()
        for key, value in theirs.items():
            if key.removeprefix("eval_").startswith(metrics):
                assert ours[key] == pytest.approx(value, rel=TOLERANCE, abs=2e-6, nan_ok=True), key


def compare(tmp_path, budgets=(TIGHT, WIDE), metrics=METRICS, **kwargs):
    """Train with stock TRL and with packing, the latter with each budget: the same up to rounding. Returns the last result."""
    stock = train(tmp_path / "stock", None, **kwargs)
    for budget in budgets:
        packed = train(tmp_path / "packed", budget, **kwargs)
        assert_same_gradients(stock, packed)
        assert_same_log(stock, packed, metrics)
        sequences = packed["batches"][0]
        assert not isinstance(sequences, list) or (len(sequences) > 1) == (budget != WIDE)
    return packed


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_in_two_optimizer_steps_of_a_generation(tmp_path, loss_type):
    compare(tmp_path, loss_type=loss_type, **TWO_STEPS)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_with_accumulated_micro_batches(tmp_path, loss_type):
    """The gradient is that of stock TRL's micro-batches; the metrics are those of the step as one micro-batch."""
    packed = compare(tmp_path, loss_type=loss_type, metrics=SCORES, **FOUR_AT_ONCE)
    if loss_type != "bnpo":
        assert_same_log(train(tmp_path, None, loss_type=loss_type), packed)


@pytest.mark.parametrize("name", objectives())
def test_every_known_objective(tmp_path, name):
    packed = compare(tmp_path, shape={"length": (1, 40)}, **objectives()[name], **TWO_STEPS)
    if name in ("DAPO", "GSPO"):  # the ratios of so small a step stay within the bounds of the others
        assert max(value for key, value in packed["log"][1].items() if key.startswith("clip_ratio/region")) > 0


CASES = {
    "one step over two generations": {"gradient_accumulation_steps": 2, "steps_per_generation": 1, "metrics": SCORES},
    "three micro-batches, two a step": {"shape": {"prompts": 6}, "max_steps": 3, "metrics": SCORES, **THREE_AND_TWO},
    "two iterations": {"num_iterations": 2, "max_steps": 2},
    "reference model": {"beta": 0.1, **TWO_STEPS},
    "LoRA": {"lora": True},
    "LoRA and its base as reference": {"lora": True, "beta": 0.1},
    "gradient checkpointing": {"activation_checkpointing": True},
    "ratio of sequences": {"importance_sampling_level": "sequence", **TWO_STEPS},
    "two-sided clipping": {"delta": 1.5, **TWO_STEPS},
    "rewards over the batch": {"scale_rewards": "batch"},
    "off-policy mask": {"off_policy_mask_threshold": 0.01, **TWO_STEPS},
    "tokens of tools": {"shape": {"tools": True}},
    "truncated completions masked, and so empty": {"mask_truncated_completions": True},
    "entropy bonus": {"entropy_coef": 0.1},
    "high-entropy tokens": {"top_entropy_quantile": 0.3},
    "padding to a multiple": {"pad_to_multiple_of": 8},
    "evaluation": {"num_generations_eval": 1, "per_device_eval_batch_size": 2},
    "evaluation of groups": {"num_generations_eval": 4, "per_device_eval_batch_size": 8},
    "groups of 2": {"shape": {"prompts": 8, "group": 2}, "beta": 0.1},
    "groups of 50": {"shape": {"prompts": 2, "group": 50, "prompt_length": (30, 40)}},
    "prompts of one token": {"shape": {"prompt_length": (1, 1)}},
    "completions of one token": {"shape": {"length": (1, 1), "prompt_length": (9, 12)}, "beta": 0.1},
    "a completion far longer than the others": {"shape": {"length": (1, 60), "seed": 1}},
    "all the same length": {"shape": {"prompt_length": (2, 2), "length": (20, 20)}},
    **{
        f"correction for the sampler, {mode}": {"sampler": True, "vllm_importance_sampling_mode": mode}
        for mode in ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_and_the_metrics_are_those_of_stock_trl(tmp_path, case):
    compare(tmp_path, **CASES[case])


def test_rows_longer_than_the_budget_are_packed_by_the_longest_row(tmp_path):
    packed = compare(tmp_path, budgets=(10,), shape={"prompt_length": (11, 40)})
    lengths = [[len(batch["prompt_ids"]), int(batch["prompt_mask"].sum())] for batch in packed["batches"][0]]
    assert sum(rows for rows, _ in lengths) == 16
    assert len(lengths) >= 4


@pytest.mark.parametrize("loss_type", LOSSES)
def test_rows_without_an_advantage_are_dropped_and_the_gradient_stays(tmp_path, loss_type):
    packed = compare(tmp_path, loss_type=loss_type, equal_rewards=("0", "2"), metrics=SCORES, **TWO_STEPS)
    if can_regroup_rows(GRPOConfig(str(tmp_path), loss_type=loss_type, use_cpu=True, bf16=False)):
        assert sum(len(batch["prompt_ids"]) for step in packed["batches"] for batch in step) == 8
        assert all((batch["advantages"] != 0).all() for step in packed["batches"] for batch in step)


def test_rows_without_an_advantage_are_kept_with_a_reference_model(tmp_path):
    packed = compare(tmp_path, beta=0.1, equal_rewards=("0", "2"), metrics=METRICS)
    assert sum(len(batch["prompt_ids"]) for batch in packed["batches"][0]) == 16


def test_a_step_in_which_no_row_has_an_advantage(tmp_path):
    packed = train(tmp_path, TIGHT, equal_rewards=[str(i) for i in range(4)])
    assert all((gradient == 0).all() for gradient in packed["gradients"][0].values())
    (batch,) = packed["batches"][0]
    assert batch["prompt_mask"].sum() == 1
    assert batch["completion_mask"].sum() == 0
    assert packed["log"][0]["loss"] == 0
    assert packed["log"][0]["entropy"] is None  # not 0, which would raise the alarm


def test_bfloat16_is_as_close_to_float32_as_stock_trl(tmp_path):
    exact = train(tmp_path, None)["gradients"][0]
    for changes in ({"bf16": True}, {"model_init_kwargs": {"dtype": "bfloat16"}}):
        errors = []
        for budget in (None, WIDE):
            gradients = train(tmp_path, budget, **changes)["gradients"][0]
            errors.append(sum((gradients[name].float() - exact[name]).square().sum() for name in exact).sqrt())
        assert 0 < errors[1] < 1.5 * errors[0]


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    return [make(tmp_path_factory.mktemp("trainer"), budget, num_generations=2) for budget in (None, WIDE, TIGHT)]


ROWS = {
    "ragged": [(3, 5), (3, 1), (5, 9), (3, 7)],
    "an empty completion": [(3, 5), (3, 0), (4, 0)],
    "only empty completions": [(3, 0), (3, 0)],
    "one row": [(4, 6)],
    "groups of one": [(4, 6), (5, 6), (6, 5)],
    "one token of a prompt": [(1, 6), (1, 2), (1, 9), (1, 1), (1, 3), (1, 1)],
}


@pytest.mark.parametrize("compute_entropy", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("case", ROWS)
def test_log_probabilities_and_entropies_of_each_token(monkeypatch, trainers, case, gradients, compute_entropy):
    monkeypatch.setattr(packing, "MIN_PADDING_RATIO", 0)  # pack even where padding would be as fast
    prompts, width = {n: torch.randint(100, (n,)) for n in range(1, 7)}, 10
    ids, mask = torch.full((len(ROWS[case]), 8 + width), 257), torch.zeros(len(ROWS[case]), 8 + width, dtype=torch.long)
    for row, (prompt, completion) in enumerate(ROWS[case]):
        ids[row, 8 - prompt : 8], ids[row, 8 : 8 + completion] = prompts[prompt], torch.randint(100, (completion,))
        mask[row, 8 - prompt : 8 + completion] = 1
    weight, results = torch.randn(len(ids), width), []
    for trainer in trainers:
        trainer.model.zero_grad()
        with torch.set_grad_enabled(gradients):
            logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
                trainer.model, ids, mask, width, compute_entropy=compute_entropy
            )
            if gradients:
                (logps * weight).sum().backward()
        results.append([logps, *([entropies] if compute_entropy else [])])
        results[-1] += [p.grad for p in trainer.model.parameters() if gradients]
        assert (entropies is None) == (not compute_entropy)
    for packed in results[1:]:
        for theirs, ours in zip(results[0], packed, strict=True):
            assert theirs.shape == ours.shape
            assert (theirs - ours).norm() <= TOLERANCE * max(theirs.norm(), 1e-2)


def blind_to_the_prompt(module, query, key, value, attention_mask, packed=None, **kwargs):
    apart = packed and [(0, [n]) for prefix, completions in packed for n in (prefix, *completions)]
    return packed_attention(module, query, key, value, attention_mask, packed=apart, **kwargs)


def sees_its_neighbours(module, query, key, value, attention_mask, packed=None, **kwargs):
    together = packed and [(prefix, [sum(completions)]) for prefix, completions in packed]
    return packed_attention(module, query, key, value, attention_mask, packed=together, **kwargs)


def sees_one_token_ahead(module, query, key, value, attention_mask, packed=None, **kwargs):
    wrong = lambda length, seen: torch.ones(length, seen, dtype=torch.bool).tril(seen - length + 1)  # noqa: E731
    right, attention.causal_lower_right = attention.causal_lower_right, wrong
    try:
        return packed_attention(module, query, key, value, attention_mask, packed=packed, **kwargs)
    finally:
        attention.causal_lower_right = right


@pytest.mark.parametrize("mutant", [blind_to_the_prompt, sees_its_neighbours, sees_one_token_ahead])
def test_a_wrong_mask_is_caught(tmp_path, mutant):
    AttentionInterface.register("packed", mutant)
    try:
        with pytest.raises(AssertionError):
            compare(tmp_path)
    finally:
        AttentionInterface.register("packed", packed_attention)
    compare(tmp_path)


@pytest.mark.parametrize("by", [1, -1])
def test_wrong_positions_are_caught(monkeypatch, tmp_path, by):
    arange = torch.arange
    shifted = lambda first, *last: arange(first + by, last[0] + by) if last else arange(first)  # noqa: E731
    forward = packing.PackedGRPOTrainer._packed_forward

    def wrong(*args):
        with monkeypatch.context() as patch:
            patch.setattr(torch, "arange", shifted)
            return forward(*args)

    monkeypatch.setattr(packing.PackedGRPOTrainer, "_packed_forward", wrong)
    with pytest.raises(AssertionError):
        compare(tmp_path)


@pytest.mark.parametrize("mutation", ["loss_scale", "tokens"])
def test_a_wrong_divisor_or_weight_is_caught(monkeypatch, tmp_path, mutation):
    regroup = packing.PackedGRPOTrainer._regroup

    def wrong(self, step):
        return [{**batch, mutation: 1 + i} for i, batch in enumerate(regroup(self, step))]

    monkeypatch.setattr(packing.PackedGRPOTrainer, "_regroup", wrong)
    with pytest.raises(AssertionError):
        compare(tmp_path)


def test_rows_are_packed_evenly_and_within_the_budget():
    draw = random.Random(0)
    for _ in range(200):
        prompts = draw.randint(1, 6)
        lengths = [draw.randint(1, 30) for _ in range(prompts)]
        group = [draw.randrange(prompts) for _ in range(draw.randint(0, 40))]
        packer = SequencePacker.__new__(SequencePacker)
        packer.prompt, packer.prompt_length = group, [lengths[prompt] for prompt in group]
        packer.completion_length = [int(draw.lognormvariate(2, 1)) for _ in group]
        budget, multiple, at_least = draw.randint(10, 200), draw.randint(1, 4), draw.randint(1, 3)
        wanted = [row for row in range(len(group)) if draw.random() < 0.8]
        sequences = packer.pack(wanted, budget, multiple, at_least)
        assert sorted(row for sequence in sequences for row in sequence) == wanted
        assert len(sequences) % multiple == 0
        assert len(sequences) >= max(at_least, 1)
        longest = max([budget, *(packer.packed_length([row]) for row in wanted)])
        assert all(packer.packed_length(sequence) <= longest for sequence in sequences)
        assert sequences == sorted(sequences, key=packer.packed_length, reverse=True)
        if len(sequences) > max(at_least, 1) + multiple:  # no more than needed: no two neighbours would fit into one
            assert 2 * sum(map(packer.packed_length, sequences)) > longest * (len(sequences) - multiple)


@pytest.mark.parametrize(
    ("kind", "changes", "name"),
    [
        ("mistral", {}, "layers other than full attention (mistral)"),
        ("gemma3_text", {}, "layers other than full attention"),
        ("qwen3_next", {"router_aux_loss_coef": 0.0}, "layers other than full attention"),
        ("qwen3_moe", {}, "load balancing of experts"),
        ("qwen2_vl", {}, "images (qwen2_vl)"),
    ],
)
def test_models_that_packing_does_not_support_are_refused_by_name(tmp_path, kind, changes, name):
    args = GRPOConfig(str(tmp_path), use_cpu=True, bf16=False)
    reasons = packing_problems(CONFIG_MAPPING[kind](**changes), args, True)
    assert any(name in reason for reason in reasons)
    assert all("packing: false gives stock TRL" in reason for reason in reasons)


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama"])
def test_models_that_packing_supports_have_no_problems(tmp_path, kind):
    assert packing_problems(CONFIG_MAPPING[kind](), GRPOConfig(str(tmp_path), use_cpu=True, bf16=False), True) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model_init_kwargs": {"attn_implementation": "eager"}}, "attn_implementation: eager"),
        ({"model": {"use_sliding_window": True, "max_window_layers": 1}}, "layers other than full attention (qwen2)"),
    ],
)  # fmt: skip
def test_runs_that_packing_does_not_support_are_refused_by_name(tmp_path, changes, name):
    with pytest.raises(ValueError, match=name.replace("(", r"\(").replace(")", r"\)")):
        make(tmp_path, WIDE, packing=True, **changes)
    make(tmp_path, WIDE, **changes)
    make(tmp_path, None, **changes)


def test_a_saved_model_does_not_ask_for_packed_attention(tmp_path):
    trainer = make(tmp_path, WIDE)
    trainer.save_model(str(tmp_path / "saved"))
    assert "packed" not in (tmp_path / "saved" / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "saved").config._attn_implementation == "sdpa"


def on_two_processes(tmp_path, runs):
    """What `packed_and_stock.train` returns for each set of keywords, on two processes."""
    forked.run_on_two_processes(tmp_path / "rank.log", "tests/packed_and_stock.py", tmp_path, json.dumps(runs))
    return [torch.load(tmp_path / f"{name}.pt") for name in runs]


def with_zero3(tmp_path, keywords):
    """The same with the launcher and ZeRO-3, for one run only, since DeepSpeed keeps the batch sizes of the first."""
    launcher = ["-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/zero3_cpu.yaml"]
    launcher += ["--main_process_port", str(forked.free_port())]
    command = [sys.executable, *launcher, "tests/packed_and_stock.py", str(tmp_path), json.dumps({"run": keywords})]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(tmp_path / "run.pt")


def test_two_processes_have_the_gradient_of_stock_trl(tmp_path):
    cases = [
        {},
        {"loss_type": "dapo", "metrics": METRICS, **TWO_STEPS},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"loss_type": "bnpo", "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"lora": True, "beta": 0.1, "metrics": METRICS},
        {"loss_type": "vespo", "metrics": METRICS, **TWO_STEPS},
        {"importance_sampling_level": "sequence", "metrics": METRICS, **TWO_STEPS},
        {"equal_rewards": ["0", "1", "2", "3", "4", "5"]},
        {"equal_rewards": [str(i) for i in range(8)]},
        {"sampler": True, "metrics": METRICS},
        {"num_generations_eval": 2, "per_device_eval_batch_size": 2, "metrics": METRICS},
    ]
    runs = {}
    for i, case in enumerate(cases):
        sizes = {"per_device_train_batch_size": 16, "shape": {"prompts": 8}}
        keywords = {key: value for key, value in {**sizes, **case}.items() if key != "metrics"}
        runs |= {f"stock {i}": {"packed_tokens": None, **keywords}, f"packed {i}": {"packed_tokens": TIGHT, **keywords}}
    results = iter(on_two_processes(tmp_path, runs))
    for case, stock, packed in zip(cases, results, results, strict=True):
        assert_same_gradients(stock, packed)
        assert_same_log(stock, packed, case.get("metrics", SCORES))


@pytest.mark.slow
@needs_deepspeed
@pytest.mark.parametrize("case", [{}, {"lora": True}])
def test_zero3_ends_with_the_weights_of_stock_trl(tmp_path, case):
    sizes = {"shape": {"prompts": 8}, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, "max_steps": 2}
    keywords = {**sizes, "equal_rewards": ["0", "1", "2"], **case}
    stock = with_zero3(tmp_path / "stock", {"packed_tokens": None, **keywords})
    packed = with_zero3(tmp_path / "packed", {"packed_tokens": TIGHT, **keywords})
    assert_same_log(stock, packed, SCORES)
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "stock" / "run" / "model-0").state_dict()
    assert stock["weights"].keys() == packed["weights"].keys()
    moved = [name for name in stock["weights"] if name in start and not stock["weights"][name].equal(start[name])]
    assert moved or case
    for name, theirs in stock["weights"].items():
        assert (theirs - packed["weights"][name]).norm() <= TOLERANCE * theirs.norm(), name
