"""Puzzles as a Hugging Face dataset, with the columns that TRL's trainers expect.

  python -m puzzles.dataset                                          5,000 to train on, 250 + 250 held out
  python -m puzzles.dataset --mix easy=2000,medium=2000,hard=1000    so many of each band (see difficulty.py)
  python -m puzzles.dataset --players 1-2 --exclude test.json        small ones, none of them in test.json
  python -m puzzles.dataset --proofs                                 with a proof of the answers of each
  python -m puzzles.dataset --format published                       JSON lists, as the published code reads them

The same arguments give the same bytes. Interrupted, the same command goes on where it stopped. A night belongs to one split
by its fingerprint (likeness.py), which is the same for all its renamings: so no two splits share a night, and no clue set.

Each row is a function of its own columns: `regenerate(row)` makes it again, byte for byte (COLUMNS says what they are).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import combinations, count, islice, zip_longest
from pathlib import Path
from textwrap import indent

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, Value, load_dataset
from datasets import List as ListOf
from tqdm import tqdm

from puzzles.arguments import add_puzzle_arguments, how_to_generate
from puzzles.card import COUNTED, card
from puzzles.clues import facts
from puzzles.difficulty import BANDS, band
from puzzles.english import prompt, read_prompt, render
from puzzles.files import only_one, sha256, write_json, write_text
from puzzles.generate import VERSION, Case, NothingToAskError, generate
from puzzles.likeness import fingerprint
from puzzles.parallel import in_order
from puzzles.picture import picture
from puzzles.proof import explain, prove
from puzzles.scenario import Size, night
from puzzles.solver import UndecidedError, find_night
from puzzles.verify import puzzle_of, read_rows

# Held-out puzzles of `build` start at this index of the same series, far beyond any training puzzle.
HELD_OUT = 1_000_000_000
SPLITS = ("train", "validation", "test")
PARTIAL = ".partial"  # ends the name of the folder in which a dataset is made
JOURNAL, EARLIER = "journal.jsonl", "earlier.jsonl"  # what was found at each index; the same, for other counts
PATIENCE = 5_000  # indices in a row without a wanted puzzle, after which the search is given up
LAYOUT = 2  # raised whenever a row gets other columns

COLUMNS = {  # what a row has: the name of a column, its type, and what it is
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
PUBLISHED = {  # ... and what it has with --format published
    "num_clues": "how many clues",
    "prompt": "the puzzle",
    "solution": "the right answer to each question, by its letter",
}
FEATURES = Features({name: kind for name, (kind, _) in COLUMNS.items()})
FEATURES_WITH_PROOF = Features(FEATURES | {"proof": Value("string")})


class OutOfReachError(Exception):
    """What is still missing did not turn up."""


def row(case: Case, wording: str = "clear", **how) -> dict:
    """The row of a puzzle that was generated with the keyword arguments `how`; see `COLUMNS`."""
    s = case.puzzle.setting
    low, high = how.get("players", (1, 6))
    columns = {
        "prompt": [{"role": "user", "content": prompt(case.puzzle, wording)}],
        "solution": list(case.solution.values()),
        "questions": [render(question, s) for question in case.puzzle.questions],
        "id": "",
        "difficulty": band(case.depths),
        "depths": case.depths,
        "seed": case.seed,
        "index": case.index,
        "players": None if how.get("size") else f"{low}-{high}",
        "suspects": len(s.suspects),
        "weapons": len(s.weapons),
        "rooms": len(s.rooms),
        "times": len(s.times),
        "motives": len(s.motives),
        "clues": len(case.puzzle.clues),
        "directness": float(how.get("directness", 0.0)),
        "determine": how.get("determine", "world"),
        "min_depth": how.get("min_depth", 0),
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
    """A row made again from its own address, with a proof if it has one: equal to the row.

    Raises:
        ValueError: if a column of the address is missing, or it is the address in another version of the generator.
    """
    try:
        how, wording, version = address_of(columns), columns["wording"], columns["version"]
    except KeyError as error:
        raise ValueError(f"a row without the column {error} cannot be made again.") from None
    if version != VERSION:
        raise ValueError(f"a row of version {version} cannot be made again here: this is version {VERSION}.")
    case = generate(**how)
    again = row(case, wording, **how)
    return again | {"proof": explain(case.puzzle, prove(case.puzzle, case.night))} if "proof" in columns else again


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
        lambda index: row(generate(seed, index, size, **how), wording, size=size, **how),
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


def attempt(work: tuple[int, dict, dict | None], seed: int, wording: str, how: dict, proofs: bool) -> dict:
    """The puzzle at an index: its split, and if that is among the wanted ones its row and the marks of night and clues.

    No row either if the puzzle leaves nothing to ask, or with `proofs`, which give the row a proof of the answers, if none
    was found within the effort that `prove` allows.

    Args:
        work: the index; the wanted bands of each split; what was found at the index before, which is given back if it
            has all that is wanted.
    """
    index, wanted, known = work
    if known and _enough(known, wanted):
        return known
    try:
        truth = night(seed, index, how["size"], how["players"])
    except ValueError:  # a crowded mansion, where nobody was ever alone with a weapon
        return {"index": index, "split": None}
    night_mark = fingerprint(truth.setting, facts(truth))
    found = {"index": index, "split": split_of(night_mark)}
    if found["split"] in wanted:
        try:
            case = generate(seed, index, **how)
            proof = {"proof": explain(case.puzzle, prove(case.puzzle, truth))} if proofs else {}
        except NothingToAskError:
            return found
        except UndecidedError:
            return found | {"unproved": True}
        found["marks"] = [night_mark, fingerprint(truth.setting, case.puzzle.clues)]
        found["row"] = row(case, wording, **how) | proof
    return found


def _enough(found: dict, wanted: dict[str, set[str]]) -> bool:
    """Whether a line of the journal has its row, or none is needed."""
    kinds = wanted.get(found["split"])
    return kinds is None or ("row" in found and ("prompt" in found["row"] or not kinds & {found["row"]["difficulty"], "any"}))


class Collection:
    """What has been kept so far, and what is still missing."""

    def __init__(self, counts: dict[str, dict[str, int]], excluded: set[str]):
        self.missing = {split: Counter(bands) for split, bands in counts.items()}
        self.excluded = excluded
        self.clues: set[int] = set()
        self.tally: Counter[str] = Counter()
        self.tried = self.idle = 0

    def wanted(self) -> dict[str, set[str]]:
        """The splits that are not full, with the bands that they lack."""
        return {split: {kind for kind, n in bands.items() if n} for split, bands in self.missing.items() if bands.total()}

    def keeps(self, found: dict) -> bool:
        """Whether an attempt is kept: its split and band are not full, and nothing like it is there or excluded."""
        self.tried += 1
        self.idle += 1
        if "row" not in found:
            self.tally["unproved"] += "unproved" in found and self.missing[found["split"]].total() > 0
            return False
        bands, kind = self.missing[found["split"]], found["row"]["difficulty"]
        self.tally[kind] += 1
        clues = int(found["marks"][1], 16)
        if clues in self.clues or self.excluded & set(found["marks"]):
            self.tally["twin"] += 1
            return False
        kind = kind if kind in bands else "any"
        if not bands[kind]:
            return False
        bands[kind] -= 1
        self.clues.add(clues)
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
            f"{shares}; {self.tally['twin']:,} were another one, or an excluded one, but for the names"
            + (f"; for {n:,} no proof was found" if (n := self.tally["unproved"]) else "")
            + ". Ask for fewer, for another band, or for another size."
        )


def collect(journal: Path, counts: dict, excluded: set[str], function: Callable, num_proc: int) -> Collection:
    """Try index after index until nothing is missing; the journal has a line for each, so that a later call goes on there.

    What an earlier journal says of an index (see `set_aside`) is not made again.

    Raises:
        OutOfReachError: if what is missing does not turn up within `PATIENCE` indices.
    """
    collection = Collection(counts, excluded)
    total = sum(sum(bands.values()) for bands in counts.values())
    for found in read_journal(journal):
        collection.keeps(found)
    collection.idle = 0
    done = total - sum(bands.total() for bands in collection.missing.values())
    known = islice(read_journal(journal.with_name(EARLIER)), collection.tried, None)
    with journal.open("a", encoding="utf-8") as file, tqdm(total=total, initial=done, unit="puzzle", smoothing=0.05) as bar:
        work = ((index, collection.wanted(), next(known, None)) for index in count(collection.tried))
        for found in in_order(function, work, num_proc):
            if not collection.wanted():
                break
            kept = collection.keeps(found)
            if "row" in found and not kept:  # the row is not needed again, only what was found
                found["row"] = {"difficulty": found["row"]["difficulty"]}
            file.write(json.dumps({**found, "kept": kept}, ensure_ascii=False) + "\n")
            file.flush()
            bar.update(kept)
            if collection.idle >= PATIENCE:
                raise OutOfReachError(collection.report())
    return collection


def set_aside(journal: Path) -> None:
    """Make a journal for other counts the earlier one: what it says of an index holds, but not what was kept."""
    earlier = journal.with_name(EARLIER)
    merged = earlier.with_name(EARLIER + ".partial")
    with merged.open("w", encoding="utf-8") as file:
        for newer, older in zip_longest(read_journal(journal), read_journal(earlier)):
            file.write(json.dumps(newer or older, ensure_ascii=False) + "\n")
    os.replace(merged, earlier)
    journal.unlink(missing_ok=True)


def read_journal(journal: Path) -> Iterator[dict]:
    """The lines of a journal; a last one that was not written to its end is cut off.

    Raises:
        ValueError: if it is not one line for each index from 0 on, as after a power cut; it names the line.
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
            try:
                found = json.loads(line)
                sound = found["index"] == index
            except (ValueError, TypeError, KeyError):
                sound = False
            if not sound:
                raise ValueError(
                    f"{journal} is damaged at line {index + 1}: delete that line and all after it, and the same command goes "
                    f"on from there; or delete {journal.parent} and start again."
                )
            yield found


