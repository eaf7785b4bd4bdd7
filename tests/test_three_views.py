"""The three views of a clue check each other: its truth, its sentence, and its constraint for both solvers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysat.solvers import Solver

from puzzles.clues import At, Carried, Clue, Moved, answer, facts
from puzzles.cnf import CNF
from puzzles.cpsat import find_night
from puzzles.generator import _true_clues, generate
from puzzles.prompts import ORIGINAL, WORDINGS, first_difference, prompt, read_prompt, wording_of
from puzzles.scenario import MURDERER, Size, night
from puzzles.sentences import read_sentence, render
from tests.test_scenario import SIZES

KINDS = Clue.__args__


def candidates(n, seed=0):
    return list(dict.fromkeys(_true_clues(random.Random(seed), n)))


@settings(deadline=None)
@given(st.integers(0, 10**6), SIZES)
def test_every_candidate_clue_is_true_and_is_read_back_from_its_sentence(seed, size):
    n = night(seed, 0, size)
    for clue in candidates(n):
        assert clue.holds(n), clue
        assert read_sentence(render(clue, n.setting), n.setting) == clue


def test_candidate_clues_cover_every_kind_of_statement():
    assert {type(clue) for clue in candidates(night(0, 0, Size(5, 4, 6, 4)))} == set(KINDS)


def other_nights(n, count):
    """Random nights in the same setting, found by fixing random pieces of it."""
    rng = random.Random(0)
    for _ in range(count):
        somewhere = At(rng.choice(n.setting.suspects), rng.choice(n.setting.rooms), rng.choice(n.setting.times))
        elsewhere = At(rng.choice(n.setting.weapons), rng.choice(n.setting.rooms), rng.choice(n.setting.times))
        if found := find_night(n.setting, [somewhere, elsewhere], not_all=facts(n)):
            yield found


@pytest.mark.parametrize("size", [Size(3, 3, 4, 3, 2), Size(4, 2, 6, 2), Size(3, 2, 3, 1, 2)])
def test_literals_agree_with_truth(size):
    """On each of several nights, with every cell fixed, both solvers find a clue true exactly if it holds."""
    n = night(11, 0, size)
    clues = candidates(n)
    cnf = CNF(n.setting)
    literals = [cnf.literal(clue) for clue in clues]
    nights = [n, *other_nights(n, 8)]
    assert len(nights) > 4
    verdicts = set()
    with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
        for other in nights:
            assert solver.solve(assumptions=[cnf.literal(fact) for fact in facts(other)])
            model = set(solver.get_model())
            for clue, literal in zip(clues, literals, strict=True):
                assert (literal in model) == clue.holds(other), (clue, other)
                verdicts.add((type(clue), clue.holds(other)))
            true = [clue for clue in clues if clue.holds(other)]
            false = [clue for clue in clues if not clue.holds(other)]
            cells = [At(piece, room, time) for (piece, time), room in other.place.items()]
            assert find_night(n.setting, [*cells, *true], false=false) is not None
    assert {True, False} == {verdict for _, verdict in verdicts}


def test_a_move_by_a_suspect_with_a_shared_motive_is_one_suspects_move():
    """English, not the published generator's reading, in which two suspects may make the two halves."""
    for i in range(300):
        n = night(i, 0, Size(4, 2, 4, 2, 2))
        s = n.setting
        for motive in s.motive_names:
            bearers = n.bearers(motive)
            for origin in {n.place[x, s.times[0]] for x in bearers}:
                for destination in {n.place[x, s.times[1]] for x in bearers}:
                    clue = Moved(motive, origin, destination, s.times[1])
                    pairs = [(n.place[x, s.times[0]], n.place[x, s.times[1]]) for x in bearers]
                    if destination in s.neighbours(origin) and (origin, destination) not in pairs:
                        assert not clue.holds(n)
                        cells = [At(piece, room, time) for (piece, time), room in n.place.items()]
                        cnf = CNF(s)
                        literal = cnf.literal(clue)
                        with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
                            assert not solver.solve(assumptions=[literal, *(cnf.literal(fact) for fact in facts(n))])
                        found = find_night(s, [*cells, clue])
                        assert found is None or clue.holds(found)
                        return
    raise AssertionError("no night with two bearers who would satisfy the halves of a move")


@pytest.mark.parametrize("wording", WORDINGS)
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), SIZES)
def test_prompts_are_read_back(wording, seed, size):
    case = generate(seed, 0, size)
    text = prompt(case.puzzle, wording)
    puzzle = read_prompt(text)
    assert puzzle == case.puzzle
    assert wording_of(text, puzzle) == wording
    assert [w for w in (*WORDINGS, ORIGINAL) if first_difference(text, puzzle, w) is None] == [wording]
    assert [answer(q, case.night) for q in puzzle.questions] == list(case.solution.values())


def test_a_puzzle_of_bonus_questions_alone_is_read_back():
    case = generate(7, 0, Size())
    puzzle = replace(case.puzzle, questions=case.puzzle.questions[-case.puzzle.bonus :])
    for wording in WORDINGS:
        assert read_prompt(prompt(puzzle, wording)) == puzzle


@pytest.mark.parametrize(
    "sentence",
    [
        " or ".join(["Mr. Green was in the Hall at 11:00 PM"] * 3),
        " if and only if ".join(["Mr. Green was in the Hall at 11:00 PM"] * 2000),
        "Where was Mr. Green at 11:00 PM? or Mr. Green was in the Hall at 12:00 AM",
        "Mr. Green was in the Hall at 11:00 PM if and only if Mr. Green is motivated by Hatred",
        "",
    ],
)
def test_sentences_of_unknown_forms_are_refused(sentence):
    setting = generate(7, 0, Size()).puzzle.setting
    with pytest.raises(ValueError, match=r"known form|which is not one of") as error:
        read_sentence(sentence, setting)
    assert len(str(error.value)) < 800


def test_sentences():
    s = night(3, 0, Size(3, 2, 4, 2, 2)).setting
    who, weapon = s.suspects[0], s.weapons[0]
    shared = next(motive for motive, count in s.motives if count == 2)
    room, time = s.rooms[0], s.times[1]
    preposition = "at" if room == "Fountain" else "in"
    assert render(At(who, room, time), s) == f"{who} was {preposition} the {room} at {time}"
    assert render(At(weapon, room, time), s) == f"The {weapon} was {preposition} the {room} at {time}"
    assert render(At(shared, None, time), s) == f"Where was a suspect motivated by {shared} at {time}?"
    assert render(Carried(MURDERER, weapon, s.rooms[0], s.rooms[1], time), s) == (
        f"The murderer moved the {weapon} from the {s.rooms[0]} to the {s.rooms[1]} at {time}"
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Mr. Green was in", "Mr. Grey was in", "names the suspect or weapon 'Mr. Grey', which is not one of"),
        ("in the Hall at", "in the Attic at", "names the room 'Attic', which is not one of"),
        ("at 11:00 PM", "at 10:00 PM", "names the time '10:00 PM', which is not one of"),
        ("Mr. Green was in", "Mr. Green hid in", "is not a sentence of a known form"),
        ("\nB. WEAPON", "", "does not fit the"),
        ("• ", "", "the prompt has no suspects"),
        ("- ", "", "the prompt has no clues"),
        ("?", "", "the prompt has no questions"),
        ("\nB. What", "\nD. What", "out of order: B comes next"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused_with_the_place(old, new, complaint):
    """Puzzle 7/0 of the default size has all of these."""
    text = prompt(generate(7, 0, Size()).puzzle)
    assert old in text
    with pytest.raises(ValueError, match=complaint):
        read_prompt(text.replace(old, new))
