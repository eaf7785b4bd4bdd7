"""Teach a model to solve Temporal Clue puzzles with GRPO: puzzles → reward → GRPOTrainer → a better checkpoint.

  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml
  accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml --learning_rate 1e-4 --output_dir outputs/mine

Every option below is a YAML key of the same name; the command line wins over the YAML file. The first group is this
recipe's own, then come TRL's GRPOConfig and ModelConfig. The model is scored on held-out puzzles before and after.
Interrupted? The same command goes on from the last whole checkpoint in `output_dir`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

# `accelerate launch recipes/grpo.py` puts recipes/ on the path, not the folder above it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, ModelConfig, get_peft_config

from puzzles.dataset import HELD_OUT, build, load_splits
from puzzles.english import WORDINGS
from puzzles.scenario import Size
from recipes.arguments import parse
from recipes.run_folder import last_checkpoint, same_run, write_json
from rewards.accuracy import accuracy, published_accuracy


@dataclass
class PuzzleArguments:
    """Which puzzles to train on and to be scored on."""

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of a dataset with the columns `prompt` and `solution`, and the splits `train` and "
            "`validation`. Leave it out to generate puzzles on the spot; `seed` then says which."
        },
    )
    num_train_puzzles: int | None = field(default=None, metadata={"help": "How many to train on. Default: all, or 1024."})
    num_eval_puzzles: int = field(default=64, metadata={"help": "How many held-out puzzles to be scored on."})
    wording: str = field(default="clear", metadata={"help": f"How generated prompts are framed: {', '.join(WORDINGS)}."})
    directness: float = field(
        default=0.0, metadata={"help": "0 as published; towards 2, ever more clues state a fact outright (easier puzzles)."}
    )
    players: list[int] = field(
        default_factory=lambda: [1, 6],
        metadata={"help": "Range of players of the published size mix, within 1 to 6, unless a size is given below."},
    )
    suspects: int | None = field(default=None, metadata={"help": "Suspects in a generated puzzle, 2 to 10."})
    weapons: int | None = field(default=None, metadata={"help": "Weapons in a generated puzzle, 2 to 8."})
    rooms: int | None = field(default=None, metadata={"help": "Rooms in a generated puzzle, 2 to 17."})
    times: int | None = field(default=None, metadata={"help": "Times in a generated puzzle, 1 to 24."})
    motives: int | None = field(default=None, metadata={"help": "Motives in a generated puzzle: 0, or 2 to the suspects."})


def puzzles(args: PuzzleArguments, seed: int) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones.

    Raises:
        ValueError: if the dataset lacks a split, a column or enough rows, or a size is impossible.
    """
    if args.dataset:
        splits = load_splits(args.dataset)
        for split in ("train", "validation"):
            if split not in splits:
                raise ValueError(f"dataset {args.dataset!r} has no split {split!r}, only {', '.join(splits)}.")
            if missing := {"prompt", "solution"} - set(splits[split].column_names):
                raise ValueError(
                    f"dataset {args.dataset!r}, split {split!r}, lacks the column(s) {', '.join(sorted(missing))}."
                )
        counts = {"train": args.num_train_puzzles or len(splits["train"]), "validation": args.num_eval_puzzles}
        for split, count in counts.items():
            if count > len(splits[split]):
                raise ValueError(f"dataset {args.dataset!r}, split {split!r}, has {len(splits[split])} rows, not {count}.")
        return splits["train"].take(counts["train"]), splits["validation"].take(counts["validation"])
    given = {f.name: getattr(args, f.name) for f in fields(Size) if getattr(args, f.name) is not None}
    how = {"size": Size(**given) if given else None, "players": tuple(args.players)}
    how |= {"directness": args.directness, "wording": args.wording}
    return build(seed, 0, args.num_train_puzzles or 1024, **how), build(seed, HELD_OUT, args.num_eval_puzzles, **how)


