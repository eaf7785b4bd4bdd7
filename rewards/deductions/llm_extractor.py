"""Optional: a model puts prose into known sentences before they are judged. The verdict is still the solver's.

`rewards/deductions/reader.py` reads sentences of known form. A model behind any OpenAI-compatible endpoint (its key:
EXTRACTOR_API_KEY) can put others into the forms of `puzzles/sentences.py` first. It may misread, correct or invent a
deduction, so its figures are reported beside the direct ones, never instead of them, and no reward uses them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from openai import OpenAI, OpenAIError

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.files import write_text
from puzzles.scenario import MURDER_WEAPON, MURDERER, Setting
from puzzles.sentences import read_sentence, render

DENIED, NOTHING = "NOT: ", "NONE"
TASK = """Somebody reasons about a puzzle. List the deductions that they assert, in their order, each as one line in one of \
the forms below with the names of the puzzle, and with "NOT: " before a statement that they say is false. Write nothing else. \
If they assert none, write NONE.

Leave out what is only supposed for the sake of argument, what is quoted or repeated from the clues, what is hedged (perhaps, \
might, if), and what is taken back. Keep mistakes as they are: correct nothing, add nothing, conclude nothing.

Forms (the murderer, the murder weapon or a suspect motivated by something can take the place of a name):
{forms}

Examples:
"That rules out the {room} for {who} at {time}, leaving only the {other}." →
NOT: {first}
{second}
"Suppose {who} did it. Then maybe the {room} was the scene." →
NONE
"By elimination the killer can only be {who}, and it happened in the {room}." →
{murderer}
{scene}

Names: {names}"""


class ExtractionError(Exception):
    """The extractor gave no complete answer: the response is counted as such, never as one without deductions."""


def task(setting: Setting) -> str:
    """The extractor's instructions, with every form of sentence that this night has, in its names."""
    s = setting
    who, other, weapon, time = s.suspects[0], s.suspects[-1], s.weapons[0], s.times[-1]
    here, there = s.rooms[:2]
    first, second = At(who, here, time), At(who, there, time)
    murderer, scene = Murder("murderer", who), Murder("room", here)
    forms: list[Clue] = [first, SameRoom(who, weapon, time), Together(who, other, here), Beside(who, "north", other, time)]
    forms += [Or(first, At(other, there, time)), Iff(first, At(other, there, time)), At(MURDERER, here, time)]
    forms += [At(MURDER_WEAPON, here, time), murderer, Murder("weapon", weapon), scene]
    if len(s.times) > 1:
        forms += [Murder("time", time), Moved(who, here, there, time), Carried(who, weapon, here, there, time)]
    if s.motives:
        forms += [Motivated(who, s.motive_names[0]), Murder("motive", s.motive_names[0])]
    return TASK.format(
        forms="\n".join(render(form, s) for form in forms),
        **{name: render(statement, s) for name, statement in zip(
            ("first", "second", "murderer", "scene"), (first, second, murderer, scene), strict=True
        )},
        who=who, room=here, other=there, time=time,
        names="; ".join(map(", ".join, filter(None, (s.suspects, s.weapons, s.rooms, s.times, s.motive_names)))),
    )  # fmt: skip


class Extractor:
    """A model that lists the deductions of a text. Its answers are cached in `folder`."""

    def __init__(self, url: str, model: str, folder: Path):
        self.client = OpenAI(base_url=url, api_key=os.environ.get("EXTRACTOR_API_KEY", "none"), max_retries=5)
        self.model, self.folder = model, folder

    def __call__(self, text: str, setting: Setting) -> str:
        """The model's answer for a text, one deduction per line.

        Raises:
            ExtractionError: if there is no answer, or it was truncated.
        """
        messages = [{"role": "system", "content": task(setting)}, {"role": "user", "content": text}]
        digest = hashlib.sha256(json.dumps([self.model, messages]).encode()).hexdigest()
        cached = self.folder / f"{digest}.txt"
        if not cached.exists():
            try:
                choice = self.client.chat.completions.create(model=self.model, messages=messages).choices[0]
            except (OpenAIError, AttributeError, LookupError, TypeError, ValueError) as error:  # or a malformed answer
                raise ExtractionError(f"{type(error).__name__}: {error}") from error
            answer = (choice.message.content or "").rpartition("</think>")[2].strip()
            if choice.finish_reason in ("length", "content_filter") or not answer:
                raise ExtractionError(f"the answer ended with {choice.finish_reason!r} after {len(answer)} characters")
            write_text(cached, answer)
        return cached.read_text(encoding="utf-8")


def known_sentences(answer: str, setting: Setting) -> tuple[str, int]:
    """The sentences of known form in an extractor's answer, one per line, for `Judge.judge`; and how many lines are not one."""
    sentences, dropped = [], 0
    for line in filter(None, (re.sub(r"^[-*•]\s|[\s.]+$", "", line.strip()) for line in answer.splitlines())):
        if line == NOTHING:
            continue
        try:
            sentence = render(read_sentence(line.removeprefix(DENIED).strip(), setting), setting)
        except ValueError:
            sentence = "?"
        if sentence.endswith("?"):  # the questions of a puzzle are known forms too
            dropped += 1
        else:
            sentences.append(f"There is no way that {sentence}." if line.startswith(DENIED) else f"{sentence}.")
    return "\n".join(sentences), dropped
