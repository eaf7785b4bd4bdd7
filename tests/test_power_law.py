"""The fit of accuracy over iterations, against known laws."""

import numpy as np
import pytest

from recipes.evaluation.power_law import describe_power_law, fit_power_law


def series(rng, n=50, exponent=0.2, break_at=None, after=-1.0, noise=0.03):
    """Noisy accuracies of a known law at iterations 1, 3, 5 …, with a different exponent after the break."""
    x = np.arange(1, 2 * n, 2)
    y = 0.3 * x**exponent
    if break_at:
        y = np.where(x <= break_at, y, 0.3 * break_at**exponent * (x / break_at) ** after)
    return dict(zip(x.tolist(), (y * np.exp(rng.normal(0, noise, n))).tolist(), strict=True))


def test_a_power_law_is_found_with_its_exponent_and_no_break_where_there_is_none():
    rng = np.random.default_rng(1)
    laws = [fit_power_law(series(rng)) for _ in range(100)]
    assert np.mean([law["exponent"] for law in laws]) == pytest.approx(0.2, abs=0.005)
    assert 0.85 <= np.mean([law["low"] <= 0.2 <= law["high"] for law in laws]) <= 0.99  # 95 % intervals
    assert np.mean([law["break_at"] is not None for law in laws]) <= 0.1
    assert laws[0]["c"] == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(("break_at", "after"), [(61, -1.0), (31, 0.0), (81, -3.0)])
def test_a_break_is_found_in_its_place_and_does_not_change_the_law_before_it(break_at, after):
    rng = np.random.default_rng(2)
    laws = [fit_power_law(series(rng, break_at=break_at, after=after)) for _ in range(30)]
    found = [law for law in laws if law["break_at"]]
    assert len(found) >= 27
    assert np.median([law["break_at"] for law in found]) == pytest.approx(break_at, rel=0.2)
    assert np.mean([law["exponent"] for law in found]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([law["exponent_after"] for law in found]) == pytest.approx(after, abs=0.4)
    assert f"breaks at iteration {found[0]['break_at']}" in describe_power_law(found[0])


def test_few_evaluations_give_no_law_and_zeros_are_tolerated():
    assert fit_power_law({1: 0.3, 11: 0.4, 21: 0.5}) is None
    assert "too few evaluations" in describe_power_law(None)
    law = fit_power_law({1: 0.3, 2: 0.35, 3: 0.37, 5: 0.42, 8: 0.45, 13: 0.5, 21: 0.0, 34: 0.0, 55: 0.0})
    assert law["break_at"] in (8, 13)
    assert law["exponent"] > 0.1 > law["exponent_after"]
