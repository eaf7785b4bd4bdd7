"""`make train-smol`: which parts it runs, in which order on a GPU and on a CPU, and what it leaves on disk."""

import json
import re
import sys
from contextlib import nullcontext

import pytest
import torch

from puzzles.files import read_yaml, write_json
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import generate
from puzzles.scenario import Size
from recipes.demonstrations import FIRST_INDEX
from recipes.machine import has_bfloat16
from recipes.smollm2 import train_smol
from recipes.smollm2.score import SETS, clue_sets_trained_on, completions_at_once

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
            if command[0] == "recipes/smollm2/score.py":
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
    monkeypatch.setattr(train_smol, "DETECTIVE_RUNS", tmp_path / "detective")
    monkeypatch.setattr(train_smol, "base_model", lambda gguf: tmp_path / "base")
    monkeypatch.setattr(train_smol, "run_parts", pretend)
    start.checked = []  # how many parts had run before these options were checked
    monkeypatch.setattr(train_smol, "check_options", lambda command, *_: start.checked.append((len(groups), command)))
    monkeypatch.setattr(train_smol, "read_log_history", lambda _: logs)
    return start


def test_on_a_cpu_each_part_has_the_machine_to_itself(run, tmp_path, capsys):
    groups = run("--seed", "3", "--grpo-args", "--max_steps 2 --learning_rate 1e-4", gpu=False)
    parts = {part: command for group, _ in groups for part, command in group.items()}
    assert all(len(group) == 1 and threads for group, threads in groups)
    assert [part for part in parts if not part.startswith("score")] == ["warm_start", "GRPO", "control"]
    assert run.checked == [(0, parts["GRPO"])]
    last = (*train_smol.FEWER_ON_A_CPU, "--max_steps", "2", "--learning_rate", "1e-4")
    assert parts["GRPO"][-len(last) :] == last
    assert {*train_smol.FOUR_AT_A_TIME} <= {*parts["warm_start"]} & {*parts["control"]}
    rows, times = map(int, train_smol.FOUR_AT_A_TIME[1::2])
    assert rows * times == read_yaml(train_smol.ROOT / "recipes" / "smollm2-135m-sft.yaml")["per_device_train_batch_size"]
    assert "accelerate_configs/cpu.yaml" in parts["GRPO"]
    for part in ("warm_start", "GRPO", "control"):
        assert "--use_cpu" in parts[part]
        assert parts[part][parts[part].index("--bf16") + 1] == ("true" if has_bfloat16() else "false")
    steps = int(parts["control"][-1].partition(":")[0])
    assert steps * 40.0 / 80 >= 300.0  # at the speed of the warm start, no less time than GRPO took
    result = json.loads((tmp_path / "result.json").read_text())
    assert {"before", "warm_start", "after", "control", "n", "wall_seconds", "seed", "device"} <= set(result)
    assert (result["seed"], result["device"], result["wall_seconds"]) == (3, "cpu", 300 + 6 * 40)
    assert set(result["never_trained_on"]) == {"larger", "published"}
    assert (tmp_path / "seed-3" / "learning-curve.png").stat().st_size > 10_000
    assert "after the warm start" in capsys.readouterr().out


def test_on_a_gpu_the_parts_are_the_same(run, tmp_path):
    groups = run("--control-steps", "500", gpu=True)
    assert all(len(group) == 1 for group, _ in groups)
    parts = {part: command for group, _ in groups for part, command in group.items()}
    scores = ["score_before", "score_warm_start", "score_after", "score_control"]
    assert [*parts] == ["warm_start", "GRPO", "control", *scores]
    assert "accelerate_configs/single_gpu.yaml" in parts["GRPO"]
    assert not {*train_smol.FEWER_ON_A_CPU} & {*parts["GRPO"]}
    assert parts["control"][-1] == "500:0.75:0.75:0"
    assert [parts[score][-1] for score in scores] == ["2", "16", "16", "16"]  # samples
    assert not [command for command in parts.values() if "--use_cpu" in command]
    assert json.loads((tmp_path / "result.json").read_text())["wall_seconds"] == 300 + 6 * 40


def test_the_control_takes_no_less_time_than_grpo(tmp_path):
    write_json(tmp_path / "GRPO.json", {"seconds": 300.0})
    write_json(tmp_path / "warm_start.json", {"seconds": 60.0})
    assert train_smol.steps_in_time_of_grpo(tmp_path, 80, gpu=False) == 440  # 80 steps a minute, for 330 seconds
    assert train_smol.steps_in_time_of_grpo(tmp_path, 80, gpu=True) == 880  # 80 steps in half a minute


