"""Serve a checkpoint, a LoRA adapter or a model of the Hub with vLLM on this machine, for as long as the benchmark needs it."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import dropwhile, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import torch
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import PreTrainedConfig

from puzzles.files import read_json, write_json
from recipes.machine import VLLM_CPU_ENVIRONMENT, has_bfloat16

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM 0.30.0 accepts (MaxLoRARanks, vllm/config/lora.py)
# Features of an adapter that vLLM does not serve.
UNSERVED = ("use_dora", "use_qalora", "use_bdlora", "modules_to_save", "trainable_token_indices", "target_parameters")
UNSERVED += ("lora_bias", "alora_invocation_tokens", "layer_replication", "arrow_config", "kasa_config", "monteclora_config")
CHANGES_THE_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")  # values of init_lora_weights
MAX_FRAMES = 3000  # lines of a traceback to skip: Python's ends at 1,000 calls
COLOUR = re.compile(r"\x1b\[[\d;]*m")
PREFIX = re.compile(  # "(Worker pid=42) ERROR 11-25 20:56:13 […] "
    r"(\(\w[^)]* pid=\d+\) ?)?([A-Z]+ \d\d-\d\d [\d:]+ \[[^]]*\] ?)?"
)


@contextmanager
def serve(model: str, name: str, log: Path, extra_args: list[str]) -> Iterator[str]:
    """Serve a checkpoint folder or a model of the Hub under `name`. Yields the address; the server ends with the block.

    Raises:
        ValueError: if vLLM cannot serve the adapter or does not start, with the reason from its log.
    """
    reach_without_proxy("127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(model)
    base, args = model, []
    if (folder / "adapter_config.json").exists():
        base, rank = base_and_rank(folder)
        scratch = TemporaryDirectory()
        folder = with_uniform_scale(folder, Path(scratch.name))
        args = ["--enable-lora", "--max-lora-rank", f"{rank}", "--lora-modules", f"{name}={folder}"]
    with suppress(OSError):  # no config: vLLM says so itself
        config, _ = PreTrainedConfig.get_config_dict(base)
        dtype = config.get("dtype") or config.get("torch_dtype") or "auto"
        slow = dtype == "bfloat16" and not torch.cuda.is_available() and not has_bfloat16()
        args += ["--dtype", "float32" if slow else dtype]  # "auto" makes bfloat16 of float32
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        args += ["--enforce-eager"]  # compiling takes longer than it saves
        environment = VLLM_CPU_ENVIRONMENT | environment
    base_name = f"{name}-base" if "--enable-lora" in args else name
    command = [*server_command(base), "--served-model-name", base_name]
    # Use the sampling that each request asks for, without what the model's generation_config.json adds.
    command += ["--host", "127.0.0.1", "--port", f"{port}", "--generation-config", "vllm", *args, *extra_args]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        # On Linux the server ends with this process, even if that is killed.
        end_with_parent = (lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM)) if sys.platform == "linux" else None
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file, preexec_fn=end_with_parent)
    try:
        for _ in tqdm(iter(lambda: _is_up(url), True), desc=f"vLLM is starting ({log})", unit="s"):
            if server.poll() is not None:
                reason = failure_reason(log.read_text(errors="replace"), server.returncode)
                raise ValueError(f"vLLM did not start: {reason}\nIts log: {log}")
            time.sleep(1)
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


def server_command(model: str) -> list[str]:
    """The beginning of a command that serves a model: `vllm serve`, or where that does not exist, what it replaces."""
    try:
        version("vllm")  # as `vllm serve` does, so it fails with the CPU build, which is the package vllm-cpu
    except PackageNotFoundError:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", model]


def reach_without_proxy(host: str) -> None:
    """Let this process send no request to a host through the proxy that the environment may name (HTTP_PROXY)."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    others = [name for name in given.split(",") if name and name != host]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*others, host])


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def failure_reason(log: str, code: int) -> str:
    """Why vLLM ended, from its log: exceptions, complaints of argparse, or the signal that killed it; else the last lines.

    Args:
        code: the exit code of the server.
    """
    lines = [PREFIX.sub("", line, count=1).rstrip()[:600] for line in COLOUR.sub("", log).splitlines()]
    exceptions = []
    for i, line in enumerate(lines):
        if line.startswith("Traceback (most recent call last)"):
            after = [*dropwhile(lambda line: not line or line[0].isspace(), lines[i + 1 : i + 1 + MAX_FRAMES])]
            detail = takewhile(lambda line: line[:1].isspace(), after[1:])  # pydantic's
            exceptions.append("\n".join([*after[:1], *(line for line in detail if "errors.pydantic.dev" not in line)]))
    complaints = [line for line in lines if re.match(r"[\w. ]+: error: ", line)]
    reasons = [text for text in complaints + exceptions if text and "root cause" not in text]
    killed = re.search(r"Failed core proc\(s\): \{.*?: (-\d+)", log)
    if (code := int(killed[1]) if killed else code) < 0:
        reasons.append(f"it was killed by {signal.Signals(-code).name}{' (out of memory?)' * (-code == signal.SIGKILL)}.")
    if not reasons:
        reasons = [f"it ended with code {code}, and", *(lines[-5:] or ["an empty log."])]
    return "\n".join([*dict.fromkeys(reasons)][-5:])


