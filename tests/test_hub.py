"""Publishing a dataset, to a local Hub over real HTTP."""

import json
import re
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from string import ascii_uppercase

import pyarrow.parquet as pq
import pytest

from puzzles.dataset import chance
from puzzles.dataset import hub as publishing
from puzzles.dataset.card import REPO
from puzzles.dataset.folder import published_row
from puzzles.dataset.hub import verl_row
from puzzles.dataset.load import SPLITS
from puzzles.difficulty import BANDS
from tests.hub import TOKEN
from tests.in_process import run
from tests.test_dataset import make, rows

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "clue"
    made = make(folder, "--train", "6", "--validation", "2", "--test", "2", "--players", "1-2")
    assert made.returncode == 0, made.stderr
    return folder


def push(hub, folder, *args, token=TOKEN, url=None):
    hub.go_to(url or hub.url)
    hub.set("HF_TOKEN", token or "")
    return run(publishing.main, *args, "--folder", folder)


def loading(hub, *args):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=hub.env)


def test_a_published_dataset_loads_and_is_certified(hub, folder, tmp_path):
    done = push(hub, folder, "me/clue", "--private")
    assert done.returncode == 0, done.stderr
    assert f"Published: {hub.url}/datasets/me/clue" in done.stdout
    assert hub.private == {"me/clue": True}
    there = hub.repos["me/clue"]
    own = {"dataset.json", "night.svg", *(f"data/{split}.parquet" for split in SPLITS)}
    assert all(there[path] == (folder / path).read_bytes() for path in own)
    configs = {path.split("/")[0] for path in there.keys() - own - {"README.md"}}
    puzzles = [row for split in SPLITS for row in rows(folder, split)]
    assert configs == {row["difficulty"] for row in puzzles} | {"published", "verl"}
    card = there["README.md"].decode()
    assert 'load_dataset("me/clue")' in card
    assert REPO not in card
    assert TOKEN not in done.stdout + done.stderr
    scoring = re.search(r"```python\n(from datasets import load_dataset\nfrom rewards.*?)```", card, re.DOTALL)[1]
    assert scoring.count("\n") == 6  # five lines, and an empty one
    assert loading(hub, "-c", scoring).stdout == "[1.0]\n"
    stored = json.loads(re.search(r"```json\n(.*?)```", card, re.DOTALL)[1])
    whole = next(row for row in puzzles if row["id"] == stored["id"])
    assert stored["prompt"][0]["content"] == whole["prompt"][0]["content"][:200] + "…"
    assert stored | {"prompt": None} == whole | {"prompt": None}
    assert f"on the test split: {chance(rows(folder, 'test')):.3f} of" in card
    assert "10 of 10 puzzles" in loading(hub, "-m", "puzzles.verify", "me/clue").stdout


CONFIGS = """
import json
from datasets import get_dataset_config_names, load_dataset

for config in get_dataset_config_names("me/clue"):
    for streaming in (False, True):
        splits = load_dataset("me/clue", config, streaming=streaming)
        print(json.dumps([config, {split: [*rows] for split, rows in splits.items()}]))
"""


def test_every_config_of_a_published_dataset_loads_and_streams_also_from_several_files(hub, folder, monkeypatch):
    monkeypatch.setattr(publishing, "ROWS", 4)
    assert push(hub, folder, "me/clue").returncode == 0
    assert {path for path in hub.repos["me/clue"] if path.startswith("data/train")} == {
        "data/train-000.parquet",
        "data/train-001.parquet",
    }
    loaded = loading(hub, "-c", CONFIGS)
    assert loaded.returncode == 0, loaded.stderr
    lines = [json.loads(line) for line in loaded.stdout.splitlines()]
    made = {split: rows(folder, split) for split in SPLITS}
    bands = {row["difficulty"] for split in SPLITS for row in made[split]}
    names = ["default", *(band for band in BANDS if band in bands), "published", "verl"]
    assert [name for name, _ in lines] == [name for name in names for _ in ("whole", "streamed")]
    for name, splits in lines:
        wanted = made
        if name in BANDS:
            some = {split: [row for row in made[split] if row["difficulty"] == name] for split in SPLITS}
            wanted = {split: there for split, there in some.items() if there}
        elif name == "verl":
            wanted = {split: [verl_row(row, split) for row in made[split]] for split in SPLITS}
        elif name == "published":
            wanted = {split: [*map(published_row, made[split])] for split in SPLITS}
            for row in (row for split in splits.values() for row in split):  # Arrow fills in letters that a puzzle lacks
                row["solution"] = {letter: answer for letter, answer in row["solution"].items() if answer}
        assert splits == wanted, name


