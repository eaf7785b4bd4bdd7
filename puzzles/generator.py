"""From a night to a puzzle: candidate clues, a minimal set of them, and the questions.

Candidate clues of every kind are drawn in the published proportions. Then they are left out one by one, in random order with
plain statements first (`BIAS`), as long as the rest still determines the whole night: "some cell has another value" must be
unsatisfiable together with the rules and the clues that remain. The result is minimal: no clue can be left out.

The rules are encoded once (`cnf.py`), each candidate gets one literal, and an incremental SAT solver takes the remaining
literals as assumptions. Each time it finds them unsatisfiable it names a core, the assumptions that it used. A clue outside the
last core can be left out without another call, since the core stays complete; so the result is that of one call per clue.
The last candidates are assumed first, so that a core holds late candidates and most of the early ones are left out at once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise

from puzzles.clues import (
    At,
    Beside,
    Carried,
    Clue,
    Iff,
    Motivated,
    Moved,
    Murder,
    Or,
    Puzzle,
    SameRoom,
    Together,
    answer,
    facts,
    murder_facts,
    with_answer,
)
from puzzles.cnf import search
from puzzles.difficulty import depths
from puzzles.scenario import BODDY, DIRECTIONS, MURDER_WEAPON, MURDERER, Night, Size, night

# Candidate clues are left out in the order of bias + uniform(0, 1), so a low bias makes a kind rare in the finished puzzle.
# The values are the published generator's.
BIAS = {Murder: -0.2, At: -0.15, Motivated: 0.0, SameRoom: 0.5, Together: 0.8, Moved: 0.1, Carried: 0.2, Beside: 0.2}
BIAS_OF_UNKNOWN = {  # added if the statement is about "the murderer" or "the murder weapon"
    At: 0.05,
    SameRoom: 1.5,
    Together: 1.5,
    Moved: 0.1,
    Carried: 0.15,
}
BIAS_OF_PAIR = {Or: 0.1, Iff: 0.2}  # added to the mean of the two sides
MAX_QUESTIONS = 8  # per puzzle, bonus questions included
DETERMINE = ("world", "answers")
# Raised whenever the same arguments would give a different puzzle than before.
VERSION = 1


class NothingToAskError(ValueError):
    """No question is left: the clues state every answer, or all questions are too shallow."""


@dataclass(frozen=True)
class Case:
    """A puzzle together with its solution, the night it is about, and the address (seed, index) that regenerates it."""

    puzzle: Puzzle
    night: Night
    seed: int
    index: int

    @property
    def solution(self) -> dict[str, str]:
        """The right answers by the letter of their question: {"A": "Mrs. White", "B": …}."""
        return {chr(65 + i): answer(q, self.night) for i, q in enumerate(self.puzzle.questions)}

    @cached_property
    def depths(self) -> list[int]:
        """How deep one has to think for each answer, 0 to 3 (see `difficulty.py`)."""
        return depths(self.puzzle, self.night)


def generate(
    seed: int,
    index: int,
    size: Size | None = None,
    players: tuple[int, int] = (1, 6),
    directness: float = 0.0,
    determine: str = "world",
    min_depth: int = 0,
) -> Case:
    """Puzzle `index` of the series `seed`. The same arguments give the same puzzle on every machine.

    Args:
        seed, index: the address of the puzzle; any integers.
        size: how large it is; by default a size is drawn from the published mix.
        players: range of players, within (1, 6), that the published mix is drawn for.
        directness: added to the bias of statements that state a fact outright; 0 is as published, from about 2 on nearly all
            clues are such statements, and the puzzle is easy.
        determine: what the clues determine: the whole night ("world", as published), or only the answers ("answers": fewer
            clues, and harder).
        min_depth: leave out questions below this depth (see `difficulty.py`); 1 leaves out those that a single clue answers.

    Raises:
        NothingToAskError: if no question is left.
        ValueError: if an argument is impossible.
    """
    if determine not in DETERMINE:
        raise ValueError(f"determine={determine!r} is unknown: choose one of {', '.join(DETERMINE)}.")
    if not 0 <= min_depth <= 3:
        raise ValueError(f"min_depth={min_depth} is impossible: choose from 0 (all questions) to 3 (search only).")
    if not math.isfinite(directness):
        raise ValueError(f"directness={directness} is impossible: choose a number, such as 0 (as published) or 2 (easy).")
    truth = night(seed, index, size, players)
    rng = random.Random(f"clues {seed} {index}")
    clues = candidate_clues(rng, truth, directness)
    if determine == "world":
        clues = _shuffled(rng, minimal(truth, clues))
    stated = set(clues) if determine == "world" else set()
    questions, bonus = _questions(rng, truth, stated)
    while asked := [*questions, *bonus]:
        if determine == "answers":
            clues = _shuffled(rng, minimal(truth, clues, [with_answer(q, answer(q, truth)) for q in asked]))
        case = Case(Puzzle(truth.setting, tuple(clues), tuple(asked), len(bonus)), truth, seed, index)
        shallow = {q for q, depth in zip(asked, case.depths, strict=True) if depth < min_depth} if min_depth else set()
        dropped = shallow | {q for q in asked if with_answer(q, answer(q, truth)) in clues}
        if not dropped:
            return case
        questions, bonus = [q for q in questions if q not in dropped], [q for q in bonus if q not in dropped]
    reason = f"no question of depth {min_depth} or more is left" if min_depth else "its clues state every answer"
    raise NothingToAskError(f"puzzle {index} of seed {seed} leaves nothing to ask: {reason}.")


def candidate_clues(rng: random.Random, night: Night, directness: float = 0.0) -> list[Clue]:
    """True statements of every kind, in the order in which to try to leave them out."""
    clues = list(dict.fromkeys(_true_clues(rng, night)))
    clues.sort(key=lambda clue: _bias(clue) + directness * isinstance(clue, (At, Motivated, Murder)) + rng.random())
    return clues


def minimal(night: Night, clues: list[Clue], statements: list[Clue] | None = None) -> list[Clue]:
    """Leave out clues, first to last, wherever the rest still entails `statements` (default: the whole night).

    Raises:
        ValueError: if even all the clues together do not entail them.
    """
    nights = search(night.setting)
    literals = [nights.cnf.literal(clue) for clue in clues]
    doubt = nights.cnf.any(-nights.cnf.literal(statement) for statement in statements or facts(night))
    if nights.possible([doubt, *reversed(literals)]):
        raise ValueError("the candidate clues leave the night undetermined.")
    core = set(nights.solver.get_core())
    kept: list[Clue] = []
    needed: list[int] = []
    for i, (clue, literal) in enumerate(zip(clues, literals, strict=True)):
        if literal not in core:
            continue
        if nights.possible([doubt, *needed, *literals[:i:-1]]):
            kept.append(clue)
            needed.append(literal)
        else:
            core = set(nights.solver.get_core())
    return kept


def _bias(clue: Clue) -> float:
    if isinstance(clue, (Or, Iff)):
        return (_bias(clue.first) + _bias(clue.second)) / 2 + BIAS_OF_PAIR[type(clue)]
    unknown = {MURDERER, MURDER_WEAPON} & {getattr(clue, "who", None), getattr(clue, "weapon", None)}
    return BIAS[type(clue)] + (BIAS_OF_UNKNOWN[type(clue)] if unknown else 0)


# ---------------------------------------------------------------- candidate clues


def _true_clues(rng: random.Random, night: Night) -> Iterator[Clue]:
    """True statements of every kind; of each indirect kind a third as many as there are direct statements, as published."""
    direct = [*murder_facts(night), *_places(rng, night), *_motives(night)]
    yield from direct
    count = round(len(direct) / 6) * 2
    yield from _pairs(rng, night, count)
    yield from islice(_meetings(rng, night), count)
    yield from islice(_moves(rng, night), count)
    yield from _carries(rng, night)
    yield from _neighbours(rng, night, count)


def _motives(night: Night) -> Iterator[Motivated]:
    yield from (Motivated(suspect, motive) for suspect, motive in night.motive.items())


def _references(night: Night, piece: str) -> list[str]:
    """All ways to refer to a piece."""
    references = [piece]
    if piece == night.murderer:
        references.append(MURDERER)
    if piece == night.weapon:
        references.append(MURDER_WEAPON)
    if piece in night.motive:
        references.append(night.motive[piece])
    return references


def _shuffled(rng: random.Random, items) -> list:
    items = list(items)
    rng.shuffle(items)
    return items


def _places(rng: random.Random, night: Night) -> Iterator[At]:
    for (piece, time), room in _shuffled(rng, night.place.items()):
        yield from (At(who, room, time) for who in _references(night, piece))


def _wrong_places(rng: random.Random, night: Night) -> Iterator[At]:
    for at in _places(rng, night):
        wrong = At(at.who, rng.choice([room for room in night.setting.rooms if room != at.room]), at.time)
        if not wrong.holds(night):  # another suspect with the same motive may be there
            yield wrong


def _pairs(rng: random.Random, night: Night, count: int) -> Iterator[Or | Iff]:
    """Alternatives of one true and one false place; equivalences of two true or two false ones."""
    for true, false in zip(islice(_places(rng, night), count), islice(_wrong_places(rng, night), count), strict=False):
        yield Or(*_shuffled(rng, (true, false)))
    for places in (_places, _wrong_places):
        sides = zip(islice(places(rng, night), count // 2), islice(places(rng, night), count // 2), strict=False)
        yield from (Iff(first, second) for first, second in sides if first != second)


def _meetings(rng: random.Random, night: Night) -> Iterator[SameRoom | Together]:
    """For each room and time with at least two pieces, two of them; one may be referred to other than by its name."""
    s = night.setting
    for time in _shuffled(rng, s.times):
        for room in _shuffled(rng, s.rooms):
            present = [p for p in s.pieces if night.place[p, time] == room]
            if len(present) < 2:
                continue
            who, other = rng.sample(present, 2)
            if who == night.murderer and other not in s.suspects and rng.random() < 0.66:
                who = MURDERER
            elif who in night.motive and other not in s.suspects and rng.random() < 0.5:
                who = night.motive[who]
            elif who == night.weapon and other not in s.weapons and rng.random() < 0.66:
                who = MURDER_WEAPON
            if rng.random() < 0.5:
                yield SameRoom(who, other, time)
            elif len(s.times) > 1:
                yield Together(who, other, room)


def _moves(rng: random.Random, night: Night) -> Iterator[Moved]:
    for piece in _shuffled(rng, night.setting.people):
        for before, time in _shuffled(rng, pairwise(night.setting.times)):
            origin, destination = night.place[piece, before], night.place[piece, time]
            if origin != destination:
                yield from (Moved(who, origin, destination, time) for who in _references(night, piece))


def _carries(rng: random.Random, night: Night) -> Iterator[Carried]:
    """Each move of a weapon, carried by a suspect who made the same step."""
    s = night.setting
    for weapon in _shuffled(rng, s.weapons):
        for before, time in pairwise(s.times):
            step = origin, destination = night.place[weapon, before], night.place[weapon, time]
            if origin == destination:
                continue
            carrier = rng.choice([x for x in s.suspects if (night.place[x, before], night.place[x, time]) == step])
            yield from (Carried(who, weapon, *step, time) for who in _references(night, carrier))
            if weapon == night.weapon:
                yield Carried(carrier, MURDER_WEAPON, *step, time)


def _neighbours(rng: random.Random, night: Night, tries: int) -> Iterator[Beside]:
    """Two pieces in neighbouring rooms, found in `tries` draws of two non-empty rooms."""
    s = night.setting
    for _ in range(tries):
        time = rng.choice(s.times)
        used = [room for room in s.rooms if any(night.place[p, time] == room for p in s.pieces)]
        if len(used) < 2:
            continue
        there, here = rng.sample(used, 2)
        who, other = (rng.choice([p for p in s.pieces if night.place[p, time] == room]) for room in (there, here))
        yield from (Beside(who, direction, other, time) for direction in DIRECTIONS if s.beside(here, direction) == there)


# ---------------------------------------------------------------- questions


def _questions(rng: random.Random, night: Night, stated: set[Clue]) -> tuple[list[Clue], list[Clue]]:
    """The questions about the murder and the bonus ones, without those whose answer a clue states outright."""
    s = night.setting

    def unstated(question: Clue) -> bool:
        return with_answer(question, answer(question, night)) not in stated

    questions = [q for q in (Murder(clue.aspect, None) for clue in murder_facts(night)) if unstated(q)]
    bonus: list[Clue] = []
    for piece, time in night.place:
        if piece != BODDY:
            bonus.append(At(piece, None, time))
        if s.motive_counts.get(night.motive.get(piece)) == 1:
            bonus.append(At(night.motive[piece], None, time))
    for suspect, motive in night.motive.items():
        by_motive = s.motive_counts[motive] == 1 and rng.random() < 0.5
        bonus.append(Motivated(None, motive) if by_motive else Motivated(suspect, None))
    rng.shuffle(bonus)
    return questions, [q for q in bonus[: MAX_QUESTIONS - len(questions)] if unstated(q)]