def check(training_args: GRPOConfig, model_args: ModelConfig) -> None:
    """What TRL would find out only after the model is loaded, or never.

    Raises:
        ValueError: naming the argument and how to mend it.
    """
    if not model_args.model_name_or_path:
        raise ValueError("model_name_or_path is missing: give a folder, or a model's id on the Hub.")
    group = training_args.num_generations_eval or training_args.num_generations
    batch = training_args.per_device_eval_batch_size * training_args.world_size
    if batch % group:
        raise ValueError(
            f"per_device_eval_batch_size × processes = {batch} does not divide by the {group} samples of a held-out puzzle: "
            "change per_device_eval_batch_size or num_generations_eval."
        )


def held_out_score(trainer: GRPOTrainer) -> dict[str, float]:
    """Sampled held-out scores: mean fraction of answers right, and share of whole puzzles solved."""
    trainer.evaluate()
    logged = next(log for log in reversed(trainer.state.log_history) if "eval_rewards/accuracy/mean" in log)
    return {
        "accuracy": logged["eval_rewards/accuracy/mean"],
        "published_accuracy": logged["eval_rewards/published_accuracy/mean"],
        "solved": logged["eval_solved"],
        "completion_length": logged["eval_completions/mean_length"],
    }


def main(puzzle_args: PuzzleArguments, training_args: GRPOConfig, model_args: ModelConfig) -> None:
    output_dir = Path(training_args.output_dir)
    try:
        check(training_args, model_args)
        train, held_out = puzzles(puzzle_args, training_args.seed)
        with training_args.main_process_first():
            same_run(output_dir, identity(puzzle_args, training_args, model_args))
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/grpo.py: {error}")
    training_args.model_init_kwargs = {
        "revision": model_args.model_revision,
        "dtype": model_args.dtype,
        "attn_implementation": model_args.attn_implementation,
        **(training_args.model_init_kwargs or {}),
    }
    training_args.reward_weights = [1.0, 0.0]  # the published grader is logged, never trained on
    trainer = GRPOTrainer(
        model=model_args.model_name_or_path,
        reward_funcs=[accuracy, published_accuracy],
        args=training_args,
        train_dataset=train,
        eval_dataset=held_out,
        peft_config=get_peft_config(model_args),
    )
    result_file = output_dir / "result.json"
    result = json.loads(result_file.read_text()) if result_file.exists() else {}
    if "after" in result:
        trainer.accelerator.print(f"This run is finished: see {result_file}. Choose another output_dir to run again.")
        return
    if "before" not in result:
        result["before"] = held_out_score(trainer)
        if trainer.accelerator.is_main_process:
            write_json(result_file, result)
    trainer.train(resume_from_checkpoint=last_checkpoint(output_dir))
    result["after"] = held_out_score(trainer)
    trainer.save_model(str(output_dir / "model.partial"))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        shutil.rmtree(output_dir / "model", ignore_errors=True)  # of a run that was killed just before it noted its end
        os.replace(output_dir / "model.partial", output_dir / "model")
        write_json(result_file, result)
        for score, before in result["before"].items():
            print(f"held-out {score:20} {before:8.3f} → {result['after'][score]:8.3f}")
        print(f"model: {output_dir / 'model'}")


def identity(puzzle_args: PuzzleArguments, training_args: GRPOConfig, model_args: ModelConfig) -> dict:
    """The arguments that make a run what it is: all but where it writes, how long it goes on and how often it reports."""
    free = ("output_dir", "max_steps", "num_train_epochs", "resume", "logging", "log_", "eval_", "save_", "report", "run_name")
    free += ("hub", "push", "disable_tqdm", "dataloader", "local_rank", "vllm_server")
    training = {k: v for k, v in training_args.to_dict().items() if not k.startswith(free)}
    return json.loads(json.dumps({**asdict(puzzle_args), **training, **asdict(model_args)}, default=str))


if __name__ == "__main__":
    try:
        main(*parse((PuzzleArguments, GRPOConfig, ModelConfig), __doc__))
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from the last checkpoint.")
