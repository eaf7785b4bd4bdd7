"""Load rows: of any Parquet, JSON or JSON Lines file, any folder, any dataset on the Hub; and the splits of our own folders.

`read_rows` reads rows as they are needed, so a million need no more memory than a thousand; only a JSON list is read whole.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset, load_dataset
from datasets.config import HF_DATASETS_CACHE

from puzzles.files import read_json, sha256

SPLITS = ("train", "validation", "test")
BATCH = 200  # rows of a Parquet file in memory at once


class Rows:
    """The rows of a split, read from their file anew each time they are iterated over.

    Args:
        count: how many there are.
        read: yields the rows at ascending indices, each in a pair with the number that locates it in its file: its index, from
            0, or in JSON Lines its line, from 1. Anything that is not a JSON object is yielded as it is.
    """

    def __init__(self, count: int, read: Callable[[Sequence[int]], Iterator[tuple[int, Any]]]):
        self.count, self.read = count, read

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return (row for _, row in self.numbered())

    def numbered(self, indices: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        """The rows at these ascending indices, or all of them, each with its number."""
        return self.read(range(self.count) if indices is None else indices)


def read_rows(source: str) -> dict[str, Rows]:
    """The rows of a JSON, JSON Lines or Parquet file, of a folder, or of a dataset on the Hub, by split.

    Raises:
        ValueError: if there is nothing by that name, or it cannot be read.
    """
    path = Path(source)
    try:
        if path.suffix in FORMATS:
            name, rows = FORMATS[path.suffix](path)
            return {name: rows}
        if path.is_file():
            raise ValueError(f"its name ends in {path.suffix!r}, but should end in {', '.join(FORMATS)}")
        if files := sorted(path.glob("data/*.parquet")):
            return dict(map(_parquet, files))
        if files := sorted(path.glob("data/*.json")) if (path / "dataset.json").exists() else []:  # --format published
            return {file.stem: _json(file)[1] for file in files}
        if not path.is_dir() and source.count("/") != 1:
            raise ValueError("it is neither a file, nor a folder, nor the id of a dataset on the Hub (name/dataset)")
        return {split: _listed(rows) for split, rows in load_anew(source).items()}
    except Exception as error:  # anything that pyarrow, datasets or the network raises
        reason = (str(error) or repr(error)).splitlines()[0].rstrip(".")
        raise ValueError(f"{source} cannot be read: {reason}.") from error


def load_anew(source: str) -> dict[str, Dataset]:
    """`load_dataset` with a cache of its own for each state of a folder: by default it caches a folder by its name, and may
    return what another one of that name held.
    """
    folder, cache = Path(source), None
    if folder.is_dir():
        files = ((file, file.stat()) for file in sorted(folder.resolve().rglob("*")) if file.is_file())
        state = [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in files]
        cache = Path(HF_DATASETS_CACHE) / f"folder-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}"
    return dict(load_dataset(source, cache_dir=cache and str(cache)))


def _listed(rows: Sequence) -> Rows:
    return Rows(len(rows), lambda wanted: ((i, rows[i]) for i in wanted))


def _json(path: Path) -> tuple[str, Rows]:
    try:
        rows = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{error} (with one object on each line it is JSON Lines: name it .jsonl)") from error
    if not isinstance(rows, list):
        raise ValueError("it is not a list of rows")
    return "row", _listed(rows)


def _jsonl(path: Path) -> tuple[str, Rows]:
    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        with path.open("rb") as file:
            numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            for i, (number, line) in enumerate(numbered):
                at = bisect_left(wanted, i)
                if at == len(wanted):
                    return
                if wanted[at] == i:
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError):
                        yield number, line.decode(errors="replace").rstrip()

    with path.open("rb") as file:
        count = sum(bool(line.strip()) for line in file)
    return "line", Rows(count, read)


def _parquet(path: Path) -> tuple[str, Rows]:
    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        with pq.ParquetFile(path, buffer_size=2**20) as file:  # without it Arrow holds a row group's whole column
            at = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if bisect_left(wanted, at) == bisect_left(wanted, at + rows):  # none of them in this group
                    at += rows
                    continue
                for batch in file.iter_batches(BATCH, [group]):
                    if some := wanted[bisect_left(wanted, at) : bisect_left(wanted, at + len(batch))]:
                        yield from zip(some, batch.take([i - at for i in some]).to_pylist(), strict=True)
                    at += len(batch)

    with pq.ParquetFile(path) as file:
        return path.stem, Rows(file.metadata.num_rows, read)


FORMATS = {".parquet": _parquet, ".json": _json, ".jsonl": _jsonl}


# ---------------------------------------------------------------- our own folders


def load_splits(source: str) -> dict[str, Dataset]:
    """The splits of a folder that `python -m puzzles.dataset` made, or of any dataset that `load_dataset` knows.

    Raises:
        ValueError: if a folder of ours is incomplete or was changed.
    """
    folder = Path(source)
    if not (folder / "dataset.json").exists():
        return load_anew(source)
    if check_complete(folder).get("format") == "published":
        return {split: Dataset.from_list(json.loads((folder / "data" / f"{split}.json").read_bytes())) for split in SPLITS}
    return {split: Dataset(pq.read_table(folder / "data" / f"{split}.parquet")) for split in SPLITS}


def check_complete(folder: Path) -> dict:
    """The record (dataset.json) of a dataset folder, after a check that the folder is complete and unchanged.

    Raises:
        ValueError: naming the file that is missing or was changed.
    """
    try:
        record = read_json(folder / "dataset.json")
        sums = dict(record["sha256"]).items()
    except (OSError, ValueError, TypeError, KeyError):
        raise ValueError(f"{folder} does not hold a finished dataset: make one with `make dataset`.") from None
    for name, expected in sums:
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise ValueError(f"{folder / name} is missing or was changed since it was made: delete {folder} and make it again.")
    return record
