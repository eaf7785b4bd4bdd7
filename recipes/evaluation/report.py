"""Pictures and tables from logs alone: what a training run did, and how models compare.

  python recipes/evaluation/report.py --run outputs/tiny-cpu/seed-0/grpo      (make report RUN=outputs/tiny-cpu/seed-0/grpo)

Without --run it takes the newest training run under outputs/. The benchmarks are those under outputs/benchmark. It writes

  accuracy      held-out accuracy over iterations, both axes logarithmic, with a power law and where it breaks
  length        tokens in a completion over iterations
  difficulty    held-out accuracy before and after training, by difficulty, and that of each benchmarked model
  cost          accuracy against dollars a response, with the Pareto frontier; published rows in a panel of their own
  report.md     all of these, the deductions proved before and after training, and the table: measured rows by the puzzles they
                were measured on, published rows apart

into outputs/report, each picture as SVG and PNG: the same bytes for the same logs.

The power law is accuracy = c · iterationᵏ, a straight line in these axes; iteration 1 is the model before training. It is
fitted up to the break: where two lines fit so much better than one that the Bayesian information criterion falls by more than 6
(strong evidence: R. E. Kass and A. E. Raftery, "Bayes factors", JASA 90, 1995).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files, on machines without a screen too

import matplotlib.pyplot as plt
import numpy as np
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from puzzles.difficulty import BANDS
from puzzles.files import write_json, write_text
from puzzles.tables import markdown_table
from recipes.checkpoints import read_log_history
from recipes.evaluation.intervals import interval, resamples

ROOT = Path(__file__).resolve().parents[2]
# M. Okabe and K. Ito, "Color universal design" (2008), without the yellow: told apart by colour-blind people.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"
LEAST = 0.005  # accuracy that a logarithm starts from
FITTED, BROKEN = 4, 8  # evaluations that a law takes, and one that breaks

plt.rcParams.update(
    {"svg.hashsalt": "temporal-clue", "font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True}
)


def save(figure: Figure, file: Path) -> None:
    """Write a picture without the date and the version that made it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Software": None} if file.suffix == ".png" else {"Date": None})
    plt.close(figure)


# ---------------------------------------------------------------- training runs


class Run:
    """What a training run has logged, over iterations; an iteration is a generation, and iteration 1 the untrained model's.

    Attributes:
        held_out, watched_length: iteration → accuracy on the held-out puzzles, and tokens in a completion there.
        trained, length: the same on the puzzles that it trains on.
        before, after: band → (accuracy, ends of its 95 % interval), at the first and the last evaluation.
        soundness: of deductions on the held-out puzzles, at these two: the share proved, and how many a completion states.
            None for a run that did not log them.
        unread: at these two, the share of held-out questions that no answer could be read for; None likewise.
    """

    def __init__(self, folder: Path):
        logs = read_log_history(folder)
        record = json.loads((folder / "run.json").read_text())
        self.name = str(folder.resolve().relative_to(ROOT / "outputs") if folder.resolve().is_relative_to(ROOT) else folder)
        steps = record.get("steps_per_iteration") or 1
        self.puzzles = record["num_eval_puzzles"]

        def series(key: str, updates_before: int) -> dict[float, float]:
            """At step s a generation is of the model of s − 1 updates, an evaluation of the model of s updates."""
            return {(log["step"] - updates_before) / steps + 1: log[key] for log in logs if key in log}

        self.held_out, self.trained = series("eval_rewards/accuracy/mean", 0), series("rewards/accuracy/mean", 1)
        self.watched_length, self.length = series("eval_completions/mean_length", 0), series("completions/mean_length", 1)
        evaluations = [log for log in logs if "eval_rewards/accuracy/mean" in log]
        self.before, self.after = (
            {band: with_interval(log, band) for band in BANDS if f"eval_accuracy/{band}" in log}
            for log in (evaluations[0], evaluations[-1])
        )
        self.unread = [log.get("eval_unread_answers") for log in (evaluations[0], evaluations[-1])]
        self.soundness = None
        if any("eval_deductions" in log for log in evaluations):
            self.soundness = {
                when: {"proved": log.get("eval_soundness"), "stated": log.get("eval_deductions")}
                for when, log in (("before", evaluations[0]), ("after", evaluations[-1]))
            }


