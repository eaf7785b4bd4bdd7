"""What the code finds out about the machine it runs on."""

import pytest
import torch
from trl import GRPOConfig, SFTConfig

from recipes.machine import has_bfloat16, too_many_gpus, warn_of_slow_bfloat16


@pytest.fixture
def cpu(monkeypatch):
    """Makes this CPU one with these capabilities."""
    return lambda **capabilities: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_which_cpus_have_instructions_for_bfloat16(cpu, capabilities, expected):
    cpu(**capabilities)
    assert has_bfloat16() == expected


def test_capabilities_have_the_names_that_are_asked_for():
    known = {"amx_bf16", "avx512_bf16"} if torch.cpu.get_capabilities()["architecture"] == "x86_64" else {"bf16"}
    assert known <= set(torch.cpu.get_capabilities())


@pytest.mark.parametrize("config", [GRPOConfig, SFTConfig])
@pytest.mark.parametrize(("bf16", "fast", "warned"), [(True, False, True), (True, True, False), (False, False, False)])
def test_bfloat16_on_a_cpu_without_it_gets_a_warning(cpu, capsys, tmp_path, config, bf16, fast, warned):
    cpu(avx512_bf16=fast)
    warn_of_slow_bfloat16(config(str(tmp_path), use_cpu=True, bf16=bf16))
    assert ("--bf16 false is several times as fast" in capsys.readouterr().out) == warned


@pytest.mark.parametrize("config", [GRPOConfig, SFTConfig])
def test_one_process_that_sees_several_gpus_is_refused(monkeypatch, tmp_path, config):
    args = config(str(tmp_path), use_cpu=True, bf16=False)
    assert not too_many_gpus(args)
    monkeypatch.setattr(args, "_n_gpu", 8)
    (problem,) = too_many_gpus(args)
    assert problem.startswith("this process sees 8 GPUs and trains on one: set CUDA_VISIBLE_DEVICES=0, or start a process on")
