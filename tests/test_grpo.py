"""The recipe, run for real on the CPU: real puzzles, a real (tiny) Qwen2, TRL's own GRPOTrainer."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Tokenizer
from trl import GRPOConfig, ModelConfig, SFTConfig, TrlParser

from puzzles.dataset import FEATURES, HELD_OUT, build
from puzzles.files import write_json
from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from recipes import ROOT, grpo, sft
from recipes.advantages import best_of_k_advantages
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.checkpoints import (
    HELD_OUT_ACCURACY,
    best_model,
    checkpoint_to_resume,
    complete_checkpoints,
    mark_complete,
    read_log_history,
)
from recipes.data import build_options, load_puzzles
from recipes.machine import this_machine
from recipes.tiny.model import tiny_tokenizer
from recipes.trainer import PuzzleTrainer
from tests import forked
from tests.test_dataset import make

ADAMW = ("--muon_learning_rate", "null")  # instead of the tiny recipe's Muon
BASE = ROOT / "recipes" / "tiny" / "tiny-base"
SMALL = {"suspects": 2, "weapons": 2, "rooms": 2, "times": 1, "motives": 0}


def test_the_saved_tokenizer_loads_as_what_it_is():
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    assert type(tokenizer) is Qwen2Tokenizer
    assert AutoModelForCausalLM.from_pretrained(BASE).config.vocab_size == len(tokenizer)
    text = prompt(generate(0, 0, Size()).puzzle, "compact")
    assert tokenizer(text).input_ids == tiny_tokenizer()(text).input_ids
    assert tokenizer.tokenize("Miss Scarlet was in the Hall") == ["Miss Scarlet", " was in the Hall"]
    for foreign in (text, "Détective • 5 ünits\n\tof “proof”", "Miss Scarlett"):
        assert tokenizer.decode(tokenizer(foreign).input_ids) == foreign
    chat = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
    assert chat == f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def command(output_dir, *overrides, recipe="recipes/tiny-cpu.yaml"):
    small = "--num_train_puzzles 32 --num_eval_puzzles 4 --max_steps 3 --save_steps 2 --eval_strategy no"
    batch = "--per_device_train_batch_size 8 --num_generations 4 --per_device_eval_batch_size 4 --num_generations_eval 1"
    options = ("--config", str(recipe), "--output_dir", str(output_dir))
    return ["recipes/grpo.py", *options, *small.split(), *batch.split(), *overrides]


def run(output_dir, *overrides, recipe="recipes/tiny-cpu.yaml", **options):
    return forked.run(output_dir.with_suffix(".log"), *command(output_dir, *overrides, recipe=recipe), **options)


def on_two_processes(output_dir, *overrides):
    return forked.run_on_two_processes(output_dir.with_suffix(".log"), *command(output_dir, *overrides))


def test_what_fails_on_one_node_ends_the_run_on_all_and_each_says_why(tmp_path):
    """Two nodes of one process each. The first would otherwise wait for the second until ddp_timeout, half an hour."""
    nodes, where = [], forked.two_processes()
    for rank, options in (("0", ()), ("1", ("--dataset", "not/on/this/node"))):
        options = command(tmp_path / "run", "--num_eval_puzzles", "8", *options)
        nodes.append(forked.start(tmp_path / f"{rank}.log", *options, RANK=rank, LOCAL_RANK="0", **where))
    for node in nodes:
        node.join(timeout=300)
    assert [node.exitcode for node in nodes] == [1, 1]
    assert all("not/on/this/node" in (tmp_path / f"{rank}.err").read_text() for rank in "01")
    assert not (tmp_path / "run").exists()


def test_justified_deductions_are_rewarded_only_if_asked_for(tmp_path):
    done = run(tmp_path / "run", "--deduction_weight", "0.5", "--max_steps", "1", "--save_steps", "1")
    assert done.returncode == 0, done.stderr
    log = next(log for log in read_log_history(tmp_path / "run") if "reward" in log)
    assert log["rewards/deductions/mean"] > 0
    assert log["reward"] == pytest.approx(log["rewards/accuracy/mean"] + 0.5 * log["rewards/deductions/mean"], abs=1e-4)


def test_variants_of_the_objective_change_the_reward_the_advantages_and_the_learning_rate(tmp_path, monkeypatch):
    """Best of 2 samples, half of the reward for whole puzzles, form and length, and a learning rate that follows the
    rows that teach.
    """
    seen = []
    generate_and_score = PuzzleTrainer._generate_and_score_completions
    prepare = PuzzleTrainer._prepare_inputs

    def watch_generation(trainer, inputs):
        outputs = generate_and_score(trainer, inputs)
        if trainer.model.training:
            rewards = (trainer.rewards * trainer.reward_weights).nansum(dim=1)
            by_name = {name: list(values)[-8:] for name, values in trainer._logs["rewards"].items()}
            seen.append((rewards, outputs["advantages"].clone(), by_name))
        return outputs

    def watch_rate(trainer, batch):
        inputs = prepare(trainer, batch)
        if trainer.model.training:
            teach = (seen[-1][1] != 0).sum().item()
            assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * (teach / 4) ** 0.5)
        return inputs

    monkeypatch.setattr(PuzzleTrainer, "_generate_and_score_completions", watch_generation)
    monkeypatch.setattr(PuzzleTrainer, "_prepare_inputs", watch_rate)
    options = "--best_of_k 2 --solved_weight 0.5 --learning_rate_power 0.5 --learning_rate_rows 4 --learning_rate 1e-3"
    options += " --muon_learning_rate 1e-3 --lr_scheduler_type constant --format_weight 0.25 --overlong_buffer 150"
    _, *given = command(tmp_path / "run", *options.split())
    grpo.main(*parsed(monkeypatch, *given))
    assert len(seen) == 3
    for rewards, advantages, by_name in seen:
        right, solved = (torch.tensor(by_name[name]) for name in ("accuracy", "solved"))
        torch.testing.assert_close(solved, (right == 1).float())
        form, length = (torch.tensor(by_name[name]) for name in ("complete_sheet", "soft_overlong_punishment_reward"))
        assert form.any()
        assert length.min() < 0
        torch.testing.assert_close(rewards, (right + solved) / 2 + form / 4 + length / 2)
        torch.testing.assert_close(advantages, best_of_k_advantages(rewards.view(2, 4), 2).flatten())


def test_three_steps_of_grpo_and_what_they_leave_behind(tmp_path):
    """With the launcher, as the README says."""
    launcher = ["-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml"]
    launched = subprocess.run([sys.executable, *launcher, *command(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True)
    assert launched.returncode == 0, launched.stderr
    assert "Scoring the held-out puzzles before training" in launched.stdout
    assert "held-out accuracy" in launched.stdout
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(result["before"]) == set(result["after"])
    assert set(result["after"]) >= {"accuracy", "published_accuracy", "solved", "unread_answers", "soundness"}
    assert type(AutoTokenizer.from_pretrained(tmp_path / "run" / "model")) is Qwen2Tokenizer
    assert {"accuracy/easy", "accuracy/medium"} & set(result["before"])
    state = json.loads((tmp_path / "run" / "checkpoint-3" / "trainer_state.json").read_text())
    steps = [log for log in state["log_history"] if "rewards/accuracy/mean" in log]
    assert [log["step"] for log in steps] == [1, 2, 3]
    logged = {"solved", "rewards/published_accuracy/mean", "soundness", "read_share", "entropy", "completions/clipped_ratio"}
    assert all(logged <= set(log) for log in steps)
    assert all(log["reward"] == pytest.approx(log["rewards/accuracy/mean"], abs=1e-4) for log in steps)
    before = state["log_history"][0]
    assert before["eval_rewards/accuracy/mean"] == pytest.approx(result["before"]["accuracy"])
    assert not {"eval_loss", "eval_entropy"} & set(before)  # of a forward that an evaluation does not need
    evaluations = [log for log in read_log_history(tmp_path / "run") if HELD_OUT_ACCURACY in log]
    assert [log["step"] for log in evaluations] == [0, 3]  # the last, after the last checkpoint, is that of the result
    assert evaluations[1][HELD_OUT_ACCURACY] == pytest.approx(result["after"]["accuracy"])

    again = run(tmp_path / "run")
    assert again.returncode == 0
    assert "This run is finished" in again.stdout

    other = run(tmp_path / "run", "--learning_rate", "0.5")
    assert other.returncode != 0
    assert "holds another run (learning_rate was" in other.stderr
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())


@pytest.mark.parametrize(("option", "said"), [((), "this machine fit"), (("--num_generations", "3"), "num_generations")])
def test_a_dry_run_checks_and_leaves_nothing_behind(tmp_path, option, said):
    done = run(tmp_path / "run", "--dry_run", "true", *option)
    assert bool(done.returncode) == bool(option), done.stderr
    assert said in (done.stderr if option else done.stdout)
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    """Ctrl-C after the checkpoint at step 2 of 6; the same command again; then the same in one go, which is then left as by a
    kill -9 after its last checkpoint, and makes no seventh step.
    """
    longer = ("--max_steps", "6", "--learning_rate", "1e-3", "--lr_scheduler_type", "constant")
    process = forked.start(tmp_path / "cut.log", *command(tmp_path / "cut", *longer))
    while not (tmp_path / "cut" / "checkpoint-2" / "whole").exists():
        assert process.is_alive(), (tmp_path / "cut.err").read_text()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.join(60)
    assert "The same command resumes from the last checkpoint" in (tmp_path / "cut.err").read_text()
    assert not (tmp_path / "cut" / "model").exists()

    resumed = run(tmp_path / "cut", *longer)
    assert resumed.returncode == 0
    assert f"Resuming from {tmp_path / 'cut' / 'checkpoint-'}" in resumed.stdout
    assert run(tmp_path / "whole", *longer).returncode == 0
    result = (tmp_path / "whole" / "result.json").read_text()
    (tmp_path / "whole" / "result.json").unlink()
    shutil.rmtree(tmp_path / "whole" / "model")
    assert run(tmp_path / "whole", *longer).returncode == 0
    assert (tmp_path / "whole" / "checkpoint-6" / "whole").exists()
    assert (tmp_path / "whole" / "result.json").read_text() == result
    cut, whole = (AutoModelForCausalLM.from_pretrained(tmp_path / name / "model").state_dict() for name in ("cut", "whole"))
    start = AutoModelForCausalLM.from_pretrained(BASE).state_dict()
    assert all(cut[name].equal(whole[name]) for name in whole)
    assert not all(start[name].equal(whole[name]) for name in whole)


def test_what_changes_nothing_of_a_run_may_change_when_it_is_resumed(monkeypatch):
    recipe = ("--config", ROOT / "recipes" / "tiny-cpu.yaml")

    def identity(*options, dataset=None):
        puzzle_args, run_args, _, *rest = parsed(monkeypatch, *recipe, *options)
        return grpo.identity(puzzle_args, run_args, *rest, dataset)

    memory = "--activation_checkpointing true --vllm_tensor_parallel_size 2 --vllm_enable_sleep_mode true --ddp_timeout 99"
    run = identity()
    assert identity(*memory.split()) == run
    assert identity("--delete_later", "true", "--resume", "checkpoint-5") == run
    assert identity("--learning_rate", "1") != run
    assert identity(dataset="3f1c") != run
    assert identity("--format_weight", "0.5") != run
    assert identity("--overlong_buffer", "20") != run
    assert {run[option] for option in ("refill_groups", "format_weight", "overlong_buffer")} == {None}  # as in earlier records
    assert identity("--vllm_max_model_length", "99") != run
    vllm = ("--use_vllm", "true", "--vllm_tensor_parallel_size")  # processes that share a copy draw the same random numbers
    assert identity(*vllm, "1") != identity(*vllm, "2")
    assert identity(*vllm, "1", "--vllm_mode", "server") == identity(*vllm, "2", "--vllm_mode", "server")


def test_to_resume_an_earlier_checkpoint_the_later_ones_are_deleted_if_allowed(monkeypatch, tmp_path):
    recipe = ("--config", ROOT / "recipes" / "tiny-cpu.yaml", "--output_dir", tmp_path)
    for step in (5, 10, 15):
        mark_complete(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-7").mkdir()  # unfinished
    write_json(tmp_path / "best" / "held_out.json", {"step": 12, "accuracy": 0.9})
    for file in ("run.json", "trainer_state.json"):  # of a finished run whose result was deleted, to train it further
        (tmp_path / file).write_text("{}")
    monkeypatch.setattr("recipes.checkpoints.check_same_run", lambda *_: None)
    monkeypatch.setattr("recipes.checkpoints.lock_folder", lambda folder: None)  # which this process still holds

    def claim(*options):
        _, run_args, _, training_args, _ = parsed(monkeypatch, *recipe, "--resume", tmp_path / "checkpoint-10", *options)
        return grpo.claim_folder(tmp_path, {}, run_args, training_args)

    with pytest.raises(ValueError, match="also holds checkpoint-15"):
        claim()
    assert complete_checkpoints(tmp_path).keys() == {5, 10, 15}
    assert best_model(tmp_path)["step"] == 12
    assert claim("--delete_later", "true") == str(tmp_path / "checkpoint-10")
    assert complete_checkpoints(tmp_path).keys() == {5, 10}
    assert not (tmp_path / "checkpoint-7").exists()
    assert not (tmp_path / "best").exists()  # of the attempt that was given up
    assert not (tmp_path / "trainer_state.json").exists()
    write_json(tmp_path / "best" / "held_out.json", {"step": 10, "accuracy": 0.5})
    assert claim("--delete_later", "true") == str(tmp_path / "checkpoint-10")
    assert best_model(tmp_path)["step"] == 10
    mark_complete(tmp_path / "checkpoint-20")  # the run goes on, keeps the newest, and is interrupted
    for step in (5, 10):
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
    resume = str(tmp_path / "checkpoint-10")
    assert checkpoint_to_resume(tmp_path, resume, True) == str(tmp_path / "checkpoint-20")  # the same command loses nothing
    (tmp_path / "resumed_from").unlink()
    with pytest.raises(ValueError, match="checkpoint-10' is neither"):
        checkpoint_to_resume(tmp_path, resume, True)


def test_without_zero3_a_run_may_be_resumed_on_another_number_of_processes(tmp_path):
    options = ("--optimizer_steps", "1", "--generation_batch_size", "32", "--per_device_eval_batch_size", "2")
    assert run(tmp_path / "run", *options, "--max_steps", "2").returncode == 0
    (tmp_path / "run" / "result.json").unlink()
    done = on_two_processes(tmp_path / "run", *options, "--max_steps", "4")
    assert "Resuming from" in done
    assert [log["step"] for log in read_log_history(tmp_path / "run") if "reward" in log] == [1, 2, 3, 4]


def test_refilled_groups_on_two_processes_after_a_restart(tmp_path):
    """Three groups, so the second one is on both processes. Few of them have a whole puzzle right, and a reward."""
    options = "--refill_groups 2 --solved_weight 1 --overlong_buffer 20 --log_completions true --save_steps 1"
    options = f"{options} --per_device_train_batch_size 6 --per_device_eval_batch_size 2".split()
    on_two_processes(tmp_path / "whole", *options, "--max_steps", "2")
    on_two_processes(tmp_path / "cut", *options, "--max_steps", "1")
    (tmp_path / "cut" / "result.json").unlink()
    on_two_processes(tmp_path / "cut", *options, "--max_steps", "2")
    whole, cut = ([log for log in read_log_history(tmp_path / name) if "loss" in log] for name in ("whole", "cut"))
    assert sum(log["refilled_groups"] for log in whole) > 0
    for name in ("refilled_groups", "reward", "loss", "completions/mean_length", "frac_reward_zero_std"):
        assert [log[name] for log in cut] == pytest.approx([log[name] for log in whole], abs=1e-6), name
    completions = pq.read_table(tmp_path / "whole" / "completions" / "completions_00001.parquet").to_pylist()
    prompts = [str(row["prompt"]) for row in completions]
    assert [prompts[i : i + 4].count(prompts[i]) for i in (0, 4, 8)] == [4, 4, 4]


def test_the_best_of_several_samples_on_two_processes(tmp_path):
    """Against the accuracy of each completion, as logged by TRL: 8 puzzles of 2 samples, of which a process generates one."""
    several = "--num_eval_puzzles 8 --num_generations_eval 2 --per_device_eval_batch_size 1 --max_steps 1 --save_steps 1"
    on_two_processes(tmp_path / "run", *several.split(), "--log_completions", "true", "--model_name_or_path", BASE)
    completions = pq.read_table(tmp_path / "run" / "completions" / "completions_00000_eval.parquet").to_pylist()
    by_prompt = {}
    for row in completions:
        by_prompt.setdefault(str(row["prompt"]), []).append(row["accuracy"])
    assert [len(accuracies) for accuracies in by_prompt.values()] == [2] * 8
    best = [max(accuracies) for accuracies in by_prompt.values()]
    before = json.loads((tmp_path / "run" / "result.json").read_text())["before"]
    assert before["best_of_2"] == pytest.approx(sum(best) / 8, abs=1e-6)
    assert before["best_of_2"] > before["accuracy"] == pytest.approx(sum(row["accuracy"] for row in completions) / 16, abs=1e-6)
    assert before["pass_at_2"] == best.count(1) / 8 > 0


@pytest.mark.parametrize("final", ["best", "last"])
def test_the_final_model_is_the_best_or_the_last(tmp_path, final):
    """With a learning rate that ruins the model, the best is that of the first evaluation."""
    options = "--max_steps 4 --eval_strategy steps --eval_steps 2 --learning_rate 1 --num_eval_puzzles 16"
    done = run(tmp_path / "run", *options.split(), "--final", final)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    best, last, model = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "run" / name).state_dict() for name in ("best", "checkpoint-4", "model")
    )
    assert (result["best"]["step"], result["model_step"]) == (2, {"best": 2, "last": 4}[final])
    assert not all(best[name].equal(last[name]) for name in last)
    assert all(model[name].equal({"best": best, "last": last}[final][name]) for name in model)
    said = {"best": f"the best by held-out accuracy, {result['best']['accuracy']:.3f}", "last": "the last"}[final]
    assert f"of step {result['model_step']} of 4 ({said})" in done.stdout


def test_packing_changes_nothing_but_the_time(tmp_path):
    """Two optimizer steps of a generation: the same samples with and without it, and so the same curve; switched off halfway
    too. With AdamW, since Muon enlarges what is only rounding.
    """
    recipe = tmp_path / "adamw.yaml"
    recipe.write_text((ROOT / "recipes" / "tiny-cpu.yaml").read_text().replace("muon_learning_rate: 1.0e-3\n", ""))
    longer = ("--max_steps", "6", "--learning_rate", "1e-4", "--lr_scheduler_type", "constant", "--generation_batch_size", "32")
    without, packed = ("--packing", "false", "--gradient_accumulation_steps", "2"), ("--optimizer_steps", "2")
    for name, how in (
        ("stock", without),
        ("packed", (*packed, "--packed_tokens", "1000")),
        ("switched", (*packed, "--max_steps", "4")),
    ):
        done = run(tmp_path / name, *longer, *how, recipe=recipe)
        assert done.returncode == 0, done.stderr
    (tmp_path / "switched" / "result.json").unlink()
    assert run(tmp_path / "switched", *longer, *without, recipe=recipe).returncode == 0

    def steps(name):
        state = json.loads((tmp_path / name / "checkpoint-6" / "trainer_state.json").read_text())
        return [log for log in state["log_history"] if "loss" in log]

    def weights(folder):
        return AutoModelForCausalLM.from_pretrained(folder).state_dict()

    stock, start = weights(tmp_path / "stock" / "model"), weights(ROOT / "recipes" / "tiny" / "tiny-base")
    for name in ("packed", "switched"):
        assert len(steps(name)) == 6
        for theirs, ours in zip(steps("stock"), steps(name), strict=True):
            for key in ("loss", "grad_norm", "reward", "rewards/accuracy/mean", "completions/mean_length"):
                if key in theirs:  # some are logged once a generation
                    assert ours[key] == pytest.approx(theirs[key], rel=1e-3, abs=1e-5), (name, key)
        ours = weights(tmp_path / name / "model")
        moved, apart = (
            torch.cat([(x[parameter] - y[parameter]).flatten() for parameter in x]).norm()
            for x, y in ((stock, start), (stock, ours))
        )
        assert apart <= 0.01 * moved  # AdamW makes full steps of gradients that are nothing but rounding


def parsed(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["grpo.py", *map(str, args)])
    return parse((PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), grpo.__doc__)


def test_every_recipe_parses(monkeypatch):
    recipes = sorted({*(ROOT / "recipes").glob("*.yaml")} - {ROOT / "recipes" / "sky.yaml"})
    assert {"tiny-base", "tiny-cpu", "qwen2.5-14b", "smollm2-135m-sft"} <= {recipe.stem for recipe in recipes}
    for recipe in recipes:
        if "\nstages:" in recipe.read_text() or recipe.stem.endswith("-sft"):  # imitation, not GRPO
            args, training_args = TrlParser((sft.SftArguments, SFTConfig)).parse_args_and_config(
                ["--config", str(recipe), "--use_cpu", "true"]
            )
            assert all(len(stage.split(":")) == 4 for stage in args.stages)
        else:
            *_, training_args, model_args = parsed(monkeypatch, "--config", recipe, "--use_cpu", "true")
            assert model_args.model_name_or_path
            assert not training_args.trust_remote_code
            assert len(recipe.read_text().splitlines()) <= 60
        assert training_args.output_dir.startswith("outputs/")


@pytest.mark.parametrize(
    ("yaml", "complaint"),
    [
        ("learning_rate: 1e-5x", "recipe.yaml: argument --learning_rate/--learning-rate: invalid float value: '1e-5x'"),
        ("suspects: 2.5", "recipe.yaml: argument --suspects: invalid int value: '2.5'"),
        ("suspects: [3, 4]", "recipe.yaml: argument --suspects: invalid int value: '[3, 4]'"),
        ("alarm_drop: null", "recipe.yaml: argument --alarm_drop/--alarm-drop: invalid float value: 'null'"),
        ("alarm_drop: .nan", "recipe.yaml: alarm_drop: nan is not a finite number."),
        ("num_generations: 0", "recipe.yaml: num_generations: 0 is too few: use 1 or more."),
        ("num_generations: null", "recipe.yaml: num_generations: null is not a number of samples: use 2 or more."),
        ("seed: -1", "recipe.yaml: seed: -1 is impossible: use 0 to 4294967295."),
        ("packing: sometimes", "packing: sometimes is unknown: use auto, true or false."),
        ("generation_kwargs: [1]", "generation_kwargs: '[1]' is not a mapping"),
        ("3: 4", "recipe.yaml has the unknown key 3."),
        ("", "recipe.yaml holds nothing, not options: write one `name: value` a line."),
        ("a text", "recipe.yaml holds a text, not options"),
        ("output_dir: \udce4", "recipe.yaml is not UTF-8 text (byte 12): save it as UTF-8"),
        ("learning_rat: 1e-5", "unknown key 'learning_rat'. Did you mean 'learning_rate'?"),
        ("learning_rate: [", "while parsing"),
        ("seed: 1\nlearning_rate: 1e-4\nseed: 2", "recipe.yaml gives seed twice: leave one out."),
        ("output_dir: {a: b}", "recipe.yaml: output_dir: {'a': 'b'} is a mapping: give one value."),
        ("wording: [clear]", "recipe.yaml: wording: ['clear'] is a list: give one value."),
        ("accelerator_config: {foo: 1}", "got an unexpected keyword argument 'foo'"),
        (
            "num_generations: 3\nper_device_train_batch_size: 8\nuse_cpu: true\nbf16: false",
            "must be divisible by num_generations",
        ),
        ("- a list", "recipe.yaml holds a list, not options"),
    ],
)
def test_a_faulty_recipe_is_refused(monkeypatch, tmp_path, capsys, yaml, complaint):
    (recipe := tmp_path / "recipe.yaml").write_text(yaml, errors="surrogateescape")
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--use_cpu", "true", "--config", recipe)
    assert complaint in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("rest", [(), ("--use_cpu", "true")])
def test_config_without_a_recipe_is_refused(monkeypatch, capsys, rest):
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--config", *rest)
    assert "--config lacks the recipe: name its YAML file" in capsys.readouterr().err.splitlines()[-1]


def test_config_may_be_joined_to_its_recipe(monkeypatch, tmp_path, capsys):
    (recipe := tmp_path / "a=b.yaml").write_text("learning_rate: 1e-5\n")
    *_, training_args, _ = parsed(monkeypatch, "--use_cpu", "true", f"--config={recipe}", "--seed", "3")
    assert (training_args.learning_rate, training_args.seed) == (1e-5, 3)
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--config=recipes/none.yaml")
    assert "there is no recipe recipes/none.yaml. There are recipes/" in capsys.readouterr().err


def test_a_value_in_a_recipe_means_what_it_means_on_the_command_line(monkeypatch, tmp_path):
    (recipe := tmp_path / "recipe.yaml").write_text(
        "difficulty: easy\nplayers: [2, 3]\nseed: 5\npacking: false\nlearning_rate: 1e-5\ncurriculum: null\n"
        "max_completion_length: null\ngeneration_kwargs: {stop: ['1']}\nenv: {CLUE: 7}\n"
    )
    monkeypatch.setenv("CLUE", "")
    puzzles, run_args, _, args, _ = parsed(
        monkeypatch, "--config", recipe, "--use_cpu", "true", "--seed", "6", "--players", "4"
    )
    assert (puzzles.difficulty, puzzles.players, puzzles.curriculum) == (["easy"], [4], None)
    assert (args.seed, run_args.packing, args.learning_rate, args.max_completion_length) == (6, False, 1e-5, None)
    assert args.generation_kwargs == {"stop": ["1"]}
    assert os.environ["CLUE"] == "7"


def test_a_missing_recipe_is_named(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--config", "recipes/none.yaml")
    assert "there is no recipe recipes/none.yaml. There are recipes/qwen2.5-1.5b.yaml" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--config", "recipes/qwen2.5-14b.yaml")
    assert "no GPU with bf16 was found. Use recipes/tiny-cpu.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (("--model_name_or_path", ""), "model_name_or_path is missing"),
        (("--eval_strategy", "no", "--num_generations_eval", "3"), "is not divisible by the 3 samples of a held-out puzzle"),
        (("--suspects", "1"), "suspects=1 is impossible"),
        (("--motives", "5"), "motives=5 is impossible with 4 suspects"),
        (("--wording", "verbose"), "wording='verbose' is unknown: choose one of clear"),
        (("--dataset", "no/such/folder"), "no/such/folder"),
        (("--dataset", "outputs/none"), "there is no dataset outputs/none yet: make it with `make dataset`"),
        (("--difficulty", "fiendish"), "difficulty='fiendish' is unknown: choose among easy, medium, hard"),
        (("--difficulty", "hard", "--num_train_puzzles", "64"), "generated puzzles are hard, not 64"),
        (("--curriculum", "random"), "curriculum='random' is unknown"),
        (("--model_name_or_path", "no/such-model"), "'no/such-model' is neither a folder with a model nor one that the Hub"),
        (
            ("--max_completion_length", "1000"),
            "prompts are too long: (held-out )?row .* has .* tokens, and the model's context 1,024 less",
        ),
        (("--packed_tokens", "0"), "packed_tokens 0 is too few"),
        (
            ("--packing", "true", "--attn_implementation", "eager"),
            "packing does not support attn_implementation: eager .* packing: false gives",
        ),
        (("--optimizer_steps", "3"), "the 85.3333 completions of an optimizer step .* don't divide evenly"),
        (("--num_eval_puzzles", "100"), "800 held-out completions are not a multiple of"),
        (("--use_vllm", "true", "--vllm_mode", "server", "--vllm_server_port", "9"), "no vLLM server answers at"),
        (("--report_to", "wandb"), "report_to: wandb is not installed: pip install wandb"),
        (("--use_peft", "true", "--load_in_4bit", "true"), "load_in_4bit: bitsandbytes is not installed: pip install bits"),
        (("--reward_weights", "1", "1", "1"), "reward_weights: .* has no effect here .*deduction_weight"),
        (("--eval_on_start", "false"), "eval_on_start: False has no effect here .*scored before training.* leave it out"),
        (("--eval_on_start", "true"), "eval_on_start: True has no effect here"),
        (("--final", "first"), "final: 'first' is unknown: use best or last"),
        (("--save_total_limit", "3"), "save_total_limit: 3 has no effect here"),
        (("--load_best_model_at_end", "true"), "load_best_model_at_end: true does not work here.*final: best.*leave it out"),
        (("--save_strategy", "best", "--metric_for_best_model", "loss"), "save_strategy: best does not work here"),
        (("--lr_scheduler_type", "reduce_lr_on_plateau"), "lr_scheduler_type: reduce_lr_on_plateau does not work here"),
        (("--lr_scheduler_type", "greedy"), "lr_scheduler_type: greedy does not work here"),
        (("--metric_for_best_model", "eval_loss"), "metric_for_best_model: eval_loss does not work here"),
        (("--optimizer_steps", "1", "--gradient_accumulation_steps", "2"), "optimizer_steps 1 sets it"),
        (
            ("--resume_from_checkpoint", "checkpoint-2"),
            "resume_from_checkpoint: checkpoint-2 has no effect .*resume takes",
        ),
        (("--best_of_k", "16"), r"best_of_k 16 is impossible: use from 1 to num_generations - 1"),
        (("--solved_weight", "1.5"), r"solved_weight 1.5 is impossible: use a share, from 0 to 1"),
        (("--format_weight", "0.5", "--solved_weight", "0.5"), r"format_weight 0.5 .* less than 1 - solved_weight \(0.5\)"),
        (
            ("--format_weight", "-1"),
            r"format_weight -1 is impossible: use from 0 \(none\) to less than 1 - solved_w",
        ),
        (("--overlong_buffer", "160"), r"overlong_buffer 160 .* to less than max_completion_length \(160\)"),
        (("--overlong_buffer", "-1"), r"overlong_buffer -1 is impossible: use from 0 \(none\) to less than max_completion"),
        (
            ("--learning_rate", "-1"),
            r"optim: adamw_torch_fused rejects .*\(Invalid learning rate: -1.0\): change it, or leave it out",
        ),
        (("--adam_beta2", "1.5"), "Invalid beta parameter at index 1: 1.5"),
        (("--optim", "schedule_free_adamw", *ADAMW), "optim: schedule_free_adamw rejects .*pip install schedulefree"),
        (("--optim_args", "momentum", *ADAMW), "optim: adamw_torch_fused rejects an option .*not enough values"),
        (
            ("--lr_scheduler_type", "cosine_with_min_lr"),
            "cosine_with_min_lr rejects .*min_lr_rate should be set",
        ),
        (("--lr_scheduler_type", "warmup_stable_decay"), "lr_scheduler_type: warmup_stable_decay rejects .*num_decay_steps"),
        (
            ("--lr_scheduler_type", "cosine", "--lr_scheduler_kwargs", '{"cycles": 2}'),
            "cosine rejects .*'cycles'",
        ),
        (("--loss_type", "typo"), "loss_type: typo is impossible: use one of grpo, dapo"),
        (("--optim", "sgd"), "optim: sgd has no effect with muon_learning_rate: leave out optim and optim_args, or that"),
        (("--max_completion_length", "null"), "max_completion_length: null is not a number of tokens: use 1 or more"),
        (("--use_transformers_paged", "true"), "packing does not support use_transformers_continuous_batching"),
        (("--save_only_model", "true"), "save_only_model: True is impossible: use false"),
        (("--use_peft", "true", "--lora_alpha", "0"), "lora_alpha: 0 is impossible: use more than 0"),
        (("--use_peft", "true", "--lora_modules_to_save", "lm_heads"), "lora_modules_to_save: the model has no lm_heads"),
        (("--use_peft", "true", "--lora_target_parameters", "q.weight"), "lora_target_parameters: the model has no q.weight"),
        (
            ("--save_steps", "0.25", "--max_steps", "10", "--optimizer_steps", "2"),
            "save_steps=3 falls in the middle of a generation",
        ),
        (("--temperature", "0"), r"`temperature` \(=0.0\) has to be a strictly positive float.*or leave it out"),
        (("--top_p", "1.5"), r"`top_p` has to be a float > 0 and < 1, but is 1.5"),
        (("--min_p", "2"), r"`min_p` has to be a float in the \[0, 1\] interval, but is 2.0"),
        (("--deduction_weight", "-1"), r"deduction_weight -1 is impossible: use 0 or more"),
        (("--learning_rate_power", "2"), r"learning_rate_power 2 is impossible: use from 0 .constant. to 1"),
        (("--learning_rate_rows", "0"), r"learning_rate_rows 0 is impossible: use 1 or more"),
        (("--shuffle_dataset", "false"), "shuffle_dataset: False has no effect here .*curriculum"),
        (("--model_init_kwargs", '{"revision": "v2"}'), "holds revision: set the option model_revision instead"),
        (("--model_init_kwargs", '{"attn_implementation": "eager"}'), "holds attn_implementation: set the option attn_impl"),
        (("--model_init_kwargs", '{"atention_dropout": 0.1}'), "holds atention_dropout, which .* a qwen2 config does not have"),
        (("--model_init_kwargs", '{"trust_remote_code": true}'), "holds trust_remote_code, which from_pretrained does not"),
        (("--model_init_kwargs", '{"token": "hf_secret"}'), "holds token: set HF_TOKEN in the environment instead"),
        (("--data_seed", "1"), "data_seed: 1 has no effect here .the order of the puzzles follows from seed"),
        (
            ("--best_of_k", "4", "--scale_rewards", "none"),
            "scale_rewards: none has no effect here .best_of_k 4 always scales by",
        ),
        (("--trust_remote_code", "true"), "trust_remote_code: True is impossible: use false: code from a model's repository"),
        (("--resume", "outputs/none/checkpoint-7"), "resume: 'outputs/none/checkpoint-7' is neither"),
    ],
)
def test_impossible_arguments_end_the_program_before_anything_is_loaded(monkeypatch, tmp_path, overrides, complaint):
    monkeypatch.setattr("recipes.checks.hub_is_unreachable", lambda: True)
    monkeypatch.setattr("recipes.checks.find_spec", lambda name: None)
    recipe = ("--config", ROOT / "recipes" / "tiny-cpu.yaml", "--output_dir", tmp_path / "run", "--num_train_puzzles", "32")
    with pytest.raises(SystemExit, match=complaint):
        grpo.main(*parsed(monkeypatch, *recipe, *overrides))
    assert not list(tmp_path.iterdir())


def test_a_start_that_fails_keeps_no_folder_from_being_used(monkeypatch, tmp_path):
    recipe = ("--config", ROOT / "recipes" / "tiny-cpu.yaml", "--output_dir", tmp_path / "run", "--num_train_puzzles", "8")
    with pytest.raises(SystemExit, match=r"recipes/grpo.py: the trainer can't be made: .*typo"):
        grpo.main(*parsed(monkeypatch, *recipe, "--attn_implementation", "typo"))
    monkeypatch.setattr("recipes.checkpoints.lock_folder", lambda folder: None)  # which this process still holds
    monkeypatch.setattr(grpo, "make_trainer", lambda *_: (_ for _ in ()).throw(ValueError("reached")))
    with pytest.raises(SystemExit, match="reached"):
        grpo.main(*parsed(monkeypatch, *recipe))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["attn_implementation"] is None


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (("--stages", "100:0"), "stage '100:0' is not STEPS:LOW:HIGH:SKIPS"),
        (("--rooms", "99"), "rooms=99 is impossible"),
        (("--lr_scheduler_type", "cosine_with_min_lr"), "lr_scheduler_type: cosine_with_min_lr rejects an option"),
        (("--weight_decay", "-1"), "weight_decay: -1.0 is impossible: use 0 or more"),
        (("--output_dir", "."), "already exists"),
    ],
)
def test_impossible_imitation_is_refused(monkeypatch, tmp_path, overrides, complaint):
    recipe = ["--config", str(ROOT / "recipes" / "tiny-base.yaml"), "--output_dir", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", ["sft.py", *recipe, *overrides])
    with pytest.raises(SystemExit, match=complaint):
        sft.main(*parse((sft.SftArguments, SFTConfig), sft.__doc__))
    assert not list(tmp_path.iterdir())


def test_help_teaches(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--help")
    text = capsys.readouterr().out
    assert "accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml" in text
    assert text.index("--num_train_puzzles") < text.index("--learning_rate LEARNING_RATE")


def test_puzzles_on_the_spot_are_disjoint_and_repeatable():
    args = PuzzleArguments(num_train_puzzles=20, num_eval_puzzles=10, **SMALL)
    train, held_out = load_puzzles(args, seed=4)
    assert (len(train), len(held_out)) == (20, 10)
    assert train.features == FEATURES
    assert {row["index"] for row in train} == set(range(20))
    assert min(row["index"] for row in held_out) == HELD_OUT
    assert not {str(row["prompt"]) for row in train} & {str(row["prompt"]) for row in held_out}
    assert train.to_list() == build(4, 0, 20, Size(**SMALL), num_proc=2).to_list()
    assert train[0]["solution"] == list(generate(4, 0, Size(**SMALL)).solution.values())
    for players, expected in ([3], (3, 3)), (3, (3, 3)), ([2, 4], (2, 4)):
        assert build_options(PuzzleArguments(players=players))["players"] == expected
    with pytest.raises(
        ValueError, match=r"players=\[1, 2, 3\] is not a range: give 3, or \[1, 6\] \(--players 3, --players 1 6\)"
    ):
        load_puzzles(PuzzleArguments(players=[1, 2, 3]), seed=0)
    with pytest.raises(ValueError, match="rooms=1 is impossible"):
        load_puzzles(PuzzleArguments(rooms=1), seed=0)


def test_a_dataset_folder_is_loaded_and_its_faults_are_named(tmp_path):
    rows = build(4, 0, 6, Size(**SMALL))
    rows.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="has no split 'validation', only train"):
        load_puzzles(PuzzleArguments(dataset=str(tmp_path)), seed=0)
    rows.to_parquet(tmp_path / "validation.parquet")
    with pytest.raises(ValueError, match="'validation', has 6 rows, not 64"):
        load_puzzles(PuzzleArguments(dataset=str(tmp_path)), seed=0)
    train, held_out = load_puzzles(PuzzleArguments(dataset=str(tmp_path), num_eval_puzzles=2), seed=0)
    assert (train.to_list(), held_out.to_list()) == (rows.to_list(), rows.to_list()[:2])
    for split in ("train", "validation"):
        rows.remove_columns("solution").to_parquet(tmp_path / f"{split}.parquet")
    with pytest.raises(ValueError, match=r"lacks the column\(s\) solution"):
        load_puzzles(PuzzleArguments(dataset=str(tmp_path), num_eval_puzzles=2), seed=0)


def test_folders_of_one_name_are_not_mixed_up(tmp_path):
    """`load_dataset` would give the rows of the first for both: its cache goes by the folder's name."""
    for seed in (1, 2):
        size = ["--suspects", "2", "--weapons", "2", "--rooms", "3", "--times", "2"]
        made = make(
            tmp_path / str(seed) / "clue", "--seed", str(seed), "--train", "4", "--validation", "2", "--test", "2", *size
        )
        assert made.returncode == 0, made.stderr
        folder = str(tmp_path / str(seed) / "clue")
        train, held_out = load_puzzles(PuzzleArguments(dataset=folder, num_eval_puzzles=2), seed=0)
        assert (len(train), len(held_out)) == (4, 2)
        assert {row["seed"] for row in (*train, *held_out)} == {seed}
        assert train.features == FEATURES
    (tmp_path / "2" / "clue" / "data" / "train.parquet").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"train.parquet is missing or was changed"):
        load_puzzles(PuzzleArguments(dataset=folder), seed=0)


