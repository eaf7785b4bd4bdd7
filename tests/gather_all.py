"""Run a script with DeepSpeed's ZeRO-3 gathering every weight, as with large models; used by tests/test_rehearsal.py.

  accelerate launch … tests/gather_all.py recipes/grpo.py --config recipes/qwen2.5-14b.yaml …

By default DeepSpeed keeps parameters of fewer than 1e5 elements whole on each process, which are all of the tiny model's.
"""

import runpy
import sys

from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

if __name__ == "__main__":
    DeepSpeedZeroConfig.model_fields["param_persistence_threshold"].default = 0
    DeepSpeedZeroConfig.model_rebuild(force=True)
    sys.argv.pop(0)
    runpy.run_path(sys.argv[0], run_name="__main__")
