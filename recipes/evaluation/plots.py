"""All plots: accuracy, the best of several samples and length over training, accuracy by difficulty, accuracy against cost, and
the learning curves of `make train-tiny` and `make train-smol`.

Each function returns a matplotlib figure; `save` writes it, to the same bytes for the same data.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draw to files, which needs no display

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from puzzles.difficulty import BANDS
from recipes.checkpoints import HELD_OUT_ACCURACY
from recipes.evaluation.logs import Run
from recipes.evaluation.power_law import LOWEST_ACCURACY, describe_power_law

# M. Okabe and K. Ito, "Color universal design" (2008), without the yellow: distinct to colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"
HATCHES = ("", "//", "xx")

plt.rcParams.update(
    {"svg.hashsalt": "temporal-clue", "font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True}
)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as SVG or PNG, without the date and the version of matplotlib."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Software": None} if file.suffix == ".png" else {"Date": None})
    plt.close(figure)


# ---------------------------------------------------------------- over training


def accuracy_plot(runs: list[Run], laws: list[dict | None]) -> Figure:
    """Held-out accuracy over iterations, both axes logarithmic, with the power law of each run and where it breaks."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    lowest = min(min(run.accuracy.values()) for run in runs)
    for run, law, colour, marker in zip(runs, laws, cycle(COLOURS), cycle(MARKERS), strict=False):
        axes.plot(*zip(*run.training_accuracy.items(), strict=True), color=colour, linewidth=0.8, alpha=0.35)
        label = f"{run.name}: {run.puzzles} held-out puzzles (thin: puzzles of the iteration)"
        axes.plot(*zip(*run.accuracy.items(), strict=True), marker, color=colour, markersize=5, label=label)
        if law:
            x = np.array([1, law["break_at"] or max(run.accuracy)])
            axes.plot(x, law["c"] * x ** law["exponent"], color=colour, linewidth=2, label=describe_power_law(law))
            if law["break_at"]:
                axes.axvline(law["break_at"], color=colour, linestyle=":", linewidth=1.5)
    _iterations_axis(axes, max(max(run.accuracy) for run in runs))
    axes.set_yscale("log")
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_ylim(max(lowest * 0.8, LOWEST_ACCURACY), 1.0)
    axes.set(ylabel="answers right", title="Held-out accuracy over training")
    figure.legend(loc="outside lower center", fontsize=9)
    return figure


