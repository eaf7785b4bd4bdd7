"""Whether the Hub can be reached, also through a proxy; what is said of a damaged model, and of one with its own code."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants
from transformers import BloomConfig, Gemma3Config, MambaConfig, MptConfig
from trl import ModelConfig

from recipes.pretrained import context_length, hub_is_unreachable, load_config, load_tokenizer
from tests.hub import local_hub


@pytest.fixture(autouse=True)
def new_session():
    """The Hub's client reads the proxies of the environment when it is made."""
    close_session()
    yield
    close_session()


def test_the_context_is_the_text_models_and_infinite_where_none_is_named():
    assert context_length(Gemma3Config(text_config={"max_position_embeddings": 4096})) == 4096
    assert {context_length(kind()) for kind in (MambaConfig, BloomConfig, MptConfig)} == {math.inf}


def test_the_hub_is_asked_through_the_proxy(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with local_hub() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert not hub_is_unreachable()
        assert len(proxy.requests) == 1


def test_a_hub_that_does_not_answer_or_must_not_be_asked_is_unreachable(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert hub_is_unreachable()
    with local_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        assert not hub_is_unreachable()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert hub_is_unreachable()


@pytest.mark.parametrize(
    ("file", "load", "complaint"),
    [
        ("config.json", load_config, "has no config that can be read: .*config.json"),
        ("tokenizer.json", load_tokenizer, r"has a tokenizer that can't be read \("),
    ],
)
def test_a_damaged_model_is_named(tmp_path, file, load, complaint):
    shutil.copytree(Path(__file__).parents[1] / "recipes" / "tiny" / "tiny-base", tmp_path / "model")
    (tmp_path / "model" / file).write_text('{"a": 1')
    with pytest.raises(ValueError, match=f"model_name_or_path '{tmp_path / 'model'}' {complaint}"):
        load(ModelConfig(str(tmp_path / "model")), offline=True)


OWN_CODE = "{name!r} needs Python code from its own repository, which is never run here: use a model whose class is part of"


@pytest.fixture
def with_own_code(tmp_path, monkeypatch):
    """Makes a copy of the tiny model with code of its own for one of its files, while somebody answers y to everything."""
    monkeypatch.setattr("builtins.input", lambda _: "y")

    def make(file: str, auto_class: str) -> Path:
        folder, ran = tmp_path / "model", tmp_path / "ran"
        shutil.copytree(Path(__file__).parents[1] / "recipes" / "tiny" / "tiny-base", folder)
        own = "own.Own" if file == "config.json" else ["own.Own", None]
        settings = json.loads((folder / file).read_text()) | {"auto_map": {auto_class: own}}
        settings |= {"model_type": "own"} if file == "config.json" else {"tokenizer_class": "Own"}
        (folder / file).write_text(json.dumps(settings))
        (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
        return folder

    yield make
    assert not (tmp_path / "ran").exists()


def test_code_from_a_models_repository_is_never_run(with_own_code):
    model = str(with_own_code("config.json", "AutoConfig"))
    with pytest.raises(ValueError, match=f"model_name_or_path {re.escape(OWN_CODE.format(name=model))}"):
        load_config(ModelConfig(model), offline=True)


def test_a_tokenizer_with_its_own_code_is_loaded_as_what_transformers_has(with_own_code):
    model = str(with_own_code("tokenizer_config.json", "AutoTokenizer"))
    assert load_tokenizer(ModelConfig(model), offline=True).encode("Hall")
