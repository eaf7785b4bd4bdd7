"""Run recipes/grpo.py with what only tests need; used by tests/test_rehearsal.py.

  accelerate launch … tests/on_cpu.py --config recipes/qwen2.5-14b.yaml …

With --stale, vLLM keeps the weights that it started with: the negative control of weight sync. And a model in 4 bits trains
on any CPU: for inference, bitsandbytes repacks weights where the CPU has AVX512-BF16, and cannot train then.
"""

import runpy
import sys
from importlib.util import find_spec

from trl.generation import vllm_generation

if __name__ == "__main__":
    if find_spec("bitsandbytes"):
        import bitsandbytes

        bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
    if "--stale" in sys.argv:
        sys.argv.remove("--stale")
        vllm_generation.VLLMGeneration.sync_weights = lambda self: None
    runpy.run_path("recipes/grpo.py", run_name="__main__")
