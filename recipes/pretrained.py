"""The model that a run starts from, without its weights: config, tokenizer, dtype, number of parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from huggingface_hub import constants, get_session
from peft import get_peft_model
from peft.tuners.lora.layer import ParamWrapper
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl import ModelConfig, get_peft_config


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


def context_length(config: PreTrainedConfig) -> float:
    """The most tokens that the text model can process; infinite if its config names no limit, as Mamba's, Bloom's and MPT's."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or math.inf


def load_config(model_args: ModelConfig, offline: bool) -> PreTrainedConfig:
    """The model's config, from a folder, the cache, or the Hub.

    Raises:
        ValueError: if there is no such model.
    """
    name = model_args.model_name_or_path
    if not name:
        raise ValueError("model_name_or_path is missing: give a folder, or a model's id on the Hub.")
    try:
        revision = model_args.model_revision
        return AutoConfig.from_pretrained(name, revision=revision, local_files_only=offline, trust_remote_code=False)
    except (OSError, ValueError) as error:
        refuse_own_code(name, error)
        if Path(name).is_dir():
            raise ValueError(f"model_name_or_path {name!r} has no config that can be read: {error}") from None
        why = "the Hub is unreachable, and it is not in the cache" if offline else str(error).splitlines()[0]
        raise ValueError(
            f"model_name_or_path {name!r} is neither a folder with a model nor one that the Hub has ({why}). Check the "
            "spelling; for a private one: hf auth login."
        ) from None


def load_tokenizer(model_args: ModelConfig, offline: bool) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer, or None if it has none.

    Raises:
        ValueError: if it can't be read.
    """
    name, revision = model_args.model_name_or_path, model_args.model_revision
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=offline, trust_remote_code=False)
    except OSError:
        return None
    except Exception as error:  # from whichever parser reads its files
        refuse_own_code(name, error)
        raise ValueError(f"model_name_or_path {name!r} has a tokenizer that can't be read ({error}).") from None


def refuse_own_code(name: str, error: Exception) -> None:
    """Raise a ValueError if this error is Transformers' refusal to run code from a model's repository.

    It refuses where trust_remote_code is False; where that is left out, it asks in a terminal, and a "y" runs the code.
    """
    if "trust_remote_code" in str(error):
        raise ValueError(
            f"model_name_or_path {name!r} needs Python code from its own repository, which is never run here: use a model "
            "whose class is part of Transformers."
        ) from None


def weight_dtype(config: PreTrainedConfig, model_args: ModelConfig) -> torch.dtype:
    """The dtype that the weights are loaded in: TRL's default is float32, and "auto" is the checkpoint's own."""
    dtype = model_args.dtype or "float32"
    if dtype == "auto":
        dtype = config.dtype or "bfloat16"  # nearly every config without a dtype belongs to a bfloat16 checkpoint
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        total: of the model, all experts included.
        trained: of the model, or of LoRA.
        largest: of the largest module.
        bytes_each: of one as it is loaded, on average.
        active: those that a token passes through.
        trains_experts: whether the weights of experts are trained or adapted.
    """

    total: int
    trained: int
    largest: int
    bytes_each: float
    active: int
    trains_experts: bool


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


def count_parameters(config: PreTrainedConfig, model_args: ModelConfig) -> Parameters:
    """Counted on a model without storage, LoRA by attaching it.

    With `load_in_4bit` a weight of a linear layer but the head takes half a byte, and a scale in float32 for 64 of them 4 bytes
    (QLoRA, arXiv:2305.14314, section 3, without double quantization).

    Raises:
        ValueError: if Transformers has no class for the model, LoRA cannot be attached, or the config does not say how many of
            the experts a token passes through.
    """
    text = config.get_text_config()
    with torch.device("meta"):  # not through from_config, which under ZeRO-3 partitions parameters that have no storage
        model = model_class(config)(config)
    total = trained = sum(p.numel() for p in model.parameters())
    largest = max(sum(p.numel() for p in module.parameters(recurse=False)) for module in model.modules())
    experts = [p for name, p in model.named_parameters() if "experts" in name and p.ndim == 3]  # (experts, …, …)
    count, chosen = experts_per_token(text)
    if experts and not (chosen and {len(p) for p in experts} == {count}):
        raise ValueError(
            f"the parameters that a token passes through can't be counted: of the {len(experts[0])} experts in a layer of "
            f"{text.model_type}, the config names {chosen} of {count}. To train without a plan: --start_anyway."
        )
    inactive = sum(p.numel() for p in experts) * (count - chosen) // count if experts else 0
    bytes_each = weight_dtype(config, model_args).itemsize
    if model_args.load_in_4bit:
        linear = (m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head")
        bytes_each -= (bytes_each - 1 / 2 - 4 / 64) * sum(m.weight.numel() for m in linear) / total
    trains_experts = bool(experts)
    if model_args.use_peft:
        try:
            with torch.device("meta"):
                model = get_peft_model(model, get_peft_config(model_args))
        except ValueError as error:
            raise ValueError(f"LoRA can't be attached: {error}") from None
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        trains_experts = any(m.num_experts > 1 for m in model.modules() if isinstance(m, ParamWrapper))
    return Parameters(total, trained, largest, bytes_each, total - inactive, trains_experts)


def experts_per_token(text: PreTrainedConfig) -> tuple[int, int]:
    """The experts of a layer, and those of them that a token passes through; 0 where the config does not say."""
    names = (("num_local_experts", "num_experts", "n_routed_experts"), ("num_experts_per_tok", "top_k_experts"))
    return tuple(next((n for name in options if (n := getattr(text, name, None))), 0) for options in names)