def write_parquet(folder: Path, journal: Path, features: Features) -> None:
    """One Parquet file a split, with these columns, from what the journal kept."""
    schema = features.arrow_schema.with_metadata(None)  # that of `datasets` 4 and later cannot be read by older ones
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


def read_split(folder: Path, split: str, columns: Iterable[str]) -> Iterator[dict]:
    """Some columns of the rows of a split, of which no more than a batch is in memory."""
    with pq.ParquetFile(folder / "data" / f"{split}.parquet") as file:
        for batch in file.iter_batches(1_000, columns=list(columns)):
            yield from batch.to_pylist()


MARKS = ("prompts", "clue sets", "nights")


def marks_of(work: tuple[str, dict], how: dict) -> tuple[str, tuple[int, ...]]:
    """Of a split and a row of it, the split and 64 bits each that stand for the `MARKS`.

    They are the prompt, and the fingerprints of the clue set, read back from it, and of the night, made again from its address.
    """
    split, row = work
    text = row["prompt"][0]["content"]
    puzzle, truth = read_prompt(text), night(row["seed"], row["index"], how["size"], how["players"])
    marks = (
        hashlib.sha256(text.encode()).hexdigest(),
        fingerprint(puzzle.setting, puzzle.clues),
        fingerprint(truth.setting, facts(truth)),
    )
    return split, tuple(int(mark[:16], 16) for mark in marks)


