"""Which attention to use for a packed sequence: one layer forward and backward, in four ways and with stock TRL's padded rows.

  python -m benchmarks.attention

One prompt of 1,000 tokens and completions as in benchmarks/step.py. `pieces` is what recipes/attention.py does on a CPU: a call
for the prompt and one for each completion. `dense` is one call with a mask of all pairs, `blocks` flex attention with a block
mask (it trains on a GPU only), `batch` one call for all completions of a prompt, padded to the longest. Best of 3, 8 heads of
64.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.utils.rnn import pad_sequence

from recipes.attention import packed_attention
from recipes.timed_step import lengths

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32
HEADS, KV_HEADS, SIZE = 8, 2, 64


def variants(prompt: int, completions: list[int]) -> dict:
    """Each kind of attention as a function of queries, keys and values; masks are made beforehand."""
    tokens, group, longest = prompt + sum(completions), len(completions), max(completions)
    owner = torch.tensor([-1] * prompt + [i for i, n in enumerate(completions) for _ in range(n)], device=DEVICE)
    attend = lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)  # noqa: E731

    def seen(batch, head, q, k):
        return (q >= k) & ((owner[k] == -1) | (owner[k] == owner[q]))

    def batch(q, k, v):
        of_prompt = F.scaled_dot_product_attention(
            q[:, :, :prompt], k[:, :, :prompt], v[:, :, :prompt], is_causal=True, enable_gqa=True
        )
        q, rows_k, rows_v = (
            pad_sequence([x[0].transpose(0, 1) for x in y[:, :, prompt:].split(completions, 2)], True).transpose(1, 2)
            for y in (q, k, v)
        )
        k, v = (torch.cat([y[:, :, :prompt].expand(group, -1, -1, -1), rows], 2) for y, rows in ((k, rows_k), (v, rows_v)))
        mask = torch.ones(longest, prompt + longest, dtype=torch.bool, device=DEVICE).tril(prompt)
        rows = attend(q, k, v, mask)
        return torch.cat([of_prompt, *(row[None, :, :n] for row, n in zip(rows, completions, strict=True))], 2)

    def pieces(q, k, v):
        settings = {"scaling": 1 / math.sqrt(SIZE), "dropout": 0.0}
        return packed_attention(None, q, k, v, None, packed=[(prompt, completions)], **settings)[0].transpose(1, 2)

    index = torch.arange(tokens, device=DEVICE)
    dense = seen(0, 0, index[:, None], index[None, :])
    found = {"pieces": pieces, "dense": lambda q, k, v: attend(q, k, v, dense), "batch": batch}
    if DEVICE == "cuda":
        blocks, compiled = create_block_mask(seen, None, None, tokens, tokens, DEVICE), torch.compile(flex_attention)
        found["blocks"] = lambda q, k, v: compiled(q, k, v, block_mask=blocks, enable_gqa=True)
    return found


def milliseconds(attention, rows: int, tokens: int) -> tuple[float, list[torch.Tensor]]:
    """Time of forward and backward, and their results."""
    torch.manual_seed(0)
    inputs = [torch.randn(rows, h, tokens, SIZE, device=DEVICE, dtype=DTYPE) for h in (HEADS, KV_HEADS, KV_HEADS)]
    best = math.inf
    for _ in range(3):
        inputs = [x.detach().requires_grad_() for x in inputs]
        torch.cuda.synchronize() if DEVICE == "cuda" else None
        start = time.perf_counter()
        output = attention(*inputs)
        output.sum().backward()
        torch.cuda.synchronize() if DEVICE == "cuda" else None
        best = min(best, time.perf_counter() - start)
    return best * 1e3, [output.detach(), *(x.grad for x in inputs)]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"group  mean |   pieces    dense    batch   blocks    stock   (ms, {DEVICE}, {DTYPE})")
    for group, mean in ((4, 300), (16, 300), (16, 1200)):
        completions = lengths(group, mean)
        tokens, width = 1000 + sum(completions), 1000 + max(completions)
        times, results = {}, {}
        for name, attention in variants(1000, completions).items():
            times[name], results[name] = milliseconds(attention, 1, tokens)
        for name, result in results.items():  # the comparison makes sense only if all agree
            for ours, theirs in zip(result, results["pieces"], strict=True):
                assert (ours - theirs).norm() < (0.02 if DEVICE == "cuda" else 1e-5) * theirs.norm(), name
        causal = torch.ones(width, width, dtype=torch.bool, device=DEVICE).tril().expand(group, 1, -1, -1)
        attend = lambda q, k, v, mask=causal: F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)  # noqa: E731
        times["stock"] = milliseconds(attend, group, width)[0]
        cells = (
            f"{times[name]:8.1f}" if name in times else "       –" for name in ("pieces", "dense", "batch", "blocks", "stock")
        )
        print(f"{group:5} {mean:5} | {' '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
