"""The report as one page that needs nothing but a browser: its text and plots, and responses with their deductions coloured."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt

from recipes import ROOT
from recipes.evaluation.logs import Run
from rewards.deductions import cached_judge
from rewards.deductions.view import STYLE, clues_html, completion_html, legend_html, rows_of, title_of

EXAMPLES = 10


def page(report: str, plots: list[Path], examples: list[dict]) -> str:
    """The page.

    Args:
        report: report.md, which shows the plots.
        plots: SVG files.
        examples: as of `examples_of`.
    """
    html = MarkdownIt("js-default").render(report)
    for plot in plots:
        html = html.replace(f'src="{plot.name}"', f'src="data:image/svg+xml;base64,{b64encode(plot.read_bytes()).decode()}"')
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("page.html").render(report=html, style=STYLE, legend=legend_html(), examples=examples)


def examples_of(models: dict[str, Path]) -> list[dict]:
    """The first response to each of up to `EXAMPLES` puzzles that all these models were asked.

    Args:
        models: name to show → folder of a benchmark.

    Returns:
        For each puzzle its title, its clues as HTML, and responses: name → response as HTML.

    Raises:
        ValueError: if a log is damaged.
    """
    asked = {name: first_responses(folder) for name, folder in models.items()}
    shown: list[dict] = []
    for prompt, row in next(iter(asked.values())).items():
        if len(shown) < EXAMPLES and all(prompt in rows for rows in asked.values()) and (judge := cached_judge(prompt)):
            coloured = {name: completion_html(judge, rows[prompt]["completion"]) for name, rows in asked.items()}
            shown.append({"title": title_of(row, len(shown), judge), "clues": clues_html(judge), "responses": coloured})
    return shown


def first_responses(folder: Path) -> dict[str, dict]:
    """Prompt → first response to it in a benchmark's newest log. Raises ValueError if the log is damaged."""
    rows: dict[str, dict] = {}
    for row in rows_of(max((folder / "logs").glob("*.eval"))):
        rows.setdefault(row["prompt"], row)
    return rows


def models_to_show(runs: list[Run], benchmarks: dict[str, list[dict]], folder: Path) -> dict[str, Path]:
    """Whose responses to show, as name → folder of a benchmark.

    The model that a run started from and the trained one, where both were asked the same puzzles; else the best model. Empty if
    no benchmark has logs.

    Args:
        benchmarks: rows by puzzles, best first.
        folder: of all benchmarks.
    """
    with_logs = [[row for row in rows if [*(folder / row["name"]).glob("logs/*.eval")]] for rows in benchmarks.values()]
    for run in runs:
        for rows in with_logs:
            by_model = {_resolved(row.get("model")): row["name"] for row in rows}
            before, after = by_model.get(_resolved(run.start)), by_model.get(_resolved(str(run.folder / "model")))
            if run.start and before and after:
                return {f"Before training: {before}": folder / before, f"After: {after}": folder / after}
    best = [rows[0]["name"] for rows in with_logs if rows][:1]
    return {name: folder / name for name in best}


def _resolved(model: str | None) -> Path | None:
    """A folder's path, or an id on the Hub in the same form."""
    return model and (ROOT / model.removeprefix("vllm/")).resolve()
