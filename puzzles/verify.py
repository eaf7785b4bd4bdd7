"""Certify puzzles from their text alone.

  python -m puzzles.verify outputs/temporal-clue             a dataset that `make dataset` wrote
  python -m puzzles.verify name/temporal-clue                one on the Hub
  python -m puzzles.verify test.parquet --sample 20          twenty rows, drawn at random
  python -m puzzles.verify published_val.json                a JSON list of rows; rows.jsonl has one on each line

Each prompt is read back into a puzzle, and the whole text has to be the text of that puzzle, word for word, in one of the
wordings of `english.py` (the row's own, if it has a column `wording`) or in that of the published prompts. Only line ends,
blank lines and space at the end of a line may differ, and the order of suspects, weapons, motives and clues, which says
nothing. Names are those of the published game, since a misspelt name that no clue mentions could not be noticed otherwise. Of
several messages the last one of the user is the puzzle.

Then CP-SAT, which had no part in making the puzzle, shows that a night fits the clues, that no other does (or none with other
answers, where a row says `determine: answers`), that the recorded answers are that night's, and that no clue can be left out.
A faulty row is a line of output, with a night that shows the fault where there is one, and exit code 1.

The published generator reads "a suspect motivated by M moved from R to S" so loosely that with a shared motive one suspect
may have been in R and another in S (`--reading published`). In plain English it is one suspect who moved (`--reading plain`).
Without `--reading` a prompt in the wording of the published prompts is read as they mean it, and any other in plain English.

Rows are read as they are needed, so that a million take no more memory than a thousand; a JSON list is read whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import pyarrow.parquet as pq
from datasets import load_dataset
from tqdm import tqdm

from puzzles.clues import At, Carried, Clue, Moved, Murder, Puzzle, answer, candidates, facts, fill
from puzzles.english import ORIGINAL, WORDINGS, difference, quoted, read_prompt, render, wording_of
from puzzles.generate import DETERMINE
from puzzles.messages import text_of
from puzzles.parallel import in_order
from puzzles.scenario import MOTIVES, ROOMS, SUSPECTS, WEAPONS, Night
from puzzles.solver import find_night, spare

COLUMNS = ("prompt", "solution", "determine", "wording")  # what is looked at in a row
READINGS = ("plain", "published")
SHOWN = 4  # how many differences of a counter-night are named, and how many clues that can be left out
BATCH = 200  # rows of a Parquet file in memory at once


# ---------------------------------------------------------------- rows


class Rows:
    """The rows of a split, read from their file each time that somebody goes through them.

    Args:
        count: how many there are.
        read: gives the rows of ascending indices as pairs, with the number by which a row is found in its file: the index,
            from 0, or in a file of lines the line, from 1. A row that is no JSON object is what stands in its place.
    """

    def __init__(self, count: int, read: Callable[[Sequence[int]], Iterator[tuple[int, Any]]]):
        self.count, self.read = count, read

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return (row for _, row in self.numbered())

    def numbered(self, indices: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        """The rows of these ascending indices, or all of them, each with its number."""
        return self.read(range(self.count) if indices is None else indices)


def read_rows(source: str) -> dict[str, Rows]:
    """The rows of a JSON, JSON Lines or Parquet file, of a folder, or of a dataset on the Hub, by split.

    Raises:
        ValueError: if there is nothing of that name, or it cannot be read.
    """
    path = Path(source)
    try:
        if path.suffix in FORMATS:
            name, rows = FORMATS[path.suffix](path)
            return {name: rows}
        if path.is_file():
            raise ValueError(f"it ends in {path.suffix!r}, and should be {', '.join(FORMATS)}")
        # Parquet directly: `load_dataset` caches a folder by its name, and may give what another one of that name held.
        if files := sorted(path.glob("data/*.parquet")):
            return dict(map(_parquet, files))
        if not path.is_dir() and source.count("/") != 1:
            raise ValueError("it is neither a file, nor a folder, nor the id of a dataset on the Hub (name/dataset)")
        return {split: _listed(rows) for split, rows in load_dataset(source).items()}
    except Exception as error:  # whatever pyarrow, datasets or the network object to
        raise ValueError(f"{source} cannot be read: {(str(error) or repr(error)).splitlines()[0]}.") from error


def _listed(rows: Sequence) -> Rows:
    return Rows(len(rows), lambda wanted: ((i, rows[i]) for i in wanted))


def _json(path: Path) -> tuple[str, Rows]:
    try:
        rows = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{error} (with one object on each line it is JSON Lines: call it .jsonl)") from error
    if not isinstance(rows, list):
        raise ValueError("it is no list of rows")
    return "row", _listed(rows)


def _jsonl(path: Path) -> tuple[str, Rows]:
    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        with path.open("rb") as file:
            numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            for i, (number, line) in enumerate(numbered):
                at = bisect_left(wanted, i)
                if at == len(wanted):
                    return
                if wanted[at] == i:
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError):
                        yield number, line.decode(errors="replace").rstrip()

    with path.open("rb") as file:
        count = sum(bool(line.strip()) for line in file)
    return "line", Rows(count, read)


def _parquet(path: Path) -> tuple[str, Rows]:
    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        with pq.ParquetFile(path, buffer_size=2**20) as file:  # without it Arrow holds a row group's whole column
            at = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if bisect_left(wanted, at) == bisect_left(wanted, at + rows):  # none of them in this group
                    at += rows
                    continue
                for batch in file.iter_batches(BATCH, [group]):
                    if some := wanted[bisect_left(wanted, at) : bisect_left(wanted, at + len(batch))]:
                        yield from zip(some, batch.take([i - at for i in some]).to_pylist(), strict=True)
                    at += len(batch)

    with pq.ParquetFile(path) as file:
        return path.stem, Rows(file.metadata.num_rows, read)


FORMATS = {".parquet": _parquet, ".json": _json, ".jsonl": _jsonl}


# ---------------------------------------------------------------- a row


def puzzle_of(row: Any, reading: str | None = None) -> tuple[Puzzle, list[Clue]]:
    """The puzzle that a row's prompt describes, and all that its clues state, in one of `READINGS` or as its wording means it.

    Raises:
        ValueError: if the row has no prompt, or one that cannot be read.
    """
    text = _text(row)
    puzzle = read_prompt(text)
    return puzzle, [*chain(*_groups(puzzle, reading or _reading(wording_of(text, puzzle))))]


def _text(row: Any) -> str:
    """The text of a row's puzzle: its prompt, or the last message of the user in it."""
    if not isinstance(row, dict):
        raise ValueError(f"it is no object with `prompt` and `solution`, but {shortened(row)}")
    text = text_of(row.get("prompt"), role="user", text_only=True)
    if text is None:
        raise ValueError("it has no `prompt` that is text, or a chat with a message of the user's that is text")
    return text


