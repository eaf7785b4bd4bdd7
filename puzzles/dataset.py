"""Puzzles as a Hugging Face dataset, with the columns that TRL's trainers expect.

  python -m puzzles.dataset                                          5,000 to train on, 250 + 250 held out
  python -m puzzles.dataset --mix easy=2000,medium=2000,hard=1000    so many of each band (see difficulty.py)
  python -m puzzles.dataset --players 1-2 --exclude test.json        small ones, none of them in test.json
  python -m puzzles.dataset --proofs                                 with a proof of the answers of each

The same arguments give the same bytes. Interrupted, the same command goes on where it stopped. A night belongs to one split
by its fingerprint (likeness.py), which is the same for all its renamings: so no two splits share a night, and no clue set.

columns: prompt, a chat of one user message; solution, the right answers in the order of the questions; difficulty and
depths, how deep one has to think; proof, with --proofs, why the answers are right (see proof.py); the rest says what it is and
how to make it again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import combinations, count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, Value, load_dataset
from datasets import List as ListOf
from tqdm import tqdm

from puzzles.arguments import add_puzzle_arguments, how_to_generate
from puzzles.card import card
from puzzles.clues import facts
from puzzles.difficulty import BANDS, band
from puzzles.english import prompt, read_prompt
from puzzles.files import sha256, write_json, write_text
from puzzles.generate import VERSION, Case, NothingToAskError, generate
from puzzles.likeness import fingerprint
from puzzles.parallel import in_order
from puzzles.picture import picture
from puzzles.proof import explain, prove
from puzzles.scenario import Size, night
from puzzles.solver import find_night
from puzzles.verify import puzzle_of, read_rows

# Held-out puzzles of `build` start at this index of the same series, far beyond any training puzzle.
HELD_OUT = 1_000_000_000
SPLITS = ("train", "validation", "test")
PATIENCE = 5_000  # indices in a row without a wanted puzzle, after which the search is given up


FEATURES = Features(
    prompt=ListOf({"role": Value("string"), "content": Value("string")}),
    solution=ListOf(Value("string")),
    difficulty=Value("string"),
    depths=ListOf(Value("int64")),
    **dict.fromkeys(("seed", "index", "suspects", "weapons", "rooms", "times", "motives", "clues"), Value("int64")),
    directness=Value("float64"),
    determine=Value("string"),
    min_depth=Value("int64"),
    wording=Value("string"),
    version=Value("int64"),
)
FEATURES_WITH_PROOF = Features(FEATURES | {"proof": Value("string")})


class OutOfReachError(Exception):
    """What is still missing did not turn up."""


def row(case: Case, wording: str = "clear", **how) -> dict:
    """The row of a puzzle that was generated with the keyword arguments `how`; see the module's list of columns."""
    s = case.puzzle.setting
    return {
        "prompt": [{"role": "user", "content": prompt(case.puzzle, wording)}],
        "solution": list(case.solution.values()),
        "difficulty": band(case.depths),
        "depths": case.depths,
        "seed": case.seed,
        "index": case.index,
        "suspects": len(s.suspects),
        "weapons": len(s.weapons),
        "rooms": len(s.rooms),
        "times": len(s.times),
        "motives": len(s.motives),
        "clues": len(case.puzzle.clues),
        "directness": how.get("directness", 0.0),
        "determine": how.get("determine", "world"),
        "min_depth": how.get("min_depth", 0),
        "wording": wording,
        "version": VERSION,
    }


def build(
    seed: int,
    first: int,
    count: int,
    size: Size | None = None,
    *,
    wording: str = "clear",
    num_proc: int | None = None,
    **how,
) -> Dataset:
    """The puzzles first … first + count − 1 of the series `seed`; the same rows whatever `num_proc` is.

    Args:
        how: further keyword arguments of `generate`.
    """
    if count < 1:
        raise ValueError(f"count={count} is no number of puzzles: ask for at least 1.")
    return Dataset.from_dict({"index": range(first, first + count)}).map(
        lambda index: row(generate(seed, index, size, **how), wording, **how),
        input_columns="index",
        features=FEATURES,
        num_proc=num_proc,
        desc="puzzles",
        load_from_cache_file=False,
    )


