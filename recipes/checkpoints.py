"""What a run leaves on disk: whole or not at all, never mixed with another run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from puzzles.files import write_json, write_text

WHOLE = "whole"  # a file in a checkpoint, written after all processes have written theirs, and deleted before the rest


def same_run(output_dir: Path, arguments: dict) -> None:
    """Record what this run is in its folder, so that no other run is mixed into it.

    Raises:
        ValueError: if the folder holds something else, or a run with other arguments.
    """
    record = output_dir / "run.json"
    if record.exists():
        recorded = json.loads(record.read_text())
        changed = [k for k in {**recorded, **arguments} if recorded.get(k) != arguments.get(k)]
        if changed:
            was = ", ".join(f"{k} was {recorded.get(k)!r}, now {arguments.get(k)!r}" for k in changed[:3])
            raise ValueError(f"{output_dir} holds another run ({was}). Choose another folder, or delete that one.")
    elif output_dir.exists() and any(output_dir.iterdir()):
        raise ValueError(f"{output_dir} is not empty and holds no run of this kind. Choose another folder.")
    write_json(record, arguments)


def checkpoint_to_resume(output_dir: Path, resume: str) -> str | None:
    """The checkpoint that a run goes on from: see `resume` in recipes/arguments.py.

    Raises:
        ValueError: if the folder holds a run and `resume` is "never", or names no whole checkpoint.
    """
    if resume == "auto":
        whole = whole_checkpoints(output_dir)
        return str(whole[max(whole)]) if whole else None
    if resume == "never":
        if (output_dir / "run.json").exists():
            raise ValueError(f"{output_dir} holds a run and resume is 'never'. Choose another output_dir, or resume 'auto'.")
        return None
    if not (Path(resume) / WHOLE).exists():
        raise ValueError(f"resume: {resume!r} is neither 'auto' nor 'never' nor a checkpoint that was written to its end.")
    return resume


def whole_checkpoints(output_dir: Path) -> dict[int, Path]:
    """The checkpoints that were written to their end, by step."""
    return {int(mark.parent.name.rpartition("-")[2]): mark.parent for mark in output_dir.glob(f"checkpoint-*/{WHOLE}")}


def keep_checkpoints(output_dir: Path, steps: set[int]) -> None:
    """Delete all checkpoints but those of `steps`, half-written ones too."""
    for folder in output_dir.glob("checkpoint-*"):
        if int(folder.name.rpartition("-")[2]) not in steps:
            (folder / WHOLE).unlink(missing_ok=True)  # first, so that no moment leaves a broken one that looks whole
            shutil.rmtree(folder)


def mark_whole(checkpoint: Path) -> None:
    write_text(checkpoint / WHOLE, "")


def history(output_dir: Path) -> list[dict]:
    """What a run has logged so far, evaluations too: from its newest whole checkpoint.

    Raises:
        ValueError: if there is none.
    """
    whole = whole_checkpoints(output_dir)
    if not whole:
        raise ValueError(f"{output_dir} holds no whole checkpoint of a training run.")
    return json.loads((whole[max(whole)] / "trainer_state.json").read_text())["log_history"]
