"""Publishing a dataset, to a local Hub over real HTTP."""

import os
import subprocess
import sys

import pytest
from huggingface_hub import constants

from puzzles.dataset import hub as publishing
from puzzles.dataset.hub import REPO
from tests.hub import TOKEN, local_hub
from tests.in_process import run
from tests.test_dataset import make

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "clue"
    made = make(folder, "--train", "6", "--validation", "2", "--test", "2", "--players", "1-2")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub, with this process set up to use it; `hub.env` is the environment that sets up another process."""
    with local_hub() as hub:
        offline = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}
        hub.env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | offline
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        hub.set = monkeypatch.setenv
        hub.go_to = lambda url: monkeypatch.setattr(constants, "ENDPOINT", url)
        yield hub


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
    assert sorted(there) == [
        "README.md",
        *(f"data/{s}.parquet" for s in ("test", "train", "validation")),
        "dataset.json",
        "night.svg",
    ]
    assert all(there[path] == (folder / path).read_bytes() for path in there if path != "README.md")
    card = there["README.md"].decode()
    assert 'load_dataset("me/clue")' in card
    assert REPO not in card
    assert TOKEN not in done.stdout + done.stderr
    code = "from datasets import load_dataset; print({s: len(d) for s, d in load_dataset('me/clue').items()})"
    loaded = loading(hub, "-c", code)
    assert "{'train': 6, 'validation': 2, 'test': 2}" in loaded.stdout, loaded.stderr
    assert "10 of 10 puzzles" in loading(hub, "-m", "puzzles.verify", "me/clue").stdout


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
    assert "accuracy([completion]" in hub.repos["me/temporal-clue"]["README.md"].decode()


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
