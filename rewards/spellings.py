"""How the options of a question may be spelled: "Prof. Plum", "plum", "the Lead-Pipe", "11:30 p.m.", "23:30", "midnight"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

TITLES = {  # and how else each may be written; the surname alone is enough if no other option has it
    "mr": ("mister",), "mrs": ("missus",), "miss": (), "ms": (), "colonel": ("col",), "professor": ("prof",),
    "sgt": ("sergeant",), "monsieur": ("m",), "madame": ("mme",), "dr": ("doctor",), "captain": ("capt",), "reverend": ("rev",),
}  # fmt: skip
TIME = re.compile(
    r"(?P<word>midnight|noon)\b|(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d\d)(?::00)?)?(?:\s*(?P<half>[ap])(?:\.\s?m\b\.?|\s?m\b))?(?![\w:])"
    r"(?:,? (?P<day>in the morning|in the (?:afternoon|evening)|(?:at )?(?:mid)?night\b))?"
)
WORD = re.compile(r"[^\W_]+")
BETWEEN_WORDS = re.compile(r"[\s.'’-]*")
MAX_WORDS = 5  # of a name

LATEX = re.compile(
    r"\\(?:begin|end)\{\w*\}|\\(?:text\w*|math\w*|boxed|fbox|mbox|bf|it|rm|quad|qquad|end|[^a-z])|[{}$]|(?<=[\w.])~(?=\w)"
)
CLOSING_TAG = re.compile(r"</[^<>\n]*>")
MARKDOWN = re.compile(r"[*_`\"“”„«»<>#^&]+")


def normalize(text: str) -> str:
    """A text in lower case, without markdown, LaTeX, quotation marks and typographic variants."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = LATEX.sub(" ", CLOSING_TAG.sub(" ", text.casefold()))
    return MARKDOWN.sub("", text).replace("’", "'").strip(" \t\r'")


class Options:
    """What can answer a question, and how each option may be spelled.

    Args:
        names: the options, all of one kind.
        complete: whether there are no others, so that a surname that only one of them has is unambiguous.
    """

    def __init__(self, names: Iterable[str], complete: bool = True):
        self.names = tuple(names)
        spelled: dict[str, set[str]] = {}
        for name in self.names:
            title, *rest = WORD.findall(normalize(name)) or [""]
            titles = [title, *TITLES.get(title, ())] if rest else [title]
            for spelling in [*titles, *([""] if complete and rest and title in TITLES else [])]:
                spelled.setdefault(spelling + "".join(rest), set()).add(name)
        self.by_spelling = {spelling: named.pop() for spelling, named in spelled.items() if len(named) == 1}
        self.by_minute = {minute: name for name in self.names for minute in minutes_of(TIME.fullmatch(normalize(name)))}

    def at(self, text: str, start: int) -> tuple[str, int] | None:
        """The option that a normalized text names at `start`, in its longest spelling, and where its name ends."""
        if self.by_minute:
            match = TIME.match(text, start)
            named = {self.by_minute[minute] for minute in minutes_of(match) if minute in self.by_minute}
            return (named.pop(), match.end()) if len(named) == 1 else None
        spelling, end, found = "", start, None
        for _ in range(MAX_WORDS):
            word = WORD.match(text, end if not spelling else BETWEEN_WORDS.match(text, end).end())
            if not word:
                break
            spelling, end = spelling + word[0], word.end()
            if spelling in self.by_spelling:
                found = self.by_spelling[spelling], end
        return found

    def others(self, text: str, name: str) -> Iterator[int]:
        """Where in a normalized text the names of options other than `name` end, including times that may be another."""
        if self.by_minute:
            for match in TIME.finditer(text):
                if any(self.by_minute.get(minute, name) != name for minute in minutes_of(match)):
                    yield match.end()
        else:
            for word in WORD.finditer(text):
                if (found := self.at(text, word.start())) and found[0] != name:
                    yield found[1]


def minutes_of(match: re.Match | None) -> list[int]:
    """The minutes after midnight that a match of `TIME` may mean: two without AM or PM, unless it is on the 24-hour clock."""
    if not match:
        return []
    if match["word"]:
        return [0 if match["word"] == "midnight" else 720]
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half, day = match["half"], match["day"]
    if not (match["minute"] or half or day) or minute > 59 or hour > 24:
        return []
    if day and not half and 1 <= hour <= 12:
        if day.endswith("midnight") and (hour, minute) != (12, 0):
            return []
        half = "a" if day.endswith("morning") or (day.endswith("night") and (hour < 6 or hour == 12)) else "p"
    if half:
        return [hour % 12 * 60 + minute + 720 * (half == "p")] if 1 <= hour <= 12 else []
    if 1 <= hour <= 12:
        return [hour % 12 * 60 + minute, hour % 12 * 60 + minute + 720]
    return [hour % 24 * 60 + minute]