def _answers(row: dict, puzzle: Puzzle) -> list[str]:
    """The recorded answers in the order of the questions. Arrow fills the letters that a puzzle does not have with None."""
    solution = row.get("solution")
    if isinstance(solution, dict):
        solution = {letter: answer for letter, answer in solution.items() if answer is not None}
        letters = [chr(65 + i) for i in range(len(puzzle.questions))]
        if list(solution) != letters:
            given = quoted(", ".join(map(str, solution)), 200)
            raise ValueError(f"the letters of the solution are {given}, those of the questions {', '.join(letters)}")
        solution = list(solution.values())
    if not (isinstance(solution, list | tuple) and all(isinstance(answer, str) for answer in solution)):
        raise ValueError("it has no `solution` that is a list or a dict of texts")
    if len(solution) != len(puzzle.questions):
        raise ValueError(f"the solution has {len(solution)} answers for {len(puzzle.questions)} questions")
    return list(solution)


def faults(row: Any, reading: str | None = None) -> list[str]:
    """What is wrong with a row (`prompt`, `solution`, perhaps `determine`, `wording`): a phrase a fault, none if it is sound.

    Args:
        reading: one of `READINGS`; without one it goes by the wording of the prompt.
    """
    try:
        text = _text(row)
        puzzle = read_prompt(text)
    except ValueError as error:
        return [f"it cannot be read: {error}"]
    wording = row.get("wording")
    if wording not in (*WORDINGS, ORIGINAL):
        wording = wording_of(text, puzzle)
    if wrong := [*misprints(text, puzzle, wording, row.get("determine"))]:
        return wrong
    try:
        return [*_faults(puzzle, _groups(puzzle, reading or _reading(wording)), row)]
    except ValueError as error:
        return [f"it cannot be proved: {error}"]


def misprints(text: str, puzzle: Puzzle, wording: str, determine: Any = None) -> Iterator[str]:
    """What is wrong with a row before anything is proved."""
    s = puzzle.setting
    if found := difference(text, puzzle, wording):
        yield found
    if determine not in (None, *DETERMINE):
        yield f"its `determine` is {shortened(determine)}, and should be {' or '.join(DETERMINE)}"
    for kind, names, known in (
        ("suspect", s.suspects, SUSPECTS),
        ("weapon", s.weapons, WEAPONS),
        ("room", s.rooms, ROOMS),
        ("motive", s.motive_names, MOTIVES),
    ):
        yield from (f"{quoted(name)} is no {kind} of the game: {', '.join(known)}" for name in names if name not in known)
    first = len(puzzle.questions) - puzzle.bonus
    for i, question in enumerate(puzzle.questions):
        if question in puzzle.questions[:i]:
            yield f"it asks twice: {render(question, s)}"
        if isinstance(question, Murder) != (i < first):
            yield f"{render(question, s)} {'should' if i < first else 'should not'} be a bonus question"


