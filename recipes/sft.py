"""Supervised fine-tuning: puzzles → solver-written demonstrations → TRL's SFTTrainer → a model that GRPO can start from.

  python recipes/sft.py --config recipes/tiny-base.yaml
  accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/sft.py --config recipes/smollm2-135m-sft.yaml

A demonstration is a chain of statements and then the answer sheet (recipes/demonstrations.py): the whole night in small
steps or, with `--proofs true`, a short proof of the answers. Demonstrations longer than `max_length` are refused before
training starts. Without `model_name_or_path`, a new tiny Qwen2 is trained (recipes/tiny/model.py). Without a size, puzzles have
3 suspects, 2 weapons, 3 rooms, 1 time and no motives.

With `--dataset`, the proofs in datasets that were made before are imitated (`python -m puzzles.dataset --proofs`). They stay on
disk, in OUTPUT_DIR.partial until the model is written, so their number is not limited by memory. Those longer than `max_length`
are left out. After an interruption, the same command resumes from the last checkpoint, if `save_strategy` has it write any.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from accelerate import PartialState
from datasets import Dataset
from safetensors import SafetensorError
from torch.utils.data import Sampler
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import ModelConfig, SFTConfig, SFTTrainer

from puzzles.dataset import check_complete
from puzzles.files import lock_folder, write_json
from puzzles.prompts import WORDINGS
from recipes.arguments import SizeArguments, parse
from recipes.checkpoints import (
    EndsAtLastStep,
    check_same_run,
    checkpoint_to_resume,
    delete_checkpoints_except,
    mark_complete,
    step_of,
)
from recipes.demonstrations import demonstrations, from_datasets
from recipes.hub import create_repository, hub_problems, upload
from recipes.lm_head import fast_lm_head
from recipes.machine import print_once, too_many_gpus, warn_of_slow_bfloat16
from recipes.optimizer import MuonAdamW, optimizer_problems
from recipes.option_values import missing_trackers, trainer_problems
from recipes.pretrained import context_length, hub_is_unreachable, load_config, load_tokenizer
from recipes.tiny.model import TINY_SIZE, tiny_model, tiny_tokenizer

MAY_CHANGE = (  # when a run is resumed: options that begin like this
    *("output_dir", "logging", "log_", "save_", "report", "run_name", "disable_tqdm", "hub", "push"),
    *("activation_checkpointing", "dataset_num_proc", "dataloader", "local_rank"),
)


@dataclass
class SftArguments(SizeArguments):
    """Which model is taught, and what."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Chat model to start from, a folder or Hub id. Default: a new tiny one."}
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "Attention of the model: sdpa, eager or another that Transformers has. Default: the model's own."},
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Train the hidden matrices with Muon (recipes/optimizer.py) at this learning rate, and only the other "
            "weights with AdamW at learning_rate. Default: AdamW for all."
        },
    )
    wording: str = field(default="compact", metadata={"help": f"How the prompts are framed: {', '.join(WORDINGS)}."})
    stages: list[str] = field(
        default_factory=lambda: ["1000:0:0:0"],
        metadata={
            "help": "Stages to learn in order, each as STEPS:LOW:HIGH:SKIPS, such as 60:0:1:1. Each puzzle's directness "
            "(puzzles/generator.py) is drawn between LOW and HIGH, and the share of steps that its demonstration leaves out "
            "between 0 and SKIPS."
        },
    )
    proofs: bool = field(
        default=False,
        metadata={"help": "Demonstrate a short proof of the answers (puzzles/proof.py), not the whole night in small steps."},
    )
    dataset: list[str] | None = field(
        default=None,
        metadata={
            "help": "Folders of datasets made with `python -m puzzles.dataset --proofs`, whose proofs are imitated, instead of "
            "demonstrations made on the spot. They have their own sizes and wording."
        },
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Check the options, and end before anything is loaded, read or written."}
    )


ARGUMENTS = (SftArguments, SFTConfig)


