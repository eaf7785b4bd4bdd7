"""Models behind an address: vLLM, started here for as long as it takes, or any OpenAI-compatible server that runs already."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import torch
from inspect_ai.model import GenerateConfig, Model, get_model
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from puzzles.files import write_json

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM 0.30.0 takes (MaxLoRARanks, vllm/config/lora.py)
UNSERVED = ("use_dora", "use_qalora", "use_bdlora", "modules_to_save", "trainable_token_indices", "target_parameters")
UNSERVED += ("lora_bias", "alora_invocation_tokens", "layer_replication", "arrow_config", "kasa_config", "monteclora_config")
CHANGES_THE_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")  # values of init_lora_weights
FRAMES = 3000  # lines of a traceback, at most: Python ends at 1,000 calls
COLOUR = re.compile(r"\x1b\[[\d;]*m")
PREFIX = re.compile(
    r"(\(\w[^)]* pid=\d+\) ?)?([A-Z]+ \d\d-\d\d [\d:]+ \[[^]]*\] ?)?"
)  # "(Worker pid=42) ERROR 11-25 20:56:13 […] "


@contextmanager
def served(model: str, name: str, log: Path, extra: list[str]) -> Iterator[str]:
    """Serve a checkpoint folder, or a model of the Hub, with vLLM on this machine; gives the address, and ends with the block.

    Raises:
        ValueError: if the server does not come up; its log says why.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(model)
    base, own = model, []
    if (folder / "adapter_config.json").exists():
        base, rank = servable(folder)
        scratch = TemporaryDirectory()
        folder = evenly_scaled(folder, Path(scratch.name))
        own = ["--enable-lora", "--max-lora-rank", f"{rank}", "--lora-modules", f"{name}={folder}"]
    if (Path(base) / "config.json").exists():
        config = read_json(Path(base) / "config.json")
        own += ["--dtype", config.get("dtype") or config.get("torch_dtype") or "auto"]
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        own += ["--enforce-eager"]  # nothing is compiled for a laptop
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; by default nearly all memory
    served_as = f"{name}-base" if "--enable-lora" in own else name
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", base, "--served-model-name", served_as]
    # The sampling that is asked for, and not what a model's generation_config.json adds to it.
    command += ["--host", "127.0.0.1", "--port", f"{port}", "--generation-config", "vllm", *own, *extra]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        # On Linux it ends with this process, however that ends.
        end = (lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM)) if sys.platform == "linux" else None
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file, preexec_fn=end)
    try:
        for _ in tqdm(iter(lambda: _is_up(url), True), desc=f"vLLM is starting ({log})", unit="s"):
            if server.poll() is not None:
                raise ValueError(
                    f"vLLM did not start: {why(log.read_text(errors='replace'), server.returncode)}\nIts log: {log}"
                )
            time.sleep(1)
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


def read_json(file: Path) -> dict:
    """Raises ValueError if it is no JSON, or no object."""
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds {content!r:.80}, where an object is due.")
    return content