def with_interval(log: dict, band: str) -> tuple[float, float | None, float | None]:
    """A band's accuracy in an evaluation, and the ends of its 95 % interval (normal approximation)."""
    mean, error = log[f"eval_accuracy/{band}"], log.get(f"eval_accuracy_error/{band}")
    return mean, *((None, None) if error is None else (mean - 1.96 * error, mean + 1.96 * error))


def newest_run(outputs: Path) -> list[Path]:
    """The training run whose newest checkpoint is the newest of all, if there is any."""
    marks = sorted(outputs.glob("**/checkpoint-*/whole"), key=lambda mark: mark.stat().st_mtime)
    return [marks[-1].parents[1]] if marks else []


def line(u: np.ndarray, v: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares v = a + b u under each row of weights: (a, b)."""
    total = weights.sum(axis=-1)
    mean_u, mean_v = weights @ u / total, weights @ v / total
    spread = weights @ (u * u) / total - mean_u**2
    spread = np.where(spread > 1e-9, spread, np.nan)  # all weight on one point: no line
    slope = (weights @ (u * v) / total - mean_u * mean_v) / spread
    return mean_v - slope * mean_u, slope


def power_law(points: dict[float, float]) -> dict | None:
    """accuracy = c · iterationᵏ up to the break, and what becomes of k after it.

    Returns:
        c; exponent k, with its 95 % interval low to high (bootstrap over evaluations); n evaluations fitted; break_at, the
        last iteration of the law, and exponent_after, None if it does not break. None for fewer than FITTED evaluations.
    """
    u, v = np.log(np.array(list(points))), np.log(np.maximum(list(points.values()), LEAST))
    n = len(u)
    if n < FITTED:
        return None

    def misfit(*parts: slice) -> float:
        """The squared errors of a line through each part, added up."""
        ends = [line(u[part], v[part], np.ones(len(u[part]))) for part in parts]
        total = sum(np.sum((v[part] - a - b * u[part]) ** 2) for part, (a, b) in zip(parts, ends, strict=True))
        return max(float(total), 1e-12)

    breaks = range(FITTED, n - 2) if n >= BROKEN else ()
    end = min(breaks, key=lambda i: misfit(slice(i), slice(i, n)), default=n)
    # The break has three parameters more: its place, and the second line.
    if end < n and n * np.log(misfit(slice(n)) / misfit(slice(end), slice(end, n))) - 3 * np.log(n) <= 6:
        end = n
    a, slope = line(u[:end], v[:end], np.ones(end))
    low, high = interval(line(u[:end], v[:end], resamples(end))[1])
    after = None if end == n else float(line(u[end:], v[end:], np.ones(n - end))[1])
    found = {"c": float(np.exp(a)), "exponent": float(slope), "low": low, "high": high, "n": end}
    return found | {"break_at": None if end == n else list(points)[end - 1], "exponent_after": after}


def told(law: dict | None) -> str:
    """A power law in words."""
    if law is None:
        return f"too few evaluations for a power law ({FITTED} are needed: eval_steps)"
    text = f"{law['c']:.3f} · iteration^{law['exponent']:.3f} (95 %: {law['low']:.3f} to {law['high']:.3f}, n = {law['n']})"
    if law["break_at"] is None:
        return text + ", unbroken"
    return text + f", breaks at iteration {law['break_at']:g} (exponent {law['exponent_after']:+.3f} after it)"


def told_soundness(run: Run) -> str:
    """How a run's deductions fared, in words. A model that states nothing, or did not log it, has no share."""
    if run.soundness is None:
        return "deductions proved: not logged"
    shares, stated = ([run.soundness[when][key] for when in ("before", "after")] for key in ("proved", "stated"))
    share, number = (
        " → ".join("—" if value is None else f"{value:{form}}" for value in values)
        for values, form in ((shares, ".2f"), (stated, ".1f"))
    )
    return f"deductions proved: {share} ({number} stated a completion; {run.puzzles} held-out puzzles, the solver's verdict)"


def told_unread(run: Run) -> str:
    """How many answers could not be read, in words: a gain that is only a matter of form shows here."""
    before, after = ("not logged" if share is None else f"{share:.3f}" for share in run.unread)
    return f"answers unread: {before} → {after} (share of the questions of {run.puzzles} held-out puzzles)"


def iterations_axis(axes, last: float) -> None:
    axes.set_xscale("log")
    ticks = [n for n in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000) if n <= last * 1.05]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("iteration (1 = before training)")