def main(args: SftArguments, training_args: SFTConfig) -> None:
    output_dir, is_main_process = Path(training_args.output_dir), training_args.process_index == 0
    unfinished = output_dir.parent / f"{output_dir.name}.partial"
    try:
        if output_dir.exists():
            raise ValueError(f"{output_dir} already exists. Choose another output_dir, or delete it.")
        check_options(args, training_args)
        if args.dry_run:
            print_once("Dry run: the options fit. Leave out dry_run to start.")
            return
        if is_main_process:
            unfinished.mkdir(parents=True, exist_ok=True)  # an interrupted run may have left it: go on in it
            lock_folder(unfinished)
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/sft.py: {error}" if training_args.local_process_index == 0 else 1)
    checkpoint = checkpoint_to_resume(unfinished, "auto")
    try:
        run = identity(args, training_args)
        if checkpoint:
            check_same_run(unfinished, run)
        repo = create_repository(training_args) if is_main_process else None
        training_args.output_dir, training_args.push_to_hub = str(unfinished), False  # uploaded once, below
        trainer, dtype = make_trainer(args, training_args)
    except (ValueError, OSError) as error:
        if not checkpoint:
            shutil.rmtree(unfinished, ignore_errors=True)
        sys.exit(f"recipes/sft.py: {error}" if training_args.local_process_index == 0 else 1)
    warn_of_slow_bfloat16(training_args)
    if is_main_process:
        delete_checkpoints_except({step_of(checkpoint)}, unfinished)
        write_json(unfinished / "run.json", run)
    try:
        with fast_lm_head(trainer.model.config.get_text_config().vocab_size):
            trainer.train(resume_from_checkpoint=checkpoint)
        trainer.model.to(dtype)
        if is_main_process:
            shutil.rmtree(unfinished / "model", ignore_errors=True)
        trainer.save_model(str(unfinished / "model"))
        if is_main_process:
            os.replace(unfinished / "model", output_dir)
    except (OSError, SafetensorError) as error:
        free = shutil.disk_usage(unfinished).free / 2**20
        sys.exit(f"recipes/sft.py: could not write {output_dir} ({error}). {free:,.0f} MiB are free: make room and retry.")
    if repo:
        upload(trainer, output_dir, repo)
    if is_main_process:
        shutil.rmtree(unfinished)
    trainer.accelerator.wait_for_everyone()  # the launcher stops all processes as soon as one of them ends


def identity(args: SftArguments, training_args: SFTConfig) -> dict:
    """The arguments that define a run, all but those that MAY_CHANGE, and the checksums of its datasets.

    And its number of processes: with another one, its steps so far would stand for more or fewer demonstrations than it saw.

    Raises:
        ValueError: if a folder holds no finished dataset.
    """
    training = {k: v for k, v in training_args.to_dict().items() if not k.startswith(MAY_CHANGE)}
    sums = {folder: check_complete(Path(folder))["sha256"] for folder in args.dataset or []}
    rest = {"processes": training_args.world_size, "sha256": sums}
    return json.loads(json.dumps({**asdict(args), **training, **rest}, default=str))


def check_options(args: SftArguments, training_args: SFTConfig) -> None:
    """Check what can be known before a model or a demonstration is read.

    Raises:
        ValueError: if an option does not fit.
    """
    problems = [*hub_problems(training_args), *trainer_problems(training_args), *missing_trackers(training_args)]
    problems += [*optimizer_problems(training_args, args.muon_learning_rate), *too_many_gpus(training_args)]
    if problems:
        raise ValueError("\n  ".join(problems))
    if training_args.packing:
        raise ValueError("packing: true would change which demonstrations a step sees: leave it out.")
    if training_args.padding_free:
        raise ValueError("padding_free: true would let demonstrations see each other under eager attention: leave it out.")
    given = {f.name for f in fields(args) if getattr(args, f.name) != getattr(SftArguments(), f.name)}
    of_datasets = {"dataset", "model_name_or_path", "attn_implementation", "muon_learning_rate", "dry_run"}
    if args.dataset and (others := given - of_datasets):
        raise ValueError(f"dataset: its puzzles have their own sizes and wording: leave out {', '.join(sorted(others))}.")


class EpochOrder(Sampler):
    """A random sampler of Transformers, except that the order of an epoch depends only on the seed and the epoch.

    Transformers 5.23.0 draws the orders of group_by_length from the global generator, and accelerate's `set_epoch` does not
    reach a sampler on several processes once batches are skipped: a run resumed in epoch 1 would see epoch 0's order again.
    """

    def __init__(self, trainer: SFTTrainer, sampler: Sampler):
        self.trainer, self.sampler = trainer, sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self):
        args, epoch = self.trainer.args, int(self.trainer.state.epoch or 0)
        seed = args.seed if args.data_seed is None else args.data_seed
        self.sampler.generator = torch.Generator().manual_seed(seed + epoch)
        return iter(self.sampler)


class ResumableSFTTrainer(EndsAtLastStep, SFTTrainer):
    """SFTTrainer, except that a run that is resumed from a checkpoint sees the order that it would have seen, and takes no
    further step from the checkpoint of its last one.
    """

    def _get_train_sampler(self, train_dataset=None) -> Sampler:
        sampler = super()._get_train_sampler(train_dataset)
        return EpochOrder(self, sampler) if hasattr(sampler, "generator") else sampler


class CheckpointCallback(TrainerCallback):
    """Marks a checkpoint as complete once all processes have written their part, and then deletes the others."""

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            delete_checkpoints_except({state.global_step}, Path(args.output_dir))