# ---------------------------------------------------------------- a dataset with splits, on disk


def split_of(night_mark: str) -> str:
    """The split that a night belongs to, with all its renamings: half of the nights to train, a quarter each held out."""
    return ("test", "validation", "train", "train")[int(night_mark[-1], 16) % 4]


def attempt(work: tuple[int, frozenset[str]], seed: int, wording: str, how: dict, proofs: bool) -> dict:
    """The puzzle at an index: its split, and if that is among the wanted ones its row and the marks of night and clues.

    No row either if the puzzle leaves nothing to ask. With `proofs` the row has a proof of the answers.
    """
    index, wanted = work
    try:
        truth = night(seed, index, how["size"], how["players"])
    except ValueError:  # a crowded mansion, where nobody was ever alone with a weapon
        return {"index": index, "split": None}
    night_mark = fingerprint(truth.setting, facts(truth))
    found = {"index": index, "split": split_of(night_mark)}
    if found["split"] in wanted:
        try:
            case = generate(seed, index, **how)
        except NothingToAskError:
            return found
        found["marks"] = [night_mark, fingerprint(truth.setting, case.puzzle.clues)]
        found["row"] = row(case, wording, **how)
        if proofs:
            found["row"]["proof"] = explain(case.puzzle, prove(case.puzzle, truth))
    return found


class Collection:
    """What has been kept so far, and what is still missing."""

    def __init__(self, counts: dict[str, dict[str, int]], excluded: set[str]):
        self.missing = {split: Counter(bands) for split, bands in counts.items()}
        self.excluded = excluded
        self.clues: set[str] = set()
        self.tally: Counter[str] = Counter()
        self.tried = self.idle = 0

    def wanted(self) -> frozenset[str]:
        """The splits that are not full."""
        return frozenset(split for split, bands in self.missing.items() if bands.total())

    def keeps(self, found: dict) -> bool:
        """Whether an attempt is kept: its split and band are not full, and nothing like it is there or excluded."""
        self.tried += 1
        self.idle += 1
        if "row" not in found:
            return False
        bands, kind = self.missing[found["split"]], found["row"]["difficulty"]
        self.tally[kind] += 1
        if found["marks"][1] in self.clues or self.excluded & set(found["marks"]):
            self.tally["twin"] += 1
            return False
        kind = kind if kind in bands else "any"
        if not bands[kind]:
            return False
        bands[kind] -= 1
        self.clues.add(found["marks"][1])
        self.idle = 0
        return True

    def report(self) -> str:
        """What is missing after so long a search, and what was found instead."""
        missing = ", ".join(
            f"{n} {kind} for {split}" for split, bands in self.missing.items() for kind, n in bands.items() if n
        )
        total = sum(self.tally[kind] for kind in BANDS)
        shares = ", ".join(f"{self.tally[kind] / max(total, 1):.1%} {kind}" for kind in BANDS)
        return (
            f"{PATIENCE:,} puzzles in a row were not what is still missing ({missing}). Of {total:,} puzzles made so far, "
            f"{shares}; {self.tally['twin']:,} were another one, or an excluded one, but for the names. "
            "Ask for fewer, for another band, or for another size."
        )


