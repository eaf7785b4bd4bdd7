"""The plan: its arithmetic against DeepSpeed's and against the published sizes, and what it calls NOT OK."""

import re
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, Qwen2Config, Qwen3MoeConfig
from trl import GRPOConfig, ModelConfig

from puzzles.dataset import build
from puzzles.files import write_json
from puzzles.scenario import Size
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.checks import lost_updates, too_long_prompts, unmatched_lora_targets, unreachable_server
from recipes.machine import GiB, Machine
from recipes.planner.memory import (
    activations,
    disk,
    memory,
    sequence_cache,
    states,
    tokens_at_once,
    uncountable,
    vllm_cache,
    zero3_buffers,
)
from recipes.planner.plan import KNOWN_CONFIGS, PlanArguments, main
from recipes.pretrained import count_parameters, model_class
from tests.packed_and_stock import HEADS
from tests.test_models import EYES, LINEAR, MODELS
from tests.test_rehearsal import ROOT, objectives

NODE = Machine("node", 8, 1, True, False, False, gpu=79.1 * GiB, cpu=1000 * GiB, disk=None)
ON_ALL_LINEAR = {"use_peft": True, "lora_r": 32, "lora_dropout": 0.0, "lora_target_modules": "all-linear"}
FULL, LORA = ModelConfig(), ModelConfig(**ON_ALL_LINEAR)


def config(**changes):
    batches = {"num_generations": 50, "generation_batch_size": 1600, "per_device_train_batch_size": 2}
    evaluation = {"num_generations_eval": 2, "per_device_eval_batch_size": 8, "eval_strategy": "steps", "eval_steps": 10}
    vllm = {"use_vllm": True, "vllm_max_model_length": 16384, "vllm_tensor_parallel_size": 4, "max_completion_length": 8192}
    vllm |= {"vllm_gpu_memory_utilization": 0.45, "vllm_enable_sleep_mode": True, "activation_checkpointing": True}
    return GRPOConfig("outputs/none", use_cpu=True, **(batches | evaluation | vllm | {"save_steps": 25} | changes))


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("2.5-14B-Instruct", 14.77),
        ("2.5-32B-Instruct", 32.76),
        ("2.5-1.5B-Instruct", 1.54),
        ("3-14B", 14.77),
        ("3-8B", 8.19),
        ("3-4B-Instruct-2507", 4.02),
        ("3-30B-A3B-Instruct-2507", 30.53),
        ("3.8-27B", 27.36),  # with its vision tower, 0.46; the published 27.78 have a layer more, which predicts a second token
    ],
)
def test_known_shapes_have_the_published_number_of_parameters(name, billions):
    assert count_parameters(KNOWN_CONFIGS[f"Qwen/Qwen{name}"], FULL).total / 1e9 == pytest.approx(billions, abs=0.005)


def test_lora_parameters_are_those_of_peft():
    small = Qwen2Config(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3)
    with torch.device("meta"):
        model = get_peft_model(AutoModelForCausalLM.from_config(small), LoraConfig(r=32, target_modules="all-linear"))
    assert count_parameters(small, LORA).trained == model.get_nb_trainable_parameters()[0]


EXPERTS = Qwen3MoeConfig(
    hidden_size=64, intermediate_size=96, moe_intermediate_size=32, num_experts=8, num_experts_per_tok=2, head_dim=16,
    num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3, mlp_only_layers=[1], vocab_size=100,
)  # fmt: skip


def test_a_token_passes_through_some_of_the_experts_only():
    """8 experts of 3 × 64 × 32 weights in two layers of three; a token passes through 2 of them."""
    p = count_parameters(EXPERTS, FULL)
    assert p.total - p.active == 2 * (8 - 2) * 3 * 64 * 32
    assert p.trains_experts
    full = count_parameters(KNOWN_CONFIGS["Qwen/Qwen3-30B-A3B-Instruct-2507"], FULL)
    assert full.active / 1e9 == pytest.approx(3.35, abs=0.005)  # "3.3B activated", by its model card
    dense = count_parameters(KNOWN_CONFIGS["Qwen/Qwen3-8B"], FULL)
    assert (dense.active, dense.trains_experts) == (dense.total, False)


