"""The verdicts, which CP-SAT must confirm; the reward, which no attack may raise; inputs that are not puzzles or never end."""

import random
import time
from itertools import product

import pytest

from puzzles.clues import At, facts
from puzzles.cpsat import find_night
from puzzles.generator import candidate_clues, generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from puzzles.sentences import render
from recipes.demonstrations import small_steps
from rewards.deductions import Assertion, Judge, cached_judge, deductions, reward_of, view
from rewards.deductions.reward import credit
from tests.entailment import entailed

SIZE = Size(suspects=3, weapons=2, rooms=4, times=2, motives=3)


def case_of(index, **how):
    case = generate(20261123, index, how.pop("size", SIZE), **how)
    return case, Judge(prompt(case.puzzle))


def reward(judge, text):
    return reward_of(judge.judge(text).deductions, judge.puzzle)


def said(statements, setting):
    return "\n".join(f"So {render(s, setting)}." for s in statements)


@pytest.mark.parametrize("determine", ["world", "answers"])
def test_cp_sat_confirms_every_verdict(determine):
    verdicts = set()
    for index in range(4):
        case, judge = case_of(index, determine=determine)
        s, clues = case.puzzle.setting, list(case.puzzle.clues)
        rng = random.Random(index)
        others = [At(p, r, t) for p in s.pieces for r in s.rooms for t in s.times]
        for statement in [
            *rng.sample(others, 12),
            *rng.sample(facts(case.night), 6),
            *rng.sample(list(candidate_clues(rng, case.night)), 6),
        ]:
            for holds in (True, False):
                verdict = judge.verdict(Assertion(statement, holds))
                proved = entailed(s, clues, statement) if holds else not _possible(s, clues, statement)
                refuted = not _possible(s, clues, statement) if holds else entailed(s, clues, statement)
                assert verdict == ("proved" if proved else "refuted" if refuted else "undecided")
                verdicts.add(verdict)
    assert verdicts == ({"proved", "refuted", "undecided"} if determine == "answers" else {"proved", "refuted"})


def _possible(setting, clues, statement):
    return find_night(setting, [*clues, statement]) is not None


def test_a_chain_by_the_solver_is_sound_and_earns_and_false_steps_cost():
    for index in range(6):
        case, judge = case_of(index)
        s = case.puzzle.setting
        chain = [step.statement for step in small_steps(case)]
        judged = judge.judge(said(chain, s))
        assert judged.soundness == 1.0
        assert judged.read_share == 1.0
        assert reward_of(judged.deductions, judge.puzzle) > 0.3
        assert sum(judged.counts.values()) == len({d.assertion for d in judged.deductions})
        false = [
            At(f.who, next(r for r in s.rooms if r != f.room), f.time) for f in chain if isinstance(f, At) and f.who in s.pieces
        ]
        spoiled = judge.judge(said([*chain, *false], s))
        assert spoiled.counts["refuted"] == len(set(false))
        assert spoiled.soundness < 1
        assert reward_of(spoiled.deductions, judge.puzzle) < reward_of(judged.deductions, judge.puzzle)


def test_what_follows_only_from_an_earlier_step_is_justified_only_after_it():
    found = 0
    for index in range(60):
        case, judge = case_of(index, size=Size(4, 3, 6, 3, 4))
        s = case.puzzle.setting
        hard = [
            f
            for f in facts(case.night)
            if not judge.judge(said([f], s)).deductions or not judge.judge(said([f], s)).deductions[0].justified
        ]
        hard = [f for f in hard if f not in case.puzzle.clues]
        for fact in hard:
            later = judge.judge(said([*(f for f in facts(case.night) if f != fact), fact], s)).deductions[-1]
            found += later.justified
        if found >= 3:
            return
    pytest.fail("no statement is justified only after others")


def test_repeating_restating_and_flooding_with_trivia_earn_nothing():
    for index in range(8):
        case, judge = case_of(index)
        s = case.puzzle.setting
        chain = [step.statement for step in small_steps(case)]
        paid = [f for f in chain if isinstance(f, At) and f not in case.puzzle.clues and reward(judge, said([f], s)) > 0]
        assert paid
        once = reward(judge, said(paid[:1], s))
        f = paid[0]
        subject = render(f, s).partition(" was ")[0]
        others = [f"{subject} was not {'at' if r == 'Fountain' else 'in'} the {r} at {f.time}." for r in s.rooms if r != f.room]
        elsewhere = [render(At(f.who, r, f.time), s) for r in s.rooms if r != f.room]
        for attack in (
            said([f] * 40, s),
            "\n".join(
                f"{lead} {render(f, s)}." for lead in ("So", "Thus", "It is clear that", "We conclude that", "Therefore,")
            ),
            said([f], s) + "\n" + "\n".join(others),
            "\n".join(others) + "\n" + said([f], s),
            "\n".join(others[::2]) + "\n" + said([f], s) + "\n" + "\n".join(others[1::2]),
            said([f], s) + "\n" + "\n".join(f"There is no way that {sentence}." for sentence in elsewhere),
            said([f], s) + "\n" + said(case.puzzle.clues, s),
            said([f], s) + "\n" + "\n".join(f"{render(x, s)} if and only if {render(x, s)}." for x in chain),
            "\n".join(f"Suppose {render(x, s)}." for x in chain) + "\nNow, in both cases:\n" + said([f], s),
        ):
            assert reward(judge, attack) <= once + 1e-9, attack
        for nothing in (
            said(case.puzzle.clues, s),
            "\n".join(f"Clue {i} says that {render(clue, s)}." for i, clue in enumerate(case.puzzle.clues)),
            "\n".join(f"Perhaps {render(x, s)}." for x in chain),
            "\n".join(f"If {render(x, s)}, then {render(x, s)}." for x in chain),
            "\n".join(f"{render(x, s)} if and only if {render(x, s)}." for x in chain),
        ):
            assert reward(judge, nothing) == 0.0, nothing


