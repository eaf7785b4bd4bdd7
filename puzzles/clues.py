"""Statements about a night, as data, and whether they are true: the truth view of a clue.

Each kind of statement is one small frozen dataclass whose fields are the names that occur in the sentence. The other views
are elsewhere: English in `sentences.py`, SAT clauses in `cnf.py` (for generation), CP-SAT constraints in `cpsat.py` (for
certification).

A question is a statement with an open field: the one that is None is what the detective must find out.

`who` and `other` are references: a piece's name, `MURDERER`, `MURDER_WEAPON`, or a motive's name, which stands for "a
suspect motivated by it". A statement about a shared motive holds if it is true of the same suspect throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from puzzles.scenario import MURDER_WEAPON, MURDERER, Night, Setting

# What can be asked about the murder, and the kind of answer, as the answer form at the end of a prompt names it.
ASPECTS = {"murderer": "SUSPECT", "weapon": "WEAPON", "room": "ROOM", "time": "TIME", "motive": "MOTIVE"}


@dataclass(frozen=True)
class At:
    """`who` was in `room` at `time`."""

    who: str
    room: str | None
    time: str

    def holds(self, night: Night) -> bool:
        return any(night.place[p, self.time] == self.room for p in night.bearers(self.who))


@dataclass(frozen=True)
class Or:
    """Exactly one of two statements holds."""

    first: At
    second: At

    def holds(self, night: Night) -> bool:
        return self.first.holds(night) != self.second.holds(night)


@dataclass(frozen=True)
class Iff:
    """Both statements hold, or neither."""

    first: At
    second: At

    def holds(self, night: Night) -> bool:
        return self.first.holds(night) == self.second.holds(night)


@dataclass(frozen=True)
class SameRoom:
    """`who` and `other` were in the same room at `time`."""

    who: str
    other: str
    time: str

    def holds(self, night: Night) -> bool:
        return any(night.place[p, self.time] == night.place[self.other, self.time] for p in night.bearers(self.who))


@dataclass(frozen=True)
class Together:
    """`who` and `other` were in `room` at the same time, at least once."""

    who: str
    other: str
    room: str

    def holds(self, night: Night) -> bool:
        return any(
            night.place[p, t] == night.place[self.other, t] == self.room
            for p in night.bearers(self.who)
            for t in night.setting.times
        )


@dataclass(frozen=True)
class Moved:
    """`who` was in `origin` just before `time`, and in `destination` at `time`."""

    who: str
    origin: str
    destination: str
    time: str

    def holds(self, night: Night) -> bool:
        return any(_moved(night, p, self) for p in night.bearers(self.who))


@dataclass(frozen=True)
class Carried:
    """`who` and `weapon` both moved from `origin` to `destination` at `time`."""

    who: str
    weapon: str
    origin: str
    destination: str
    time: str

    def holds(self, night: Night) -> bool:
        return all(any(_moved(night, p, self) for p in night.bearers(ref)) for ref in (self.who, self.weapon))


def _moved(night: Night, piece: str, move: Moved | Carried) -> bool:
    before = night.setting.before(move.time)
    return night.place[piece, before] == move.origin and night.place[piece, move.time] == move.destination


@dataclass(frozen=True)
class Beside:
    """`who` was in the room just `direction` of `other` at `time`."""

    who: str
    direction: str
    other: str
    time: str

    def holds(self, night: Night) -> bool:
        here, there = night.place[self.other, self.time], night.place[self.who, self.time]
        return night.setting.beside(here, self.direction) == there


@dataclass(frozen=True)
class Motivated:
    """`suspect` is motivated by `motive`."""

    suspect: str | None
    motive: str | None

    def holds(self, night: Night) -> bool:
        return night.motive[self.suspect] == self.motive


@dataclass(frozen=True)
class Murder:
    """The murder's `aspect` (who, with what, where, when or why: a key of `ASPECTS`) is `value`."""

    aspect: str
    value: str | None

    def holds(self, night: Night) -> bool:
        return murder_aspect(night, self.aspect) == self.value


Clue = At | Or | Iff | SameRoom | Together | Moved | Carried | Beside | Motivated | Murder


def murder_aspect(night: Night, aspect: str) -> str:
    return night.motive[night.murderer] if aspect == "motive" else getattr(night, aspect)