def make_trainer(args: SftArguments, training_args: SFTConfig) -> tuple[SFTTrainer, torch.dtype]:
    """The trainer, with a model in float32, and the dtype in which to save that model.

    Raises:
        ValueError: if the model is not a chat model, or a demonstration is too long.
        OSError: if the model cannot be read.
    """
    name, dtype = args.model_name_or_path, torch.float32
    if name:
        model_args, offline = ModelConfig(name), hub_is_unreachable()
        dtype, tokenizer = load_config(model_args, offline).dtype or dtype, load_tokenizer(model_args, offline)
    else:
        tokenizer = tiny_tokenizer()
    if tokenizer is None:
        raise ValueError(f"model_name_or_path {name!r} has no tokenizer that can be loaded.")
    if not (tokenizer.chat_template or training_args.chat_template_path):
        raise ValueError(f"model_name_or_path {name!r} has no chat template: use a chat model, or set chat_template_path.")
    rows = read_or_make_rows(args, training_args)
    if name:  # in float32: most updates are too small to change a 16-bit weight
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, trust_remote_code=False)
    else:
        model = tiny_model(tokenizer, training_args.seed)
    if args.attn_implementation:
        model.set_attn_implementation(args.attn_implementation)
    optimizer = None if args.muon_learning_rate is None else MuonAdamW(model, args.muon_learning_rate, training_args)
    max_length, training_args.max_length = training_args.max_length, None  # TRL would truncate longer rows silently
    trainer = ResumableSFTTrainer(
        model=model, args=training_args, train_dataset=rows, processing_class=tokenizer, optimizers=(optimizer, None),
        callbacks=[CheckpointCallback()],
    )  # fmt: skip
    lengths, context = token_counts(trainer.train_dataset), context_length(model.config)
    if args.dataset:
        limit = context if max_length is None else min(max_length, context)
        trainer.train_dataset = trainer.train_dataset.select(those_that_fit(lengths, limit))
    else:
        check_lengths(lengths.tolist(), args.proofs, max_length, context)
    return trainer, dtype


def read_or_make_rows(args: SftArguments, training_args: SFTConfig) -> Dataset:
    """The demonstrations: those of the datasets that are named, or else made on the spot.

    Raises:
        ValueError: if a size or stage is impossible, or a dataset is not there or has no proofs.
    """
    if args.dataset:
        return from_datasets(args.dataset, Path(training_args.output_dir) / "demonstrations")
    size = replace(TINY_SIZE, **args.given())
    batch_size = training_args.train_batch_size * training_args.world_size * training_args.gradient_accumulation_steps
    return demonstrations(args.stages, size, args.proofs, training_args.seed, batch_size, args.wording)


def token_counts(rows: Dataset) -> np.ndarray:
    """How many tokens each tokenized row has, read from its file a thousand rows at a time. Shape (rows,)."""
    batches = rows.select_columns("input_ids").with_format("arrow").iter(1_000)
    return np.concatenate([pc.list_value_length(batch["input_ids"]).to_numpy() for batch in batches])


def those_that_fit(lengths: np.ndarray, limit: float) -> np.ndarray:
    """The indices of the demonstrations of at most `limit` tokens. Prints how many are left out.

    Raises:
        ValueError: if none fits.
    """
    fitting = np.flatnonzero(lengths <= limit)
    if not len(fitting):
        raise ValueError(
            f"each of the {len(lengths):,} demonstrations has more than {limit:,} tokens, the shortest {lengths.min():,}: "
            f"use --max_length {lengths.max()}, a model with as long a context, or smaller puzzles."
        )
    left_out, why = len(lengths) - len(fitting), "" if limit == math.inf else f", as longer than {limit:,} tokens"
    print_once(
        f"{len(fitting):,} demonstrations, {lengths[fitting].sum():,} tokens. Left out{why}: "
        f"{left_out:,} ({left_out / len(lengths):.1%})."
    )
    return fitting


def check_lengths(lengths: list[int], proofs: bool, max_length: int | None, context: float) -> None:
    """Check that every demonstration fits, since SFTTrainer would truncate its answers or drop it.

    Args:
        lengths: tokens in each demonstration, prompt included.
        context: the most tokens the model can process, infinite if it has no limit.

    Raises:
        ValueError: if one is longer than `max_length` or the model's context.
    """
    limit, fix = context, f"a model with a longer context than {context}"
    if max_length is not None and max_length < context:
        limit, fix = max_length, f"--max_length {min(max(lengths), context)}"
    if count := sum(length > limit for length in lengths):
        shorter = "" if proofs else ", shorter demonstrations (--proofs true)"
        raise ValueError(
            f"{count} of {len(lengths)} demonstrations have more than {limit:,} tokens, the longest {max(lengths):,}, and "
            f"would be truncated before their answers: use {fix}{shorter}, or smaller puzzles."
        )


if __name__ == "__main__":
    try:
        main(*parse(ARGUMENTS, __doc__))
    except KeyboardInterrupt:
        sys.exit("Interrupted: no model was written. Run the same command to resume from its last checkpoint, if it wrote one.")
