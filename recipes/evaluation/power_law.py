"""The power law that held-out accuracy follows over training, and the iteration at which it breaks.

accuracy = c · iterationᵏ is a straight line in logarithmic axes; iteration 1 is the model before training. The law is fitted up
to a break only where two lines fit so much better than one that the Bayesian information criterion falls by more than 6 (strong
evidence: R. E. Kass and A. E. Raftery, "Bayes factors", JASA 90, 1995).
"""

from __future__ import annotations

import numpy as np

from recipes.evaluation.intervals import interval, resamples

LOWEST_ACCURACY = 0.005  # in place of 0, which has no logarithm
MIN_POINTS, MIN_POINTS_WITH_BREAK = 4, 8  # evaluations


def fit_power_law(points: dict[float, float]) -> dict | None:
    """Fit accuracy = c · iterationᵏ up to the break, and another k after it.

    Args:
        points: iteration → accuracy, in order of the iterations.

    Returns:
        c; exponent k, with its 95 % interval low to high (bootstrap over evaluations); n evaluations fitted; break_at, the
        last iteration of the law, and exponent_after, both None if it does not break. None for fewer than MIN_POINTS points.
    """
    u, v = np.log(np.array(list(points))), np.log(np.maximum(list(points.values()), LOWEST_ACCURACY))
    n = len(u)
    if n < MIN_POINTS:
        return None

    def squared_error(*parts: slice) -> float:
        """Of one line through each part, summed."""
        lines = [least_squares(u[part], v[part], np.ones(len(u[part]))) for part in parts]
        total = sum(np.sum((v[part] - a - b * u[part]) ** 2) for part, (a, b) in zip(parts, lines, strict=True))
        return max(float(total), 1e-12)

    breaks = range(MIN_POINTS, n - 2) if n >= MIN_POINTS_WITH_BREAK else ()
    end = min(breaks, key=lambda i: squared_error(slice(i), slice(i, n)), default=n)
    # A break adds three parameters: its place, and the second line.
    if end < n and n * np.log(squared_error(slice(n)) / squared_error(slice(end), slice(end, n))) - 3 * np.log(n) <= 6:
        end = n
    a, slope = least_squares(u[:end], v[:end], np.ones(end))
    low, high = interval(least_squares(u[:end], v[:end], resamples(end))[1])
    after = None if end == n else float(least_squares(u[end:], v[end:], np.ones(n - end))[1])
    law = {"c": float(np.exp(a)), "exponent": float(slope), "low": low, "high": high, "n": end}
    return law | {"break_at": None if end == n else list(points)[end - 1], "exponent_after": after}


def least_squares(u: np.ndarray, v: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit v = a + b u under each row of weights.

    Args:
        u, v: shape (points,).
        weights: shape (points,) or (rows, points).

    Returns:
        a and b, of shape () or (rows,); NaN where all the weight is on one point.
    """
    total = weights.sum(axis=-1)
    mean_u, mean_v = weights @ u / total, weights @ v / total
    spread = weights @ (u * u) / total - mean_u**2
    spread = np.where(spread > 1e-9, spread, np.nan)
    slope = (weights @ (u * v) / total - mean_u * mean_v) / spread
    return mean_v - slope * mean_u, slope


def describe_power_law(law: dict | None) -> str:
    if law is None:
        return f"too few evaluations for a power law ({MIN_POINTS} are needed: eval_steps)"
    text = f"{law['c']:.3f} · iteration^{law['exponent']:.3f} (95 %: {law['low']:.3f} to {law['high']:.3f}, n = {law['n']})"
    if law["break_at"] is None:
        return text + ", unbroken"
    return text + f", breaks at iteration {law['break_at']:g} (exponent {law['exponent_after']:+.3f} after it)"
