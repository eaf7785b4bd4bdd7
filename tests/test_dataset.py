"""The dataset: the same bytes whatever interrupts it, splits that share nothing, clear errors."""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from itertools import islice
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.cpsat import UndecidedError
from puzzles.dataset import __main__ as command
from puzzles.dataset import collect, load_splits, regenerate, row, series
from puzzles.dataset import folder as folders
from puzzles.dataset.__main__ import apportion, parse_mix
from puzzles.dataset.collect import read_journal
from puzzles.dataset.folder import check_complete, check_disjoint
from puzzles.dataset.load import SPLITS, read_rows
from puzzles.dataset.rows import COLUMNS, FEATURES
from puzzles.files import lock_folder
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import VERSION, NothingToAskError, generate
from puzzles.prompts import WORDINGS, prompt, read_prompt
from puzzles.proof import explain, prove
from puzzles.scenario import Size
from puzzles.verify import row_problems
from tests.in_process import run
from tests.test_fingerprint import renamed
from tests.test_scenario import SIZES

COUNTS = ["--train", "40", "--validation", "8", "--test", "8"]
SIZE = ["--suspects", "3", "--weapons", "2", "--rooms", "4", "--times", "2"]
TINY = ["--suspects", "2", "--weapons", "2", "--rooms", "2", "--times", "1"]
HOW = {"size": Size(3, 2, 4, 2), "players": (1, 6)}


def make(output, *args):
    return run(command.main, "--output", output, "--num-proc", 1, *args)


