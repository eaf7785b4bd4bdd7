"""Certify puzzles from their text alone.

  python -m puzzles.verify outputs/temporal-clue             a dataset that `make dataset` wrote
  python -m puzzles.verify name/temporal-clue                one on the Hub
  python -m puzzles.verify test.parquet --sample 20          twenty rows, drawn at random
  python -m puzzles.verify published_val.json                a JSON list of rows

Each prompt is read back into clues, and CP-SAT, which had no part in making them, shows that a night fits the clues, that
no other does (or none with other answers, where a row says `determine: answers`), that the recorded answers are that
night's, and that no clue can be left out. A faulty row is a line of output, with a night that shows the fault where there
is one, and exit code 1.

The published generator reads "a suspect motivated by M moved from R to S" so loosely that with a shared motive one suspect
may have been in R and another in S. Published files (recognised by their `num_clues`) are read the same way; in plain
English, as everywhere else here, it is one suspect who moved.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
from datasets import load_dataset
from tqdm import tqdm

from puzzles.clues import At, Carried, Clue, Moved, Puzzle, answer, facts, fill
from puzzles.english import read_prompt, render
from puzzles.parallel import in_order
from puzzles.scenario import Night
from puzzles.solver import find_night, spare

SHOWN = 4  # how many differences of a counter-night are named


def read_rows(source: str) -> dict[str, Sequence[dict]]:
    """The rows of a JSON or Parquet file, of a folder, or of a dataset on the Hub, by split.

    Raises:
        ValueError: if there is nothing of that name, or it cannot be read.
    """
    path = Path(source)
    try:
        if path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
            if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
                raise ValueError("it is no list of rows")
            return {"row": rows}
        # Parquet directly: `load_dataset` caches a folder by its name, and may give what another one of that name held.
        files = [path] if path.suffix == ".parquet" else sorted(path.glob("data/*.parquet"))
        if files:
            return {file.stem: pq.read_table(file).to_pylist() for file in files}
        if not path.is_dir() and source.count("/") != 1:
            raise ValueError("it is neither a file, nor a folder, nor the id of a dataset on the Hub (name/dataset)")
        return dict(load_dataset(source))
    except Exception as error:  # whatever pyarrow, datasets or the network object to
        raise ValueError(f"{source} cannot be read: {(str(error) or repr(error)).splitlines()[0]}.") from error


def puzzle_of(row: dict) -> tuple[Puzzle, list[Clue]]:
    """The puzzle that a row's prompt describes, and all that its clues state.

    Raises:
        ValueError: if the row has no prompt, or one that cannot be read.
    """
    try:
        text = row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"it has no `prompt` that is text or a chat ({error!r})") from error
    puzzle = read_prompt(text)
    return puzzle, [*chain(*_groups(puzzle, row))]


def faults(row: dict) -> list[str]:
    """What is wrong with a row (`prompt`, `solution`, perhaps `determine`): a phrase a fault, none if it is sound."""
    try:
        puzzle, statements = puzzle_of(row)
        solution = row["solution"]
        solution = list(solution.values()) if isinstance(solution, dict) else list(solution)
    except (KeyError, TypeError) as error:
        return [f"it has no `solution` that is a list or a dict ({error!r})"]
    except ValueError as error:
        return [f"it cannot be read: {error}"]
    try:
        return [*_faults(puzzle, statements, solution, row)]
    except (TimeoutError, ValueError) as error:
        return [f"it cannot be proved: {error}"]


def _faults(puzzle: Puzzle, statements: list[Clue], solution: list[str], row: dict) -> Iterator[str]:
    s = puzzle.setting
    night = find_night(s, statements)
    if night is None:
        yield "the clues contradict each other: no night fits them"
        return
    answers = [answer(question, night) for question in puzzle.questions]
    determined = facts(night)
    if row.get("determine") == "answers":
        determined = [fill(q, a) for q, a in zip(puzzle.questions, answers, strict=True)]
    if other := find_night(s, statements, not_all=determined):
        yield f"more than one night fits the clues: {_difference(night, other)}"
        return
    if len(solution) != len(answers):
        yield f"the solution has {len(solution)} answers for {len(answers)} questions"
    for question, proved, recorded in zip(puzzle.questions, answers, solution, strict=False):
        if proved != recorded:
            yield f"{render(question, s)} The recorded answer is {recorded}, but in the only night that fits it is {proved}"
    for i in spare(s, _groups(puzzle, row), determined):
        yield f"the clue {render(puzzle.clues[i], s)!r} can be left out"


def _difference(night: Night, other: Night) -> str:
    """In what a night differs from another one, in the words of the clues."""
    s = night.setting
    pairs = [(a, b) for a, b in zip(facts(other), facts(night), strict=True) if a != b]
    named = "; ".join(f"{render(a, s)} or {render(b, s)}" for a, b in pairs[:SHOWN])
    return named + (f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


def _groups(puzzle: Puzzle, row: dict) -> list[list[Clue]]:
    """What each clue states: itself, or in a published file two places for a move, each perhaps of another suspect."""
    return [_loosely(clue, puzzle) if "num_clues" in row else [clue] for clue in puzzle.clues]


def _loosely(clue: Clue, puzzle: Puzzle) -> list[Clue]:
    if not isinstance(clue, (Moved, Carried)) or clue.who not in puzzle.setting.motive_counts:
        return [clue]
    before = puzzle.setting.before(clue.time)
    places: list[Clue] = [At(clue.who, clue.origin, before), At(clue.who, clue.destination, clue.time)]
    return places + ([Moved(clue.weapon, clue.origin, clue.destination, clue.time)] if isinstance(clue, Carried) else [])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a JSON or Parquet file, a folder, or a dataset's id on the Hub")
    parser.add_argument("--sample", type=int, metavar="N", help="certify N rows of each split, drawn at random, not all")
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), help="processes (default: as many as cores)")
    args = parser.parse_args()
    try:
        splits = read_rows(args.source)
    except ValueError as error:
        parser.error(str(error))
    names, rows = [], []
    for split, some in splits.items():
        chosen = range(len(some))
        if args.sample is not None and args.sample < len(some):
            chosen = sorted(random.Random(0).sample(chosen, args.sample))
        names += [f"{split} {i}" if split != "row" else f"row {i}" for i in chosen]
        rows += [some[i] for i in chosen]
    faulty = 0
    verdicts = in_order(faults, rows, min(args.num_proc, len(rows)) or 1)
    for name, wrong in zip(names, tqdm(verdicts, total=len(rows), unit="puzzle"), strict=True):
        faulty += bool(wrong)
        if wrong:
            tqdm.write(f"{name}: {'; '.join(wrong)}.")
    print(f"{len(rows) - faulty} of {len(rows)} puzzles are satisfiable, unique, minimal and rightly answered.")
    return 1 if faulty or not rows else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
