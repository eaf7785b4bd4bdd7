"""`make train-tiny` delivers what the README promises, on a seed that nothing was tuned on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_grpo_lifts_held_out_accuracy_beyond_what_imitation_does():
    seed = 20261122
    folder = ROOT / "outputs" / "tiny-cpu"
    shutil.rmtree(folder / f"seed-{seed}", ignore_errors=True)
    run = subprocess.run(
        [sys.executable, "recipes/tiny/train_tiny.py", "--seed", str(seed)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "after GRPO" in run.stdout
    result = json.loads((folder / "result.json").read_text())
    assert (result["seed"], result["wall_seconds"] < 600) == (seed, True)
    before, after, control = (result[key] for key in ("before", "after", "sft_control"))
    assert result["n"] >= 200
    assert after["sampled"] - before["sampled"] >= 0.20
    assert after["sampled"] - after["sampled_interval"] > max(before["sampled"], control["sampled"])
    assert result["seconds"]["control"] >= result["seconds"]["GRPO"]
    assert (folder / "learning-curve.png").stat().st_size > 10_000