def process(output, *args, **kwargs):
    command = [sys.executable, "-m", "puzzles.dataset", "--output", output, *args, "--num-proc", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(folder, split):
    return pq.read_table(folder / "data" / f"{split}.parquet").to_pylist()


def interrupted(output, lines, *args):
    """Ctrl-C after so many puzzles are found, or while they are checked; the last line of the journal is unfinished."""
    in_order = collect.in_order

    def until(*work):
        for i, found in enumerate(in_order(*work)):
            if i == lines:
                raise KeyboardInterrupt
            yield found

    with mock.patch.object(collect, "in_order", until), mock.patch.object(folders, "in_order", until):
        done = make(output, *args)
    assert "Interrupted. The same command resumes" in done.stderr
    assert not output.exists()
    with (output.with_name(output.name + ".partial") / "journal.jsonl").open("ab") as file:
        file.write(b'{"index": 99, "spl')


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "clue"
    done = make(folder, *COUNTS, *SIZE)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_loads_with_the_columns_that_trl_expects(made, tmp_path):
    loaded = load_dataset(str(made), cache_dir=str(tmp_path))
    assert {split: len(loaded[split]) for split in loaded} == {"train": 40, "validation": 8, "test": 8}
    first = loaded["train"][0]
    case = generate(first["seed"], first["index"], HOW["size"])
    assert first["prompt"] == [{"role": "user", "content": prompt(case.puzzle)}]
    assert first["solution"] == list(case.solution.values())
    assert first["depths"] == case.depths
    assert first["version"] == VERSION
    for letter, question in zip("ABCDEFGH", first["questions"], strict=False):
        assert f"\n{letter}. {question}\n" in first["prompt"][0]["content"]
    assert len(first["questions"]) == len(first["solution"])
    for features in (loaded["train"].features, load_splits(str(made))["train"].features):
        assert features == FEATURES
    card = (made / "README.md").read_text()
    assert all(f"| `{name}` | " in card for name in COLUMNS)


def test_parquet_has_no_metadata_that_older_datasets_cannot_read(made):
    """datasets 3.6 does not know `List`, which versions 4 and 5 write into the metadata; the Arrow types are enough."""
    for split in SPLITS:
        schema = pq.read_schema(made / "data" / f"{split}.parquet")
        assert b"huggingface" not in (schema.metadata or {})
        assert all(schema.field(name).metadata is None for name in schema.names)
        assert schema.equals(FEATURES.arrow_schema)


# ---------------------------------------------------------------- a row is regenerated from its columns

OPTIONS = st.fixed_dictionaries(
    {
        "size": st.none() | SIZES,
        "players": st.sampled_from([(1, 1), (2, 2), (1, 2), (1, 6)]),
        "directness": st.sampled_from([0.0, 0.75, 1 / 3, 2.0]),
        "determine": st.sampled_from(["world", "answers"]),
        "min_depth": st.integers(0, 2),
    }
)


@settings(deadline=None, max_examples=30)
@given(st.integers(-(10**6), 10**6), st.integers(0, 2 * 10**9), OPTIONS, st.sampled_from(WORDINGS))
def test_a_row_is_regenerated_from_its_columns(seed, index, how, wording):
    try:
        made_ = row(generate(seed, index, **how), wording, **how)
    except NothingToAskError:
        return
    (stored,) = pa.Table.from_pylist([made_], FEATURES.arrow_schema).to_pylist()
    assert stored == made_
    for kept in (stored, json.loads(json.dumps(stored)), {k: float("nan") if v is None else v for k, v in stored.items()}):
        assert regenerate(kept) == made_


def test_a_series_is_endless_and_holds_only_the_band_that_is_asked_for(monkeypatch):
    every = list(islice(series(5, 10, **HOW), 30))
    assert [row["index"] for row in every] == list(range(10, 40))
    assert every[3] == row(generate(5, 13, **HOW), **HOW)
    medium = [r for r in every if r["difficulty"] == "medium"]
    assert 0 < len(medium) < 30
    assert list(islice(series(5, 10, difficulty="medium", **HOW), len(medium))) == medium
    monkeypatch.setattr("puzzles.dataset.rows.PATIENCE", 3)
    with pytest.raises(ValueError, match="none of 3 puzzles is hard"):
        next(series(0, difficulty="hard", size=Size(2, 2, 2, 1)))
    with pytest.raises(ValueError, match="'impossible' is unknown"):
        next(series(0, difficulty="impossible"))


def test_an_id_is_one_address_and_one_wording():
    how = {"size": Size(3, 2, 4, 2), "players": (1, 6), "directness": 0.0, "determine": "world", "min_depth": 0}
    others = [{"size": None}, {"size": None, "players": (1, 2)}, {"size": Size(3, 3, 4, 2)}]
    others += [{"directness": 0.5}, {"determine": "answers"}, {"min_depth": 1}]
    found = [row(generate(7, 0, **how), wording, **how)["id"] for wording in WORDINGS]
    found += [row(generate(7, 0, **how | other), **how | other)["id"] for other in others]
    found += [row(generate(seed, index, **how), **how)["id"] for seed, index in ((7, 1), (8, 0), (-7, 1))]
    assert len(set(found)) == len(found)
    assert found[0] == "v1-7-0-0ac52f02"  # must never change


@pytest.mark.parametrize(
    "args",
    [
        ["--players", "1-2", "--directness", "0.75", "--wording", "compact"],
        ["--players", "1", "--min-depth", "1", "--seed", "-3"],
        ["--mix", "easy=1,medium=2", "--determine", "answers", *TINY[:-2], "--motives", "0", "--proofs"],
        [*SIZE, "--motives", "2", "--format", "parquet", "--wording", "published"],
    ],
)
def test_rows_of_every_command_line_are_regenerated_from_their_columns(args, tmp_path):
    done = make(tmp_path / "clue", *([] if "--mix" in args else ["--train", "3"]), "--validation", "1", "--test", "1", *args)
    assert done.returncode == 0, done.stderr
    for split in SPLITS:
        for made_ in rows(tmp_path / "clue", split):
            assert regenerate(made_) == made_
    with pytest.raises(ValueError, match="without the column 'players'"):
        regenerate({k: v for k, v in made_.items() if k != "players"})
    with pytest.raises(ValueError, match="of version 0 cannot be regenerated here"):
        regenerate(made_ | {"version": 0})


# ---------------------------------------------------------------- complete or not there, and one process at a time


def test_no_split_shares_a_prompt_a_night_or_a_clue_set(made, tmp_path):
    check_disjoint(made, HOW)
    shutil.copytree(made, tmp_path / "clue")
    some = pq.read_table(made / "data" / "test.parquet")
    pq.write_table(some.slice(2, 3), tmp_path / "clue" / "data" / "validation.parquet")
    with pytest.raises(RuntimeError, match="validation and test share 9 things: 3 prompts, 3 clue sets, 3 nights"):
        check_disjoint(tmp_path / "clue", HOW)


def test_check_disjoint_takes_a_few_bytes_per_row(monkeypatch, tmp_path):
    """24 for the digests and as much again to compare them; a row itself needs thousands."""
    n = 20_000
    monkeypatch.setattr(folders, "read_split", lambda folder, split, columns: ({"split": split, "i": i} for i in range(n)))
    monkeypatch.setattr(
        folders, "digests_of", lambda work, options: (work[0], [hash((*work[1].values(), k)) % 2**64 for k in "abc"])
    )
    tracemalloc.start()
    try:
        check_disjoint(tmp_path, HOW)
        assert tracemalloc.get_traced_memory()[1] < 3 * n * 60
    finally:
        tracemalloc.stop()


def test_a_killed_run_and_a_second_process_end_with_the_same_bytes(made, tmp_path):
    """A killed run leaves no worker behind and perhaps an unfinished last line; the next process gets the lock."""
    output, journal = tmp_path / "clue", tmp_path / "clue.partial" / "journal.jsonl"

    def until(done, lines):
        while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
            assert done.poll() is None
            time.sleep(0.005)

    done = process(output, *COUNTS, *SIZE, env=os.environ | {"PYTHONHASHSEED": "1"}, start_new_session=True)
    until(done, 10)
    refused = make(output, *COUNTS, *SIZE)
    assert refused.returncode == 1
    assert f"clue.partial is in use by process {done.pid}" in refused.stderr
    done.send_signal(signal.SIGKILL)
    done.communicate()
    assert not output.exists()
    with journal.open("ab") as file:
        file.write(b'{"index": 99, "spl')
    for _ in range(100):
        try:
            os.killpg(done.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a worker outlived the program")
    done = process(output, *COUNTS, *SIZE, env=os.environ | {"PYTHONHASHSEED": "2"})
    assert done.communicate()[0].endswith("clue: 40 train, 8 validation, 8 test\n")
    assert content(output) == content(made)
    assert os.listdir(tmp_path) == ["clue"]


def test_an_interrupted_run_resumes_and_ends_with_the_same_bytes(made, tmp_path):
    output = tmp_path / "clue"
    for lines in (5, 25, 50):
        interrupted(output, lines, *COUNTS, *SIZE)
    assert len(list(read_journal(tmp_path / "clue.partial" / "journal.jsonl"))) >= 60
    assert make(output, *COUNTS, *SIZE).returncode == 0
    assert content(output) == content(made)


def test_leftovers_of_a_process_killed_at_its_start_are_not_another_dataset(tmp_path):
    for name in ("lock", "dataset.json.partial"):
        (tmp_path / "clue.partial").mkdir(exist_ok=True)
        (tmp_path / "clue.partial" / name).touch()
    assert make(tmp_path / "clue", "--train", "2", "--validation", "1", "--test", "1", *TINY).returncode == 0
    assert os.listdir(tmp_path) == ["clue"]


def test_a_dataset_made_by_another_process_meanwhile_is_found(made, tmp_path):
    """The first check finds nothing; once the lock is acquired, the dataset is there."""
    output, unfinished = tmp_path / "clue", tmp_path / "clue.partial"

    def appears(folder):
        shutil.copytree(made, output)
        return lock_folder(folder)

    with mock.patch.object(folders, "lock_folder", appears):
        done = make(output, *COUNTS, *SIZE)
    assert "exists already and is complete" in done.stdout
    assert not unfinished.exists()


def test_a_full_disk_loses_nothing(made, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        done = make(tmp_path / "clue", *COUNTS, *SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "the same command resumes" in done.stderr
    assert not (tmp_path / "clue").exists()
    assert make(tmp_path / "clue", *COUNTS, *SIZE).returncode == 0
    assert content(tmp_path / "clue") == content(made)


def test_proofs_add_one_column_to_the_same_puzzles(made, tmp_path):
    output = tmp_path / "clue"
    interrupted(output, 25, *COUNTS, *SIZE, "--proofs")
    resumed = make(output, *COUNTS, *SIZE, "--proofs")
    assert resumed.returncode == 0, resumed.stderr
    for split in SPLITS:
        proved = rows(output, split)
        for made_ in proved:
            case = generate(made_["seed"], made_["index"], HOW["size"])
            assert made_.pop("proof") == explain(case.puzzle, prove(case.puzzle, case.night))
        assert proved == rows(made, split)
    assert json.loads((output / "dataset.json").read_text())["command"].endswith(" --test 8 --proofs " + " ".join(SIZE))
    assert "`proof` shows why the answers are right" in (output / "README.md").read_text()
    assert "left out, as no proof" not in (output / "README.md").read_text()
    assert "`proof`" not in (made / "README.md").read_text()
    for folder, args in ((made, ["--proofs"]), (output, [])):
        refused = make(folder, *COUNTS, *SIZE, *args)
        assert refused.returncode == 1
        assert "holds another dataset (proofs was" in refused.stderr


def test_a_puzzle_without_a_proof_is_left_out_and_counted(made, tmp_path, monkeypatch):
    """The effort of a proof is counted in steps, not seconds, so the same puzzles are left out on every machine."""
    hard = {made_["index"] for made_ in rows(made, "train")[:3]}
    nights = [generate(0, index, HOW["size"]).night for index in hard]

    def undecided(puzzle, night):
        if night in nights:
            raise UndecidedError("no short proof was found")
        return prove(puzzle, night)

    monkeypatch.setattr(collect, "prove", undecided)
    done = make(tmp_path / "clue", *COUNTS, *SIZE, "--proofs")
    assert done.returncode == 0, done.stderr
    expected = [made_["index"] for made_ in rows(made, "train") if made_["index"] not in hard]
    assert [made_["index"] for made_ in rows(tmp_path / "clue", "train")][:37] == expected
    assert " 3 puzzles were left out, as no proof was found" in (tmp_path / "clue" / "README.md").read_text()
    monkeypatch.setattr(collect, "PATIENCE", 6)
    monkeypatch.setattr(collect, "prove", mock.Mock(side_effect=UndecidedError("no short proof was found")))
    assert "; for 6 no proof was found. Ask for fewer" in make(tmp_path / "none", *COUNTS, *SIZE, "--proofs").stderr


def test_each_split_has_the_bands_asked_for(tmp_path):
    mix = ["--mix", "easy=4,medium=8,hard=4", "--validation", "8", "--test", "4"]
    done = make(tmp_path / "clue", *mix, "--determine", "answers", "--times", "2")
    assert done.returncode == 0, done.stderr
    for split, counts in (("train", (4, 8, 4)), ("validation", (2, 4, 2)), ("test", (1, 2, 1))):
        found = Counter(r["difficulty"] for r in rows(tmp_path / "clue", split))
        assert found == dict(zip(("easy", "medium", "hard"), counts, strict=True))
    assert {r["determine"] for split in SPLITS for r in rows(tmp_path / "clue", split)} == {"answers"}
    assert [row_problems(made_) for split in SPLITS for made_ in rows(tmp_path / "clue", split)] == [[]] * 28


def test_excluded_puzzles_are_kept_out_under_any_names(made, tmp_path):
    rng, given, marks = random.Random(0), [], set()
    for given_ in rows(made, "train"):
        case = generate(given_["seed"], given_["index"], HOW["size"])
        setting, clues = renamed(case.puzzle.setting, case.puzzle.clues, rng)
        marks.add(split_fingerprint(setting, clues))
        other = type(case.puzzle)(setting, tuple(clues), case.puzzle.questions[:1])
        given.append({"num_clues": len(clues), "prompt": prompt(other), "solution": {"A": "?"}})
    (file := tmp_path / "given.json").write_text(json.dumps(given))
    done = make(tmp_path / "clue", *COUNTS, *SIZE, "--exclude", str(file))
    assert done.returncode == 0, done.stderr
    assert "--exclude given.json" in json.loads((tmp_path / "clue" / "dataset.json").read_text())["command"]
    before, after = ({r["index"] for r in rows(folder, "train")} for folder in (made, tmp_path / "clue"))
    assert not before & after
    for split in SPLITS:
        for kept in rows(tmp_path / "clue", split):
            puzzle = read_prompt(kept["prompt"][0]["content"])
            assert split_fingerprint(puzzle.setting, puzzle.clues) not in marks
    assert rows(tmp_path / "clue", "test") == rows(made, "test")


def test_nights_of_which_only_the_answers_are_determined_are_excluded_too(tmp_path, capsys):
    counts = ["--train", "6", "--validation", "2", "--test", "2"]
    size = ["--suspects", "4", "--weapons", "3", "--rooms", "6", "--times", "3"]
    assert make(tmp_path / "first", *counts, *size, "--determine", "answers").returncode == 0
    done = make(tmp_path / "second", *counts, *size, "--exclude", str(tmp_path / "first"))
    assert "do not fit exactly one night" not in done.stdout
    first, second = ({r["index"] for split in SPLITS for r in rows(tmp_path / name, split)} for name in ("first", "second"))
    assert len(first) == len(second) == 10
    assert not first & second
    bare = [{"prompt": r["prompt"], "solution": r["solution"]} for r in rows(tmp_path / "first", "train")]
    (file := tmp_path / "bare.json").write_text(json.dumps(bare))
    assert len(command.fingerprints_of([str(tmp_path / "first")])) == 2 * 10
    assert len(command.fingerprints_of([str(file)])) < 2 * 6
    assert "bare.json: the clues of" in capsys.readouterr().out


@pytest.mark.parametrize("foreign", [False, True])
def test_a_folder_is_read_as_it_is_now_whatever_was_there_before(tmp_path, monkeypatch, foreign):
    """`load_dataset` alone returns the earlier rows: it caches a folder with such a card by its name."""
    monkeypatch.setattr("puzzles.dataset.load.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    counts = ["--train", "2", "--validation", "1", "--test", "1", "--format", "published", *TINY]
    for seed in ("1", "2"):
        assert make(tmp_path / f"{seed}" / "clue", *counts, "--seed", seed).returncode == 0
    for place in ("1", "2", "1"):
        folder = tmp_path / "here" / "clue"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / place / "clue", folder)
        expected = json.loads((folder / "data" / "train.json").read_text())
        if foreign:
            (folder / "dataset.json").unlink()
            load_dataset(str(folder))
        for read in (read_rows, load_splits):
            assert [r["prompt"] for r in read(str(folder))["train"]] == [r["prompt"] for r in expected]


@pytest.mark.parametrize("content", ["[]", "{}", '{"sha256": null}', '{"sha256": []}', '{"sha256": 7}', "broken"])
def test_a_dataset_json_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "clue").mkdir()
    (tmp_path / "clue" / "dataset.json").write_text(content)
    assert "clue holds another dataset" in (refused := make(tmp_path / "clue", *TINY).stderr) or "not made by this" in refused
    if content != '{"sha256": []}':  # a mapping without files
        with pytest.raises(ValueError, match="does not hold a finished dataset"):
            check_complete(tmp_path / "clue")


def test_another_dataset_is_never_touched(made, tmp_path):
    output = tmp_path / "clue"
    shutil.copytree(made, output)
    before = content(output)
    for args, complaint in (
        ([*COUNTS, *SIZE, "--seed", "1"], "holds another dataset (seed was 0, now 1)"),
        (["--train", "41", "--validation", "8", "--test", "8", *SIZE], "holds another dataset (counts was"),
    ):
        done = make(output, *args)
        assert done.returncode == 1
        assert complaint in done.stderr
    assert "exists already and is complete" in make(output, *COUNTS, *SIZE).stdout
    assert content(output) == before
    (output / "data" / "test.parquet").write_bytes(b"torn")
    done = make(output, *COUNTS, *SIZE)
    assert done.returncode == 1
    assert "test.parquet is missing or was changed" in done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    assert "was not made by this command" in make(tmp_path / "mine", *COUNTS).stderr
    with pytest.raises(ValueError, match="does not hold a finished dataset"):
        check_complete(tmp_path / "mine")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--suspects", "1"], "suspects=1 is impossible"),
        (["--rooms", "40"], "rooms=40 is impossible"),
        (["--times", "0"], "times=0 is impossible"),
        (["--train", "0"], "--train or --mix asks for 0 puzzles"),
        (["--mix", "easy=1,brutal=2"], "'brutal=2' should be easy or medium or hard"),
        (["--mix", "easy=many"], "'easy=many' should be"),
        (["--mix", "easy=²"], "'easy=²' should be"),
        (["--mix", ""], "'' should be easy or medium or hard"),
        (["--seed", str(2**63)], "does not fit in 64 bits"),
        (["--directness", "nan"], "--directness nan is impossible"),
        (["--directness", "inf"], "--directness inf is impossible"),
        (["--players", "²"], "--players '²' is not a range"),
        (["--mix", "easy=5", "--train", "5"], "leave out --train 5"),
        (["--num-proc", "0"], "--num-proc 0 is impossible"),
        (["--players", "7"], "players=(7, 7) is impossible"),
        (["--exclude", "nowhere.json"], "nowhere.json cannot be read"),
        (["--min-depth", "4"], "invalid choice: 4"),
        (["--output", f"{__file__}/data"], "Not a directory"),
    ],
)
def test_bad_input_is_reported_and_leaves_no_files(args, complaint, tmp_path):
    done = make(tmp_path / "clue", *args)
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


OUTPUTS = {
    "the current folder": (".", "it is the current folder or one above it"),
    "its name": ("../here", "it is the current folder"),
    "nothing": ("", "it is the current folder"),
    "the one above": ("..", "or one above it"),
    "the root": ("/", "or one above it"),
    "a file": ("file", "file is not a folder"),
    "a link to a file": ("link-to-file", "file is not a folder"),
    "a link to here": ("link-to-here", "it is the current folder"),
    "a circle": ("circle", "link"),
    "a pipe": ("pipe", "pipe is not a folder"),
    "a file in the way": ("taken", "taken.partial is not a folder"),
    "through a file": ("file/deep/clue", "Not a directory: "),
    "a long name": ("x" * 250, "File name too long"),
    "a mount point": ("/proc", "it is a mount point"),
    "another's folder": ("full", "was not made by this command"),
    "another's unfinished folder": ("other", "other.partial is not empty and was not made by this command"),
}


@pytest.mark.parametrize(("output", "complaint"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_that_cannot_be_made_is_refused_at_the_start(output, complaint, tmp_path, monkeypatch):
    here = tmp_path / "here"
    for folder in (here / "full", here / "other.partial"):
        folder.mkdir(parents=True)
        (folder / "diary.txt").write_text("dear diary")
    for name in ("file", "taken.partial"):
        (here / name).write_text("dear diary")
    for link, target in (("link-to-file", "file"), ("link-to-here", "."), ("circle", "circle")):
        (here / link).symlink_to(target)
    os.mkfifo(here / "pipe")
    monkeypatch.chdir(here)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(folders, "collect", None)
    done = make(output, *COUNTS)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Choose another --output" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_in_which_nothing_can_be_written_is_refused_at_the_start(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "locked" and access(path, mode))  # also for root
    assert "nothing can be written in " in make(tmp_path / "locked" / "a" / "clue", *COUNTS).stderr
    assert not list((tmp_path / "locked").iterdir())


@pytest.mark.parametrize("output", ["link-to-folder", "dangling", "a/../b/./clue/", "empty", "a/new/one"])
def test_an_output_may_be_a_link_or_any_relative_path(output, tmp_path, monkeypatch):
    for name in ("folder", "empty", "a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link-to-folder").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("elsewhere")
    monkeypatch.chdir(tmp_path)
    done = make(output, "--train", "2", "--validation", "1", "--test", "1", *TINY)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / output, "train")) == 2
    assert not list(tmp_path.rglob("*.partial"))


def test_what_was_found_is_kept_when_a_band_is_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "PATIENCE", 60)
    output, journal = tmp_path / "clue", tmp_path / "clue.partial" / "journal.jsonl"
    held_out = ["--validation", "2", "--test", "2", *TINY]
    never = ["--mix", "easy=2,hard=3", *held_out]
    for lines in (60, 120):  # the same command searches on
        done = make(output, *never)
        assert done.returncode == 1
        assert "none of the last 60 indices gave a puzzle that is still missing (3 hard for train" in done.stderr
        assert "0.0% hard" in done.stderr
        assert f"What was found is kept in {journal.parent}: the same command resumes the search there" in done.stderr
        assert lines <= len(journal.read_text().splitlines()) < lines + 40
    assert "holds another dataset (seed was 0, now 1)" in make(output, *never, "--seed", "1").stderr

    again = []
    monkeypatch.setattr(collect, "generate", lambda seed, index, **how: again.append(index) or generate(seed, index, **how))
    for other, counts in enumerate((["--train", "9"], ["--mix", "easy=12"])):  # fewer kinds, then more puzzles
        again.clear()
        assert make(tmp_path / f"fresh{other}", *counts, *held_out).returncode == 0
        needed = len(again)
        again.clear()
        interrupted(output, 3, *counts, *held_out)
        if not other:
            interrupted(output, 2, *never)
        else:
            assert make(output, *counts, *held_out).returncode == 0
            assert content(output) == content(tmp_path / "fresh1")
        assert len(again) < needed


