"""A completion with each of its deductions coloured by verdict and, under it, why: the clues, or a night on which it fails.

python -m rewards.deductions.view FILE               the first row of JSON or JSONL: {"prompt": …, "completion": …}
python -m rewards.deductions.view LOG.eval --index 3 the fourth response of a benchmark, from outputs/benchmark/NAME/logs
python -m rewards.deductions.view FILE --html OUT    all rows as a page that needs nothing but a browser

Verdicts are those of rewards/deductions/judge.py. The clues shown for one are minimal: without any of them it would not follow.
The nights come from CP-SAT, which shares no code with the verdicts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

from puzzles.clues import Clue, facts, facts_about
from puzzles.cpsat import UndecidedError, find_night
from puzzles.files import write_text
from puzzles.messages import text_of
from puzzles.sentences import render
from rewards.deductions.clause import Assertion
from rewards.deductions.judge import MAX_CHARS, Deduction, Judge, JudgedCompletion
from rewards.deductions.reward import reward_of

LEGEND = {  # mark of a line: (colour in the terminal, what it means); a line with several gets the first of them
    "refuted": ("red", "on no night that fits the clues"),
    "undecided": ("yellow", "on some of them: the clues leave it open"),
    "timed out": ("magenta", "too hard for the solver"),
    "proved": ("green", "on every night that fits the clues"),
    "unread": ("cyan", "names something, but has no known form: not judged"),
    "aside": ("dim", "supposes, asks, quotes a clue: asserts nothing"),
    "": ("", "names nothing of the puzzle"),
}
STYLE = (Path(__file__).parent / "view.css").read_text(encoding="utf-8")  # of the classes of `completion_html`
ROW = '{"prompt": "…", "completion": "…"}'
_cached_night = lru_cache(maxsize=8)(find_night)  # the same one for all refuted statements of a puzzle


# ---------------------------------------------------------------- what is shown


@dataclass(frozen=True)
class Explanation:
    """A deduction in the words of the clues, and why it has its verdict."""

    verdict: str
    sentence: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class MarkedLine:
    """A line of a completion, its mark (a key of `LEGEND`), and the deductions that it states."""

    text: str
    mark: str
    deductions: tuple[Explanation, ...]


def marked_lines(judge: Judge, text: str, judged: JudgedCompletion) -> Iterator[MarkedLine]:
    """The lines of a text with what became of them."""
    deductions_at, marks_at, start = defaultdict(list), defaultdict(set), 0
    for deduction in judged.deductions:
        deductions_at[deduction.sentence.start].append(deduction)
        marks_at[deduction.sentence.start].add(deduction.verdict)
    for sentence in judged.sentences:
        marks_at[sentence.start].add(sentence.fate)
    for line in text.splitlines(keepends=True):
        mark = next((mark for mark in LEGEND if mark in marks_at[start]), "")
        deductions = (Explanation(d.verdict, _with_notes(judge, d), tuple(_reasons(judge, d))) for d in deductions_at[start])
        yield MarkedLine(_printable(line.rstrip()), mark, tuple(deductions))
        start += len(line)


def sentence_of(assertion: Assertion, judge: Judge) -> str:
    """What is asserted, in the words of the clues."""
    if assertion.holds:
        return render(assertion.statement, judge.puzzle.setting)
    return f"It is not the case that {render(assertion.statement, judge.puzzle.setting, capital=False)}"


def _with_notes(judge: Judge, deduction: Deduction) -> str:
    notes = [deduction.verdict]
    if deduction.repeated:
        notes.append("repeated")
    elif deduction.verdict == "proved":
        notes.append("justified" if deduction.justified else "not justified: no single supposition shows it here")
        notes += ["at hand"] * deduction.at_hand
    return f"{sentence_of(deduction.assertion, judge)}: {', '.join(notes)}"


def _reasons(judge: Judge, deduction: Deduction) -> Iterator[str]:
    """The clues that decide a deduction, and nights that show what holds in its place or what the clues leave open."""
    puzzle, assertion = judge.puzzle, deduction.assertion
    if deduction.repeated or deduction.verdict == "timed out":
        return
    if (clues := judge.deciding_clues(assertion)) is not None:
        by = "by" if deduction.verdict == "proved" else "against"
        yield from (f"{by} clue {puzzle.clues.index(clue) + 1}: {render(clue, puzzle.setting)}" for clue in clues)
        if not clues:
            yield f"{by} the rules of the night alone"
    try:
        if deduction.verdict == "refuted":
            night = _cached_night(puzzle.setting, puzzle.clues)
            yield f"on a night that fits: {_joined(facts_about(assertion.statement, night), judge)}"
        if deduction.verdict == "undecided":
            true = find_night(puzzle.setting, [*puzzle.clues, assertion.statement])
            false = find_night(puzzle.setting, puzzle.clues, false=[assertion.statement])
            about = {*facts_about(assertion.statement, true), *facts_about(assertion.statement, false)}
            differences = [pair for pair in zip(facts(true), facts(false), strict=True) if pair[0] != pair[1]]
            differences.sort(key=lambda pair: about.isdisjoint(pair))  # what the statement is about comes first
            holds, fails = zip(*differences[:3], strict=True)
            if not assertion.holds:
                holds, fails = fails, holds
            yield f"it holds on a night that fits: {_joined(holds, judge)}"
            yield f"it fails on a night that fits: {_joined(fails, judge)}"
    except UndecidedError as error:
        yield f"no night to show: {error}"


def _joined(statements: list[Clue] | tuple[Clue, ...], judge: Judge) -> str:
    return "; ".join(render(statement, judge.puzzle.setting, capital=False) for statement in statements)


def _printable(text: str) -> str:
    """A text without anything that moves the cursor or cannot be encoded."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def summary(judge: Judge, judged: JudgedCompletion) -> str:
    """The counts, the soundness and the reward in one line."""
    counts = ", ".join(f"{number} {verdict}" for verdict, number in judged.counts.items())

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return (
        f"{counts}; soundness {share(judged.soundness)}, read {share(judged.read_share)} of the sentences, "
        f"reward {reward_of(judged.deductions, judge.puzzle):.3f}"
    )


