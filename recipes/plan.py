"""What a run will need, before money is spent on it: no GPU, no weights, seconds.

  python recipes/plan.py --config recipes/qwen2.5-14b.yaml
  python recipes/plan.py --config recipes/qwen2.5-14b.yaml --machines accelerate_configs/zero3.yaml --num_processes 6

Takes every option of recipes/grpo.py, and one accelerate config or more (--machines), each a column of the table. What is
NOT OK is listed with its mend. recipes/grpo.py makes the same checks, with the machine it is on, before it loads anything.
Times and dollars are no better than the throughput that you state: put in your own after the first iterations.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import psutil
import torch
import yaml
from datasets import Dataset
from huggingface_hub import constants as hub
from jinja2 import TemplateError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen3Config,
)
from trl import GRPOConfig, ModelConfig

from puzzles.tables import text_table
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse
from recipes.data import dataset_not_made_yet, load_puzzles
from recipes.memory import GiB, Machine, Parameters, cut_by_tokens, disk, loaded_in, memory, parameters
from recipes.packing import packing_problems

THE_TRAINERS = ("conversation", "tools", "chat_template", "add_generation_prompt", "tokenize", "return_dict")
CHARACTERS_PER_TOKEN = 2.5  # of a prompt, at least: 2.88 was the least of 5,500 with Qwen2.5's vocabulary, 3.23 the mean

# From each model's config.json on the Hub, for a machine that does not reach it.
SHARED = {"hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 8, "dtype": "bfloat16"}
KNOWN = {
    "Qwen/Qwen2.5-14B-Instruct": Qwen2Config(**SHARED, intermediate_size=13824, num_hidden_layers=48, vocab_size=152064),
    "Qwen/Qwen2.5-32B-Instruct": Qwen2Config(**SHARED, intermediate_size=27648, num_hidden_layers=64, vocab_size=152064),
    "Qwen/Qwen2.5-1.5B-Instruct": Qwen2Config(
        hidden_size=1536, num_attention_heads=12, num_key_value_heads=2, vocab_size=151936, intermediate_size=8960,
        num_hidden_layers=28, tie_word_embeddings=True, dtype="bfloat16",
    ),
    "Qwen/Qwen3-14B": Qwen3Config(
        **SHARED, head_dim=128, intermediate_size=17408, num_hidden_layers=40, vocab_size=151936, max_position_embeddings=40960
    ),
}  # fmt: skip


@dataclass
class PlanArguments:
    """On what the plan is made."""

    machines: list[str] = field(
        default_factory=lambda: ["accelerate_configs/zero3.yaml"], metadata={"help": "Accelerate configs, a column each."}
    )
    num_processes: int | None = field(default=None, metadata={"help": "GPUs in all, instead of what the config says."})
    num_machines: int | None = field(default=None, metadata={"help": "Nodes, instead of what the config says."})
    gpu_gib: float = field(default=79.1, metadata={"help": "GiB of a GPU: 79.1 on an 80 GB A100 or H100, 23.6 on 24 GB."})
    cpu_gib: float = field(default=1000.0, metadata={"help": "GiB of memory of a node."})
    disk_gib: float | None = field(default=None, metadata={"help": "GiB free for output_dir. Default: not checked."})
    price: float = field(default=2.5, metadata={"help": "Dollars per GPU and hour."})
    peak_tflops: float = field(default=989.0, metadata={"help": "Dense bf16 TFLOP/s of a GPU: 989 H100, 312 A100."})
    mfu: float = field(default=0.3, metadata={"help": "Share of that which training reaches."})
    generation_speed: float = field(default=1000.0, metadata={"help": "Tokens that vLLM writes per second and GPU."})
    completion_tokens: int = field(default=1200, metadata={"help": "Mean length of a completion that you expect."})


def accumulate(run_args: RunArguments, args: GRPOConfig, processes: int) -> None:
    """Set gradient_accumulation_steps so that a generation batch makes `optimizer_steps` of them.

    Raises:
        ValueError: if micro-batches do not come out even.
    """
    if run_args.optimizer_steps is None:
        return
    packed = cut_by_tokens(run_args, args)  # a step is cut up by tokens: any number of rows will do
    rows, micro = args.generation_batch_size / run_args.optimizer_steps, 1 if packed else args.per_device_train_batch_size
    if rows % (micro * processes):
        fitting = ", ".join(str(n) for n in range(1, 65) if rows % (n * micro) == 0)
        batch = "" if packed else f" × per_device_train_batch_size {micro} = {processes * micro}"
        raise ValueError(
            f"the {rows:g} completions of an optimizer step (generation_batch_size {args.generation_batch_size} / "
            f"optimizer_steps {run_args.optimizer_steps}) cannot be shared out evenly over {processes} process(es){batch}: "
            f"take {fitting or 'other numbers of'} processes{'' if packed else ', or change per_device_train_batch_size'}."
        )
    args.per_device_train_batch_size = micro
    args.steps_per_generation = args.generation_batch_size // (micro * processes)
    args.gradient_accumulation_steps = args.steps_per_generation // run_args.optimizer_steps


def geometry(run_args: RunArguments, args: GRPOConfig, processes: int, held_out: int) -> tuple[dict[str, str], list[str]]:
    """How generations and evaluations are cut up: rows of the table, and what does not come out even."""
    group = f"{args.generation_batch_size / args.num_generations:g} × {args.num_generations} = {args.generation_batch_size}"
    try:
        accumulate(run_args, args, processes)
    except ValueError as error:
        return {"prompts × samples": group}, [str(error)]
    faults = []
    micro_batches, accumulated = args.steps_per_generation, args.gradient_accumulation_steps
    steps = max(micro_batches // accumulated, 1)
    if max(micro_batches, accumulated) % min(micro_batches, accumulated):
        faults.append(
            f"gradient_accumulation_steps {accumulated} does not divide the {micro_batches} micro-batches of a generation: "
            "leave it out and set optimizer_steps."
        )
    if run_args.packing and run_args.packed_tokens < 1:
        faults.append(f"packed_tokens {run_args.packed_tokens} is too few: 16384, or less where memory is short.")
    samples = args.num_generations_eval or args.num_generations
    eval_batch = args.per_device_eval_batch_size * processes
    if eval_batch % samples:
        faults.append(
            f"per_device_eval_batch_size × processes = {eval_batch} does not divide by the {samples} samples of a held-out "
            "puzzle: change per_device_eval_batch_size or num_generations_eval."
        )
    elif held_out * samples % eval_batch:
        faults.append(
            f"{held_out * samples} held-out completions are not a multiple of per_device_eval_batch_size × processes = "
            f"{eval_batch}, so some would be counted twice: change num_eval_puzzles or per_device_eval_batch_size."
        )
    for name in ("save_steps", "eval_steps"):
        value = getattr(args, name)
        if value and value >= 1 and value % steps and getattr(args, name.replace("steps", "strategy")) == "steps":
            faults.append(
                f"{name}={value:g} is in the middle of a generation, where a run cannot be resumed exactly: set it to a "
                f"multiple of its {steps} optimizer steps."
            )
    if args.use_vllm and args.vllm_mode == "colocate" and processes % args.vllm_tensor_parallel_size:
        fitting = ", ".join(str(n) for n in range(1, processes + 1) if processes % n == 0)
        faults.append(
            f"vllm_tensor_parallel_size {args.vllm_tensor_parallel_size} does not divide {processes} processes: take {fitting}."
        )
    at_once = f"{args.per_device_train_batch_size} completion(s)"
    if cut_by_tokens(run_args, args):
        at_once = f"{run_args.packed_tokens:,} packed tokens"
    return {
        "prompts × samples": group,
        "at once": f"{at_once} on each of {processes} processes",
        "optimizer steps": f"{steps * args.num_iterations} a generation",
        "held-out completions": f"{held_out * samples} in {-(-held_out * samples // eval_batch)} batch(es)",
    }, faults


def tokenizer_of(model_args: ModelConfig, offline: bool) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer, or None if it is out of reach."""
    name, revision = model_args.model_name_or_path, model_args.model_revision
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=offline)
    except OSError:
        return None