@pytest.mark.parametrize(("targets", "experts"), [("all-linear", True), (["q_proj", "k_proj", "v_proj", "o_proj"], False)])
def test_lora_parameters_of_experts_are_those_of_peft(targets, experts):
    """PEFT's all-linear means the experts and the router too: rank 32 for each expert, twice that for gate and up together. In
    a dense layer among them it finds attention alone.
    """
    p = count_parameters(EXPERTS, ModelConfig(**ON_ALL_LINEAR | {"lora_target_modules": targets}))
    attention = 3 * 32 * (2 * (64 + 64) + 2 * (64 + 32))
    mixtures = 2 * 32 * (8 * (2 * (64 + 64) + (32 + 64)) + (64 + 8))
    assert p.trained == attention + (mixtures if experts else 0)
    assert p.trains_experts == experts


def test_a_model_whose_sizes_the_config_does_not_say_is_refused_by_name():
    unsaid = CONFIG_MAPPING["qwen3_moe"](**EXPERTS.to_dict() | {"num_experts_per_tok": 0})
    with pytest.raises(ValueError, match="of the 8 experts in a layer of qwen3_moe, the config names 0 of 8"):
        count_parameters(unsaid, FULL)
    assert uncountable(EXPERTS) is None
    assert (
        uncountable(CONFIG_MAPPING["rwkv"]()) == "no num_attention_heads in its config and no num_key_value_heads in its config"
    )


@pytest.mark.parametrize(
    "targets", ["all-linear", ".*language_model.*_proj", ["q_proj", "in_proj_qkv", "linear_attn.out_proj"]]
)
def test_lora_has_the_targets_of_peft_in_both_kinds_of_layer_and_in_the_vision_tower(targets):
    hybrid = CONFIG_MAPPING["qwen3_5"](
        architectures=["Qwen3_5ForConditionalGeneration"], text_config=HEADS | LINEAR, vision_config=EYES
    )
    args = ModelConfig(use_peft=True, lora_r=8, lora_target_modules=targets)
    with torch.device("meta"):
        model = get_peft_model(model_class(hybrid)(hybrid), LoraConfig(r=8, target_modules=targets))
    parts = count_parameters(hybrid, args)
    assert parts.trained == model.get_nb_trainable_parameters()[0]
    assert parts.total == sum(p.numel() for p in model_class(hybrid)(hybrid).parameters())
    assert not unmatched_lora_targets(hybrid, args)


def test_a_hybrid_caches_keys_and_values_of_full_attention_and_a_state_of_the_rest():
    """The published figures of Qwen3.8-27B: 16 of 64 layers with 4 heads of 256, the others with 48 states of 128 × 128."""
    text = KNOWN_CONFIGS["Qwen/Qwen3.8-27B"].get_text_config()
    token, state = sequence_cache(text)
    assert token == 65_536
    assert state == 48 * (48 * 128 * 128 * 4 + 3 * (2 * 2048 + 6144) * 2)
    p = count_parameters(KNOWN_CONFIGS["Qwen/Qwen3.8-27B"], LORA)
    rows, problems = memory(text, p, NODE, RunArguments(), config(), [1000], 1200)
    _, cache, tokens = vllm_cache(text, p, config(), NODE)
    assert tokens == pytest.approx((4 * cache - state) / token)
    assert rows["KV cache holds"].startswith(f"{8 * cache / (2200 * token + state):,.0f} completions")
    assert rows["activations, logits"].endswith("16,384 tokens")  # rows stay apart, and are never padded to more
    assert not problems


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("Kimi Linear", "latent attention and layers of linear_attention"),
        ("Nemotron-H", "layers of linear_attention and layers of mlp"),
        ("LFM2, convolutions", "layers of conv"),
    ],
)
def test_a_model_that_cannot_be_estimated_is_named(name, layers):
    values = dict(MODELS[name])
    other = CONFIG_MAPPING[values.pop("kind")](**HEADS | values)
    with pytest.raises(ValueError, match=f"a {other.model_type} model can't be estimated, because of {layers}.*--start_anyway"):
        memory(other, count_parameters(other, FULL), NODE, RunArguments(), config(), [1000], 1200)


