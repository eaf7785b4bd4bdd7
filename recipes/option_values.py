"""Which values the options of Transformers, TRL and PEFT may have.

Listed are those that are otherwise refused only once the model is loaded or a generation was paid for, and those that are never
refused although a run with them can't learn or can't be resumed.
"""

from __future__ import annotations

from inspect import signature

from transformers import GenerationConfig, TrainingArguments
from transformers.generation.configuration_utils import ALL_CACHE_IMPLEMENTATIONS
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from trl import GRPOConfig, ModelConfig, SFTConfig

CHOICES = {  # of GRPOConfig, as in TRL 1.16.0
    "loss_type": ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_mode": ("colocate", "server"),
    "vllm_model_impl": ("vllm", "transformers"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}
NOT_TAKEN = (  # in generation_kwargs: they would override an option, or change how many samples there are
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "max_new_tokens"),
    *("do_sample", "num_beams", "n", "num_return_sequences"),
    "seed",  # all samples of a puzzle would be the same
    *("logprobs", "prompt_logprobs", "logprob_token_ids", "flat_logprobs"),  # TRL reads those of the sampled tokens
)


def trainer_problems(args: GRPOConfig | SFTConfig) -> list[str]:
    """Impossible values of options that GRPO and imitation share."""
    workers, noise = args.dataloader_num_workers, args.neftune_noise_alpha
    saves, precision = args.save_strategy == "steps", args.mixed_precision
    possible = {
        "bf16": (
            args.bf16 or args.fp16 or precision == "no",
            f"true, or launch with --mixed_precision no: the launch configuration says {precision}, which would count",
        ),
        "max_steps": (args.max_steps != 0, "1 or more, or -1 for num_train_epochs"),
        "num_train_epochs": (args.max_steps > 0 or args.num_train_epochs > 0, "more than 0"),
        "save_steps": (not saves or args.save_steps > 0, "more than 0, or save_strategy: no"),
        "eval_steps": (args.eval_steps is None or args.eval_steps > 0, "more than 0"),
        "save_only_model": (not args.save_only_model, "false: without the optimizer's state a run can't be resumed"),
        "weight_decay": (args.weight_decay >= 0, "0 or more"),
        "trust_remote_code": (not args.trust_remote_code, "false: code from a model's repository is never run here"),
        "deepspeed": (args.deepspeed is None, "a launch configuration instead, such as accelerate_configs/zero3.yaml"),
        "dataloader_num_workers": (workers >= 0, "0 or more"),
        "dataloader_persistent_workers": (not args.dataloader_persistent_workers or workers > 0, "false without workers"),
        "dataloader_prefetch_factor": (args.dataloader_prefetch_factor is None or workers > 0, "null without workers"),
        "eval_accumulation_steps": (args.eval_accumulation_steps is None or args.eval_accumulation_steps >= 1, "1 or more"),
        "neftune_noise_alpha": (noise is None or noise >= 0, "0 or more"),
    }
    known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
    unknown = [name for name in args.report_to if name not in INTEGRATION_TO_CALLBACK]
    return messages(args, possible) + [f"report_to: {name} is unknown: use none, or some of {known}." for name in unknown]


def missing_trackers(args: TrainingArguments) -> list[str]:
    """The trackers that are not installed on this machine."""
    there = {*get_available_reporting_integrations(), "azure_ml", "flyte"}  # of the last two it does not know
    missing = [name for name in args.report_to if name in INTEGRATION_TO_CALLBACK and name not in there]
    return [f"report_to: {name} is not installed: pip install {name}." for name in missing]