def servable(folder: Path) -> tuple[str, int]:
    """The base model of an adapter, and the max-lora-rank that vLLM needs for it.

    Raises:
        ValueError: if its base is missing, or vLLM cannot serve it (merged into its base, it can).
    """
    adapter = read_json(folder / "adapter_config.json")
    kind, start = adapter.get("peft_type"), str(adapter.get("init_lora_weights")).lower()
    pattern = adapter.get("rank_pattern") or {}
    ranks = [adapter.get("r"), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    if wrong := [r for r in ranks if kind == "LORA" and (type(r) is not int or r < 1)]:
        raise ValueError(
            f"{folder / 'adapter_config.json'} has the rank {wrong[0]!r}: r and rank_pattern are whole numbers from 1."
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
            f"{folder / 'adapter_config.json'} says that it adapts {base!r}, which is not there: name the base model in it "
            "(base_model_name_or_path)."
        )
    if named := [feature for feature, is_so in unserved.items() if is_so]:
        raise ValueError(
            f"vLLM cannot serve the adapter in {folder}: it has {', '.join(named)}. Merge it into its base (PEFT's "
            "merge_and_unload, then save_pretrained) and serve that folder."
        )
    return base, next(allowed for allowed in RANKS if allowed >= rank)


def evenly_scaled(folder: Path, copy: Path) -> Path:
    """The same adapter with one scale for all of its layers, which is all that vLLM knows: a copy, where layers differ.

    A layer's update is scale · B · A, and its scale alpha / r; rank_pattern and alpha_pattern change them by layer.
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
        raise ValueError(f"{file} is not there: save the adapter as safetensors (PEFT's save_pretrained).")
    weights = load_file(file)
    for name in weights:
        layer, found, _ = name.removeprefix("base_model.model.").partition(".lora_B.")
        if found:
            weights[name] *= scale(layer)
    save_file(weights, copy / "adapter_model.safetensors", metadata={"format": "pt"})
    one = {"lora_alpha": adapter["r"], "use_rslora": False}  # a scale of 1
    write_json(copy / "adapter_config.json", adapter | one | {"rank_pattern": {}, "alpha_pattern": {}})
    return copy


def why(log: str, code: int) -> str:
    """The lines of a log that say why vLLM ended: what was raised, what argparse objects to, the signal that killed it.

    Args:
        code: what the process ended with.
    """
    lines = [PREFIX.sub("", line, count=1).rstrip()[:600] for line in COLOUR.sub("", log).splitlines()]
    raised = []
    for i, line in enumerate(lines):
        if line.startswith("Traceback (most recent call last)"):
            after = [*dropwhile(lambda line: not line or line[0].isspace(), lines[i + 1 : i + 1 + FRAMES])]
            detail = takewhile(lambda line: line[:1].isspace(), after[1:])  # pydantic's
            raised.append("\n".join([*after[:1], *(line for line in detail if "errors.pydantic.dev" not in line)]))
    said = [line for line in lines if re.match(r"[\w. ]+: error: ", line)] + raised
    root = [text for text in said if text and "root cause" not in text]
    killed = re.search(r"Failed core proc\(s\): \{.*?: (-\d+)", log)
    if (code := int(killed[1]) if killed else code) < 0:
        root.append(f"it was killed by {signal.Signals(-code).name}{' (out of memory?)' * (-code == signal.SIGKILL)}.")
    if not root:
        root = [f"it ended with code {code}, and", *(lines[-5:] or ["without a line."])]
    return "\n".join([*dict.fromkeys(root)][-5:])


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def at_server(name: str, url: str, config: GenerateConfig, longest: int | None) -> Model:
    """A model of an OpenAI-compatible server.

    Raises:
        ValueError: if nobody answers there, or serves another model, or one whose context is shorter than the completion.
    """
    key = os.environ.get("SERVER_API_KEY", "none")
    try:
        answer = httpx.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)
        models = {model["id"]: model for model in answer.raise_for_status().json()["data"]}
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"--base-url {url}: GET {url}/models failed ({error}). Is it an OpenAI-compatible server?") from error
    if name not in models:
        raise ValueError(f"{url} does not serve {name!r}, only {', '.join(models)}.")
    context = models[name].get("max_model_len")
    if context and longest and context <= longest:
        raise ValueError(
            f"--max-tokens {longest} leaves no room for a prompt in the context of {name}, {context} tokens: take fewer."
        )
    return get_model(f"openai-api/server/{name}", base_url=url, api_key=key, config=config, memoize=False)


def weights_digest(folder: Path) -> str:
    """What tells one checkpoint from another, without reading gigabytes: the sizes and both ends of its weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(2**20))
            file.seek(max(path.stat().st_size - 2**20, 0))
            digest.update(file.read())
    return digest.hexdigest()[:12]
