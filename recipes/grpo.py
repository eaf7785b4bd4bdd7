"""Teach a model to solve Temporal Clue puzzles with GRPO: puzzles → reward → GRPOTrainer → a better checkpoint.

  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml
  accelerate launch --config_file accelerate_configs/zero3.yaml recipes/grpo.py --config recipes/qwen2.5-14b.yaml
  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml --learning_rate 1e-4 --output_dir outputs/mine

Every option below is a YAML key of the same name; the command line overrides the YAML file. The first groups are this recipe's
own, then come TRL's GRPOConfig and ModelConfig. `recipes/planner/plan.py` takes the same options and shows what a run needs.
The model is scored on held-out puzzles before, during and after training. If a run is interrupted, the same command resumes it
from the last complete checkpoint in `output_dir`.

What is maximized, for G completions o_i of a prompt with rewards r_i (the fraction of answers that are right):

    A_i   = (r_i − mean(r)) / (std(r) + 1e-4)                                     advantage, within the group
    ρ_i,t = π(o_i,t | prompt, o_i,<t) / π_old(o_i,t | prompt, o_i,<t)             importance ratio of a token
    J     = mean over i of  1/|o_i| · Σ_t min(ρ_i,t · A_i, clip(ρ_i,t, 1 − ε, 1 + ε) · A_i)

This is GRPO as published (Shao et al. 2024, arXiv:2402.03300) with ε = 0.2 and no KL term (beta: 0), as in the original run on
Temporal Clue: loss_type: grpo in the 1.5B to 32B recipes. The small models' recipes leave TRL's default, loss_type: dapo, which
divides by the tokens of all completions instead of by |o_i| for each (Yu et al. 2025, arXiv:2503.14476). With vLLM, the term of
a token is multiplied by the ratio of the trainer's to vLLM's probability, truncated (vllm_importance_sampling_mode). TRL 1.16.0
computes A in GRPOTrainer._generate_and_score_completions and J in GRPOTrainer._compute_loss; recipes/packing.py has the same
gradient in less time.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from safetensors import SafetensorError
from trl import GRPOConfig, ModelConfig, get_peft_config, get_quantization_config
from trl.rewards import get_soft_overlong_punishment

from puzzles.files import write_json, write_text
from recipes.alarms import AlarmArguments, AlarmCallback
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.checkpoints import (
    BEST,
    HELD_OUT_ACCURACY,
    RESUMED_FROM,
    STATE,
    best_model,
    check_same_run,
    checkpoint_to_resume,
    claim_for_run,
    complete_checkpoints,
    delete_checkpoints_except,
    step_of,
)
from recipes.checks import as_text, check_run
from recipes.data import load_puzzles, puzzles_digest
from recipes.hub import create_repository, upload, upload_command
from recipes.lm_head import fast_lm_head
from recipes.machine import print_once, this_machine, warn_of_slow_bfloat16
from recipes.packing import packing_note
from recipes.trainer import PuzzleTrainer
from rewards.accuracy import accuracy, complete_sheet, published_accuracy, solved
from rewards.deductions import deductions

MAY_CHANGE = (  # when a run is resumed: options that begin like this
    *("output_dir", "max_steps", "num_train_epochs", "resume"),  # where it writes and how long it lasts
    *("logging", "log_", "eval_", "save_", "report", "run_name", "project", "trackio", "disable_tqdm", "hub", "push"),
    *("per_device_", "gradient_accumulation", "steps_per_generation"),  # memory
    *("activation_checkpointing", "gradient_checkpointing", "vllm_gpu_memory", "vllm_enable_sleep"),
    *("dataloader", "local_rank", "ddp_", "vllm_server"),  # the machine
)
ARGUMENTS = (PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig)
OBJECTIVE = ("deduction_weight", "solved_weight", "best_of_k")  # of RunArguments
OPTIMIZER = ("learning_rate_power", "learning_rate_rows", "muon_learning_rate")  # of RunArguments


def main(
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    alarm_args: AlarmArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
) -> None:
    output_dir, first = Path(training_args.output_dir), training_args.process_index == 0
    with all_end_if_one_fails(training_args):
        train, held_out = checked_puzzles(puzzle_args, run_args, training_args, model_args)
        dataset = puzzles_digest(train, held_out) if puzzle_args.dataset else None
        run = identity(puzzle_args, run_args, training_args, model_args, dataset)
        if run_args.dry_run:
            checkpoint_to_resume(output_dir, run_args.resume, run_args.delete_later)
            check_same_run(output_dir, run)
    if run_args.dry_run:
        print_once("Dry run: options, puzzles and this machine fit. Leave out dry_run to start.")
        return
    with all_end_if_one_fails(training_args):
        checkpoint = claim_folder(output_dir, run, run_args, training_args)
        finished = (output_dir / "result.json").exists()
        repo = create_repository(training_args) if first and not finished else None
    if finished:
        if first:
            print_finished(output_dir, training_args)
        return
    if first:
        print_start(checkpoint, run_args, output_dir, repo)
    warn_of_slow_bfloat16(training_args)
    alarm = AlarmCallback(alarm_args, max(1, int(run["steps_per_iteration"])))
    try:
        trainer = make_trainer(puzzle_args, run_args, training_args, model_args, train, held_out, checkpoint, alarm)
    except (ValueError, ImportError, OSError, SafetensorError) as error:
        sys.exit(f"recipes/grpo.py: the trainer can't be made: {error}" if training_args.local_process_index == 0 else 1)
    with fast_lm_head(trainer.model.config.get_text_config().vocab_size):
        trainer.train(resume_from_checkpoint=checkpoint)
    save_result(trainer, alarm, output_dir, run_args.final, repo)


@contextmanager
def all_end_if_one_fails(training_args: GRPOConfig) -> Iterator[None]:
    """End the program on all nodes if this part of it fails on one, as the others would wait for it in vain. Each says why."""
    error = None
    try:
        yield
    except (ValueError, OSError) as caught:
        error = f"{caught}"
    if errors := [e for e in gather_object([error]) if e is not None]:
        sys.exit(f"recipes/grpo.py: {error or errors[0]}" if training_args.local_process_index == 0 else 1)


def checked_puzzles(
    puzzle_args: PuzzleArguments, run_args: RunArguments, training_args: GRPOConfig, model_args: ModelConfig
) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones, once everything about the run is checked. Sets the batch geometry.

    Raises:
        ValueError: with every problem and its fix.
    """
    train, held_out = load_puzzles(puzzle_args, training_args.seed)
    geometry, tokenizer = check_run(run_args, training_args, model_args, train, held_out)
    for name, value in geometry.training_arguments().items():
        setattr(training_args, name, value)
    if not tokenizer.chat_template:
        print_once(f"{model_args.model_name_or_path} has no chat template: it gets the prompts as text.")
        train, held_out = (
            rows.map(lambda row: {"prompt": as_text(row["prompt"])}, keep_in_memory=True, load_from_cache_file=False)
            for rows in (train, held_out)
        )
    # With fewer puzzles than prompts in a generation batch, each puzzle appears several times.
    times = -(-training_args.generation_batch_size // (training_args.num_generations * len(train)))
    return train.select([*range(len(train))] * times), held_out


def claim_folder(output_dir: Path, run: dict, run_args: RunArguments, training_args: GRPOConfig) -> str | None:
    """Claim the folder for this run, and return the checkpoint to resume from, if there is one.

    Args:
        run: what defines it; see `identity`.

    Raises:
        ValueError: if the folder holds another run or later checkpoints, or another process works in it.
    """
    with training_args.main_process_first(local=False):  # the folder is shared by all nodes
        checkpoint = checkpoint_to_resume(output_dir, run_args.resume, run_args.delete_later)
        if training_args.process_index == 0:
            claim_for_run(output_dir, run)
        else:
            check_same_run(output_dir, run)
        if training_args.should_save and not (output_dir / "result.json").exists():
            (output_dir / STATE).unlink(missing_ok=True)
            earlier = {step for step in complete_checkpoints(output_dir) if step <= step_of(checkpoint)}
            delete_checkpoints_except(earlier, output_dir)
            if checkpoint == run_args.resume:
                if run_args.delete_later and best_model(output_dir).get("step", 0) > step_of(checkpoint):
                    shutil.rmtree(output_dir / BEST)
                write_text(output_dir / RESUMED_FROM, checkpoint)
    return checkpoint


def identity(
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
    dataset: str | None = None,
) -> dict:
    """The arguments that define a run: all but those that MAY_CHANGE. ZeRO-3's checkpoints fit only one number of processes.

    Processes that share a colocated vLLM draw the same random numbers, all others different ones. A checkpoint holds each one's
    generator, so with another vllm_tensor_parallel_size some that share it would sample different tokens, or some that do not
    the same completions.

    Args:
        dataset: the digest of its puzzles, if they come from one: another may be in its place when the run is resumed.
    """
    machine = this_machine(training_args)
    training = {k: v for k, v in training_args.to_dict().items() if not k.startswith(MAY_CHANGE)}
    steps_per_generation = training_args.steps_per_generation / training_args.gradient_accumulation_steps
    colocated = training_args.use_vllm and training_args.vllm_mode == "colocate"
    rest = {
        **{name: getattr(run_args, name) for name in OBJECTIVE + OPTIMIZER},
        "dataset_digest": dataset,
        "zero3_processes": machine.processes if machine.zero3 else None,
        "vllm_tensor_parallel_size": training_args.vllm_tensor_parallel_size if colocated else None,
        # None: also what runs recorded before there was such an option
        **{name: getattr(run_args, name) or None for name in ("refill_groups", "format_weight", "overlong_buffer")},
        "steps_per_iteration": training_args.num_iterations * steps_per_generation,  # optimizer steps
    }
    return json.loads(json.dumps({**asdict(puzzle_args), **training, **asdict(model_args), **rest}, default=str))


def print_start(checkpoint: str | None, run_args: RunArguments, output_dir: Path, repo: str | None) -> None:
    """Report where the run starts, and what `make_trainer` does with push_to_hub."""
    if checkpoint:
        print(f"Resuming from {checkpoint}, without another evaluation first.")
        if run_args.resume not in ("auto", checkpoint):
            again = f"To go back there once more, delete {output_dir / RESUMED_FROM}."
            print(f"It was trained further since it was resumed from {run_args.resume}. {again}")
    else:
        print("Scoring the held-out puzzles before training.")
    if repo:
        print(f"push_to_hub: {repo} gets the model once, at the end, and no checkpoints.")


def print_finished(output_dir: Path, training_args: GRPOConfig) -> None:
    """Report that there is nothing left to do in this folder."""
    result_file = output_dir / "result.json"
    print(f"This run is finished: see {result_file}. To run again, choose another output_dir or delete that file.")
    if training_args.push_to_hub:
        name = training_args.hub_model_id or output_dir.absolute().name
        print(f"Nothing is uploaded now. To do so: {upload_command(name, output_dir / 'model', training_args.hub_revision)}")


def reward_weights(run_args: RunArguments, training_args: GRPOConfig) -> dict[Callable, float]:
    """The rewards with their weights in the sum r_i, accuracy first: PuzzleTrainer scores held-out puzzles by the first.

    The punishment of length, 0 to −1, is equation 13 of DAPO (arXiv:2503.14476), where an answer earns from −1 to 1; here it
    earns from 0 to 1, hence the weight of 0.5. It counts all tokens of a completion, thinking and the end-of-turn token too.
    """
    weights = {  # the published grader is logged, never trained on
        accuracy: 1 - run_args.solved_weight,
        published_accuracy: 0.0,
        deductions: run_args.deduction_weight,
        solved: run_args.solved_weight,
    }
    if run_args.format_weight:
        weights[complete_sheet] = run_args.format_weight
    if buffer := run_args.overlong_buffer:
        weights[get_soft_overlong_punishment(training_args.max_completion_length, buffer)] = 0.5
    return weights


def make_trainer(
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
    train: Dataset,
    held_out: Dataset,
    checkpoint: str | None,
    alarm: AlarmCallback,
) -> PuzzleTrainer:
    """The trainer, with the model loaded."""
    training_args.model_init_kwargs = {
        "revision": model_args.model_revision,
        "dtype": model_args.dtype,
        "attn_implementation": model_args.attn_implementation,
        **(training_args.model_init_kwargs or {}),
    }
    weights = reward_weights(run_args, training_args)
    training_args.reward_weights = [*weights.values()]
    training_args.eval_on_start = checkpoint is None  # the score before training
    training_args.push_to_hub = False  # Trainer would upload all of output_dir at each checkpoint: see save_result
    repetition_detection = None
    if not (training_args.use_vllm and training_args.vllm_mode == "server"):  # a vLLM server accepts it as it is
        repetition_detection = (training_args.generation_kwargs or {}).pop("repetition_detection", None)
        if repetition_detection and not training_args.use_vllm:
            print_once("generation_kwargs: repetition_detection is an option of vLLM and has no effect with use_vllm: false.")
    if training_args.use_vllm and training_args.vllm_mode == "colocate" and not torch.cuda.is_available():
        from recipes import vllm_cpu

        vllm_cpu.prepare(dtype="bfloat16" if training_args.bf16 else model_args.dtype)
    trainer = PuzzleTrainer(
        model=model_args.model_name_or_path,
        reward_funcs=[*weights],
        args=training_args,
        train_dataset=train,
        eval_dataset=held_out,
        peft_config=get_peft_config(model_args),
        quantization_config=get_quantization_config(model_args),
        curriculum=puzzle_args.curriculum,
        best_of_k=run_args.best_of_k,
        refill_groups=run_args.refill_groups,
        learning_rate_power=run_args.learning_rate_power,
        learning_rate_rows=run_args.learning_rate_rows,
        muon_learning_rate=run_args.muon_learning_rate,
        packed_tokens=run_args.packed_tokens if run_args.packing else None,
        packing=run_args.packing,
        callbacks=[alarm],
    )
    print_once(packing_note(trainer.packed_tokens, trainer.not_shareable, trainer.args))
    if repetition_detection and training_args.use_vllm:  # a colocated vLLM expects it as a class
        from vllm.sampling_params import RepetitionDetectionParams

        trainer.vllm_generation.generation_kwargs["repetition_detection"] = RepetitionDetectionParams(**repetition_detection)
    return trainer


def save_result(trainer: PuzzleTrainer, alarm: AlarmCallback, output_dir: Path, final: str, repo: str | None) -> None:
    """Save the best or the last model, and the held-out scores before and after training; upload the model if requested."""
    history, last = trainer.state.log_history, trainer.state.global_step
    evaluations = {log["step"]: scores(log) for log in history if HELD_OUT_ACCURACY in log}
    if last not in evaluations:
        evaluations[last] = scores(trainer.evaluate())
    model, save_last = output_dir / "model", final == "last" or trainer.best_accuracy < 0  # the same on all processes
    if save_last:
        trainer.save_complete(model)
    if trainer.accelerator.is_main_process:
        best = best_model(output_dir)
        if not save_last:
            shutil.rmtree(model, ignore_errors=True)  # of a run that was killed just before it wrote its result
            shutil.copytree(best["folder"], output_dir / "model.partial", dirs_exist_ok=True)
            os.replace(output_dir / "model.partial", model)
        step = last if save_last else best["step"]
        result = {"before": evaluations[0], "after": evaluations[last], "best": best, "model_step": step}
        write_json(output_dir / STATE, {"log_history": history})
        write_json(output_dir / "result.json", result | {"alarms": alarm.active})
        for score, before in result["before"].items():
            print(f"held-out {score:20} {before:8.3f} → {result['after'].get(score, float('nan')):8.3f}")
        chosen = "the last" if save_last else f"the best by held-out accuracy, {best['accuracy']:.3f}"
        print(f"model: {model}, of step {step} of {last} ({chosen})")
        if repo:
            upload(trainer, model, repo)
    trainer.accelerator.wait_for_everyone()  # a process that fails while exiting makes the launcher stop all others


def scores(log: dict[str, float]) -> dict[str, float]:
    """The scores in the log of an evaluation: the mean fraction of answers right by both graders and by difficulty, the share
    of puzzles solved completely, tokens per completion, and the shares of answers that could not be read and of stated
    deductions that are proved. With G > 1 samples per puzzle, also the accuracy of the best of them (best_of_G) and
    the share of puzzles that at least one of them solves (pass_at_G).
    """
    named = {
        "accuracy": HELD_OUT_ACCURACY,
        "published_accuracy": "eval_rewards/published_accuracy/mean",
        "solved": "eval_solved",
        "completion_length": "eval_completions/mean_length",
    } | {name: f"eval_{name}" for name in ("unread_answers", "soundness") if f"eval_{name}" in log}
    as_logged = ("eval_accuracy/", "eval_best_of_", "eval_pass_at_")
    named |= {key.removeprefix("eval_"): key for key in log if key.startswith(as_logged)}
    return {name: log[key] for name, key in named.items()}


if __name__ == "__main__":
    try:
        main(*parse(ARGUMENTS, __doc__))
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command resumes from the last checkpoint.")
