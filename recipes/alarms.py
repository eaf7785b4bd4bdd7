"""Alarms that stop a bad run from wasting money: each one's threshold (`AlarmArguments`) and rule (`alarms`).

A rule looks only at the trainer's log, which is saved in checkpoints, so a resumed run remembers earlier generations.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from statistics import fmean

from tqdm import tqdm
from transformers import TrainerCallback

from recipes.checkpoints import HELD_OUT_ACCURACY

SAMPLING_ERROR = "eval_sampling_error"  # in the log of an evaluation: see recipes/trainer.py
# Standard errors by which the latest evaluations must fall behind the best ones. The best are the highest of many noisy means:
# at a constant accuracy the latest fall so far behind in 1 of 500 runs of 40 evaluations, and in 1 of 100 runs of 100.
CRITICAL_VALUE = 4.5


@dataclass
class AlarmArguments:
    """When an alarm is raised, and whether it ends the run. `alarm_window` counts generations."""

    stop_on_alarm: bool = field(default=False, metadata={"help": "End the run at the first alarm, with a checkpoint saved."})
    alarm_window: int = field(
        default=5, metadata={"help": "Consecutive bad generations, of those logged, before an alarm is raised."}
    )
    alarm_clipped_ratio: float = field(
        default=0.5, metadata={"help": "Alarm if more than this fraction of completions is truncated at max_completion_length."}
    )
    alarm_logp_difference: float = field(
        default=0.1,
        metadata={
            "help": "Alarm if vLLM and the trainer differ by more than this in a token's log-probability, on average: the "
            "logarithm of the importance ratio, in nats. Stale weights or a wrong template show up here."
        },
    )
    alarm_entropy: float = field(
        default=0.1, metadata={"help": "Alarm if the entropy per token falls below this fraction of its first value."}
    )
    alarm_evals: int = field(
        default=3,
        metadata={
            "help": "Compare the mean held-out accuracy of this many consecutive evaluations with the best such mean before "
            "them. Alarm if it is lower by more than alarm_drop, and by more than sampling explains in 99 of 100 runs."
        },
    )
    alarm_drop: float = field(default=0.05, metadata={"help": "The least drop of held-out accuracy that raises an alarm."})


def alarms(history: list[dict], args: AlarmArguments) -> dict[str, str]:
    """What is wrong now: the name of each alarm, with the reason and what to do.

    Args:
        history: TrainerState.log_history: the logs of training steps and of evaluations, oldest first.
    """
    generations = [log for log in history if "frac_reward_zero_std" in log]  # logs of steps that began with a generation
    recent = generations[-args.alarm_window :]
    found: dict[str, str] = {}

    def all_recent(key: str, is_bad) -> bool:
        values = [log.get(key) for log in recent]
        return len(values) == args.alarm_window and all(value is not None and is_bad(value) for value in values)

    in_a_row = f"in {args.alarm_window} generations in a row"
    if all_recent("frac_reward_zero_std", lambda x: x >= 1):  # reward_std does not help: it is over all puzzles
        found["reward_std"] = (
            f"within every group all rewards were equal {in_a_row}: there is nothing to learn from. Look at the completions "
            "(log_completions): is the answer sheet there, are they truncated, is every puzzle too hard or too easy?"
        )
    if all_recent("completions/clipped_ratio", lambda x: x > args.alarm_clipped_ratio):
        truncated = recent[-1]["completions/clipped_ratio"]
        found["clipped_ratio"] = (
            f"{truncated:.0%} of completions were truncated, more than {args.alarm_clipped_ratio:.0%} {in_a_row}. A truncated "
            "completion has no answer sheet and earns nothing: raise max_completion_length, or look for endless repetition."
        )
    if all_recent("sampling/sampling_logp_difference/mean", lambda x: x > args.alarm_logp_difference):
        difference = recent[-1]["sampling/sampling_logp_difference/mean"]
        found["logp_difference"] = (
            f"vLLM and the trainer differ by {difference:.3f} in a token's log-probability, more than "
            f"{args.alarm_logp_difference} {in_a_row}: vLLM has stale weights, or samples from other logits."
        )
    entropies = [log["entropy"] for log in generations if log.get("entropy") is not None]
    if entropies and all_recent("entropy", lambda x: x < args.alarm_entropy * entropies[0]):
        found["entropy"] = (
            f"entropy collapse: {entropies[-1]:.4f} nats per token, below {args.alarm_entropy:.0%} of the initial "
            f"{entropies[0]:.4f} {in_a_row}: the model no longer explores. Lower the learning rate, or start from the best "
            "model."
        )
    evaluations = [(log[HELD_OUT_ACCURACY], log[SAMPLING_ERROR]) for log in history if SAMPLING_ERROR in log]
    window = args.alarm_evals
    if len(evaluations) >= 2 * window:
        scores, errors = zip(*evaluations, strict=True)
        means = [fmean(scores[i : i + window]) for i in range(len(scores) - window + 1)]
        best, latest = max(means[:-window]), means[-1]
        error = math.sqrt(2 / window * fmean(error**2 for error in errors))
        if best - latest > max(args.alarm_drop, CRITICAL_VALUE * error):
            found["held_out"] = (
                f"late collapse: held-out accuracy was {latest:.3f} on average in the last {window} evaluations, after "
                f"{best:.3f} in the best {window} in a row; sampling explains a drop of {CRITICAL_VALUE * error:.3f} at most. "
                "The best model is kept: end the run."
            )
    return found


def first_without_gradient(history: list[dict]) -> bool:
    """Whether the latest log is of the first generation in which no group has two different rewards: nothing to learn from."""
    *earlier, latest = [log.get("frac_reward_zero_std", 0) >= 1 for log in history]
    return latest and not any(earlier)


class AlarmCallback(TrainerCallback):
    """Prints each alarm once while it lasts, and ends the run if `stop_on_alarm` is set: at the end of a generation, since it
    could not be resumed exactly within one.

    Args:
        generation_steps: the optimizer steps of a generation.

    Attributes:
        active: the alarms at the latest log, see `alarms`.
    """

    def __init__(self, args: AlarmArguments, generation_steps: int = 1):
        self.args, self.generation_steps = args, generation_steps
        self.last_step: int | None = None  # once an alarm ends the run
        self.active: dict[str, str] = {}

    def on_log(self, args, state, control, **_):
        found = alarms(state.log_history, self.args)
        messages = [f"ALARM ({name}) at step {state.global_step}: {found[name]}" for name in found.keys() - self.active.keys()]
        if first_without_gradient(state.log_history) and not found:
            messages.append(
                f"WARNING at step {state.global_step}: within every group all rewards are equal, so every advantage is 0 and "
                "the rewards give no gradient. Look at the completions (log_completions) if it stays like this: after "
                f"{self.args.alarm_window} generations in a row an alarm is raised."
            )
        self.active = found
        if found and self.args.stop_on_alarm and self.last_step is None and not control.should_training_stop:
            self.last_step = math.ceil(state.global_step / self.generation_steps) * self.generation_steps
            self.on_step_end(args, state, control)
            messages.append(f"stop_on_alarm: the run ends at step {self.last_step}.")
        if state.is_world_process_zero:
            for message in messages:
                tqdm.write(message, file=sys.stderr)

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.last_step:
            control.should_training_stop = control.should_save = True
