"""The text of a prompt or a completion, in every form that a dataset or a server gives it."""

import pytest

from puzzles.messages import text_of

USER, ASSISTANT = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A. Mrs. White"}
PARTS = [{"type": "thinking", "thinking": "Hm."}, "A. ", {"text": "Mrs. "}, {"type": "output_text", "text": "White"}]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Who?", "Who?"),
        (USER, "Who?"),
        ([USER, ASSISTANT], "A. Mrs. White"),
        ([{"content": "Who?"}], "Who?"),
        ([USER, {"role": "assistant", "content": PARTS}], "A. Mrs. White"),
        ([USER, {"role": "tool", "content": "42"}], None),
        ([{"role": "assistant", "content": None}], None),
        ([], None),
        (None, None),
        (3, None),
    ],
)
def test_the_last_message_is_the_text(message, text):
    assert text_of(message) == text


def test_of_a_role_it_is_the_last_message_of_that_role():
    assert text_of([USER, ASSISTANT], role="user") == "Who?"
    assert text_of([{"content": "Who?"}, ASSISTANT], role="user") == "Who?"
    assert text_of([1, ASSISTANT], role="user") is None
    assert text_of("Who?", role="user") == "Who?"


def test_text_only_refuses_parts_that_are_not_text():
    image = {"type": "image", "image": "night.png"}
    chat = [{"role": "user", "content": [{"type": "text", "text": "Who?"}, image]}]
    assert text_of(chat) == "Who?"
    assert text_of(chat, text_only=True) is None
    assert text_of([{"role": "user", "content": [{"type": "text", "text": "Who?"}]}], text_only=True) == "Who?"
