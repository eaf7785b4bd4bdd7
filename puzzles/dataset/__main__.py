"""Make a dataset of puzzles: a folder that `load_dataset` reads, with the columns that TRL's trainers expect.

  python -m puzzles.dataset                                          5,000 to train on, 250 + 250 held out
  python -m puzzles.dataset --mix easy=2000,medium=2000,hard=1000    this many of each band (puzzles/difficulty.py)
  python -m puzzles.dataset --players 1-2 --exclude test.json        small ones, none of them in test.json
  python -m puzzles.dataset --proofs                                 with a proof of each puzzle's answers
  python -m puzzles.dataset --format published                       JSON lists, as the published code reads them

The same arguments give the same bytes. After an interruption the same command resumes where it stopped. No two splits share a
night or a clue set, even under other names, and each row can be rebuilt from its own columns.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from puzzles.arguments import add_puzzle_arguments, generator_options
from puzzles.clues import Clue, Puzzle, facts
from puzzles.cpsat import find_night
from puzzles.dataset.collect import OutOfReachError
from puzzles.dataset.folder import make, resolve_output
from puzzles.dataset.load import read_rows
from puzzles.dataset.rows import address_of, puzzle_of
from puzzles.difficulty import BANDS
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import VERSION
from puzzles.scenario import Night, night

LAYOUT = 2  # raise it whenever the columns of a row change


def main() -> None:
    parser = argument_parser()
    args = parser.parse_args()
    try:
        output = resolve_output(args.output)
        options = generator_options(args, None)
        counts = wanted_counts(args)
        published = args.format == "published"
        if published and args.wording not in (None, "published"):
            raise ValueError(f"--format published uses the published wording: leave out --wording {args.wording}.")
        if published and args.proofs:
            raise ValueError("--format published has no column for proofs: leave out --proofs, or --format.")
        if args.num_proc < 1:
            raise ValueError(f"--num-proc {args.num_proc} is impossible: at least 1 process is needed.")
        night(args.seed, 0, options["size"], options["players"])  # raises if the size is impossible
        excluded = fingerprints_of(args.exclude)
        spec = {
            "command": command_line(parser, args),
            "version": VERSION,
            "seed": args.seed,
            "wording": args.wording or ("published" if published else "clear"),
            "how": {**options, "size": asdict(options["size"]) if options["size"] else None},
            "counts": counts,
            "excluded": hashlib.sha256("".join(sorted(excluded)).encode()).hexdigest() if excluded else None,
            "layout": LAYOUT,
            **({"proofs": True} if args.proofs else {}),
            **({"format": args.format} if published else {}),
        }
        make(output, spec, options, excluded, args.num_proc)
    except (ValueError, OutOfReachError) as error:
        sys.exit(f"python -m puzzles.dataset: {error}")
    except OSError as error:
        sys.exit(f"python -m puzzles.dataset: {error}. What was made so far is kept: fix that, and the same command resumes.")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command resumes where it stopped.")


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.dataset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/temporal-clue"), help="folder to make (default %(default)s)"
    )
    parser.add_argument("--train", type=int, metavar="N", help="training puzzles (default 5000, or the sum of --mix)")
    parser.add_argument("--validation", type=int, default=250, metavar="N", help="validation puzzles (default 250)")
    parser.add_argument("--test", type=int, default=250, metavar="N", help="test puzzles (default 250)")
    parser.add_argument(
        "--mix", metavar="BAND=N,…", help="training puzzles of each band; held-out splits have the same proportions"
    )
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="FILE",
        help="exclude these puzzles and their nights, even under other names",
    )
    parser.add_argument(
        "--proofs", action="store_true", help="add a column `proof`: numbered steps from the clues to the answers"
    )
    parser.add_argument(
        "--format",
        choices=("parquet", "published"),
        default="parquet",
        help="Parquet with all columns (default), or the published files' JSON lists of num_clues, prompt and solution",
    )
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), metavar="N", help="processes (default: one per core)")
    without_size = """Each size is drawn from the published mix of 1 to 6 players. If a number of suspects, weapons, … is given,
  all puzzles have that size, with these defaults for the others. With --format published, the wording is published."""
    add_puzzle_arguments(parser, without_size)
    parser.set_defaults(wording=None)
    return parser


def wanted_counts(args: argparse.Namespace) -> dict[str, dict[str, int]]:
    """How many puzzles of each band, or of "any", each split should have.

    Raises:
        ValueError: if the options contradict each other, or ask for no puzzles.
    """
    bands = parse_mix(args.mix) if args.mix is not None else {"any": 5_000 if args.train is None else args.train}
    if args.mix is not None and args.train is not None:
        raise ValueError(f"--mix already gives the number of training puzzles: leave out --train {args.train}.")
    for name, n in {"--train or --mix": sum(bands.values()), "--validation": args.validation, "--test": args.test}.items():
        if n < 1:
            raise ValueError(f"{name} asks for {n} puzzles: ask for at least 1.")
    return {"train": bands, "validation": apportion(args.validation, bands), "test": apportion(args.test, bands)}


def parse_mix(mix: str) -> dict[str, int]:
    """A mix such as easy=2000,hard=1000, as a dict.

    Raises:
        ValueError: naming the part that is not a band and a number.
    """
    bands = {}
    for part in mix.split(","):
        name, _, number = part.partition("=")
        if name not in BANDS or not number.isdecimal() or name in bands:
            raise ValueError(
                f"--mix {mix!r}: {part!r} should be {' or '.join(BANDS)}, once, and a number, as in easy=20,hard=10."
            )
        bands[name] = int(number)
    return bands


def apportion(total: int, proportions: dict[str, int]) -> dict[str, int]:
    """`total` divided in these proportions into whole numbers (largest remainders first)."""
    exact = {name: total * n / sum(proportions.values()) for name, n in proportions.items()}
    parts = {name: int(x) for name, x in exact.items()}
    for name in sorted(exact, key=lambda name: parts[name] - exact[name])[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def fingerprints_of(sources: list[str]) -> set[str]:
    """The fingerprints of the nights and of the clue sets of all puzzles in these files, folders or Hub datasets.

    Clues that determine only the answers fit several nights. Which was meant is known from the columns of our own datasets;
    otherwise only the clue set counts, and a line says of how many puzzles.

    Raises:
        ValueError: if a row is not a puzzle.
    """
    fingerprints = set()
    for source in sources:
        several = 0
        for split, rows in read_rows(source).items():
            for i, r in tqdm(rows.numbered(), desc=f"reading {source}", total=len(rows), unit="puzzle", leave=False):
                try:
                    puzzle, statements = puzzle_of(r)
                    truth = night_of(r, puzzle, statements)
                except ValueError as error:
                    raise ValueError(f"{source}, {split} {i}: {str(error).rstrip('.')}.") from error
                fingerprints.add(split_fingerprint(puzzle.setting, puzzle.clues))
                several += truth is None
                if truth:
                    fingerprints.add(split_fingerprint(puzzle.setting, facts(truth)))
        if several:
            print(f"{source}: the clues of {several} puzzles do not fit exactly one night, so only the clues are excluded.")
    return fingerprints


def night_of(row: dict, puzzle: Puzzle, statements: list[Clue]) -> Night | None:
    """The night that a row of ours was made from, or else the only one that fits its statements; None if none or several do."""
    try:
        address = address_of(row)
        made_from = night(address["seed"], address["index"], address["size"], address["players"])
        if made_from.setting == puzzle.setting and all(statement.holds(made_from) for statement in statements):
            return made_from
    except (LookupError, TypeError, ValueError):  # other people's columns
        pass
    found = find_night(puzzle.setting, statements)
    return None if found and find_night(puzzle.setting, statements, not_all=facts(found)) else found


def command_line(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The command that makes exactly these bytes; what is excluded is given by name, not by its path on this machine."""
    words = ["python", "-m", "puzzles.dataset"]
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if value != action.default and action.dest not in ("help", "output", "num_proc"):
            values = value if isinstance(value, list) else [str(value)] if value is not True else []
            words += [action.option_strings[-1], *(Path(v).absolute().name if Path(v).exists() else v for v in values)]
    return shlex.join(words)


if __name__ == "__main__":
    main()
