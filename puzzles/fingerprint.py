"""The split fingerprint: are two puzzles the same except for the names?

Any two sets of statements that differ only in the names of suspects, weapons, rooms, times and motives have the same split
fingerprint. So different fingerprints prove that neither is a renaming of the other. Equal ones almost prove that one is: names
are told apart by colour refinement (the Weisfeiler-Leman test, B. Weisfeiler and A. Leman, 1968) over the statements that they
occur in. Dropping puzzles with equal fingerprints may drop a distinct puzzle but never keeps a renamed duplicate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from puzzles.clues import Clue, Iff, Or, SameRoom, Together
from puzzles.scenario import Setting

ROUNDS = 3  # of refinement: how many statements away from a name to look


def split_fingerprint(setting: Setting, statements: Iterable[Clue]) -> str:
    """32 hexadecimal digits that stay the same under any renaming and any order of the statements.

    A room is represented by its position in the mansion, a time by its position in the night, and suspects, weapons and motives
    by what is said about them. The two sides of a symmetric statement may be swapped.
    """
    s, statements = setting, list(statements)
    fixed = {room: f"room {i}" for i, room in enumerate(s.rooms)} | {time: f"time {i}" for i, time in enumerate(s.times)}
    colour = dict.fromkeys(s.suspects, "suspect") | dict.fromkeys(s.weapons, "weapon")
    colour |= {motive: f"motive of {count}" for motive, count in s.motives}
    for _ in range(ROUNDS):
        known = fixed | colour
        mentions: dict[str, list[str]] = {name: [old] for name, old in colour.items()}
        for statement in statements:
            for name in mentions.keys() & _names(statement):
                mentions[name].append(_outline(statement, known | {name: f"this {colour[name]}"}))
        colour = {name: _digest(sorted(outlines)) for name, outlines in mentions.items()}
    known = fixed | colour
    return _digest([str(s.columns), *sorted(known.values()), *sorted(_outline(statement, known) for statement in statements)])


def _names(statement: Clue) -> Iterator[str]:
    for value in vars(statement).values():
        yield from [value] if isinstance(value, str) else _names(value)


def _outline(statement: Clue, known: dict[str, str]) -> str:
    """A statement with each name replaced by what is known about it."""
    values = [known.get(v, v) if isinstance(v, str) else _outline(v, known) for v in vars(statement).values()]
    if isinstance(statement, (Or, Iff, SameRoom, Together)):
        values[:2] = sorted(values[:2])
    return f"{type(statement).__name__}({', '.join(values)})"


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
