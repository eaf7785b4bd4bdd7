"""Depths, compared with a second, slow and simple implementation: CP-SAT for one clue, unit propagation in Python."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer, answer_options, facts, with_answer
from puzzles.cnf import CNF, Search
from puzzles.difficulty import band, depths
from puzzles.generator import NothingToAskError, generate, minimal
from puzzles.scenario import Size
from tests.entailment import entailed
from tests.test_scenario import SIZES


def propagate(clauses, true):
    """All literals that unit propagation derives from `true`, or None on a contradiction."""
    true = set(true)
    while True:
        news = set()
        for clause in clauses:
            if not any(literal in true for literal in clause):
                rest = [literal for literal in clause if -literal not in true]
                if not rest:
                    return None
                if len(rest) == 1:
                    news.add(rest[0])
        if not news:
            return true
        true |= news
        if any(-literal in true for literal in news):
            return None


def depths_by_hand(case):
    s, clues = case.puzzle.setting, case.puzzle.clues
    cnf = CNF(s)
    known = [cnf.literal(clue) for clue in clues]
    right = []
    for question in case.puzzle.questions:
        literals = {value: cnf.literal(with_answer(question, value)) for value in answer_options(question, s)}
        cnf.clauses.append(tuple(literals.values()))
        right.append(literals[answer(question, case.night)])
    propagated = known = propagate(cnf.clauses, known)
    while True:
        values = [v for choice in cnf.choices() for v in choice.values() if v not in known and -v not in known]
        out = {-v for v in values if propagate(cnf.clauses, {*known, v}) is None}
        if not out:
            break
        known = propagate(cnf.clauses, known | out)
    for question, literal in zip(case.puzzle.questions, right, strict=True):
        statement = with_answer(question, answer(question, case.night))
        if any(entailed(s, [clue], statement) for clue in clues):
            yield 0
        else:
            yield 1 if literal in propagated else 2 if literal in known else 3


SMALL = [Size(2, 2, 2, 1, 0), Size(3, 2, 3, 1, 0), Size(2, 2, 3, 2), Size(3, 2, 4, 2, 2)]


@pytest.mark.parametrize("determine", ["world", "answers"])
def test_depths_agree_with_a_plain_implementation(determine):
    seen = Counter()
    puzzles = [(index, SMALL[index % len(SMALL)]) for index in range(12)]
    for index, size in [*puzzles, (58, SMALL[-1])]:  # the last is one for search
        case = generate(20, index, size, determine=determine)
        assert case.depths == list(depths_by_hand(case)), case.index
        seen.update(case.depths)
    assert set(seen) == {0, 1, 2, 3}


def test_depths_depend_on_the_puzzle_alone():
    """They do not depend on what the shared solver was asked before, nor on what it has learned."""
    for i, determine in enumerate(("world", "answers") * 3):
        case = generate(21, i, determine=determine, players=(1, 3))
        after_generation = case.depths
        generate(21, 100, Size())  # about another setting
        assert depths(case.puzzle, case.night) == after_generation
        minimal(case.night, facts(case.night))
        assert depths(case.puzzle, case.night) == after_generation


def test_computing_depths_takes_few_solver_calls(monkeypatch):
    """A night on which several answers are false settles them all: about one call per clue, not one per clue and answer."""
    asked = []
    possible = Search.possible
    monkeypatch.setattr(Search, "possible", lambda self, literals: asked.append(literals) or possible(self, literals))
    pairs = nights = 0
    for i in range(20):
        case = generate(22, i, players=(2, 4))
        asked.clear()
        pairs += len(case.depths) * len(case.puzzle.clues)
        nights += len(asked)
    assert nights < pairs / 5


def test_bands():
    assert [band([0]), band([0, 1]), band([2, 0]), band([3, 1, 2])] == ["easy", "easy", "medium", "hard"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), SIZES, st.integers(1, 3), st.sampled_from(["world", "answers"]))
def test_shallow_questions_are_left_out(seed, size, min_depth, determine):
    try:
        case = generate(seed, 3, size, min_depth=min_depth, determine=determine)
    except NothingToAskError as error:
        assert "leaves nothing to ask" in str(error)  # noqa: PT017
    else:
        assert min(case.depths) >= min_depth