def check(folder: Path, how: dict, num_proc: int = 1) -> None:
    """A second look at what makes the splits disjoint. It takes 24 bytes a row, and some more while two splits are compared.

    Raises:
        RuntimeError: if two splits share a prompt, a night or a clue set, up to renaming: that would be a fault in this file.
    """
    marks = {split: [array("Q") for _ in MARKS] for split in SPLITS}
    rows = ((split, row) for split in SPLITS for row in read_split(folder, split, ("prompt", "seed", "index")))
    found = in_order(partial(marks_of, how=how), rows, num_proc)
    for split, some in tqdm(found, desc="checking", unit="puzzle", leave=False):
        for marks_of_a_kind, mark in zip(marks[split], some, strict=True):
            marks_of_a_kind.append(mark)
    for a, b in combinations(SPLITS, 2):
        shared = [len(np.intersect1d(x, y)) for x, y in zip(marks[a], marks[b], strict=True)]
        if any(shared):
            named = ", ".join(f"{n} {kind}" for n, kind in zip(shared, MARKS, strict=True))
            raise RuntimeError(f"{a} and {b} share {sum(shared)} things: {named}.")


def count_rows(folder: Path) -> tuple[dict[str, dict[str, Counter]], dict]:
    """How often each value occurs in the columns that the card counts, by split; and the row of the smallest puzzle."""
    counts = {split: {name: Counter() for name in COUNTED} for split in SPLITS}
    address = ("seed", "index", "players", "directness", "determine", "min_depth")
    smallest = None
    for split in SPLITS:
        for row in read_split(folder, split, {*COUNTED, *address}):
            for name, counter in counts[split].items():
                counter.update(row[name] if isinstance(row[name], list) else [row[name]])
            smallest = min(smallest or row, row, key=lambda r: (r["times"] == 1, r["clues"], r["index"]))
    return counts, smallest