def test_the_scores_leave_out_what_the_run_was_trained_on(run, tmp_path):
    groups = run("--seed", "3", gpu=False)
    parts = {part: command for group, _ in groups for part, command in group.items()}
    for part, options in (
        ("warm_start", ("--stages", "2:0.75:0.75:0")),
        ("control", ("--stages", "1:0.75:0.75:0")),
        ("GRPO", ("--num_train_puzzles", "5")),
    ):
        write_json(tmp_path / "seed-3" / f"{part}.json", {"command": [*parts[part], *options]})
    assert parts["score_after"][parts["score_after"].index("--run") + 1] == str(tmp_path / "seed-3")
    trained_on = [(3, i) for i in range(5)] + [(3, FIRST_INDEX + i) for i in range(16)]
    trained_on += [(3 + train_smol.SEEDS_APART, FIRST_INDEX + i) for i in range(8)]
    cases = [generate(seed, i, Size(3, 2, 3, 1, 0), directness=0.75) for seed, i in trained_on]
    expected = {split_fingerprint(case.puzzle.setting, case.puzzle.clues) for case in cases}
    assert clue_sets_trained_on(tmp_path / "seed-3") == expected
    for part in ("warm_start", "control", "GRPO"):
        (tmp_path / "seed-3" / f"{part}.json").unlink()
    assert clue_sets_trained_on(tmp_path / "seed-3") == expected  # once is enough


def test_what_a_killed_run_left_half_done_is_deleted_and_what_it_finished_is_kept(run, tmp_path):
    for part, finished in (("warm-start", True), ("control", False)):
        (tmp_path / "seed-0" / part).mkdir(parents=True)
        if finished:
            write_json(tmp_path / "seed-0" / "warm_start.json", {"seconds": 1.0})
    run(gpu=True)
    assert (tmp_path / "seed-0" / "warm-start").exists()
    assert not (tmp_path / "seed-0" / "control").exists()


@pytest.fixture
def published(tmp_path):
    """A file of two puzzles."""
    file = tmp_path / "val.json"
    file.write_text(json.dumps([{"prompt": "Who?", "solution": {"A": "Mrs. White"}}] * 2))
    return file


def test_the_published_puzzles_are_left_out_of_every_dataset_and_scored_on(run, tmp_path, published):
    groups = run("--recipe", "smollm2-135m-published", "--published", str(published), "--demonstrations", "9", gpu=True)
    assert all(len(group) == 1 for group, _ in groups)
    parts = {part: " ".join(command) for group, _ in groups for part, command in group.items()}
    scores = ["score_before", "score_warm_start", "score_after"]
    assert [*parts] == ["proofs_clear", "proofs_published", "warm_start", "GRPO", *scores, "report"]
    assert [(before, "recipes/sft.py" in command) for before, command in run.checked] == [(0, True), (2, False)]
    clear, other = (f"{tmp_path / 'detective' / 'seed-0' / wording}" for wording in ("clear", "published"))
    for wording, dataset, counts, seed in (("clear", clear, (4, 1, 1), 0), ("published", other, (5, 64, 2), 1_000_000)):
        command = parts[f"proofs_{wording}"]
        assert f"--proofs --output {dataset} --seed {seed} --players 1-6 --wording {wording} " in command
        assert "--train {} --validation {} --test {} --exclude {}".format(*counts, published) in command
    assert f"smollm2-135m-published-sft.yaml --seed 0 --model_name_or_path {tmp_path / 'base'} " in parts["warm_start"]
    assert f"--dataset {clear} {other}" in parts["warm_start"]
    assert f"--dataset {other} --num_train_puzzles 4" in parts["GRPO"]
    models = (tmp_path / "base", *(tmp_path / "detective" / "seed-0" / name for name in ("warm-start", "grpo/model")))
    for score, model in zip(scores, models, strict=True):
        assert parts[score].startswith(f"recipes/evaluation/benchmark.py {model} --recipe recipes/smollm2-135m-published.yaml")
        assert f"--dataset {published} --puzzles 2 --samples 16" in parts[score]


