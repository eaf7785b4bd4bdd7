"""Advantages for the best of k samples: against all subsets, pass@k training (rewards of 0 and 1) and GRPO (k = 1)."""

import statistics
from itertools import combinations
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.advantages import best_of_k_advantages

GROUPS = st.lists(st.sampled_from([0, 0.2, 1 / 3, 0.5, 1]), min_size=2, max_size=8)


def advantages(rewards, k):
    return best_of_k_advantages(torch.tensor([rewards], dtype=torch.float64), k)[0].tolist()


@settings(deadline=None)
@given(GROUPS, st.data())
def test_they_compare_the_subsets_with_a_sample_to_all_subsets(rewards, data):
    k = data.draw(st.integers(1, len(rewards) - 1))
    subsets = list(combinations(range(len(rewards)), k))
    maxima = [max(rewards[i] for i in subset) for subset in subsets]
    mean, deviation = statistics.fmean(maxima), statistics.pstdev(maxima)
    with_sample = [statistics.fmean(m for m, s in zip(maxima, subsets, strict=True) if i in s) for i in range(len(rewards))]
    expected = [(u - mean) / (deviation + 1e-4) for u in with_sample]
    assert advantages(rewards, k) == pytest.approx(expected, abs=1e-3)  # the deviation is a difference of squares
    if len({*rewards}) == 1:
        assert set(advantages(rewards, k)) == {0.0}


def test_for_right_and_wrong_they_are_those_of_pass_at_k_training():
    """Chen et al. 2025, arXiv:2508.10751."""
    n, k, wrong = 8, 4, 5
    passed = 1 - comb(wrong, k) / comb(n, k)
    deviation = (passed * (1 - passed)) ** 0.5
    of_right, of_wrong = ((1 - passed - lost) / deviation for lost in (0, comb(wrong - 1, k - 1) / comb(n - 1, k - 1)))
    expected = [of_wrong] * wrong + [of_right] * (n - wrong)
    assert advantages([0.0] * wrong + [1.0] * (n - wrong), k) == pytest.approx(expected, rel=1e-3)


def test_with_k_of_1_they_are_grpos_and_each_group_is_on_its_own():
    rewards = torch.rand(3, 16)
    expected = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, unbiased=False, keepdim=True) + 1e-4)
    torch.testing.assert_close(best_of_k_advantages(rewards, 1), expected, atol=1e-5, rtol=1e-5)
    for k in (1, 4, 15):
        together = best_of_k_advantages(rewards, k)
        torch.testing.assert_close(together, torch.cat([best_of_k_advantages(row[None], k) for row in rewards]))