@pytest.mark.parametrize("holds", [True, False])
def test_guessing_costs(holds):
    """Statements drawn at random, affirmed or denied, earn less than 0 on average, before the cut at 0."""
    rng = random.Random(5)
    paid = []
    for index in range(10):
        case, judge = case_of(index)
        s = case.puzzle.setting
        for _ in range(40):
            f = At(rng.choice(s.pieces), rng.choice(s.rooms), rng.choice(s.times))
            sentence = render(f, s) if holds else f"There is no way that {render(f, s)}"
            paid += [credit(d, s) for d in judge.judge(sentence + ".").deductions]
    assert len(paid) > 300
    assert sum(paid) / len(paid) < -0.03


def test_inputs_that_are_not_puzzles_not_completions_or_very_long():
    case, _ = case_of(0)
    other, _ = case_of(1, size=Size(4, 3, 6, 3, 4))
    text = said([step.statement for step in small_steps(case)], case.puzzle.setting)
    logged = {}
    prompts = ["What is the capital of France?", [{"role": "user", "content": prompt(case.puzzle)}], prompt(case.puzzle)]
    rewards = deductions(prompts, [text, [{"role": "assistant", "content": text}], None], log_metric=logged.__setitem__)
    assert rewards[0] is None
    assert rewards[1] > 0
    assert rewards[2] == 0.0
    assert logged["unread_prompts"] == pytest.approx(1 / 3)
    assert (logged["soundness"], logged["read_share"]) == (1.0, 1.0)
    assert cached_judge("") is None
    judge = cached_judge(prompt(case.puzzle))
    foreign = said([step.statement for step in small_steps(other)][:40], other.puzzle.setting)
    assert reward(judge, foreign) == 0.0
    both = said(
        [At("Mr. Boddy", room, case.puzzle.setting.times[0]) for room in case.puzzle.setting.rooms], case.puzzle.setting
    )
    assert judge.judge(both).counts["refuted"] >= 3  # contradictory statements: each is judged by the clues
    assert reward(judge, "\n".join([text] * 3000)[: 4 * 100_000]) > 0  # a hundred thousand tokens
    assert judge.judge("Miss Peach " * 50_000).deductions == ()
    assert judge.judge("\x00\ud800|" * 1000 + text).soundness in (1.0, None)


def test_no_statement_of_a_form_breaks_the_judge_or_the_view():
    """Any two pieces in any form, named or to be found out: every statement that is read gets a verdict and a reason."""
    case, judge = case_of(0)
    s = case.puzzle.setting
    pieces = [s.suspects[0], f"the {s.weapons[0]}", "Mr. Boddy", "the murderer", "the murder weapon"]
    pieces.append(f"the suspect motivated by {s.motive_names[0]}")
    (here, there), when = s.rooms[:2], s.times[1]
    said = []
    for a, b in product(pieces, repeat=2):
        said += [
            f"{a} was in the same room as {b} at {when}.",
            f"{a} and {b} were in the same room at {when}.",
            f"{a} and {b} were in the {here} together at least once.",
            f"{a} was in the room just north of {b} at {when}.",
            f"{a} moved {b} from the {here} to the {there} at {when}.",
            f"{a} took {b} to the {there} at {when}.",
            f"{a} moved from the {here} to the {there} at {when}, and so did {b}.",
            f"{a} was in the {here} at {when}, and so was {b}.",
            f"{a} is {b}.",
            f"{a} killed Mr. Boddy with {b} in the {here} at {when}.",
        ]
    judged = judge.judge("\n".join(said))
    assert sum(judged.counts.values()) > 60
    list(view.marked_lines(judge, "\n".join(said), judged))


def test_the_judge_and_the_view_take_linear_time():
    """Measured: 0.1 s to judge 100,000 characters of distinct statements again, or to view 8,000 lines that state something."""
    case, judge = case_of(0, size=Size(6, 5, 9, 6, 6), determine="answers")
    s = case.puzzle.setting
    rng = random.Random(0)
    cells = [At(p, r, t) for p in s.pieces for r in s.rooms for t in s.times]
    either = [f"{render(rng.choice(cells), s)} if and only if {render(rng.choice(cells), s)}." for _ in range(900)]
    denied = [f"There is no way that {render(cell, s)}." for cell in cells]
    for text in ("\n".join(either)[:100_000], "\n".join(denied * 4)[:100_000]):
        assert len(judge.judge(text).deductions) > 700
        start = time.process_time()
        judge.judge(text)
        assert time.process_time() - start < 2
    text = f"{render(facts(case.night)[0], s)}.\n" * 8_000
    judged = judge.judge(text)
    start = time.process_time()
    assert len(list(view.marked_lines(judge, text, judged))) == 8_000
    assert time.process_time() - start < 2


def test_a_verdict_that_takes_too_long_is_counted_as_timed_out(monkeypatch):
    monkeypatch.setattr("rewards.deductions.judge.MAX_CONFLICTS", 1)
    case, judge = case_of(3, size=Size(6, 5, 9, 6, 6), determine="answers")
    s = case.puzzle.setting
    judged = judge.judge(said([At(p, r, s.times[2]) for p in s.pieces for r in s.rooms], s))
    assert judged.counts["timed out"] > 0
    assert sum(judged.counts.values()) == len(judged.deductions)
    assert all(credit(d, s) == 0 for d in judged.deductions if d.verdict == "timed out")
