"""Make a dataset folder: it appears under its name only when complete, and an interrupted run resumes where it stopped.

While it is being made, everything is in `NAME.partial`, locked against other processes: `dataset.json` (what is asked for), the
journal (collect.py), then one file per split, a picture and the dataset card. The same arguments give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import combinations
from pathlib import Path
from textwrap import indent

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from tqdm import tqdm

from puzzles.clues import facts
from puzzles.dataset.card import COUNTED, card
from puzzles.dataset.collect import EARLIER, JOURNAL, OutOfReachError, collect, read_journal, set_aside, try_index
from puzzles.dataset.load import SPLITS, check_complete
from puzzles.dataset.rows import COLUMNS, FEATURES, FEATURES_WITH_PROOF, address_of, chance
from puzzles.files import lock_folder, read_json, sha256, write_json, write_text
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import generate
from puzzles.parallel import in_order
from puzzles.prompts import read_prompt
from puzzles.scenario import night
from puzzles.viewer.picture import picture

PARTIAL = ".partial"  # suffix of the folder in which a dataset is being made
PUBLISHED = {  # the columns of the published format
    "num_clues": "how many clues",
    "prompt": "the puzzle",
    "solution": "the right answer to each question, by its letter",
}


def make(output: Path, spec: dict, options: dict, excluded: set[str], num_proc: int) -> None:
    """Write the dataset into `output`, which appears only once it is complete.

    Args:
        spec: what is asked for, as it is recorded in dataset.json; see `puzzles/dataset/__main__.py`.
        options: keyword arguments of `generate`.
        excluded: fingerprints of nights and clue sets to leave out.

    Raises:
        ValueError: if `output`, or the unfinished folder beside it, holds something else, or another process is using it.
        OutOfReachError: if the puzzles of a band are not found; what was made so far is kept, even for other counts.
        OSError: if a file cannot be written; what was made so far is kept.
    """
    unfinished = output.with_name(output.name + PARTIAL)
    if is_made(output, unfinished, spec):
        return
    unfinished.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(unfinished)
    try:
        if is_made(output, unfinished, spec):  # by another process since the first check
            (unfinished / "lock").unlink()
            unfinished.rmdir()
            return
        _make(output, unfinished, spec, options, excluded, num_proc)
    finally:
        os.close(lock)


def _make(output: Path, unfinished: Path, spec: dict, options: dict, excluded: set[str], num_proc: int) -> None:
    journal, record = unfinished / JOURNAL, unfinished / "dataset.json"
    if record.exists() and json.loads(record.read_text())["counts"] != spec["counts"]:
        set_aside(journal)
    write_json(record, spec)
    try_one = partial(try_index, seed=spec["seed"], wording=spec["wording"], options=options, proofs="proofs" in spec)
    try:
        collection = collect(journal, spec["counts"], excluded, try_one, num_proc)
    except OutOfReachError as error:
        raise OutOfReachError(
            f"{error} What was found is kept in {unfinished}: the same command resumes the search there, and one with other "
            "numbers (--mix, --train, --validation, --test) starts from it."
        ) from None
    write_parquet(unfinished, journal, FEATURES_WITH_PROOF if "proofs" in spec else FEATURES)
    counts, smallest = count_values(unfinished)
    total = sum(of["difficulty"].total() for of in counts.values())
    check_disjoint(unfinished, options, min(num_proc, 1 + total // 1_000))
    example = generate(**address_of(smallest))
    published = "format" in spec
    random_answers = chance(read_split(unfinished, "test", ("prompt",)))
    stored = published_row(smallest) if published else smallest
    if published:
        write_published_format(unfinished)
    files = [f"data/{split}.{'json' if published else 'parquet'}" for split in SPLITS]
    columns = PUBLISHED if published else {name: meaning for name, (_, meaning) in COLUMNS.items()}
    write_text(unfinished / "night.svg", picture(example.night))
    unproved = collection.tally["unproved"]
    write_text(unfinished / "README.md", card(spec, counts, example, stored, files, columns, unproved, random_answers))
    sums = {name: sha256(unfinished / name) for name in (*files, "night.svg")}
    write_json(record, {**spec, "sha256": sums})
    os.replace(unfinished, output)
    remove_working_files(output)
    print(f"{output}: " + ", ".join(f"{counts[split]['difficulty'].total():,} {split}" for split in SPLITS))


# ---------------------------------------------------------------- before: where it goes, and what is there


def resolve_output(output: Path) -> Path:
    """The folder for a dataset of this name, with links resolved.

    Raises:
        ValueError: if no folder can be made there, or none can replace what is there.
    """

    def refused(why: str) -> ValueError:
        return ValueError(f"--output {str(output)!r}: {why}. Choose another --output.")

    try:
        folder = output.resolve()
        if folder in (Path.cwd(), *Path.cwd().parents):
            raise refused("it is the current folder or one above it, and the dataset has to be a new folder")
        if os.path.ismount(folder):
            raise refused("it is a mount point, and the dataset has to be a new folder")
        unfinished = folder.with_name(folder.name + PARTIAL)
        for path in (folder, unfinished):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise refused(f"{path} is not a folder")
        for needed in (unfinished, folder.parent):
            there = next(path for path in (needed, *needed.parents) if path.exists())
            if not there.is_dir():
                raise refused(f"Not a directory: {there}")
            if not os.access(there, os.W_OK | os.X_OK):
                raise refused(f"nothing can be written in {there}")
    except (OSError, RuntimeError) as error:  # circular links, or a name that is too long
        raise refused(getattr(error, "strerror", None) or str(error)) from None
    return folder


def is_made(output: Path, unfinished: Path, spec: dict) -> bool:
    """Whether the dataset has been made already.

    Raises:
        ValueError: if one of the folders holds something else, or the dataset is incomplete.
    """
    for folder, may_differ in ((output, ()), (unfinished, ("counts",))):
        just_begun = {"lock", "dataset.json.partial"}  # all that a process killed at the start has written
        if folder.exists() and {path.name for path in folder.iterdir()} - just_begun:
            check_same_dataset(folder, spec, may_differ)
    if not (output / "dataset.json").exists():
        return False
    check_complete(output)
    remove_working_files(output)  # after a run that was killed just before it did so itself
    print(f"{output} exists already and is complete.")
    return True


def check_same_dataset(folder: Path, spec: dict, may_differ: tuple[str, ...] = ()) -> None:
    """Raises ValueError if `folder` holds anything but the dataset that `spec` describes, the keys in `may_differ` aside."""
    try:
        there = read_json(folder / "dataset.json")
    except (OSError, ValueError):
        raise ValueError(f"{folder} is not empty and was not made by this command. Choose another --output.") from None
    wanted = json.loads(json.dumps(spec))
    keys = [key for key in there | wanted if key not in ("command", "sha256", *may_differ)]
    if changed := [key for key in keys if there.get(key) != wanted.get(key)]:
        was = "; ".join(f"{key} was {there.get(key)}, now {wanted.get(key)}" for key in changed[:2])
        raise ValueError(f"{folder} holds another dataset ({was}). Choose another --output, or delete that folder.")


def remove_working_files(output: Path) -> None:
    """Delete what is needed only while a dataset is being made."""
    for name in (JOURNAL, EARLIER, "lock"):
        (output / name).unlink(missing_ok=True)


# ---------------------------------------------------------------- its files


def write_parquet(folder: Path, journal: Path, features: Features) -> None:
    """One Parquet file for each split, with these columns, of the rows that the journal marks as kept."""
    schema = features.arrow_schema.with_metadata(None)  # `datasets` before 4 cannot read the metadata of later versions
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


def published_row(row: dict) -> dict:
    """A row in the published format, in its own wording."""
    answers = {chr(65 + k): answer for k, answer in enumerate(row["solution"])}
    return {"num_clues": row["clues"], "prompt": row["prompt"][0]["content"], "solution": answers}


def write_published_format(folder: Path) -> None:
    """Replace the Parquet files by JSON lists of `num_clues`, `prompt` and `solution`, formatted as the published ones."""
    for split in SPLITS:
        with (folder / "data" / f"{split}.json").open("w", encoding="utf-8") as file:
            for i, row in enumerate(read_split(folder, split, ("clues", "prompt", "solution"))):
                file.write(("," if i else "[") + "\n" + indent(json.dumps(published_row(row), indent=4), "    "))
            file.write("\n]\n")
        (folder / "data" / f"{split}.parquet").unlink()


def read_split(folder: Path, split: str, columns: Iterable[str] | None = None) -> Iterator[dict]:
    """The rows of a split, with all columns or some, and at most one batch in memory."""
    with pq.ParquetFile(folder / "data" / f"{split}.parquet") as file:
        for batch in file.iter_batches(1_000, columns=columns and list(columns)):
            yield from batch.to_pylist()


def count_values(folder: Path) -> tuple[dict[str, dict[str, Counter]], dict]:
    """How often each value occurs in the columns that the card counts, by split; and the row of the smallest puzzle."""
    counts = {split: {name: Counter() for name in COUNTED} for split in SPLITS}
    smallest = None
    for split in SPLITS:
        for row in read_split(folder, split):
            for name, counter in counts[split].items():
                counter.update(row[name] if isinstance(row[name], list) else [row[name]])
            smallest = min(smallest or row, row, key=lambda r: (r["times"] == 1, r["clues"], r["index"]))
    return counts, smallest


# ---------------------------------------------------------------- a final check of the splits

COMPARED = ("prompts", "clue sets", "nights")


def check_disjoint(folder: Path, options: dict, num_proc: int = 1) -> None:
    """Check from the finished files that no two splits share anything. Needs 24 bytes a row, and as much again to compare two.

    Raises:
        RuntimeError: if two splits share a prompt, or a night or clue set up to renaming: that would be a bug in this package.
    """
    digests = {split: [array("Q") for _ in COMPARED] for split in SPLITS}
    rows = ((split, row) for split in SPLITS for row in read_split(folder, split, ("prompt", "seed", "index")))
    found = in_order(partial(digests_of, options=options), rows, num_proc)
    for split, row_digests in tqdm(found, desc="checking", unit="puzzle", leave=False):
        for column, digest in zip(digests[split], row_digests, strict=True):
            column.append(digest)
    for a, b in combinations(SPLITS, 2):
        shared = [len(np.intersect1d(x, y)) for x, y in zip(digests[a], digests[b], strict=True)]
        if any(shared):
            named = ", ".join(f"{n} {kind}" for n, kind in zip(shared, COMPARED, strict=True))
            raise RuntimeError(f"{a} and {b} share {sum(shared)} things: {named}.")


def digests_of(work: tuple[str, dict], options: dict) -> tuple[str, tuple[int, ...]]:
    """For a split and one of its rows: the split, and 64 bits for each of `COMPARED`.

    They come from the prompt, and from the fingerprints of the clue set, read back from it, and of the regenerated night.
    """
    split, row = work
    text = row["prompt"][0]["content"]
    puzzle, truth = read_prompt(text), night(row["seed"], row["index"], options["size"], options["players"])
    digests = (
        hashlib.sha256(text.encode()).hexdigest(),
        split_fingerprint(puzzle.setting, puzzle.clues),
        split_fingerprint(truth.setting, facts(truth)),
    )
    return split, tuple(int(digest[:16], 16) for digest in digests)
