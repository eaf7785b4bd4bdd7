"""The best of k samples, estimated from n samples without bias; pass@k is the case of scores that are 0 or 1."""

from __future__ import annotations

from math import comb

import numpy as np


def best_of_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The expected best score of k samples of each puzzle: the mean of the maximum over all choices of k of its n samples.

    With scores s_1 ≤ … ≤ s_n it is Σ_i C(i − 1, k − 1) / C(n, k) · s_i (Walder and Karkhanis 2025, arXiv:2505.15201). If c
    scores are 1 and the others 0, that is pass@k = 1 − C(n − c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374).

    Args:
        scores: (puzzles, n).

    Returns:
        (puzzles,).

    Raises:
        ValueError: if k is not from 1 to n.
    """
    n = scores.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} is impossible with n = {n} samples per puzzle: choose k from 1 to {n}.")
    return np.sort(scores, axis=1) @ [comb(i, k - 1) / comb(n, k) for i in range(n)]