def test_a_model_that_transformers_cannot_run_is_named():
    with pytest.raises(ValueError, match=r"a clip model of None can't be counted: Transformers .* has no class"):
        count_parameters(CONFIG_MAPPING["clip"](), FULL)


@pytest.mark.parametrize("nodes", [1, 2, 4])
@pytest.mark.parametrize(("optimizer", "weights"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-14B-Instruct", "Qwen/Qwen2.5-32B-Instruct"])
def test_model_states_are_those_of_deepspeeds_estimator(model, optimizer, weights, nodes):
    stage3 = pytest.importorskip("deepspeed.runtime.zero.stage3")
    p = count_parameters(KNOWN_CONFIGS[model], FULL)
    machine = replace(NODE, processes=8 * nodes, nodes=nodes, offload_optimizer=optimizer, offload_parameters=weights)
    cpu, gpu, _ = stage3.estimate_zero3_model_states_mem_needs(
        p.total, p.largest, num_gpus_per_node=8, num_nodes=nodes, cpu_offload=optimizer, cpu_offload_params=weights
    )
    on_gpu, on_cpu = states(p, machine)
    on_gpu += 4 * p.largest + (0 if optimizer else 2 * p.total / machine.processes)  # the estimator: gradients in float32
    assert (on_gpu, on_cpu) == (pytest.approx(gpu, abs=1), pytest.approx(cpu, abs=1))


def test_memory_grows_with_what_it_should():
    shape = KNOWN_CONFIGS["Qwen/Qwen2.5-14B-Instruct"]
    p, lora = count_parameters(shape, FULL), count_parameters(shape, LORA)
    assert states(lora, NODE)[0] < states(p, NODE)[0] / 4
    stock, packed = RunArguments(packing=False), RunArguments()
    assert tokens_at_once(stock, config(), 9192) == 2 * 9192
    assert tokens_at_once(stock, config(), 40000) == 2 * 40000
    assert tokens_at_once(packed, config(), 9192) == 1.25 * 16384
    assert tokens_at_once(packed, config(), 40000) == 1.25 * 40000
    assert tokens_at_once(packed, config(loss_type="bnpo"), 9192) == 2 * 9192
    needs = activations(shape, config(), 16384, 8192)
    assert activations(shape, config(), 32768, 8192) > 1.75 * needs
    assert activations(shape, config(), 32768, 16384) > 1.01 * activations(shape, config(), 32768, 8192)
    assert activations(shape, config(activation_checkpointing=False), 16384, 8192) > 4 * needs
    assert not memory(shape, p, NODE, packed, config(), [1000, 4000], 1200)[1]
    kl = memory(shape, p, NODE, packed, config(beta=0.04), [1000, 4000], 1200)[0]
    assert kl["model states"].startswith("31.0 GiB")  # 27.5, and 27.5 / 8 of the reference model
    assert memory(shape, lora, NODE, packed, config(beta=0.04), [9], 9) == memory(shape, lora, NODE, packed, config(), [9], 9)
    (awake,) = memory(shape, p, NODE, packed, config(vllm_enable_sleep_mode=False), [1000, 4000], 1200)[1]
    assert "training needs" in awake
    (crowded,) = memory(shape, p, NODE, packed, config(vllm_gpu_memory_utilization=0.9), [1000, 4000], 1200)[1]
    assert "generating needs" in crowded
    assert "lower vllm_gpu_memory_utilization" in crowded
    (narrow,) = memory(shape, p, NODE, packed, config(vllm_gpu_memory_utilization=0.1), [1000, 4000], 1200)[1]
    assert "vLLM's cache holds 0 tokens, but a row may have 16,384 (vllm_max_model_length)" in narrow
    little = replace(NODE, offload_optimizer=True, cpu=100 * GiB)
    (offloaded,) = memory(shape, p, little, packed, config(), [1000, 4000], 1200)[1]
    assert "of a node's memory" in offloaded
    assert not disk(p, replace(NODE, disk=1000 * GiB))[1]
    assert "put it elsewhere" in disk(p, replace(NODE, disk=100 * GiB))[1][0]
    assert not disk(lora, replace(NODE, disk=100 * GiB))[1]


def test_five_percent_of_a_gpu_stay_free():
    shape = KNOWN_CONFIGS["Qwen/Qwen2.5-14B-Instruct"]
    run = (count_parameters(shape, FULL), replace(NODE, gpu=10**12), RunArguments(), config(use_vllm=False), [1000], 1200)
    needed = float(memory(shape, *run)[0]["memory, training"].split()[0]) * GiB
    for share, problems in ((0.94, 0), (0.96, 1)):
        assert len(memory(shape, run[0], replace(NODE, gpu=needed / share), *run[2:])[1]) == problems


def test_the_cache_is_what_vllm_leaves():
    """A count of each token of the vocabulary for each completion of the engine's GPUs: 1,600 / 8 × 4 here."""
    shape = KNOWN_CONFIGS["Qwen/Qwen2.5-14B-Instruct"]
    p = count_parameters(shape, FULL)
    weights, cache, tokens = vllm_cache(shape, p, config(), NODE)
    assert weights == 2 * p.total / 4
    assert cache == pytest.approx(0.45 * NODE.gpu - weights - 4 * 152064 * 800 - GiB)
    assert tokens == pytest.approx(4 * cache / (2 * 48 * 8 * 128 * 2))


def test_zero3_holds_a_bucket_and_reduces_the_head_alone():
    shape = KNOWN_CONFIGS["Qwen/Qwen2.5-14B-Instruct"]
    assert zero3_buffers(count_parameters(shape, FULL)) == (1e9, 2e9 + 2 * 152064 * 5120)
    lora = count_parameters(shape, LORA)
    assert zero3_buffers(lora) == (1e9, 2e9 + 2 * lora.trained)


def test_a_prompt_that_is_too_long_is_named():
    shape = KNOWN_CONFIGS["Qwen/Qwen2.5-14B-Instruct"]
    assert "held-out row 1 has 9,000 tokens" in too_long_prompts(config(), shape, [100, 100, 9000], held_out=2)[0]
    assert not too_long_prompts(config(), shape, [8192])
    (fault,) = too_long_prompts(config(), shape, [100, 9000, 8193])
    assert fault.startswith("2 of 3 prompts are too long: row 1 has 9,000 tokens, and vllm_max_model_length 16,384")
    assert "more than the model's context" in too_long_prompts(config(vllm_max_model_length=99999), shape, [1])[0]
    assert (
        "Lower max_completion_length" in too_long_prompts(config(use_vllm=False, max_completion_length=32000), shape, [900])[0]
    )


@pytest.mark.parametrize(
    ("dtype", "fault"),
    [("bfloat16", True), ("float16", True), ("auto", True), ("float32", False), (None, False)],  # TRL's default is float32
)
def test_16_bits_are_trained_only_where_float32_copies_are_kept(dtype, fault):
    shape, alone = KNOWN_CONFIGS["Qwen/Qwen2.5-1.5B-Instruct"], replace(NODE, zero3=False)
    full, lora = ModelConfig(dtype=dtype), ModelConfig(dtype=dtype, use_peft=True)
    saved = ModelConfig(dtype=dtype, use_peft=True, lora_modules_to_save=["lm_head"])
    deepspeed = replace(NODE, float32_masters=True)
    assert bool(lost_updates(shape, config(), full, alone)) == bool(lost_updates(shape, config(), saved, alone)) == fault
    assert not lost_updates(shape, config(), full, deepspeed)
    assert not lost_updates(shape, config(), lora, alone)


def test_the_plan_counts_what_is_held_without_deepspeed():
    """Trained: 4 weight, 2 its copy under autocast, 4 gradient, 8 AdamW. Frozen, or of the reference model: as loaded."""
    shape, alone = KNOWN_CONFIGS["Qwen/Qwen2.5-1.5B-Instruct"], replace(NODE, zero3=False, processes=1)
    total = count_parameters(shape, FULL).total
    half, single = (count_parameters(shape, ModelConfig(**ON_ALL_LINEAR, dtype=d)) for d in ("bfloat16", "float32"))
    assert states(count_parameters(shape, FULL), alone)[0] == 18 * total
    assert states(half, alone)[0] == 2 * (total - half.trained) + 18 * half.trained
    assert states(single, alone)[0] == 4 * (total - single.trained) + 18 * single.trained
    assert states(single, replace(alone, float32_masters=True))[0] == states(half, alone)[0]
    assert states(half, replace(alone, processes=2))[0] == states(half, alone)[0] + 4 * half.trained  # DDP's buckets
    four = count_parameters(shape, ModelConfig(use_peft=True, lora_r=32, dtype="bfloat16", load_in_4bit=True))
    embedding = 151936 * 1536  # and the head; the rest of this model is linear layers and a few norms
    assert four.bytes_each * total == pytest.approx(2 * embedding + (0.5 + 4 / 64) * (total - embedding), rel=1e-3)
    run = (RunArguments(), config(beta=0.04, vllm_tensor_parallel_size=1), [1000], 1200)
    held = memory(shape, count_parameters(shape, FULL), alone, *run)[0]["model states"]
    assert held.startswith(f"{(18 + 4) * total / GiB:.1f} GiB")
    assert disk(count_parameters(shape, FULL), alone)[0]["disk"].startswith(f"{2 * (12 + 4) * total / GiB:.0f} GiB")


def test_a_server_that_is_not_there_is_named():
    assert not unreachable_server(config())
    (fault,) = unreachable_server(config(vllm_mode="server", vllm_server_base_url="http://127.0.0.1:9"))
    assert "no vLLM server answers at http://127.0.0.1:9" in fault
    assert "make serve-14b" in fault


@pytest.fixture
def plan(monkeypatch, capsys):
    """Runs `recipes/planner/plan.py` on a machine that does not reach the Hub: what it printed, and what it ended with."""
    monkeypatch.setattr("recipes.planner.plan.hub_is_unreachable", lambda: True)

    def run(recipe, *arguments):
        given = ("--config", f"recipes/{recipe}.yaml", *arguments, "--use_cpu", "true")
        monkeypatch.setattr(sys, "argv", ["plan.py", *map(str, given)])
        try:
            main(*parse((PlanArguments, PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), ""))
        except SystemExit as end:
            return "".join(capsys.readouterr()) + str(end.code), end.code
        return capsys.readouterr().out, 0

    return run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    for split, first, count in (("train", 64, 40), ("validation", 0, 64)):
        build(5, first, count, Size(3, 3, 4, 2, 0)).to_parquet(folder / f"{split}.parquet")
    return folder


PLANNED = [
    ("qwen2.5-14b", "zero3 zero3_offload zero3_multinode", "OK OK OK"),
    ("qwen2.5-32b", "zero3 zero3_offload zero3_multinode", "NOT OK OK OK"),
    ("qwen2.5-14b-lora", "zero3 zero3_multinode", "OK OK"),
    ("qwen2.5-32b-lora", "zero3 zero3_multinode", "OK OK"),
    ("qwen3-14b", "zero3", "OK"),
    ("qwen3.8-27b-lora", "zero3", "OK"),
    ("qwen3-8b", "zero3_offload", "OK"),
    ("qwen3-30b-a3b-lora", "zero3 zero3_multinode", "OK OK"),
    ("qwen2.5-1.5b", "single_gpu ddp", "OK OK"),
    ("qwen3-4b-lora", "single_gpu ddp", "OK OK"),
]
REHEARSED = {  # each of the others, and a test that runs it on a CPU
    "tiny-base": "test_sft.py",
    "tiny-cpu": "test_grpo.py",
    "smollm2-135m-sft": "test_sft.py",
    "smollm2-135m": "test_smollm2.py",
    "smollm2-135m-published-sft": "test_sft.py",
    "smollm2-135m-published": "test_smollm2.py",
}


def test_every_recipe_is_planned_or_rehearsed():
    yamls = {path.stem for path in (ROOT / "recipes").glob("*.yaml") if "output_dir:" in path.read_text()}
    assert yamls == {recipe for recipe, *_ in PLANNED} | REHEARSED.keys()
    for recipe, test in REHEARSED.items():
        assert re.search(rf'["/ ]{recipe}(\.yaml)?[" ]', (ROOT / "tests" / test).read_text()), recipe


@pytest.mark.parametrize(("recipe", "machines", "verdicts"), PLANNED)
def test_shipped_recipes_fit_where_they_say(plan, dataset, recipe, machines, verdicts):
    small = dict.fromkeys(("qwen2.5-1.5b", "qwen3-4b-lora"), ("--gpu_gib", "23.6"))
    small |= {"qwen3-8b": ("--num_processes", "1", "--cpu_gib", "220")}
    paths = [f"accelerate_configs/{name}.yaml" for name in machines.split()]
    said, code = plan(recipe, "--machines", *paths, "--dataset", dataset, *small.get(recipe, ()))
    assert code == 0, said
    last = next(line for line in said.splitlines() if line.startswith("verdict"))
    assert last.split()[1:] == verdicts.split()
    assert ("NOT OK, zero3: training needs" in said) == ("NOT OK" in verdicts)


@pytest.mark.parametrize("name", objectives())
def test_every_known_objective_is_planned_as_the_recipe_is(plan, dataset, name):
    given = [f"--{key}={value}" for key, value in objectives()[name].items()]
    where = ("--machines", *(f"accelerate_configs/{config}.yaml" for config in ("zero3", "zero3_offload", "zero3_multinode")))
    said, code = plan("qwen2.5-14b", *where, "--dataset", dataset, *given)
    assert (said, code) == plan("qwen2.5-14b", *where, "--dataset", dataset)
    assert code == 0


LONG = "--max_completion_length 8192 --vllm_max_model_length 16384"


@pytest.mark.parametrize(
    ("recipe", "machine", "arguments", "verdict"),
    [
        ("qwen3-4b-lora", "single_gpu", "", "OK"),
        ("qwen3-4b-lora", "single_gpu", LONG, "NOT OK"),
        ("qwen3-4b-lora", "single_gpu", "--generation_batch_size 1600", "NOT OK"),
        ("qwen3-4b-lora", "single_gpu", f"{LONG} --load_in_4bit true --vllm_gpu_memory_utilization 0.63", "OK"),
        ("qwen3-4b-lora", "ddp", LONG, "NOT OK"),
        *(("qwen3-4b-lora", "ddp", f"{LONG} --vllm_tensor_parallel_size 2 --num_processes {n}", "OK") for n in (2, 4, 8)),
        ("qwen2.5-14b-lora", "zero3", "--packed_tokens 8192 --vllm_tensor_parallel_size 8", "OK"),
        ("qwen2.5-14b-lora", "zero3", "--packed_tokens 8192 --vllm_tensor_parallel_size 4 --num_processes 4", "NOT OK"),
    ],
)
def test_what_24_gb_have_room_for(plan, dataset, recipe, machine, arguments, verdict):
    """docs/training.md, "One to eight 24 GB GPUs"."""
    where = ("--gpu_gib", "23.6", "--machines", f"accelerate_configs/{machine}.yaml", "--dataset", dataset)
    said, _ = plan(recipe, *where, *arguments.split())
    assert next(line for line in said.splitlines() if line.startswith("verdict")).split(maxsplit=1)[1] == verdict


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--num_processes", "6"), "evenly over 6 process(es): use 1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 64 processes"),
        (("--num_processes", "6", "--packing", "false"), "6 process(es) × per_device_train_batch_size 1 = 6"),
        (("--packed_tokens", "0"), "packed_tokens 0 is too few"),
        (("--save_total_limit", "3"), "save_total_limit: 3 has no effect here"),
        (
            ("--gradient_accumulation_steps", "8"),
            "gradient_accumulation_steps: 8 has no effect here (optimizer_steps 5 sets it)",
        ),
        (("--vllm_max_model_length", "8300"), "prompts are too long"),
        (("--disk_gib", "10"), "GiB of disk, but 10.00 are free"),
        (("--num_processes", "8", "--num_machines", "3"), "8 processes don't divide evenly over 3 nodes"),
        (("--model_name_or_path", "no/such-model"), "model_name_or_path 'no/such-model' is neither"),
        (
            ("--machines", "accelerate_configs/none.yaml"),
            "accelerate_configs/none.yaml: No such file or directory. Give a YAML",
        ),
        (("--machines", "accelerate_configs"), "accelerate_configs: Is a directory. Give a YAML"),
        (("--machines", "README.md"), "README.md is not YAML ("),
        (("--mfu", "0"), "mfu: 0.0 is impossible: give a number above 0."),
        (("--mfu", "30"), "mfu: 30 is impossible: it is a share of the peak, so 1 at most."),
        (("--generation_speed", "0"), "generation_speed: 0.0 is impossible"),
        (("--peak_tflops", "inf"), "peak_tflops: inf is not a finite number"),
        (("--num_processes", "-1"), "num_processes: -1 is impossible"),
        (("--num_processes", "0"), "num_processes: 0 is impossible"),
        (("--num_machines", "0"), "num_machines: 0 is impossible"),
        (("--price", "-1"), "price: -1.0 is impossible: give a number above 0 or 0."),
        (("--price", "nan"), "price: nan is not a finite number"),
        (("--gpu_gib", "0"), "gpu_gib: 0.0 is impossible"),
        (("--disk_gib", "0"), "GiB of disk, but 0.00 are free"),
        (("--completion_tokens", "0"), "completion_tokens: 0 is impossible"),
        (("--completion_tokens", "9000"), "completion_tokens: 9,000 is more than max_completion_length 8,192: lower it."),
        (("--optimizer_steps", "0"), "optimizer_steps: 0 is too few: use 1 or more."),
        (("--vllm_tensor_parallel_size", "0"), "vllm_tensor_parallel_size: 0 is too few"),
        (("--machines", "accelerate_configs/single_gpu.yaml"), "dtype: bfloat16 would train all weights in bfloat16"),
        (("--load_in_4bit", "true"), "load_in_4bit: true trains LoRA alone: set use_peft: true"),
        (("--load_in_4bit", "true", "--use_peft", "true"), "load_in_4bit: true does not work with DeepSpeed"),
        (("--load_in_8bit", "true", "--use_peft", "true"), "load_in_8bit: true was never tried here: use load_in_4bit"),
    ],
)
def test_a_plan_that_will_not_do_fails(plan, dataset, arguments, complaint):
    said, code = plan("qwen2.5-14b", "--dataset", dataset, *arguments)
    assert code
    assert complaint in said


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds nothing, not options: write one `name: value` a line"),
        (b"- num_processes: 8", "holds a list, not options"),
        (b"eight GPUs", "holds a text, not options"),
        (b"8", "holds 8, not options"),
        (b"name: Universit\xe4t", "is not UTF-8 text (byte 15): save it as UTF-8"),
        (b"[" * 10_000, "is not YAML (maximum recursion depth exceeded"),
        (b"num_machines: 1", "has num_processes: None: write a number of 1 or more there, or give --num_processes."),
        (b"num_processes: 8", "has num_machines: None"),
        (b"num_processes: 0\nnum_machines: 1", "has num_processes: 0"),
        (b"num_processes: eight\nnum_machines: 1", "has num_processes: eight"),
        (b"num_processes: 8\nnum_machines: 1\ndeepspeed_config: ds.json", "has deepspeed_config: ds.json: write options there"),
    ],
)
def test_a_machine_that_cannot_be_read_is_refused_before_anything_is_computed(monkeypatch, plan, tmp_path, content, complaint):
    monkeypatch.setattr("recipes.planner.plan.hub_is_unreachable", lambda: pytest.fail("it asked for the Hub"))
    (tmp_path / "machine.yaml").write_bytes(content)
    said, code = plan("qwen2.5-14b", "--machines", tmp_path / "machine.yaml")
    assert code
    assert f"{tmp_path / 'machine.yaml'} {complaint}" in said
    assert "\n" not in said