# ---------------------------------------------------------------- the published format


def test_the_published_format_is_read_as_the_published_code_reads_it(tmp_path):
    args = ["--train", "5", "--validation", "2", "--test", "2", "--players", "1-2"]
    output = tmp_path / "clue"
    assert make(output, *args, "--format", "published").returncode == 0
    assert make(tmp_path / "rows", *args, "--wording", "published").returncode == 0
    for split in SPLITS:
        text = (output / "data" / f"{split}.json").read_text()
        puzzles, made_ = json.loads(text), rows(tmp_path / "rows", split)
        assert text == json.dumps(puzzles, indent=4) + "\n"
        assert [p["prompt"] for p in puzzles] == [r["prompt"][0]["content"] for r in made_]
        assert [list(p["solution"].values()) for p in puzzles] == [r["solution"] for r in made_]
        assert [p["num_clues"] for p in puzzles] == [p["prompt"].count("\n- ") for p in puzzles]
        for p in puzzles:
            assert list(p) == ["num_clues", "prompt", "solution"]
            assert list(p["solution"]) == [chr(65 + i) for i in range(len(p["solution"]))]
            assert row_problems(p) == []
        assert [r["prompt"] for r in load_splits(str(output))[split]] == [p["prompt"] for p in puzzles]
    assert sorted(content(output)) == ["README.md", *(f"data/{s}.json" for s in sorted(SPLITS)), "dataset.json", "night.svg"]
    loaded = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert {split: len(loaded[split]) for split in loaded} == {"train": 5, "validation": 2, "test": 2}
    assert "exists already and is complete" in make(output, *args, "--format", "published").stdout
    assert json.loads((output / "dataset.json").read_text())["command"].endswith("--format published --players 1-2")
    assert "holds another dataset (wording was published" in make(output, *args).stderr
    assert "holds another dataset (format was published" in make(output, *args, "--wording", "published").stderr
    for wrong, complaint in ((["--wording", "clear"], "leave out --wording clear"), (["--proofs"], "no column for proofs")):
        assert complaint in make(tmp_path / "no", *args, "--format", "published", *wrong).stderr


