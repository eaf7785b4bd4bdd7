"""Alarms that stop a bad run from wasting money: each one's threshold (`AlarmArguments`) and rule (`alarms`).

A rule looks only at the trainer's log, which is saved in checkpoints, so a resumed run remembers earlier generations.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from tqdm import tqdm
from transformers import TrainerCallback

from recipes.checkpoints import HELD_OUT_ACCURACY


@dataclass
class AlarmArguments:
    """When an alarm is raised, and whether it ends the run. One iteration generates once."""

    stop_on_alarm: bool = field(
        default=False, metadata={"help": "End the run at the first alarm, with the latest and the best checkpoint saved."}
    )
    alarm_window: int = field(default=5, metadata={"help": "Consecutive bad generations before an alarm is raised."})
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
        default=3, metadata={"help": "Alarm after this many consecutive evaluations well below the best held-out accuracy."}
    )
    alarm_drop: float = field(
        default=0.05, metadata={"help": "How far below the best held-out accuracy counts as well below it."}
    )


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
            f"{entropies[0]:.4f} {in_a_row}: the model no longer explores. Lower the learning rate, or go back to the best "
            "checkpoint."
        )
    scores = [log[HELD_OUT_ACCURACY] for log in history if HELD_OUT_ACCURACY in log]
    best = max(scores, default=0.0)
    latest = scores[-args.alarm_evals :]
    if len(scores) > args.alarm_evals and all(score < best - args.alarm_drop for score in latest):
        found["held_out"] = (
            f"late collapse: held-out accuracy was {', '.join(f'{score:.3f}' for score in latest)} in the last {len(latest)} "
            f"evaluations, {best:.3f} at best. The best checkpoint is kept: end the run."
        )
    return found


def first_without_gradient(history: list[dict]) -> bool:
    """Whether the latest log is of the first generation in which no group has two different rewards: nothing to learn from."""
    *earlier, latest = [log.get("frac_reward_zero_std", 0) >= 1 for log in history]
    return latest and not any(earlier)


class AlarmCallback(TrainerCallback):
    """Prints each alarm once while it lasts, ends the run if `stop_on_alarm` is set, and has a new best checkpoint saved.

    Attributes:
        active: the alarms at the latest log, see `alarms`.
    """

    def __init__(self, args: AlarmArguments):
        self.args = args
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
        if found and self.args.stop_on_alarm and not control.should_training_stop:
            control.should_training_stop = control.should_save = True
            messages.append(f"stop_on_alarm: the run ends at step {state.global_step}.")
        if state.is_world_process_zero:
            for message in messages:
                tqdm.write(message, file=sys.stderr)

    def on_evaluate(self, args, state, control, metrics, **_):
        earlier = [log[HELD_OUT_ACCURACY] for log in state.log_history[:-1] if HELD_OUT_ACCURACY in log]
        if state.global_step and earlier and metrics[HELD_OUT_ACCURACY] > max(earlier):
            control.should_save = True
