"""The dataset: the same bytes whatever happens on the way, splits that share nothing, clear errors."""

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
from collections import Counter

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from puzzles import dataset
from puzzles.dataset import SPLITS, bands_of, check, check_whole, read_journal, shared_out
from puzzles.english import prompt, read_prompt
from puzzles.generate import VERSION, generate
from puzzles.likeness import fingerprint
from puzzles.proof import explain, prove
from puzzles.scenario import Size
from tests.test_likeness import renamed

COUNTS = ["--train", "40", "--validation", "8", "--test", "8"]
SIZE = ["--suspects", "3", "--weapons", "2", "--rooms", "4", "--times", "2"]
HOW = {"size": Size(3, 2, 4, 2), "players": (1, 6)}


def make(output, *args, **kwargs):
    command = [sys.executable, "-m", "puzzles.dataset", "--output", str(output), *args]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(folder, split):
    return pq.read_table(folder / "data" / f"{split}.parquet").to_pylist()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "clue"
    run = make(folder, *COUNTS, *SIZE, "--num-proc", "1", env=os.environ | {"PYTHONHASHSEED": "1"})
    assert run.returncode == 0, run.stderr
    return folder


def test_the_same_arguments_give_the_same_bytes(made, tmp_path):
    run = make(tmp_path / "clue", *COUNTS, *SIZE, "--num-proc", "2", env=os.environ | {"PYTHONHASHSEED": "2"})
    assert run.returncode == 0, run.stderr
    assert content(tmp_path / "clue") == content(made)
    assert os.listdir(tmp_path) == ["clue"]


def test_it_loads_with_the_columns_that_trl_wants(made, tmp_path):
    loaded = load_dataset(str(made), cache_dir=str(tmp_path))
    assert {split: len(loaded[split]) for split in loaded} == {"train": 40, "validation": 8, "test": 8}
    row = loaded["train"][0]
    case = generate(row["seed"], row["index"], HOW["size"])
    assert row["prompt"] == [{"role": "user", "content": prompt(case.puzzle)}]
    assert row["solution"] == list(case.solution.values())
    assert row["depths"] == case.depths
    assert row["version"] == VERSION


def test_no_split_shares_a_prompt_a_night_or_a_clue_set(made, tmp_path):
    check(made, HOW)
    shutil.copytree(made, tmp_path / "clue")
    some = pq.read_table(made / "data" / "test.parquet")
    pq.write_table(some.slice(2, 3), tmp_path / "clue" / "data" / "validation.parquet")
    with pytest.raises(RuntimeError, match="validation and test share 9 things"):
        check(tmp_path / "clue", HOW)