def collect(journal: Path, counts: dict, excluded: set[str], function: Callable, num_proc: int) -> None:
    """Try index after index until nothing is missing; the journal has a line for each, so that a later call goes on there.

    Raises:
        OutOfReachError: if what is missing does not turn up within `PATIENCE` indices.
    """
    collection = Collection(counts, excluded)
    total = sum(sum(bands.values()) for bands in counts.values())
    for found in read_journal(journal):
        collection.keeps(found)
    done = total - sum(bands.total() for bands in collection.missing.values())
    with journal.open("a", encoding="utf-8") as file, tqdm(total=total, initial=done, unit="puzzle", smoothing=0.05) as bar:
        work = ((index, collection.wanted()) for index in count(collection.tried))
        for found in in_order(function, work, num_proc):
            if not collection.wanted():
                return
            kept = collection.keeps(found)
            if "row" in found and not kept:  # the row is not needed again, only what was found
                found["row"] = {"difficulty": found["row"]["difficulty"]}
            file.write(json.dumps({**found, "kept": kept}, ensure_ascii=False) + "\n")
            file.flush()
            bar.update(kept)
            if collection.idle >= PATIENCE:
                raise OutOfReachError(collection.report())


def read_journal(journal: Path) -> Iterator[dict]:
    """The lines of a journal; a last one that was not written to its end is cut off.

    Raises:
        ValueError: if it is not one line for each index from 0 on, as when two programs wrote it at once.
    """
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        end = 0
        for index, line in enumerate(iter(file.readline, b"")):
            if not line.endswith(b"\n"):
                file.truncate(end)
                return
            end += len(line)
            found = json.loads(line)
            if found["index"] != index:
                raise ValueError(f"{journal} is out of order at line {index + 1}: delete {journal.parent} and start again.")
            yield found


def write_parquet(folder: Path, journal: Path, features: Features) -> None:
    """One Parquet file a split, with these columns, from what the journal kept."""
    schema = features.arrow_schema
    files = {split: folder / "data" / f"{split}.parquet" for split in SPLITS}
    (folder / "data").mkdir(exist_ok=True)
    with ExitStack() as stack:
        writers = {split: stack.enter_context(pq.ParquetWriter(path, schema)) for split, path in files.items()}
        batches: dict[str, list[dict]] = {split: [] for split in SPLITS}
        for found in read_journal(journal):
            if found["kept"]:
                batches[found["split"]].append(found["row"])
            for split, rows in batches.items():
                if len(rows) == 1_000:
                    writers[split].write_table(pa.Table.from_pylist(rows, schema))
                    rows.clear()
        for split, rows in batches.items():
            writers[split].write_table(pa.Table.from_pylist(rows, schema))


def marks_of(row: dict, how: dict) -> set[tuple[str, str]]:
    """The prompt, and the fingerprints of the clue set, read back from it, and of the night, made again from its address."""
    text = row["prompt"][0]["content"]
    puzzle, truth = read_prompt(text), night(row["seed"], row["index"], how["size"], how["players"])
    return {
        ("prompt", text),
        ("clues", fingerprint(puzzle.setting, puzzle.clues)),
        ("night", fingerprint(truth.setting, facts(truth))),
    }


def check(folder: Path, how: dict) -> dict[str, list[dict]]:
    """The rows of each split, after a second look at what makes the splits disjoint.

    Raises:
        RuntimeError: if two splits share a prompt, a night or a clue set, up to renaming: that would be a fault in this file.
    """
    kept = {split: pq.read_table(folder / "data" / f"{split}.parquet").to_pylist() for split in SPLITS}
    found = {
        split: set().union(*(marks_of(row, how) for row in tqdm(rows, desc=f"checking {split}", unit="puzzle", leave=False)))
        for split, rows in kept.items()
    }
    for a, b in combinations(SPLITS, 2):
        if shared := found[a] & found[b]:
            raise RuntimeError(f"{a} and {b} share {len(shared)} things, such as this {next(iter(shared))}.")
    return kept


def excluded_marks(sources: list[str]) -> set[str]:
    """The marks of the nights and of the clue sets of given puzzles.

    Raises:
        ValueError: if a row of them is no puzzle.
    """
    marks = set()
    for source in sources:
        for split, rows in read_rows(source).items():
            for i, r in tqdm(rows.numbered(), desc=f"reading {source}", total=len(rows), unit="puzzle", leave=False):
                try:
                    puzzle, statements = puzzle_of(r)
                except ValueError as error:
                    raise ValueError(f"{source}, {split} {i}: {error}.") from error
                marks.add(fingerprint(puzzle.setting, puzzle.clues))
                if truth := find_night(puzzle.setting, statements):
                    marks.add(fingerprint(puzzle.setting, facts(truth)))
    return marks


