"""What a run will need, before money is spent on it: no GPU, no weights, seconds.

  python recipes/planner/plan.py --config recipes/qwen2.5-14b.yaml
  python recipes/planner/plan.py --config recipes/qwen2.5-14b.yaml --machines accelerate_configs/zero3.yaml --num_processes 6

Accepts every option of recipes/grpo.py, and one or more accelerate configs (--machines), each a column of the table. Anything
that won't work is marked NOT OK, with a fix; recipes/grpo.py makes the same checks on its own machine before it loads anything.
Times and dollars are only as good as the throughput that you state: use your own after the first iterations, or let
--measured outputs/smoke-gpu.json correct it, and memory, with what `make smoke-gpu` measured on a GPU of the same kind.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

from transformers import Qwen2Config, Qwen3_5Config, Qwen3Config, Qwen3MoeConfig
from trl import GRPOConfig, ModelConfig

from puzzles.files import read_json
from puzzles.tables import text_table
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.batch_geometry import BatchGeometry, batch_geometry, eval_completions, geometry_problems
from recipes.checks import prompt_lengths, recipe_problems
from recipes.data import dataset_not_made_yet, load_puzzles
from recipes.machine import GiB, Machine, planned_machine
from recipes.packing import not_shareable, packing_note, set_router_loss
from recipes.planner.memory import disk, memory
from recipes.pretrained import Parameters, count_parameters, hub_is_unreachable, load_config, load_tokenizer

# From each model's config.json on the Hub, for a machine that can't reach it.
QWEN_14B_32B = {"hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 8, "dtype": "bfloat16"}
KNOWN_CONFIGS = {
    "Qwen/Qwen2.5-14B-Instruct": Qwen2Config(**QWEN_14B_32B, intermediate_size=13824, num_hidden_layers=48, vocab_size=152064),
    "Qwen/Qwen2.5-32B-Instruct": Qwen2Config(**QWEN_14B_32B, intermediate_size=27648, num_hidden_layers=64, vocab_size=152064),
    "Qwen/Qwen2.5-1.5B-Instruct": Qwen2Config(
        hidden_size=1536, num_attention_heads=12, num_key_value_heads=2, vocab_size=151936, intermediate_size=8960,
        num_hidden_layers=28, tie_word_embeddings=True, dtype="bfloat16",
    ),
    "Qwen/Qwen3-14B": Qwen3Config(
        **QWEN_14B_32B, head_dim=128, intermediate_size=17408, num_hidden_layers=40, vocab_size=151936,
        max_position_embeddings=40960,
    ),
    "Qwen/Qwen3-8B": Qwen3Config(
        hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, head_dim=128, intermediate_size=12288,
        num_hidden_layers=36, vocab_size=151936, max_position_embeddings=40960, dtype="bfloat16",
    ),
    "Qwen/Qwen3-30B-A3B-Instruct-2507": Qwen3MoeConfig(
        hidden_size=2048, num_attention_heads=32, num_key_value_heads=4, head_dim=128, intermediate_size=6144,
        moe_intermediate_size=768, num_experts=128, num_experts_per_tok=8, norm_topk_prob=True, num_hidden_layers=48,
        vocab_size=151936, max_position_embeddings=262144, dtype="bfloat16",
    ),
    "Qwen/Qwen3.8-27B": Qwen3_5Config(  # as Qwen3.5-27B and Qwen3.6-27B; it sees images too
        architectures=["Qwen3_5ForConditionalGeneration"], dtype="bfloat16",
        text_config={
            "hidden_size": 5120, "num_attention_heads": 24, "num_key_value_heads": 4, "head_dim": 256,
            "intermediate_size": 17408, "num_hidden_layers": 64, "full_attention_interval": 4, "linear_num_key_heads": 16,
            "linear_num_value_heads": 48, "vocab_size": 248320, "max_position_embeddings": 262144, "dtype": "bfloat16",
        },
        vision_config={"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 5120},
    ),
    "Qwen/Qwen3-4B-Instruct-2507": Qwen3Config(
        hidden_size=2560, num_attention_heads=32, num_key_value_heads=8, head_dim=128, intermediate_size=9728,
        num_hidden_layers=36, vocab_size=151936, max_position_embeddings=262144, tie_word_embeddings=True, dtype="bfloat16",
    ),
}  # fmt: skip


@dataclass
class PlanArguments:
    """The machines to plan for, and what is assumed of them."""

    machines: list[str] = field(
        default_factory=lambda: ["accelerate_configs/zero3.yaml"], metadata={"help": "Accelerate configs, one column each."}
    )
    num_processes: int | None = field(default=None, metadata={"help": "GPUs in total, instead of the config's number."})
    num_machines: int | None = field(default=None, metadata={"help": "Nodes, instead of the config's number."})
    gpu_gib: float = field(
        default=79.1, metadata={"help": "GiB of memory of a GPU: 79.1 on an 80 GB A100 or H100, 23.6 on 24 GB."}
    )
    cpu_gib: float = field(default=1000.0, metadata={"help": "GiB of memory of a node."})
    disk_gib: float | None = field(default=None, metadata={"help": "GiB free for output_dir. Default: not checked."})
    price: float = field(default=2.5, metadata={"help": "Dollars per GPU-hour."})
    peak_tflops: float = field(default=989.0, metadata={"help": "Dense bf16 TFLOP/s of a GPU: 989 H100, 312 A100."})
    mfu: float = field(default=0.3, metadata={"help": "Model FLOPs utilization: the share of the peak that training reaches."})
    generation_speed: float = field(default=1000.0, metadata={"help": "Tokens per second that vLLM generates on one GPU."})
    measured: str | None = field(
        default=None,
        metadata={
            "help": "The JSON file of `make smoke-gpu`: its training speed replaces mfu, its vLLM's speed generation_speed, "
            "scaled by parameters, and its memory corrects that of activations."
        },
    )
    completion_tokens: int | None = field(
        default=None,
        metadata={"help": "Expected mean length of a completion. Default: 1200, or max_completion_length if that is less."},
    )

    def __post_init__(self):
        for name, value in vars(self).items():
            may_be_zero = name in ("price", "disk_gib")
            if isinstance(value, int | float) and (value < 0 or (value == 0 and not may_be_zero)):
                raise ValueError(f"{name}: {value} is impossible: give a number above 0{' or 0' * may_be_zero}.")
        if self.mfu > 1:
            raise ValueError(f"mfu: {self.mfu:g} is impossible: it is a share of the peak, so 1 at most.")


def geometry_rows(geometry: BatchGeometry, run_args: RunArguments, args: GRPOConfig, held_out: int) -> dict[str, str]:
    """Rows of the table: how generations and evaluations are divided."""
    at_once = f"{geometry.per_device_train_batch_size} completion(s)"
    if geometry.by_tokens:
        at_once = f"{run_args.packed_tokens:,} packed tokens"
    completions, eval_batch = eval_completions(args, held_out)[0], geometry.per_device_eval_batch_size * geometry.processes
    return {
        "at once": f"{at_once} on each of {geometry.processes} processes",
        "optimizer steps": f"{geometry.optimizer_steps * args.num_iterations} a generation",
        "held-out completions": f"{completions} in {-(-completions // eval_batch)} batch(es)",
    }


def estimate(
    plan: PlanArguments, p: Parameters, machine: Machine, geometry: BatchGeometry, args: GRPOConfig, prompt: float, shared: bool
) -> dict[str, str]:
    """Rows of the table: tokens, hours and dollars of an iteration, that is, a generation and its optimizer steps.

    FLOPs per token and parameter that it passes through: 2 for a forward, 4 for a backward (2 where the weights are frozen;
    Kaplan et al. 2020, arXiv:2001.08361), and one more forward for activation checkpointing, all of it in each of
    `num_iterations`; and a forward for the old log-probabilities. Where samples share a prompt (`shared`), it counts once in
    each optimizer step that has any of them. Every sample is assumed to have an advantage. Stock TRL's padding comes on top,
    and so do evaluations.
    """
    prompts = args.generation_batch_size
    if shared:
        prompts = min(prompts, prompts // args.num_generations * geometry.optimizer_steps)
    tokens = prompts * prompt + args.generation_batch_size * plan.completion_tokens
    flops = 2 + args.num_iterations * (2 + 2 * args.activation_checkpointing + (4 if p.trained == p.total else 2))
    training = flops * p.active * tokens / (machine.processes * plan.peak_tflops * 1e12 * plan.mfu)
    generating = args.generation_batch_size * plan.completion_tokens / (machine.processes * plan.generation_speed)
    hours = (training + generating) / 3600
    steps = args.num_iterations * geometry.steps_per_generation / geometry.gradient_accumulation_steps  # of the optimizer
    iterations = args.max_steps / steps
    dollars = hours * machine.processes * plan.price
    rows = {
        "tokens per iteration": f"{tokens / 1e6:.2f} million",
        "time per iteration": f"{training / 60:.1f} min training + {generating / 60:.1f} min generating",
        "dollars per iteration": f"{dollars:,.2f}",
    }
    if iterations > 0:
        rows["the whole run"] = f"{iterations:,.0f} iterations, {iterations * hours:,.0f} h, ${iterations * dollars:,.0f}"
    return rows


def use_measured(plan: PlanArguments, parameters: int) -> tuple[float, str]:
    """Put what recipes/smoke_gpu.py measured into the plan's `mfu` and `generation_speed`.

    The smoke test states the FLOPs of the gradient, 6 per parameter and token; with activation checkpointing 8 are computed.
    Generation is taken to be slower in proportion to the parameters that a token passes through.

    Args:
        parameters: those of the model that is planned.

    Returns:
        Measured activations, as a multiple of those estimated, and what was measured, in words.

    Raises:
        ValueError: if the file is not a report from a GPU, lacks a measurement, or has an impossible one.
    """
    file, again = plan.measured, "run make smoke-gpu on a GPU, and give its outputs/smoke-gpu.json."
    try:
        report = read_json(Path(file))
        found = {(check["part"], check["name"]): check["measured"] for check in report["checks"]}
        if report["device"] != "cuda":
            raise ValueError(f"{file} was measured on {report['device']}: {again}")
        tflops = found["training", "a step, packed"]["tflops"] * 8 / 6
        step = found["memory", "a step, packed"]
        correction = (step["bytes"] - step["gradients"]) / (step["planned"] - step["gradients"])
        generation = next((x for (part, _), x in found.items() if part == "generation" and x.get("engine") == "vLLM"), None)
        speed = generation["tokens_per_second"] * generation["parameters"] / parameters if generation else plan.generation_speed
        possible = 0 < tflops <= plan.peak_tflops and 0 < correction < 10 and 0 < speed < math.inf
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}: {again}") from None
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{file} is not a report of recipes/smoke_gpu.py with a step and its memory ({error!r}): {again}"
        ) from None
    if not possible:
        raise ValueError(
            f"{file} has {tflops:,.1f} TFLOP/s of --peak_tflops {plan.peak_tflops:,.0f}, activations {correction:.2f} times "
            f"those estimated, and {speed:,.1f} tokens/s, which is impossible: give the GPU's peak, or {again}"
        )
    plan.mfu, plan.generation_speed = tflops / plan.peak_tflops, speed
    engine = "generation, scaled by parameters" if generation else "but not vLLM's speed, which is assumed"
    return correction, f"Measured in {file}: training, activations ({correction:.2f} times the estimate), {engine}"


def main(
    plan: PlanArguments,
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    _: AlarmArguments,
    args: GRPOConfig,
    model_args: ModelConfig,
) -> None:
    sizes = (plan.gpu_gib * GiB, plan.cpu_gib * GiB, None if plan.disk_gib is None else plan.disk_gib * GiB)
    most = args.max_completion_length
    try:
        if most is None:
            raise ValueError("max_completion_length: null is not a number of tokens: use 1 or more.")
        machines = [planned_machine(Path(path), plan.num_processes, plan.num_machines, *sizes) for path in plan.machines]
        if plan.completion_tokens is None:
            plan.completion_tokens = min(1200, most)
        if plan.completion_tokens > most:
            raise ValueError(
                f"completion_tokens: {plan.completion_tokens:,} is more than max_completion_length {most:,}: lower it."
            )
    except ValueError as error:
        sys.exit(f"recipes/planner/plan.py: {error}")
    offline, name = hub_is_unreachable(), model_args.model_name_or_path
    if sampled := dataset_not_made_yet(puzzle_args):  # a sample of it is enough for a plan
        puzzle_args.dataset, puzzle_args.num_train_puzzles = None, 200
    try:
        config = KNOWN_CONFIGS[name] if offline and name in KNOWN_CONFIGS else load_config(model_args, offline)
        train, held_out = load_puzzles(puzzle_args, args.seed)
        tokenizer = load_tokenizer(model_args, offline)
        lengths = prompt_lengths(args, tokenizer, train, held_out)
        parameters, mean = count_parameters(config, model_args), sum(lengths) / len(lengths)
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/planner/plan.py: {error}")
    set_router_loss(args, config)
    correction, source = 1.0, "Assumed, not measured"
    if plan.measured:
        try:
            correction, source = use_measured(plan, parameters.active)
        except ValueError as error:
            sys.exit(f"recipes/planner/plan.py: measured: {error}")
    active = f", {parameters.active / 1e9:.2f} B of them for a token" if parameters.active < parameters.total else ""
    print(f"{name}: {parameters.total / 1e9:.2f} B parameters{active}, {parameters.trained / 1e9:.2f} B trained")
    sample = ", a sample (make dataset makes all of them)" if sampled else ""
    counted = "tokenized" if tokenizer else "an upper bound from their characters: the tokenizer can't be reached"
    print(f"{len(lengths):,} prompts{sample}: {mean:,.0f} tokens on average, {max(lengths):,} at most ({counted})")
    print(f"completions: up to {args.max_completion_length:,} tokens, {plan.completion_tokens:,} assumed on average")
    apart = not_shareable(config, args, model_args.attn_implementation)
    print(packing_note(run_args.packed_tokens if run_args.packing else None, apart, args), end="\n\n")

    columns, problems = {}, {}
    for machine in machines:
        rows = {
            "GPUs": f"{machine.processes // machine.nodes} × {machine.nodes} node(s)",
            "prompts × samples": f"{args.generation_batch_size / args.num_generations:g} × {args.num_generations} = "
            f"{args.generation_batch_size}",
        }
        found = recipe_problems(run_args, args, model_args, config, machine, lengths, len(held_out))
        try:
            geometry = batch_geometry(run_args, args, machine.processes, len(held_out))
        except ValueError as error:
            found.append(str(error))
            geometry = None
        else:
            rows |= geometry_rows(geometry, run_args, args, len(held_out))
            found += geometry_problems(geometry, run_args, args, len(held_out))
        run = (machine, run_args, args, lengths, plan.completion_tokens, correction)
        try:
            needs = memory(config.get_text_config(), parameters, *run), disk(parameters, machine)
        except ValueError as error:
            sys.exit(f"recipes/planner/plan.py: {error}")
        for part, more in needs:
            rows |= part
            found += more
        if geometry:
            rows |= estimate(plan, parameters, machine, geometry, args, mean, shared=geometry.by_tokens and not apart)
        columns[machine.name], problems[machine.name] = rows | {"verdict": "NOT OK" if found else "OK"}, found
    names = dict.fromkeys(name for rows in columns.values() for name in rows)
    print(text_table(["", *columns], ([name, *(rows.get(name, "–") for rows in columns.values())] for name in names), "<"))
    for machine_name, found in problems.items():
        for problem in found:
            print(f"\nNOT OK, {machine_name}: {problem}")
    print(
        f"\n{source}:\nvLLM generates {plan.generation_speed:,.0f} tokens/s on a GPU; training reaches {plan.mfu:.0%} of "
        f"{plan.peak_tflops:,.0f} TFLOP/s; ${plan.price:.2f} per\nGPU-hour (--generation_speed --mfu --peak_tflops --price)."
    )
    if all(problems.values()):
        sys.exit(1)


if __name__ == "__main__":
    sys.argv += ["--use_cpu", "true"]  # otherwise GRPOConfig looks for a GPU with bf16
    main(*parse((PlanArguments, PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), __doc__))
