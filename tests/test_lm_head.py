"""The language-model head on a CPU: other tiles, the same numbers."""

import pytest
import torch
from torch.testing import assert_close
from transformers import LlamaConfig, LlamaForCausalLM
from trl.kernels import chunked_logprob
from trl.trainer import utils

from recipes.lm_head import TILE, fast_lm_head

WORDS, TOKENS = 20_000, 1_300  # several tiles each way
TRL = 4096, 32768


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, **sizes))
    utils.add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def scores(model, ids, labels):
    """Log-probabilities, entropies and the gradients of both."""
    model.zero_grad()
    output = model(ids, shift_labels=labels, fused_lm_head=True)
    (output.log_probs.sum() + 0.1 * output.entropy.sum()).backward()
    return output.log_probs.detach(), output.entropy.detach(), *(p.grad.clone() for p in model.parameters())


def tiles_in_use() -> tuple[int, int]:
    return chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE


def test_scores_and_gradients_are_those_of_trl(model, monkeypatch):
    ids = torch.randint(WORDS, (2, TOKENS))
    labels = ids.roll(-1, dims=1)
    labels[0, :900] = labels[1, :100] = -100  # the prompts
    expected = scores(model, ids, labels)
    rows, apply = [], utils._ChunkedLogProbFunction.apply
    monkeypatch.setattr(
        utils._ChunkedLogProbFunction, "apply", lambda hidden, *args: (rows.append(len(hidden)), apply(hidden, *args))[1]
    )
    with fast_lm_head(WORDS):
        found = scores(model, ids, labels)
    assert rows == [400 + 1200]
    for value, other in zip(found, expected, strict=True):
        assert_close(value, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("vocabulary", "gpu", "tiles"), [(WORDS, False, TILE), (300, False, TRL), (WORDS, True, TRL)])
def test_a_small_vocabulary_and_a_gpu_are_left_to_trl(monkeypatch, vocabulary, gpu, tiles):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    with fast_lm_head(vocabulary):
        assert tiles_in_use() == tiles
    assert tiles_in_use() == TRL