def grpo_problems(args: GRPOConfig) -> list[str]:
    """Impossible values of GRPOConfig."""
    high, delta, adaptive, cache = args.epsilon_high, args.delta, args.use_adaptive_entropy, args.cache_implementation
    clip_min, clip_max = args.vllm_importance_sampling_clip_min, args.vllm_importance_sampling_clip_max
    mask, aux = args.off_policy_mask_threshold, args.router_aux_loss_coef
    possible = {name: (getattr(args, name) in values, f"one of {', '.join(values)}") for name, values in CHOICES.items()}
    possible |= {
        "beta": (args.beta >= 0, "0 for no KL term, or more"),
        "epsilon": (args.epsilon >= 0, "0 or more"),
        "epsilon_high": (
            args.loss_type != "cispo" if high is None else high >= (args.loss_type == "cispo"),
            "1 or more with loss_type: cispo, which clips the weight itself (5 in arXiv:2506.13585), else 0 or more",
        ),
        "delta": (delta is None or delta > 1, "more than 1; TRL recommends more than 1 + epsilon"),
        "sapo_temperature_pos": (args.sapo_temperature_pos > 0, "more than 0"),
        "sapo_temperature_neg": (args.sapo_temperature_neg > 0, "more than 0"),
        **{
            name: (getattr(args, name) >= 0, "0 or more")
            for name in ("vespo_k_pos", "vespo_k_neg", "vespo_lambda_pos", "vespo_lambda_neg")
        },
        "top_entropy_quantile": (0 < args.top_entropy_quantile <= 1, "a share, more than 0 and up to 1"),
        "entropy_target": (not adaptive or args.entropy_target >= 0, "0 or more"),
        "entropy_coef_delta": (not adaptive or args.entropy_coef_delta > 0, "more than 0"),
        "entropy_coef_max": (not adaptive or args.entropy_coef_min <= args.entropy_coef_max, "entropy_coef_min or more"),
        "label_smoothing_factor": (args.label_smoothing_factor == 0, "0: this loss has no labels to smooth"),
        "sync_ref_model": (
            not args.sync_ref_model,
            "false: no checkpoint holds the reference, so a resumed run would measure KL from the first model again"
            if args.beta
            else "false without a KL term (beta: 0)",
        ),
        "ref_model_sync_steps": (args.ref_model_sync_steps >= 1, "1 or more"),
        "ref_model_mixup_alpha": (0 <= args.ref_model_mixup_alpha <= 1, "a share, from 0 to 1"),
        "router_aux_loss_coef": (aux is None or aux >= 0, "0 or more"),
        "off_policy_mask_threshold": (mask is None or mask >= 0, "0 or more"),
        "remove_unused_columns": (not args.remove_unused_columns, "false: the reward needs the solutions"),
        "pad_to_multiple_of": (
            args.pad_to_multiple_of is None or int(args.pad_to_multiple_of) >= 1,
            "1 or more, or leave it out",
        ),
        "cache_implementation": (
            cache is None or cache in (*ALL_CACHE_IMPLEMENTATIONS, "paged"),
            f"one of {', '.join(ALL_CACHE_IMPLEMENTATIONS)}",
        ),
        "num_completions_to_print": (args.num_completions_to_print is None or args.num_completions_to_print > 0, "1 or more"),
        "vllm_server_timeout": (args.vllm_server_timeout > 0, "seconds, more than 0"),
        "vllm_importance_sampling_clip_max": (clip_max is None or clip_max > 0, "more than 0"),
        "vllm_importance_sampling_clip_min": (clip_min is None or 0 <= clip_min <= (clip_max or clip_min), "0 to clip_max"),
        "vllm_gpu_memory_utilization": (0 < args.vllm_gpu_memory_utilization <= 1, "a share, more than 0 and up to 1"),
    }
    problems = messages(args, possible)
    for name in args.generation_kwargs or {}:
        if name in NOT_TAKEN:
            problems.append(
                f"generation_kwargs holds {name}, which is not supported there: leave it out (it may be an option)."
            )
        elif not args.use_vllm and not hasattr(GenerationConfig(), name) and name != "repetition_detection":  # which is vLLM's
            problems.append(f"generation_kwargs holds {name}, which Transformers' generation does not know: leave it out.")
        elif args.use_vllm and not is_sampling_parameter(name):
            problems.append(f"generation_kwargs holds {name}, which vLLM's SamplingParams does not know: leave it out.")
    return problems


def is_sampling_parameter(name: str) -> bool:
    """Whether vLLM's SamplingParams takes it; where vLLM is not installed, that is not known, and it counts as one."""
    from trl.generation import vllm_generation  # imports vLLM, where it is installed

    known = getattr(vllm_generation, "SamplingParams", None)
    return known is None or (name in signature(known).parameters and not name.startswith("_"))


def lora_problems(args: ModelConfig) -> list[str]:
    """Impossible values of LoRA's options."""
    if not args.use_peft:
        return []
    possible = {
        "lora_r": (args.lora_r >= 1, "1 or more"),
        "lora_alpha": (args.lora_alpha > 0, "more than 0: it multiplies the adapter"),
        "lora_dropout": (0 <= args.lora_dropout < 1, "a share, from 0 to less than 1"),
        "lora_task_type": (args.lora_task_type == "CAUSAL_LM", "CAUSAL_LM"),
    }
    return messages(args, possible)


def messages(args: object, possible: dict[str, tuple[bool, str]]) -> list[str]:
    """A sentence for each option whose value is not possible.

    Args:
        possible: for each option whether its value is, and what to use instead.
    """
    return [f"{name}: {getattr(args, name)} is impossible: use {fix}." for name, (fits, fix) in possible.items() if not fits]
