"""How deep one has to think for an answer, regardless of the size of the puzzle.

The depth of a question is the first of these that settles its answer:

    0  one clue: a single clue, together with the rules, entails it
    1  propagation: unit propagation over the rules and all clues derives it, without any supposition
    2  look-ahead: suppose that a cell of the night has some value, and propagate; if that leads to a contradiction, rule the
       value out; repeat until nothing changes
    3  search: suppositions within suppositions are needed

A cell is where a piece was at some time, a suspect's motive, or an aspect of the murder.

Depths 1 and 2 are the reductions r₁ (unit propagation) and r₂ (failed-literal elimination) of Kullmann's hierarchy of
resolution hardness (O. Kullmann, "Investigating a general hierarchy of polynomially decidable classes of CNF's based on
short tree-like resolution proofs", ECCC TR99-041, 1999), with suppositions about cells of the night only. They also
depend on the clauses in `cnf.py`, which are written to propagate what a person sees at a glance: a piece is not in a room that
it cannot have reached, a clue about two pieces constrains either one, a time without a possible murder scene is ruled out.

A puzzle is as difficult as its deepest question: `easy` up to propagation, `medium` with look-ahead, `hard` with search.
"""

from __future__ import annotations

from pysat.solvers import Solver

from puzzles.clues import Puzzle, answer, answer_options, facts, with_answer
from puzzles.cnf import rules, search
from puzzles.scenario import Night

DEPTHS = ("one clue", "propagation", "look-ahead", "search")
BANDS = {"easy": (0, 1), "medium": (2,), "hard": (3,)}  # depth of the deepest question


def band(depths: list[int]) -> str:
    """The band of a puzzle whose questions have these depths."""
    return next(name for name, included in BANDS.items() if max(depths) in included)


def depths(puzzle: Puzzle, night: Night) -> list[int]:
    """The depth of each question, 0 to 3.

    Args:
        night: the puzzle's solution, so that what is true need not be supposed.
    """
    cnf = rules(puzzle.setting)
    clues = [cnf.literal(clue) for clue in puzzle.clues]
    answers = []
    for question in puzzle.questions:
        right = answer(question, night)
        literals = {value: cnf.literal(with_answer(question, value)) for value in answer_options(question, puzzle.setting)}
        cnf.clauses.append(tuple(literals.values()))  # one of them is the answer
        answers.append(literals[right])
    true = {cnf.literal(fact) for fact in facts(night)}
    with cnf.solver() as solver:
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
    given_away = _given_away(puzzle, night)
    return [
        next((depth for depth, found in enumerate(ways) if found), 3)
        for ways in zip(given_away, propagated, looked_ahead, strict=True)
    ]


def _given_away(puzzle: Puzzle, night: Night) -> list[bool]:
    """Whether some single clue, together with the rules, entails each answer.

    A night on which a clue holds and several answers are false shows that the clue entails none of those answers. The same
    goes for every other clue that holds on that night.
    """
    nights = search(puzzle.setting)
    literal = nights.cnf.literal
    clues = [literal(clue) for clue in puzzle.clues]
    answers = [literal(with_answer(question, answer(question, night))) for question in puzzle.questions]
    nights.solver.set_phases([literal(fact) for fact in facts(night)])  # nights close to the true one satisfy most clues
    given_away = set(answers) & set(clues)
    open_ = {clue: set(answers) for clue in clues}
    for clue in clues:
        while asked := sorted(open_[clue] - given_away):
            while asked and not nights.possible([clue, *(-a for a in asked)]):
                core = {-literal for literal in nights.solver.get_core() if literal != clue}
                if len(core) == 1:
                    given_away |= core
                asked.remove(max(core))  # several that cannot all be false at once: ask again without one of them
            if asked:
                true = set(nights.solver.get_model())
                false = {a for a in answers if -a in true}
                for other in open_:
                    if other in true:
                        open_[other] -= false
    return [a in given_away for a in answers]


def _settled(solver: Solver, literal: int) -> bool:
    """Whether unit propagation has derived `literal`: then supposing it yields nothing new."""
    return solver.propagate([literal]) == (True, [])
