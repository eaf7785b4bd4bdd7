"""Attention in packed sequences: each completion attends to its prompt and to itself, never to its neighbours.

Registered with Transformers as the attention implementation "packed". In bfloat16 on a CUDA GPU a layer makes one call of
PyTorch's variable-length flash attention, however many completions there are; elsewhere, one SDPA call per prompt prefix and
per completion.

Axes of tensors: B batch, H heads, T tokens of a packed sequence, K keys, D head size, S segments (a prompt's prefix or a
completion). Head counts of keys and values may be smaller (grouped-query attention).
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
    """Packed attention with the interface of Transformers. Without `packed` it is plain SDPA.

    Args:
        query, key, value: (1, H, T, D).
        packed: for each prompt, the length of its prefix and the lengths of its completions, in the order of the tokens.

    Returns:
        (1, T, H, D), and None for the attention weights.

    Raises:
        ValueError: if the model does not pass `packed` on to its attention.
    """
    if packed is None:
        if attention_mask is not None and attention_mask.numel() == 1 < query.size(2):  # the mask of recipes/packing.py
            raise ValueError(
                f"packing does not support {type(module).__name__}, to which its model does not pass `packed`; packing: false "
                "gives stock TRL."
            )
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    query, key = query.to(value.dtype), key.to(value.dtype)  # autocast casts them for SDPA, but not for the calls below
    scale, dropout = kwargs.get("scaling"), kwargs.get("dropout", 0.0)
    if has_varlen_kernel(query) and not dropout:
        return _varlen_attention(query, key, value, packed, scale)[None], None
    return _looped_attention(query, key, value, packed, scale, dropout).transpose(1, 2).contiguous(), None


def has_varlen_kernel(query: torch.Tensor) -> bool:
    """Whether variable-length flash attention supports the device and the dtype of a tensor."""
    return query.is_cuda and query.dtype == torch.bfloat16 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _varlen_attention(query, key, value, packed, scale: float | None) -> torch.Tensor:
    """One call for all segments. (1, H, T, D) → (T, H, D).

    The keys and values of a prompt are repeated for each of its completions, in float32 so that their gradients add up in
    float32.
    """
    key_index, starts_q, starts_k, longest_q, longest_k = segments(tuple((n, tuple(m)) for n, m in packed), query.device)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (T, H, D)
    k, v = (x.float().index_select(0, key_index).to(x.dtype) for x in (k, v))  # (K, H, D)
    causal = {"window_size": (-1, 0)}  # aligned to a segment's last key: all of the prompt, the completion up to the query
    return varlen_attn(q, k, v, starts_q, starts_k, longest_q, longest_k, scale=scale, enable_gqa=True, **causal)


@lru_cache(maxsize=2)  # the same for all layers
def segments(packed: tuple, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    """The segments of a packed sequence, as variable-length attention expects them.

    Returns:
        key_index: (K,), the positions to which each segment attends, one segment after the other.
        starts_q, starts_k: (S + 1,), where the queries and the keys of each segment start.
        longest_q, longest_k: the most queries and keys of a segment.
    """
    key_index, queries, keys, start = [], [], [], 0
    for prefix, completions in packed:
        prompt, start = torch.arange(start, start + prefix), start + prefix
        if prefix:
            key_index, queries, keys = [*key_index, prompt], [*queries, prefix], [*keys, prefix]
        for length in completions:
            key_index += [prompt, torch.arange(start, start + length)]
            queries.append(length)
            keys.append(prefix + length)
            start += length
    starts = (torch.tensor([0, *accumulate(lengths)], dtype=torch.int32) for lengths in (queries, keys))
    return *(x.to(device) for x in (torch.cat(key_index), *starts)), max(queries), max(keys)


def _looped_attention(query, key, value, packed, scale: float | None, dropout: float) -> torch.Tensor:
    """One call per segment. (1, H, T, D) → (1, H, T, D)."""
    settings = {"scale": scale, "dropout_p": dropout, "enable_gqa": True}
    lengths = [length for prefix, completions in packed for length in (prefix, *completions)]
    segments_qkv = zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    outputs = []
    for prefix, completions in packed:
        q, prefix_k, prefix_v = next(segments_qkv)
        outputs.append(F.scaled_dot_product_attention(q, prefix_k, prefix_v, is_causal=True, **settings))
        for length in completions:
            q, k, v = next(segments_qkv)
            k, v = torch.cat([prefix_k, k], dim=2), torch.cat([prefix_v, v], dim=2)
            causal = causal_lower_right(length, prefix + length)
            outputs.append(F.scaled_dot_product_attention(q, k, v, attn_mask=causal, **settings))
    return torch.cat(outputs, dim=2)


AttentionInterface.register("packed", packed_attention)
AttentionMaskInterface.register("packed", sdpa_mask)