def test_without_the_published_puzzles_others_of_the_same_mix_are_scored_on(run, tmp_path, published, capsys):
    recipe = ("--recipe", "smollm2-135m-published", "--sft-args", "--max_steps 2", "--grpo-args", "--max_steps 1")
    groups = run(*recipe, gpu=False)
    parts = {part: " ".join(command) for group, _ in groups for part, command in group.items()}
    assert "--exclude" not in parts["proofs_published"]
    assert f"--dataset {tmp_path / 'detective' / 'seed-0' / 'published'} --split test --puzzles 250" in parts["score_after"]
    assert "--per_device_train_batch_size 1 --gradient_accumulation_steps 32 " in parts["warm_start"]  # 8 × 4 on a GPU
    assert parts["warm_start"].endswith("--max_steps 2")
    assert parts["GRPO"].endswith("--max_steps 1")
    assert "The published ones: https://github.com/bradhilton/temporal-clue" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"seed-0 holds another run \(demonstrations was 300000, now 20000"):
        run(*recipe, "--demonstrations", "20000", gpu=False)
    with pytest.raises(SystemExit, match=r"seed-0 holds another run \(.*published was None, now '[0-9a-f]+'"):
        run(*recipe, "--published", str(published), gpu=False)  # they may be among the demonstrations


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("--recipe", "smollm2-135m-published", "--published", "no.json"),
            "no.json: there is no such file. The published",
        ),
        (("--recipe", "smollm2-135m-published", "--published", "FILE", "--puzzles", "3"), "--puzzles 3: FILE has only 2"),
        (("--published", "FILE"), "--published goes with --recipe smollm2-135m-published"),
        (("--players", "1"), "--players goes with --recipe smollm2-135m-published"),
        (("--demonstrations", "9"), "--demonstrations goes with --recipe smollm2-135m-published"),
        (("--recipe", "smollm2-135m-published", "--control-steps", "9"), "--control-steps goes with --recipe smollm2-135m."),
        (
            ("--recipe", "smollm2-135m-published", "--warm-start-steps", "9"),
            "--warm-start-steps goes with --recipe smollm2-135m.",
        ),
        (("--demonstrations", "1"), "--demonstrations 1: use 2 or more"),
        (("--puzzles", "0"), "--puzzles 0: use 1 or more"),
        (("--warm-start-steps", "0"), "--warm-start-steps 0: use 1 or more"),
        (("--control-steps", "-5"), "--control-steps -5: use 1 or more"),
        (("--seed", "-1"), "--seed -1: use 0 to 4293967295"),
        (("--seed", "4294967295"), "--seed 4294967295: use 0 to 4293967295"),
        (("--grpo-args", "--learning_rate '1e-4"), "can't be split into options (No closing quotation): close every quote"),
        (("--grpo-args", "--max_steps 2 --output_dir=mine"), "--grpo-args: --output_dir can't be given here"),
        (("--sft-args=--help",), "--sft-args: --help can't be given here"),
        (
            ("--recipe", "smollm2-135m-published", "--players", "0-3"),
            "players=(0, 3) is impossible: choose a range within 1 to 6",
        ),
        (("--recipe", "smollm2-135m-published", "--published", "EMPTY"), "EMPTY holds no puzzles"),
        (("--recipe", "qwen"), "invalid choice: 'qwen'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(run, published, tmp_path, capsys, arguments, complaint):
    (tmp_path / "empty.json").write_text("[]")
    names = {"FILE": f"{published}", "EMPTY": f"{tmp_path / 'empty.json'}"}
    with pytest.raises(SystemExit):
        run(*(names.get(argument, argument) for argument in arguments), gpu=False)
    for name, file in names.items():
        complaint = complaint.replace(name, file)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "options", "complaint"),
    [
        ("grpo", "--max_stepz 3", r"not used by .*'--max_stepz', '3'"),
        ("grpo", "--num_eval_puzzles 3", "12 held-out completions are not a multiple of"),
        ("grpo", "--max_completion_length 4000", "prompts are too long"),
        ("grpo", "--temperature 0", r"`temperature` \(=0.0\) has to be a strictly positive float"),
        ("grpo", "", None),
        ("sft", "--max_stepz 3", r"not used by .*'--max_stepz', '3'"),
        ("sft", "--lr_scheduler_type cosine_with_min_lr", "min_lr_rate should be set"),
        ("sft", "--dataset not/made/yet --stages 9:0:1:1", "its puzzles have their own sizes and wording: leave out .*stages"),
        ("sft", "", None),
    ],
)
def test_wrong_options_are_refused_before_the_parts_that_come_earlier(tmp_path, capfd, script, options, complaint):
    recipe = {"grpo": "smollm2-135m", "sft": "smollm2-135m-sft"}[script]
    command = (f"recipes/{script}.py", "--config", f"recipes/{recipe}.yaml", "--use_cpu", "true", "--bf16", "false")
    command += ("--output_dir", f"{tmp_path / 'run'}")
    command += (*train_smol.FEWER_ON_A_CPU, "--num_train_puzzles", "8") if script == "grpo" else ()
    base = train_smol.ROOT / "recipes" / "tiny" / "tiny-base"
    with pytest.raises(SystemExit, match=f"{script}.py refuses its options, see above") if complaint else nullcontext():
        train_smol.check_options(("-m", "launch", *command, *options.split()), "--model_name_or_path", f"{base}")
    printed = capfd.readouterr()
    assert re.search(complaint, printed.err) if complaint else "Leave out dry_run to start" in printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free_gib", "completions"), [(79, 400), (20, 256), (300, 400), (0.5, 16)])
def test_completions_fit_into_half_of_the_free_memory(free_gib, completions):
    assert completions_at_once(int(free_gib * 2**30)) == completions
    assert completions_at_once(None) == 64
