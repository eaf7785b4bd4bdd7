"""A fresh virtual environment with this repository's packages in it, for tests of what is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import tracked

ROOT = Path(__file__).parents[1]


def run(*command, cwd, **variables):
    """The output of a command that must succeed, without this checkout on its path."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=env | variables, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_venv(folder):
    """A new environment in a folder, and a copy of this repository's source beside it. Returns its Python and the copy."""
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    probe = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0", "--dest", folder, "setuptools>=77"]
    if (done := subprocess.run(probe, cwd=folder, capture_output=True, text=True, timeout=300)).returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip()[-300:]}")
    source = folder / "source"  # a build leaves files behind
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    return python, source