def accuracy_picture(runs: list[Run], laws: list[dict | None]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    lowest = min(min(run.held_out.values()) for run in runs)
    for run, law, colour, marker in zip(runs, laws, COLOURS, MARKERS, strict=False):
        axes.plot(*zip(*run.trained.items(), strict=True), color=colour, linewidth=0.8, alpha=0.35)
        label = f"{run.name}: {run.puzzles} held-out puzzles (thin: puzzles of the iteration)"
        axes.plot(*zip(*run.held_out.items(), strict=True), marker, color=colour, markersize=5, label=label)
        if law:
            x = np.array([1, law["break_at"] or max(run.held_out)])
            axes.plot(x, law["c"] * x ** law["exponent"], color=colour, linewidth=2, label=told(law))
            if law["break_at"]:
                axes.axvline(law["break_at"], color=colour, linestyle=":", linewidth=1.5)
    iterations_axis(axes, max(max(run.held_out) for run in runs))
    axes.set_yscale("log")
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_ylim(max(lowest * 0.8, LEAST), 1.0)
    axes.set(ylabel="answers right", title="Held-out accuracy over training")
    figure.legend(loc="outside lower center", fontsize=9)
    return figure


def length_picture(runs: list[Run]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for run, colour, marker in zip(runs, COLOURS, MARKERS, strict=False):
        axes.plot(*zip(*run.length.items(), strict=True), color=colour, linewidth=0.8, alpha=0.5)
        label = f"{run.name}: held-out puzzles (thin: puzzles of the iteration)"
        axes.plot(*zip(*run.watched_length.items(), strict=True), f"{marker}-", color=colour, markersize=5, label=label)
    iterations_axis(axes, max(max(run.length) for run in runs))
    axes.set_ylim(bottom=0)
    axes.set(ylabel="tokens in a completion, mean", title="Completion length over training")
    figure.legend(loc="outside lower center", fontsize=9)
    return figure


# ---------------------------------------------------------------- benchmarks


def puzzle_sets(folder: Path) -> dict[str, list[dict]]:
    """The rows measured on the same puzzles, best first, under a name for these."""
    sets: dict[tuple, list[dict]] = {}
    for file in sorted(folder.glob("*/result.json")):
        row = json.loads(file.read_text())
        if row["accuracy"]["n"]:
            puzzles = row["puzzles"]
            sets.setdefault((puzzles["source"], puzzles["n"], puzzles["digest"]), []).append(row)
    return {
        f"{n} of {source} ({digest})": sorted(rows, key=lambda row: -row["accuracy"]["mean"])
        for (source, n, digest), rows in sorted(sets.items())
    }


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, accuracy) points that no other one beats: none is as cheap and better, or as good and cheaper."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def dollars_axis(axes, costs: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 3, max(costs) * 3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if max(costs) > 20 * min(costs) else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"${x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("dollars per response")


def cost_picture(sets: dict[str, list[dict]], published: dict) -> Figure:
    """A panel for the published rows and one for each set of puzzles: rows of different puzzles are not compared."""
    panels = [(f"measured here: {name}", [row for row in rows if row["dollars"]]) for name, rows in sets.items()]
    panels = [(name, rows) for name, rows in panels if rows]
    figure, all_axes = plt.subplots(
        1, 1 + len(panels), figsize=(6.5 * (1 + len(panels)), 6), sharey=True, squeeze=False, layout="constrained"
    )
    first, *others = all_axes[0]
    for row, colour, marker in zip(published["rows"], COLOURS, MARKERS, strict=False):
        first.plot(
            row["dollars"], row["accuracy"], marker, markersize=9, color=colour, markerfacecolor="none", label=row["name"]
        )
    points = [(row["dollars"], row["accuracy"]) for row in published["rows"]]
    first.set_title(f"published {published['date']}, not measured here", fontsize=10)
    first.set_ylabel("answers right")
    draw_frontier(first, points)
    for axes, (name, rows) in zip(others, panels, strict=True):
        styles = [(colour, marker) for marker in MARKERS for colour in COLOURS]
        for i, row in enumerate(rows):
            colour, marker = styles[i * (len(COLOURS) + 1) % len(styles)]
            cost, right = row["dollars"], row["accuracy"]
            bars = {}
            if right["low"] is not None:
                bars["yerr"] = [[right["mean"] - right["low"]], [right["high"] - right["mean"]]]
                bars["xerr"] = [[cost["mean"] - cost["low"]], [cost["high"] - cost["mean"]]]
            axes.errorbar(
                cost["mean"], right["mean"], fmt=marker, markersize=9, color=colour, capsize=3, label=row["name"], **bars
            )
        draw_frontier(axes, [(row["dollars"]["mean"], row["accuracy"]["mean"]) for row in rows])
        axes.set_title(name, fontsize=10, wrap=True)
    for axes in all_axes[0]:
        axes.set_ylim(0, 1)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=9, ncols=2)
    figure.suptitle("Accuracy against cost, and the Pareto frontier")
    return figure


def draw_frontier(axes, points: list[tuple[float, float]]) -> None:
    best = frontier(points)
    axes.step(
        *zip(*best, strict=True), where="post", color="#555555", linestyle="--", linewidth=1.2, zorder=0, label="frontier"
    )
    dollars_axis(axes, [cost for cost, _ in points])


def difficulty_picture(runs: list[Run], sets: dict[str, list[dict]]) -> Figure | None:
    """Accuracy by difficulty: before and after each run, on the puzzles that it was watched on, and of benchmarked models."""
    panels = []
    for run in runs:
        series = [("before training", run.before), ("after training", run.after)]
        panels.append((f"{run.name}\n{run.puzzles} held-out puzzles of the run", [s for s in series if s[1]]))
    for name, rows in sets.items():
        series = []
        for row in rows[: len(COLOURS)]:
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
                axes.bar(x, mean, width * 0.92, color=COLOURS[i], label=label if band == next(iter(values)) else None)
                if low is not None:
                    axes.errorbar(x, mean, [[mean - low], [high - mean]], color="black", capsize=3, linewidth=1)
        axes.set_xticks(range(len(shown)), shown)
        axes.set_title(name, fontsize=10, wrap=True)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), fontsize=9, ncols=2)
    all_axes[0][0].set_ylabel("answers right, 95 %")
    figure.suptitle("Accuracy by difficulty")
    return figure


