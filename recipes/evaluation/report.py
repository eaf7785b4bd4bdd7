"""Plots and tables from logs alone: what training runs did, and how models compare.

  python recipes/evaluation/report.py --run outputs/tiny-cpu/seed-0/grpo      (make report RUN=outputs/tiny-cpu/seed-0/grpo)

Without --run, it reports the newest training run under outputs/. Benchmarks are those under outputs/benchmark. It writes to
outputs/report

  accuracy      held-out accuracy over iterations, both axes logarithmic, with a power law (power_law.py) and where it breaks
  passk         one sample and the best of several over iterations, for runs with several samples per held-out puzzle
  length        tokens in a completion over iterations
  difficulty    held-out accuracy before and after training, by difficulty, and that of each benchmarked model
  cost          accuracy against dollars per response, with the Pareto frontier; published rows in a panel of their own
  report.md     all of these, the deductions proved before and after training, and tables: measured rows by the puzzles they
                were measured on, published rows apart
  report.html   the same as one page, with ten responses whose deductions are coloured: of the model before training beside the
                model after, if `make benchmark` has asked both the same puzzles

each plot (plots.py) as SVG and PNG. The same logs give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from puzzles.files import read_yaml, write_json, write_text
from puzzles.tables import markdown_table
from recipes import ROOT
from recipes.evaluation.logs import Run, benchmarks_by_puzzles, newest_run
from recipes.evaluation.measures import INCOMPLETE
from recipes.evaluation.page import examples_of, models_to_show, page
from recipes.evaluation.plots import accuracy_plot, cost_plot, difficulty_plot, length_plot, passk_plot, save
from recipes.evaluation.power_law import describe_power_law, fit_power_law


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", help="folder of a training run; repeat it to compare runs")
    parser.add_argument("--benchmark", type=Path, default=ROOT / "outputs" / "benchmark", help="default: outputs/benchmark")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "report", help="default: outputs/report")
    args = parser.parse_args()
    try:
        runs = [Run(folder) for folder in args.run or newest_run(ROOT / "outputs")]
        benchmarks = benchmarks_by_puzzles(args.benchmark)
        models = models_to_show(runs, benchmarks, args.benchmark)
        examples = examples_of(models) if models else []
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {args.output} cannot be a folder ({error.strerror}): name another.")
    laws = [fit_power_law(run.accuracy) for run in runs]
    published = read_yaml(ROOT / "recipes" / "evaluation" / "published.yaml")

    plots = {
        "cost": cost_plot(benchmarks, published),
        "accuracy": accuracy_plot(runs, laws) if runs else None,
        "passk": passk_plot(runs),
        "length": length_plot(runs) if runs else None,
        "difficulty": difficulty_plot(runs, benchmarks),
    }
    for name, figure in plots.items():
        for file in (args.output / f"{name}.svg", args.output / f"{name}.png"):
            if figure:
                save(figure, file)
            else:
                file.unlink(missing_ok=True)  # left by an earlier report

    tables = benchmark_tables(benchmarks, published)
    text = ["# Report", "", tables]
    for name, figure in plots.items():
        text += [f"![{name}]({name}.svg)", ""] if figure else []
    text += [f"- {run.name}: {describe_power_law(law)}" for run, law in zip(runs, laws, strict=True)]
    text += [f"- {run.name}: {line}" for run in runs for line in describe_scores(run)]
    report = "\n".join(text) + "\n"
    write_text(args.output / "report.md", report)
    drawn = [args.output / f"{name}.svg" for name, figure in plots.items() if figure]
    write_text(args.output / "report.html", page(report, drawn, examples))
    found = {
        run.name: (law or {}) | {"soundness": run.soundness, "unread_answers": run.unread}
        for run, law in zip(runs, laws, strict=True)
    }
    for run in runs:
        if run.best_of:
            ends = {"best_of": first_and_last(run.best_of), "pass_at": first_and_last(run.pass_at)}
            found[run.name] |= {"samples": run.samples} | ends
    write_json(args.output / "report.json", found)

    print(tables)
    for run, law in zip(runs, laws, strict=True):
        for line in (f"accuracy = {describe_power_law(law)}", *describe_scores(run)):
            print(f"{run.name}: {line}")
    if not runs:
        print("There is no training run yet: make train-tiny, or name a folder with --run.")
    if not benchmarks:
        print(f"There is no benchmark in {args.benchmark} yet: make benchmark MODEL=…")
    print(f"{args.output / 'report.md'}, and as one page: {args.output / 'report.html'}")


def benchmark_tables(benchmarks: dict[str, list[dict]], published: dict) -> str:
    """Markdown: a table for each set of puzzles, and one for the published rows."""
    text = []
    first = ("model", "answers right", "answers unread", "by the published grader", "solved")
    others = ("deductions proved", "tokens", "$ per response", "answered", "incomplete")
    for name, rows in benchmarks.items():
        cells, largest = [], max((int(k) for row in rows for k in row.get("best_of_k") or {}), default=None)
        best = {f"best of {largest}": "best_of_k", f"pass@{largest}": "pass_at_k"} if largest else {}
        header = (*first, *best, *others)
        for row in rows:
            responses = row["responses"]
            shares = [mean_cell(row.get(key), ".3f") for key in ("accuracy", "unread_answers", "published_accuracy", "solved")]
            shares += [mean_cell((row.get(key) or {}).get(str(largest)), ".3f") for key in best.values()]
            costs = [mean_cell(row["completion_tokens"], ",.0f"), mean_cell(row["dollars"], ".2g")]
            incomplete = [f"{responses[key]} {key}" for key in INCOMPLETE if responses.get(key)]
            cells.append([row["name"], *shares, proved_cell(row), *costs, responses["answered"], ", ".join(incomplete)])
        text += [f"**Measured** on {name}; mean and 95 % interval over puzzles.", markdown_table(header, cells)]
    cells = [(row["name"], f"{row['accuracy']:.3f}", "—", f"{row['dollars']:.3f}") for row in published["rows"]]
    judge = published["deductions"]["by"]
    for name, (sound, stated) in published["deductions"]["rows"].items():
        cells.append((name, "—", f"{sound} of {stated}, judged by {judge}", "—"))
    text.append(f"**Published** ({published['source']}, {published['date']}), on other puzzles and not measured here.")
    text.append(markdown_table(("model", "answers right", "deductions sound", "$ per response"), cells))
    return "\n\n".join(text) + "\n"


def mean_cell(value: dict | None, form: str) -> str:
    """A mean with its 95 % interval; a dash if there is none."""
    if not value or value["mean"] is None:
        return "—"
    ends = "" if value["low"] is None else f" ({value['low']:{form}} to {value['high']:{form}})"
    return f"{value['mean']:{form}}{ends}"


def proved_cell(row: dict) -> str:
    """The share of deductions proved and their number, then the same for extracted ones; a dash without either."""
    found = [("", row), ("; extracted ", row.get("extracted") or {})]
    shares = [(prefix, of["soundness"]) for prefix, of in found if of.get("soundness") and of["soundness"]["n"]]
    return "".join(f"{prefix}{mean_cell(share, '.3f')} of {share['n']}" for prefix, share in shares) or "—"


def describe_scores(run: Run) -> list[str]:
    """How the scores on held-out puzzles changed over training, a line each."""
    best = [describe_best(run)] if run.best_of else []
    return [*best, describe_soundness(run), describe_unread(run)]


def describe_best(run: Run) -> str:
    """How the best of several samples changed, beside the mean of one."""
    best, passed, right, solved = (
        " → ".join(f"{value:.2f}" for value in first_and_last(series))
        for series in (run.best_of, run.pass_at, run.accuracy, run.solved)
    )
    one = f"one sample: {right} of the answers right, {solved} of the puzzles solved"
    return f"best of {run.samples}: {best}; pass@{run.samples}: {passed} ({one}; {run.puzzles} held-out puzzles)"


def first_and_last(series: dict[float, float]) -> list[float]:
    """The values of a series before and after training."""
    return [series[min(series)], series[max(series)]]


def describe_soundness(run: Run) -> str:
    """How the deductions on held-out puzzles changed. Where none were stated, a dash stands for the share proved."""
    if run.soundness is None:
        return "deductions proved: not logged"
    share, number = (
        " → ".join("—" if (value := run.soundness[when][key]) is None else f"{value:{form}}" for when in ("before", "after"))
        for key, form in (("proved", ".2f"), ("stated", ".1f"))
    )
    return f"deductions proved: {share} ({number} stated per completion; {run.puzzles} held-out puzzles, judged by the solver)"


def describe_unread(run: Run) -> str:
    """How the share of unreadable answers changed: it shows how much of a gain is a matter of format."""
    before, after = ("not logged" if share is None else f"{share:.3f}" for share in run.unread)
    return f"answers unread: {before} → {after} (share of the questions of {run.puzzles} held-out puzzles)"


if __name__ == "__main__":
    main()