def length_plot(runs: list[Run]) -> Figure:
    """Mean tokens in a completion over iterations."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for run, colour, marker in zip(runs, cycle(COLOURS), cycle(MARKERS), strict=False):
        axes.plot(*zip(*run.training_length.items(), strict=True), color=colour, linewidth=0.8, alpha=0.5)
        label = f"{run.name}: held-out puzzles (thin: puzzles of the iteration)"
        axes.plot(*zip(*run.length.items(), strict=True), f"{marker}-", color=colour, markersize=5, label=label)
    _iterations_axis(axes, max(max(run.training_length) for run in runs))
    axes.set_ylim(bottom=0)
    axes.set(ylabel="tokens in a completion, mean", title="Completion length over training")
    figure.legend(loc="outside lower center", fontsize=9)
    return figure


def passk_plot(runs: list[Run]) -> Figure | None:
    """Held-out accuracy and solved puzzles over iterations, of one sample and of the best of several: a panel for each run that
    has them.
    """
    runs = [run for run in runs if run.best_of]
    if not runs:
        return None
    figure, all_axes = plt.subplots(
        1, len(runs), figsize=(6.5 * len(runs), 5), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, run in zip(all_axes[0], runs, strict=True):
        curves = {
            f"answers right, best of {run.samples}": (run.best_of, "o--", COLOURS[0]),
            "answers right, mean": (run.accuracy, "o-", COLOURS[0]),
            f"puzzles solved by at least one of {run.samples}: pass@{run.samples}": (run.pass_at, "s--", COLOURS[1]),
            "puzzles solved, mean": (run.solved, "s-", COLOURS[1]),
        }
        for label, (values, style, colour) in curves.items():
            axes.plot(*zip(*values.items(), strict=True), style, color=colour, markersize=4, label=label)
        _iterations_axis(axes, max(run.accuracy))
        axes.set_ylim(0, 1)
        axes.set_title(f"{run.name}\n{run.puzzles} held-out puzzles × {run.samples} samples", fontsize=10)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=9, ncols=2)
    figure.suptitle("One sample and the best of several, over training")
    return figure


def _iterations_axis(axes: Axes, last: float) -> None:
    axes.set_xscale("log")
    ticks = [n for n in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000) if n <= last * 1.05]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("iteration (1 = before training)")


# ---------------------------------------------------------------- by difficulty, and against cost


def difficulty_plot(runs: list[Run], benchmarks: dict[str, list[dict]]) -> Figure | None:
    """Accuracy by difficulty: before and after each run, on its held-out puzzles, and of benchmarked models."""
    panels = []
    for run in runs:
        series = [("before training", run.before), ("after training", run.after)]
        panels.append((f"{run.name}\n{run.puzzles} held-out puzzles of the run", [s for s in series if s[1]]))
    for name, rows in benchmarks.items():
        series = []
        for row in rows:
            bands = {band: value for band, value in row["by_difficulty"].items() if value["n"]}
            series.append((row["name"], {band: (v["mean"], v["low"], v["high"]) for band, v in bands.items()}))
        panels.append((f"benchmark\n{name}", series))
    panels = [(name, series) for name, series in panels if series]
    if not panels:
        return None
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(6.5 * len(panels), 5.5), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (name, series) in zip(all_axes[0], panels, strict=True):
        shown = [band for band in BANDS if any(band in values for _, values in series)]
        width = 0.8 / len(series)
        for i, (label, values) in enumerate(series):
            for band in values:
                mean, low, high = values[band]
                x = shown.index(band) + (i - (len(series) - 1) / 2) * width
                style = {"color": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i // len(COLOURS) % len(HATCHES)]}
                axes.bar(x, mean, width * 0.92, label=label if band == next(iter(values)) else None, **style)
                if low is not None:
                    axes.errorbar(x, mean, error_bar(mean, low, high), color="black", capsize=3, linewidth=1)
        axes.set_xticks(range(len(shown)), shown)
        axes.set_title(name, fontsize=10, wrap=True)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), fontsize=9, ncols=2)
    all_axes[0][0].set_ylabel("answers right, 95 %")
    figure.suptitle("Accuracy by difficulty")
    return figure


def error_bar(mean: float, low: float, high: float) -> list[list[float]]:
    """How far an interval extends below and above its mean, which rounding can put just outside it."""
    return [[max(mean - low, 0.0)], [max(high - mean, 0.0)]]


def cost_plot(benchmarks: dict[str, list[dict]], published: dict) -> Figure:
    """Accuracy against dollars per response: one panel for the published rows, and one for each set of puzzles measured here.

    Each panel has its own Pareto frontier, since rows on different puzzles cannot be compared.
    """
    panels = [(f"measured here: {name}", [row for row in rows if row["dollars"]]) for name, rows in benchmarks.items()]
    panels = [(name, rows) for name, rows in panels if rows]
    figure, all_axes = plt.subplots(
        1, 1 + len(panels), figsize=(6.5 * (1 + len(panels)), 6), sharey=True, squeeze=False, layout="constrained"
    )
    first, *others = all_axes[0]
    for row, colour, marker in zip(published["rows"], cycle(COLOURS), cycle(MARKERS), strict=False):
        first.plot(
            row["dollars"], row["accuracy"], marker, markersize=9, color=colour, markerfacecolor="none", label=row["name"]
        )
    first.set_title(f"published {published['date']}, not measured here", fontsize=10)
    first.set_ylabel("answers right")
    _draw_frontier(first, [(row["dollars"], row["accuracy"]) for row in published["rows"]])
    for axes, (name, rows) in zip(others, panels, strict=True):
        styles = [(colour, marker) for marker in MARKERS for colour in COLOURS]
        for i, row in enumerate(rows):
            colour, marker = styles[i * (len(COLOURS) + 1) % len(styles)]
            dollars, accuracy = row["dollars"], row["accuracy"]
            bars = {}
            if accuracy["low"] is not None:
                bars = {key: error_bar(x["mean"], x["low"], x["high"]) for key, x in (("yerr", accuracy), ("xerr", dollars))}
            axes.errorbar(
                dollars["mean"], accuracy["mean"], fmt=marker, markersize=9, color=colour, capsize=3, label=row["name"], **bars
            )
        _draw_frontier(axes, [(row["dollars"]["mean"], row["accuracy"]["mean"]) for row in rows])
        axes.set_title(name, fontsize=10, wrap=True)
    for axes in all_axes[0]:
        axes.set_ylim(0, 1)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=9, ncols=2)
    figure.suptitle("Accuracy against cost, and the Pareto frontier")
    return figure


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, accuracy) points that no other point beats: none is both as cheap and better, or as good and cheaper."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def _draw_frontier(axes: Axes, points: list[tuple[float, float]]) -> None:
    best = frontier(points)
    axes.step(
        *zip(*best, strict=True), where="post", color="#555555", linestyle="--", linewidth=1.2, zorder=0, label="frontier"
    )
    costs = [cost for cost, _ in points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 3, max(costs) * 3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if max(costs) > 20 * min(costs) else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"${x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("dollars per response")


# ---------------------------------------------------------------- make train-tiny, make train-smol


def learning_curve_plot(
    result: dict, logs: list[dict], title: str = "GRPO on a CPU: a tiny model and real puzzles", start: str = "base"
) -> Figure:
    """A model's accuracy over GRPO's steps, on training and held-out puzzles, beside its start, the control and chance.

    Args:
        result: result.json of recipes/tiny/train_tiny.py or recipes/smollm2/train_smol.py.
        logs: what the GRPO run logged.
        start: the key in the result of the model that GRPO started from.
    """
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    training = [(log["step"], log["rewards/accuracy/mean"]) for log in logs if "rewards/accuracy/mean" in log]
    held_out = [(log["step"], log[HELD_OUT_ACCURACY]) for log in logs if HELD_OUT_ACCURACY in log]
    last = training[-1][0]
    axes.plot(*zip(*training, strict=True), color="#999999", linewidth=1, label="puzzles of the step, sampled")
    axes.plot(
        *zip(*held_out, strict=True), color="#0072B2", linewidth=2, marker=".", label="held-out puzzles while training, sampled"
    )
    for step, key in ((0, start), (last, "after")):
        axes.errorbar(
            step, result[key]["sampled"], result[key]["sampled_interval"], fmt="o", color="#D55E00", capsize=4,
            label=f"{result['n']} other held-out puzzles, sampled, 95 %" if step == 0 else None,
        )  # fmt: skip
    axes.axhline(result[start]["greedy"], color="#CC79A7", linestyle="-.", label="before GRPO, greedy")
    axes.axhline(result["control"]["sampled"], color="#009E73", linestyle="--", label="control: more imitation, sampled")
    axes.axhline(result["chance"], color="black", linestyle=":", label="chance")
    axes.set(xlabel="GRPO step", ylabel="answers right", ylim=(0, 1), xlim=(-0.02 * last, 1.02 * last))
    axes.set_title(f"{title} (seed {result['seed']})")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    return figure
