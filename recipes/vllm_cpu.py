"""vLLM's CPU build, in the same process: for the trainer (`vllm_mode: colocate`), which needs two workarounds, and for scores.

That build repacks the weights of linear layers, convolutions and experts for speed (oneDNN, AMX, zentorch), after which the
trainer's can no longer be loaded into them: here they are not repacked. And TRL has no option for the precision in which vLLM
computes: here it is the trainer's own. Import this only where vLLM is installed; on a GPU none of it is needed.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import torch
from trl.generation import vllm_generation
from vllm import LLM, SamplingParams
from vllm._custom_ops import cpu_prepack_moe_weight
from vllm.model_executor.layers import utils
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
from vllm.model_executor.layers.linear import LinearBase
from vllm.platforms.cpu import CpuPlatform

from recipes.machine import VLLM_CPU_ENVIRONMENT, has_bfloat16

ENVIRONMENT = VLLM_CPU_ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCH_COMPILE_DISABLE": "1"}


def prepare(**options) -> None:
    """Have TRL start vLLM with these options in addition to its own, so that it can be given weights."""
    set_environment()
    utils.dispatch_cpu_unquantized_gemm = keep
    keep_convolutions()
    keep_experts()
    vllm_generation.LLM = lambda **others: start(**others, **options)


def set_environment() -> None:
    """Set what is not set; vLLM reads it when it starts."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def keep(layer: torch.nn.Module, remove_weight: bool) -> None:
    """Use PyTorch's own matrix product and convolution instead of vLLM's choice with repacked weights."""
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear


def keep_convolutions() -> None:
    """Have vLLM take PyTorch's convolution, as on a CPU without AVX512-BF16, for which its own repacks and knows no float32."""
    CpuPlatform.import_kernels = lambda *_: None  # they are loaded, and those for such a CPU would be loaded beside them
    torch.cpu._is_avx512_bf16_supported = lambda: False


def keep_experts() -> None:
    """Have the experts' weights packed for their kernel whenever it runs, not once: what is loaded later would be lost."""
    apply = CPUUnquantizedExperts.apply

    def pack_and_apply(self, *, w1: torch.Tensor, w2: torch.Tensor, **arguments) -> None:
        apply(self, w1=cpu_prepack_moe_weight(w1, self.isa), w2=cpu_prepack_moe_weight(w2, self.isa), **arguments)

    CPUUnquantizedExperts.apply = pack_and_apply
    CPUUnquantizedExperts.process_weights_after_loading = lambda self, layer: None


def product_of(layer: LinearBase) -> str:
    """The name of a layer's matrix product."""
    product = getattr(layer, "cpu_linear", layer.quant_method)
    code = getattr(product, "__code__", None)
    return ".".join(code.co_names) if code else repr(product)


def start(**options) -> LLM:
    """vLLM with linear layers that the trainer's weights can be loaded into.

    Raises:
        RuntimeError: if they cannot be loaded, naming the layers and their matrix product.
    """
    llm = LLM(**options)
    for model in llm.apply_model(lambda model: model):
        lost = {
            name: product_of(layer)
            for name, layer in model.named_modules()
            if isinstance(layer, LinearBase) and not hasattr(layer.weight, "weight_loader")
        }
        if lost:
            name, product = next(iter(lost.items()))
            raise RuntimeError(
                f"vLLM has repacked the weights of {len(lost)} linear layers, such as {name} (for {product}), so "
                "the trainer's cannot be loaded into them: turn that off in recipes/vllm_cpu.py, or use use_vllm: false."
            )
    return llm


# ---------------------------------------------------------------- scores


def generate_with_vllm(
    folder: Path, prompts: list[list[dict]], seed: int, samples: int, max_tokens: int
) -> tuple[list[str], int]:
    """As `generate_with_transformers` in recipes/runs.py, but each prompt is computed once, in this CPU's faster precision."""
    sampling = SamplingParams(n=max(samples, 1), temperature=float(samples > 0), max_tokens=max_tokens)
    outputs = [completion for prompt in engine(folder, seed).chat(prompts, sampling) for completion in prompt.outputs]
    return [completion.text for completion in outputs], sum(len(completion.token_ids) for completion in outputs)


@lru_cache(maxsize=1)
def engine(folder: Path, seed: int) -> LLM:
    """vLLM with this model."""
    set_environment()
    dtype = "bfloat16" if has_bfloat16() else "float32"
    return LLM(f"{folder}", dtype=dtype, seed=seed, enforce_eager=True, generation_config="vllm", disable_log_stats=True)
