"""A run's folder: locked by one process, owned by one run, resumed from complete checkpoints only."""

import os
import runpy
import subprocess
import sys

import pytest
import torch
from transformers import Trainer, TrainerState, TrainingArguments

from puzzles.files import lock_folder, write_json
from recipes import ROOT
from recipes.checkpoints import (
    EndsAtLastStep,
    check_same_run,
    checkpoint_to_resume,
    complete_checkpoints,
    delete_checkpoints_except,
    mark_complete,
)


def test_a_folder_is_used_by_one_process_at_a_time(tmp_path):
    lock_folder(tmp_path)
    other = f"from pathlib import Path; from puzzles.files import lock_folder; lock_folder(Path({str(tmp_path)!r}))"
    second = subprocess.run([sys.executable, "-c", other], cwd=ROOT, capture_output=True, text=True)
    assert second.returncode != 0
    assert f"is in use by process {os.getpid()}" in second.stderr


def test_on_windows_nothing_is_locked(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # importing it fails
    files = runpy.run_path(str(ROOT / "puzzles" / "files.py"))
    for _ in range(2):
        os.close(files["lock_folder"](tmp_path))


def test_a_folder_belongs_to_one_run(tmp_path):
    check_same_run(tmp_path / "run", {"seed": 1})
    write_json(tmp_path / "run" / "run.json", {"seed": 1})
    (tmp_path / "run" / "lock").touch()
    check_same_run(tmp_path / "run", {"seed": 2})  # the first one ended before it wrote anything
    (tmp_path / "run" / "best").mkdir()
    check_same_run(tmp_path / "run", {"seed": 1})
    with pytest.raises(ValueError, match="seed was 1, now 2"):
        check_same_run(tmp_path / "run", {"seed": 2})
    for damaged in ("", "[1]", '{"seed"'):
        (tmp_path / "run" / "run.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"run\.json (is not JSON|holds)"):
            check_same_run(tmp_path / "run", {"seed": 1})
    write_json(tmp_path / "run" / "run.json", {"seed": 1})
    check_same_run(tmp_path / "run", {"seed": 1, "processes": 2})  # an earlier version did not record it
    write_json(tmp_path / "run" / "run.json", {"seed": 1, "processes": 1})
    with pytest.raises(ValueError, match="processes was 1, now 2"):
        check_same_run(tmp_path / "run", {"seed": 1, "processes": 2})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is not empty and does not hold a run"):
        check_same_run(tmp_path / "mine", {"seed": 1})
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_copy_of_a_checkpoint_is_not_touched(tmp_path):
    for name in ("checkpoint-20", "checkpoint-30", "checkpoint-30-good", "checkpoint-good-20"):
        mark_complete(tmp_path / name)
    assert checkpoint_to_resume(tmp_path, "auto") == str(tmp_path / "checkpoint-30")
    delete_checkpoints_except({30}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-30", "checkpoint-30-good", "checkpoint-good-20"}
    with pytest.raises(ValueError, match="checkpoint-30-good is not named as a checkpoint is: call it checkpoint-STEP"):
        checkpoint_to_resume(tmp_path, str(tmp_path / "checkpoint-30-good"))


def test_only_a_complete_checkpoint_is_resumed(tmp_path):
    for step in (5, 10, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert checkpoint_to_resume(tmp_path, "auto") is None
    for step in (5, 10):
        mark_complete(tmp_path / f"checkpoint-{step}")
    assert checkpoint_to_resume(tmp_path, "auto") == str(tmp_path / "checkpoint-10")
    with pytest.raises(ValueError, match="checkpoint-20' is neither"):
        checkpoint_to_resume(tmp_path, str(tmp_path / "checkpoint-20"))
    delete_checkpoints_except({10}, tmp_path)
    assert complete_checkpoints(tmp_path) == {10: tmp_path / "checkpoint-10"}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    (tmp_path / "run.json").write_text("{}")
    assert checkpoint_to_resume(tmp_path / "new", "never") is None
    with pytest.raises(ValueError, match="holds a run and resume is 'never'"):
        checkpoint_to_resume(tmp_path, "never")


def test_an_earlier_checkpoint_is_resumed_only_if_later_ones_may_be_deleted(tmp_path):
    """Otherwise a run killed soon after would be resumed from a checkpoint of the attempt that was given up."""
    for step in (5, 10, 100):
        mark_complete(tmp_path / f"checkpoint-{step}")
    earlier = str(tmp_path / "checkpoint-5")
    with pytest.raises(ValueError, match=r"also holds checkpoint-10, checkpoint-100, .* add --delete_later true"):
        checkpoint_to_resume(tmp_path, earlier)
    assert checkpoint_to_resume(tmp_path, earlier, delete_later=True) == earlier
    assert checkpoint_to_resume(tmp_path, str(tmp_path / "checkpoint-100")) == str(tmp_path / "checkpoint-100")
    assert checkpoint_to_resume(tmp_path / "elsewhere", earlier) == earlier


def test_a_resumed_run_saves_scores_and_logs_as_often_as_it_is_told_to_now(tmp_path):
    (tmp_path / "checkpoint-4").mkdir()
    before = TrainerState(global_step=4, max_steps=8, train_batch_size=8, save_steps=2, eval_steps=2, logging_steps=1)
    before.save_to_json(str(tmp_path / "checkpoint-4" / "trainer_state.json"))
    args = TrainingArguments(str(tmp_path), use_cpu=True, save_steps=4, eval_steps=0.5, logging_steps=10, report_to=[])
    trainer = type("Resumed", (EndsAtLastStep, Trainer), {})(torch.nn.Linear(1, 1), args)
    assert trainer._init_training_state(16, 16, 1, str(tmp_path / "checkpoint-4"), None) == (0, 4)
    state = trainer.state
    assert (state.global_step, state.save_steps, state.eval_steps, state.logging_steps) == (4, 4, 8, 10)


@pytest.mark.parametrize(
    ("was", "now", "complaint"), [(8, 4, "8 ZeRO-3 process.* with 4 ZeRO-3"), (None, 8, "no ZeRO-3.* with 8 ZeRO-3")]
)
def test_checkpoints_of_zero3_belong_to_a_number_of_processes(tmp_path, was, now, complaint):
    write_json(tmp_path / "run" / "run.json", {"zero3_processes": was})
    check_same_run(tmp_path / "run", {"zero3_processes": now})  # there is no checkpoint yet
    mark_complete(tmp_path / "run" / "checkpoint-5")
    with pytest.raises(ValueError, match=f"{complaint}.* Use the same number, or train its weights further"):
        check_same_run(tmp_path / "run", {"zero3_processes": now})