def publish(folder: Path) -> None:
    """Replace the Parquet files by JSON lists of `num_clues`, `prompt` and `solution`, laid out as the published ones."""
    for split in SPLITS:
        with (folder / "data" / f"{split}.json").open("w", encoding="utf-8") as file:
            for i, row in enumerate(read_split(folder, split, ("clues", "prompt", "solution"))):
                answers = {chr(65 + k): answer for k, answer in enumerate(row["solution"])}
                published = {"num_clues": row["clues"], "prompt": row["prompt"][0]["content"], "solution": answers}
                file.write(("," if i else "[") + "\n" + indent(json.dumps(published, indent=4), "    "))
            file.write("\n]\n")
        (folder / "data" / f"{split}.parquet").unlink()


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
                    truth = find_night(puzzle.setting, statements)
                except ValueError as error:
                    raise ValueError(f"{source}, {split} {i}: {str(error).rstrip('.')}.") from error
                marks.add(fingerprint(puzzle.setting, puzzle.clues))
                if truth:
                    marks.add(fingerprint(puzzle.setting, facts(truth)))
    return marks


def place(output: Path) -> Path:
    """Where a dataset of this name goes, links followed, after a look at whether that can be done.

    Raises:
        ValueError: if no folder can be made there, or none can take the place of what is there.
    """

    def refused(why: str) -> ValueError:
        return ValueError(f"--output {str(output)!r}: {why}. Choose another --output.")

    try:
        folder = output.resolve()
        if folder in (Path.cwd(), *Path.cwd().parents):
            raise refused("it is the current folder, or one that this is in, and the dataset appears as a new one")
        if os.path.ismount(folder):
            raise refused("it is a mount point, and the dataset appears as a new folder")
        unfinished = folder.with_name(folder.name + PARTIAL)
        for path in (folder, unfinished):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise refused(f"{path} is no folder")
        for needed in (unfinished, folder.parent):
            there = next(path for path in (needed, *needed.parents) if path.exists())
            if not there.is_dir():
                raise refused(f"Not a directory: {there}")
            if not os.access(there, os.W_OK | os.X_OK):
                raise refused(f"nothing can be written in {there}")
    except (OSError, RuntimeError) as error:  # a circle of links, a name that is too long
        raise refused(getattr(error, "strerror", None) or str(error)) from None
    return folder


def make(output: Path, spec: dict, how: dict, excluded: set[str], num_proc: int) -> None:
    """Write the dataset into `output`, which appears only once it is whole.

    Raises:
        ValueError: if `output`, or the unfinished folder beside it, holds something else, or another process is at work.
        OutOfReachError: if a band does not turn up; what was made until then is kept, also for other counts.
        OSError: if a file cannot be written; what was made until then is kept.
    """
    unfinished = output.with_name(output.name + PARTIAL)
    if is_there(output, unfinished, spec):
        return
    unfinished.mkdir(parents=True, exist_ok=True)
    lock = only_one(unfinished)
    try:
        if is_there(output, unfinished, spec):  # made by another process since the first look
            (unfinished / "lock").unlink()
            unfinished.rmdir()
            return
        _make(output, unfinished, spec, how, excluded, num_proc)
    finally:
        os.close(lock)


def is_there(output: Path, unfinished: Path, spec: dict) -> bool:
    """Whether the dataset has been made already.

    Raises:
        ValueError: if one of the folders holds something else, or the dataset is not whole.
    """
    for folder, free in ((output, ()), (unfinished, ("counts",))):
        begun = {"lock", "dataset.json.partial"}  # all that a process has written that has just begun
        if folder.exists() and {path.name for path in folder.iterdir()} - begun:
            same_dataset(folder, spec, free)
    if not (output / "dataset.json").exists():
        return False
    check_whole(output)
    tidy(output)  # after a run that was killed just before it did so itself
    print(f"{output} is there already, and whole.")
    return True


def tidy(output: Path) -> None:
    """Delete what only the making of a dataset needs."""
    for name in (JOURNAL, EARLIER, "lock"):
        (output / name).unlink(missing_ok=True)