def make(output: Path, spec: dict, how: dict, excluded: set[str], num_proc: int) -> None:
    """Write the dataset into `output`, which appears only once it is whole.

    Raises:
        ValueError: if `output`, or the unfinished folder beside it, holds something else.
        OutOfReachError: if a band does not turn up; the unfinished folder is deleted.
        OSError: if a file cannot be written; what was made until then is kept.
    """
    unfinished = output.with_name(output.name + ".partial")
    for folder in (output, unfinished):
        if folder.exists() and any(folder.iterdir()):
            same_dataset(folder, spec)
    if (output / "dataset.json").exists():
        check_whole(output)
        (output / "journal.jsonl").unlink(missing_ok=True)  # of a run that was killed with its last breath
        print(f"{output} is there already, and whole.")
        return
    write_json(unfinished / "dataset.json", spec)
    journal = unfinished / "journal.jsonl"
    try:
        one = partial(attempt, seed=spec["seed"], wording=spec["wording"], how=how, proofs="proofs" in spec)
        collect(journal, spec["counts"], excluded, one, num_proc)
    except OutOfReachError:
        shutil.rmtree(unfinished)
        raise
    write_parquet(unfinished, journal, FEATURES_WITH_PROOF if "proofs" in spec else FEATURES)
    rows = check(unfinished, how)
    shortest = min((r for split in SPLITS for r in rows[split]), key=lambda r: (r["times"] == 1, r["clues"], r["index"]))
    example = generate(shortest["seed"], shortest["index"], **how)
    write_text(unfinished / "night.svg", picture(example.night))
    write_text(unfinished / "README.md", card(spec, rows, example))
    sums = {name: sha256(unfinished / name) for name in (*(f"data/{split}.parquet" for split in SPLITS), "night.svg")}
    write_json(unfinished / "dataset.json", {**spec, "sha256": sums})
    os.replace(unfinished, output)
    (output / "journal.jsonl").unlink()
    print(f"{output}: " + ", ".join(f"{len(rows[split]):,} {split}" for split in SPLITS))


def same_dataset(folder: Path, spec: dict) -> None:
    """Raises ValueError if `folder` holds anything but the dataset that `spec` describes, whole or unfinished."""
    try:
        there = json.loads((folder / "dataset.json").read_text())
    except (OSError, ValueError):
        raise ValueError(f"{folder} is not empty and holds no dataset of ours. Choose another --output.") from None
    wanted = json.loads(json.dumps(spec))
    keys = [key for key in there | wanted if key not in ("command", "sha256")]
    if changed := [key for key in keys if there.get(key) != wanted.get(key)]:
        was = "; ".join(f"{key} was {there.get(key)}, now {wanted.get(key)}" for key in changed[:2])
        raise ValueError(f"{folder} holds another dataset ({was}). Choose another --output, or delete that folder.")


def check_whole(folder: Path) -> dict:
    """The record of a dataset on disk, after a look at whether it is whole and as it was made.

    Raises:
        ValueError: naming the file that is missing or was changed.
    """
    try:
        record = json.loads((folder / "dataset.json").read_text())
        sums = record["sha256"]
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{folder} holds no finished dataset: make one with `make dataset`.") from None
    for name, expected in sums.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise ValueError(f"{folder / name} is missing or was changed since it was made: delete {folder}, make it again.")
    return record


def load_splits(source: str) -> dict[str, Dataset]:
    """The splits of a folder that `make` wrote, or of any dataset that `load_dataset` knows.

    Ours are read directly: `load_dataset` caches a folder by its name, and may give what another one of that name held.

    Raises:
        ValueError: if a folder of ours is not whole.
    """
    folder = Path(source)
    if not (folder / "dataset.json").exists():
        return dict(load_dataset(source))
    check_whole(folder)
    return {split: Dataset(pq.read_table(folder / "data" / f"{split}.parquet")) for split in SPLITS}