@pytest.fixture
def smoke_report(tmp_path):
    """Writes a report of `make smoke-gpu` of 2 B parameters, with changes to its measurements."""

    def write(device="cuda", tflops=300, used=5e9, engine="vLLM"):
        measured = {
            ("training", "a step, packed"): {"tflops": tflops},
            ("memory", "a step, packed"): {"bytes": used, "planned": 5e9, "gradients": 1e9},
            ("generation", "256 completions"): {"tokens_per_second": 9000, "engine": engine, "parameters": 2e9},
        }
        checks = [{"part": part, "name": name, "measured": x} for (part, name), x in measured.items()]
        write_json(tmp_path / "smoke.json", {"device": device, "checks": checks})
        return tmp_path / "smoke.json"

    return write


def test_a_plan_is_corrected_by_what_was_measured(plan, dataset, smoke_report):
    shown = {}
    for name, changes in (("assumed", None), ("vLLM", {"used": 5.4e9}), ("Transformers", {"engine": "Transformers"})):
        measured = () if changes is None else ("--measured", smoke_report(**changes))
        said, code = plan("qwen2.5-14b", "--dataset", dataset, *measured)
        assert code == 0, said
        rows = {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in said.splitlines() if "  " in line}
        activation = float(rows["activations, logits"].split()[0])
        training, generating = (float(part.split()[0]) for part in rows["time per iteration"].split(" + "))
        shown[name] = activation, training, generating, said
    before, after, transformers = shown["assumed"], shown["vLLM"], shown["Transformers"]
    assert after[0] == pytest.approx(1.1 * before[0], abs=0.06)
    assert after[1] == pytest.approx(before[1] * 0.3 * 989 / 400, rel=0.05)  # 300 TFLOP/s, and a third more recomputed
    assert after[2] == pytest.approx(before[2] * 1000 / (9000 * 2 / 14.77), rel=0.05)
    assert "activations (1.10 times the estimate), generation, scaled by parameters" in after[3]
    assert transformers[2] == before[2]
    assert "not vLLM's speed, which is assumed" in transformers[3]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file or directory: run make smoke-gpu"),
        ("nothing", "is not JSON"),
        ("[]", "instead of a JSON object"),
        ("{}", "is not a report of recipes/smoke_gpu.py"),
        (
            '{"device": "cuda", "checks": [{"part": "grpo", "name": "x", "measured": {}}]}',
            "is not a report of recipes/smoke_gpu.py",
        ),
        ('{"device": "cuda", "checks": 7}', "is not a report of recipes/smoke_gpu.py"),
        ({"device": "cpu"}, "was measured on cpu: run make smoke-gpu on a GPU"),
        ({"tflops": 900}, "has 1,200.0 TFLOP/s of --peak_tflops 989"),
        ({"used": 1e9}, "activations 0.00 times those estimated"),
    ],
)
def test_a_wrong_report_is_refused(plan, dataset, tmp_path, smoke_report, content, complaint):
    file = smoke_report(**content) if isinstance(content, dict) else tmp_path / "report.json"
    if isinstance(content, str):
        file.write_text(content)
    said, code = plan("qwen2.5-14b", "--dataset", dataset, "--measured", file)
    assert code
    assert f"measured: {file}" in said
    assert complaint in said