# ---------------------------------------------------------------- in a terminal


def show(judge: Judge, text: str, console: Console, marks: bool) -> None:
    """Print a completion, with colours, or with `marks` in the margin instead."""

    def put(line: str, mark: str, margin: str = "") -> None:
        margin = f"{f'[{margin}]' if margin else '':<12}" if marks else ""
        console.print(Text(f"{margin}{line}".rstrip(), style="" if marks else LEGEND[mark][0]), soft_wrap=True, highlight=False)

    judged = judge.judge(text)
    for mark, (_, meaning) in LEGEND.items():
        if mark:
            put(meaning if marks else f"{mark}: {meaning}", mark, mark)
    put("", "")
    for line in marked_lines(judge, text, judged):
        put(line.text, line.mark, line.mark)
        for deduction in line.deductions:
            put(f"    {deduction.sentence}", deduction.verdict)
            for reason in deduction.reasons:
                put(f"        {reason}", "aside")
    put("", "")
    if len(text) > MAX_CHARS:
        put(f"What follows the first {MAX_CHARS:,} characters was not judged.", "")
    console.print(summary(judge, judged), soft_wrap=True, highlight=False)


# ---------------------------------------------------------------- as a page


def page(completions: list[tuple[str, Judge, str]]) -> str:
    """All completions, each given as its name, judge and text, as one self-contained page."""
    parts = [
        f'<article id="{k}"><h2>{escape(name)}</h2>\n{clues_html(judge)}\n{completion_html(judge, text)}</article>'
        for k, (name, judge, text) in enumerate(completions)
    ]
    links = "".join(f'<a href="#{k}">{escape(name)}</a> ' for k, (name, _, _) in enumerate(completions))
    template = (Path(__file__).parent / "view.html").read_text(encoding="utf-8")
    for place, content in (
        ("STYLE", STYLE),
        ("LEGEND", legend_html()),
        ("LINKS", links),
        ("ROWS", "\n".join(parts)),
    ):  # the rows last: they are free text
        template = template.replace(f"<!--{place}-->", content)
    return template


def legend_html() -> str:
    """What each colour means, as list items."""
    return "".join(f'<li class="{_class(m)}"><b>{m}</b> {escape(text)}</li>' for m, (_, text) in LEGEND.items() if m)


def clues_html(judge: Judge) -> str:
    """The clues of a puzzle, folded."""
    clues = "".join(f"<li>{escape(render(clue, judge.puzzle.setting))}</li>" for clue in judge.puzzle.clues)
    return f"<details><summary>{len(judge.puzzle.clues)} clues</summary><ol>{clues}</ol></details>"


def completion_html(judge: Judge, text: str) -> str:
    """The coloured lines of a completion, and its summary."""
    judged = judge.judge(text)
    lines = "\n".join(map(_html, marked_lines(judge, text, judged)))
    return f"{lines}\n<p><b>{escape(summary(judge, judged))}</b></p>"


def _html(line: MarkedLine) -> str:
    marked = f"<b>{line.mark}</b> {escape(line.text)}"
    if not line.deductions:
        return f'<div class="line {_class(line.mark)}">{marked}</div>'
    deductions = "".join(
        f'<li class="{_class(d.verdict)}">{escape(d.sentence)}'
        f"<ul>{''.join(f'<li>{escape(reason)}</li>' for reason in d.reasons)}</ul></li>"
        for d in line.deductions
    )
    title = escape("\n".join(reason for d in line.deductions for reason in d.reasons))
    opened = " open" if line.mark == "refuted" else ""
    summary = f'<summary title="{title}">{marked}</summary>'
    return f'<details class="line {_class(line.mark)}"{opened}>{summary}<ul>{deductions}</ul></details>'


def _class(mark: str) -> str:
    return mark.replace(" ", "-") or "prose"


