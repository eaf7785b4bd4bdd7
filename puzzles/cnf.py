"""The rules of the night and its clues as clauses for an incremental SAT solver: the view that generation uses.

Variables are numbered from 1 in a fixed order, so that the same setting always gives the same clauses. Compound
statements get a defining variable (Tseitin) that is equivalent to them, made once and shared.

`solver.py` holds the same rules in another form, for CP-SAT; the two are written apart so that each can check the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Night, Setting


class CNF:
    """Clauses whose models are exactly the nights that fit the rules of `setting`."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self.clauses: list[list[int]] = []
        self.count = 0
        self._defined: dict[tuple, int] = {}
        s = setting
        self.at = {(p, t): self._choice(s.rooms) for p in s.pieces for t in s.times}
        self.motive = {suspect: self._choice(s.motive_names) for suspect in s.suspects} if s.motives else {}
        self.murderer = self._choice(s.suspects)
        self.weapon = self._choice(s.weapons)
        self.room = self._choice(s.rooms)
        self.time = self._choice(s.times)
        self._motive_counts()
        self._steps()
        self._murder()

    def _variable(self) -> int:
        self.count += 1
        return self.count

    def _choice(self, values: Sequence[str]) -> dict[str, int]:
        """One variable a value, exactly one of them true."""
        variables = {value: self._variable() for value in values}
        self.clauses.append(list(variables.values()))
        self.clauses.extend([-a, -b] for a, b in combinations(variables.values(), 2))
        return variables

    def _motive_counts(self) -> None:
        for motive, count in self.setting.motives:
            column = [self.motive[s][motive] for s in self.setting.suspects]
            self.clauses.extend([-v for v in some] for some in combinations(column, count + 1))
            self.clauses.extend(list(some) for some in combinations(column, len(column) - count + 1))

    def _steps(self) -> None:
        """Everyone stays or steps to a neighbour; a weapon changes room only with a suspect who makes the same step."""
        s = self.setting
        for earlier, later in zip(s.times, s.times[1:], strict=False):
            for piece in s.pieces:
                here, there = self.at[piece, earlier], self.at[piece, later]
                for room in s.rooms:
                    self.clauses.append([-here[room], there[room], *(there[n] for n in s.neighbours(room))])
            for room in s.rooms:
                for neighbour in s.neighbours(room):
                    steps = [self.all(self.at[p, earlier][room], self.at[p, later][neighbour]) for p in s.suspects]
                    for w in s.weapons:
                        self.clauses.append([-self.at[w, earlier][room], -self.at[w, later][neighbour], *steps])

    def _murder(self) -> None:
        """At the murder the murderer is the only suspect in the room, with weapon and victim; the victim stays there."""
        s = self.setting
        for i, time in enumerate(s.times):
            for room in s.rooms:
                scene = [-self.time[time], -self.room[room]]
                for suspect in s.suspects:
                    present, guilty = self.at[suspect, time][room], self.murderer[suspect]
                    self.clauses += [[*scene, -guilty, present], [*scene, guilty, -present]]
                for weapon in s.weapons:
                    self.clauses.append([*scene, -self.weapon[weapon], self.at[weapon, time][room]])
                self.clauses.extend([*scene, self.at[BODDY, t][room]] for t in s.times[i:])

    def all(self, *literals: int) -> int:
        """A literal that is true exactly if all of `literals` are."""
        if len(literals) == 1:
            return literals[0]
        key = tuple(sorted(literals))
        if (v := self._defined.get(key)) is None:
            self._defined[key] = v = self._variable()
            self.clauses.extend([-v, a] for a in key)
            self.clauses.append([v, *(-a for a in key)])
        return v

    def any(self, literals: Iterable[int]) -> int:
        """A literal that is true exactly if at least one of `literals` is."""
        return -self.all(*(-a for a in literals))

    def same(self, a: int, b: int) -> int:
        """A literal that is true exactly if `a` and `b` are both true or both false."""
        return self.any((self.all(a, b), self.all(-a, -b)))

    def bearers(self, reference: str) -> list[tuple[str, tuple[int, ...]]]:
        """Each piece that a reference may stand for, with the literals that make it so (none for a plain name)."""
        if reference == MURDERER:
            return [(s, (v,)) for s, v in self.murderer.items()]
        if reference == MURDER_WEAPON:
            return [(w, (v,)) for w, v in self.weapon.items()]
        if reference in self.setting.motive_counts:
            return [(s, (self.motive[s][reference],)) for s in self.setting.suspects]
        return [(reference, ())]

    def literal(self, clue: Clue) -> int:
        """A literal that is true exactly on the nights on which `clue` holds."""
        s, at = self.setting, self.at
        match clue:
            case At(who, room, time):
                return self.any(self.all(*c, at[p, time][room]) for p, c in self.bearers(who))
            case Or(first, second):
                return -self.same(self.literal(first), self.literal(second))
            case Iff(first, second):
                return self.same(self.literal(first), self.literal(second))
            case SameRoom(who, other, time):
                return self.any(self.all(*c, at[p, time][r], at[other, time][r]) for p, c in self.bearers(who) for r in s.rooms)
            case Together(who, other, room):
                return self.any(self.all(*c, at[p, t][room], at[other, t][room]) for p, c in self.bearers(who) for t in s.times)
            case Moved(who, origin, destination, time):
                return self._moved(who, origin, destination, time)
            case Carried(who, weapon, origin, destination, time):
                return self.all(*(self._moved(ref, origin, destination, time) for ref in (who, weapon)))
            case Beside(who, direction, other, time):
                pairs = ((s.beside(r, direction), r) for r in s.rooms)
                return self.any(self.all(at[who, time][a], at[other, time][b]) for a, b in pairs if a)
            case Motivated(suspect, motive):
                return self.motive[suspect][motive]
            case Murder("motive", motive):
                return self.any(self.all(self.murderer[p], *c) for p, c in self.bearers(motive))
            case Murder(aspect, value):
                return getattr(self, aspect)[value]
        raise TypeError(f"{clue!r} is not a clue.")

    def _moved(self, who: str, origin: str, destination: str, time: str) -> int:
        before = self.setting.before(time)
        return self.any(self.all(*c, self.at[p, before][origin], self.at[p, time][destination]) for p, c in self.bearers(who))

    def differs(self, night: Night) -> list[int]:
        """A clause that is true exactly if some cell of the night is not as in `night`."""
        cells = [self.at[cell][room] for cell, room in night.place.items()]
        cells += [self.motive[suspect][motive] for suspect, motive in night.motive.items()]
        cells += [self.murderer[night.murderer], self.weapon[night.weapon], self.room[night.room], self.time[night.time]]
        return [-cell for cell in cells]
