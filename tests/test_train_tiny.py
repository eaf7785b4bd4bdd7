"""`make train-tiny` delivers what the README promises, on a seed that nothing was tuned on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_grpo_beats_the_base_its_greedy_answers_and_more_imitation():
    seed = 20261126
    folder = ROOT / "outputs" / "tiny-cpu"
    shutil.rmtree(folder / f"seed-{seed}", ignore_errors=True)
    run = subprocess.run(
        [sys.executable, "recipes/tiny/train_tiny.py", "--seed", str(seed)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "after GRPO" in run.stdout
    result = json.loads((folder / "result.json").read_text())
    assert (result["seed"], result["n"], result["samples"]) == (seed, 400, 16)
    base, after, control = (result[key] for key in ("base", "after", "control"))
    assert after["sampled"] - base["sampled"] >= 0.08
    assert after["sampled"] > base["greedy"]
    assert after["sampled"] - control["sampled"] >= 0.05
    assert (folder / "learning-curve.png").stat().st_size > 10_000
