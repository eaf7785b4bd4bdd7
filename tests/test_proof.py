"""Chains of deductions: CP-SAT proves every step from what it says it rests on, and from no less."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysat.solvers import Solver

from puzzles import cpsat, proof
from puzzles.clues import At, Motivated, Murder, answer, answer_options, facts, with_answer
from puzzles.cnf import CNF
from puzzles.cpsat import UndecidedError, find_night
from puzzles.generator import generate
from puzzles.prompts import prompt, read_prompt
from puzzles.proof import ProofStep, check_proof, explain, main, prove, summarize
from puzzles.scenario import Size
from puzzles.sentences import read_sentence
from tests.entailment import entailed
from tests.test_scenario import SIZES


def test_directness_makes_puzzles_of_outright_statements():
    def share(directness):
        clues = [clue for i in range(30) for clue in generate(1, i, Size(3, 2, 3, 1, 0), directness=directness).puzzle.clues]
        return sum(isinstance(clue, (At, Murder)) for clue in clues) / len(clues)

    assert share(0) < 0.5 < 0.95 < share(2)


# ---------------------------------------------------------------- short proofs


class Oracle:
    """Whether a statement follows from others at a depth, decided by a new solver for each question."""

    def __init__(self, puzzle, night):
        self.puzzle, self.night = puzzle, night
        holes = {At: "room", Motivated: "motive", Murder: "value"}
        self.question = {fact: replace(fact, **{holes[type(fact)]: None}) for fact in facts(night)}
        self.question |= {with_answer(question, answer(question, night)): question for question in reversed(puzzle.questions)}

    def follows(self, premises, statement, depth):
        s = self.puzzle.setting
        if depth == 3:
            return entailed(s, premises, statement)
        cnf = CNF(s)
        known, literal = [cnf.literal(premise) for premise in premises], cnf.literal(statement)
        values = {q: [cnf.literal(with_answer(q, value)) for value in answer_options(q, s)] for q in self.question.values()}
        cnf.clauses += [*values.values(), *([x] for x in known)]
        with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
            if depth == 1:
                return solver.propagate([literal]) == (True, [])
            others = [x for x in values[self.question[statement]] if x != literal]
            return all(solver.propagate([x])[0] is False for x in others)

    def examine(self, steps):
        """Check everything that `prove` promises."""
        puzzle, oracle = self.puzzle, self.follows
        answers = {with_answer(question, answer(question, self.night)) for question in puzzle.questions}
        said = [step.statement for step in steps]
        assert answers <= set(said)
        assert len(said) == len(set(said))
        for i, step in enumerate(steps):
            assert all(j < i for j in step.steps)
            assert step.clues == tuple(sorted(set(step.clues)))
            because = [*(puzzle.clues[j] for j in step.clues), *(said[j] for j in step.steps)]
            assert entailed(puzzle.setting, because, step.statement)
            assert oracle(because, step.statement, step.depth)
            for premise in because:
                assert not oracle([x for x in because if x != premise], step.statement, step.depth), (step, premise)
            assert not any(oracle([*puzzle.clues, *said[:i]], step.statement, depth) for depth in range(1, step.depth))
        for i, step in enumerate(steps):
            if step.statement not in answers:
                assert step.depth > 1
                assert any(i in later.steps for later in steps)
                others = [x for x in said if x != step.statement]
                later = [(others[:j], others[j], steps[j + 1].depth) for j in range(i, len(others))]
                assert not all(oracle([*puzzle.clues, *before], x, depth) for before, x, depth in later), step


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), SIZES, st.sampled_from(("world", "answers")))
def test_a_proof_keeps_its_promises(seed, size, determine):
    case = generate(seed, 0, size, determine=determine)
    Oracle(case.puzzle, case.night).examine(prove(case.puzzle, case.night))


@pytest.mark.parametrize(
    ("index", "players", "determine"),
    [  # with searches and detours
        *((5, 2, "world"), (7, 3, "world"), (4, 4, "world"), (1, 4, "answers")),
        pytest.param(2, 5, "answers", marks=pytest.mark.slow),
    ],
)
def test_a_proof_of_a_published_size_keeps_its_promises(index, players, determine):
    case = generate(1, index, players=(players, players), determine=determine)
    Oracle(case.puzzle, case.night).examine(prove(case.puzzle, case.night))


def test_the_largest_size_is_proved_too():
    case = generate(1, 0, Size(10, 8, 17, 12))
    steps = prove(case.puzzle, case.night)
    assert {step.statement for step in steps} >= {with_answer(q, answer(q, case.night)) for q in case.puzzle.questions}


def test_a_proof_needs_no_more_than_the_prompt():
    case = generate(7, 0, Size())
    puzzle = read_prompt(prompt(case.puzzle))
    assert prove(puzzle, find_night(puzzle.setting, puzzle.clues)) == prove(case.puzzle, case.night)


def test_two_questions_with_one_answer_take_one_step():
    case = generate(1, 1, players=(4, 4))
    counts = case.puzzle.setting.motive_counts
    suspect, motive = next((x, m) for x, m in case.night.motive.items() if counts[m] == 1)
    asked = replace(case.puzzle, questions=(Motivated(None, motive), Motivated(suspect, None), Motivated(suspect, None)))
    steps = prove(asked, case.night)
    assert steps[-1].statement == Motivated(suspect, motive)
    Oracle(asked, case.night).examine(steps)


def test_a_clue_that_states_an_answer_is_all_it_takes():
    case = generate(7, 0, Size())
    stated = replace(case.puzzle, clues=(*case.puzzle.clues, with_answer(case.puzzle.questions[0], case.solution["A"])))
    steps = prove(replace(stated, questions=stated.questions[:1]), case.night)
    assert [(step.clues, step.steps, step.depth) for step in steps] == [((len(case.puzzle.clues),), (), 1)]
    Oracle(stated, case.night).examine(prove(stated, case.night))


REASON = (
    r"(because of|since anything else would contradict|since anything else, followed up case by case, would contradict) (.+)\."
)


@pytest.mark.parametrize("case", [generate(7, 0, Size()), generate(1, 1, players=(4, 4)), generate(1, 5, players=(2, 2))])
def test_the_text_of_a_proof_is_complete_and_its_sentences_read_back(case):
    steps = prove(case.puzzle, case.night)
    depths = ["because of", "since anything else would contradict"]
    for i, (line, step) in enumerate(zip(explain(case.puzzle, steps).splitlines(), steps, strict=True), 1):
        number, _, rest = line.partition(". ")
        sentence, _, why = rest.partition(", ")
        assert int(number) == i
        assert read_sentence(sentence, case.puzzle.setting) == step.statement
        phrase, reasons = re.fullmatch(REASON, why).groups()
        assert (depths.index(phrase) + 1 if phrase in depths else 3) == step.depth
        clues, _, earlier = reasons.partition("step")
        assert [int(n) - 1 for n in re.findall(r"\d+", clues)] == list(step.clues)
        assert [int(n) - 1 for n in re.findall(r"\d+", earlier)] == list(step.steps)
    assert summarize(steps).startswith(f"{len(steps)} steps, ")


def test_a_step_that_does_not_follow_is_reported():
    case = generate(7, 0, Size())
    steps = prove(case.puzzle, case.night)
    check_proof(case.puzzle, steps)
    wrong = [*steps[:-1], replace(steps[-1], steps=steps[-1].steps[1:])]
    with pytest.raises(RuntimeError, match=f"step {len(steps)}, 'The Lead Pipe .* at 11:00 PM', does not follow"):
        check_proof(case.puzzle, wrong)


def test_puzzles_without_a_proof_are_refused():
    case = generate(7, 0, Size())
    with pytest.raises(ValueError, match="the clues do not determine: "):
        prove(replace(case.puzzle, clues=()), case.night)
    with pytest.raises(ValueError, match="the night does not fit clue 1, "):
        prove(case.puzzle, generate(7, 1, Size()).night)
    with pytest.raises(UndecidedError, match=r"no short proof was found .*: allow more"):
        prove(case.puzzle, case.night, effort=0)
    with pytest.raises(UndecidedError, match=r"CP-SAT did not decide .*: allow more"):
        check_proof(
            case.puzzle, [ProofStep(fact, range(len(case.puzzle.clues)), (), 3) for fact in facts(case.night)], effort=0
        )


def test_the_effort_is_counted_in_steps_and_not_by_the_clock(monkeypatch):
    """A machine whose clock stands still, or jumps ahead by hours, finds the same proof."""
    case = generate(7, 0, Size())
    expected = prove(case.puzzle, case.night)
    solve = cpsat.cp_model.CpSolver.solve

    def limits(self, model):
        assert self.parameters.max_time_in_seconds == float("inf")
        assert self.parameters.max_deterministic_time < 100
        return solve(self, model)

    monkeypatch.setattr(cpsat.cp_model.CpSolver, "solve", limits)
    monkeypatch.setattr(proof.Solver, "interrupt", None)
    assert prove(case.puzzle, case.night) == expected


def test_the_command_line_prints_the_same_proof_in_every_process(monkeypatch, capsys):
    args = ["--seed", "1", "--index", "1", "--players", "4"]
    monkeypatch.setattr(sys, "argv", ["proof", *args])
    main()
    printed = capsys.readouterr().out
    case = generate(1, 1, players=(4, 4))
    steps = prove(case.puzzle, case.night)
    assert printed.endswith(f"\n\nProof:\n\n{explain(case.puzzle, steps)}\n\n{summarize(steps)}\n")
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # this process has another one
    other = subprocess.run([sys.executable, "-m", "puzzles.proof", *args], capture_output=True, text=True, env=environment)
    assert other.stdout == printed
    monkeypatch.setattr(sys, "argv", ["proof", "--suspects", "1"])
    with pytest.raises(SystemExit, match=r"^python -m puzzles.proof: suspects=1 is impossible.*$"):
        main()
