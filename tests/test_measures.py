"""The numbers of a benchmark: 95 % intervals and prices."""

import numpy as np
import pytest
import yaml

from recipes import ROOT
from recipes.evaluation.intervals import ratio
from recipes.evaluation.measures import price_of


def test_an_interval_is_over_puzzles_and_covers_the_truth_19_times_in_20():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        ability = rng.beta(2, 2, size=40)  # of the model, on each puzzle
        right = rng.binomial(4, ability)
        found = ratio(list(right), [4] * 40)
        held += found["low"] <= 0.5 <= found["high"]
    assert 0.88 <= held / 200 <= 0.99
    once, tenfold = ratio([1, 0, 1, 1], [1, 1, 1, 1]), ratio([10, 0, 10, 10], [10, 10, 10, 10])
    # Ten times as many samples of the same puzzles, all alike, say no more than one of each.
    assert (once["low"], once["high"]) == (tenfold["low"], tenfold["high"])
    assert ratio([1], [1]) == {"mean": 1.0, "low": None, "high": None, "n": 1, "puzzles": 1}
    assert ratio([], []) == ratio([0], [0]) == {"mean": None, "low": None, "high": None, "n": 0, "puzzles": 0}
    assert ratio([3, 0, 5], [4, 0, 8])["mean"] == pytest.approx(8 / 12)


def test_prices_are_complete_and_found_under_dated_names(tmp_path):
    file = ROOT / "recipes" / "evaluation" / "prices.yaml"
    entries = yaml.safe_load(file.read_text())
    for name, entry in entries.items():
        assert price_of(name, file) == entry
        assert 0 < entry["cached"] <= entry["input"] <= entry["output"]
        assert entry["source"].startswith("https://")
    assert price_of("anthropic/claude-3-7-sonnet-20250219", file) == price_of("anthropic/claude-3-7-sonnet-latest", file)
    assert price_of("openai/o3-mini-2025-01-31", file)["output"] == 4.4
    assert price_of("openai/o3", file) is price_of("openai/o3-mini-high", file) is price_of("nobody", file) is None
