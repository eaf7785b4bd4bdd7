"""A chain of deductions that solves a puzzle, one small step at a time: what a patient detective would write down.

Each step is a statement in the sentences of the clues, and follows from the rules, the steps before it and a few clues. The
chain is greedy: the next step is one that needs the fewest further clues, so that what the rules alone imply comes at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from pysat.solvers import Solver

from puzzles.clues import Clue, facts
from puzzles.cnf import CNF
from puzzles.generate import Case


@dataclass(frozen=True)
class Deduction:
    """`statement` follows from the rules, the deductions before it, and the clues of `because`, none of them idle."""

    statement: Clue
    because: tuple[Clue, ...]


def deduce(case: Case) -> list[Deduction]:
    """All that a puzzle's clues entail: every place, every motive, and the murder, as far as they are determined.

    First come the facts that clues state outright, in the order of the clues.
    """
    clues = case.puzzle.clues
    cnf = CNF(case.puzzle.setting)
    clue_of = {cnf.literal(clue): clue for clue in clues}
    literal_of = {fact: cnf.literal(fact) for fact in facts(case.night)}
    chain = [Deduction(clue, (clue,)) for clue in clues if clue in literal_of]
    with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
        for known in chain:
            solver.add_clause([literal_of.pop(known.statement)])
        while literal_of:
            fewest = None
            for fact, literal in literal_of.items():
                core = support(solver, literal, list(clue_of), limit=len(fewest[1]) if fewest else len(clue_of) + 1)
                if core is not None:
                    fewest = fact, core
                    if not core:
                        break
            if fewest is None:  # only where no more than the answers had to be determined
                break
            fact, core = fewest
            solver.add_clause([literal_of.pop(fact)])
            chain.append(Deduction(fact, tuple(clue_of[literal] for literal in core)))
    return chain


def support(solver: Solver, literal: int, clues: list[int], limit: int) -> list[int] | None:
    """Clues that entail `literal`, none of them idle, if fewer than `limit` are found; otherwise None."""
    if solver.solve(assumptions=[-literal, *clues]):
        return None
    core = [clue for clue in solver.get_core() if clue != -literal]
    for clue in list(core):
        rest = [other for other in core if other != clue]
        if not solver.solve(assumptions=[-literal, *rest]):
            core = rest
    return core if len(core) < limit else None