# ---------------------------------------------------------------- rows


def rows_of(file: Path) -> list[dict]:
    """The rows of a JSON or JSONL file, or the samples of an Inspect log, as prompt and completion.

    Raises:
        ValueError: if it is none of these, naming the line.
        OSError: if it cannot be read.
    """
    if file.suffix == ".eval":
        return _samples(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}): it must contain JSON rows {ROW}.") from error
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        rows = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{file}, line {number} is not JSON ({error}): each line must be a row {ROW}.") from error
    rows = rows if isinstance(rows, list) else [rows]
    if not rows:
        raise ValueError(f"{file} has no rows: it must contain at least one {ROW}.")
    return rows


def _samples(file: Path) -> list[dict]:
    from inspect_ai.log import read_eval_log  # slow, and only needed here

    if not file.is_file():
        raise FileNotFoundError(2, "No such file or directory", str(file))
    try:
        log = read_eval_log(str(file))
    except Exception as error:  # anything that a damaged zip file raises
        raise ValueError(
            f"{file} is not an Inspect log ({' '.join(str(error).split())}): make one with make benchmark."
        ) from error
    if not log.samples:
        raise ValueError(f"{file} has no samples ({log.status}): run the same make benchmark again to get the missing ones.")
    return [
        {
            "prompt": s.input if isinstance(s.input, str) else s.input[-1].text,
            "completion": s.output.completion,
            "difficulty": s.metadata.get("difficulty"),
        }
        for s in log.samples
    ]


def judge_and_text(row: dict, place: str) -> tuple[Judge, str]:
    """The judge of a row's puzzle and the text of its completion.

    Raises:
        ValueError: if the row lacks one of them, or its prompt is not a puzzle, naming the `place`.
    """
    if not isinstance(row, dict):
        raise ValueError(f"{place} is {_short(row)}: it must be an object {ROW}.")
    texts = {}
    for key in ("prompt", "completion"):
        texts[key] = text_of(row.get(key))
        if texts[key] is None:
            there = ", ".join(map(repr, row)) or "nothing"
            found = f"the {key} {_short(row[key])}" if key in row else f"no {key!r}, only {there}"
            raise ValueError(f"{place} has {found}: it must be {ROW}, each a text, or a chat that ends with one.")
    try:
        judge = Judge(texts["prompt"])
    except ValueError as error:
        raise ValueError(f"{place} has a prompt that is not a puzzle ({error}): it must be one that puzzles/ wrote.") from error
    return judge, texts["completion"]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _printable(text if len(text) <= 60 else f"{text[:60]}…")


def title_of(row: dict, index: int, judge: Judge) -> str:
    s, band = judge.puzzle.setting, row.get("difficulty")
    sizes = f"{len(s.suspects)} suspects, {len(s.weapons)} weapons, {len(s.rooms)} rooms, {len(s.times)} times"
    return _printable(f"Row {index}{f', {band}' if isinstance(band, str) else ''}: {sizes}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m rewards.deductions.view", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="JSON or JSONL with prompts and completions, or an Inspect log (.eval)")
    parser.add_argument("--index", type=int, help="which row, from 0 (default: 0; with --html all)")
    parser.add_argument(
        "--plain", action="store_true", help="words in the margin instead of colours; the default outside a terminal"
    )
    parser.add_argument("--html", type=Path, help="write a page to this file instead")
    args = parser.parse_args()
    try:
        if args.html and args.html.is_dir():
            raise ValueError(f"--html {args.html} is a folder: name a file, such as {args.html / 'page.html'}.")
        rows = rows_of(args.file)
        if args.index is not None and not 0 <= args.index < len(rows):
            count, range_ = (f"{len(rows)} rows", f"0 to {len(rows) - 1}") if len(rows) > 1 else ("1 row", "0")
            raise ValueError(f"{args.file} has {count}: --index {args.index} must be {range_}.")
        if args.html:
            chosen = range(len(rows)) if args.index is None else [args.index]
            judges = [(i, *judge_and_text(rows[i], f"{args.file}, row {i}")) for i in chosen]
            write_text(args.html, page([(title_of(rows[i], i, judge), judge, text) for i, judge, text in judges]))
            print(args.html)
        else:
            index = args.index or 0
            judge, text = judge_and_text(rows[index], f"{args.file}, row {index}")
            console, total = Console(), f"{len(rows)} row{'s' * (len(rows) > 1)} in total (--index)"
            heading = f"{args.file}, {title_of(rows[index], index, judge)}; {total}\n"
            console.print(heading, soft_wrap=True, highlight=False, markup=False)
            show(judge, text, console, args.plain or not console.is_terminal or console.no_color)
    except OSError as error:
        fix = "FILE must be JSON, JSONL or an Inspect log, and the file of --html must be writable."
        sys.exit(f"python -m rewards.deductions.view: {error.filename}: {error.strerror}. {fix}")
    except ValueError as error:
        sys.exit(f"python -m rewards.deductions.view: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
