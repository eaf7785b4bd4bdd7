"""How deep one has to think for an answer, whatever the size of the puzzle.

The depth of a question is the first of these ways that settles its answer:

    0  one clue: a single clue, together with the rules, entails it
    1  propagation: unit propagation over the rules and all clues derives it; no cell is ever supposed
    2  look-ahead: suppose that a cell has some value and propagate; on a contradiction the value is out; so on, until
       nothing changes
    3  search: it takes suppositions within suppositions

Depths 1 and 2 are the reductions r₁ (unit propagation) and r₂ (failed-literal elimination) of Kullmann's hierarchy of
resolution hardness (O. Kullmann, "Investigating a general hierarchy of polynomially decidable classes of CNF's based on
short tree-like resolution proofs", ECCC TR99-041, 1999), with suppositions about cells of the night only. They are a matter
of the clauses in `cnf.py` too, which are meant to propagate what a person sees at a glance: who cannot have come from
anywhere near is not there, a clue about two pieces tells of either one, a time without a possible scene is out.

A puzzle is as difficult as its deepest question: `easy` up to propagation, `medium` with look-ahead, `hard` with search.
"""

from __future__ import annotations

from pysat.solvers import Solver

from puzzles.clues import Puzzle, answer, candidates, facts, fill
from puzzles.cnf import CNF
from puzzles.scenario import Night

DEPTHS = ("one clue", "propagation", "look-ahead", "search")
BANDS = {"easy": (0, 1), "medium": (2,), "hard": (3,)}  # depth of the deepest question


def band(depths: list[int]) -> str:
    """The band of a puzzle whose questions have these depths."""
    return next(name for name, included in BANDS.items() if max(depths) in included)


def depths(puzzle: Puzzle, night: Night) -> list[int]:
    """The depth of each question, 0 to 3.

    Args:
        night: the puzzle's solution. It only spares the work of supposing what is true.
    """
    cnf = CNF(puzzle.setting)
    clues = [cnf.literal(clue) for clue in puzzle.clues]
    answers = []
    for question in puzzle.questions:
        right = answer(question, night)
        literals = {value: cnf.literal(fill(question, value)) for value in candidates(question, puzzle.setting)}
        cnf.clauses.append(tuple(literals.values()))  # one of them is the answer
        answers.append(literals[right])
    true = {cnf.literal(fact) for fact in facts(night)}
    with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
        solver.set_phases(sorted(true))  # nights close to the true one satisfy most clues, so few solves are needed
        one_clue = [_one_clue_entails(solver, clues, a) for a in answers]
    with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:  # one that has learnt nothing
        for clue in clues:
            solver.add_clause([clue])
        propagated = [_settled(solver, a) for a in answers]
        values = [v for choice in cnf.choices() for v in choice.values() if v not in true]
        changed = True
        while changed and not all(_settled(solver, a) for a in answers):
            changed = False
            for value in values:
                if solver.propagate([value])[0] is False:
                    solver.add_clause([-value])
                    changed = True
            values = [v for v in values if not _settled(solver, -v)]
        looked_ahead = [_settled(solver, a) for a in answers]
    return [
        next((depth for depth, found in enumerate(ways) if found), 3)
        for ways in zip(one_clue, propagated, looked_ahead, strict=True)
    ]


def _one_clue_entails(solver: Solver, clues: list[int], answer: int) -> bool:
    """Whether the answer cannot be false once some one clue is true."""
    open_ = list(clues)
    while open_:
        if not solver.solve(assumptions=[open_[0], -answer]):
            return True
        model = set(solver.get_model())
        open_ = [clue for clue in open_ if clue not in model]
    return False


def _settled(solver: Solver, literal: int) -> bool:
    """Whether unit propagation has derived `literal`: then nothing new follows from supposing it."""
    return solver.propagate([literal]) == (True, [])
