"""Serving with vLLM: the flags for an adapter, adapters that it cannot serve, and the reason if it does not start."""

import ast
import json
import os
import re
import signal
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import httpx
import psutil
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes import ROOT
from recipes.evaluation import serving
from recipes.evaluation.serving import RANKS, base_and_rank, failure_reason, reach_without_proxy, serve, with_uniform_scale
from recipes.machine import VLLM_CPU_ENVIRONMENT
from tests.hub import local_hub
from tests.test_rehearsal import needs_vllm

BASE = ROOT / "recipes" / "tiny" / "tiny-base"
PATTERNS = {
    "rank_pattern": {"q_proj": 40, "layers.1.mlp.up_proj": 3},
    "alpha_pattern": {"q_proj": 7, "^model.layers.0.*v_proj": 90},
}


def adapter_of(folder, **config):
    """An adapter of the tiny model whose B is not zero, so that it has an effect."""
    torch.manual_seed(0)
    config = {"r": 24, "lora_alpha": 48, "target_modules": "all-linear"} | config
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), LoraConfig(**config))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.03)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(BASE).save_pretrained(folder)
    return model


def edited(folder, **changes):
    """The folder of an adapter with only its configuration in it."""
    config = LoraConfig(r=8, base_model_name_or_path="Qwen/Qwen2.5-14B-Instruct").to_dict()
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config | changes, default=list))
    return folder


@needs_vllm
def test_the_ranks_are_those_of_the_installed_vllm():
    source = (Path(find_spec("vllm").origin).parent / "config" / "lora.py").read_text()
    (literal,) = [node.value.slice for node in ast.parse(source).body if "MaxLoRARanks" in ast.unparse(node)[:13]]
    assert ast.literal_eval(literal) == RANKS


