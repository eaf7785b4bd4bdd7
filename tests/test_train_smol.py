"""`make train-smol`: which parts it runs, in which order on a GPU and on a CPU, and what it leaves on disk."""

import json
import sys

import pytest
import torch

from puzzles.files import write_json
from recipes.smollm2 import train_smol
from recipes.smollm2.score import SETS, completions_at_once

SCORES = {"n": 8, "samples": 2, "chance": 0.35, "sampled": 0.5, "greedy": 0.6, "sampled_interval": 0.1, "greedy_interval": 0.1}
SCORES |= {"sampled_solved": 0.2, "best_of_2": 0.7, "pass_at_2": 0.3, "sampled_soundness": 0.9, "sampled_tokens": 80.0}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs train_smol.py with parts that do nothing; returns the groups of parts in the order in which they would run."""
    groups = []

    def pretend(folder, parts, threads=1):
        groups.append((parts, threads))
        for part, command in parts.items():
            write_json(folder / f"{part}.json", {"seconds": 300.0 if part == "GRPO" else 40.0})
            if part.startswith("score_"):
                write_json(folder / "scores" / command[2].rpartition("/")[2], dict.fromkeys(SETS, SCORES))

    def start(*arguments, gpu):
        monkeypatch.setattr(sys, "argv", ["train_smol.py", *arguments])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
        train_smol.main()
        return groups

    logs = [{"step": step, "rewards/accuracy/mean": 0.5} for step in (1, 2)]
    logs += [{"step": step, "eval_rewards/accuracy/mean": 0.5} for step in (0, 2)]
    monkeypatch.setattr(train_smol, "RUNS", tmp_path)
    monkeypatch.setattr(train_smol, "base_model", lambda gguf: tmp_path / "base")
    monkeypatch.setattr(train_smol, "run_parts", pretend)
    monkeypatch.setattr(train_smol, "read_log_history", lambda _: logs)
    return start


def test_on_a_cpu_each_part_has_the_machine_to_itself(run, tmp_path, capsys):
    groups = run("--seed", "3", "--grpo-args", "--max_steps 2 --learning_rate 1e-4", gpu=False)
    parts = {part: command for group, _ in groups for part, command in group.items()}
    assert all(len(group) == 1 and threads for group, threads in groups)
    assert [part for part in parts if not part.startswith("score")] == ["warm_start", "GRPO", "control"]
    assert parts["GRPO"][-4:] == ("--max_steps", "2", "--learning_rate", "1e-4")
    assert "accelerate_configs/cpu.yaml" in parts["GRPO"]
    for part in ("warm_start", "GRPO", "control"):
        assert "--use_cpu" in parts[part]
    steps = int(parts["control"][-1].partition(":")[0])
    assert steps * 40.0 / 80 >= 300.0  # at the speed of the warm start, no less time than GRPO took
    result = json.loads((tmp_path / "result.json").read_text())
    assert {"before", "warm_start", "after", "control", "n", "wall_seconds", "seed", "device"} <= set(result)
    assert (result["seed"], result["device"], result["wall_seconds"]) == (3, "cpu", 300 + 6 * 40)
    assert set(result["never_trained_on"]) == {"larger", "published"}
    assert (tmp_path / "seed-3" / "learning-curve.png").stat().st_size > 10_000
    assert "after the warm start" in capsys.readouterr().out


def test_on_a_gpu_parts_that_do_not_wait_for_each_other_run_at_the_same_time(run, tmp_path):
    groups = run("--control-steps", "500", gpu=True)
    assert [list(parts) for parts, _ in groups] == [
        ["warm_start", "score_before"],
        ["GRPO", "control", "score_warm_start"],
        ["score_after", "score_control"],
    ]
    assert "accelerate_configs/single_gpu.yaml" in groups[1][0]["GRPO"]
    assert groups[1][0]["control"][-1] == "500:0.75:0.75:0"
    assert not [command for parts, _ in groups for command in parts.values() if "--use_cpu" in command]
    assert json.loads((tmp_path / "result.json").read_text())["wall_seconds"] == 40 + 300 + 40


def test_what_a_killed_run_left_half_done_is_deleted_and_what_it_finished_is_kept(run, tmp_path):
    for part, finished in (("warm-start", True), ("control", False)):
        (tmp_path / "seed-0" / part).mkdir(parents=True)
        if finished:
            write_json(tmp_path / "seed-0" / "warm_start.json", {"seconds": 1.0})
    run(gpu=True)
    assert (tmp_path / "seed-0" / "warm-start").exists()
    assert not (tmp_path / "seed-0" / "control").exists()


def test_an_impossible_seed_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("--seed", "-1", gpu=False)
    assert "--seed -1: use 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize(("free_gib", "completions"), [(79, 252), (20, 64), (300, 400), (0.5, 16)])
def test_several_models_can_be_scored_on_one_gpu_at_the_same_time(free_gib, completions):
    assert completions_at_once(int(free_gib * 2**30)) == completions
    assert completions_at_once(None) == 64
