"""Who is asked, as an Inspect model: an API, an OpenAI-compatible server, or a guesser who shows the level of chance."""

from __future__ import annotations

import os
import random
from collections import Counter

import httpx
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from rich.text import Text

from puzzles.clues import answer_options
from puzzles.prompts import lettered, read_prompt
from rewards.thinking import opens_thinking


def api_model(name: str, config: GenerateConfig) -> Model:
    """A model of an API, as "provider/model".

    Raises:
        ValueError: if there is no such API, or its key or a package that it needs is missing.
    """
    try:
        return get_model(name, config=config, memoize=False)
    except PrerequisiteError as error:  # its text has markup and empty lines
        raise ValueError(" ".join(Text.from_markup(str(error)).plain.split())) from error
    except ValueError as error:
        raise ValueError(
            f"{error} A model is a folder (there is none of this name), vllm/ORG/NAME, an API's provider/model, a name at "
            "--base-url, or guess."
        ) from error


def server_model(name: str, url: str, config: GenerateConfig, max_tokens: int | None) -> Model:
    """A model of an OpenAI-compatible server, whose key is SERVER_API_KEY.

    Raises:
        ValueError: if no server answers there, or it serves other models only, or the model's context is too short for
            `max_tokens` and a prompt.
    """
    models = served_models(url)
    if name not in models:
        raise ValueError(f"{url} does not serve {name!r}, only {', '.join(models)}.")
    context = models[name].get("max_model_len")
    if isinstance(context, int) and max_tokens and context <= max_tokens:
        raise ValueError(
            f"--max-tokens {max_tokens} leaves no room for a prompt in the context of {name}, {context} tokens: use fewer."
        )
    key = os.environ.get("SERVER_API_KEY", "none")
    return get_model(f"openai-api/server/{name}", base_url=url, api_key=key, config=config, memoize=False)


def served_models(url: str) -> dict[str, dict]:
    """What a server says of its models, by name.

    Raises:
        ValueError: if no OpenAI-compatible server answers there.
    """
    try:
        answer = httpx.get(f"{url}/models", headers=authorization(), timeout=30)
        return {model["id"]: model for model in answer.raise_for_status().json()["data"]}
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"--base-url {url}: GET {url}/models failed ({error}). Is it an OpenAI-compatible server?") from error


def authorization() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ.get('SERVER_API_KEY', 'none')}"}


def template_opens_thinking(url: str, name: str, template_kwargs: dict | None) -> bool:
    """Whether the chat template of a vLLM server opens the model's thinking; False for other servers, which cannot tell."""
    if served_models(url)[name].get("owned_by") != "vllm":
        return False
    with httpx.Client(base_url=url.removesuffix("/v1"), headers=authorization(), timeout=60) as server:
        chat = {"model": name, "messages": [{"role": "user", "content": "Who?"}], "chat_template_kwargs": template_kwargs}
        try:
            tokens = server.post("/tokenize", json=chat).raise_for_status().json()["tokens"]
            prompt = server.post("/detokenize", json={"model": name, "tokens": tokens}).raise_for_status().json()["prompt"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:  # behind a gateway, for example
            print(f"WARNING: {url} does not show its chat template ({error}). If that opens the model's thinking, a draft in")
            print("         thinking that a response never closes counts as its answer.")
            return False
    return opens_thinking(prompt)


def guesser() -> Model:
    """Fills in each answer sheet at random, with answers of the right kind. A token is a word."""
    times_asked: Counter[str] = Counter()

    def guess(messages, *_) -> ModelOutput:
        text = next(message.text for message in reversed(messages) if message.role == "user")
        times_asked[text] += 1
        puzzle, rng = read_prompt(text), random.Random(f"{times_asked[text]} {text}")
        answers = [rng.choice(answer_options(question, puzzle.setting)) for question in puzzle.questions]
        sheet = lettered(answers)
        output = ModelOutput.from_content("guess", sheet)
        output.usage = ModelUsage(input_tokens=len(text.split()), output_tokens=len(sheet.split()))
        return output

    return get_model("mockllm/guess", custom_outputs=guess, memoize=False)
