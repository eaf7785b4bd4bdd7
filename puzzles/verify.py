"""Certify puzzles from their text alone.

  python -m puzzles.verify outputs/temporal-clue             a dataset that `make dataset` made
  python -m puzzles.verify name/temporal-clue                one on the Hub
  python -m puzzles.verify test.parquet --sample 20          twenty rows, drawn at random
  python -m puzzles.verify published_val.json                a JSON list of rows; rows.jsonl has one on each line

Each prompt is read back into a puzzle, and the whole text has to match the text of that puzzle, word for word, in one of the
wordings of `prompts.py` (the row's own, if it has a column `wording`) or in that of the published prompts. Only line ends,
blank lines and space at the end of a line may differ, and the order of suspects, weapons, motives and clues, which carries no
meaning. Names have to be those of the published game, since a misspelled name that no clue mentions would go unnoticed
otherwise. In a chat the puzzle is the last message of the user.

Then CP-SAT, which had no part in making the puzzle, proves that a night fits the clues, that no other does (or none with other
answers, where a row has `determine: answers`), that the recorded answers are that night's, and that no clue can be left out.
Each faulty row gets a line of output, with a night that shows the problem where there is one; the exit code is then 1.

The published generator reads "a suspect motivated by M moved from R to S" so loosely that with a shared motive one suspect
may have been in R and another in S (`--reading published`). In plain English it is one suspect who moved (`--reading plain`).
By default a prompt in the wording of the published prompts is read as they mean it, and any other in plain English.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from reprlib import repr as shortened
from typing import Any

from tqdm import tqdm

from puzzles.clues import Clue, Murder, Puzzle, answer, answer_options, facts, with_answer
from puzzles.cpsat import find_night, redundant
from puzzles.dataset.load import read_rows
from puzzles.dataset.rows import READINGS, prompt_text, reading_of, stated
from puzzles.generator import DETERMINE
from puzzles.parallel import in_order
from puzzles.prompts import ORIGINAL, WORDINGS, first_difference, read_prompt, wording_of
from puzzles.scenario import MOTIVES, ROOMS, SUSPECTS, WEAPONS, Night
from puzzles.sentences import quoted, render

COLUMNS = ("prompt", "solution", "determine", "wording")  # the columns of a row that are used
SHOWN = 4  # how many differences between two nights are named, and how many clues that can be left out


def row_problems(row: Any, reading: str | None = None) -> list[str]:
    """What is wrong with a row, one phrase without a full stop per problem; [] if it is sound.

    Args:
        row: with the columns `prompt` and `solution`, perhaps `determine` and `wording`; any others are ignored.
        reading: one of `READINGS`, see `puzzle_of`; by default the one that the wording of the prompt implies.
    """
    return [problem.rstrip(".") for problem in _problems(row, reading)]


def _problems(row: Any, reading: str | None) -> list[str]:
    try:
        text = prompt_text(row)
        puzzle = read_prompt(text)
    except ValueError as error:
        return [f"it cannot be read: {error}"]
    wording = row.get("wording")
    if wording not in (*WORDINGS, ORIGINAL):
        wording = wording_of(text, puzzle)
    if problems := [*text_problems(text, puzzle, wording, row.get("determine"))]:
        return problems
    try:
        return [*_puzzle_problems(puzzle, stated(puzzle, reading or reading_of(wording)), row)]
    except ValueError as error:
        return [f"it cannot be proved: {error}"]


def text_problems(text: str, puzzle: Puzzle, wording: str, determine: Any = None) -> Iterator[str]:
    """What is wrong with a row before anything is proved: its text, its names, its questions."""
    s = puzzle.setting
    if found := first_difference(text, puzzle, wording):
        yield found
    if determine not in (None, *DETERMINE):
        yield f"its `determine` is {shortened(determine)}, but should be {' or '.join(DETERMINE)}"
    for kind, names, known in (
        ("suspect", s.suspects, SUSPECTS),
        ("weapon", s.weapons, WEAPONS),
        ("room", s.rooms, ROOMS),
        ("motive", s.motive_names, MOTIVES),
    ):
        yield from (f"{quoted(name)} is not a {kind} of the game: {', '.join(known)}" for name in names if name not in known)
    first = len(puzzle.questions) - puzzle.bonus
    for i, question in enumerate(puzzle.questions):
        if question in puzzle.questions[:i]:
            yield f"it asks twice: {render(question, s)}"
        if isinstance(question, Murder) != (i < first):
            yield f"{render(question, s)} {'should' if i < first else 'should not'} be a bonus question"


def _puzzle_problems(puzzle: Puzzle, groups: list[list[Clue]], row: dict) -> Iterator[str]:
    """What CP-SAT finds wrong with a puzzle; each group holds what one clue states."""
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
            yield f"{render(question, s)} This has more than one answer"
            return
    determined = [*map(with_answer, puzzle.questions, answers)] if row.get("determine") == "answers" else facts(night)
    if other := find_night(s, statements, not_all=determined):
        yield f"more than one night fits the clues: {_describe_difference(night, other)}"
        return
    try:
        for question, proved, recorded in zip(puzzle.questions, answers, _answers(row, puzzle), strict=True):
            if proved != recorded:
                said = recorded if recorded in answer_options(question, s) else quoted(recorded, 60)
                yield f"{render(question, s)} The recorded answer is {said}, but in the only night that fits it is {proved}"
    except ValueError as error:
        yield str(error)
    for i in islice(redundant(s, groups, determined), SHOWN):
        yield f"the clue {render(puzzle.clues[i], s)!r} can be left out"


def _answers(row: dict, puzzle: Puzzle) -> list[str]:
    """The recorded answers in the order of the questions. Arrow fills the letters that a puzzle does not have with None.

    Raises:
        ValueError: if there is not one answer for each question.
    """
    solution = row.get("solution")
    if isinstance(solution, dict):
        solution = {letter: answer for letter, answer in solution.items() if answer is not None}
        letters = [chr(65 + i) for i in range(len(puzzle.questions))]
        if list(solution) != letters:
            given = quoted(", ".join(map(str, solution)), 200)
            raise ValueError(f"the letters of the solution are {given}, those of the questions {', '.join(letters)}")
        solution = list(solution.values())
    if not (isinstance(solution, list | tuple) and all(isinstance(answer, str) for answer in solution)):
        raise ValueError("it has no `solution` that is a list or a dict of strings")
    if len(solution) != len(puzzle.questions):
        raise ValueError(f"the solution has {len(solution)} answers for {len(puzzle.questions)} questions")
    return list(solution)


def _describe_difference(night: Night, other: Night) -> str:
    """How another night differs from this one, in the words of the clues."""
    s = night.setting
    pairs = [(a, b) for a, b in zip(facts(other), facts(night), strict=True) if a != b]
    named = "; ".join(f"{render(a, s)} or {render(b, s)}" for a, b in pairs[:SHOWN])
    return named + (f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


# ---------------------------------------------------------------- the command


def _picklable(row: Any) -> Any:
    """What `row_problems` needs of a row, for another process: pickle fails on values nested hundreds of levels deep."""
    if isinstance(row, dict):
        row = {name: row[name] for name in COLUMNS if name in row}
    return "something nested too deeply" if _is_deep(row) else row


def _is_deep(value: Any, levels: int = 8) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deep(part, levels - 1) for part in parts)


def _verdict(work: tuple[str, Any], reading: str | None) -> tuple[str, list[str]]:
    name, row = work
    return name, row_problems(row, reading)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a Parquet, JSON or JSON Lines file, a folder, or a dataset's id on the Hub")
    parser.add_argument("--sample", type=int, metavar="N", help="certify only N rows of each split, drawn at random")
    parser.add_argument(
        "--reading", choices=READINGS, help="how to read a move by one of several with a motive (default: by the wording)"
    )
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), help="processes (default: one per core)")
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
    work = ((f"{split} {i}", _picklable(row)) for split, rows in splits.items() for i, row in rows.numbered(chosen[split]))
    faulty = 0
    verdicts = in_order(partial(_verdict, reading=args.reading), work, min(args.num_proc, total) or 1)
    try:
        for name, problems in tqdm(verdicts, total=total, unit="puzzle"):
            faulty += bool(problems)
            if problems:
                tqdm.write(f"{name}: {'; '.join(problems)}.")
    except ChildProcessError as error:
        sys.exit(f"python -m puzzles.verify: {error}.")
    except (OSError, ValueError) as error:
        parser.error(f"{args.source} cannot be read to the end: {error}")
    print(f"{total - faulty} of {total} puzzles are satisfiable, unique, minimal and correctly answered.")
    return 1 if faulty or not total else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
