"""LoRA on a model in 4 bits (`load_in_4bit`): the packed gradient is stock TRL's, and vLLM gets the model that is trained."""

from functools import partial

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from recipes.trainer import PuzzleTrainer, as_in_checkpoints
from tests import packed_and_stock
from tests.test_rehearsal import needs_bitsandbytes

pytestmark = needs_bitsandbytes


@pytest.fixture
def in_4_bits(monkeypatch):
    """packed_and_stock.make and train, with PuzzleTrainer on a model in 4 bits."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)  # as in tests/on_cpu.py
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_type="nf4")
    monkeypatch.setattr(packed_and_stock, "PackedGRPOTrainer", partial(PuzzleTrainer, quantization_config=config))
    return {"lora": True, "model": {"hidden_size": 128, "intermediate_size": 192}}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_packed_gradient_of_a_model_in_4_bits_is_that_of_stock(tmp_path, in_4_bits, checkpointing):
    steps = {}
    for name, packed_tokens in (("stock", None), ("packed", 48)):
        options = in_4_bits | {"max_steps": 2, "activation_checkpointing": checkpointing}
        steps[name] = packed_and_stock.train(tmp_path / name, packed_tokens, **options)["gradients"]
    assert len(steps["stock"]) == 2
    for stock, packed in zip(steps["stock"], steps["packed"], strict=True):
        assert stock.keys() == packed.keys()
        assert {gradient.dtype for gradient in stock.values()} == {torch.float32}  # TRL's adapter would be bfloat16
        a, b = (torch.cat([gradient.flatten() for gradient in step.values()]) for step in (stock, packed))
        assert (a - b).norm() < 1e-5 * a.norm() > 0


def test_vllm_gets_the_model_that_is_trained(tmp_path, in_4_bits):
    """The weights in full precision give the log-probabilities of the model in 4 bits with its adapter; the base's do not."""
    trainer = packed_and_stock.make(tmp_path, None, **in_4_bits)
    weights = dict(as_in_checkpoints(trainer.model.get_base_model(), PuzzleTrainer._merged_weights(trainer)))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model-0", dtype=torch.float32)
    ids = torch.randint(0, 100, (4, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trained, before = (model.eval()(ids).logits.log_softmax(-1) for model in (trainer.model, plain))
        plain.load_state_dict(weights, strict=False)
        assert {*weights} == {name for name, _ in plain.named_parameters()}
        assert (plain(ids).logits.log_softmax(-1) - trained).abs().max() < 1e-4
    assert (before - trained).abs().max() > 0.1
