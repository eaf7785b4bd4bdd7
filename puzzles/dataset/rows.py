"""A row of the dataset: its columns, made from a puzzle, remade from themselves, and read back into a puzzle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain, count
from reprlib import repr as shortened
from statistics import fmean
from typing import Any

from datasets import Dataset, Features, Value
from datasets import List as ListOf

from puzzles.clues import At, Carried, Clue, Moved, Puzzle, answer_options
from puzzles.difficulty import BANDS, band
from puzzles.generator import VERSION, Case, NothingToAskError, generate
from puzzles.messages import text_of
from puzzles.prompts import ORIGINAL, prompt, read_prompt, wording_of
from puzzles.proof import explain, prove
from puzzles.scenario import Size
from puzzles.sentences import render

HELD_OUT = 1_000_000_000  # index of the first held-out puzzle of a run, far beyond any training puzzle of the same series
FRESH = HELD_OUT + 10_000  # index of the first puzzle that a run with this seed neither trains on nor is evaluated on
PATIENCE = 5_000  # consecutive indices without a wanted puzzle before a search gives up
READINGS = ("plain", "published")

COLUMNS = {  # the name of a column, its type, and what it is
    "prompt": (ListOf({"role": Value("string"), "content": Value("string")}), "the puzzle, a chat of one user message"),
    "solution": (ListOf(Value("string")), "the right answers, in the order of the questions"),
    "questions": (ListOf(Value("string")), "the questions, as the prompt asks them after `A. `, `B. ` …"),
    "id": (Value("string"), "the row's name, which no other puzzle or wording has: version, seed, index, digest of the rest"),
    "difficulty": (Value("string"), "easy, medium or hard"),
    "depths": (ListOf(Value("int64")), "how deep one has to think for each answer, 0 to 3"),
    "seed": (Value("int64"), "the series"),
    "index": (Value("int64"), "the place in the series"),
    "players": (Value("string"), "the players that the size was drawn for, such as 1-6; null if the size was given"),
    **{name: (Value("int64"), f"how many {name}") for name in ("suspects", "weapons", "rooms", "times", "motives", "clues")},
    "directness": (Value("float64"), "how much plain statements were preferred, 0 as published"),
    "determine": (Value("string"), "what the clues leave no doubt about: `world`, the whole night, or `answers`"),
    "min_depth": (Value("int64"), "questions of a smaller depth were left out"),
    "wording": (Value("string"), "how the prompt is framed"),
    "version": (Value("int64"), "of the generator"),
}
FEATURES = Features({name: kind for name, (kind, _) in COLUMNS.items()})
FEATURES_WITH_PROOF = Features(FEATURES | {"proof": Value("string")})


def build(
    seed: int,
    first: int,
    count: int,
    size: Size | None = None,
    *,
    wording: str = "clear",
    num_proc: int | None = None,
    **options,
) -> Dataset:
    """The puzzles first … first + count − 1 of the series `seed`; the same rows whatever `num_proc` is.

    Args:
        options: further keyword arguments of `generate`.
    """
    if count < 1:
        raise ValueError(f"count={count} is not a number of puzzles: ask for at least 1.")
    return Dataset.from_dict({"index": range(first, first + count)}).map(
        lambda index: row(generate(seed, index, size, **options), wording, size=size, **options),
        input_columns="index",
        features=FEATURES,
        num_proc=num_proc,
        desc="puzzles",
        load_from_cache_file=False,
    )


def series(seed: int, first: int = 0, *, difficulty: str | None = None, wording: str = "clear", **options) -> Iterator[dict]:
    """The rows of the series `seed` from index `first` on, without end; with `difficulty`, only those of that band.

    Args:
        options: further keyword arguments of `generate`.

    Raises:
        ValueError: if there is no such band, or none of `PATIENCE` consecutive puzzles is of it.
    """
    if difficulty not in (None, *BANDS):
        raise ValueError(f"difficulty={difficulty!r} is unknown: choose one of {', '.join(BANDS)}, or leave it out.")
    last = first
    for index in count(first):
        if index - last > PATIENCE:
            raise ValueError(f"none of {PATIENCE:,} puzzles is {difficulty}: choose another difficulty or size.")
        try:
            case = generate(seed, index, **options)
        except NothingToAskError:
            continue
        if difficulty in (None, band(case.depths)):
            last = index
            yield row(case, wording, **options)


def row(case: Case, wording: str = "clear", **options) -> dict:
    """The row of a puzzle that was generated with the keyword arguments `options`; its columns are `COLUMNS`."""
    s = case.puzzle.setting
    low, high = options.get("players", (1, 6))
    columns = {
        "prompt": [{"role": "user", "content": prompt(case.puzzle, wording)}],
        "solution": list(case.solution.values()),
        "questions": [render(question, s) for question in case.puzzle.questions],
        "id": "",
        "difficulty": band(case.depths),
        "depths": case.depths,
        "seed": case.seed,
        "index": case.index,
        "players": None if options.get("size") else f"{low}-{high}",
        "suspects": len(s.suspects),
        "weapons": len(s.weapons),
        "rooms": len(s.rooms),
        "times": len(s.times),
        "motives": len(s.motives),
        "clues": len(case.puzzle.clues),
        "directness": float(options.get("directness", 0.0)),
        "determine": options.get("determine", "world"),
        "min_depth": options.get("min_depth", 0),
        "wording": wording,
        "version": VERSION,
    }
    address = json.dumps([columns["wording"], *address_of(columns).values()], default=asdict)
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return columns | {"id": f"v{VERSION}-{case.seed}-{case.index}-{digest}"}


def address_of(row: dict) -> dict:
    """The keyword arguments of `generate` that a row's puzzle was made with."""
    drawn = isinstance(row["players"], str)  # None, and NaN in pandas, if the size was given
    size = None if drawn else Size(*(int(row[name]) for name in ("suspects", "weapons", "rooms", "times", "motives")))
    return {
        "seed": int(row["seed"]),
        "index": int(row["index"]),
        "size": size,
        "players": tuple(map(int, row["players"].split("-"))) if drawn else (1, 6),
        "directness": float(row["directness"]),
        "determine": row["determine"],
        "min_depth": int(row["min_depth"]),
    }