def test_killed_in_the_middle_it_ends_with_the_same_bytes(made, tmp_path):
    """kill -9, three times: once with a torn last line, and no process stays behind."""
    output, journal = tmp_path / "clue", tmp_path / "clue.partial" / "journal.jsonl"
    for lines in (5, 25, 60):
        command = [sys.executable, "-m", "puzzles.dataset", "--output", output, *COUNTS, *SIZE, "--num-proc", "2"]
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
            assert run.poll() is None
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not output.exists()
        with journal.open("ab") as file:
            file.write(b'{"index": 99, "spl')
        for _ in range(100):
            try:
                os.killpg(run.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("a worker outlived the program")
    assert len(list(read_journal(journal))) >= 60
    assert make(output, *COUNTS, *SIZE).returncode == 0
    assert content(output) == content(made)


def test_a_full_disk_loses_nothing(made, tmp_path):
    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    run = make(tmp_path / "clue", *COUNTS, *SIZE, preexec_fn=small_disk)
    assert run.returncode == 1
    assert "File too large" in run.stderr
    assert "the same command goes on" in run.stderr
    assert not (tmp_path / "clue").exists()
    assert make(tmp_path / "clue", *COUNTS, *SIZE).returncode == 0
    assert content(tmp_path / "clue") == content(made)


def test_proofs_are_one_more_column_of_the_same_puzzles(made, tmp_path):
    """Also if the program was killed on the way, and went on with another number of processes."""
    output, journal = tmp_path / "clue", tmp_path / "clue.partial" / "journal.jsonl"
    command = [sys.executable, "-m", "puzzles.dataset", "--output", output, *COUNTS, *SIZE, "--proofs", "--num-proc", "1"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 25:
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    resumed = make(output, *COUNTS, *SIZE, "--proofs", "--num-proc", "2")
    assert resumed.returncode == 0, resumed.stderr
    for split in SPLITS:
        proved = rows(output, split)
        for row in proved:
            case = generate(row["seed"], row["index"], HOW["size"])
            assert row.pop("proof") == explain(case.puzzle, prove(case.puzzle, case.night))
        assert proved == rows(made, split)
    assert json.loads((output / "dataset.json").read_text())["command"].endswith(" --test 8 --proofs " + " ".join(SIZE))
    assert "`proof` says why the answers are right" in (output / "README.md").read_text()
    assert "`proof`" not in (made / "README.md").read_text()
    for folder, args in ((made, ["--proofs"]), (output, [])):
        refused = make(folder, *COUNTS, *SIZE, *args)
        assert refused.returncode == 1
        assert "holds another dataset (proofs was" in refused.stderr


def test_bands_are_as_asked_for(tmp_path):
    mix = ["--mix", "easy=4,medium=8,hard=4", "--validation", "8", "--test", "4"]
    run = make(tmp_path / "clue", *mix, "--determine", "answers", "--times", "2")
    assert run.returncode == 0, run.stderr
    for split, counts in (("train", (4, 8, 4)), ("validation", (2, 4, 2)), ("test", (1, 2, 1))):
        found = Counter(row["difficulty"] for row in rows(tmp_path / "clue", split))
        assert found == dict(zip(("easy", "medium", "hard"), counts, strict=True))
    assert {row["determine"] for split in SPLITS for row in rows(tmp_path / "clue", split)} == {"answers"}
    verify = subprocess.run([sys.executable, "-m", "puzzles.verify", tmp_path / "clue"], capture_output=True, text=True)
    assert "28 of 28 puzzles" in verify.stdout, verify.stderr


def test_excluded_puzzles_stay_out_under_any_name(made, tmp_path):
    rng, given, marks = random.Random(0), [], set()
    for row in rows(made, "train"):
        case = generate(row["seed"], row["index"], HOW["size"])
        setting, clues = renamed(case.puzzle.setting, case.puzzle.clues, rng)
        marks.add(fingerprint(setting, clues))
        other = type(case.puzzle)(setting, tuple(clues), case.puzzle.questions[:1])
        given.append({"num_clues": len(clues), "prompt": prompt(other), "solution": {"A": "?"}})
    (file := tmp_path / "given.json").write_text(json.dumps(given))
    run = make(tmp_path / "clue", *COUNTS, *SIZE, "--exclude", str(file))
    assert run.returncode == 0, run.stderr
    assert "--exclude given.json" in json.loads((tmp_path / "clue" / "dataset.json").read_text())["command"]
    before, after = ({row["index"] for row in rows(folder, "train")} for folder in (made, tmp_path / "clue"))
    assert not before & after
    for split in SPLITS:
        for row in rows(tmp_path / "clue", split):
            puzzle = read_prompt(row["prompt"][0]["content"])
            assert fingerprint(puzzle.setting, puzzle.clues) not in marks
    assert rows(tmp_path / "clue", "test") == rows(made, "test")


def test_another_dataset_is_never_touched(made, tmp_path):
    output = tmp_path / "clue"
    shutil.copytree(made, output)
    before = content(output)
    for args, complaint in (
        ([*COUNTS, *SIZE, "--seed", "1"], "holds another dataset (seed was 0, now 1)"),
        (["--train", "41", "--validation", "8", "--test", "8", *SIZE], "holds another dataset (counts was"),
    ):
        run = make(output, *args)
        assert run.returncode == 1
        assert complaint in run.stderr
    assert "is there already, and whole" in make(output, *COUNTS, *SIZE).stdout
    assert content(output) == before
    (output / "data" / "test.parquet").write_bytes(b"torn")
    run = make(output, *COUNTS, *SIZE)
    assert run.returncode == 1
    assert "test.parquet is missing or was changed" in run.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    assert "holds no dataset of ours" in make(tmp_path / "mine", *COUNTS).stderr
    with pytest.raises(ValueError, match="holds no finished dataset"):
        check_whole(tmp_path / "mine")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--suspects", "1"], "suspects=1 is impossible"),
        (["--rooms", "40"], "rooms=40 is impossible"),
        (["--times", "0"], "times=0 is impossible"),
        (["--train", "0"], "--train or --mix asks for 0 puzzles"),
        (["--mix", "easy=1,brutal=2"], "'brutal=2' should be easy or medium or hard"),
        (["--mix", "easy=many"], "'easy=many' should be"),
        (["--mix", "easy=5", "--train", "5"], "--train 5 is one word too many"),
        (["--num-proc", "0"], "--num-proc 0 is impossible"),
        (["--players", "7"], "players=(7, 7) is impossible"),
        (["--exclude", "nowhere.json"], "nowhere.json cannot be read"),
        (["--min-depth", "4"], "invalid choice: 4"),
        (["--output", f"{__file__}/data"], "Not a directory"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(args, complaint, tmp_path):
    run = make(tmp_path / "clue", *args)
    assert run.returncode in (1, 2)
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_band_out_of_reach_is_said_after_a_bounded_search(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "PATIENCE", 60)
    args = ["x", "--output", str(tmp_path / "clue"), "--mix", "hard=3", "--num-proc", "1"]
    monkeypatch.setattr(sys, "argv", [*args, "--suspects", "2", "--weapons", "2", "--rooms", "2", "--times", "1"])
    with pytest.raises(SystemExit) as exit_:
        dataset.main()
    assert "60 puzzles in a row were not what is still missing (3 hard for train" in str(exit_.value)
    assert "0.0% hard" in str(exit_.value)
    assert not list(tmp_path.iterdir())


def test_shares():
    assert bands_of("easy=2,hard=1") == {"easy": 2, "hard": 1}
    assert shared_out(250, {"easy": 2000, "medium": 2000, "hard": 1000}) == {"easy": 100, "medium": 100, "hard": 50}
    assert shared_out(7, {"easy": 1, "medium": 1, "hard": 1}) == {"easy": 3, "medium": 2, "hard": 2}


def test_a_version_stands_for_the_same_puzzles_for_ever():
    """A change of this digest means other puzzles for the same arguments: then VERSION has to be raised, and this line."""
    cases = [generate(1, i) for i in range(12)]
    cases += [generate(1, i, Size(), determine="answers", min_depth=1) for i in range(12)]
    text = "\n".join(f"{prompt(case.puzzle)} {case.solution} {case.depths}" for case in cases)
    assert (VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "4543e108c12aed43")