def as_text(messages: list[dict[str, str]]) -> str:
    """A prompt for a model without a chat template: TRL's standard format.

    Raises:
        ValueError: if it has more than one message.
    """
    if len(messages) > 1:
        raise ValueError("the model has no chat template: take a model that has one, or prompts of one message")
    return messages[0]["content"]


def as_chat(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], args: GRPOConfig) -> str:
    """A prompt in the model's chat template.

    Raises:
        ValueError: if the template refuses it, or it holds the tokens that the template adds.
    """
    template = {"tokenize": False, "add_generation_prompt": True, **(args.chat_template_kwargs or {})}
    try:
        text = tokenizer.apply_chat_template(messages, **template)
    except TemplateError as error:
        raise ValueError(f"the chat template refuses it ({error})") from None
    said = "\n".join(message["content"] for message in messages)
    for token in tokenizer.all_special_tokens:
        if text.count(token) > said.count(token) > 0:
            raise ValueError(f"it holds {token!r}, which the chat template adds: give plain text, or messages")
    return text


def prompt_lengths(args: GRPOConfig, tokenizer: PreTrainedTokenizerBase | None, train: Dataset, held_out: Dataset) -> list[int]:
    """Tokens of each prompt, as GRPOTrainer makes them, those to train on first; without the tokenizer, a bound on them.

    Raises:
        ValueError: naming the first prompt that does not go into the chat template.
    """
    if taken := {*THE_TRAINERS} & {*(args.chat_template_kwargs or {})}:
        raise ValueError(f"chat_template_kwargs holds {taken.pop()}, which the trainer sets: leave it out.")
    prompts = [*train["prompt"], *held_out["prompt"]]
    if tokenizer is None:
        characters = [sum(len(message["content"]) for message in prompt) for prompt in prompts]
        return [int(n / CHARACTERS_PER_TOKEN) + 64 for n in characters]
    texts = []
    for i, prompt in enumerate(prompts):
        try:
            texts.append(as_chat(tokenizer, prompt, args) if tokenizer.chat_template else as_text(prompt))
        except ValueError as error:
            roles = ", ".join(message["role"] for message in prompt)
            raise ValueError(f"the prompt of {place(i, len(train))}, of the roles {roles}: {error}.") from None
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=not tokenizer.chat_template).input_ids]


