"""Run recipes/grpo.py unchanged on vLLM's CPU build, which needs two workarounds; used by tests/test_rehearsal.py.

  accelerate launch … tests/on_cpu.py --config recipes/qwen2.5-14b.yaml …

That build repacks the weights of linear layers and convolutions for speed (oneDNN, AMX, zentorch), after which the trainer's
can no longer be loaded into them: here they are not repacked. And it runs a float32 model in bfloat16 by default, which TRL
has no option to change: here vLLM gets the trainer's --dtype.
"""

import runpy
import sys
from importlib.util import find_spec

import torch
from trl.generation import vllm_generation
from vllm import LLM
from vllm._custom_ops import cpu_prepack_moe_weight
from vllm.model_executor.layers import utils
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
from vllm.model_executor.layers.linear import LinearBase
from vllm.platforms.cpu import CpuPlatform


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
                "the trainer's cannot be loaded into them: turn that off in tests/on_cpu.py."
            )
    return llm


def prepare(dtype: str) -> None:
    """Have TRL start vLLM so that it computes in this dtype and can be given weights."""
    utils.dispatch_cpu_unquantized_gemm = keep
    keep_convolutions()
    keep_experts()
    vllm_generation.LLM = lambda **options: start(**options, dtype=dtype)


if __name__ == "__main__":
    prepare(sys.argv[len(sys.argv) - sys.argv[::-1].index("--dtype")])  # what follows the last one
    if find_spec("bitsandbytes"):  # for inference it repacks weights too, where the CPU has AVX512-BF16, and cannot train then
        import bitsandbytes

        bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
    if "--stale" in sys.argv:  # the negative control: vLLM keeps the weights that it started with
        sys.argv.remove("--stale")
        vllm_generation.VLLMGeneration.sync_weights = lambda self: None
    runpy.run_path("recipes/grpo.py", run_name="__main__")