def murder_facts(night: Night) -> list[Murder]:
    """The facts of the murder; its time and motive only where the setting has several."""
    aspects = [a for a in ASPECTS if (a != "time" or len(night.setting.times) > 1) and (a != "motive" or night.motive)]
    return [Murder(aspect, murder_aspect(night, aspect)) for aspect in aspects]


def facts(night: Night) -> list[Clue]:
    """A whole night as statements: where everything was at each time, all motives, the murder. No other night fits them all."""
    places = [At(piece, room, time) for (piece, time), room in night.place.items()]
    return [*places, *(Motivated(suspect, motive) for suspect, motive in night.motive.items()), *murder_facts(night)]


def facts_about(statement: Clue, night: Night) -> list[Clue]:
    """The facts of a night that decide whether a statement holds on it."""
    match statement:
        case Or(first, second) | Iff(first, second):
            found = facts_about(first, night) + facts_about(second, night)
        case Motivated(suspect, _):
            found = [Motivated(suspect, night.motive[suspect])]
        case Murder(aspect, _):
            found = [Murder(aspect, murder_aspect(night, aspect))]
        case _:
            times = [statement.time] if hasattr(statement, "time") else night.setting.times
            if isinstance(statement, Moved | Carried):
                times = [night.setting.before(statement.time), statement.time]
            found = []
            for field in ("who", "weapon", "other"):
                if reference := getattr(statement, field, None):
                    found += _identity(reference, night)
                    found += [At(piece, night.place[piece, t], t) for piece in night.bearers(reference) for t in times]
    return list(dict.fromkeys(found))


def _identity(reference: str, night: Night) -> list[Clue]:
    """The facts that show whom or what a reference stands for."""
    if reference in (MURDERER, MURDER_WEAPON):
        aspect = "murderer" if reference == MURDERER else "weapon"
        return [Murder(aspect, murder_aspect(night, aspect))]
    return [Motivated(suspect, reference) for suspect in night.bearers(reference) if suspect != reference]


def question_about(fact: At | Motivated | Murder) -> Clue:
    """The question that a fact answers: where, what motive, or which suspect, weapon, room, time or motive of the murder."""
    field = {At: "room", Motivated: "motive", Murder: "value"}[type(fact)]
    return replace(fact, **{field: None})


def open_field(question: Clue) -> str:
    """The name of the field that a question leaves open."""
    (name,) = (f.name for f in fields(question) if getattr(question, f.name) is None)
    return name


def answer_kind(question: Clue) -> str:
    """What kind of thing answers the question: SUSPECT, WEAPON, ROOM, TIME or MOTIVE."""
    return ASPECTS[question.aspect] if isinstance(question, Murder) else open_field(question).upper()


def answer_options(question: Clue, setting: Setting) -> tuple[str, ...]:
    """All names in the setting of the kind that a question asks for."""
    kinds = {
        "SUSPECT": setting.suspects,
        "WEAPON": setting.weapons,
        "ROOM": setting.rooms,
        "TIME": setting.times,
        "MOTIVE": setting.motive_names,
    }
    return kinds[answer_kind(question)]


def with_answer(question: Clue, answer: str) -> Clue:
    """The statement that a question becomes with this answer in its open field."""
    return replace(question, **{open_field(question): answer})


def answer(question: Clue, night: Night) -> str:
    """The true answer to a question.

    Raises:
        ValueError: if the question has no single answer on this night.
    """
    match question:
        case At(who, None, time):
            answers = {night.place[p, time] for p in night.bearers(who)}
        case Motivated(None, motive):
            answers = set(night.bearers(motive))
        case Motivated(suspect, None):
            answers = {night.motive[suspect]}
        case Murder(aspect, None):
            answers = {murder_aspect(night, aspect)}
        case _:
            raise ValueError(f"{question} is not a question.")
    if len(answers) != 1:
        raise ValueError(f"{question} has {len(answers)} answers on this night: {sorted(answers)}.")
    return answers.pop()


@dataclass(frozen=True)
class Puzzle:
    """What the detective is given. The last `bonus` questions are not about the murder itself."""

    setting: Setting
    clues: tuple[Clue, ...]
    questions: tuple[Clue, ...]
    bonus: int = 0