def test_a_full_disk_is_seen_before_the_model_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1e6))
    recipe = ("--config", ROOT / "recipes" / "tiny-cpu.yaml", "--output_dir", tmp_path / "run", "--num_train_puzzles", "8")
    problem = r"output_dir needs 0.02 GiB of disk, but 0.00 are free: put it elsewhere.*--start_anyway"
    with pytest.raises(SystemExit, match=problem):
        grpo.main(*parsed(monkeypatch, *recipe))
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_may_use_the_room_that_its_own_checkpoints_take(monkeypatch, tmp_path):
    """Two of three checkpoints are there already: a disk that had room for the run still has."""
    args = GRPOConfig(str(tmp_path / "run"), use_cpu=True, bf16=False)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100))
    assert this_machine(args).disk == 100
    (tmp_path / "run" / "checkpoint-5" / "global_step5").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-5" / "global_step5" / "shard.pt").write_bytes(bytes(4000))
    (tmp_path / "run" / "run.json").write_bytes(bytes(30))
    assert this_machine(args).disk == 4130


def test_a_checkpoint_that_cannot_be_written_is_reported_and_nothing_is_lost(tmp_path):
    """No file may exceed 2.4 MB: the model's is smaller, the optimizer's is not."""
    full = run(tmp_path / "run", file_size=2_400_000)
    assert full.returncode != 0
    assert f"the checkpoint of step 2 could not be written to {tmp_path / 'run'}" in full.stderr
    assert (tmp_path / "run" / "checkpoint-2" / "model.safetensors").exists()
    assert not complete_checkpoints(tmp_path / "run")
    again = run(tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert complete_checkpoints(tmp_path / "run").keys() == {3}


def test_an_alarm_ends_the_run_if_asked_with_a_checkpoint_saved(tmp_path):
    """Completions of 8 tokens are all truncated. The one puzzle fills both places of a generation."""
    short = "--num_train_puzzles 1 --max_completion_length 8 --alarm_window 1 --stop_on_alarm true"
    done = run(tmp_path / "run", *short.split())
    assert done.returncode == 0, done.stderr
    assert "ALARM (clipped_ratio) at step 1: 100% of completions were truncated" in done.stderr
    assert "stop_on_alarm: the run ends at step 1." in done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "clipped_ratio" in result["alarms"]
    assert complete_checkpoints(tmp_path / "run").keys() == {1}
