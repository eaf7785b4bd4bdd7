"""The sets of versions: the same for a GPU, for a laptop and for the rehearsals, and those that are installed here."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pins(name):
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in (ROOT / name).read_text().splitlines())
    pairs = [line.split("==") for line in lines if line and line != "-e ."]
    assert all(len(pair) == 2 for pair in pairs), f"{name} has a line that pins no version"
    return {re.sub(r"[-_.]+", "-", package).lower(): number for package, number in pairs}


GPU, CPU, VLLM = pins("requirements.txt"), pins("requirements-cpu.txt"), pins("requirements-vllm-cpu.txt")


def test_gpu_and_cpu_have_the_same_versions():
    assert {package: number for package, number in GPU.items() if package != "vllm"} == CPU
    assert VLLM["vllm-cpu"] == GPU["vllm"]
    assert {"trl", "transformers", "accelerate", "peft", "deepspeed", "datasets", "ortools", "trackio"} <= set(CPU)


def test_no_set_contradicts_another():
    for package in VLLM.keys() & CPU.keys():
        assert VLLM[package] == CPU[package]


@pytest.mark.parametrize("package", sorted(CPU))
def test_what_is_installed_is_what_is_pinned(package):
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed on this platform")
    assert installed.partition("+")[0] == CPU[package]
