"""Advantages for the best of k samples instead of their mean: an objective that pays for diverse answers.

With `best_of_k: k`, GRPO maximizes the expected maximum reward of k of a prompt's n samples (max@k, or pass@k where a reward
is 0 or 1). For rewards r_1 ≤ … ≤ r_n, over all subsets of k samples,

    u_i = mean of the maxima of the subsets that contain i
        = [ C(i−1, k−1) · r_i + Σ_{j>i} C(j−2, k−2) · r_j ] / C(n−1, k−1)
    μ, σ = mean and standard deviation of the maxima of all subsets, which weigh r_j with C(j−1, k−1) / C(n, k)
    A_i = (u_i − μ) / (σ + 1e-4)

For 0/1 rewards this is the analytic advantage of "Pass@k Training" (Chen et al. 2025, arXiv:2508.10751). u_i − μ is
proportional to an unbiased estimate of the gradient of max@k (Walder and Karkhanis 2025, arXiv:2505.15201). k = 1 is GRPO's
own advantage.
"""

from __future__ import annotations

from math import comb

import torch


def best_of_k_advantages(rewards: torch.Tensor, k: int) -> torch.Tensor:
    """A_i for each sample.

    Args:
        rewards: (groups, n).
        k: from 1 to n − 1; with n, all samples would have the same u_i.
    """
    n = rewards.size(1)
    r, order = rewards.double().sort(dim=1)
    own = r.new_tensor([comb(i, k - 1) for i in range(n)])  # subsets in which sample i, counted from 0, is the maximum
    larger = r.new_tensor([comb(j - 1, k - 2) if j and k > 1 else 0 for j in range(n)])  # those that also hold a given i < j
    beaten = (larger * r).flip(1).cumsum(1).flip(1) - larger * r
    u = (own * r + beaten) / comb(n - 1, k - 1)
    weights = own / comb(n, k)
    mean = (weights * r).sum(1, keepdim=True)
    deviation = ((weights * r**2).sum(1, keepdim=True) - mean**2).clamp(min=0).sqrt()
    differ = r[:, -1:] > r[:, :1]  # where all rewards are the same, rounding must not make an advantage
    return torch.zeros_like(r).scatter(1, order, differ * (u - mean) / (deviation + 1e-4)).to(rewards.dtype)
