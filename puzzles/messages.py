"""The text of a prompt or a completion, in whatever form a dataset or a server provides it: a string, a message or a chat."""

from __future__ import annotations

from typing import Any

TEXT_PARTS = ("text", "input_text", "output_text")  # the types that Hugging Face and OpenAI give to parts that are text


def text_of(message: Any, role: str | None = None, *, text_only: bool = False) -> str | None:
    """The text of a string, of a message {"role": …, "content": …}, or of the last message of a chat; None if there is none.

    A message's content is a string or a list of parts. A tool's result does not count as text.

    Args:
        role: in a chat, use the last message with this role (one without a role counts too).
        text_only: return None if a part is anything but text, such as an image; otherwise such parts are skipped.
    """
    if isinstance(message, list):
        messages = [m for m in message if role is None or (isinstance(m, dict) and m.get("role", role) == role)]
        message = messages[-1] if messages else None
    if isinstance(message, dict):
        message = None if message.get("role") == "tool" else message.get("content")
    if isinstance(message, list):
        parts = [{"text": part} if isinstance(part, str) else part for part in message]
        texts = [p.get("text") if isinstance(p, dict) and p.get("type", "text") in TEXT_PARTS else None for p in parts]
        if text_only and not all(isinstance(text, str) for text in texts):
            return None
        message = "".join(text for text in texts if isinstance(text, str))
    return message if isinstance(message, str) else None
