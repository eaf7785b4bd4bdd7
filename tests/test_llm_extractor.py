"""The extractor, with a real HTTP server: only lines of known form are read, and each answer is asked for once."""

import random

import pytest

from puzzles.clues import At, facts
from puzzles.generator import candidate_clues, generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from puzzles.sentences import render
from rewards.deductions import Judge, canonical
from rewards.deductions.llm_extractor import ExtractionError, Extractor, known_sentences, task
from tests.openai_server import openai_server, refusal, reply

SIZES = (Size(3, 2, 4, 2, 3), Size(4, 3, 6, 3, 2), Size(2, 2, 2, 1, 0), Size(5, 4, 9, 4, 5))


def case_of(index, size):
    case = generate(20261123, index, size)
    return case.puzzle, case.night, Judge(prompt(case.puzzle))


@pytest.mark.parametrize("size", SIZES)
def test_every_form_is_shown_and_read_affirmed_and_denied(size):
    puzzle, night, judge = case_of(0, size)
    s, clues = puzzle.setting, set(map(canonical, puzzle.clues))
    forms = task(s).partition("name):\n")[2].partition("\n\n")[0].splitlines()
    assert known_sentences("\n".join(forms), s) == ("\n".join(f"{form}." for form in forms), 0)
    others = [c for c in candidate_clues(random.Random(0), night) if canonical(c) not in clues]
    assert len(others) >= 20
    for statement in others[:300]:
        for mark, holds in (("", True), ("NOT: ", False)):
            text, dropped = known_sentences(f"- {mark}{render(statement, s)}.", s)
            (deduction,) = judge.judge(text).deductions
            assert (canonical(deduction.assertion.statement), deduction.assertion.holds, dropped) == (
                canonical(statement),
                holds,
                0,
            )


@pytest.mark.parametrize("size", SIZES)
def test_lines_do_not_change_the_meaning_of_the_lines_around_them(size):
    puzzle, night, judge = case_of(2, size)
    s, clues = puzzle.setting, set(map(canonical, puzzle.clues))
    rng = random.Random(1)
    lines = [(c, rng.random() < 0.5) for c in candidate_clues(rng, night) if canonical(c) not in clues][:200]
    text, _ = known_sentences("\n".join(f"{'' if holds else 'NOT: '}{render(c, s)}" for c, holds in lines), s)
    assert [(canonical(d.assertion.statement), d.assertion.holds) for d in judge.judge(text).deductions] == [
        (canonical(c), holds) for c, holds in lines
    ]


def test_lines_of_unknown_form_are_dropped_and_counted_and_a_clue_is_not_a_deduction():
    puzzle, night, judge = case_of(1, SIZES[0])
    s = puzzle.setting
    true = next(f for f in facts(night) if isinstance(f, At) and f not in puzzle.clues)
    false = At(true.who, next(room for room in s.rooms if room != true.room), true.time)
    nonsense = [
        f"Suppose {render(true, s)}",
        "The butler did it",
        "Who murdered Mr. Boddy?",
        "NOT: none",
        "Colonel Nobody was in the Hall",
    ]
    text, dropped = known_sentences("\n".join([*nonsense, render(true, s), render(false, s), render(puzzle.clues[0], s)]), s)
    assert dropped == len(nonsense)
    judged = judge.judge(text)
    assert judged.counts == {"proved": 1, "refuted": 1, "undecided": 0, "timed out": 0}  # the solver's verdict, not the model's
    assert known_sentences("NONE\n", s) == ("", 0)


def test_an_answer_is_cached_and_an_error_is_not(tmp_path, monkeypatch):
    puzzle, _, _ = case_of(0, SIZES[0])
    s = puzzle.setting
    answers = {
        "fine": reply("<think>Hm.</think>\n\nNONE"),
        "cut": reply("Half of a", finish="length"),
        "empty": reply(""),
        "wrong": refusal(400, "no such model"),
        "strange": (200, {"object": "error"}),
    }
    busy = [refusal(429, "slow down")]
    with openai_server(lambda text, _: busy.pop() if busy else answers[text]) as (server, url):
        extractor = Extractor(url, "tester", tmp_path)
        for _ in range(2):
            assert extractor("fine", s) == "NONE"
            assert len(server.prompts) == 2  # the first was told to slow down
        for text, complaint in (
            ("cut", "'length'"),
            ("empty", "0 characters"),
            ("wrong", "no such model"),
            ("strange", "Error"),
        ):
            with pytest.raises(ExtractionError, match=complaint):
                extractor(text, s)
        assert len(list(tmp_path.iterdir())) == 1
        assert Extractor(url, "tester", tmp_path)("fine", s) == "NONE"
        asked = len(server.prompts)
        Extractor(url, "other", tmp_path)("fine", s)  # another model, and other puzzles, have answers of their own
        Extractor(url, "tester", tmp_path)("fine", case_of(1, SIZES[1])[0].setting)
        assert len(server.prompts) == asked + 2
        assert s.suspects[0] in server.requests[0]["messages"][0]["content"]
