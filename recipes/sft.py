"""Teach a model by imitation: puzzles → solver-written demonstrations → TRL's SFTTrainer → a model that GRPO can start from.

  python recipes/sft.py --config recipes/tiny-warm-start.yaml

A demonstration is a chain of deductions (`puzzles/proof.py`), one statement a line, and then the answer sheet. The chain is the
whole night in small steps, or with `--proofs true` a short proof of the answers. One that has more than `max_length` tokens is
refused before anything is learned. Without a `model_name_or_path` a tiny Qwen2 is made (`recipes/tiny/model.py`).
"""

from __future__ import annotations

import math
import os
import random
import shutil
import sys
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path

import torch
from datasets import Dataset
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import ModelConfig, SFTConfig, SFTTrainer

from puzzles.clues import ASPECTS, At, Motivated, Murder, answer_options, facts, with_answer
from puzzles.files import lock_folder
from puzzles.generator import MAX_QUESTIONS, Case, generate
from puzzles.prompts import prompt
from puzzles.proof import deduce, prove
from puzzles.scenario import BODDY, Size
from puzzles.sentences import render
from recipes.arguments import parse
from recipes.hub import repository, upload
from recipes.plan import model_config, offline
from recipes.tiny.model import tiny_model, tiny_tokenizer

FIRST = 2_000_000_000  # demonstrations are of other puzzles than GRPO's (from 0) and the held-out ones (from HELD_OUT)


@dataclass
class SftArguments:
    """What is demonstrated, to whom."""

    model_name_or_path: str | None = field(default=None, metadata={"help": "Model to go on from. Default: a new tiny one."})
    muon_learning_rate: float = field(
        default=3e-3, metadata={"help": "Learning rate of the hidden matrices; `learning_rate` is that of the rest."}
    )
    stages: list[str] = field(
        default_factory=lambda: ["1000:0:0:0"],
        metadata={
            "help": "What is learned in turn, as STEPS:LOW:HIGH:SLIPS. Each puzzle's directness (puzzles/generate.py) is drawn "
            "between LOW and HIGH, and SLIPS is the share of answers that the demonstrations get wrong."
        },
    )
    proofs: bool = field(
        default=False,
        metadata={"help": "Demonstrate a short proof of the answers, not the whole night in small steps (puzzles/proof.py)."},
    )
    suspects: int = field(default=3, metadata={"help": "Suspects in a puzzle, 2 to 10."})
    weapons: int = field(default=2, metadata={"help": "Weapons in a puzzle, 2 to 8."})
    rooms: int = field(default=3, metadata={"help": "Rooms in a puzzle, 2 to 17."})
    times: int = field(default=1, metadata={"help": "Times in a puzzle, 1 to 24."})
    motives: int = field(default=0, metadata={"help": "Motives in a puzzle: 0, or 2 to the suspects."})


def quiz(case: Case, rng: random.Random) -> Case:
    """The same case with other questions, three to eight, also such as a clue answers outright: more variety to imitate."""
    asked = {At: "room", Motivated: "motive", Murder: "value"}
    questions = [replace(fact, **{asked[type(fact)]: None}) for fact in facts(case.night)]
    questions = rng.sample([q for q in questions if getattr(q, "who", None) != BODDY], rng.randint(3, MAX_QUESTIONS))
    murder = [Murder(aspect, None) for aspect in ASPECTS if Murder(aspect, None) in questions]
    bonus = [q for q in questions if not isinstance(q, Murder)]
    return replace(case, puzzle=replace(case.puzzle, questions=(*murder, *bonus), bonus=len(bonus)))


def demonstration(case: Case, rng: random.Random, slips: float = 0.0, proofs: bool = False) -> str:
    """What a detective writes: the deductions, and then for each question the fact that answers it and the answer.

    Args:
        slips: probability that an answering fact is recalled wrongly, with another candidate in place of the right one.
        proofs: deduce no more than a short proof of the answers needs.
    """
    s = case.puzzle.setting
    deductions = prove(case.puzzle, case.night) if proofs else deduce(case)
    lines = [render(deduction.statement, s) for deduction in deductions]
    for question, (letter, answer) in zip(case.puzzle.questions, case.solution.items(), strict=True):
        if rng.random() < slips:
            answer = rng.choice([other for other in answer_options(question, s) if other != answer])
        lines += [render(with_answer(question, answer), s), f"{letter}. {answer}"]
    return "\n".join(lines)