def _faults(puzzle: Puzzle, groups: list[list[Clue]], row: dict) -> Iterator[str]:
    s, statements = puzzle.setting, [*chain(*groups)]
    night = find_night(s, statements)
    if night is None:
        yield "the clues contradict each other: no night fits them"
        return
    answers = []
    for question in puzzle.questions:
        try:
            answers.append(answer(question, night))
        except ValueError:
            yield f"{render(question, s)} There is more than one answer"
            return
    determined = [*map(fill, puzzle.questions, answers)] if row.get("determine") == "answers" else facts(night)
    if other := find_night(s, statements, not_all=determined):
        yield f"more than one night fits the clues: {_difference(night, other)}"
        return
    try:
        for question, proved, recorded in zip(puzzle.questions, answers, _answers(row, puzzle), strict=True):
            if proved != recorded:
                said = recorded if recorded in candidates(question, s) else quoted(recorded, 60)
                yield f"{render(question, s)} The recorded answer is {said}, but in the only night that fits it is {proved}"
    except ValueError as error:
        yield str(error)
    for i in islice(spare(s, groups, determined), SHOWN):
        yield f"the clue {render(puzzle.clues[i], s)!r} can be left out"


def _difference(night: Night, other: Night) -> str:
    """In what a night differs from another one, in the words of the clues."""
    s = night.setting
    pairs = [(a, b) for a, b in zip(facts(other), facts(night), strict=True) if a != b]
    named = "; ".join(f"{render(a, s)} or {render(b, s)}" for a, b in pairs[:SHOWN])
    return named + (f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


def _reading(wording: str) -> str:
    return "published" if wording == ORIGINAL else "plain"


def _groups(puzzle: Puzzle, reading: str) -> list[list[Clue]]:
    """What each clue states: itself, or as published two places for a move, each perhaps of another suspect."""
    return [_loosely(clue, puzzle) if reading == "published" else [clue] for clue in puzzle.clues]


def _loosely(clue: Clue, puzzle: Puzzle) -> list[Clue]:
    if not isinstance(clue, (Moved, Carried)) or clue.who not in puzzle.setting.motive_counts:
        return [clue]
    before = puzzle.setting.before(clue.time)
    places: list[Clue] = [At(clue.who, clue.origin, before), At(clue.who, clue.destination, clue.time)]
    return places + ([Moved(clue.weapon, clue.origin, clue.destination, clue.time)] if isinstance(clue, Carried) else [])


# ---------------------------------------------------------------- the command


def _handed(row: Any) -> Any:
    """What `faults` needs of a row, so that it can be handed to another process: pickle fails on what is nested hundredfold."""
    if isinstance(row, dict):
        row = {name: row[name] for name in COLUMNS if name in row}
    return "something nested too deeply" if _deep(row) else row


def _deep(value: Any, levels: int = 8) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deep(part, levels - 1) for part in parts)


def _verdict(work: tuple[str, Any], reading: str | None) -> tuple[str, list[str]]:
    name, row = work
    return name, faults(row, reading)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a Parquet, JSON or JSON Lines file, a folder, or a dataset's id on the Hub")
    parser.add_argument("--sample", type=int, metavar="N", help="certify N rows of each split, drawn at random, not all")
    parser.add_argument("--reading", choices=READINGS, help="how a move of a shared motive is read (default: by the wording)")
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), help="processes (default: as many as cores)")
    args = parser.parse_args()
    for option, value in (("--sample", args.sample), ("--num-proc", args.num_proc)):
        if value is not None and value < 1:
            parser.error(f"{option} {value} is impossible: at least 1 is needed.")
    try:
        splits = read_rows(args.source)
    except ValueError as error:
        parser.error(str(error))
    chosen = {split: range(len(rows)) for split, rows in splits.items()}
    if args.sample is not None:
        chosen = {split: sorted(random.Random(0).sample(some, min(args.sample, len(some)))) for split, some in chosen.items()}
    total = sum(map(len, chosen.values()))
    work = ((f"{split} {i}", _handed(row)) for split, rows in splits.items() for i, row in rows.numbered(chosen[split]))
    faulty = 0
    verdicts = in_order(partial(_verdict, reading=args.reading), work, min(args.num_proc, total) or 1)
    try:
        for name, wrong in tqdm(verdicts, total=total, unit="puzzle"):
            faulty += bool(wrong)
            if wrong:
                tqdm.write(f"{name}: {'; '.join(wrong)}.")
    except (OSError, ValueError) as error:
        parser.error(f"{args.source} cannot be read to its end: {error}")
    print(f"{total - faulty} of {total} puzzles are satisfiable, unique, minimal and rightly answered.")
    return 1 if faulty or not total else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
