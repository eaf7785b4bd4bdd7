"""The card of a dataset: what is in it, a worked example, how to check it and how to make it again."""

from __future__ import annotations

import statistics
from collections import Counter

from puzzles.clues import fill
from puzzles.difficulty import BANDS, band
from puzzles.english import prompt, render
from puzzles.generate import Case
from puzzles.proof import deduce
from puzzles.tables import markdown_table

# The columns whose values the card counts.
COUNTED = ("difficulty", "depths", "clues", "suspects", "weapons", "rooms", "times", "motives")
REPO = "name/temporal-clue"  # stands for the repository's id until it is published


def card(
    spec: dict,
    counts: dict[str, dict[str, Counter]],
    example: Case,
    files: list[str],
    columns: dict[str, str],
    unproved: int,
) -> str:
    """README.md for the Hub.

    Args:
        spec: the dataset's arguments, and the command that makes it.
        counts: how often each value occurs, by split and by column of `COUNTED`.
        example: a small puzzle of it.
        files: the path of each split.
        columns: what each column is.
        unproved: how many puzzles were left out for want of a proof.
    """
    total = sum(some["difficulty"].total() for some in counts.values())
    sizes = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))
    data_files = "\n".join(f"  - split: {split}\n    path: {file}" for split, file in zip(counts, files, strict=True))
    return f"""---
license: mit
language: en
pretty_name: Temporal Clue
task_categories: [question-answering]
tags: [reasoning, deduction, puzzles, reinforcement-learning, grpo, trl]
size_categories: [{next((name for limit, name in sizes if total < limit), "n>1M")}]
configs:
- config_name: default
  data_files:
{data_files}
---

# Temporal Clue

{total:,} deduction puzzles: one night in Tudor Mansion, who killed Mr. Boddy, with what, where, when and why. The clues of each
puzzle leave {_determined(spec)}, and none of them can be left out; that can be checked from the text alone.

```python
from datasets import load_dataset

puzzles = load_dataset("{REPO}"){_usage(columns)}
```

{_columns(columns)}

## Statistics

{_statistics(counts)}

Difficulty is how deep one has to think for the deepest of a puzzle's questions, not how large it is. **easy**: unit propagation
over rules and clues gives every answer. **medium**: now and then one has to suppose a fact and follow it to a contradiction.
**hard**: suppositions within suppositions. `depths` has a figure for each question: 0 if a single clue gives the answer away, 1
propagation, 2 look-ahead, 3 search.
{_proofs(spec, unproved)}
No two puzzles are the same, even under other names. No two splits share a night (with or without other names), a clue set or
a prompt.{_excluded(spec)}

## A worked example

{_example(example)}

![the night of the example](night.svg)

## Check it, make it again

With the repository that made it (puzzles version {spec["version"]}):

```
python -m puzzles.verify {REPO}      # each prompt is read back, and proved with OR-Tools CP-SAT
{spec["command"]}
```

The second command makes the same bytes; the checksums are in `dataset.json`. MIT licence. The puzzle and its published form are
the work of Brad Hilton and Kyle Corbitt (*Temporal Clue*, 2025).
"""


def _determined(spec: dict) -> str:
    if spec["how"]["determine"] == "world":
        return "exactly one night possible"
    return "exactly one answer sheet possible (several nights may fit them)"


def _usage(columns: dict[str, str]) -> str:
    if "difficulty" not in columns:
        return ""
    return """  # `prompt` is a chat, ready for TRL; `solution` is the answer sheet
hard = puzzles["train"].filter(lambda row: row["difficulty"] == "hard")"""


def _columns(columns: dict[str, str]) -> str:
    table = markdown_table(("column", ""), ((f"`{name}`", meaning) for name, meaning in columns.items()))
    if "seed" in columns:
        table += "\n\nA row is a function of its own columns: `puzzles.dataset.regenerate(row)` makes it again."
    return table


def _proofs(spec: dict, unproved: int) -> str:
    if "proofs" not in spec:
        return ""
    left_out = f" {unproved:,} puzzles were left out, as no proof was found within a fixed effort." if unproved else ""
    return f"""
`proof` says why the answers are right, a numbered step a line, as short as could be found: each rests on clues, numbered in the
order of the prompt, and on earlier steps, none of which can be left out. CP-SAT has checked every step.{left_out}
"""


def _excluded(spec: dict) -> str:
    return " Puzzles of other files were kept out as well (`--exclude`)." if spec["excluded"] else ""


def _statistics(counts: dict[str, dict[str, Counter]]) -> str:
    rows = []
    for split, of in counts.items():
        bands, depths = of["difficulty"], of["depths"]
        shares = " / ".join(f"{depths[d] / depths.total():.0%}" for d in range(4))
        numbers = [f"{bands[name]:,}" for name in BANDS]
        clues = f"{statistics.median(of['clues'].elements()):.0f}, {max(of['clues'])}"
        rows.append([split, f"{bands.total():,}", *numbers, f"{depths.total():,}", shares, clues])
    header = ("split", "puzzles", *BANDS, "questions", "depth 0 / 1 / 2 / 3", "clues (median, most)")
    sizes = []
    for column in ("suspects", "weapons", "rooms", "times", "motives"):
        values = sum((of[column] for of in counts.values()), Counter())
        sizes.append((column, min(values), f"{statistics.median(values.elements()):.0f}", max(values)))
    return f"{markdown_table(header, rows)}\n\n{markdown_table(('of a puzzle', 'least', 'median', 'most'), sizes)}"


def _example(case: Case) -> str:
    s = case.puzzle.setting
    asked = [fill(q, a) for q, a in zip(case.puzzle.questions, case.solution.values(), strict=True)]
    steps = []
    for i, deduction in enumerate(deduce(case), 1):
        because = "; ".join(render(clue, s) for clue in deduction.because) or "the rules and what is known so far"
        bold = "**" if deduction.statement in asked else ""
        steps.append(f"{i}. {bold}{render(deduction.statement, s)}{bold}, by: {because}")
    answers = "\n".join(f"{letter}. {answer}" for letter, answer in case.solution.items())
    deductions = "\n".join(steps)
    return f"""```
{prompt(case.puzzle, "compact")}
```

It is {band(case.depths)}. One way to the answers, which are in bold:

{deductions}

```
{answers}
```"""
