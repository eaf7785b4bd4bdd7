"""Alarms that save money, and the best checkpoint.

Each alarm is a rule over what the trainer has logged, so that a resumed run knows what happened before it was interrupted.
"""

from __future__ import annotations

import sys

from tqdm import tqdm
from transformers import TrainerCallback

from recipes.arguments import RunArguments
from recipes.trainer import HELD_OUT_ACCURACY


def alarms(history: list[dict], args: RunArguments) -> dict[str, str]:
    """What is wrong now, by name, each with its reason and what to look at.

    Args:
        history: TrainerState.log_history: the logs of training steps and of evaluations, oldest first.
    """
    steps = [log for log in history if "frac_reward_zero_std" in log]  # the optimizer steps that began with a generation
    recent = steps[-args.alarm_window :]
    found: dict[str, str] = {}

    def lasting(key: str, wrong) -> bool:
        values = [log.get(key) for log in recent]
        return len(values) == args.alarm_window and all(value is not None and wrong(value) for value in values)

    now = f"over {args.alarm_window} generations"
    if lasting("frac_reward_zero_std", lambda x: x >= 1):  # not reward_std, which is over all puzzles together
        found["reward_std"] = (
            f"all samples of every puzzle got the same reward {now}: there is nothing to learn from. Look at the completions "
            "(log_completions): is the answer sheet there, are they cut off, is every puzzle too hard or too easy?"
        )
    if lasting("completions/clipped_ratio", lambda x: x > args.alarm_clipped_ratio):
        share = recent[-1]["completions/clipped_ratio"]
        found["clipped_ratio"] = (
            f"{share:.0%} of completions were cut off, more than {args.alarm_clipped_ratio:.0%} {now}: "
            "a cut-off completion has no answer sheet and earns nothing. Raise max_completion_length, or look for endless ones."
        )
    if lasting("sampling/sampling_logp_difference/mean", lambda x: x > args.alarm_logp_difference):
        difference = recent[-1]["sampling/sampling_logp_difference/mean"]
        found["logp_difference"] = (
            f"importance ratio off: vLLM and the trainer differ by {difference:.3f} in a token's log-probability, more than "
            f"{args.alarm_logp_difference} {now}. vLLM does not follow the weights, or samples from other logits."
        )
    entropies = [log["entropy"] for log in steps if log.get("entropy") is not None]
    if entropies and lasting("entropy", lambda x: x < args.alarm_entropy * entropies[0]):
        found["entropy"] = (
            f"entropy collapse: {entropies[-1]:.4f} nats a token, under {args.alarm_entropy:.0%} of the {entropies[0]:.4f} at "
            f"the start {now}: the model no longer tries anything. Lower the learning rate, or go back to the best checkpoint."
        )
    scores = [log[HELD_OUT_ACCURACY] for log in history if HELD_OUT_ACCURACY in log]
    best = max(scores, default=0.0)
    late = scores[-args.alarm_evals :]
    if len(scores) > args.alarm_evals and all(score < best - args.alarm_drop for score in late):
        found["held_out"] = (
            f"late collapse: held-out accuracy {', '.join(f'{score:.3f}' for score in late)} in the last {len(late)} "
            f"evaluations, against {best:.3f} at best. The best checkpoint is kept: end the run there."
        )
    return found


class Watch(TrainerCallback):
    """Warns once of each alarm while it lasts, ends the run if it should, and has the best checkpoint saved."""

    def __init__(self, args: RunArguments):
        self.args = args
        self.ringing: dict[str, str] = {}

    def on_log(self, args, state, control, **_):
        found = alarms(state.log_history, self.args)
        for name in found.keys() - self.ringing.keys():
            if state.is_world_process_zero:
                tqdm.write(f"ALARM ({name}) at step {state.global_step}: {found[name]}", file=sys.stderr)
        self.ringing = found
        if found and self.args.stop_on_alarm and not control.should_training_stop:
            control.should_training_stop = control.should_save = True
            if state.is_world_process_zero:
                tqdm.write(f"stop_on_alarm: the run ends at step {state.global_step}.", file=sys.stderr)

    def on_evaluate(self, args, state, control, metrics, **_):
        earlier = [log[HELD_OUT_ACCURACY] for log in state.log_history[:-1] if HELD_OUT_ACCURACY in log]
        if state.global_step and earlier and metrics[HELD_OUT_ACCURACY] > max(earlier):
            control.should_save = True
