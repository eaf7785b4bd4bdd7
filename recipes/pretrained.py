"""The model that a run starts from, without its weights: config, tokenizer, dtype, number of parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import transformers
from huggingface_hub import constants, get_session
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl import ModelConfig


def hub_is_unreachable() -> bool:
    """Whether the Hub can't be reached: known within seconds, while downloads would try for half a minute.

    Asked through the Hub's own client, which goes through HTTPS_PROXY where it is set.
    """
    if constants.is_offline_mode():
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=3)
        return False
    except Exception:  # from whichever HTTP library the Hub's client uses
        return True


def load_config(model_args: ModelConfig, offline: bool) -> PreTrainedConfig:
    """The model's config, from a folder, the cache, or the Hub.

    Raises:
        ValueError: if there is no such model.
    """
    name = model_args.model_name_or_path
    if not name:
        raise ValueError("model_name_or_path is missing: give a folder, or a model's id on the Hub.")
    try:
        return AutoConfig.from_pretrained(name, revision=model_args.model_revision, local_files_only=offline)
    except (OSError, ValueError) as error:
        why = "the Hub is unreachable, and it is not in the cache" if offline else str(error).splitlines()[0]
        raise ValueError(
            f"model_name_or_path {name!r} is neither a folder with a model nor one that the Hub has ({why}). Check the "
            "spelling; for a private one: hf auth login."
        ) from None


def load_tokenizer(model_args: ModelConfig, offline: bool) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer, or None if it can't be loaded."""
    name, revision = model_args.model_name_or_path, model_args.model_revision
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=offline)
    except OSError:
        return None


def weight_dtype(config: PreTrainedConfig, model_args: ModelConfig) -> torch.dtype:
    """The dtype that the weights are loaded in: TRL's default is float32, and "auto" is the checkpoint's own."""
    dtype = model_args.dtype or "float32"
    if dtype == "auto":
        dtype = config.dtype or "bfloat16"  # nearly every config without a dtype belongs to a bfloat16 checkpoint
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters: of the model, of those that are trained, and of the largest module; bytes of one as loaded."""

    total: int
    trained: int
    largest: int
    bytes_each: int = 2


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that TRL loads a model of this config as: the one that the config names, with a vision tower if it has one.

    Raises:
        ValueError: if Transformers has no such class.
    """
    named = getattr(transformers, (config.architectures or [""])[0], None)
    if found := named or MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None):
        return found
    raise ValueError(
        f"a {config.model_type} model of {config.architectures} can't be counted: Transformers {transformers.__version__} has "
        "no class of it that writes text. Use another model."
    )


def has_adapter(name: str, targets: str | list[str] | None) -> bool:
    """Whether LoRA on these targets adapts the linear layer with this name, as PEFT decides."""
    if not targets or targets == "all-linear":
        return name != "lm_head"
    if isinstance(targets, str):  # a pattern
        return bool(re.fullmatch(targets, name))
    return any(name == target or name.endswith(f".{target}") for target in targets)


def count_parameters(config: PreTrainedConfig, model_args: ModelConfig) -> Parameters:
    """Counted on a model without storage; LoRA has r rows and r columns for each linear layer that it adapts.

    Raises:
        ValueError: if Transformers has no class for the model.
    """
    with torch.device("meta"):  # not through from_config, which under ZeRO-3 partitions parameters that have no storage
        model = model_class(config)(config)
    total = trained = sum(p.numel() for p in model.parameters())
    largest = max(sum(p.numel() for p in module.parameters(recurse=False)) for module in model.modules())
    if model_args.use_peft:
        named = [(name, m) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
        linear = [m for name, m in named if has_adapter(name, model_args.lora_target_modules)]
        trained = sum(model_args.lora_r * (m.in_features + m.out_features) for m in linear)
    return Parameters(total, trained, largest, weight_dtype(config, model_args).itemsize)
