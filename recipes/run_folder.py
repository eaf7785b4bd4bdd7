"""What a run leaves on disk: whole or not at all, never mixed with another run."""

from __future__ import annotations

import json
from pathlib import Path

from puzzles.files import write_json


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
            raise ValueError(f"{output_dir} holds another run ({was}). Choose another output_dir, or delete that folder.")
    elif output_dir.exists() and any(output_dir.iterdir()):
        raise ValueError(f"{output_dir} is not empty and holds no run of this recipe. Choose another output_dir.")
    write_json(record, arguments)


def last_checkpoint(output_dir: Path) -> str | None:
    """The newest checkpoint that was written to its end: the trainer's state is the last file of one."""
    checkpoints = sorted(output_dir.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for checkpoint in checkpoints:
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
            return str(checkpoint)
        except (OSError, ValueError):
            print(f"{checkpoint} was not written to its end and is passed over.")
    return None
