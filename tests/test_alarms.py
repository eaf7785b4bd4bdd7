"""Alarms: each rings for its reason, and not before."""

from types import SimpleNamespace

import pytest
from transformers import TrainerControl

from recipes.alarms import Watch, alarms
from recipes.arguments import RunArguments
from recipes.trainer import HELD_OUT_ACCURACY

ARGS = RunArguments(alarm_window=3)
WELL = {
    "frac_reward_zero_std": 0.2,
    "completions/clipped_ratio": 0.1,
    "sampling/sampling_logp_difference/mean": 0.015,
    "entropy": 0.5,
}


def steps(*changes):
    return [{"step": i + 1, **WELL, **change} for i, change in enumerate(changes)]


def evaluations(*scores):
    return [{"step": i, HELD_OUT_ACCURACY: score} for i, score in enumerate(scores)]


def test_a_healthy_run_is_left_alone():
    assert alarms([], ARGS) == {}
    assert alarms(steps({}, {}, {}, {}) + evaluations(0.3, 0.4, 0.45, 0.44, 0.46), ARGS) == {}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("reward_std", {"frac_reward_zero_std": 1.0}, "nothing to learn from"),
        ("clipped_ratio", {"completions/clipped_ratio": 0.75}, "75% of completions were cut off"),
        ("logp_difference", {"sampling/sampling_logp_difference/mean": 0.2}, "vLLM does not follow the weights"),
        ("entropy", {"entropy": 0.01}, "entropy collapse: 0.0100 nats a token, under 10% of the 0.5000"),
    ],
)
def test_an_alarm_rings_after_so_many_generations_in_a_row(name, change, reason):
    assert alarms(steps({}, change, change), ARGS) == {}
    assert alarms(steps(change, change, {}, change, change), ARGS) == {}
    (found,) = alarms(steps({}, change, change, change), ARGS).items()
    assert found[0] == name
    assert reason in found[1]


def test_optimizer_steps_within_a_generation_do_not_count():
    between = {"step": 2, "loss": 0.1, "entropy": 0.5}
    history = [log for generation in steps(*[{"frac_reward_zero_std": 1.0}] * 3) for log in (generation, between)]
    assert list(alarms(history, ARGS)) == ["reward_std"]
    assert alarms(history[:4], ARGS) == {}


def test_late_collapse_is_seen():
    assert alarms(evaluations(0.3, 0.5, 0.42, 0.41), ARGS) == {}
    (found,) = alarms(evaluations(0.3, 0.5, 0.42, 0.41, 0.4), ARGS).items()
    assert found[0] == "held_out"
    assert "0.420, 0.410, 0.400 in the last 3 evaluations, against 0.500 at best" in found[1]
    assert alarms(evaluations(0.3, 0.5, 0.42, 0.41, 0.4, 0.47), ARGS) == {}


def log(watch, history):
    state = SimpleNamespace(log_history=history, global_step=len(history), is_world_process_zero=True)
    control = TrainerControl()
    watch.on_log(None, state, control)
    return control


def test_it_warns_once_and_ends_the_run_only_if_asked(capsys):
    watch = Watch(ARGS)
    bad = steps(*[{"frac_reward_zero_std": 1.0}] * 3)
    for _ in range(3):
        control = log(watch, bad)
        assert not control.should_training_stop
    assert capsys.readouterr().err.count("ALARM (reward_std) at step 3") == 1
    log(watch, steps({}, {}, {}))
    log(watch, bad)
    assert "ALARM (reward_std)" in capsys.readouterr().err

    control = log(Watch(RunArguments(alarm_window=3, stop_on_alarm=True)), bad)
    assert control.should_training_stop
    assert control.should_save


def test_a_new_best_is_saved():
    watch = Watch(ARGS)
    for scores, saved in (((0.3,), False), ((0.3, 0.4), True), ((0.3, 0.4, 0.35), False), ((0.3, 0.4, 0.4), False)):
        history = evaluations(*scores)
        state = SimpleNamespace(log_history=history, global_step=len(history) - 1)
        control = TrainerControl()
        watch.on_evaluate(None, state, control, metrics=history[-1])
        assert control.should_save == saved
