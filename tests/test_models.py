"""Models of each class. With anything but full attention, packing keeps rows apart; the gradient is always stock TRL's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CONFIG_MAPPING
from trl import GRPOConfig
from trl.trainer.utils import create_model_from_path

from recipes import packing
from recipes.packing import RowPacker, not_shareable, packing_note, packing_problems
from recipes.trainer import as_in_checkpoints
from tests.packed_and_stock import HEADS, make, random_model
from tests.test_packing import (
    METRICS,
    SCORES,
    TIGHT,
    TWO_STEPS,
    WIDE,
    assert_same_gradients,
    assert_same_log,
    compare,
    on_two_processes,
)

WINDOW = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LINEAR = {"layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 4}
LINEAR |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "head_dim": 8, "shared_expert_intermediate_size": 16}
LATENT = {"kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "num_key_value_heads": 4}
SSM = {"mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 2, "ssm_state_size": 8, "head_dim": 8}
EYES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_heads": 2,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "depth": 1,
}
EYES |= {"image_size": 28, "patch_size": 14, "out_hidden_size": 32, "num_position_embeddings": 4}
MODELS = {
    "Mistral, a sliding window": {"kind": "mistral", "sliding_window": 4, "head_dim": 8},
    "Gemma 3": {"kind": "gemma3_text", **WINDOW},
    "Gemma 3 with its vision tower": {
        "kind": "gemma3", "text_config": HEADS | WINDOW, "vision_config": EYES, "mm_tokens_per_image": 4,
    },
    "Gemma 4": {"kind": "gemma4_text", **WINDOW, "global_head_dim": 8, "hidden_size_per_layer_input": 8},
    "Olmo 3": {"kind": "olmo3", **WINDOW},
    "gpt-oss, sinks": {"kind": "gpt_oss", **WINDOW, **EXPERTS, "router_aux_loss_coef": 0.0},
    "gpt-oss with its router's loss": {"kind": "gpt_oss", **WINDOW, **EXPERTS, "router_aux_loss_coef": 0.9},
    "Qwen3.5": {"kind": "qwen3_5_text", **LINEAR},
    "Qwen3.5 with its vision tower": {"kind": "qwen3_5", "text_config": HEADS | LINEAR, "vision_config": EYES},
    "Qwen3-Next": {"kind": "qwen3_next", **LINEAR, **EXPERTS, "router_aux_loss_coef": 0.0},
    "Kimi Linear": {
        "kind": "kimi_linear", **LATENT, **EXPERTS, "layer_types": ["linear_attention", "full_attention"],
        "mlp_layer_types": ["dense", "sparse"], "linear_head_dim": 8, "linear_num_heads": 4,
    },
    "Nemotron-H": {"kind": "nemotron_h", **SSM, "layers_block_type": ["mamba", "attention", "mlp"]},
    "LFM2, convolutions": {"kind": "lfm2", "layer_types": ["conv", "full_attention"]},
    "Qwen3-MoE": {"kind": "qwen3_moe", **EXPERTS, "head_dim": 8, "router_aux_loss_coef": 0.0},
    "Qwen3-MoE with its router's loss": {"kind": "qwen3_moe", **EXPERTS, "head_dim": 8, "router_aux_loss_coef": 0.1},
}  # fmt: skip
BUFFERS = ("layer_scalar", "e_score_correction_bias")  # which are saved with the weights, and not trained
WITH_ROUTER_LOSS = [name for name in MODELS if "router" in name]


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_of_stock_trl(tmp_path, name):
    packed = compare(tmp_path, (TIGHT,), SCORES, model=MODELS[name], equal_rewards=("0", "2"), **TWO_STEPS)
    if name not in WITH_ROUTER_LOSS:  # which takes all rows
        assert sum(len(batch["prompt_ids"]) for step in packed["batches"] for batch in step) == 8


ROWS = {
    "four micro-batches": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    "reference model": {"beta": 0.1, "metrics": METRICS},
    "LoRA": {"lora": True},
    "dapo": {"loss_type": "dapo"},
    "a ratio within micro-batches": {"loss_type": "bnpo", "metrics": METRICS},
    "activation checkpointing": {"activation_checkpointing": True},
    "tokens of tools": {"shape": {"tools": True}},
    "truncated completions masked": {"mask_truncated_completions": True},
    "prompts of one token": {"shape": {"prompt_length": (1, 1)}},
    "correction for the sampler": {"sampler": True},
    "evaluation": {"num_generations_eval": 4, "per_device_eval_batch_size": 8, "metrics": METRICS},
}


@pytest.mark.parametrize("case", ROWS)
def test_of_rows_that_stay_apart_too(tmp_path, case):
    compare(tmp_path, (TIGHT,), **{"model": MODELS["Mistral, a sliding window"], "metrics": SCORES, **ROWS[case]})


@pytest.mark.parametrize("case", ["four micro-batches", "truncated completions masked", "evaluation"])
def test_of_a_router_too(tmp_path, case):
    compare(tmp_path, (TIGHT,), **{"model": MODELS["Qwen3-MoE with its router's loss"], **ROWS[case], "metrics": METRICS})


def test_of_two_processes_too(tmp_path):
    runs = {}
    for name in ("Mistral, a sliding window", "Qwen3-MoE with its router's loss"):
        keywords = {"model": MODELS[name], "per_device_train_batch_size": 8, "shape": {"prompts": 8}, "steps_per_generation": 2}
        for kind, budget in (("stock", None), ("packed", TIGHT)):
            runs[f"{kind} {name[:5]}"] = {"packed_tokens": budget, "equal_rewards": ["1", "2"], **keywords}
    results = iter(on_two_processes(tmp_path, runs))
    for stock, packed in zip(results, results, strict=True):
        assert_same_gradients(stock, packed)
        assert_same_log(stock, packed, SCORES)


@pytest.mark.parametrize("mutant", ["labels", "padding"])
def test_a_wrong_label_or_padding_that_counts_is_caught(monkeypatch, tmp_path, mutant):
    pad_sequence = packing.pad_sequence

    def wrong(sequences, padding_value=0, **settings):
        if mutant == "labels":
            sequences = [x.roll(1) if padding_value else x for x in sequences]
        elif all((x == 1).all() for x in sequences):  # the mask
            padding_value = 1
        return pad_sequence(sequences, padding_value=padding_value, **settings)

    monkeypatch.setattr(packing, "pad_sequence", wrong)
    with pytest.raises(AssertionError):
        compare(tmp_path, (TIGHT,), model=MODELS["Qwen3-MoE with its router's loss"])


def test_rows_of_similar_length_are_computed_together():
    ids = torch.ones(6, 9, dtype=torch.long)
    prompts, completions = (torch.arange(9) < torch.tensor([lengths]).T for lengths in ([2, 2, 2, 5, 5, 5], [9, 1, 8, 6, 1, 1]))
    packer = RowPacker(ids, prompts.flip(1).long(), completions.long())
    assert packer.pack([0, 1, 2, 3, 4, 5], max_tokens=24) == [[0, 3], [2, 4], [5, 1]]
    for budget in range(1, 80):
        sequences = packer.pack([0, 1, 2, 3, 4, 5], budget)
        assert sorted(row for sequence in sequences for row in sequence) == [0, 1, 2, 3, 4, 5]
        assert max(map(packer.packed_length, sequences)) <= max(budget, 11)
    assert len(packer.pack([0], 20, multiple=2)) == 2


@pytest.mark.parametrize("name", ["Mistral, a sliding window", "Qwen3-MoE with its router's loss", "Nemotron-H"])
def test_auto_says_why_prompts_are_not_shared_and_true_refuses(tmp_path, name):
    trainer = make(tmp_path, WIDE, model=MODELS[name])
    (reason,) = trainer.not_shareable
    note = packing_note(WIDE, trainer.not_shareable, trainer.args)
    assert note.startswith("packing: rows apart, padding trimmed")
    assert ("stock TRL's micro-batches" in note) == (name in WITH_ROUTER_LOSS)
    assert reason in note
    with pytest.raises(ValueError, match="packing: auto trains it without sharing prompts"):
        make(tmp_path, WIDE, packing=True, model=MODELS[name])


def test_a_model_without_a_state_a_window_or_a_router_shares_prompts(tmp_path):
    trainer = make(tmp_path, WIDE)
    assert trainer.model.config._attn_implementation == "packed"
    assert packing_note(WIDE, trainer.not_shareable, trainer.args).startswith("packing: each prompt once")
    assert packing_note(None, [], trainer.args) == "packing: stock TRL, as asked."


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("rwkv", {}), ("xlstm", {}), ("bloom", {}), ("gpt_oss", {"num_hidden_layers": 1, "layer_types": ["full_attention"]})],
)
def test_a_state_or_sinks_that_the_config_does_not_name_keep_prompts_from_being_shared(tmp_path, kind, changes):
    config = CONFIG_MAPPING[kind](**changes)
    args = GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, router_aux_loss_coef=0.0)
    assert not_shareable(config, args) == [f"layers other than full attention ({kind})"]
    assert not packing_problems(config, args, "auto")


@pytest.mark.parametrize("name", MODELS)
def test_vllm_gets_what_a_checkpoint_holds(tmp_path, name):
    folder = random_model(tmp_path, **MODELS[name])
    model = create_model_from_path(folder)
    saved = load_file(Path(folder) / "model.safetensors")
    sent = dict(as_in_checkpoints(model, model.named_parameters()))
    assert all(name.endswith(BUFFERS) for name in saved.keys() - sent.keys())
    assert all(torch.equal(weight, saved[name]) for name, weight in sent.items())
