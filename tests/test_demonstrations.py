"""Demonstrations: solver-written derivations and answers for a model to imitate."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer, answer_options, with_answer
from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from recipes.tiny.demonstrations import demonstration, quiz
from rewards.accuracy import accuracy
from rewards.answer_sheet import final_sheet
from rewards.deductions.judge import Judge
from tests.test_scenario import SIZES


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), SIZES.filter(lambda size: size.times == 1), st.booleans())
def test_demonstrations_prove_and_answer_rightly_and_slips_answer_wrongly(seed, size, proofs):
    case = generate(seed, 0, size)
    rng = random.Random(0)
    for asked in (case, quiz(case, rng)):
        solution = list(asked.solution.values())
        right, wrong = (demonstration(asked, rng, slips, proofs) for slips in (0.0, 1.0))
        assert accuracy([right, wrong], [solution, solution]) == [1.0, 0.0]
        counts = Judge(prompt(asked.puzzle)).judge(right).tally
        assert counts["refuted"] == counts["undecided"] == counts["unread"] == 0, counts
        for question, (entry,) in zip(asked.puzzle.questions, final_sheet(wrong, len(solution)).values(), strict=True):
            assert entry.partition("\n")[0].strip() in answer_options(question, asked.puzzle.setting)


def test_a_quiz_asks_other_questions_about_the_same_night():
    case = generate(7, 0, Size())
    for seed in range(20):
        asked = quiz(case, random.Random(seed))
        assert 3 <= len(asked.puzzle.questions) == len(set(asked.puzzle.questions)) <= 8
        assert asked.puzzle.clues == case.puzzle.clues
        for question in asked.puzzle.questions:
            assert with_answer(question, answer(question, case.night)).holds(case.night)
