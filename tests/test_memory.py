"""The simulation of memory: it agrees with a GPU, and the plan agrees with it."""

import copy

import pytest
import torch
from transformers import Qwen2Config, Qwen3MoeConfig
from trl import GRPOConfig

from benchmarks.memory import PROMPT, RECIPES, cases, main, packed_rows, padded_rows, simulate
from puzzles.files import read_json, read_yaml
from recipes import ROOT
from recipes.machine import GiB
from recipes.planner.memory import SIMULATED, activations
from recipes.planner.plan import KNOWN_CONFIGS
from tests import in_process


def shape(size: str, layers: int) -> Qwen2Config:
    values = KNOWN_CONFIGS[f"Qwen/Qwen2.5-{size}-Instruct"].to_dict()
    return Qwen2Config(**(values | {"num_hidden_layers": layers, "layer_types": None}))


@pytest.mark.parametrize(
    ("size", "layers", "rows", "packed", "gib"),
    [
        pytest.param("14B", 2, packed_rows(16384), True, 6.63, marks=pytest.mark.slow),
        ("14B", 4, packed_rows(16384), True, 7.66),
        ("14B", 4, [(0, 1024, 8192), (1, 1024, 8192)], False, 8.16),
        pytest.param("32B", 2, packed_rows(16384), True, 9.69, marks=pytest.mark.slow),
    ],
)
def test_the_simulation_agrees_with_an_h100(size, layers, rows, packed, gib):
    """Peaks beyond weights that an H100 had (LOG.md, "One H100"), gradients included."""
    live = simulate(shape(size, layers), rows, packed_tokens=16384 if packed else None, keep_gradients=True)
    assert live.peak / GiB == pytest.approx(gib, rel=0.005)
    assert sum(size for size, _ in live.at_peak) == live.peak
    assert live.now == sum(size for size, _ in live.alive.values()) > 0  # the gradients


@pytest.mark.parametrize("tokens", [100, 1229, 5000, 16384])
def test_packed_rows_fill_a_sequence(tokens):
    rows = packed_rows(tokens)
    lengths = {prompt: before - 1 for prompt, before, _ in rows}
    assert sum(lengths.values()) + sum(row[2] for row in rows) == (tokens if tokens >= PROMPT else 0)


@pytest.mark.parametrize("kinds", ["linear", "full", pytest.param("linear linear linear full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("padded", [True, False])
def test_the_plan_of_a_hybrid_is_within_5_percent_of_the_simulation(kinds, padded):
    hybrid = copy.deepcopy(KNOWN_CONFIGS["Qwen/Qwen3.8-27B"])
    text = hybrid.text_config
    text.layer_types = [f"{kind}_attention" for kind in kinds.split()]
    text.num_hidden_layers = len(text.layer_types)
    options = read_yaml(ROOT / "recipes" / "qwen3.8-27b-lora.yaml")
    rows = padded_rows(8192) if padded else [(0, 1000, 7192)]
    live = simulate(hybrid, rows, options["lora_r"], targets=options["lora_target_modules"])
    if kinds == "full":  # the larger of both kinds counts in the plan
        text = copy.copy(text)
        text.linear_num_value_heads = 1
    args = GRPOConfig("none", use_cpu=True)
    assert activations(text, args, 8192, rows[0][1] + rows[0][2], True, False, padded) == pytest.approx(live.peak, rel=0.05)


@pytest.mark.parametrize(
    ("size", "layers", "padded", "options"),
    [
        ("14B", 1, False, {}),  # the head's peak
        ("14B", 4, True, {}),
        ("1.5B", 2, False, {"lora_r": 32, "zero3": False}),
        pytest.param("1.5B", 4, True, {"zero3": False, "dtype": torch.float32}, marks=pytest.mark.slow),
        pytest.param("1.5B", 4, True, {"zero3": False, "dtype": torch.float32, "checkpointing": False}, marks=pytest.mark.slow),
        pytest.param("14B", 2, True, {"lora_r": 32}, marks=pytest.mark.slow),
        pytest.param("1.5B", 4, False, {"lora_r": 32, "checkpointing": False}, marks=pytest.mark.slow),
    ],
)
def test_the_plan_is_within_10_percent_of_the_simulation(size, layers, padded, options):
    tokens, config = 8192, shape(size, layers)
    live = simulate(config, (padded_rows if padded else packed_rows)(tokens), **options)
    args = GRPOConfig("none", use_cpu=True, activation_checkpointing=options.get("checkpointing", True))
    longest = tokens // 2 if padded else tokens
    planned = activations(config, args, tokens, longest, "lora_r" in options, not options.get("zero3", True), padded)
    assert planned == pytest.approx(live.peak, rel=0.1)


@pytest.mark.parametrize(
    ("targets", "padded", "checkpointing"),
    [
        (["q_proj", "k_proj", "v_proj", "o_proj"], True, True),
        pytest.param(["q_proj", "k_proj", "v_proj", "o_proj"], False, False, marks=pytest.mark.slow),
        pytest.param("all-linear", False, True, marks=pytest.mark.slow),
        pytest.param(None, False, True, marks=pytest.mark.slow),
    ],
)
def test_so_it_is_for_a_mixture_of_experts(targets, padded, checkpointing):
    """With LoRA on attention, on the experts too, and fully trained."""
    values = KNOWN_CONFIGS["Qwen/Qwen3-30B-A3B-Instruct-2507"].to_dict() | {"num_hidden_layers": 4, "layer_types": None}
    config, tokens, lora_r = Qwen3MoeConfig(**values), 8192, 32 if targets else 0
    rows = (padded_rows if padded else packed_rows)(tokens)
    live = simulate(config, rows, lora_r, checkpointing=checkpointing, targets=targets)
    args = GRPOConfig("none", use_cpu=True, activation_checkpointing=checkpointing)
    experts = not isinstance(targets, list)
    planned = activations(config, args, tokens, tokens // 2 if padded else tokens, lora_r > 0, False, padded, experts)
    assert planned == pytest.approx(live.peak, rel=0.1)


def test_every_recipe_was_simulated_and_its_plan_is_within_10_percent():
    rows = read_json(SIMULATED)["rows"]
    planned = [case for recipe in RECIPES for case in cases(recipe)]
    assert len(rows) == len(planned) == 2 * len(RECIPES)
    for row, case in zip(rows, planned, strict=True):
        measured = row.pop("measured_gib")
        assert row == case.row
        assert case.planned / GiB == pytest.approx(measured, rel=0.1), row


@pytest.mark.slow
def test_what_was_simulated_is_what_the_code_does(tmp_path):
    """If this fails: python -m benchmarks.memory --output recipes/planner/simulated.json"""
    done = in_process.run(main, "--output", tmp_path / "simulated.json")
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "simulated.json") == read_json(SIMULATED)
