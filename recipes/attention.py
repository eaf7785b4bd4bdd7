"""Attention in packed sequences: each completion sees its prompt and itself, never its neighbours.

Transformers knows it as the attention "packed". In bfloat16 on a CUDA GPU a layer is one call of PyTorch's variable-length
flash attention, however many completions there are. Anywhere else it is one call of SDPA per prompt and per completion.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask


def packed_attention(module, query, key, value, attention_mask, packed=None, **kwargs):
    """Attention of Transformers' interface: each completion to its prompt and itself. Without `packed` it is SDPA.

    Args:
        query: (1, heads, tokens, head size); `key` and `value` may have fewer heads.
        packed: for each prompt the length of its prefix and those of its completions, in the order of the tokens.

    Returns:
        (1, tokens, heads, head size), and None for the attention weights.
    """
    if packed is None:
        if attention_mask is not None and attention_mask.numel() == 1 < query.size(2):  # recipes/packing.py's
            raise ValueError(f"packing does not support {type(module).__name__}: the model keeps `packed` to itself.")
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    query, key = query.to(value.dtype), key.to(value.dtype)  # autocast, which casts them for SDPA, does not see what is below
    scale, dropout = kwargs.get("scaling"), kwargs.get("dropout", 0.0)
    if has_varlen_kernel(query) and not dropout:
        return _in_one_call(query, key, value, packed, scale)[None], None
    return _in_a_loop(query, key, value, packed, scale, dropout).transpose(1, 2).contiguous(), None


def has_varlen_kernel(query: torch.Tensor) -> bool:
    """Whether variable-length flash attention runs on the device and in the dtype of a tensor."""
    return query.is_cuda and query.dtype == torch.bfloat16 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _in_one_call(query, key, value, packed, scale: float | None) -> torch.Tensor:
    """(tokens, heads, head size). The keys of a prompt are repeated for each of its completions.

    They are repeated in float32, so that their gradients add up in float32.
    """
    seen, starts_q, starts_k, longest_q, longest_k = segments(tuple((n, tuple(m)) for n, m in packed), query.device)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    k, v = (x.float().index_select(0, seen).to(x.dtype) for x in (k, v))
    causal = {"window_size": (-1, 0)}  # aligned to the last key: all of the prompt, and the completion up to the query
    return varlen_attn(q, k, v, starts_q, starts_k, longest_q, longest_k, scale=scale, enable_gqa=True, **causal)


@lru_cache(maxsize=2)  # it is the same for all layers
def segments(packed: tuple, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    """How `packed` is cut for variable-length attention; a segment is a prompt's prefix or a completion.

    Returns:
        the index of each key that a segment sees, one segment after the other; where the queries of each segment start, and
        the keys, (segments + 1,); the longest segment in queries, and in keys.
    """
    seen, queries, keys, start = [], [], [], 0
    for prefix, completions in packed:
        prompt, start = torch.arange(start, start + prefix), start + prefix
        if prefix:
            seen, queries, keys = [*seen, prompt], [*queries, prefix], [*keys, prefix]
        for length in completions:
            seen += [prompt, torch.arange(start, start + length)]
            queries.append(length)
            keys.append(prefix + length)
            start += length
    starts = (torch.tensor([0, *accumulate(lengths)], dtype=torch.int32) for lengths in (queries, keys))
    return *(x.to(device) for x in (torch.cat(seen), *starts)), max(queries), max(keys)


def _in_a_loop(query, key, value, packed, scale: float | None, dropout: float) -> torch.Tensor:
    """(1, heads, tokens, head size)."""
    settings = {"scale": scale, "dropout_p": dropout, "enable_gqa": True}
    lengths = [length for prefix, completions in packed for length in (prefix, *completions)]
    parts = zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    outputs = []
    for prefix, completions in packed:
        q, prefix_k, prefix_v = next(parts)
        outputs.append(F.scaled_dot_product_attention(q, prefix_k, prefix_v, is_causal=True, **settings))
        for length in completions:
            q, k, v = next(parts)
            k, v = torch.cat([prefix_k, k], dim=2), torch.cat([prefix_v, v], dim=2)
            causal = causal_lower_right(length, prefix + length)
            outputs.append(F.scaled_dot_product_attention(q, k, v, attn_mask=causal, **settings))
    return torch.cat(outputs, dim=2)


AttentionInterface.register("packed", packed_attention)
AttentionMaskInterface.register("packed", sdpa_mask)
