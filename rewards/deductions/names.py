"""Names in a text: each becomes a mark such as <S0>, so that the grammar does not depend on the puzzle, and can be mapped back.

A name may be written in full, without its title's dot, as a surname alone if only one suspect has it, and a time as "1:00am".
"""

from __future__ import annotations

import re

from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Setting
from rewards.deductions.forms import A_PIECE, CONTRACTIONS
from rewards.deductions.grammar import ABBREVIATION

MARK = re.compile(r"<[A-Z]\d+>")
TITLES = ("Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Professor", "Colonel", "Madame", "Captain", "Lord", "Lady", "Sir")
NAME_AFTER = re.compile(r" (?!(?:And|At|In|The|Is|Was|AM|PM|NOT)\b)[A-Z][a-z]+")


class Names:
    """The names of a puzzle and their marks: suspects <S0>, <S1> …, weapons <W0> …, Mr. Boddy <B0>, rooms <R0> …, times <T0> …,
    motives <M0> …
    """

    def __init__(self, setting: Setting):
        kinds = {
            "W": setting.weapons,
            "R": setting.rooms,
            "M": setting.motive_names,
            "S": setting.suspects,
            "B": (BODDY,),
            "T": setting.times,
        }
        self.by_mark = {f"<{kind}{i}>": name for kind, names in kinds.items() for i, name in enumerate(names)}
        self._marks = {_key(name): mark for mark, name in self.by_mark.items() if not mark.startswith("<T")}
        surnames = [name.split()[-1].upper() for name in setting.suspects]
        full_names = set(self._marks)
        for i, name in enumerate(setting.suspects):
            title, _, surname = _key(name).rpartition(" ")
            if surname not in full_names and surnames.count(surname) == 1:
                self._marks[surname] = f"<S{i}>"
            if title == "PROFESSOR":
                self._marks[f"PROF {surname}"] = f"<S{i}>"
        self._marks |= {"BODDY": "<B0>", "THE VICTIM": "<B0>"}
        words = [r"\.?\s+".join(map(re.escape, name.split())) for name in sorted(self._marks, key=len, reverse=True)]
        clocks = []
        for i, time in enumerate(setting.times):  # also as 1:00am, or 1:00 a.m.
            clock, _, half = time.partition(" ")
            for hour in (clock, clock.removeprefix("0")):
                for written in (f"{hour} {half}", f"{hour}{half}"):
                    self._marks[written.upper()] = f"<T{i}>"
            clocks.append(rf"{re.sub('^0', '0?', clock)}\s?{half[:1]}\.?{half[1:]}\b")
        self._pattern = re.compile(rf"(?<![\w:-])(?:{'|'.join(clocks + words)})(?![\w-])", re.IGNORECASE)

    def mark(self, line: str) -> str:
        """A line in lower case, with a mark for each name and without contractions."""
        pieces, last = [], 0
        for match in self._pattern.finditer(line):
            mark = "<?>" if _is_part_of_another_name(line, match) else self._marks[_key(match[0])]
            pieces += [_lower(line[last : match.start()]), mark]
            last = match.end()
        marked = ABBREVIATION.sub(r"\1", "".join([*pieces, _lower(line[last:])]))
        if "'" in marked:
            for pattern, new in CONTRACTIONS:
                marked = pattern.sub(new, marked)
        return marked

    def name(self, phrase: str) -> str:
        """The name that a phrase of marked text stands for, or the reference if it is "the murderer" or "the murder weapon"."""
        mark = MARK.search(phrase)
        return self.by_mark[mark[0]] if mark else MURDER_WEAPON if "weapon" in phrase else MURDERER

    def names(self, phrase: str | None) -> list[str]:
        """All names in a phrase."""
        return [self.by_mark[mark] for mark in MARK.findall(phrase or "")]

    def pieces(self, phrase: str) -> list[str]:
        """All suspects, weapons and references in a phrase."""
        return [self.name(piece[0]) for piece in A_PIECE.finditer(phrase)]


def _key(name: str) -> str:
    return " ".join(name.replace(".", "").upper().split())


def _is_part_of_another_name(line: str, match: re.Match) -> bool:
    """Whether a title before or a capitalised word after makes it another name: Mr. White for Mrs. White, or Green Room."""
    before = line[max(0, match.start() - 12) : match.start()].rstrip(" .")
    return before.endswith(TITLES) or bool(NAME_AFTER.match(line, match.end()))


def _lower(text: str) -> str:
    return text.lower().replace("<", "(").replace("’", "'")
