"""Attention in packed sequences: one variable-length call against a loop of SDPA calls, with a CPU stand-in for the kernel."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right

from recipes import attention
from recipes.attention import packed_attention, segments
from tests.packed_and_stock import train
from tests.test_packing import TIGHT, assert_same_gradients, assert_same_log

PACKS = {
    "one prompt": [(5, [3, 1, 7])],
    "three prompts": [(9, [4, 4]), (3, [1]), (2, [6, 5, 1])],
    "a prompt of one token": [(0, [3, 2]), (4, [2])],
    "a single token": [(0, [1])],
}


def stand_in(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """varlen_attn with a causal window as PyTorch documents it, segment by segment."""
    assert window_size == (-1, 0)
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert (max_q, max_k) == (cu_seq_q.diff().max(), cu_seq_k.diff().max())
    assert (cu_seq_q[-1], cu_seq_k[-1]) == (len(query), len(key)) == (len(query), len(value))
    outputs = []
    cut = ((query, cu_seq_q), (key, cu_seq_k), (value, cu_seq_k))
    for q, k, v in zip(*(x.tensor_split(starts[1:-1].tolist()) for x, starts in cut), strict=True):
        q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
        causal = causal_lower_right(q.size(2), k.size(2))
        outputs.append(F.scaled_dot_product_attention(q, k, v, attn_mask=causal, scale=scale, enable_gqa=enable_gqa))
    return torch.cat(outputs, dim=2)[0].transpose(0, 1)


@pytest.fixture
def calls(monkeypatch):
    """The arguments of each call to the stand-in, which replaces the kernel."""
    calls = []

    def kernel(*args, **settings):
        calls.append(args)
        return stand_in(*args, **settings)

    monkeypatch.setattr(attention, "varlen_attn", kernel)
    monkeypatch.setattr(attention, "has_varlen_kernel", lambda query: True)
    return calls


def output_and_gradients(pack, dtype=torch.float32, dropout=0.0):
    torch.manual_seed(0)
    tokens = sum(prefix + sum(completions) for prefix, completions in pack)
    inputs = [torch.randn(1, heads, tokens, 16).to(dtype).requires_grad_() for heads in (10, 2, 2)]
    output, weights = packed_attention(None, *inputs, None, packed=pack, scaling=0.3, dropout=dropout)
    assert output.shape == (1, tokens, 10, 16)
    assert weights is None
    output.backward(torch.randn(output.shape).to(dtype))
    return [output.detach(), *(x.grad for x in inputs)]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_one_call_equals_the_loop(pack, monkeypatch, calls):
    one_call = output_and_gradients(pack)
    assert len(calls) == 1
    monkeypatch.setattr(attention, "has_varlen_kernel", lambda query: False)
    for ours, loops in zip(one_call, output_and_gradients(pack), strict=True):
        assert (ours - loops).norm() <= 1e-6 * loops.norm()
    assert len(calls) == 1


def test_gradients_of_a_prompt_shared_by_many_add_up_in_float32(monkeypatch, calls):
    pack, results = [(4, [3] * 200)], {}
    variants = {"exact": (torch.float32, True), "one call": (torch.bfloat16, True), "loop": (torch.bfloat16, False)}
    for name, (dtype, one_call) in variants.items():
        monkeypatch.setattr(attention, "has_varlen_kernel", lambda query, one_call=one_call: one_call)
        results[name] = output_and_gradients(pack, dtype)[2][:, :, :4].float()  # of the prompt's keys
    error = {name: (x - results["exact"]).norm() / results["exact"].norm() for name, x in results.items()}
    assert error["one call"] < 0.02
    assert error["one call"] < error["loop"]


def test_dropout_uses_the_loop(calls):
    output_and_gradients(PACKS["one prompt"], dropout=0.1)
    assert not calls


def test_the_kernel_is_not_used_on_a_cpu():
    assert not attention.has_varlen_kernel(torch.zeros(1, dtype=torch.bfloat16))


def test_segments_of_two_prompts():
    key_index, starts_q, starts_k, longest_q, longest_k = segments(((2, (1, 3)), (0, (2,))), torch.device("cpu"))
    assert key_index.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4, 5, 6, 7]
    assert starts_q.tolist() == [0, 2, 3, 6, 8]
    assert starts_k.tolist() == [0, 2, 5, 10, 12]
    assert (longest_q, longest_k) == (3, 5)


def test_training_with_one_call_has_the_gradient_of_stock_trl(tmp_path, calls):
    runs = [train(tmp_path / name, budget, beta=0.1) for name, budget in (("stock", None), ("packed", TIGHT))]
    assert_same_gradients(*runs)
    assert_same_log(*runs)
    assert calls