# ---------------------------------------------------------------- numbers


def test_mixes_and_proportions():
    assert parse_mix("easy=2,hard=1") == {"easy": 2, "hard": 1}
    assert apportion(250, {"easy": 2000, "medium": 2000, "hard": 1000}) == {"easy": 100, "medium": 100, "hard": 50}
    assert apportion(7, {"easy": 1, "medium": 1, "hard": 1}) == {"easy": 3, "medium": 2, "hard": 2}


def test_a_version_always_gives_the_same_puzzles():
    """If this digest changes, the same arguments give other puzzles: raise VERSION and change this line."""
    cases = [generate(1, i) for i in range(12)]
    cases += [generate(1, i, Size(), determine="answers", min_depth=1) for i in range(12)]
    text = "\n".join(f"{prompt(case.puzzle)} {case.solution} {case.depths}" for case in cases)
    assert (VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "4543e108c12aed43")


@pytest.mark.parametrize("damage", [b"\x00\x00\x00\n", b"[]\n", b'{"index": 7}\n', b"{}\n"])
def test_a_damaged_line_of_the_journal_is_reported(tmp_path, damage):
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b'{"index": 0}\n' + damage + b'{"index": 2}\n')
    with pytest.raises(ValueError, match=r"journal.jsonl is damaged at line 2: delete that line and all after it"):
        list(read_journal(journal))
