"""Puzzles as a Hugging Face dataset, with the columns that TRL's trainers expect.

prompt     a chat of one user message
solution   the right answers, in the order of the questions
seed, index, suspects, weapons, rooms, times, motives, clues, directness, wording     what it is, and how to make it again
"""

from __future__ import annotations

from datasets import Dataset, Features, Value
from datasets import List as ListOf

from puzzles.english import prompt
from puzzles.generate import generate
from puzzles.scenario import Size

# Held-out puzzles start at this index of the same series, far beyond any training puzzle.
HELD_OUT = 1_000_000_000

FEATURES = Features(
    prompt=ListOf({"role": Value("string"), "content": Value("string")}),
    solution=ListOf(Value("string")),
    **dict.fromkeys(("seed", "index", "suspects", "weapons", "rooms", "times", "motives", "clues"), Value("int64")),
    directness=Value("float64"),
    wording=Value("string"),
)


def row(
    index: int,
    seed: int,
    size: Size | None,
    players: tuple[int, int] = (1, 6),
    directness: float = 0.0,
    wording: str = "clear",
) -> dict:
    """The row of the puzzle at (seed, index); see the module's list of columns, and `generate` for the arguments."""
    case = generate(seed, index, size, players, directness)
    s = case.puzzle.setting
    return {
        "prompt": [{"role": "user", "content": prompt(case.puzzle, wording)}],
        "solution": list(case.solution.values()),
        "seed": seed,
        "index": index,
        "suspects": len(s.suspects),
        "weapons": len(s.weapons),
        "rooms": len(s.rooms),
        "times": len(s.times),
        "motives": len(s.motives),
        "clues": len(case.puzzle.clues),
        "directness": directness,
        "wording": wording,
    }


def build(
    seed: int,
    first: int,
    count: int,
    size: Size | None = None,
    players: tuple[int, int] = (1, 6),
    directness: float = 0.0,
    wording: str = "clear",
    num_proc: int | None = None,
) -> Dataset:
    """The puzzles first … first + count − 1 of the series `seed`; the same rows whatever `num_proc` is."""
    if count < 1:
        raise ValueError(f"count={count} is no number of puzzles: ask for at least 1.")
    indices = Dataset.from_dict({"index": range(first, first + count)})
    arguments = {"seed": seed, "size": size, "players": players, "directness": directness, "wording": wording}
    return indices.map(
        row,
        input_columns="index",
        fn_kwargs=arguments,
        features=FEATURES,
        num_proc=num_proc,
        desc="puzzles",
        load_from_cache_file=False,
    )