def place(row: int, train: int) -> str:
    """How a row is called, if those to train on come first, and then the held-out ones."""
    return f"row {row}" if row < train else f"held-out row {row - train}"


def too_long(args: GRPOConfig, config: PreTrainedConfig, lengths: list[int], held_out: int = 0) -> list[str]:
    """The fault of a prompt that leaves no room for a completion. The last `held_out` lengths are of held-out puzzles."""
    window, name = config.max_position_embeddings, "the model's context"
    if args.use_vllm and args.vllm_max_model_length:
        if args.vllm_max_model_length > window:
            return [f"vllm_max_model_length {args.vllm_max_model_length} is more than {name} of {window}: lower it."]
        window, name = args.vllm_max_model_length, "vllm_max_model_length"
    room = window - args.max_completion_length
    if max(lengths) <= room:
        return []
    where = place(lengths.index(max(lengths)), len(lengths) - held_out)
    return [
        f"{sum(n > room for n in lengths)} of {len(lengths)} prompts are too long: {where} has {max(lengths):,} tokens, and "
        f"{name} {window:,} less max_completion_length {args.max_completion_length:,} leaves {max(room, 0):,}. "
        f"{'Raise vllm_max_model_length' if args.use_vllm else 'Lower max_completion_length'}, or take smaller puzzles."
    ]


def rounded_away(config: PreTrainedConfig, args: GRPOConfig, model_args: ModelConfig, machine: Machine) -> list[str]:
    """The fault of trained weights in 16 bits, without float32 copies: a step of 6e-6 is less than half of their last bit.

    LoRA's own weights are float32 whatever the model's are (PEFT's autocast_adapter_dtype), but not `lora_modules_to_save`.
    """
    if {"dtype", "torch_dtype"} & set(args.model_init_kwargs or {}):
        return ["model_init_kwargs holds a dtype: give it as dtype alone."]
    for name in ("bf16_full_eval", "fp16_full_eval"):
        if getattr(args, name):
            return [f"{name}: true would leave the trained weights in 16 bits after the last evaluation: leave it out."]
    for name in ("load_in_4bit", "load_in_8bit"):
        if getattr(model_args, name):
            return [f"{name}: true has no effect here, weights are loaded as dtype says: leave it out."]
    dtype = loaded_in(config, model_args)
    trained = not model_args.use_peft or model_args.lora_modules_to_save
    if dtype.itemsize > 2 or not trained or machine.masters:
        return []
    half, what = str(dtype).removeprefix("torch."), "lora_modules_to_save" if model_args.use_peft else "all weights"
    return [
        f"dtype: {model_args.dtype} would train {what} in {half}, where most steps of {args.learning_rate:g} are rounded away: "
        "set dtype: float32 (with bf16: true it computes in bfloat16 all the same), or launch with DeepSpeed, which keeps "
        "float32 copies (accelerate_configs/zero3.yaml), or train LoRA alone."
    ]


