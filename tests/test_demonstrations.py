"""Demonstrations: solver-written derivations and answers for a model to imitate."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer, facts, with_answer
from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from recipes.demonstrations import demonstration, quiz, small_steps
from rewards.accuracy import accuracy
from rewards.deductions import Judge
from tests.entailment import entailed
from tests.test_scenario import SIZES


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), SIZES.filter(lambda size: size.times == 1), st.booleans())
def test_demonstrations_prove_and_answer_rightly_whatever_they_leave_out(seed, size, proofs):
    case = generate(seed, 0, size)
    rng = random.Random(0)
    for asked in (case, quiz(case, rng)):
        texts = [demonstration(asked, rng, skipped, proofs) for skipped in (0.0, 0.5, 1.0)]
        assert accuracy(texts, [asked.solution] * 3) == [1.0] * 3
        complete, some, none = (text.splitlines() for text in texts)
        counts = Judge(prompt(asked.puzzle)).judge(texts[0]).tally
        assert counts["refuted"] == counts["undecided"] == counts["unread"] == 0, counts
        assert len(none) == 2 * len(asked.solution)
        assert complete[-len(none) :] == some[-len(none) :] == none
        rest = iter(complete)
        assert all(line in rest for line in some)  # in the same order


def test_a_quiz_asks_other_questions_about_the_same_night():
    case = generate(7, 0, Size())
    for seed in range(20):
        asked = quiz(case, random.Random(seed))
        assert 3 <= len(asked.puzzle.questions) == len(set(asked.puzzle.questions)) <= 8
        assert asked.puzzle.clues == case.puzzle.clues
        for question in asked.puzzle.questions:
            assert with_answer(question, answer(question, case.night)).holds(case.night)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10**6))
def test_every_small_step_is_proved_and_no_clue_of_it_is_redundant(seed):
    case = generate(seed, 0, Size(3, 2, 4, 2, 2))
    s, known = case.puzzle.setting, []
    for step in small_steps(case):
        clues = list(step.clues)
        assert set(clues) <= set(case.puzzle.clues)
        assert entailed(s, known + clues, step.statement), step
        if len(clues) > 1:
            for clue in clues:
                assert not entailed(s, known + [other for other in clues if other != clue], step.statement)
        known.append(step.statement)
    assert set(known) == set(facts(case.night))


def test_small_steps_begin_with_what_clues_state_and_repeat_nothing():
    case = generate(3, 1, Size(3, 2, 3, 1, 0))
    chain = [step.statement for step in small_steps(case)]
    stated = [clue for clue in case.puzzle.clues if clue in chain]
    assert stated
    assert chain[: len(stated)] == stated
    assert len(chain) == len(set(chain))