def weights_digest(folder: Path) -> str:
    """Tells one checkpoint from another without reading gigabytes: a hash of the sizes and both ends of its weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(2**20))
            file.seek(max(path.stat().st_size - 2**20, 0))
            digest.update(file.read())
    return digest.hexdigest()[:12]


# ---------------------------------------------------------------- LoRA adapters


def base_and_rank(folder: Path) -> tuple[str, int]:
    """The base model of an adapter, and the --max-lora-rank that vLLM needs for it.

    Raises:
        ValueError: if the base model is missing, or vLLM cannot serve the adapter without merging it first.
    """
    adapter = read_json(folder / "adapter_config.json")
    kind, start = adapter.get("peft_type"), str(adapter.get("init_lora_weights")).lower()
    pattern = adapter.get("rank_pattern") or {}
    ranks = [adapter.get("r"), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    if wrong := [r for r in ranks if kind == "LORA" and (type(r) is not int or r < 1)]:
        raise ValueError(
            f"{folder / 'adapter_config.json'} has the rank {wrong[0]!r}: r and rank_pattern must be whole numbers from 1."
        )
    rank = max(ranks) if kind == "LORA" else 1
    unserved = {
        f"peft_type {kind}": kind != "LORA",
        f"a rank of {rank}, more than {RANKS[-1]}": rank > RANKS[-1],
        f"bias: {adapter.get('bias')}": adapter.get("bias", "none") != "none",
        f"init_lora_weights: {start}": start.startswith(CHANGES_THE_BASE),
        **{key: adapter.get(key) for key in UNSERVED},
    }
    base = str(adapter.get("base_model_name_or_path") or "")
    if not (Path(base).is_dir() if base.startswith(("/", ".")) or base.count("/") > 1 else base):
        raise ValueError(
            f"{folder / 'adapter_config.json'} names the base model {base!r}, which is not there: set "
            "base_model_name_or_path in it."
        )
    if found := [feature for feature, is_so in unserved.items() if is_so]:
        raise ValueError(
            f"vLLM cannot serve the adapter in {folder}: it has {', '.join(found)}. Merge it into its base (PEFT's "
            "merge_and_unload, then save_pretrained) and serve that folder."
        )
    return base, next(allowed for allowed in RANKS if allowed >= rank)


def with_uniform_scale(folder: Path, copy: Path) -> Path:
    """An adapter with the same scale in all layers, the only kind that vLLM knows: `folder` itself, or a rescaled copy.

    A layer's update is scale · B · A with scale = alpha / r, which rank_pattern and alpha_pattern change by layer. The copy
    has the scale in B.
    """
    adapter = read_json(folder / "adapter_config.json")
    ranks, alphas = adapter.get("rank_pattern") or {}, adapter.get("alpha_pattern") or {}
    root = math.sqrt if adapter.get("use_rslora") else float

    def scale(layer: str) -> float:
        rank = ranks.get(get_pattern_key(ranks, layer), adapter["r"])
        return alphas.get(get_pattern_key(alphas, layer), adapter["lora_alpha"]) / root(rank)

    if not ranks and not alphas:
        return folder
    if not (file := folder / "adapter_model.safetensors").exists():
        raise ValueError(f"{file} is missing: save the adapter as safetensors (PEFT's save_pretrained).")
    weights = load_file(file)
    for name in weights:
        layer, is_b, _ = name.removeprefix("base_model.model.").partition(".lora_B.")
        if is_b:
            weights[name] *= scale(layer)
    save_file(weights, copy / "adapter_model.safetensors", metadata={"format": "pt"})
    scale_of_one = {"lora_alpha": adapter["r"], "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}
    write_json(copy / "adapter_config.json", adapter | scale_of_one)
    return copy
