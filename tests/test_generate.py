"""Puzzles: CP-SAT, which had no part in making them, certifies each; wrong ones are refuted."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import Murder, answer, fill
from puzzles.english import prompt, read_prompt
from puzzles.generate import generate, minimal
from puzzles.scenario import BODDY, Night, Size
from puzzles.solver import counterexample, entailed, find_night, unique
from puzzles.verify import faults
from tests.test_scenario import SIZES

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "published_val.json"


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), SIZES)
def test_every_puzzle_is_certified_from_its_text(seed, size):
    case = generate(seed, 1, size)
    assert faults({"prompt": prompt(case.puzzle), "solution": case.solution}) == []


def test_one_puzzle_of_the_published_mix_is_certified():
    case = generate(2, 3, players=(2, 3))
    assert faults({"prompt": prompt(case.puzzle), "solution": case.solution}) == []


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), SIZES)
def test_questions_have_answers_that_no_clue_states(seed, size):
    puzzle, solution = (case := generate(seed, 2, size)).puzzle, case.solution
    assert len(puzzle.questions) <= 8
    assert len(set(puzzle.questions)) == len(puzzle.questions)
    for question, right in zip(puzzle.questions, solution.values(), strict=True):
        assert fill(question, right) not in puzzle.clues
    main = puzzle.questions[: len(puzzle.questions) - puzzle.bonus]
    assert all(isinstance(q, Murder) for q in main)


def test_entailment_and_counterexamples():
    case = generate(7, 0, Size())
    s, clues = case.puzzle.setting, case.puzzle.clues
    guilty = Murder("murderer", case.night.murderer)
    assert unique(s, clues) == case.night
    assert entailed(s, clues, guilty)
    assert counterexample(s, clues, guilty) is None
    innocent = Murder("murderer", next(x for x in s.suspects if x != case.night.murderer))
    refuting = counterexample(s, clues, innocent)
    assert refuting == case.night
    assert not innocent.holds(refuting)
    assert unique(s, clues[1:]) is None
    with pytest.raises(ValueError, match="contradict each other"):
        unique(s, [*clues, innocent])
    assert find_night(s, [*clues, innocent]) is None


def test_clues_that_leave_the_night_open_are_refused():
    case = generate(7, 0, Size())
    with pytest.raises(ValueError, match="leave the night undetermined"):
        minimal(case.night, list(case.puzzle.clues[1:]))
    assert set(minimal(case.night, list(case.puzzle.clues))) == set(case.puzzle.clues)


def sabotage(rows):
    text, solution = rows[0]["prompt"], rows[0]["solution"]
    first = next(line for line in text.splitlines() if line.startswith("- "))
    case = generate(7, 0, Size())
    question = case.puzzle.questions[0]
    right = answer(question, case.night)
    wrong = next(x for x in case.puzzle.setting.suspects if x != right)
    return {
        "but in the only night that fits it is": (text, [wrong, *solution[1:]]),
        "more than one night fits": (text.replace(first + "\n", ""), solution),
        "can be left out": (text.replace(first, f"{first}\n- Mr. Boddy was murdered by {right}"), solution),
        "contradict each other": (text.replace(first, f"{first}\n- Mr. Boddy was murdered by {wrong}"), solution),
        "cannot be read: 'The Attic": (text.replace(first, "- The Attic was dark"), solution),
        "the prompt has no questions": (text[: text.index("Answer these")], solution),
        "answers for": (text, solution[1:]),
    }


def test_verify_finds_each_kind_of_sabotage(tmp_path):
    case = generate(7, 0, Size())
    rows = [{"prompt": prompt(case.puzzle), "solution": list(case.solution.values())}]
    kinds = sabotage(rows)
    rows += [{"prompt": text, "solution": solution} for text, solution in kinds.values()]
    rows.append({"question": "who?"})
    (file := tmp_path / "rows.json").write_text(json.dumps(rows))
    run = subprocess.run([sys.executable, "-m", "puzzles.verify", file], capture_output=True, text=True)
    assert run.returncode == 1
    assert "1 of 9 puzzles" in run.stdout
    assert "row 8: it cannot be read: it has no `prompt`" in run.stdout + run.stderr
    assert "row 0:" not in run.stdout + run.stderr
    for i, complaint in enumerate(kinds, 1):
        assert any(line.startswith(f"row {i}:") and complaint in line for line in (run.stdout + run.stderr).splitlines()), (
            complaint
        )


def test_the_command_line_prints_a_puzzle_and_its_solution():
    def run(*args):
        return subprocess.run([sys.executable, "-m", "puzzles", *args], capture_output=True, text=True)

    output = run("--seed", "7", "--index", "0").stdout
    case = generate(7, 0, Size())
    assert prompt(case.puzzle) in output
    assert output.endswith("\n".join(f"{k}. {v}" for k, v in case.solution.items()) + "\n")
    assert len(read_prompt(run("--suspects", "4", "--rooms", "6").stdout.partition("\nSolution")[0]).setting.rooms) == 6
    proof = run("--seed", "7", "--proof").stdout.partition("\nProof:\n")[2]
    assert "1. Mr. Boddy was murdered at 12:00 AM, by Mr. Boddy was murdered at 12:00 AM." in proof
    assert ", by the rules and what is known so far." in proof
    for args, complaint in (
        (["--suspects", "1"], "suspects=1 is impossible"),
        (["--players", "7"], "players=(7, 7) is impossible"),
        (["--players", "many"], "--players 'many'"),
        (["--players", "2", "--rooms", "4"], "--players draws every size"),
    ):
        failed = run(*args)
        assert failed.returncode == 1
        assert complaint in failed.stderr


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published validation puzzles are not part of this repository")
def test_all_published_puzzles_are_certified():
    run = subprocess.run([sys.executable, "-m", "puzzles.verify", PUBLISHED], capture_output=True, text=True)
    assert "64 of 64" in run.stdout, run.stdout
    assert run.returncode == 0


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
