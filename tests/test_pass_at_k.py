"""The best of k samples, against its definition and against pass@k's own formula."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from recipes.evaluation.pass_at_k import best_of_k


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_best_of_k_is_the_mean_over_all_choices_of_k_samples(n):
    scores = np.random.default_rng(n).integers(0, 5, size=(20, n)) / 4  # with ties
    for k in range(1, n + 1):
        expected = [np.mean([max(chosen) for chosen in combinations(row, k)]) for row in scores]
        assert best_of_k(scores, k) == pytest.approx(expected)
    assert best_of_k(scores, 1) == pytest.approx(scores.mean(axis=1))
    assert best_of_k(scores, n) == pytest.approx(scores.max(axis=1))


def test_of_right_and_wrong_it_is_pass_at_k():
    n = 16
    solved = np.array([[0] * (n - c) + [1] * c for c in range(n + 1)])
    for k in range(1, n + 1):
        assert best_of_k(solved, k) == pytest.approx([1 - comb(n - c, k) / comb(n, k) for c in range(n + 1)])
    assert best_of_k(np.eye(2, 3000), 1000) == pytest.approx(1 / 3)  # numbers beyond the range of floats


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_an_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match=f"k = {k} is impossible with n = 3 samples per puzzle: choose k from 1 to 3"):
        best_of_k(np.zeros((2, 3)), k)
