"""A completion without its thinking: the answer is what a model says, not what it thinks, whatever tags it puts around that."""

from __future__ import annotations

import re

# <think>, <reasoning>, <|begin_of_thought|> (OpenThinker), <|START_THINKING|> (Command A) and <|channel|>analysis (gpt-oss;
# its answer is in the channel "final"). The match has a group if the tag closes the thinking.
TAG = re.compile(
    r"<(?:(?P<end>/)?(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)>|"
    r"\|(?:begin|(?P<end2>end))_of_thought\|>|\|(?:start|(?P<end3>end))_thinking\|>|"
    r"\|channel\|>(?:analysis|commentary|(?P<end4>final))(?:<\|message\|>)?)",
    re.IGNORECASE,
)
ALIASES = (
    ("[THINK]", "<think>"),
    ("[/THINK]", "</think>"),
    ("◁think▷", "<think>"),
    ("◁/think▷", "</think>"),
)  # Magistral, Kimi


def without_thinking(text: str, opened: bool = False) -> str:
    """A text without what is between thinking tags, after a tag that is never closed, or before a closing tag that was never
    opened (the chat template opened it).

    Args:
        opened: whether the prompt ended with an open tag, so that all of a text that never closes it is thinking.
    """
    text = _with_usual_tags(text)
    said: list[str] = []
    start = None if opened else 0  # of what is said; None within thinking
    for tag in TAG.finditer(text):
        if tag.lastgroup:  # it closes
            if start is not None:
                said.clear()
            start = tag.end()
        elif start is not None:
            said.append(text[start : tag.start()])
            start = None
    if start is not None:
        said.append(text[start:])
    return "\n".join(said)


def opens_thinking(prompt: str) -> bool:
    """Whether a prompt, as rendered by a chat template, ends with an opening tag (R1-Distill, QwQ, Qwen3-Thinking)."""
    end = _with_usual_tags(prompt[-100:].rstrip())
    return any(tag.end() == len(end) and not tag.lastgroup for tag in TAG.finditer(end))


def _with_usual_tags(text: str) -> str:
    for alias, usual in ALIASES:
        text = text.replace(alias, usual)
    return text
