"""Generated puzzles have exactly one solution and no redundant clue, by CP-SAT and by counting all nights."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.__main__ import main
from puzzles.clues import Murder, facts, with_answer
from puzzles.cpsat import find_night
from puzzles.generator import generate, minimal
from puzzles.prompts import prompt, read_prompt
from puzzles.scenario import BODDY, Night, Size
from tests.entailment import entailed
from tests.in_process import run
from tests.test_scenario import SIZES


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), SIZES)
def test_questions_have_answers_that_no_clue_states(seed, size):
    puzzle, solution = (case := generate(seed, 2, size)).puzzle, case.solution
    assert len(puzzle.questions) <= 8
    assert len(set(puzzle.questions)) == len(puzzle.questions)
    for question, right in zip(puzzle.questions, solution.values(), strict=True):
        assert with_answer(question, right) not in puzzle.clues
    main = puzzle.questions[: len(puzzle.questions) - puzzle.bonus]
    assert all(isinstance(q, Murder) for q in main)


def test_entailment_and_counterexamples():
    case = generate(7, 0, Size())
    s, clues = case.puzzle.setting, case.puzzle.clues
    guilty = Murder("murderer", case.night.murderer)
    assert find_night(s, clues) == case.night
    assert find_night(s, clues, not_all=facts(case.night)) is None
    assert entailed(s, clues, guilty)
    innocent = Murder("murderer", next(x for x in s.suspects if x != case.night.murderer))
    refuting = find_night(s, clues, false=[innocent])
    assert refuting == case.night
    assert not innocent.holds(refuting)
    assert find_night(s, clues[1:], not_all=facts(case.night)) is not None
    assert find_night(s, [*clues, innocent]) is None


@pytest.mark.parametrize("directness", [float("nan"), float("inf")])
def test_a_directness_that_is_not_finite_is_refused(directness):
    with pytest.raises(ValueError, match=f"directness={directness} is impossible"):
        generate(7, 0, Size(), directness=directness)


def test_clues_that_do_not_determine_the_night_are_refused():
    case = generate(7, 0, Size())
    with pytest.raises(ValueError, match="directness=nan is impossible"):
        generate(0, 0, directness=float("nan"))
    with pytest.raises(ValueError, match="leave the night undetermined"):
        minimal(case.night, list(case.puzzle.clues[1:]))
    assert set(minimal(case.night, list(case.puzzle.clues))) == set(case.puzzle.clues)


def test_the_command_line_prints_a_puzzle_and_its_solution():
    output = run(main, "--seed", "7", "--index", "0").stdout
    case = generate(7, 0, Size())
    assert prompt(case.puzzle) in output
    assert output.endswith("\n".join(f"{k}. {v}" for k, v in case.solution.items()) + "\n")
    assert len(read_prompt(run(main, "--suspects", "4", "--rooms", "6").stdout.partition("\nSolution")[0]).setting.rooms) == 6
    proof = run(main, "--seed", "7", "--proof").stdout.partition("\nProof, with the clues numbered in order:\n")[2]
    assert "1. Mr. Boddy was murdered by Mrs. White, because of clues 3, 8 and 11.\n" in proof
    assert "\n\n7 steps, 4 by propagation, 3 by look-ahead. CP-SAT has checked every one.\n" in proof
    for args, complaint in (
        (["--suspects", "1"], "suspects=1 is impossible"),
        (["--players", "7"], "players=(7, 7) is impossible"),
        (["--players", "many"], "--players 'many'"),
        (["--players", "2", "--rooms", "4"], "--players draws every size"),
    ):
        failed = run(main, *args)
        assert failed.returncode == 1
        assert complaint in failed.stderr


def every_night(setting):
    """All nights of a single-time setting without motives, from the rules alone, without a solver."""
    (time,) = setting.times
    for rooms in product(setting.rooms, repeat=len(setting.pieces)):
        place = {(piece, time): room for piece, room in zip(setting.pieces, rooms, strict=True)}
        for murderer, weapon in product(setting.suspects, setting.weapons):
            room = place[BODDY, time]
            alone = [x for x in setting.suspects if place[x, time] == room] == [murderer]
            if alone and place[weapon, time] == room:
                yield Night(setting, place, {}, murderer, weapon, room, time)


@pytest.mark.parametrize("index", range(20))
def test_small_puzzles_have_one_solution_by_counting_all_nights(index):
    case = generate(index, 0, Size(2, 2, 2 + index % 3, 1, 0))
    fitting = [night for night in every_night(case.puzzle.setting) if all(clue.holds(night) for clue in case.puzzle.clues)]
    assert fitting == [case.night]
    for clue in case.puzzle.clues:
        rest = [other for other in case.puzzle.clues if other != clue]
        assert sum(all(c.holds(night) for c in rest) for night in every_night(case.puzzle.setting)) > 1
