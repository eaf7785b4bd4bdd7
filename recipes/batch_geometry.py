"""Batch geometry: how a generation batch is divided into optimizer steps and micro-batches, and an evaluation into batches.

Computed once, here, and read by recipes/grpo.py, its checks, the planner and the packed trainer. The names are GRPOConfig's:

    generation_batch_size = prompts × num_generations                   completions of an iteration, on all processes
                          = processes × per_device_train_batch_size × steps_per_generation
    steps_per_generation  = optimizer_steps × gradient_accumulation_steps
    held-out puzzles × num_generations_eval                             completions of an evaluation, on all processes
                          = processes × per_device_eval_batch_size × batches
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trl import GRPOConfig

from recipes.arguments import RunArguments


@dataclass(frozen=True)
class BatchGeometry:
    """How a generation batch is divided.

    Attributes:
        per_device_train_batch_size: completions of a micro-batch on one process.
        steps_per_generation: micro-batches of a generation batch on one process.
        gradient_accumulation_steps: micro-batches of an optimizer step.
        per_device_eval_batch_size: completions of an evaluation that one process generates and computes at once.
        by_tokens: whether `packed_tokens`, not per_device_train_batch_size, decides what is computed at once.
    """

    processes: int
    per_device_train_batch_size: int
    steps_per_generation: int
    gradient_accumulation_steps: int
    per_device_eval_batch_size: int
    by_tokens: bool

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps per generation batch, for each of `num_iterations`."""
        return max(self.steps_per_generation // self.gradient_accumulation_steps, 1)

    def training_arguments(self) -> dict[str, int]:
        """The fields of GRPOConfig that it sets."""
        names = ("per_device_train_batch_size", "steps_per_generation", "gradient_accumulation_steps")
        return {name: getattr(self, name) for name in (*names, "per_device_eval_batch_size")}


def can_regroup_rows(args: GRPOConfig) -> bool:
    """Whether the rows of an optimizer step may be regrouped freely, because its loss is a sum over rows or tokens.

    The weight of a router's load-balancing loss must be in `args`, even if it is the model's own.
    """
    entropy_bonus = args.entropy_coef != 0 or args.use_adaptive_entropy
    return args.loss_type != "bnpo" and not entropy_bonus and args.top_entropy_quantile == 1 and not args.router_aux_loss_coef


def divided_by_tokens(run_args: RunArguments, args: GRPOConfig) -> bool:
    """Whether `packed_tokens`, not per_device_train_batch_size, decides what is computed at once."""
    return run_args.packing and can_regroup_rows(args)


def batch_geometry(run_args: RunArguments, args: GRPOConfig, processes: int, held_out: int) -> BatchGeometry:
    """The geometry of a run on this many processes, with this many held-out puzzles. Does not change its arguments.

    Raises:
        ValueError: if the completions of an optimizer step don't divide evenly over the processes and their micro-batches, or
            have no greatest length.
    """
    if args.max_completion_length is None:  # TRL's type allows it, its arithmetic does not
        raise ValueError("max_completion_length: null is not a number of tokens: use 1 or more.")
    by_tokens = divided_by_tokens(run_args, args)
    if run_args.optimizer_steps is None:
        steps, accumulation = args.steps_per_generation, args.gradient_accumulation_steps
        at_once = (args.per_device_eval_batch_size, by_tokens)
        return BatchGeometry(processes, args.per_device_train_batch_size, steps, accumulation, *at_once)
    micro_batch = 1 if by_tokens else args.per_device_train_batch_size  # by tokens, any number of rows works
    rows = args.generation_batch_size / run_args.optimizer_steps
    if rows % (micro_batch * processes):
        fitting = ", ".join(str(n) for n in range(1, 65) if rows % (n * micro_batch) == 0)
        batch = "" if by_tokens else f" × per_device_train_batch_size {micro_batch} = {processes * micro_batch}"
        raise ValueError(
            f"the {rows:g} completions of an optimizer step (generation_batch_size {args.generation_batch_size} / "
            f"optimizer_steps {run_args.optimizer_steps}) don't divide evenly over {processes} process(es){batch}: "
            f"use {fitting or 'another number of'} processes{'' if by_tokens else ', or change per_device_train_batch_size'}."
        )
    steps = args.generation_batch_size // (micro_batch * processes)
    at_once = (largest_eval_batch(args, processes, held_out), by_tokens)
    return BatchGeometry(processes, micro_batch, steps, steps // run_args.optimizer_steps, *at_once)


def merged_micro_batches(args: GRPOConfig) -> dict[str, int]:
    """The fields of GRPOConfig that merge the micro-batches of an optimizer step into one, which packing divides by tokens."""
    merged = math.gcd(args.steps_per_generation, args.gradient_accumulation_steps)
    return {
        "per_device_train_batch_size": args.per_device_train_batch_size * merged,
        "steps_per_generation": args.steps_per_generation // merged,
        "gradient_accumulation_steps": args.gradient_accumulation_steps // merged,
    }


def eval_completions(args: GRPOConfig, held_out: int) -> tuple[int, int]:
    """Completions of an evaluation of this many held-out puzzles, and how many of them are of one puzzle."""
    samples = args.num_generations_eval or args.num_generations
    return held_out * samples, samples


def largest_eval_batch(args: GRPOConfig, processes: int, held_out: int) -> int:
    """The largest per_device_eval_batch_size, up to the given one, that divides an evaluation evenly, or the given one."""
    completions, samples = eval_completions(args, held_out)
    sizes = range(args.per_device_eval_batch_size, 0, -1)
    fitting = (n for n in sizes if not (n * processes % samples or completions % (n * processes)))
    return next(fitting, args.per_device_eval_batch_size)


def geometry_problems(geometry: BatchGeometry, run_args: RunArguments, args: GRPOConfig, held_out: int) -> list[str]:
    """What doesn't divide evenly, each with a fix."""
    problems, processes, accumulation = [], geometry.processes, geometry.gradient_accumulation_steps
    micro_batches = geometry.steps_per_generation
    if max(micro_batches, accumulation) % min(micro_batches, accumulation):
        problems.append(
            f"gradient_accumulation_steps {accumulation} does not divide the {micro_batches} micro-batches of a generation: "
            "leave it out and set optimizer_steps."
        )
    if run_args.packing and run_args.packed_tokens < 1:
        problems.append(f"packed_tokens {run_args.packed_tokens} is too few: use 16384, or less where memory is short.")
    completions, samples = eval_completions(args, held_out)
    eval_batch = geometry.per_device_eval_batch_size * processes
    if eval_batch % samples:
        problems.append(
            f"per_device_eval_batch_size × processes = {eval_batch} is not divisible by the {samples} samples of a held-out "
            "puzzle: change per_device_eval_batch_size or num_generations_eval."
        )
    elif completions % eval_batch:
        problems.append(
            f"{completions} held-out completions are not a multiple of per_device_eval_batch_size × processes = "
            f"{eval_batch}, so some would be counted twice: change num_eval_puzzles or per_device_eval_batch_size."
        )
    for name in ("save_steps", "eval_steps"):
        value = getattr(args, name)
        if value and value < 1 and args.max_steps > 0:  # a share of all steps
            value = math.ceil(args.max_steps * value)
        strategy = getattr(args, name.replace("steps", "strategy"))
        steps = geometry.optimizer_steps * args.num_iterations
        if value and value >= 1 and value % steps and strategy == "steps":
            problems.append(
                f"{name}={value:g} falls in the middle of a generation, where a run cannot be resumed exactly: set it to a "
                f"multiple of its {steps} optimizer steps."
            )
        elif value and value < 1 and steps > 1 and strategy == "steps":  # of how many steps, the puzzles decide
            problems.append(
                f"{name}={value:g} is a share of num_train_epochs, which may end in the middle of a generation, where a run "
                f"cannot be resumed exactly: set it to a multiple of its {steps} optimizer steps, or set max_steps."
            )
    if args.use_vllm and args.vllm_mode == "colocate" and processes % args.vllm_tensor_parallel_size:
        fitting = ", ".join(str(n) for n in range(1, processes + 1) if processes % n == 0)
        problems.append(
            f"vllm_tensor_parallel_size {args.vllm_tensor_parallel_size} does not divide {processes} processes: use {fitting}."
        )
    return problems
