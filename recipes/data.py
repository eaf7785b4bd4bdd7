"""The puzzles of a run: from a dataset, or generated on the spot."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from datasets import Dataset, concatenate_datasets

from puzzles.dataset import HELD_OUT, build, load_splits
from puzzles.difficulty import BANDS
from puzzles.scenario import Size
from recipes.arguments import PuzzleArguments

FRESH = 10_000  # fresh puzzles start so many after the held-out ones of a run
PATIENCE = 20  # puzzles generated for each one of the wanted bands, after which the search is given up


def to_be_made(args: PuzzleArguments) -> bool:
    """Whether the dataset is a folder of this repository that nobody has made yet, and not one of the Hub."""
    return bool(args.dataset) and args.dataset.startswith("outputs/") and not Path(args.dataset).exists()


def generated(args: PuzzleArguments) -> dict:
    """The keyword arguments of `build` for puzzles that are generated on the spot."""
    given = {f.name: getattr(args, f.name) for f in fields(Size) if getattr(args, f.name) is not None}
    how = {"size": Size(**given) if given else None, "players": tuple(args.players)}
    return how | {"directness": args.directness, "wording": args.wording}


def fresh(args: PuzzleArguments, seed: int, count: int) -> Dataset:
    """Generated puzzles that no run of this seed trains on, or is watched on while it trains."""
    return build(seed, HELD_OUT + FRESH, count, **generated(args))


def puzzles(args: PuzzleArguments, seed: int) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones.

    Raises:
        ValueError: if the dataset lacks a split, a column or enough rows, or a size, band or curriculum is impossible.
    """
    if unknown := set(args.difficulty or []) - set(BANDS):
        raise ValueError(f"difficulty={unknown.pop()!r} is unknown: choose among {', '.join(BANDS)}.")
    if args.curriculum not in (None, "depth", "pass_rate"):
        raise ValueError(f"curriculum={args.curriculum!r} is unknown: choose 'depth' or 'pass_rate', or leave it out.")
    if to_be_made(args):
        raise ValueError(f"there is no dataset {args.dataset} yet: make it with `make dataset`.")
    if args.dataset:
        splits = load_splits(args.dataset)
        needed = {"prompt", "solution"} | ({"difficulty"} if args.difficulty or args.curriculum else set())
        for split in ("train", "validation"):
            if split not in splits:
                raise ValueError(f"dataset {args.dataset!r} has no split {split!r}, only {', '.join(splits)}.")
            if missing := needed - set(splits[split].column_names):
                raise ValueError(
                    f"dataset {args.dataset!r}, split {split!r}, lacks the column(s) {', '.join(sorted(missing))}."
                )
        train, held_out = splits["train"], splits["validation"]
        if args.difficulty:
            train = train.filter(lambda band: band in args.difficulty, input_columns="difficulty", load_from_cache_file=False)
        wanted = args.num_train_puzzles or len(train) or 1
        for split, rows, count in (("train", train, wanted), ("validation", held_out, args.num_eval_puzzles)):
            if count > len(rows):
                bands = f" of difficulty {', '.join(args.difficulty)}" if args.difficulty and split == "train" else ""
                raise ValueError(f"dataset {args.dataset!r}, split {split!r}, has {len(rows)} rows{bands}, not {count}.")
        return train.take(wanted), held_out.take(args.num_eval_puzzles)
    how = generated(args)
    held_out = build(seed, HELD_OUT, args.num_eval_puzzles, **how)
    wanted = args.num_train_puzzles or 1024
    train = build(seed, 0, wanted, **how)
    if args.difficulty:
        found = []
        for first in range(0, PATIENCE * wanted, wanted):
            rows = train if first == 0 else build(seed, first, wanted, **how)
            found.append(rows.select([i for i, band in enumerate(rows["difficulty"]) if band in args.difficulty]))
            if sum(map(len, found)) >= wanted:
                break
        train = concatenate_datasets(found)
        if len(train) < wanted:
            raise ValueError(
                f"only {len(train)} of {PATIENCE * wanted} generated puzzles are {' or '.join(args.difficulty)}, not {wanted}: "
                "ask for fewer, or another size, or make a dataset first (make dataset ARGS='--mix …')."
            )
        train = train.take(wanted)
    return train, held_out