@pytest.mark.parametrize(
    ("r", "pattern", "wanted"),
    [
        *((r, {}, wanted) for r, wanted in ((1, 1), (2, 8), (8, 8), (24, 32), (33, 64), (257, 320), (512, 512))),
        (8, {"q_proj": 40}, 64),
        (64, {"q_proj": 2}, 64),
        (8, {"q_proj": 9, "up_proj": 300}, 320),
        (8, None, 8),
    ],
)
def test_the_rank_is_rounded_up_to_one_that_vllm_accepts(tmp_path, r, pattern, wanted):
    assert base_and_rank(edited(tmp_path, r=r, rank_pattern=pattern)) == ("Qwen/Qwen2.5-14B-Instruct", wanted)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"r": 513}, "a rank of 513, more than 512"),
        ({"rank_pattern": {"q_proj": 1024}}, "a rank of 1024, more than 512"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias: all"),
        ({"lora_bias": True, "bias": "lora_only"}, "bias: lora_only, lora_bias"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights: pissa_niter_4"),
        ({"init_lora_weights": "OLoRA"}, "init_lora_weights: olora"),
        ({"peft_type": "LOHA"}, "peft_type LOHA"),
        ({"base_model_name_or_path": None}, "names the base model '', which is not there"),
        ({"base_model_name_or_path": "outputs/sft/gone"}, "names the base model 'outputs/sft/gone', which is not there"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve_is_refused_before_vllm_starts(monkeypatch, tmp_path, changes, complaint):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("vLLM was started"))
    with (
        pytest.raises(ValueError, match=complaint) as error,
        serve(str(edited(tmp_path, **changes)), "mine", tmp_path / "log", []),
    ):
        pass
    assert ("merge_and_unload" in str(error.value)) == ("base" not in next(iter(changes)))


@pytest.mark.parametrize(
    ("changes", "rank"),
    [
        ({"r": 0}, 0),
        ({"r": "24"}, "24"),
        ({"r": None}, None),
        ({"rank_pattern": {"q_proj": "40"}}, "40"),
        ({"rank_pattern": [1]}, [1]),
    ],
)  # fmt: skip
def test_an_impossible_rank_is_named(tmp_path, changes, rank):
    with pytest.raises(ValueError, match=re.escape(f"adapter_config.json has the rank {rank!r}: r and rank_pattern must be")):
        base_and_rank(edited(tmp_path, **changes))


def test_an_incomplete_adapter_is_named(tmp_path):
    edited(tmp_path, alpha_pattern={"q_proj": 3})
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors is missing: save the adapter as safetensors"):
        with_uniform_scale(tmp_path, tmp_path)
    for text, complaint in (("{", "is not JSON"), ("[1]", r"holds \[1\] instead of a JSON object")):
        (tmp_path / "adapter_config.json").write_text(text)
        with pytest.raises(ValueError, match=rf"adapter_config\.json {complaint}"):
            base_and_rank(tmp_path)


@pytest.mark.parametrize(
    "changes", [{}, {"use_rslora": True}, PATTERNS, PATTERNS | {"use_rslora": True}, PATTERNS | {"lora_alpha": 0}]
)
def test_scales_that_differ_by_layer_become_one(tmp_path, changes):
    """Each layer's update under the one scale that vLLM knows equals what PEFT would merge."""
    model = adapter_of(tmp_path / "adapter", **changes)
    (tmp_path / "copy").mkdir()
    folder = with_uniform_scale(tmp_path / "adapter", tmp_path / "copy")
    assert (folder == tmp_path / "adapter") == ("rank_pattern" not in changes)
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
    weights = load_file(folder / "adapter_model.safetensors")
    layers = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
    assert len(layers) == 21
    for layer in layers:
        ours = scale * weights[f"{layer}.lora_B.weight"] @ weights[f"{layer}.lora_A.weight"]
        theirs = model.get_submodule(layer).get_delta_weight("default")
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


TRACEBACK = """\
({p} pid=41) ERROR 11-25 20:56:13 [core.py:1366] Traceback (most recent call last):
({p} pid=41) ERROR 11-25 20:56:13 [core.py:1366]   File "/site-packages/vllm/v1/engine/core.py", line 1328, in run_engine_core
({p} pid=41) ERROR 11-25 20:56:13 [core.py:1366]     engine_core = EngineCoreProc(*args, engine_index=dp_rank, **kwargs)
({p} pid=41) ERROR 11-25 20:56:13 [core.py:1366]                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
({p} pid=41) ERROR 11-25 20:56:13 [core.py:1366] {error}
"""
LAST = """\
(APIServer pid=40) Traceback (most recent call last):
(APIServer pid=40)   File "/site-packages/vllm/v1/engine/utils.py", line 1320, in wait_for_engine_startup
(APIServer pid=40)     raise RuntimeError(
(APIServer pid=40) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{'E': {code}}}
"""
BEFORE = """\
(APIServer pid=40) WARNING 11-25 20:55:30 [system_utils.py:299] This can cause fd limit errors like `OSError: [Errno 24]
(APIServer pid=40) INFO 11-25 20:55:31 [model.py:531] Resolved architecture: Qwen2ForCausalLM
"""
PYDANTIC = """\
(APIServer pid=40) Traceback (most recent call last):
(APIServer pid=40)   File "/site-packages/pydantic/_internal/_dataclasses.py", line 121, in __init__
(APIServer pid=40)     s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
(APIServer pid=40) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
(APIServer pid=40)   Value error, User-specified max_model_len (99999) is greater than the derived one [type=value_error]
(APIServer pid=40)     For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
CHAIN = """\
(APIServer pid=40) Traceback (most recent call last):
(APIServer pid=40)   File "/json/decoder.py", line 355, in raw_decode
(APIServer pid=40)     raise JSONDecodeError("Expecting value", s, err.value) from None
(APIServer pid=40) json.decoder.JSONDecodeError: Expecting value: line 2 column 1 (char 6)
(APIServer pid=40)
(APIServer pid=40) During handling of the above exception, another exception occurred:
(APIServer pid=40)
(APIServer pid=40) Traceback (most recent call last):
(APIServer pid=40)   File "/site-packages/transformers/configuration_utils.py", line 1032, in _get_config_dict
(APIServer pid=40)     raise OSError(f"It looks like the config file is not a valid JSON file.")
(APIServer pid=40) OSError: It looks like the config file at 'model/config.json' is not a valid JSON file.
"""
CUDA = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.02 GiB. GPU 0 has a total capacity of 79.11 GiB"
USAGE = "usage: api_server.py [-h] [--model MODEL]\n                     [model_tag]\n"


def crash(process, error, code=1):
    return BEFORE + TRACEBACK.format(p=process, error=error) * 2 + LAST.format(code=code)


@pytest.mark.parametrize(
    ("log", "code", "reason"),
    [
        (
            USAGE + "api_server.py: error: unrecognized arguments: --foo",
            2,
            "api_server.py: error: unrecognized arguments: --foo",
        ),
        (USAGE + "vllm serve: error: argument --dtype: invalid choice: 'x'", 2, "error: argument --dtype: invalid choice: 'x'"),
        (BEFORE + PYDANTIC, 1, "1 validation error for ModelConfig\n  Value error, User-specified max_model_len (99999)"),
        (BEFORE + CHAIN, 1, "(char 6)\nOSError: It looks like the config file at 'model/config.json'"),
        (crash("EngineCore", CUDA), 1, CUDA),
        (crash("Worker_TP1", "KeyError: 'lm_head.weight'"), 1, "KeyError: 'lm_head.weight'"),
        (crash("APIServer", "OSError: [Errno 98] Address already in use"), 1, "Address already in use"),
        (BEFORE + LAST.format(code=-9), 1, "it was killed by SIGKILL (out of memory?)."),
        (BEFORE, -signal.SIGKILL, "it was killed by SIGKILL (out of memory?)."),
        (BEFORE, -signal.SIGSEGV, "it was killed by SIGSEGV."),
        ("\x1b[31m(APIServer pid=4)\x1b[0m Traceback (most recent call last):\n  File\nKeyError: 'x'", 1, "KeyError: 'x'"),
        ("No module named vllm.entrypoints", 1, "it ended with code 1, and\nNo module named vllm.entrypoints"),
        ("", 3, "it ended with code 3, and\nan empty log."),
        ("vLLM dies\nTraceback (most recent call last):\n  File", 1, "it ended with code 1, and\nvLLM dies\nTraceback"),
        ((TRACEBACK.format(p="E", error="KeyError: 'x'") + "INFO\n" * 90) * 3000, 1, "KeyError: 'x'"),  # not quadratic
    ],
)
def test_the_log_of_a_server_that_did_not_start_gives_the_reason(log, code, reason):
    found = failure_reason(log, code)
    assert reason in found
    assert len(found.splitlines()) <= 4
    for noise in ("Traceback", "root cause", "^^^", "pid=", "usage:", "errors.pydantic", "WARNING"):
        assert noise not in found or reason.startswith("it ended")


@needs_vllm
def test_a_real_server_names_the_argument_that_is_wrong(tmp_path):
    with (
        pytest.raises(ValueError, match=r"vLLM did not start: api_server.py: error: unrecognized arguments: --no-such-flag\n"),
        serve(str(BASE), "tiny", tmp_path / "log", ["--no-such-flag", "3"]),
    ):
        pass


@pytest.fixture
def named_vllm(tmp_path, monkeypatch):
    """The installed vLLM, if it is the package vllm-cpu, also under the name of the GPU build: what `vllm serve` asks for."""
    metadata = tmp_path / "site" / "vllm-0.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.0+cpu\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)


def test_the_cpu_build_is_served_by_the_module_that_vllm_serve_replaces(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(serving, "version", version)
    assert serving.server_command("a/model")[1:] == ["-m", "vllm.entrypoints.openai.api_server", "--model", "a/model"]


def test_vllm_serve_is_used_where_it_exists(named_vllm):
    assert serving.server_command("a/model")[1:] == ["-m", "vllm.entrypoints.cli.main", "serve", "a/model"]


@pytest.mark.slow
@needs_vllm
@pytest.mark.parametrize(("changes", "command"), [({}, "vllm serve"), (PATTERNS, "as installed")])
def test_vllm_serves_an_adapter_of_any_rank_as_peft_does(tmp_path, request, changes, command):
    """The log-probability of each token of a text, under the served adapter and under PEFT."""
    if command == "vllm serve":
        request.getfixturevalue("named_vllm")
    adapter_of(tmp_path / "adapter", **changes)
    text = "<|im_start|>user\nWho was in the Hall?<|im_end|>\n<|im_start|>assistant\nA. Mrs. White\nB. Hall"
    asked = {"model": "mine", "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    with serve(str(tmp_path / "adapter"), "mine", tmp_path / "log", ["--max-model-len", "512"]) as url:
        served = httpx.post(f"{url}/completions", json=asked, timeout=60).json()["choices"][0]["logprobs"]["token_logprobs"]
        environments = [process.environ() for process in psutil.Process().children()]
    assert any(VLLM_CPU_ENVIRONMENT.items() <= environment.items() for environment in environments)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), tmp_path / "adapter"
    ).eval()
    ids = AutoTokenizer.from_pretrained(BASE)(text, return_tensors="pt").input_ids
    with torch.no_grad():
        own = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    assert served[1:-1] == pytest.approx(own.tolist(), abs=1e-3)


def test_a_server_on_this_machine_is_not_asked_through_the_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing answers
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")
    with local_hub() as server:
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)
        for _ in range(2):
            reach_without_proxy("127.0.0.1")
        assert httpx.get(server.url).status_code
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.org,127.0.0.1"