def test_the_lines_in_the_documentation_write_rows_of_verl_that_its_reward_grades(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "environments.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "verl_row" in block)
    assert '"outputs/temporal-clue"' in block
    exec(block.replace('"outputs/temporal-clue"', repr(str(folder))), {})
    compute_score = run_path(str(ROOT / "environments" / "temporal_clue" / "verl_reward.py"))["compute_score"]
    written = pq.read_table("data/verl/train.parquet").to_pylist()
    assert written == [verl_row(row, "train") for row in rows(folder, "train")]
    for row in written:
        right = row["reward_model"]["ground_truth"]
        lines = [f"{letter}. {answer}" for letter, answer in zip(ascii_uppercase, right, strict=False)]
        for count, solved in ((len(lines), 1), (1, 0), (0, 0)):
            graded = compute_score(row["data_source"], "\n".join(lines[:count]), right, row["extra_info"], num_turns=1)
            unread = 1 - count / len(lines)
            assert graded == pytest.approx({"score": count / len(lines), "solved": solved, "unread_answers": unread})
        sheet = "\n".join(lines)
        for response, score in ((f"Perhaps:\n{sheet}\nWait", 0), (f"Well.</think>\n{sheet}", 1), ("Perhaps", 0)):
            graded = compute_score(row["data_source"], response, right, row["extra_info"], thinking_opened=True)
            assert graded["score"] == score


def test_a_dry_run_shows_everything_without_a_request(hub, folder):
    done = push(hub, folder, "--dry-run", token=None)
    assert done.returncode == 0, done.stderr
    for line in (f"/datasets/{REPO} (public)", "data/train.parquet", "night.svg", "## A worked example", "- split: validation"):
        assert line in done.stdout
    assert hub.requests == []


def test_with_no_name_it_is_temporal_clue_of_the_user_who_is_logged_in(hub, folder):
    done = push(hub, folder)
    assert done.returncode == 0, done.stderr
    assert f"Uploading to {hub.url}/datasets/me/temporal-clue (public):" in done.stdout
    assert "data/train.parquet" in done.stdout.partition("Published:")[0]
    assert "accuracy([response]" in hub.repos["me/temporal-clue"]["README.md"].decode()


def test_obstacles_are_reported_before_any_work(hub, folder, tmp_path):
    hub.repos["me/taken"] = {"README.md": b"somebody's work", "old.parquet": b"data"}
    hub.private["me/taken"] = False
    for args, how, complaint in (
        (["me/clue"], {"token": None}, "there is no token: log in with `hf auth login`"),
        (["me/clue"], {"token": "hf_wrong"}, "does not accept the token (401)"),
        (["you/clue"], {}, "may not write for 'you', only for me"),
        (["me/taken"], {}, "me/taken exists already (2 files)"),
        (["me/clue"], {"url": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
        (["clue"], {}, "'clue' is not an id on the Hub"),
        (["me/a b"], {}, "Repo id must use alphanumeric chars"),
        ([], {"token": None}, "there is no token: log in with `hf auth login`"),
    ):
        done = push(hub, folder, *args, **how)
        assert done.returncode == 1
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr
    hub.role = "read"
    assert "the token may only read" in push(hub, folder, "me/clue").stderr
    hub.role = "write"
    assert "does not hold a finished dataset" in push(hub, tmp_path, "me/clue").stderr
    assert list(hub.repos) == ["me/taken"]
    assert hub.repos["me/taken"]["README.md"] == b"somebody's work"
    assert push(hub, folder, "me/taken", "--replace").returncode == 0
    assert "old.parquet" not in hub.repos["me/taken"]
    assert b"# Temporal Clue" in hub.repos["me/taken"]["README.md"]


def test_nothing_private_goes_into_a_public_repository(hub, folder):
    hub.repos["me/taken"], hub.private["me/taken"] = {}, False
    done = push(hub, folder, "me/taken", "--private")
    assert (done.returncode, hub.repos["me/taken"]) == (1, {})
    assert "the dataset me/taken exists and is public: make it private in its settings on the Hub first" in done.stderr
    hub.private["me/taken"] = True
    assert push(hub, folder, "me/taken", "--private").returncode == 0


@pytest.mark.parametrize("request_", ["tree/main", "create", "preupload/main"])
def test_a_connection_that_breaks_is_reported_and_the_same_command_tries_again(hub, folder, request_):
    hub.breaks_at = request_
    done = push(hub, folder, "me/clue")
    assert done.returncode == 1
    assert f"the connection to {hub.url} broke" in done.stderr
    assert not hub.repos.get("me/clue")
    hub.breaks_at = None
    assert push(hub, folder, "me/clue").returncode == 0
