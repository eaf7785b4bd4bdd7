"""Models behind an address: vLLM, started here for as long as it takes, or any OpenAI-compatible server that runs already."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch
from inspect_ai.model import GenerateConfig, Model, get_model
from tqdm import tqdm


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
        adapter = json.loads((folder / "adapter_config.json").read_text())
        base = adapter["base_model_name_or_path"]
        own = ["--enable-lora", "--max-lora-rank", f"{adapter['r']}", "--lora-modules", f"{name}={folder}"]
    elif (folder / "config.json").exists():
        own = ["--dtype", json.loads((folder / "config.json").read_text()).get("dtype", "auto")]
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
                why = re.search(r"\w*Error: .+", log.read_text())
                raise ValueError(f"vLLM did not start: {why[0] if why else 'no error in the log'}\nIts log: {log}")
            time.sleep(1)
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


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
