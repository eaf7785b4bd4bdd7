"""Chains of deductions: CP-SAT proves every step from what it says it rests on, and from no less."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import At, Murder, answer, candidates, facts, fill
from puzzles.generate import generate
from puzzles.proof import deduce
from puzzles.scenario import Size
from puzzles.solver import entailed
from recipes.sft import demonstration, quiz
from rewards.accuracy import accuracy, answer_sheet
from tests.test_scenario import SIZES


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10**6))
def test_every_step_is_proved_and_no_clue_is_idle(seed):
    case = generate(seed, 0, Size(3, 2, 4, 2, 2))
    s, known = case.puzzle.setting, []
    for deduction in deduce(case):
        because = list(deduction.because)
        assert set(because) <= set(case.puzzle.clues)
        assert entailed(s, known + because, deduction.statement), deduction
        if len(because) > 1:
            for clue in because:
                assert not entailed(s, known + [other for other in because if other != clue], deduction.statement)
        known.append(deduction.statement)
    assert set(known) == set(facts(case.night))


def test_what_clues_state_comes_first_and_is_not_repeated():
    case = generate(3, 1, Size(3, 2, 3, 1, 0))
    chain = [deduction.statement for deduction in deduce(case)]
    stated = [clue for clue in case.puzzle.clues if clue in chain]
    assert stated
    assert chain[: len(stated)] == stated
    assert len(chain) == len(set(chain))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), SIZES.filter(lambda size: size.times == 1))
def test_demonstrations_answer_rightly_and_slips_wrongly(seed, size):
    case = generate(seed, 0, size)
    rng = random.Random(0)
    for asked in (case, quiz(case, rng)):
        solution = list(asked.solution.values())
        assert accuracy([demonstration(asked, rng)], [solution]) == [1.0]
        assert accuracy([demonstration(asked, rng, slips=1.0)], [solution]) == [0.0]
        for question, wrong in zip(
            asked.puzzle.questions, answer_sheet(demonstration(asked, rng, slips=1.0), len(solution)).values(), strict=True
        ):
            assert wrong.strip() in candidates(question, asked.puzzle.setting)


def test_a_quiz_asks_other_questions_about_the_same_night():
    case = generate(7, 0, Size())
    for seed in range(20):
        asked = quiz(case, random.Random(seed))
        assert 3 <= len(asked.puzzle.questions) == len(set(asked.puzzle.questions)) <= 8
        assert asked.puzzle.clues == case.puzzle.clues
        for question in asked.puzzle.questions:
            assert fill(question, answer(question, case.night)).holds(case.night)


def test_directness_makes_puzzles_of_outright_statements():
    def share(directness):
        clues = [clue for i in range(30) for clue in generate(1, i, Size(3, 2, 3, 1, 0), directness=directness).puzzle.clues]
        return sum(isinstance(clue, (At, Murder)) for clue in clues) / len(clues)

    assert share(0) < 0.5 < 0.95 < share(2)
