"""TRL's fused language-model head on a CPU, for large vocabularies, in less time and memory.

TRL 1.16.0 (trl/kernels/chunked_logprob.py) computes log-probabilities in tiles of 4,096 tokens × 32,768 words, on a CPU also
those of the prompts, which it then ignores. A tile has 512 MiB, and so has each intermediate result, fresh from the system.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from trl.kernels import chunked_logprob
from trl.trainer import utils

LARGE_VOCABULARY = 10_000  # tokens; the tiny model, with hundreds, is left to TRL as it is
TILE = 512, 8192  # tokens × words: 16 MiB; of 7 sizes the fastest on two cores (LOG.md)


@contextmanager
def fast_lm_head(vocabulary: int) -> Iterator[None]:
    """Within it, a CPU computes a large vocabulary's log-probabilities and their gradients in small tiles, without prompts."""
    if vocabulary < LARGE_VOCABULARY or torch.cuda.is_available():
        yield
        return
    tokens, words = TILE
    with (
        mock.patch.object(utils, "_use_triton", return_value=True),  # asked in order to leave out the prompts
        mock.patch.object(utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", words),
        mock.patch.object(chunked_logprob, "TOKEN_CHUNK_SIZE", tokens),
    ):
        yield
