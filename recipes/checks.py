"""What is checked before a run starts, each problem with its fix: nothing is loaded or written until every check passes.

recipes/grpo.py checks the machine it is on; the planner checks the machines it is asked about.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from urllib.request import urlopen

import torch
from datasets import Dataset
from jinja2 import TemplateError
from transformers import (
    MinPLogitsWarper,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    RepetitionPenaltyLogitsProcessor,
    SchedulerType,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.trainer_utils import SaveStrategy
from trl import GRPOConfig, ModelConfig

from recipes.arguments import RunArguments
from recipes.batch_geometry import BatchGeometry, batch_geometry, geometry_problems
from recipes.hub import hub_problems
from recipes.machine import Machine, this_machine, too_many_gpus
from recipes.optimizer import optimizer_problems
from recipes.option_values import grpo_problems, lora_problems, missing_trackers, trainer_problems
from recipes.packing import packing_problems, set_router_loss
from recipes.planner.memory import disk, memory
from recipes.pretrained import (
    context_length,
    count_parameters,
    hub_is_unreachable,
    load_config,
    load_tokenizer,
    model_class,
    weight_dtype,
)

FROM_PRETRAINED = (  # arguments of PreTrainedModel.from_pretrained, as in Transformers 5.23.0, but for those set by an option
    *("cache_dir", "force_download", "ignore_mismatched_sizes", "local_files_only", "variant"),
    *("use_safetensors", "weights_only", "disable_mmap", "key_mapping", "fusion_config"),
    *("device_map", "max_memory", "offload_buffers", "offload_folder", "tp_plan", "tp_size"),
    *("experts_implementation", "kernel_config", "use_kernels", "allow_all_kernels", "quantization_config"),
)
SET_BY_TRAINER = ("conversation", "tools", "chat_template", "add_generation_prompt", "tokenize", "return_dict")
CHARACTERS_PER_TOKEN = 2.5  # of a prompt, at least: of 5,500 with Qwen2.5's vocabulary, 2.88 was the minimum, 3.23 the mean


def check_run(
    run_args: RunArguments,
    args: GRPOConfig,
    model_args: ModelConfig,
    train: Dataset,
    held_out: Dataset,
) -> tuple[BatchGeometry, PreTrainedTokenizerBase]:
    """Check the run that is about to start on this machine. Returns its batch geometry and the model's tokenizer.

    Raises:
        ValueError: with every problem and its fix.
    """
    machine, offline = this_machine(args), hub_is_unreachable()
    config = load_config(model_args, offline)
    set_router_loss(args, config)
    geometry = batch_geometry(run_args, args, args.world_size, len(held_out))
    tokenizer = load_tokenizer(model_args, offline)
    if tokenizer is None:
        raise ValueError(f"model_name_or_path {model_args.model_name_or_path!r} has no tokenizer that can be loaded.")
    lengths = prompt_lengths(args, tokenizer, train, held_out)
    problems = geometry_problems(geometry, run_args, args, len(held_out))
    problems += recipe_problems(run_args, args, model_args, config, machine, lengths, len(held_out))
    problems += [*hub_problems(args), *missing_trackers(args), *too_many_gpus(args)]
    problems += optimizer_problems(args, run_args.muon_learning_rate)
    if model_args.load_in_4bit and not find_spec("bitsandbytes"):
        problems.append("load_in_4bit: bitsandbytes is not installed: pip install bitsandbytes.")
    if not run_args.start_anyway:
        try:
            parameters = count_parameters(config, model_args)
            estimates = disk(parameters, machine)[1]
            if machine.gpu is not None:
                completion = args.max_completion_length
                estimates += memory(config.get_text_config(), parameters, machine, run_args, args, lengths, completion)[1]
        except ValueError as error:
            estimates = []
            problems.append(str(error))
        problems += [f"{problem} (An estimate; to start anyway: --start_anyway)" for problem in estimates]
    if problems:
        raise ValueError("\n  ".join(problems))
    return geometry, tokenizer


def recipe_problems(
    run_args: RunArguments,
    args: GRPOConfig,
    model_args: ModelConfig,
    config: PreTrainedConfig,
    machine: Machine,
    lengths: list[int],
    held_out: int,
) -> list[str]:
    """What is wrong with a recipe for this model on this machine, apart from batches, memory and disk."""
    return [
        *reserved_option_problems(run_args, args),
        *model_init_problems(args, config),
        *loss_of_held_out_problems(args),
        *objective_problems(run_args, args, machine),
        *trainer_problems(args),
        *grpo_problems(args),
        *sampling_problems(args),
        *lora_problems(model_args),
        *too_long_prompts(args, config, lengths, held_out),
        *unreachable_server(args),
        *lost_updates(config, args, model_args, machine),
        *quantization_problems(model_args, machine),
        *unmatched_lora_targets(config, model_args),
        *(packing_problems(config, args, run_args.packing, model_args.attn_implementation) if run_args.packing else []),
    ]


def reserved_option_problems(run_args: RunArguments, args: GRPOConfig) -> list[str]:
    """Options of TRL that were given although this recipe sets them itself: none is silently overridden."""
    reserved = {
        "reward_weights": (
            args.reward_weights is not None,
            "solved_weight, format_weight, overlong_buffer and deduction_weight set them",
        ),
        "save_total_limit": (args.save_total_limit is not None, "the latest checkpoint and the best model are kept, no others"),
        "eval_on_start": (
            args.eval_on_start is not None,
            "the held-out puzzles are scored before training, and not again when a run is resumed",
        ),
        "resume_from_checkpoint": (args.resume_from_checkpoint is not None, "the option resume takes its place"),
        "data_seed": (args.data_seed is not None, "the order of the puzzles follows from seed"),
        "shuffle_dataset": (not args.shuffle_dataset, "the order of the puzzles follows from seed, epoch and curriculum"),
        **{
            name: (
                run_args.best_of_k > 1 and getattr(args, name) != default,
                f"best_of_k {run_args.best_of_k} {does}",
            )
            for name, default, does in (
                ("scale_rewards", "group", "always scales by group"),
                ("multi_objective_aggregation", "sum_then_normalize", "always sums the rewards first"),
            )
        },
        "gradient_accumulation_steps": (
            run_args.optimizer_steps is not None and args.gradient_accumulation_steps != 1,
            f"optimizer_steps {run_args.optimizer_steps} sets it",
        ),
    }
    problems = [
        f"{name}: {getattr(args, name)} has no effect here ({why}): leave it out."
        for name, (given, why) in reserved.items()
        if given
    ]
    if run_args.final not in ("best", "last"):
        problems.append(f"final: {run_args.final!r} is unknown: use best or last.")
    return problems


def model_init_problems(args: GRPOConfig, config: PreTrainedConfig) -> list[str]:
    """The problems of model_init_kwargs that an option sets, or that are neither known to from_pretrained nor in the config.

    They are recorded in run.json, which is published with the model, so a token is not to be given here.
    """
    options = {name: name for name in ("dtype", "attn_implementation")} | {"torch_dtype": "dtype", "revision": "model_revision"}
    options = {name: f"set the option {option}" for name, option in options.items()}
    options |= {"token": "set HF_TOKEN in the environment", "proxies": "set HTTPS_PROXY in the environment"}
    problems = []
    for name in args.model_init_kwargs or {}:
        if name in options:
            problems.append(f"model_init_kwargs holds {name}: {options[name]} instead.")
        elif name not in FROM_PRETRAINED and not hasattr(config, name):
            problems.append(
                f"model_init_kwargs holds {name}, which from_pretrained does not take here and a {config.model_type} config "
                "does not have: leave it out."
            )
    return problems


def loss_of_held_out_problems(args: GRPOConfig) -> list[str]:
    """Options of Trainer that follow a metric of the evaluations: by default the loss, which is not computed here."""
    schedule = args.lr_scheduler_type
    given = {
        "load_best_model_at_end: true": args.load_best_model_at_end,
        "save_strategy: best": args.save_strategy == SaveStrategy.BEST,
        f"lr_scheduler_type: {schedule.value}": schedule in (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY),
        f"metric_for_best_model: {args.metric_for_best_model}": args.metric_for_best_model is not None,  # the others set it too
    }
    return [
        f"{option} does not work here, where an evaluation computes no loss, and the model with the best held-out accuracy is "
        "kept anyway (final: best): leave it out."
        for option, is_given in given.items()
        if is_given
    ][:1]


def objective_problems(run_args: RunArguments, args: GRPOConfig, machine: Machine) -> list[str]:
    """Impossible values of the options that vary the objective and the optimizer."""
    muon = run_args.muon_learning_rate
    possible = {
        "deduction_weight": (run_args.deduction_weight >= 0, "0 or more"),
        "solved_weight": (0 <= run_args.solved_weight <= 1, "a share, from 0 to 1"),
        "format_weight": (
            run_args.format_weight == 0 or 0 < run_args.format_weight < 1 - run_args.solved_weight,
            f"from 0 (none) to less than 1 - solved_weight ({1 - run_args.solved_weight:g})",
        ),
        "overlong_buffer": (
            run_args.overlong_buffer == 0 or 0 < run_args.overlong_buffer < args.max_completion_length,
            f"from 0 (none) to less than max_completion_length ({args.max_completion_length})",
        ),
        "best_of_k": (
            run_args.best_of_k == 1 or 1 < run_args.best_of_k < args.num_generations,
            "from 1 to num_generations - 1",
        ),
        "refill_groups": (run_args.refill_groups >= 0, "0 or more"),
        "learning_rate_power": (0 <= run_args.learning_rate_power <= 1, "from 0 (constant) to 1 (linear)"),
        "learning_rate_rows": (
            run_args.learning_rate_rows is None or run_args.learning_rate_rows >= 1,
            "1 or more, or leave it out",
        ),
        "muon_learning_rate": (
            muon is None or (muon > 0 and not machine.zero3),
            "more than 0 and a launch configuration without ZeRO-3, or leave it out",
        ),
    }
    return [
        f"{name} {getattr(run_args, name):g} is impossible: use {fix}." for name, (fits, fix) in possible.items() if not fits
    ]


def sampling_problems(args: GRPOConfig) -> list[str]:
    """Values that generation would refuse only once the model is loaded."""
    problems = []
    for warper, value in (
        (TemperatureLogitsWarper, args.temperature),
        (TopPLogitsWarper, args.top_p),
        (TopKLogitsWarper, None if args.top_k == 0 or (args.top_k == -1 and args.use_vllm) else args.top_k),  # no limit
        (MinPLogitsWarper, args.min_p),
        (RepetitionPenaltyLogitsProcessor, args.repetition_penalty),
    ):
        try:
            if value is not None:
                warper(value)
        except ValueError as error:
            problems.append(f"{str(error).rstrip('.')}. Use a valid value, or leave it out.")
    return problems


def as_text(messages: list[dict[str, str]]) -> str:
    """A prompt for a model without a chat template: TRL's standard format.

    Raises:
        ValueError: if it has more than one message.
    """
    if len(messages) > 1:
        raise ValueError("the model has no chat template: use a model that has one, or prompts of one message")
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
    contents = "\n".join(message["content"] for message in messages)
    for token in tokenizer.all_special_tokens:
        if text.count(token) > contents.count(token) > 0:
            raise ValueError(f"it holds {token!r}, which the chat template adds: give plain text, or messages")
    return text


def prompt_lengths(args: GRPOConfig, tokenizer: PreTrainedTokenizerBase | None, train: Dataset, held_out: Dataset) -> list[int]:
    """Tokens of each prompt as GRPOTrainer makes them, training prompts first; without the tokenizer, an upper bound.

    Raises:
        ValueError: naming the first prompt that does not fit the chat template.
    """
    if reserved := {*SET_BY_TRAINER} & {*(args.chat_template_kwargs or {})}:
        raise ValueError(f"chat_template_kwargs holds {reserved.pop()}, which the trainer sets: leave it out.")
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
            raise ValueError(f"the prompt of {row_name(i, len(train))}, of the roles {roles}: {error}.") from None
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=not tokenizer.chat_template).input_ids]


def row_name(row: int, train: int) -> str:
    """How messages refer to a row, where training rows come first and held-out rows after them."""
    return f"row {row}" if row < train else f"held-out row {row - train}"


def too_long_prompts(args: GRPOConfig, config: PreTrainedConfig, lengths: list[int], held_out: int = 0) -> list[str]:
    """The problem of a prompt that leaves no room for a completion. The last `held_out` lengths are of held-out puzzles."""
    window, name = context_length(config), "the model's context"
    if args.use_vllm and args.vllm_max_model_length:
        if args.vllm_max_model_length > window:
            return [f"vllm_max_model_length {args.vllm_max_model_length} is more than {name} of {window}: lower it."]
        window, name = args.vllm_max_model_length, "vllm_max_model_length"
    room = window - args.max_completion_length
    if max(lengths) <= room:
        return []
    longest = row_name(lengths.index(max(lengths)), len(lengths) - held_out)
    return [
        f"{sum(n > room for n in lengths)} of {len(lengths)} prompts are too long: {longest} has {max(lengths):,} tokens, and "
        f"{name} {window:,} less max_completion_length {args.max_completion_length:,} leaves {max(room, 0):,}. "
        f"{'Raise vllm_max_model_length' if args.use_vllm else 'Lower max_completion_length'}, or use smaller puzzles."
    ]


def lost_updates(config: PreTrainedConfig, args: GRPOConfig, model_args: ModelConfig, machine: Machine) -> list[str]:
    """The problem of weights trained in 16 bits without float32 copies: an update of 6e-6 is less than half of their last bit.

    LoRA's own weights are float32 whatever the model's are (PEFT's autocast_adapter_dtype), but not `lora_modules_to_save`.
    """
    for name in ("bf16_full_eval", "fp16_full_eval"):
        if getattr(args, name):
            return [f"{name}: true would leave the trained weights in 16 bits after the last evaluation: leave it out."]
    dtype = weight_dtype(config, model_args)
    trained = not model_args.use_peft or model_args.lora_modules_to_save
    if dtype.itemsize > 2 or not trained or machine.float32_masters:
        return []
    half, what = str(dtype).removeprefix("torch."), "lora_modules_to_save" if model_args.use_peft else "all weights"
    return [
        f"dtype: {model_args.dtype} would train {what} in {half}, where most updates of {args.learning_rate:g} are "
        "rounded away: set dtype: float32 (with bf16: true it still computes in bfloat16), or launch with DeepSpeed, which "
        "keeps float32 copies (accelerate_configs/zero3.yaml), or train LoRA alone."
    ]


def quantization_problems(model_args: ModelConfig, machine: Machine) -> list[str]:
    """The problems of a model in 4 or 8 bits. In 4 bits it is trained with LoRA, each process holding all of it; vLLM gets the
    same weights, with the adapter, in `dtype`.
    """
    if model_args.load_in_8bit:
        return ["load_in_8bit: true was never tried here: use load_in_4bit, or leave it out."]
    if not model_args.load_in_4bit:
        return []
    problems = []
    if not model_args.use_peft or model_args.use_dora or model_args.lora_modules_to_save:
        problems.append("load_in_4bit: true trains LoRA alone: set use_peft: true, without use_dora and lora_modules_to_save.")
    if machine.float32_masters:
        problems.append("load_in_4bit: true does not work with DeepSpeed: launch with accelerate_configs/single_gpu.yaml.")
    return problems


def unmatched_lora_targets(config: PreTrainedConfig, model_args: ModelConfig) -> list[str]:
    """The problems of a LoRA that names modules or parameters which are not in the model."""
    targets = None if model_args.lora_target_modules == "all-linear" else model_args.lora_target_modules
    named = (targets, model_args.lora_modules_to_save, model_args.lora_target_parameters)
    if not model_args.use_peft or not any(named):
        return []
    with torch.device("meta"):
        model = model_class(config)(config)
    names, parameters = ([name for name, _ in some] for some in (model.named_modules(), model.named_parameters()))
    problems = missing_names("lora_modules_to_save", model_args.lora_modules_to_save, names)
    problems += missing_names("lora_target_parameters", model_args.lora_target_parameters, parameters)
    if not targets:
        return problems
    if isinstance(targets, str):  # TRL makes a list of one into a text, which PEFT treats as a pattern
        if any(re.fullmatch(targets, name) for name in names):
            return problems
        return [
            *problems,
            f"lora_target_modules: {targets} alone is a pattern for the full name of a module, and no module has such a name "
            f"(one is {names[-2]}): try '.*{targets}', or name two modules or more.",
        ]
    return problems + missing_names("lora_target_modules", targets, names)


def missing_names(option: str, wanted: list[str] | None, names: list[str]) -> list[str]:
    """The problem of an option that names what is not among these names, nor the end of one."""
    missing = [name for name in wanted or [] if not any(known == name or known.endswith(f".{name}") for known in names)]
    return [f"{option}: the model has no {', '.join(missing)}."] if missing else []


def unreachable_server(args: GRPOConfig) -> list[str]:
    """The problem of a vLLM server that does not answer."""
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
