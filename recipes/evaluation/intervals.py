"""95 % intervals by the bootstrap (B. Efron, "Bootstrap methods", Annals of Statistics 7, 1979): percentiles over resamples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

DRAWS = 10_000


@lru_cache(maxsize=8)
def resamples(units: int) -> np.ndarray:
    """How often each unit is drawn in each resample, shape (DRAWS, units); the same for the same number of units."""
    return np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=DRAWS).astype(float)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of a statistic over resamples, shape (DRAWS,); resamples that leave it undefined do not count."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float | int | None]:
    """The sum of numerators over that of denominators, one of each a puzzle, with a 95 % interval over puzzles.

    Samples of one puzzle are alike, so puzzles are resampled and not samples. `low` and `high` are None for a single puzzle.
    """
    top, bottom = (np.array(x, dtype=float)[np.array(denominators) > 0] for x in (numerators, denominators))
    if not len(bottom):
        return {"mean": None, "low": None, "high": None, "n": 0, "puzzles": 0}
    low = high = None
    if len(bottom) > 1:
        draws = resamples(len(bottom))
        low, high = interval((draws @ top) / (draws @ bottom))
    return {"mean": top.sum() / bottom.sum(), "low": low, "high": high, "n": int(bottom.sum()), "puzzles": len(bottom)}