def cell(value: dict | None, form: str) -> str:
    if not value or value["mean"] is None:
        return "—"
    ends = "" if value["low"] is None else f" ({value['low']:{form}} to {value['high']:{form}})"
    return f"{value['mean']:{form}}{ends}"


def proved(row: dict) -> str:
    """The share of deductions proved, and of how many; the same as an extractor put them. An older benchmark has none."""
    found = [("", row), ("; extracted ", row.get("extracted") or {})]
    cells = [(name, of["soundness"]) for name, of in found if of.get("soundness") and of["soundness"]["n"]]
    return "".join(f"{name}{cell(share, '.3f')} of {share['n']}" for name, share in cells) or "—"


def tables(sets: dict[str, list[dict]], published: dict) -> str:
    """Markdown: a table for each set of puzzles, and one for the published rows."""
    text = []
    header = ("model", "answers right", "answers unread", "by the published grader", "solved", "deductions proved", "tokens")
    header += ("$ per response", "answered", "of these not complete")
    for name, rows in sets.items():
        cells = []
        for row in rows:
            responses = row["responses"]
            shares = [cell(row.get(key), ".3f") for key in ("accuracy", "unread_answers", "published_accuracy", "solved")]
            flaws = {"cut_off": "truncated", "refused": "refused", "empty": "empty", "failed": "failed"}
            flawed = [f"{responses[key]} {flaw}" for key, flaw in flaws.items() if responses.get(key)]  # old rows lack `empty`
            costs = [cell(row["completion_tokens"], ",.0f"), cell(row["dollars"], ".2g")]
            cells.append([row["name"], *shares, proved(row), *costs, responses["answered"], ", ".join(flawed)])
        text += [f"**Measured** on {name}; mean and 95 % interval over puzzles.", markdown_table(header, cells)]
    cells = [(row["name"], f"{row['accuracy']:.3f}", "—", f"{row['dollars']:.3f}") for row in published["rows"]]
    judge = published["deductions"]["by"]
    for name, (sound, stated) in published["deductions"]["rows"].items():
        cells.append((name, "—", f"{sound} of {stated}, judged by {judge}", "—"))
    text.append(f"**Published** ({published['source']}, {published['date']}), on other puzzles and not measured here.")
    text.append(markdown_table(("model", "answers right", "deductions sound", "$ per response"), cells))
    return "\n\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", help="a training run's folder; several may be named")
    parser.add_argument("--benchmark", type=Path, default=ROOT / "outputs" / "benchmark", help="default: outputs/benchmark")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "report", help="default: outputs/report")
    args = parser.parse_args()
    try:
        runs = [Run(folder) for folder in args.run or newest_run(ROOT / "outputs")]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    sets = puzzle_sets(args.benchmark)
    published = yaml.safe_load((ROOT / "recipes" / "evaluation" / "published.yaml").read_text())
    laws = [power_law(run.held_out) for run in runs]
    pictures = {"cost": cost_picture(sets, published), "difficulty": difficulty_picture(runs, sets)}
    if runs:
        pictures |= {"accuracy": accuracy_picture(runs, laws), "length": length_picture(runs)}
    text = ["# Report", "", tables(sets, published)]
    for name in ("cost", "accuracy", "length", "difficulty"):
        if figure := pictures.get(name):
            for kind in ("svg", "png"):
                save(figure, args.output / f"{name}.{kind}")
            text += [f"![{name}]({name}.svg)", ""]
        else:
            for kind in ("svg", "png"):  # of an earlier report
                (args.output / f"{name}.{kind}").unlink(missing_ok=True)
    text += [f"- {run.name}: {told(law)}" for run, law in zip(runs, laws, strict=True)]
    text += [f"- {run.name}: {line}" for run in runs for line in (told_soundness(run), told_unread(run))]
    found = {
        run.name: (law or {}) | {"soundness": run.soundness, "unread_answers": run.unread}
        for run, law in zip(runs, laws, strict=True)
    }
    write_text(args.output / "report.md", "\n".join(text) + "\n")
    write_json(args.output / "report.json", found)
    print(tables(sets, published))
    for run, law in zip(runs, laws, strict=True):
        print(f"{run.name}: accuracy = {told(law)}\n{run.name}: {told_soundness(run)}\n{run.name}: {told_unread(run)}")
    if not runs:
        print("No training run: make train-tiny, or name one with --run.")
    if not sets:
        print(f"No benchmark in {args.benchmark}: make benchmark MODEL=…")
    print(args.output / "report.md")


if __name__ == "__main__":
    main()
