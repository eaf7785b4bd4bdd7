"""Alarms: each is raised for its own reason, and not too early."""

from types import SimpleNamespace

import numpy as np
import pytest
from transformers import TrainerControl

from recipes.alarms import SAMPLING_ERROR, AlarmArguments, AlarmCallback, alarms
from recipes.checkpoints import HELD_OUT_ACCURACY

ARGS = AlarmArguments(alarm_window=3)
HEALTHY = {
    "frac_reward_zero_std": 0.2,
    "completions/clipped_ratio": 0.1,
    "sampling/sampling_logp_difference/mean": 0.015,
    "entropy": 0.5,
}


def steps(*changes):
    return [{"step": i + 1, **HEALTHY, **change} for i, change in enumerate(changes)]


def evaluations(*scores, error=0.01):
    return [{"step": i, HELD_OUT_ACCURACY: score, SAMPLING_ERROR: error} for i, score in enumerate(scores)]


def test_a_healthy_run_raises_no_alarm():
    assert alarms([], ARGS) == {}
    assert alarms(steps({}, {}, {}, {}) + evaluations(0.3, 0.4, 0.45, 0.44, 0.46), ARGS) == {}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("reward_std", {"frac_reward_zero_std": 1.0}, "nothing to learn from"),
        ("clipped_ratio", {"completions/clipped_ratio": 0.75}, "75% of completions were truncated"),
        ("logp_difference", {"sampling/sampling_logp_difference/mean": 0.2}, "vLLM has stale weights"),
        ("entropy", {"entropy": 0.01}, "entropy collapse: 0.0100 nats per token, below 10% of the initial 0.5000"),
    ],
)
def test_an_alarm_is_raised_after_consecutive_bad_generations(name, change, reason):
    assert alarms(steps({}, change, change), ARGS) == {}
    assert alarms(steps(change, change, {}, change, change), ARGS) == {}
    (found,) = alarms(steps({}, change, change, change), ARGS).items()
    assert found[0] == name
    assert reason in found[1]


def test_only_the_first_optimizer_step_of_a_generation_counts():
    between = {"step": 2, "loss": 0.1, "entropy": 0.5}
    history = [log for generation in steps(*[{"frac_reward_zero_std": 1.0}] * 3) for log in (generation, between)]
    assert list(alarms(history, ARGS)) == ["reward_std"]
    assert alarms(history[:4], ARGS) == {}


def test_late_collapse_is_detected():
    assert alarms(evaluations(0.3, 0.5, 0.51, 0.52, 0.44, 0.45), ARGS) == {}
    (found,) = alarms(evaluations(0.3, 0.5, 0.51, 0.52, 0.44, 0.43, 0.42), ARGS).items()
    assert found[0] == "held_out"
    assert "0.430 on average in the last 3 evaluations, after 0.510 in the best 3 in a row" in found[1]
    assert alarms(evaluations(0.3, 0.5, 0.51, 0.52, 0.44, 0.43, 0.42, 0.5, 0.52), ARGS) == {}
    assert alarms(evaluations(0.3, 0.5, 0.51, 0.52, 0.44, 0.43, 0.42, error=0.05), ARGS) == {}  # may be chance
    assert alarms(evaluations(0.3, 0.5, 0.51, 0.52, 0.48, 0.47, 0.47, error=0.001), ARGS) == {}  # certain, but small


def alarm_rate(runs, evals, drop_at=None, seed=0):
    """The share of simulated runs in which late collapse is ever detected: 64 puzzles × 2 samples of 5 answers. Puzzles
    differ in how likely their answers are right; so do the samples of one puzzle. From `drop_at` on, 0.10 fewer are right.
    """
    rng = np.random.default_rng(seed)
    chance = np.repeat(rng.beta(2, 2, (runs, 1, 64, 1)), evals, axis=1)
    chance[:, drop_at:] *= 1 if drop_at is None else 0.8
    samples = rng.binomial(5, rng.beta(4 * chance, 4 * (1 - chance), (runs, evals, 64, 2))) / 5
    scores, errors = samples.mean(axis=(2, 3)), (samples.var(axis=3, ddof=1).mean(axis=2) / 128) ** 0.5
    runs = [[evaluations(s, error=e)[0] for s, e in zip(*run, strict=True)] for run in zip(scores, errors, strict=True)]
    return np.mean([any("held_out" in alarms(run[:i], ARGS) for i in range(1, evals + 1)) for run in runs])


def test_late_collapse_is_seldom_a_false_alarm_and_seldom_missed():
    """At most 1 % of runs with a constant accuracy, and at least 95 % of those that lose 0.10, within six evaluations."""
    assert alarm_rate(300, 40) <= 0.01
    assert alarm_rate(100, 26, drop_at=20) >= 0.95


def log(callback, history):
    state = SimpleNamespace(log_history=history, global_step=len(history), is_world_process_zero=True)
    control = TrainerControl()
    callback.on_log(None, state, control)
    return control


def test_an_alarm_is_printed_once_and_ends_the_run_only_if_asked(capsys):
    callback = AlarmCallback(ARGS)
    bad = steps(*[{"frac_reward_zero_std": 1.0}] * 3)
    for _ in range(3):
        control = log(callback, bad)
        assert not control.should_training_stop
    assert capsys.readouterr().err.count("ALARM (reward_std) at step 3") == 1
    log(callback, steps({}, {}, {}))
    log(callback, bad)
    assert "ALARM (reward_std)" in capsys.readouterr().err

    control = log(AlarmCallback(AlarmArguments(alarm_window=3, stop_on_alarm=True)), bad)
    assert control.should_training_stop
    assert control.should_save


def test_an_alarm_ends_the_run_at_the_end_of_a_generation(capsys):
    """Of five optimizer steps, the first of which logs what was generated."""
    callback = AlarmCallback(AlarmArguments(alarm_window=3, stop_on_alarm=True), generation_steps=5)
    history = [{"step": step} | ({"frac_reward_zero_std": 1.0} if step % 5 == 1 else {}) for step in range(1, 12)]
    assert not log(callback, history).should_training_stop
    stopped = []
    for step in range(12, 17):
        control = TrainerControl()
        callback.on_step_end(None, SimpleNamespace(global_step=step), control)
        assert control.should_save == control.should_training_stop
        stopped += [step] if control.should_training_stop else []
    assert stopped == [15]
    assert "stop_on_alarm: the run ends at step 15." in capsys.readouterr().err


def test_the_first_generation_in_which_nothing_teaches_is_reported_at_once(capsys):
    callback, equal = AlarmCallback(ARGS), {"frac_reward_zero_std": 1.0}
    history = steps({}, equal, {}, equal)
    evaluation = {"step": 2, HELD_OUT_ACCURACY: 0.3}
    for logged, warned in ((1, False), (2, True), (3, False), (4, False)):
        assert not log(callback, history[:logged]).should_training_stop
        assert ("WARNING at step 2: within every group all rewards are equal" in capsys.readouterr().err) == warned
    log(callback, [*history[:2], evaluation])
    log(AlarmCallback(ARGS), history)  # of a resumed run
    log(AlarmCallback(AlarmArguments(alarm_window=1)), steps(equal))  # the alarm itself
    assert "WARNING" not in capsys.readouterr().err
    assert callback.active == {}
