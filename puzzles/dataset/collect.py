"""Search a series for the puzzles of a dataset: a given number of each band for each split, no two of them alike.

A night's fingerprint, which no renaming changes, decides which split it belongs to, so no two splits share a night under any
names. What was found at each index is written to a line of a journal, from which a later call resumes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice, zip_longest
from pathlib import Path

from tqdm import tqdm

from puzzles.clues import facts
from puzzles.cpsat import UndecidedError
from puzzles.dataset.rows import PATIENCE, row
from puzzles.difficulty import BANDS
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import NothingToAskError, generate
from puzzles.parallel import in_order
from puzzles.proof import explain, prove
from puzzles.scenario import night

JOURNAL, EARLIER = "journal.jsonl", "earlier.jsonl"  # what was found at each index; the same, from a run with other counts


class OutOfReachError(Exception):
    """The puzzles that are still missing were not found within `PATIENCE` indices."""


def collect(journal: Path, counts: dict, excluded: set[str], try_one: Callable, num_proc: int) -> Collection:
    """Try index after index until nothing is missing, starting where the journal ends; each index adds a line to it.

    What an earlier journal holds for an index (see `set_aside`) is reused.

    Args:
        counts: the wanted number of each band ("any" for any band), by split.
        excluded: fingerprints of nights and clue sets to leave out.
        try_one: `try_index`, given all but its first argument.

    Raises:
        OutOfReachError: if what is missing is not found within `PATIENCE` indices.
    """
    collection = Collection(counts, excluded)
    total = sum(sum(bands.values()) for bands in counts.values())
    for found in read_journal(journal):
        collection.add(found)
    collection.since_last_kept = 0
    done = total - sum(bands.total() for bands in collection.missing.values())
    known = islice(read_journal(journal.with_name(EARLIER)), collection.tried, None)
    with journal.open("a", encoding="utf-8") as file, tqdm(total=total, initial=done, unit="puzzle", smoothing=0.05) as bar:
        work = ((index, collection.wanted(), next(known, None)) for index in count(collection.tried))
        for found in in_order(try_one, work, num_proc):
            if not collection.wanted():
                break
            kept = collection.add(found)
            if "row" in found and not kept:  # the row itself is not needed again, only its band
                found["row"] = {"difficulty": found["row"]["difficulty"]}
            file.write(json.dumps({**found, "kept": kept}, ensure_ascii=False) + "\n")
            file.flush()
            bar.update(kept)
            if collection.since_last_kept >= PATIENCE:
                raise OutOfReachError(collection.describe_shortage())
    return collection


class Collection:
    """What has been kept so far, and what is still missing."""

    def __init__(self, counts: dict[str, dict[str, int]], excluded: set[str]):
        self.missing = {split: Counter(bands) for split, bands in counts.items()}
        self.excluded = excluded
        self.clue_sets: set[int] = set()
        self.tally: Counter[str] = Counter()
        self.tried = self.since_last_kept = 0

    def wanted(self) -> dict[str, set[str]]:
        """The splits that are not full, with the bands that they lack."""
        return {split: {kind for kind, n in bands.items() if n} for split, bands in self.missing.items() if bands.total()}

    def add(self, found: dict) -> bool:
        """Count what was found at an index. Returns whether it is kept: it is not if its split or band is full, or if the same
        puzzle under other names was kept before or is excluded."""
        self.tried += 1
        self.since_last_kept += 1
        if "row" not in found:
            self.tally["unproved"] += "unproved" in found and self.missing[found["split"]].total() > 0
            return False
        bands, kind = self.missing[found["split"]], found["row"]["difficulty"]
        self.tally[kind] += 1
        clue_set = int(found["marks"][1], 16)
        if clue_set in self.clue_sets or self.excluded & set(found["marks"]):
            self.tally["duplicate"] += 1
            return False
        kind = kind if kind in bands else "any"
        if not bands[kind]:
            return False
        bands[kind] -= 1
        self.clue_sets.add(clue_set)
        self.since_last_kept = 0
        return True

    def describe_shortage(self) -> str:
        """What is still missing after a long search, and what was found instead."""
        missing = ", ".join(
            f"{n} {kind} for {split}" for split, bands in self.missing.items() for kind, n in bands.items() if n
        )
        total = sum(self.tally[kind] for kind in BANDS)
        percent = ", ".join(f"{self.tally[kind] / max(total, 1):.1%} {kind}" for kind in BANDS)
        return (
            f"none of the last {PATIENCE:,} indices gave a puzzle that is still missing ({missing}). Of the {total:,} puzzles "
            f"generated so far, {percent}; {self.tally['duplicate']:,} were duplicates, or excluded, under other names"
            + (f"; for {n:,} no proof was found" if (n := self.tally["unproved"]) else "")
            + ". Ask for fewer, for another band, or for another size."
        )


# ---------------------------------------------------------------- one index


def split_of(night_fingerprint: str) -> str:
    """The split that a night belongs to under any names: half of all nights to train, a quarter to each held-out split."""
    return ("test", "validation", "train", "train")[int(night_fingerprint[-1], 16) % 4]


def try_index(work: tuple[int, dict, dict | None], seed: int, wording: str, options: dict, proofs: bool) -> dict:
    """The puzzle at an index, as a line of the journal: its split and, if that split is wanted, its row and its `marks`, the
    fingerprints of its night and of its clue set.

    There is also no row if the puzzle leaves nothing to ask, or if it should have a proof and none was found within the
    effort that `prove` allows.

    Args:
        work: the index; the wanted bands of each split; what an earlier journal holds for the index, which is returned as it is
            if it suffices.
        options: keyword arguments of `generate`.
        proofs: whether rows get a column with a proof of the answers.
    """
    index, wanted, known = work
    if known and _suffices(known, wanted):
        return known
    try:
        truth = night(seed, index, options["size"], options["players"])
    except ValueError:  # a crowded mansion, where nobody was ever alone with a weapon
        return {"index": index, "split": None}
    night_fingerprint = split_fingerprint(truth.setting, facts(truth))
    found = {"index": index, "split": split_of(night_fingerprint)}
    if found["split"] in wanted:
        try:
            case = generate(seed, index, **options)
            proof = {"proof": explain(case.puzzle, prove(case.puzzle, truth))} if proofs else {}
        except NothingToAskError:
            return found
        except UndecidedError:
            return found | {"unproved": True}
        found["marks"] = [night_fingerprint, split_fingerprint(truth.setting, case.puzzle.clues)]
        found["row"] = row(case, wording, **options) | proof
    return found


def _suffices(found: dict, wanted: dict[str, set[str]]) -> bool:
    """Whether a line of an earlier journal has its complete row, or is of a split or band that is not wanted."""
    kinds = wanted.get(found["split"])
    return kinds is None or ("row" in found and ("prompt" in found["row"] or not kinds & {found["row"]["difficulty"], "any"}))


# ---------------------------------------------------------------- the journal


def read_journal(journal: Path) -> Iterator[dict]:
    """The lines of a journal; an unfinished last line is deleted.

    Raises:
        ValueError: if it does not have one line for each index from 0 on, as after a power failure; the message names the line.
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
                    f"{journal} is damaged at line {index + 1}: delete that line and all after it, and the same command "
                    f"resumes from there; or delete {journal.parent} and start again."
                )
            yield found


def set_aside(journal: Path) -> None:
    """Keep a journal as the earlier one of a run with other counts: what it holds for an index stays valid, but not which
    rows were kept."""
    earlier = journal.with_name(EARLIER)
    merged = earlier.with_name(EARLIER + ".partial")
    with merged.open("w", encoding="utf-8") as file:
        for newer, older in zip_longest(read_journal(journal), read_journal(earlier)):
            file.write(json.dumps(newer or older, ensure_ascii=False) + "\n")
    os.replace(merged, earlier)
    journal.unlink(missing_ok=True)
