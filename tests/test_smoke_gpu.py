"""The checks for a new GPU, on the CPU with a tiny model: they pass, and they fail where something is wrong."""

import json

import pytest
import torch
import transformers

from recipes import attention, smoke_gpu
from tests import in_process
from tests.test_attention import stand_in


@pytest.fixture(autouse=True)
def restore_verbosity():
    verbosity = transformers.logging.get_verbosity()
    yield
    transformers.logging.set_verbosity(verbosity)


def smoke(folder, *options):
    """The finished command, and its checks by name."""
    file = folder / "smoke.json"
    done = in_process.run(smoke_gpu.main, "--output", file, *options)
    return done, {check["name"]: check for check in json.loads(file.read_text())["checks"]} if file.exists() else {}


def test_the_checks_of_a_step_pass_on_a_cpu(tmp_path):
    done, checks = smoke(tmp_path, "--device", "cpu", "--parts", "environment", "exactness", "training", "generation", "vllm")
    assert done.returncode == 0, done.stdout
    exactness, speed = ["OK"] * 4, ["measured"] * 4
    assert [check["result"] for check in checks.values()] == ["measured", *exactness, *speed, "not run"]
    assert checks["4 completions of 20 tokens, Transformers"]["measured"]["tokens_per_second"] > 0
    assert checks["a step, packed"]["measured"]["tflops"] > 0
    assert checks["packed float32 against stock"]["measured"]["gradient"] < 1e-5
    assert checks["a step, stock"]["measured"]["tokens"] > 2 * checks["a step, packed"]["measured"]["tokens"]
    assert "0 NOT OK, 1 not run" in done.stdout


def test_forward_and_backward_use_the_same_kernel(tmp_path, monkeypatch):
    """As on a GPU, where the loop is asked for although there is a kernel for one call per layer."""
    monkeypatch.setattr(attention, "varlen_attn", stand_in)
    monkeypatch.setattr(attention, "has_varlen_kernel", lambda query: True)
    done, checks = smoke(tmp_path, "--device", "cpu", "--parts", "exactness")
    assert done.returncode == 0, done.stdout
    assert checks["packed bfloat16, a call per completion"]["result"] == "OK"


def test_wrong_attention_and_an_error_are_not_ok(tmp_path, monkeypatch):
    def leaks(query, key, value, packed, *others):
        return looped(query, key, value, [(prefix, [sum(completions)]) for prefix, completions in packed], *others)

    looped = attention._looped_attention
    monkeypatch.setattr(attention, "_looped_attention", leaks)
    monkeypatch.setitem(smoke_gpu.PARTS, "training", lambda report, args: 1 / 0)
    done, checks = smoke(tmp_path, "--device", "cpu", "--parts", "exactness", "training")
    assert done.returncode == 1
    assert checks["packed float32 against stock"]["result"] == "NOT OK"
    assert "ZeroDivisionError" in checks["runs without an error"]["found"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_clear_line(tmp_path):
    done, checks = smoke(tmp_path)
    assert (done.returncode, checks) == (1, {})
    assert done.stderr == "There is no CUDA GPU here. To run the same checks on the CPU with a tiny model, add --device cpu."


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--model", "/nope"), "--model '/nope' is neither a folder with a model nor one that the Hub has"),
        (("--output", "."), "--output . is a folder: name a file, such as smoke-gpu.json."),
        (("--output", "README.md/smoke.json"), "README.md/smoke.json.runs: Not a directory. --output must be a file in"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(monkeypatch, tmp_path, options, complaint):
    monkeypatch.setattr(smoke_gpu, "hub_is_unreachable", lambda: True)
    done, checks = smoke(tmp_path, "--device", "cpu", *options)
    assert (done.returncode, done.stdout, checks) == (1, "", {})
    assert done.stderr.startswith(f"recipes/smoke_gpu.py: {complaint}")
    assert "\n" not in done.stderr


def test_a_folder_next_to_the_output_is_left_alone(tmp_path):
    (tmp_path / "smoke").mkdir()
    assert smoke(tmp_path, "--device", "cpu", "--parts", "environment")[0].returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smoke", "smoke.json"]


@pytest.mark.slow
def test_grpo_resumes_to_the_same_weights(tmp_path):
    done, checks = smoke(tmp_path, "--device", "cpu", "--parts", "grpo")
    assert done.returncode == 0, done.stdout
    assert checks["stopped after two steps and resumed"]["found"] == "rewards equal, weights equal"