def untargeted(config: PreTrainedConfig, model_args: ModelConfig) -> list[str]:
    """The fault of a LoRA without a rank, or whose target modules are not in the model."""
    if not model_args.use_peft:
        return []
    if model_args.lora_r < 1:
        return [f"lora_r: {model_args.lora_r} is too few: 1 or more."]
    targets = model_args.lora_target_modules
    if not targets or targets == "all-linear":
        return []
    with torch.device("meta"):
        names = [name for name, _ in MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config).named_modules()]
    if isinstance(targets, str):  # of a list of one TRL makes a text, which PEFT takes for a pattern
        if any(re.fullmatch(targets, name) for name in names):
            return []
        return [
            f"lora_target_modules: {targets} alone is a pattern for the whole name of a module, and no module has such a name "
            f"(one is {names[-2]}): try '.*{targets}', or name two modules or more."
        ]
    ends = {name.rpartition(".")[2] for name in names} | {*names}
    missing = [target for target in targets if target not in ends and not any(name.endswith(f".{target}") for name in names)]
    return [f"lora_target_modules: the model has no {', '.join(missing)}."] if missing else []


def model_config(model_args: ModelConfig, offline: bool) -> PreTrainedConfig:
    """The model's shape.

    Raises:
        ValueError: if there is no such model.
    """
    name = model_args.model_name_or_path
    if not name:
        raise ValueError("model_name_or_path is missing: give a folder, or a model's id on the Hub.")
    try:
        return AutoConfig.from_pretrained(name, revision=model_args.model_revision, local_files_only=offline)
    except (OSError, ValueError) as error:
        why = "the Hub is out of reach, and it is not in the cache" if offline else str(error).splitlines()[0]
        raise ValueError(
            f"model_name_or_path {name!r} is neither a folder with a model nor one that the Hub gives ({why}). Check the "
            "spelling; for a private one: hf auth login."
        ) from None


def offline() -> bool:
    """Whether the Hub is out of reach: found out within three seconds, where its own client would try for half a minute."""
    if hub.is_offline_mode():
        return True
    place = urlparse(hub.ENDPOINT)
    try:
        socket.create_connection((place.hostname, place.port or {"https": 443}.get(place.scheme, 80)), 3).close()
        return False
    except OSError:
        return True


def unreachable_server(args: GRPOConfig) -> list[str]:
    """The fault of a vLLM server that does not answer."""
    if not (args.use_vllm and args.vllm_mode == "server"):
        return []
    url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
    try:
        urlopen(f"{url}/health", timeout=5).close()
        return []
    except (OSError, ValueError) as error:
        return [
            f"no vLLM server answers at {url} ({error}). Start it (make serve-14b), wait until it is up, and name it with "
            "vllm_server_base_url; or set vllm_mode: colocate."
        ]