def _make(output: Path, unfinished: Path, spec: dict, how: dict, excluded: set[str], num_proc: int) -> None:
    journal, record = unfinished / JOURNAL, unfinished / "dataset.json"
    if record.exists() and json.loads(record.read_text())["counts"] != spec["counts"]:
        set_aside(journal)
    write_json(record, spec)
    one = partial(attempt, seed=spec["seed"], wording=spec["wording"], how=how, proofs="proofs" in spec)
    try:
        collection = collect(journal, spec["counts"], excluded, one, num_proc)
    except OutOfReachError as error:
        raise OutOfReachError(
            f"{error} What was found is kept in {unfinished}: this command searches on from there, and one with other numbers "
            "(--mix, --train, --validation, --test) begins with it."
        ) from None
    write_parquet(unfinished, journal, FEATURES_WITH_PROOF if "proofs" in spec else FEATURES)
    counts, smallest = count_rows(unfinished)
    total = sum(some["difficulty"].total() for some in counts.values())
    check(unfinished, how, min(num_proc, 1 + total // 1_000))
    example = generate(**address_of(smallest))
    published = "format" in spec
    if published:
        publish(unfinished)
    files = [f"data/{split}.{'json' if published else 'parquet'}" for split in SPLITS]
    columns = PUBLISHED if published else {name: meaning for name, (_, meaning) in COLUMNS.items()}
    write_text(unfinished / "night.svg", picture(example.night))
    write_text(unfinished / "README.md", card(spec, counts, example, files, columns, collection.tally["unproved"]))
    sums = {name: sha256(unfinished / name) for name in (*files, "night.svg")}
    write_json(record, {**spec, "sha256": sums})
    os.replace(unfinished, output)
    tidy(output)
    print(f"{output}: " + ", ".join(f"{counts[split]['difficulty'].total():,} {split}" for split in SPLITS))


def same_dataset(folder: Path, spec: dict, free: tuple[str, ...] = ()) -> None:
    """Raises ValueError if `folder` holds anything but the dataset that `spec` describes, the keys in `free` aside."""
    try:
        there = json.loads((folder / "dataset.json").read_text())
    except (OSError, ValueError):
        raise ValueError(f"{folder} is not empty and holds no dataset of ours. Choose another --output.") from None
    wanted = json.loads(json.dumps(spec))
    keys = [key for key in there | wanted if key not in ("command", "sha256", *free)]
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
    if check_whole(folder).get("format") == "published":
        return {split: Dataset.from_list(json.loads((folder / "data" / f"{split}.json").read_bytes())) for split in SPLITS}
    return {split: Dataset(pq.read_table(folder / "data" / f"{split}.parquet")) for split in SPLITS}


def bands_of(mix: str) -> dict[str, int]:
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
    parser.add_argument(
        "--format",
        choices=("parquet", "published"),
        default="parquet",
        help="Parquet with all columns (default), or the published files' JSON lists of num_clues, prompt and solution",
    )
    parser.add_argument("--num-proc", type=int, default=os.cpu_count(), metavar="N", help="processes (default: the cores)")
    add_puzzle_arguments(parser)
    parser.set_defaults(wording=None)
    args = parser.parse_args()
    try:
        published = args.format == "published"
        if published and args.wording not in (None, "published"):
            raise ValueError(f"--format published is in the published wording: leave out --wording {args.wording}.")
        if published and args.proofs:
            raise ValueError("--format published has no place for proofs: leave out --proofs, or --format.")
        output = place(args.output)
        how = how_to_generate(args, None)
        bands = bands_of(args.mix) if args.mix is not None else {"any": 5_000 if args.train is None else args.train}
        if args.mix is not None and args.train is not None:
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
            "wording": args.wording or ("published" if published else "clear"),
            "how": {**how, "size": asdict(how["size"]) if how["size"] else None},
            "counts": {"train": bands, **{split: shared_out(n, bands) for split, n in held_out.items()}},
            "excluded": hashlib.sha256("".join(sorted(excluded)).encode()).hexdigest() if excluded else None,
            "layout": LAYOUT,
            **({"proofs": True} if args.proofs else {}),
            **({"format": args.format} if published else {}),
        }
        make(output, spec, how, excluded, args.num_proc)
    except (ValueError, OutOfReachError) as error:
        sys.exit(f"python -m puzzles.dataset: {error}")
    except OSError as error:
        sys.exit(f"python -m puzzles.dataset: {error}. What was made is kept: fix that, and the same command goes on.")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on where it stopped.")


if __name__ == "__main__":
    main()
