"""Teach a model to solve Temporal Clue puzzles with GRPO: puzzles → reward → GRPOTrainer → a better checkpoint.

  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml
  accelerate launch --config_file accelerate_configs/zero3.yaml recipes/grpo.py --config recipes/qwen2.5-14b.yaml
  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml --learning_rate 1e-4 --output_dir outputs/mine

Every option below is a YAML key of the same name; the command line wins over the YAML file. The first groups are this
recipe's own, then come TRL's GRPOConfig and ModelConfig. `recipes/plan.py` takes the same options and says what will happen.
The model is scored on held-out puzzles before, during and after. Interrupted? The same command goes on from the last whole
checkpoint in `output_dir`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

# `accelerate launch recipes/grpo.py` puts recipes/ on the path, not the folder above it.
from trl import GRPOConfig, ModelConfig, get_peft_config

from puzzles.files import lock_folder, write_json
from recipes.alarms import AlarmArguments, AlarmCallback
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.checkpoints import (
    HELD_OUT_ACCURACY,
    best_checkpoint,
    check_same_run,
    checkpoint_to_resume,
    complete_checkpoints,
    delete_checkpoints_except,
)
from recipes.data import load_puzzles
from recipes.hub import create_repository, upload, upload_command
from recipes.plan import accumulate, as_text, check, this_machine
from recipes.trainer import PuzzleTrainer
from rewards.accuracy import accuracy, published_accuracy
from rewards.deductions import deductions


def scores(log: dict[str, float]) -> dict[str, float]:
    """What an evaluation says of a model: mean fraction of answers right by both graders and by difficulty, share of whole
    puzzles solved, tokens in a completion, share of answers that could not be read, and of stated deductions that are proved.
    """
    named = {
        "accuracy": HELD_OUT_ACCURACY,
        "published_accuracy": "eval_rewards/published_accuracy/mean",
        "solved": "eval_solved",
        "completion_length": "eval_completions/mean_length",
    } | {name: f"eval_{name}" for name in ("unread_answers", "soundness") if f"eval_{name}" in log}
    bands = {key.removeprefix("eval_"): key for key in log if key.startswith("eval_accuracy/")}
    return {name: log[key] for name, key in (named | bands).items()}


def main(
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    alarm_args: AlarmArguments,
    training_args: GRPOConfig,
    model_args: ModelConfig,
) -> None:
    output_dir = Path(training_args.output_dir)
    result_file = output_dir / "result.json"
    try:
        accumulate(run_args, training_args, training_args.world_size)
        train, held_out = load_puzzles(puzzle_args, training_args.seed)
        if not check(run_args, training_args, model_args, train, held_out).chat_template:
            if training_args.process_index == 0:
                print(f"{model_args.model_name_or_path} has no chat template: it gets the prompts as text.")
            train, held_out = (
                rows.map(lambda row: {"prompt": as_text(row["prompt"])}, keep_in_memory=True, load_from_cache_file=False)
                for rows in (train, held_out)
            )
        # Fewer puzzles than places in a generation: each one several times.
        times = -(-training_args.generation_batch_size // (training_args.num_generations * len(train)))
        train = train.select([*range(len(train))] * times)
        with training_args.main_process_first(local=False):  # the folder is shared by all nodes
            checkpoint = checkpoint_to_resume(output_dir, run_args.resume)
            check_same_run(output_dir, identity(puzzle_args, run_args, training_args, model_args))
            if training_args.process_index == 0:
                lock_folder(output_dir)
            if result_file.exists():
                if training_args.process_index == 0:
                    print(
                        f"This run is finished: see {result_file}. To run again, choose another output_dir or delete that file."
                    )
                    if training_args.push_to_hub:
                        name = training_args.hub_model_id or output_dir.absolute().name
                        how = upload_command(name, output_dir / "model", training_args.hub_revision)
                        print(f"Nothing is uploaded now. To do so: {how}")
                return
            if training_args.should_save:
                delete_checkpoints_except(set(complete_checkpoints(output_dir)), output_dir)
        repo = create_repository(training_args) if training_args.process_index == 0 else None
        training_args.push_to_hub = False  # Trainer would upload all that lies in output_dir, at each checkpoint
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/grpo.py: {error}" if training_args.process_index == 0 else 1)
    training_args.model_init_kwargs = {
        "revision": model_args.model_revision,
        "dtype": model_args.dtype,
        "attn_implementation": model_args.attn_implementation,
        **(training_args.model_init_kwargs or {}),
    }
    training_args.reward_weights = [1.0, 0.0, run_args.deduction_weight]  # the published grader is logged, never trained on
    training_args.eval_on_start = checkpoint is None  # the score before training
    training_args.save_total_limit = None  # PuzzleTrainer keeps the latest and the best
    detection = None
    served = training_args.use_vllm and training_args.vllm_mode == "server"
    if not served:  # a server takes it as it is, a colocated vLLM as a class, Transformers not at all
        detection = (training_args.generation_kwargs or {}).pop("repetition_detection", None)
    trainer = PuzzleTrainer(
        model=model_args.model_name_or_path,
        reward_funcs=[accuracy, published_accuracy, deductions],
        args=training_args,
        train_dataset=train,
        eval_dataset=held_out,
        peft_config=get_peft_config(model_args),
        curriculum=puzzle_args.curriculum,
        packed_tokens=run_args.packed_tokens if run_args.packing else None,
        callbacks=[alarm := AlarmCallback(alarm_args)],
    )
    if detection and training_args.use_vllm:
        from vllm.sampling_params import RepetitionDetectionParams

        trainer.vllm_generation.generation_kwargs["repetition_detection"] = RepetitionDetectionParams(**detection)
    trainer.train(resume_from_checkpoint=checkpoint)

    history = trainer.state.log_history
    evaluations = {log["step"]: scores(log) for log in history if HELD_OUT_ACCURACY in log}
    if trainer.state.global_step not in evaluations:
        evaluations[trainer.state.global_step] = scores(trainer.evaluate())
    result = {"before": evaluations[0], "after": evaluations[trainer.state.global_step]}
    result |= {"best": best_checkpoint(output_dir, history), "alarms": alarm.active}
    trainer.save_model(str(output_dir / "model.partial"))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        shutil.rmtree(output_dir / "model", ignore_errors=True)  # of a run that was killed just before it noted its end
        os.replace(output_dir / "model.partial", output_dir / "model")
        write_json(result_file, result)
        for score, before in result["before"].items():
            print(f"held-out {score:20} {before:8.3f} → {result['after'].get(score, float('nan')):8.3f}")
        print(f"model: {output_dir / 'model'}; best checkpoint: {result['best']['folder']}")
        if repo:
            upload(trainer, output_dir / "model", repo)
    trainer.accelerator.wait_for_everyone()  # a process that fails while it ends has the launcher stop all others


def identity(puzzle_args: PuzzleArguments, run_args: RunArguments, training_args: GRPOConfig, model_args: ModelConfig) -> dict:
    """The arguments that make a run what it is: all but where it writes, how long it goes on, how often it reports, and how
    it is fitted into memory. ZeRO-3's checkpoints belong to a number of processes.
    """
    machine = this_machine(training_args)
    free = ("output_dir", "max_steps", "num_train_epochs", "resume", "logging", "log_", "eval_", "save_", "report", "run_name")
    free += ("hub", "push", "disable_tqdm", "dataloader", "local_rank", "vllm_server", "project", "trackio")
    free += ("per_device_", "gradient_accumulation", "steps_per_generation", "vllm_gpu_memory", "activation_checkpointing")
    training = {k: v for k, v in training_args.to_dict().items() if not k.startswith(free)}
    cut = training_args.steps_per_generation / training_args.gradient_accumulation_steps
    rest = {
        "deduction_weight": run_args.deduction_weight,
        "zero3_processes": machine.processes if machine.zero3 else None,
        "steps_per_iteration": training_args.num_iterations * cut,  # optimizer steps; an iteration is a generation
    }
    return json.loads(json.dumps({**asdict(puzzle_args), **training, **asdict(model_args), **rest}, default=str))


if __name__ == "__main__":
    try:
        main(*parse((PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), __doc__))
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from the last checkpoint.")