def this_machine(args: GRPOConfig) -> Machine:
    """The machine that this process and its like run on."""
    environment = {name.removeprefix("ACCELERATE_DEEPSPEED_"): value for name, value in os.environ.items()}
    deepspeed = environment.get("ACCELERATE_USE_DEEPSPEED") == "true"
    gpu = torch.cuda.is_available() and not args.use_cpu
    place = output_dir = Path(args.output_dir).absolute()
    while not place.exists():
        place = place.parent
    taken = sum(file.stat().st_size for file in output_dir.rglob("*") if file.is_file())  # by the run that is resumed
    return Machine(
        name="here",
        processes=args.world_size,
        nodes=max(1, args.world_size // int(environment.get("LOCAL_WORLD_SIZE", args.world_size))),
        zero3=deepspeed and environment.get("ZERO_STAGE") == "3",
        offload_optimizer=deepspeed and environment.get("OFFLOAD_OPTIMIZER_DEVICE", "none") != "none",
        offload_parameters=deepspeed and environment.get("OFFLOAD_PARAM_DEVICE", "none") != "none",
        gpu=torch.cuda.get_device_properties(0).total_memory if gpu else None,
        cpu=psutil.virtual_memory().total,
        disk=shutil.disk_usage(place).free + taken,
        masters=(deepspeed and environment.get("ZERO_STAGE") != "0")
        or ((deepspeed or environment.get("ACCELERATE_USE_FSDP") == "true") and (args.bf16 or args.fp16)),
    )


def check(
    run_args: RunArguments, args: GRPOConfig, model_args: ModelConfig, train: Dataset, held_out: Dataset
) -> PreTrainedTokenizerBase:
    """The plan's checks for the run that is about to start on this machine. Returns the model's tokenizer.

    Raises:
        ValueError: with all that is wrong and how to fix it.
    """
    machine, cut_off = this_machine(args), offline()
    config = model_config(model_args, cut_off)
    tokenizer = tokenizer_of(model_args, cut_off)
    if tokenizer is None:
        raise ValueError(f"model_name_or_path {model_args.model_name_or_path!r} has no tokenizer that can be loaded.")
    lengths = prompt_lengths(args, tokenizer, train, held_out)
    faults = geometry(run_args, args, machine.processes, len(held_out))[1]
    faults += too_long(args, config, lengths, len(held_out)) + unreachable_server(args)
    faults += rounded_away(config, args, model_args, machine) + untargeted(config, model_args)
    faults += packing_problems(config, args, model_args.attn_implementation) if run_args.packing else []
    trackers = {"trackio", "wandb"} & set(args.report_to)
    faults += [f"report_to: {name} is not installed: pip install {name}." for name in trackers if not find_spec(name)]
    if not run_args.start_anyway:
        p = parameters(config, model_args)
        doubts = disk(p, machine)[1]
        if machine.gpu is not None:
            doubts += memory(config, p, machine, run_args, args, lengths, args.max_completion_length)[1]
        faults += [f"{doubt} (An estimate; to start anyway: --start_anyway)" for doubt in doubts]
    if faults:
        raise ValueError("\n  ".join(faults))
    return tokenizer


def estimate(
    plan: PlanArguments, p: Parameters, machine: Machine, run_args: RunArguments, args: GRPOConfig, prompt: float
) -> dict[str, str]:
    """Tokens, hours and dollars of an iteration, that is a generation and its optimizer steps.

    FLOPs a parameter and token: 2 for a forward, 4 for a backward (2 where the weights are frozen; Kaplan et al. 2020,
    arXiv:2001.08361), and one more forward each for the old log-probabilities and for activation checkpointing. With packing a
    prompt counts once in each optimizer step that has samples of it, and no sample is taken to have no advantage; without,
    padding comes on top. Evaluations come on top of both.
    """
    prompts = rows_in_all = args.generation_batch_size
    if cut_by_tokens(run_args, args):
        steps = max(args.steps_per_generation // args.gradient_accumulation_steps, 1)
        prompts = min(rows_in_all, rows_in_all // args.num_generations * steps)
    tokens = prompts * prompt + rows_in_all * plan.completion_tokens
    flops = 2 + 2 + 2 * args.activation_checkpointing + (4 if p.trained == p.total else 2)
    training = flops * p.total * tokens / (machine.processes * plan.peak_tflops * 1e12 * plan.mfu)
    generating = args.generation_batch_size * plan.completion_tokens / (machine.processes * plan.generation_speed)
    hours = (training + generating) / 3600
    iterations = args.max_steps * args.gradient_accumulation_steps / args.steps_per_generation
    dollars = hours * machine.processes * plan.price
    rows = {
        "tokens an iteration": f"{tokens / 1e6:.2f} million",
        "time an iteration": f"{training / 60:.1f} min training + {generating / 60:.1f} min generating",
        "dollars an iteration": f"{dollars:,.2f}",
    }
    if iterations > 0:
        rows["the whole run"] = f"{iterations:,.0f} iterations, {iterations * hours:,.0f} h, ${iterations * dollars:,.0f}"
    return rows


def machine_of(path: Path, plan: PlanArguments) -> Machine:
    """The machine that an accelerate config describes."""
    content = yaml.safe_load(path.read_text())
    deepspeed = content.get("deepspeed_config") or {}
    processes, nodes = plan.num_processes or content["num_processes"], plan.num_machines or content["num_machines"]
    if processes % nodes:
        raise ValueError(f"{processes} processes cannot be shared out evenly over {nodes} nodes (num_processes, num_machines).")
    return Machine(
        name=path.stem,
        processes=processes,
        nodes=nodes,
        zero3=deepspeed.get("zero_stage") == 3,
        offload_optimizer=deepspeed.get("offload_optimizer_device", "none") != "none",
        offload_parameters=deepspeed.get("offload_param_device", "none") != "none",
        gpu=plan.gpu_gib * GiB,
        cpu=plan.cpu_gib * GiB,
        disk=plan.disk_gib and plan.disk_gib * GiB,
        masters=bool(deepspeed.get("zero_stage"))
        or ((deepspeed or content.get("distributed_type") == "FSDP") and content.get("mixed_precision") != "no"),
    )


def main(
    plan: PlanArguments,
    puzzle_args: PuzzleArguments,
    run_args: RunArguments,
    _: AlarmArguments,
    args: GRPOConfig,
    model_args: ModelConfig,
) -> None:
    cut_off, name = offline(), model_args.model_name_or_path
    if sampled := dataset_not_made_yet(puzzle_args):  # the plan does without
        puzzle_args.dataset, puzzle_args.num_train_puzzles = None, 200
    try:
        config = KNOWN[name] if cut_off and name in KNOWN else model_config(model_args, cut_off)
        train, held_out = load_puzzles(puzzle_args, args.seed)
        machines = [machine_of(Path(path), plan) for path in plan.machines]
        tokenizer = tokenizer_of(model_args, cut_off)
        lengths = prompt_lengths(args, tokenizer, train, held_out)
    except (ValueError, OSError, KeyError) as error:
        sys.exit(f"recipes/plan.py: {error}")
    p, mean = parameters(config, model_args), sum(lengths) / len(lengths)
    counted = "tokenised" if tokenizer else "bounded by characters: the tokenizer is out of reach"
    print(f"{name}: {p.total / 1e9:.2f} B parameters, {p.trained / 1e9:.2f} B trained")
    sample = ", a sample (make dataset makes them all)" if sampled else ""
    print(f"{len(lengths):,} prompts{sample}: {mean:,.0f} tokens on average, {max(lengths):,} at most ({counted})")
    print(f"completions: up to {args.max_completion_length:,} tokens, {plan.completion_tokens:,} assumed on average\n")
    columns, faults = {}, {}
    for machine in machines:
        rows = {"GPUs": f"{machine.processes // machine.nodes} × {machine.nodes} node(s)"}
        wrong = too_long(args, config, lengths, len(held_out)) + unreachable_server(args)
        wrong += rounded_away(config, args, model_args, machine) + untargeted(config, model_args)
        wrong += packing_problems(config, args, model_args.attn_implementation) if run_args.packing else []
        for part, more in (
            geometry(run_args, args, machine.processes, len(held_out)),
            memory(config, p, machine, run_args, args, lengths, plan.completion_tokens),
            disk(p, machine),
        ):
            rows |= part
            wrong += more
        if "optimizer steps" in rows:
            rows |= estimate(plan, p, machine, run_args, args, mean)
        columns[machine.name], faults[machine.name] = rows | {"verdict": "NOT OK" if wrong else "OK"}, wrong
    names = dict.fromkeys(name for rows in columns.values() for name in rows)
    print(text_table(["", *columns], ([name, *(rows.get(name, "–") for rows in columns.values())] for name in names), "<"))
    for where, wrong in faults.items():
        for fault in wrong:
            print(f"\nNOT OK, {where}: {fault}")
    print(
        f"\nAssumed, not measured: vLLM writes {plan.generation_speed:,.0f} tokens/s a GPU; training reaches {plan.mfu:.0%} of"
    )
    print(
        f"{plan.peak_tflops:,.0f} TFLOP/s; ${plan.price:.2f} a GPU and hour (--generation_speed --mfu --peak_tflops --price)."
    )
    if all(faults.values()):
        sys.exit(1)


if __name__ == "__main__":
    sys.argv += ["--use_cpu", "true"]  # or else GRPOConfig looks for a GPU that does bf16
    main(*parse((PlanArguments, PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), __doc__))