def demonstrations(args: SftArguments, seed: int, batch_size: int) -> Dataset:
    """Prompts and completions in the order of learning: one row a step and batch place, those of a batch of like length.

    Raises:
        ValueError: if a stage or a size is impossible.
    """
    size = Size(**{f.name: getattr(args, f.name) for f in fields(Size)})
    if batch_size < 1:
        raise ValueError(f"a batch of {batch_size} has no room for a demonstration: per_device_train_batch_size is 1 or more.")
    columns: dict[str, list] = {"index": [], "low": [], "high": [], "slips": []}
    for stage in args.stages:
        try:
            count, *values = stage.split(":")
            steps, (low, high, slips) = int(count), map(float, values)
        except ValueError:
            raise ValueError(f"stage {stage!r} is not STEPS:LOW:HIGH:SLIPS, such as 500:0:2:0.") from None
        if not (steps > 0 and 0 <= low <= high < math.inf and 0 <= slips <= 1):
            raise ValueError(f"stage {stage!r} is impossible: it takes a STEP at least, 0 ≤ LOW ≤ HIGH, and SLIPS from 0 to 1.")
        rows = steps * batch_size
        columns["index"] += range(FIRST + len(columns["index"]), FIRST + len(columns["index"]) + rows)
        for column, value in (("low", low), ("high", high), ("slips", slips)):
            columns[column] += [value] * rows

    def row(index: int, low: float, high: float, slips: float) -> dict:
        rng = random.Random(f"demonstration {seed} {index}")
        case = quiz(generate(seed, index, size, directness=rng.uniform(low, high)), rng)
        question, reply = prompt(case.puzzle, "compact"), demonstration(case, rng, slips, args.proofs)
        return {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": reply}],
            "length": len(question) + len(reply),
        }

    made = Dataset.from_dict(columns).map(
        row, input_columns=list(columns), num_proc=os.cpu_count(), desc="demonstrations", load_from_cache_file=False
    )
    order = list(range(len(made)))
    rng = random.Random(seed)
    for first in range(0, len(order), 16 * batch_size):  # like lengths together, in chunks that keep the order of learning
        chunk = sorted(order[first : first + 16 * batch_size], key=made["length"].__getitem__)
        batches = [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        rng.shuffle(batches)
        order[first : first + 16 * batch_size] = chain(*batches)
    return made.select(order).select_columns(["prompt", "completion"])


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon for the hidden matrices and AdamW for the rest, as one optimizer.

    It learned the look-up faster here than AdamW alone (LOG.md). The update is scaled to the size of AdamW's, so that learning
    rates compare (Liu et al. 2025, arXiv:2502.16982).
    """

    def __init__(self, model: torch.nn.Module, learning_rate: float, args: SFTConfig):
        hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        decay, betas = args.weight_decay, (args.adam_beta1, args.adam_beta2)
        self.parts = [
            torch.optim.Muon(hidden, lr=learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=args.learning_rate, betas=betas, weight_decay=decay),
        ]
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def step(self, closure=None):
        own_groups = [group for part in self.parts for group in part.param_groups]
        for own, group in zip(own_groups, self.param_groups, strict=True):  # the scheduler knows only the outer groups
            own["lr"] = group["lr"]
        for part in self.parts:
            part.step()


def too_long(lengths: list[int], args: SftArguments, max_length: int | None, context: int) -> str | None:
    """What is wrong if demonstrations have more tokens than fit, of which SFTTrainer would cut off the answers, or drop all."""
    limit, fix = context, f"a model of a longer context than {context}"
    if max_length is not None and max_length < context:
        limit, fix = max_length, f"--max_length {min(max(lengths), context)}"
    count = sum(length > limit for length in lengths)
    if not count:
        return None
    proofs = "" if args.proofs else ", shorter demonstrations (--proofs true)"
    return (
        f"{count} of {len(lengths)} demonstrations have more than {limit:,} tokens, the longest {max(lengths):,}, and would be "
        f"cut off before their answers: take {fix}{proofs}, or smaller puzzles."
    )


def prepared(args: SftArguments, training_args: SFTConfig) -> tuple[SFTTrainer, torch.dtype]:
    """The trainer, with a model in float32, and the dtype that its checkpoint has.

    Raises:
        ValueError: if there is no such chat model, a stage or size is impossible, or a demonstration is too long.
        OSError: if the model cannot be read.
    """
    name, dtype = args.model_name_or_path, torch.float32
    if training_args.max_steps < 1 and training_args.num_train_epochs <= 0:
        raise ValueError(f"num_train_epochs={training_args.num_train_epochs:g} leaves nothing to learn: set it to 1.")
    if training_args.packing:
        raise ValueError("packing: true would change what a step holds: leave it out.")
    if training_args.padding_free:
        raise ValueError("padding_free: true would let demonstrations see each other under eager attention: leave it out.")
    batch_size = training_args.train_batch_size * training_args.world_size * training_args.gradient_accumulation_steps
    if name:
        dtype = model_config(ModelConfig(name), offline()).dtype or dtype
    tokenizer = AutoTokenizer.from_pretrained(name) if name else tiny_tokenizer()
    if not (tokenizer.chat_template or training_args.chat_template_path):
        raise ValueError(f"model_name_or_path {name!r} has no chat template: take a chat model, or name a chat_template_path.")
    rows = demonstrations(args, training_args.seed, batch_size)
    if name:  # in float32, since steps of weights in 16 bits are rounded away
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    else:
        model = tiny_model(tokenizer, training_args.seed)
    model.set_attn_implementation("eager")  # in bfloat16 on a CPU a third faster than the default, else equal
    optimizer = Muon(model, args.muon_learning_rate, training_args)
    max_length, training_args.max_length = training_args.max_length, None  # it would cut off what is longer without a word
    trainer = SFTTrainer(
        model=model, args=training_args, train_dataset=rows, processing_class=tokenizer, optimizers=(optimizer, None)
    )
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    if fault := too_long(lengths, args, max_length, model.config.max_position_embeddings):
        raise ValueError(fault)
    return trainer, dtype


def main(args: SftArguments, training_args: SFTConfig) -> None:
    output_dir, first = Path(training_args.output_dir), training_args.process_index == 0
    partial = output_dir.parent / f"{output_dir.name}.partial"
    try:
        if output_dir.exists():
            raise ValueError(f"{output_dir} is there already. Choose another output_dir, or delete it.")
        if first:
            partial.mkdir(parents=True, exist_ok=True)  # where a killed run left one, this goes on in it
            lock_folder(partial)
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/sft.py: {error}" if first else 1)
    try:
        repo = repository(training_args) if first else None
        training_args.output_dir, training_args.push_to_hub = str(partial), False
        trainer, dtype = prepared(args, training_args)
    except (ValueError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        sys.exit(f"recipes/sft.py: {error}" if first else 1)
    try:
        trainer.train()
        trainer.model.to(dtype)
        if first:
            shutil.rmtree(partial / "model", ignore_errors=True)
        trainer.save_model(str(partial / "model"))
        if first:
            os.replace(partial / "model", output_dir)
    except (OSError, SafetensorError) as error:
        free = shutil.disk_usage(partial).free / 2**20
        sys.exit(
            f"recipes/sft.py: could not write {output_dir} ({error}); {free:,.0f} MiB are free there. Make room, start again."
        )
    if repo:
        upload(trainer, output_dir, repo)
    if first:
        shutil.rmtree(partial)
    trainer.accelerator.wait_for_everyone()  # a process that ends before the others would have the launcher stop them


if __name__ == "__main__":
    try:
        main(*parse((SftArguments, SFTConfig), __doc__))
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing was written. The same command starts again.")
