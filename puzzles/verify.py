"""Certify puzzles from their text alone: `python -m puzzles.verify puzzles.json`.

Each prompt is read back into clues, and CP-SAT, which had no part in making them, shows that a night fits the clues, that
no other does, that the recorded answers are that night's, and that no clue can be left out. A faulty row is a line of output
and exit code 1.

The published generator reads "a suspect motivated by M moved from R to S" so loosely that with a shared motive one suspect
may have been in R and another in S. Published files (recognised by their `num_clues`) are read the same way; in plain
English, as everywhere else here, it is one suspect who moved.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from puzzles.clues import At, Carried, Clue, Moved, Puzzle, answer, facts
from puzzles.english import read_prompt, render
from puzzles.solver import find_night


def faults(puzzle: Puzzle, solution: list[str], loose: bool = False) -> list[str]:
    """What is wrong with a puzzle and its recorded answers: one sentence a fault, none if it is sound.

    Args:
        loose: read moves by a suspect with a shared motive as the published generator does.
    """
    s = puzzle.setting
    statements = [_loosely(clue, puzzle) if loose else [clue] for clue in puzzle.clues]
    night = find_night(s, [*chain(*statements)])
    if night is None:
        return ["the clues contradict each other: no night fits them."]
    if other := find_night(s, [*chain(*statements)], not_all=facts(night)):
        differences = [
            f"{p} in the {night.place[p, t]} or the {r} at {t}" for (p, t), r in other.place.items() if night.place[p, t] != r
        ]
        return [f"more than one night fits the clues, for example with {differences[0] if differences else 'another murder'}."]
    found = []
    answers = [answer(question, night) for question in puzzle.questions]
    if len(solution) != len(answers):
        found.append(f"the solution has {len(solution)} answers for {len(answers)} questions.")
    for question, proved, recorded in zip(puzzle.questions, answers, solution, strict=False):
        if proved != recorded:
            found.append(f"{render(question, s)} The recorded answer is {recorded}, the proved one is {proved}.")
    for i, clue in enumerate(puzzle.clues):
        others = [*chain(*statements[:i], *statements[i + 1 :])]
        if find_night(s, others, not_all=facts(night)) is None:
            found.append(f"the clue {render(clue, s)!r} can be left out.")
    return found


def _loosely(clue: Clue, puzzle: Puzzle) -> list[Clue]:
    """A move as two places, each of which may be another suspect's if the motive is shared."""
    if not isinstance(clue, (Moved, Carried)) or clue.who not in puzzle.setting.motive_counts:
        return [clue]
    before = puzzle.setting.before(clue.time)
    places: list[Clue] = [At(clue.who, clue.origin, before), At(clue.who, clue.destination, clue.time)]
    return places + ([Moved(clue.weapon, clue.origin, clue.destination, clue.time)] if isinstance(clue, Carried) else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a JSON list of rows with `prompt` (text or chat) and `solution`")
    args = parser.parse_args()
    try:
        rows = json.loads(args.file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(f"{args.file} cannot be read as JSON: {error}")
    faulty = 0
    for i, row in enumerate(tqdm(rows, unit="puzzle")):
        try:
            text = row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
            solution = list(row["solution"].values()) if isinstance(row["solution"], dict) else row["solution"]
            wrong = faults(read_prompt(text), solution, loose="num_clues" in row)
        except (KeyError, TypeError, IndexError) as error:
            wrong = [f"it is not a row with a `prompt` and a `solution`: {error!r}."]
        except ValueError as error:
            wrong = [f"it cannot be read: {error}"]
        faulty += bool(wrong)
        for fault in wrong:
            tqdm.write(f"row {i}: {fault}")
    print(f"{len(rows) - faulty} of {len(rows)} puzzles are satisfiable, unique, minimal and rightly answered.")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
