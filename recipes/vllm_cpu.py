"""vLLM's CPU build, generating for a trainer in the same process (`vllm_mode: colocate`), which needs two workarounds.

That build repacks the weights of linear layers for speed (oneDNN, AMX, zentorch), after which the trainer's weights can no
longer be loaded into them: here they are not repacked. And TRL has no option for the precision in which vLLM computes: here it
is the trainer's own. `make rehearse` and `make train-smol` run it; import it only where vLLM is installed.
"""

from __future__ import annotations

import os

import torch
from trl.generation import vllm_generation
from vllm import LLM
from vllm.model_executor.layers import utils
from vllm.model_executor.layers.linear import LinearBase

ENVIRONMENT = {  # unless set
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; the default is half of the machine's memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # leave the trainer all threads
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "TORCH_COMPILE_DISABLE": "1",
}
repack = utils.dispatch_cpu_unquantized_gemm


def prepare(**options) -> None:
    """Have TRL start vLLM on the CPU with these options, in addition to TRL's own."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    utils.dispatch_cpu_unquantized_gemm = keep
    vllm_generation.LLM = lambda **others: start(**others | options)


def keep(layer: torch.nn.Module, remove_weight: bool) -> None:
    """Use PyTorch's own matrix product instead of vLLM's choice with repacked weights."""
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear
    else:  # a convolution, whose kernel needs packed weights
        repack(layer, remove_weight)


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
