"""Runs recipes/grpo.py as it is, with what vLLM's CPU build needs for it: see tests/test_rehearsal.py.

  accelerate launch … tests/on_cpu.py --config recipes/qwen2.5-14b.yaml …

That build repacks the weights of linear layers for oneDNN, after which the trainer's can no longer be loaded into them; and
it takes a model of float32 in bfloat16 unless it is told not to, which TRL has no option for. vLLM gets the trainer's --dtype.
"""

import functools
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import vllm._custom_ops
from trl.generation import vllm_generation

dtype = sys.argv[len(sys.argv) - sys.argv[::-1].index("--dtype")]  # what follows the last one
vllm._custom_ops._supports_onednn = False
vllm_generation.LLM = functools.partial(vllm_generation.LLM, dtype=dtype)

if "--stale" in sys.argv:  # the negative control: vLLM keeps the weights that it started with
    sys.argv.remove("--stale")
    vllm_generation.VLLMGeneration.sync_weights = lambda self: None

runpy.run_path("recipes/grpo.py", run_name="__main__")