def bands_of(mix: str) -> dict[str, int]:
    """A mix such as easy=2000,hard=1000, as a dict.

    Raises:
        ValueError: naming the part that is not a band and a number.
    """
    bands = {}
    for part in mix.split(","):
        name, _, number = part.partition("=")
        if name not in BANDS or not number.isdigit() or name in bands:
            raise ValueError(
                f"--mix {mix!r}: {part!r} should be {' or '.join(BANDS)}, once, and a number, as in easy=20,hard=10."
            )
        bands[name] = int(number)
    return bands


def shared_out(total: int, like: dict[str, int]) -> dict[str, int]:
    """`total` in the proportions of `like`, as whole numbers (largest remainders first)."""
    exact = {name: total * n / sum(like.values()) for name, n in like.items()}
    parts = {name: int(x) for name, x in exact.items()}
    for name in sorted(exact, key=lambda name: parts[name] - exact[name])[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def command(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The command line that makes these very bytes; of excluded files the names, not where they lie here."""
    words = ["python", "-m", "puzzles.dataset"]
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if value != action.default and action.dest not in ("help", "output", "num_proc"):
            values = value if isinstance(value, list) else [str(value)] if value is not True else []
            words += [action.option_strings[-1], *(Path(v).name if Path(v).is_file() else v for v in values)]
    return shlex.join(words)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.dataset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/temporal-clue"), help="folder to make (default %(default)s)"
    )
    parser.add_argument("--train", type=int, metavar="N", help="training puzzles (default 5000, or the sum of --mix)")
    parser.add_argument("--validation", type=int, default=250, metavar="N", help="validation puzzles (default 250)")
    parser.add_argument("--test", type=int, default=250, metavar="N", help="test puzzles (default 250)")
    parser.add_argument("--mix", metavar="BAND=N,…", help="training puzzles of each band; held-out ones get the same shares")
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="FILE",
        help="keep out these puzzles and their nights, also renamed",
    )
    parser.add_argument("--proofs", action="store_true", help="a column `proof`: numbered steps from the clues to the answers")
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), metavar="N", help="processes (default: the cores)")
    add_puzzle_arguments(parser)
    args = parser.parse_args()
    try:
        how = how_to_generate(args, None)
        bands = bands_of(args.mix) if args.mix else {"any": 5_000 if args.train is None else args.train}
        if args.mix and args.train is not None:
            raise ValueError(f"--mix says how many training puzzles there are, so --train {args.train} is one word too many.")
        sizes = {"--train or --mix": sum(bands.values()), "--validation": args.validation, "--test": args.test}
        for name, n in sizes.items():
            if n < 1:
                raise ValueError(f"{name} asks for {n} puzzles: ask for at least 1.")
        if args.num_proc < 1:
            raise ValueError(f"--num-proc {args.num_proc} is impossible: at least 1 process is needed.")
        held_out = {"validation": args.validation, "test": args.test}
        night(args.seed, 0, how["size"], how["players"])  # an impossible size shows here
        excluded = excluded_marks(args.exclude)
        spec = {
            "command": command(parser, args),
            "version": VERSION,
            "seed": args.seed,
            "wording": args.wording,
            "how": {**how, "size": asdict(how["size"]) if how["size"] else None},
            "counts": {"train": bands, **{split: shared_out(n, bands) for split, n in held_out.items()}},
            "excluded": hashlib.sha256("".join(sorted(excluded)).encode()).hexdigest() if excluded else None,
            **({"proofs": True} if args.proofs else {}),
        }
        make(args.output, spec, how, excluded, args.num_proc)
    except (ValueError, OutOfReachError) as error:
        sys.exit(f"python -m puzzles.dataset: {error}")
    except OSError as error:
        sys.exit(f"python -m puzzles.dataset: {error}. What was made is kept: mend that, and the same command goes on.")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on where it stopped.")


if __name__ == "__main__":
    main()