def test_a_plan_assumes_no_longer_completions_than_there_can_be(plan):
    few = ("--num_train_puzzles", "8", "--machines", "accelerate_configs/cpu.yaml", "--price", "0", "--num_processes", "1")
    assert "up to 160 tokens, 160 assumed on average" in plan("tiny-cpu", *few)[0]


def test_a_dataset_that_is_not_made_yet_is_sampled(plan):
    said, code = plan("qwen2.5-14b", "--dataset", "outputs/none", "--players", "1", "1")
    assert code == 0, said
    assert "264 prompts, a sample (make dataset makes all of them)" in said


def test_prompts_that_are_text_are_planned(plan, dataset, tmp_path):
    """The same plan as for the same puzzles as messages."""
    for split in ("train", "validation"):
        rows = pq.read_table(dataset / f"{split}.parquet").to_pylist()
        by_letter = [dict(zip("ABCDEFGH", row["solution"] + [None] * 8, strict=False)) for row in rows]
        made = [{"prompt": row["prompt"][0]["content"], "solution": s} for row, s in zip(rows, by_letter, strict=True)]
        Dataset.from_list(made).to_parquet(tmp_path / f"{split}.parquet")
    said, code = plan("qwen2.5-14b", "--dataset", tmp_path)
    assert code == 0, said
    assert said.count("its prompts are plain text") == 2
    rest = [line for line in said.splitlines() if "its prompts" not in line]
    assert plan("qwen2.5-14b", "--dataset", dataset)[0].splitlines() == rest
