"""The rules of the night, and clues, as a CP-SAT model (OR-Tools), used to certify puzzles.

This is the independent view of a clue. Puzzles are made with SAT clauses (`cnf.py`); here the same rules are stated again from
scratch, with integer variables, tables and elements, so that a puzzle is certified by code that had no part in making it.

`effort` limits a proof in CP-SAT's deterministic time, which counts the solver's steps, weighted so that a unit is one or two
seconds. It is not wall-clock time, so every machine, however slow or busy, reaches the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ortools.sat.python import cp_model

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Night, Setting

EFFORT = 60.0  # a hundred times what a puzzle of the largest published size needs


class UndecidedError(ValueError):
    """A solver could not decide within the effort allowed."""


def find_night(
    setting: Setting,
    clues: Sequence[Clue],
    *,
    false: Sequence[Clue] = (),
    not_all: Sequence[Clue] = (),
) -> Night | None:
    """A night that fits the rules and all `clues`, or None if there is none.

    Args:
        false: statements that must all be false on it. If no night makes a statement false, the clues entail it.
        not_all: statements of which at least one must be false on it. With the facts of a night, the result is another night.

    Raises:
        UndecidedError: if CP-SAT can neither find one nor prove that there is none within EFFORT.
    """
    model = _Model(setting)
    for clue in clues:
        model.add(model.literal(clue) == 1)
    for statement in false:
        model.add(model.literal(statement) == 0)
    if not_all:
        model.add_bool_or(~model.literal(statement) for statement in not_all)
    solver, status = _solve(model, EFFORT)
    return model.night(solver) if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None


def _solve(model: cp_model.CpModel, effort: float, presolve: bool = True) -> tuple[cp_model.CpSolver, int]:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1  # one worker: the same answer every time
    solver.parameters.max_deterministic_time = effort
    solver.parameters.cp_model_presolve = presolve
    status = solver.solve(model)
    if status == cp_model.UNKNOWN:
        raise UndecidedError(f"CP-SAT did not decide within an effort of {effort:g}: allow more.")
    return solver, status


def redundant(setting: Setting, groups: Sequence[Sequence[Clue]], statements: Sequence[Clue]) -> Iterator[int]:
    """The indices of the redundant groups of clues: those without which the others still entail all of `statements`.

    The model is built once, and solved without presolve, which costs more than it saves where there are many solutions.

    Raises:
        UndecidedError: if CP-SAT cannot decide on a group within EFFORT.
    """
    model = _Model(setting)
    literals = [[model.literal(clue) for clue in group] for group in groups]
    model.add_bool_or(~model.literal(statement) for statement in statements)
    others = ([literal for group in literals[:i] + literals[i + 1 :] for literal in group] for i in range(len(groups)))
    yield from (i for i, rest in enumerate(others) if _impossible(model, rest, EFFORT))


def unproved(setting: Setting, claims: Sequence[tuple[Sequence[Clue], Clue]], effort: float = EFFORT) -> list[int]:
    """The indices of the claims, each of premises and a conclusion, whose premises do not entail the conclusion.

    The model is built once, as for `redundant`.

    Raises:
        UndecidedError: if CP-SAT cannot decide on a claim within `effort`.
    """
    model = _Model(setting)
    refuting = [[*map(model.literal, premises), ~model.literal(conclusion)] for premises, conclusion in claims]
    return [i for i, literals in enumerate(refuting) if not _impossible(model, literals, effort)]


def _impossible(model: cp_model.CpModel, literals: Sequence[cp_model.IntVar], effort: float) -> bool:
    """Whether no night of the model has all of `literals` true."""
    constrained = model.clone()
    constrained.proto.constraints.add().bool_and.literals.extend(literal.index for literal in literals)
    return _solve(constrained, effort, presolve=False)[1] == cp_model.INFEASIBLE


class _Model(cp_model.CpModel):
    """An integer variable for each cell of the night; its value is the position of a name in the setting."""

    def __init__(self, setting: Setting):
        super().__init__()
        self.s = s = setting
        self._literals: dict[tuple, cp_model.IntVar] = {}
        self.true = self.new_constant(1)
        self.at = {(p, t): self._choice(f"{p} {t}", s.rooms) for p in s.pieces for t in s.times}
        self.motive = {x: self._choice(f"{x} motive", s.motive_names) for x in s.suspects} if s.motives else {}
        self.murderer = self._choice("murderer", s.suspects)
        self.weapon = self._choice("weapon", s.weapons)
        self.room = self._choice("room", s.rooms)
        self.time = self._choice("time", s.times)
        for motive, count in s.motives:
            self.add(sum(self.equals(v, s.motive_names, motive) for v in self.motive.values()) == count)
        self._movement()
        self._murder()

    def _choice(self, name: str, values: Sequence[str]) -> cp_model.IntVar:
        return self.new_int_var(0, len(values) - 1, name)

    def _movement(self) -> None:
        s = self.s
        index = {room: i for i, room in enumerate(s.rooms)}
        steps = [(index[room], index[n]) for room in s.rooms for n in (room, *s.neighbours(room))]
        for earlier, later in zip(s.times, s.times[1:], strict=False):
            for person in s.people:
                self.add_allowed_assignments([self.at[person, earlier], self.at[person, later]], steps)
            for w in s.weapons:
                stayed = self._same(self.at[w, earlier], self.at[w, later])
                carried = [
                    self.both(
                        self._same(self.at[w, earlier], self.at[x, earlier]),
                        self._same(self.at[w, later], self.at[x, later]),
                    )
                    for x in s.suspects
                ]
                self.add_bool_or(stayed, *carried)

    def _murder(self) -> None:
        s = self.s
        for i, time in enumerate(s.times):
            now = self.equals(self.time, s.times, time)
            for suspect in s.suspects:
                present = self._same(self.at[suspect, time], self.room)
                self.add(present == self.equals(self.murderer, s.suspects, suspect)).only_enforce_if(now)
            self.add_element(self.weapon, [self.at[w, time] for w in s.weapons], self.room).only_enforce_if(now)
            for later in s.times[i:]:
                self.add(self.at[BODDY, later] == self.room).only_enforce_if(now)

    def _literal(self, key: tuple, define) -> cp_model.IntVar:
        """The literal for `key`, made once; `define(literal)` adds the constraints that give it its meaning."""
        if key not in self._literals:
            self._literals[key] = literal = self.new_bool_var("")
            define(literal)
        return self._literals[key]

    def equals(self, variable: cp_model.IntVar, names: Sequence[str], name: str) -> cp_model.IntVar:
        value = names.index(name)

        def define(literal):
            self.add(variable == value).only_enforce_if(literal)
            self.add(variable != value).only_enforce_if(~literal)

        return self._literal((variable.index, "=", value), define)

    def _same(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.IntVar:
        def define(literal):
            self.add(a == b).only_enforce_if(literal)
            self.add(a != b).only_enforce_if(~literal)

        return self._literal((a.index, "==", b.index), define)

    def both(self, *literals: cp_model.IntVar) -> cp_model.IntVar:
        def define(literal):
            self.add_bool_and(*literals).only_enforce_if(literal)
            self.add_bool_or(literal, *(~x for x in literals))

        return self._literal(("and", *(x.index for x in literals)), define)

    def either(self, *literals: cp_model.IntVar) -> cp_model.IntVar:
        def define(literal):
            self.add_bool_or(*literals).only_enforce_if(literal)
            self.add_bool_and(~x for x in literals).only_enforce_if(~literal)

        return self._literal(("or", *(x.index for x in literals)), define)

    def xor(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.IntVar:
        return self._literal(("xor", a.index, b.index), lambda literal: self.add_bool_xor(a, b, ~literal))

    def bearers(self, reference: str) -> list[tuple[str, cp_model.IntVar]]:
        """Each piece that a reference may stand for, with the literal that it does so."""
        s = self.s
        if reference == MURDERER:
            return [(x, self.equals(self.murderer, s.suspects, x)) for x in s.suspects]
        if reference == MURDER_WEAPON:
            return [(w, self.equals(self.weapon, s.weapons, w)) for w in s.weapons]
        if reference in s.motive_names:
            return [(x, self.equals(self.motive[x], s.motive_names, reference)) for x in s.suspects]
        return [(reference, self.true)]

    def place(self, piece: str, room: str, time: str) -> cp_model.IntVar:
        return self.equals(self.at[piece, time], self.s.rooms, room)

    def literal(self, clue: Clue) -> cp_model.IntVar:
        """A literal that is true on exactly the nights where `clue` holds."""
        s, at, place = self.s, self.at, self.place
        match clue:
            case At(who, room, time):
                return self.either(*(self.both(is_it, place(p, room, time)) for p, is_it in self.bearers(who)))
            case Or(first, second):
                return self.xor(self.literal(first), self.literal(second))
            case Iff(first, second):
                return ~self.xor(self.literal(first), self.literal(second))
            case SameRoom(who, other, time):
                return self.either(
                    *(self.both(is_it, self._same(at[p, time], at[other, time])) for p, is_it in self.bearers(who))
                )
            case Together(who, other, room):
                return self.either(
                    *(
                        self.both(is_it, place(p, room, t), place(other, room, t))
                        for p, is_it in self.bearers(who)
                        for t in s.times
                    )
                )
            case Moved(who, origin, destination, time):
                return self.moved(who, origin, destination, time)
            case Carried(who, weapon, origin, destination, time):
                return self.both(*(self.moved(ref, origin, destination, time) for ref in (who, weapon)))
            case Beside(who, direction, other, time):
                pairs = [(i, s.rooms.index(n)) for i, r in enumerate(s.rooms) if (n := s.beside(r, direction))]

                def define(literal):
                    both = [at[other, time], at[who, time]]
                    self.add_allowed_assignments(both, pairs).only_enforce_if(literal)
                    self.add_forbidden_assignments(both, pairs).only_enforce_if(~literal)

                return self._literal(("beside", who, direction, other, time), define)
            case Motivated(suspect, motive):
                return self.equals(self.motive[suspect], s.motive_names, motive)
            case Murder("motive", motive):
                return self.either(
                    *(self.both(self.equals(self.murderer, s.suspects, p), has) for p, has in self.bearers(motive))
                )
            case Murder(aspect, value):
                names = {"murderer": s.suspects, "weapon": s.weapons, "room": s.rooms, "time": s.times}[aspect]
                return self.equals(getattr(self, aspect), names, value)
        raise TypeError(f"{clue!r} is not a clue.")

    def moved(self, who: str, origin: str, destination: str, time: str) -> cp_model.IntVar:
        before = self.s.before(time)
        return self.either(
            *(
                self.both(is_it, self.place(p, origin, before), self.place(p, destination, time))
                for p, is_it in self.bearers(who)
            )
        )

    def night(self, solver: cp_model.CpSolver) -> Night:
        """The night that the solver found."""
        s, value = self.s, solver.value
        return Night(
            setting=s,
            place={cell: s.rooms[value(v)] for cell, v in self.at.items()},
            motive={x: s.motive_names[value(v)] for x, v in self.motive.items()},
            murderer=s.suspects[value(self.murderer)],
            weapon=s.weapons[value(self.weapon)],
            room=s.rooms[value(self.room)],
            time=s.times[value(self.time)],
        )