def regenerate(columns: dict) -> dict:
    """A row rebuilt from its own address, with a proof if it has one; it equals the original.

    Raises:
        ValueError: if a column of the address is missing, or another version of the generator made the row.
    """
    try:
        options, wording, version = address_of(columns), columns["wording"], columns["version"]
    except KeyError as error:
        raise ValueError(f"a row without the column {error} cannot be regenerated.") from None
    if version != VERSION:
        raise ValueError(f"a row of version {version} cannot be regenerated here: this is version {VERSION}.")
    case = generate(**options)
    again = row(case, wording, **options)
    return again | {"proof": explain(case.puzzle, prove(case.puzzle, case.night))} if "proof" in columns else again


# ---------------------------------------------------------------- the puzzle that a row describes


def chance(rows: Iterable[dict]) -> float:
    """The mean fraction right of answer sheets filled in at random with answers of the right kind."""
    shares = []
    for row in rows:
        puzzle = read_prompt(prompt_text(row))
        shares.append(fmean(1 / len(answer_options(question, puzzle.setting)) for question in puzzle.questions))
    return fmean(shares)


def puzzle_of(row: Any, reading: str | None = None) -> tuple[Puzzle, list[Clue]]:
    """The puzzle that a row's prompt describes, and all that its clues state.

    Args:
        row: ours, or any other with a `prompt`: a string, or a chat.
        reading: how a move by "a suspect motivated by M" is read, one of `READINGS`; by default as the prompt's wording means
            it. "plain": one and the same suspect moved. "published": the published generator lets one suspect have been in
            the first room and another one in the second.

    Raises:
        ValueError: if the row has no prompt, or one that cannot be read.
    """
    text = prompt_text(row)
    puzzle = read_prompt(text)
    return puzzle, [*chain(*stated(puzzle, reading or reading_of(wording_of(text, puzzle))))]


def prompt_text(row: Any) -> str:
    """The text of a row's puzzle: its prompt, or the last message of the user in it.

    Raises:
        ValueError: if the row has none.
    """
    if not isinstance(row, dict):
        raise ValueError(f"it is not an object with `prompt` and `solution`, but {shortened(row)}")
    if (text := text_of(row.get("prompt"), role="user", text_only=True)) is None:
        raise ValueError("it has no `prompt` that is a text, or a chat with a text by the user")
    return text


def reading_of(wording: str) -> str:
    """How moves are read in a prompt of this wording."""
    return "published" if wording == ORIGINAL else "plain"


def stated(puzzle: Puzzle, reading: str) -> list[list[Clue]]:
    """What each clue states: itself, or in the published reading two places for a move, perhaps of two different suspects."""
    return [_loosely(clue, puzzle) if reading == "published" else [clue] for clue in puzzle.clues]


def _loosely(clue: Clue, puzzle: Puzzle) -> list[Clue]:
    if not isinstance(clue, (Moved, Carried)) or clue.who not in puzzle.setting.motive_counts:
        return [clue]
    before = puzzle.setting.before(clue.time)
    places: list[Clue] = [At(clue.who, clue.origin, before), At(clue.who, clue.destination, clue.time)]
    return places + ([Moved(clue.weapon, clue.origin, clue.destination, clue.time)] if isinstance(clue, Carried) else [])
