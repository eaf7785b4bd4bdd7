"""Command-line options shared by all commands that generate puzzles: which series, what size, what kind."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import fields
from math import isfinite

from puzzles.generator import DETERMINE
from puzzles.prompts import WORDINGS
from puzzles.scenario import Size


def add_puzzle_arguments(parser: ArgumentParser, without_size: str | None = None) -> None:
    """Add the options to a parser. `without_size` says what is made if no size is given, where that is not a `Size()`."""
    defaults = Size()
    group = parser.add_argument_group("which puzzles", without_size)
    group.add_argument("--seed", type=int, default=0, help="which series of puzzles (default 0)")
    group.add_argument("--players", metavar="N[-M]", help="draw each size from the published mix for N to M players, 1 to 6")
    for field in fields(Size):
        default = getattr(defaults, field.name) if field.name != "motives" else "one for each suspect"
        group.add_argument(f"--{field.name}", type=int, metavar="N", help=f"how many {field.name} (default {default})")
    group.add_argument("--wording", choices=WORDINGS, default="clear", help="how the prompt is framed (default clear)")
    group.add_argument(
        "--directness",
        type=float,
        default=0.0,
        metavar="X",
        help="0 as published (default); the closer to 2, the more clues state a fact outright",
    )
    group.add_argument(
        "--determine",
        choices=DETERMINE,
        default="world",
        help="what the clues determine: the whole night (world, default), or only the answers (fewer clues, harder)",
    )
    group.add_argument(
        "--min-depth",
        type=int,
        choices=range(4),
        default=0,
        help="leave out questions below this depth: 1 leaves out those that a single clue answers (default 0)",
    )


def generator_options(args: Namespace, default_size: Size | None) -> dict:
    """The keyword arguments of `generate`, other than `seed` and `index`, that a command line asks for.

    Raises:
        ValueError: if an option is impossible, or the size is given in two ways.
    """
    given = {field.name: getattr(args, field.name) for field in fields(Size) if getattr(args, field.name) is not None}
    options = {"directness": args.directness, "determine": args.determine, "min_depth": args.min_depth}
    if not -(2**63) <= args.seed < 2**63:
        raise ValueError(f"--seed {args.seed} does not fit in 64 bits: choose one with at most 18 digits.")
    if not isfinite(args.directness):
        raise ValueError(f"--directness {args.directness} is impossible: choose a number, such as 0 or 2.")
    if args.players is None:
        return {"size": Size(**given) if given else default_size, "players": (1, 6), **options}
    if given:
        raise ValueError(f"--players draws every size, so it cannot be combined with --{' --'.join(given)}: drop one of them.")
    return {"size": None, "players": players_range(args.players), **options}


def players_range(given: str | int | Sequence[str | int]) -> tuple[int, int]:
    """The range that --players or an option of another harness names (3, "1-6", [1, 6]), for `published_size`, which checks it.

    Raises:
        ValueError: if it is not a range.
    """
    text = "-".join(map(str, given)) if isinstance(given, list | tuple) else str(given)
    low, _, high = text.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal()):
        raise ValueError(f"--players {text!r} is not a range: write it as 3 or 1-6.")
    return int(low), int(high or low)
