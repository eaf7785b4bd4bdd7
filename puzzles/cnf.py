"""The rules of the night, and clues, as SAT clauses (CNF), used to generate, grade and prove puzzles.

This is the fast view of a clue, for an incremental SAT solver that is asked thousands of questions a second. `cpsat.py` states
the same rules a second time, as a CP-SAT model, to certify what was made here; the two share no code, so each checks the other.

Variables are numbered from 1 in a fixed order, so that the same setting always gives the same clauses. A compound statement
gets a variable that is equivalent to it (Tseitin encoding), made once and shared. `rules` and `search` cache their
result for the last setting, since successive calls are mostly about the same puzzle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from pysat.solvers import Solver

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Setting


class CNF:
    """Clauses whose models are exactly the nights that fit the rules of `setting`.

    Args:
        pairwise: whether "at most one of these" is written as a clause for each pair. If not, it is kept in `at_most_one`,
            from which the solver propagates the same facts; this saves two clauses in five.
    """

    def __init__(self, setting: Setting, pairwise: bool = True):
        self.setting = setting
        self.pairwise = pairwise
        self.clauses: list[tuple[int, ...]] = []
        self.at_most_one: list[list[int]] = []
        self.count = 0
        self._defined: dict[tuple, int] = {}
        self._literals: dict[Clue, int] = {}
        s = setting
        self.at = {(p, t): self._choice(s.rooms) for p in s.pieces for t in s.times}
        self.motive = {suspect: self._choice(s.motive_names) for suspect in s.suspects} if s.motives else {}
        self.murderer = self._choice(s.suspects)
        self.weapon = self._choice(s.weapons)
        self.room = self._choice(s.rooms)
        self.time = self._choice(s.times)
        self.murder_motive = self._choice(s.motive_names) if s.motives else {}
        self._motive_counts()
        self._steps()
        self._murder()

    def _variable(self) -> int:
        self.count += 1
        return self.count

    def _choice(self, values: Sequence[str]) -> dict[str, int]:
        """One variable for each value, exactly one of them true."""
        variables = {value: self._variable() for value in values}
        self.clauses.append(tuple(variables.values()))
        if self.pairwise:
            self.clauses.extend((-a, -b) for a, b in combinations(variables.values(), 2))
        else:
            self.at_most_one.append(list(variables.values()))
        return variables

    def _motive_counts(self) -> None:
        for motive, count in self.setting.motives:
            column = [self.motive[s][motive] for s in self.setting.suspects]
            self.clauses.extend(tuple(-v for v in some) for some in combinations(column, count + 1))
            self.clauses.extend(combinations(column, len(column) - count + 1))

    def _steps(self) -> None:
        """Everyone stays or steps to a neighbour; a weapon changes room only with a suspect who makes the same step."""
        s = self.setting
        for earlier, later in zip(s.times, s.times[1:], strict=False):
            for piece in s.pieces:
                here, there = self.at[piece, earlier], self.at[piece, later]
                for room in s.rooms:
                    near = (room, *s.neighbours(room))
                    self.clauses += ((-here[room], *(there[n] for n in near)), (-there[room], *(here[n] for n in near)))
            for room in s.rooms:
                for neighbour in s.neighbours(room):
                    steps = [self.all(self.at[p, earlier][room], self.at[p, later][neighbour]) for p in s.suspects]
                    for w in s.weapons:
                        self.clauses.append((-self.at[w, earlier][room], -self.at[w, later][neighbour], *steps))

    def _murder(self) -> None:
        """At the murder the murderer is the only suspect in the room, with weapon and victim; the victim stays there."""
        s = self.setting
        scenes = {(time, room): self._variable() for time in s.times for room in s.rooms}
        for choice, axis in ((self.time, 0), (self.room, 1)):
            for value, v in choice.items():
                self.clauses.append((-v, *(scene for key, scene in scenes.items() if key[axis] == value)))
        for i, time in enumerate(s.times):
            for room in s.rooms:
                scene = -scenes[time, room]
                self.clauses += ((scene, self.time[time]), (scene, self.room[room]))
                for suspect in s.suspects:
                    present, guilty = self.at[suspect, time][room], self.murderer[suspect]
                    self.clauses += ((scene, -guilty, present), (scene, guilty, -present))
                for weapon in s.weapons:
                    self.clauses.append((scene, -self.weapon[weapon], self.at[weapon, time][room]))
                self.clauses.extend((scene, self.at[BODDY, t][room]) for t in s.times[i:])
        for suspect, choice in self.motive.items():
            for motive, v in self.murder_motive.items():
                guilty, has = self.murderer[suspect], choice[motive]
                self.clauses += ((-guilty, -has, v), (-guilty, has, -v))

    def all(self, *literals: int) -> int:
        """A literal that is true exactly when all of `literals` are."""
        if len(literals) == 1:
            return literals[0]
        key = tuple(sorted(literals))
        if (v := self._defined.get(key)) is None:
            self._defined[key] = v = self._variable()
            self.clauses += [*[(-v, a) for a in key], (v, *[-a for a in key])]
        return v

    def any(self, literals: Iterable[int]) -> int:
        """A literal that is true exactly when at least one of `literals` is."""
        return -self.all(*(-a for a in literals))

    def same(self, a: int, b: int) -> int:
        """A literal that is true exactly when `a` and `b` are both true or both false."""
        v = self._variable()
        self.clauses += ((-v, -a, b), (-v, a, -b), (v, a, b), (v, -a, -b))
        return v

    def picked(self, choice: dict[str, int], literals: dict[str, int]) -> int:
        """A literal that is true exactly when `literals[name]` is, for the name that `choice` takes."""
        v = self._variable()
        for name, chosen in choice.items():
            self.clauses += ((-v, -chosen, literals[name]), (v, -chosen, -literals[name]))
        return v

    def paired(self, a: dict[str, int], b: dict[str, int], pairs: list[tuple[str, str]]) -> int:
        """A literal that is true exactly when the values that the choices `a` and `b` take are one of `pairs`.

        No value may occur twice on one side of the pairs.
        """
        v = self._variable()
        partner_of_a = {x: b[y] for x, y in pairs}
        partner_of_b = {y: a[x] for x, y in pairs}
        for choice, partner in ((a, partner_of_a), (b, partner_of_b)):
            self.clauses.extend((-v, -var, partner[x]) if x in partner else (-v, -var) for x, var in choice.items())
        self.clauses.extend((v, -a[x], -b[y]) for x, y in pairs)
        return v

    def literal(self, clue: Clue) -> int:
        """A literal that is true on exactly the nights where `clue` holds."""
        if clue not in self._literals:
            self._literals[clue] = self._literal(clue)
        return self._literals[clue]

    def _literal(self, clue: Clue) -> int:
        s, at = self.setting, self.at
        for field in ("who", "weapon"):
            if bearers := self._bearers(getattr(clue, field, None)):
                if isinstance(clue, At):  # by far the most common, so it takes the short path
                    of = {piece: at[piece, clue.time][clue.room] for piece in bearers}
                else:
                    of = {piece: self.literal(replace(clue, **{field: piece})) for piece in bearers}
                if s.motive_counts.get(getattr(clue, field), 1) == 1:
                    return self.picked(bearers, of)
                return self.any(self.all(is_it, of[piece]) for piece, is_it in bearers.items())
        match clue:
            case At(who, room, time):
                return at[who, time][room]
            case Or(first, second):
                return -self.same(self.literal(first), self.literal(second))
            case Iff(first, second):
                return self.same(self.literal(first), self.literal(second))
            case SameRoom(who, other, time):
                return self.paired(at[who, time], at[other, time], [(room, room) for room in s.rooms])
            case Together(who, other, room):
                return self.any(self.all(at[who, t][room], at[other, t][room]) for t in s.times)
            case Moved(who, origin, destination, time):
                return self.all(at[who, s.before(time)][origin], at[who, time][destination])
            case Carried(who, weapon, origin, destination, time):
                return self.all(*(self.literal(Moved(p, origin, destination, time)) for p in (who, weapon)))
            case Beside(who, direction, other, time):
                pairs = [(there, room) for room in s.rooms if (there := s.beside(room, direction))]
                return self.paired(at[who, time], at[other, time], pairs)
            case Motivated(suspect, motive):
                return self.motive[suspect][motive]
            case Murder("motive", motive):
                return self.murder_motive[motive]
            case Murder(aspect, value):
                return getattr(self, aspect)[value]
        raise TypeError(f"{clue!r} is not a clue.")

    def _bearers(self, reference: str | None) -> dict[str, int]:
        """Each piece that a reference may stand for, with the literal that it does so; {} for a plain name."""
        if reference == MURDERER:
            return self.murderer
        if reference == MURDER_WEAPON:
            return self.weapon
        if reference in self.setting.motive_counts:
            return {suspect: choice[reference] for suspect, choice in self.motive.items()}
        return {}

    def choices(self) -> list[dict[str, int]]:
        """Every cell of the night (each place, each motive, each aspect of the murder) as the variables of its values."""
        murder = (self.murderer, self.weapon, self.room, self.time, self.murder_motive)
        return [*self.at.values(), *self.motive.values(), *murder]

    def copy(self) -> CNF:
        """A copy to which clauses can be added without changing this one."""
        other = copy(self)
        other.clauses, other._defined, other._literals = list(self.clauses), dict(self._defined), dict(self._literals)
        return other

    def solver(self) -> Solver:
        """A new solver with these clauses."""
        solver = Solver(name="minicard", bootstrap_with=self.clauses)
        for literals in self.at_most_one:
            solver.add_atmost(literals, 1)
        return solver


class Search:
    """An incremental solver with the rules of a setting, to which the clauses of a statement are added with its literal.

    What it has learned affects how long an answer takes, never whether a night exists.
    """

    def __init__(self, setting: Setting):
        self.cnf = rules(setting)
        self.solver = self.cnf.solver()
        self._loaded = len(self.cnf.clauses)

    def possible(self, assumptions: list[int]) -> bool:
        """Whether all of these literals are true on some night: then `solver` has it as its model, otherwise it has a core."""
        self.solver.append_formula(self.cnf.clauses[self._loaded :])
        self._loaded = len(self.cnf.clauses)
        return self.solver.solve(assumptions=assumptions)


def minimal_core(solver: Solver, premises: list[int], conclusion: int) -> list[int] | None:
    """The literals among `premises` that entail `conclusion`, none of them redundant; None if they do not entail it."""
    if solver.solve(assumptions=[-conclusion, *premises]):
        return None
    core = [premise for premise in solver.get_core() if premise != -conclusion]
    for premise in list(core):
        rest = [other for other in core if other != premise]
        if not solver.solve(assumptions=[-conclusion, *rest]):
            core = rest
    return core


def rules(setting: Setting) -> CNF:
    """The rules of a setting, as a copy to which clauses can be added."""
    return _rules(setting).copy()


@lru_cache(maxsize=1)
def _rules(setting: Setting) -> CNF:
    return CNF(setting, pairwise=False)


search = lru_cache(maxsize=1)(Search)  # the Search of the last setting, shared by all callers
