"""A run's folder: which run it belongs to, which of its checkpoints are complete, which to resume from; and its best model.

`trainer.py` marks a checkpoint as complete once all processes have written their part of it; anything without that mark is
unfinished and gets deleted. So a run killed at any moment resumes from a complete checkpoint.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from puzzles.files import lock_folder, read_json, write_json, write_text

CHECKPOINT = re.compile(r"checkpoint-(\d+)")  # the name of its folder
COMPLETE = "whole"  # an empty file in a checkpoint: written after everything else, deleted before anything else
BEST = "best"  # the folder with the weights of the best held-out accuracy so far
HELD_OUT_ACCURACY = "eval_rewards/accuracy/mean"  # in the log of an evaluation
RESUMED_FROM = "resumed_from"  # a file in a run's folder: the checkpoint that its `resume` named
STATE = "trainer_state.json"  # what a run logged: in each checkpoint and, once it is finished, in its folder
RECORDED_LATER = ("dataset_digest", "processes", "vllm_tensor_parallel_size")  # run.json of earlier versions lacks them


class EndsAtLastStep:
    """Mixin of a Trainer: a run that is resumed saves, scores and logs as often as it is told to now, and takes no further step
    from the checkpoint of its last one.

    Transformers 5.23.0 looks for the end only after a step, so a run killed between its last checkpoint and its result would
    be trained further when it is resumed. It also goes on with the checkpoint's save_steps, eval_steps and logging_steps.
    """

    def _init_training_state(self, max_steps: int, *args):
        trained = super()._init_training_state(max_steps, *args)
        self.state.compute_steps(self.args, max_steps)
        return trained

    def _run_epoch(self, *args, **kwargs) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):
        output = super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        if self.state.global_step == step_of(resume_from_checkpoint):  # what is sampled next is what would have been
            self._load_rng_state(resume_from_checkpoint)
        return output


def check_same_run(output_dir: Path, arguments: dict, chosen_by: str = "--output_dir") -> None:
    """Check that a folder is new, or holds a run with these arguments, or one that ended before it wrote anything.

    Args:
        output_dir: the folder.
        arguments: those of the run.
        chosen_by: the option that chooses the folder, for the message.

    Raises:
        ValueError: if the folder holds something else, or a run with other arguments.
    """
    record = output_dir / "run.json"
    others = contents(output_dir)
    if record.exists():
        recorded = read_json(record)
        arguments = {k: v for k, v in arguments.items() if k in recorded or k not in RECORDED_LATER}
        changed = [k for k in {**recorded, **arguments} if recorded.get(k) != arguments.get(k)]
        if "zero3_processes" in changed and others:
            was, now = (
                f"{n} ZeRO-3 process(es)" if (n := run.get("zero3_processes")) else "no ZeRO-3" for run in (recorded, arguments)
            )
            raise ValueError(
                f"{output_dir} holds a run with {was}, and this is one with {now}: checkpoints of ZeRO-3 can be read only "
                "by as many processes as wrote them. Use the same number, or train its weights further as a new run: give a "
                "checkpoint's folder as model_name_or_path, and another output_dir."
            )
        if changed and others:
            changes = ", ".join(f"{k} was {recorded.get(k)!r}, now {arguments.get(k)!r}" for k in changed[:3])
            raise ValueError(
                f"{output_dir} holds another run ({changes}). Choose another folder (with {chosen_by}), or delete that one."
            )
    elif others:
        raise ValueError(
            f"{output_dir} is not empty and does not hold a run of this kind. Choose another folder (with {chosen_by})."
        )


def claim_for_run(output_dir: Path, arguments: dict, chosen_by: str = "--output_dir") -> None:
    """Lock a folder for this process and record the arguments of the run that it is for. They are those of `check_same_run`.

    Raises:
        ValueError: as `check_same_run`, or if another process has locked the folder.
    """
    check_same_run(output_dir, arguments, chosen_by)  # first, so that nothing is written into somebody's folder
    output_dir.mkdir(parents=True, exist_ok=True)
    lock_folder(output_dir)
    check_same_run(output_dir, arguments, chosen_by)  # another process may have begun it meanwhile
    write_json(output_dir / "run.json", arguments)


def contents(output_dir: Path) -> set[str]:
    """The names of what is in a folder, apart from what a run writes before it starts."""
    return {path.name for path in output_dir.iterdir()} - {"run.json", "lock", RESUMED_FROM} if output_dir.exists() else set()


def checkpoint_to_resume(output_dir: Path, resume: str, delete_later: bool = False) -> str | None:
    """The checkpoint from which a run resumes: see `resume` and `delete_later` in recipes/arguments.py.

    A run that has already been resumed from the checkpoint that `resume` names does not go back to it, so the same command can
    be repeated, also by a cluster's scheduler.

    Raises:
        ValueError: if the folder holds a run and `resume` is "never", or `resume` does not name a complete checkpoint, or the
            folder holds later ones that may not be deleted.
    """
    if resume == "auto":
        checkpoints = complete_checkpoints(output_dir)
        return str(checkpoints[max(checkpoints)]) if checkpoints else None
    if resume == "never":
        if contents(output_dir):
            raise ValueError(f"{output_dir} holds a run and resume is 'never'. Choose another output_dir, or resume 'auto'.")
        return None
    complete, record = complete_checkpoints(output_dir), output_dir / RESUMED_FROM
    if record.exists() and record.read_text() == resume and max(complete, default=0) > step_of(resume):
        return str(complete[max(complete)])
    if not (Path(resume) / COMPLETE).exists():
        raise ValueError(f"resume: {resume!r} is neither 'auto' nor 'never' nor the folder of a complete checkpoint.")
    step = step_of(resume)
    later = [path.name for other, path in complete.items() if other > step]
    if later and not delete_later:
        raise ValueError(
            f"{output_dir} also holds {', '.join(sorted(later))}, from where an interrupted run would be resumed the next "
            "time. To delete what is later than the checkpoint to resume, add --delete_later true; or give another output_dir."
        )
    return resume


def step_of(checkpoint: str | Path | None) -> int:
    """The step at which a checkpoint was written, from the name of its folder; 0 for none.

    Raises:
        ValueError: if the folder has another name than a checkpoint.
    """
    if checkpoint is None:
        return 0
    if not (name := CHECKPOINT.fullmatch(Path(checkpoint).name)):
        raise ValueError(f"{checkpoint} is not named as a checkpoint is: call it checkpoint-STEP.")
    return int(name[1])


def checkpoints(output_dir: Path) -> dict[int, Path]:
    """The folders of all checkpoints, by step. Others, such as a copy called checkpoint-30-good, are not ours to touch."""
    return {int(name[1]): path for path in output_dir.glob("*") if (name := CHECKPOINT.fullmatch(path.name))}


def complete_checkpoints(output_dir: Path) -> dict[int, Path]:
    """The folders of complete checkpoints, by step."""
    return {step: path for step, path in checkpoints(output_dir).items() if (path / COMPLETE).exists()}


def mark_complete(checkpoint: Path) -> None:
    write_text(checkpoint / COMPLETE, "")


def mark_incomplete(checkpoint: Path) -> None:
    (checkpoint / COMPLETE).unlink(missing_ok=True)


def best_model(output_dir: Path) -> dict:
    """The step, held-out accuracy and folder of the best model so far; empty if there is none yet."""
    record = output_dir / BEST / "held_out.json"
    return read_json(record) | {"folder": str(record.parent)} if record.exists() else {}


def delete_checkpoints_except(steps: set[int], output_dir: Path) -> None:
    """Delete all checkpoints except those of these steps, unfinished ones too."""
    for step, folder in checkpoints(output_dir).items():
        if step not in steps:
            mark_incomplete(folder)  # first, so that a partly deleted checkpoint never looks complete
            shutil.rmtree(folder)


def read_log_history(output_dir: Path) -> list[dict]:
    """Everything that a run has logged, evaluations too: to its end, or up to its newest complete checkpoint.

    Raises:
        ValueError: if there is neither, or it cannot be read.
    """
    file, newest = output_dir / STATE, checkpoint_to_resume(output_dir, "auto")
    if not file.exists():  # else it has the last evaluation too, which may come after the last checkpoint
        if newest is None:
            raise ValueError(f"{output_dir} holds no complete checkpoint of a training run.")
        file = Path(newest) / STATE
    state = read_json(file)
    if "log_history" not in state:
        raise ValueError(f"{file} has no log_history: it is not the state of a training run.")
    return state["log_history"]
