"""Why a puzzle's answers are right: a short proof, each step a statement in the sentences of the clues.

  python -m puzzles.proof --seed 7 --index 0                     a short proof of a small puzzle's answers
  python -m puzzles.proof --seed 7 --index 0 --players 1-6       of any size of the published mix

`prove` gives few steps, each with the clues and earlier steps that it rests on, and each checked by CP-SAT (`cpsat.py`), which
had no part in finding it.

The depth of a step is that of `difficulty.py`. From what it rests on, a step follows by

    1  propagation: unit propagation over the clauses of `cnf.py`
    2  look-ahead: suppose anything else that its sentence could say, and propagate: each supposition leads to a contradiction
    3  search: suppositions within suppositions; or suppositions about something else, where they show what no clue's sentence
       can say, such as "Mrs. White was not in the Hall"

and a deeper step is taken only where no shallower one yields anything new. Whatever propagates from a step of depth 1 also
propagates from what that step rests on. So every step is an answer, or needed look-ahead or search.

The number of steps is small, but not proved to be the smallest: no step can be left out without a later one becoming deeper. As
each answer is a step, a proof with no other steps is as short as possible.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pysat.solvers import Solver

from puzzles.arguments import add_puzzle_arguments, generator_options
from puzzles.clues import Clue, Puzzle, answer, answer_options, facts, question_about, with_answer
from puzzles.cnf import CNF
from puzzles.cpsat import EFFORT, UndecidedError, unproved
from puzzles.difficulty import DEPTHS
from puzzles.generator import generate
from puzzles.scenario import Night, Size
from puzzles.sentences import render

CONFLICTS = 2_000  # of the search per unit of effort; the largest published size needs 2,700 in total
BECAUSE = {  # by depth
    1: "because of {}",
    2: "since anything else would contradict {}",
    3: "since anything else, followed up case by case, would contradict {}",
}


@dataclass(frozen=True)
class ProofStep:
    """`statement` follows at `depth` from the rules, some clues and some earlier steps, none of which can be left out.

    Args:
        clues, steps: indices, from 0 and ascending, into the puzzle's clues and into the proof.
        depth: 1 propagation, 2 look-ahead, 3 search.
    """

    statement: Clue
    clues: tuple[int, ...]
    steps: tuple[int, ...]
    depth: int


def prove(puzzle: Puzzle, night: Night, effort: float = EFFORT) -> list[ProofStep]:
    """A short proof of a puzzle's answers, every step of it checked by CP-SAT.

    Where a step can rest either on an earlier step or on clues, it rests on the step, which says more in fewer words.

    Args:
        night: one that fits the clues, such as `puzzles.cpsat.find_night` returns, so that what is true need not be supposed.
        effort: limit of the search, and again of the check of each step: about seconds, but counted in steps of the solvers,
            so that the same puzzles have a proof on every machine.

    Raises:
        ValueError: if `night` does not fit the clues, or the clues do not determine an answer.
        UndecidedError: if the search or a check takes more than `effort`.
        RuntimeError: if CP-SAT does not confirm a step: that would be a bug in this package.
    """
    logic = _Prover(puzzle, night, effort)
    chain = logic.shortened(logic.chain())
    steps = [logic.step(chain, i) for i in range(len(chain))]
    check_proof(puzzle, steps, effort)
    return steps


def check_proof(puzzle: Puzzle, steps: Sequence[ProofStep], effort: float = EFFORT) -> None:
    """Have CP-SAT confirm each step from what it rests on.

    Raises:
        RuntimeError: naming a step that does not follow.
        UndecidedError: if CP-SAT cannot decide on a step within `effort`.
    """
    claims = [
        ([*(puzzle.clues[i] for i in step.clues), *(steps[i].statement for i in step.steps)], step.statement) for step in steps
    ]
    for i in unproved(puzzle.setting, claims, effort):
        sentence = render(steps[i].statement, puzzle.setting)
        raise RuntimeError(f"step {i + 1}, {sentence!r}, does not follow from what it rests on, according to CP-SAT.")


def explain(puzzle: Puzzle, steps: Sequence[ProofStep]) -> str:
    """A proof as text, one line for each step: its number, sentence and reason. Clues are numbered in the prompt's order."""
    return "\n".join(
        f"{i}. {render(step.statement, puzzle.setting)}, {BECAUSE[step.depth].format(premises(step))}."
        for i, step in enumerate(steps, 1)
    )


def sentences(explained: str) -> list[str]:
    """The sentences of a proof that `explain` wrote, without their numbers and reasons."""
    reason = "|".join(text.partition("{}")[0] for text in BECAUSE.values())
    return [re.fullmatch(rf"\d+\. (.+), (?:{reason}).+", line)[1] for line in explained.splitlines()]


def premises(step: ProofStep) -> str:
    """What a step rests on, by number: "clues 2, 3 and 5 and step 1"."""
    reasons = [by_number("clue", step.clues), by_number("step", step.steps)]
    return " and ".join(filter(None, reasons)) or "the rules"


def by_number(kind: str, indices: Sequence[int]) -> str:
    """Clues or steps by their numbers: "clues 2, 3 and 5"."""
    *most, last = [str(i + 1) for i in indices] or [""]
    return f"{kind}s {', '.join(most)} and {last}" if most else f"{kind} {last}" if last else ""


def summarize(steps: Sequence[ProofStep]) -> str:
    """How many steps a proof has, and of which depths."""
    counts = Counter(step.depth for step in steps)
    parts = ", ".join(f"{counts[depth]} by {DEPTHS[depth]}" for depth in sorted(counts))
    return f"{len(steps)} step{'s' if len(steps) > 1 else ''}, {parts}. CP-SAT has checked every one."


class _Prover:
    """What follows from a puzzle's clues at each depth. Statements are literals of the CNF here, all true on `night`."""

    def __init__(self, puzzle: Puzzle, night: Night, effort: float):
        self.setting = s = puzzle.setting
        self.conflicts = int(effort * CONFLICTS)
        cnf = CNF(s)
        self.clues: dict[int, int] = {}  # each clue's literal -> its index, the first one's where two state the same
        for i, clue in enumerate(puzzle.clues):
            if not clue.holds(night):
                raise ValueError(f"the night does not fit clue {i + 1}, {render(clue, s)!r}.")
            self.clues.setdefault(cnf.literal(clue), i)
        self.goals: dict[int, Clue] = {}  # answer -> question
        self.statements: dict[int, Clue] = {}  # the answers first, then all facts
        self.others: dict[int, list[int]] = {}  # what each of these could state instead
        for question in (*puzzle.questions, *(question_about(fact) for fact in facts(night))):
            literals = {value: cnf.literal(with_answer(question, value)) for value in answer_options(question, s)}
            cnf.clauses.append(tuple(literals.values()))  # one of them is true
            true = literals.pop(answer(question, night))
            self.others.setdefault(true, list(literals.values()))
            self.statements.setdefault(true, with_answer(question, answer(question, night)))
            if question in puzzle.questions:
                self.goals.setdefault(true, question)
        self.propagating = Solver(name="minisat-gh", bootstrap_with=cnf.clauses)  # never solves, and so learns nothing
        self.searching = Solver(name="minisat-gh", bootstrap_with=cnf.clauses)
        self.without_clues = {true for true in self.others if self.propagating.propagate([true]) == (True, [])}

    def propagated(self, premises: list[int]) -> set[int]:
        return self.without_clues.union(self.propagating.propagate(premises)[1])

    def entailed(self, premises: list[int], statement: int) -> bool:
        left = self.conflicts - self.searching.accum_stats()["conflicts"]
        self.searching.conf_budget(left)
        possible = self.searching.solve_limited([-statement, *reversed(premises)]) if left > 0 else None
        if possible is None:
            raise UndecidedError("no short proof was found within the effort allowed: allow more.")
        return not possible

    def follows(self, premises: list[int], statement: int, depth: int) -> bool:
        if depth == 1:
            return statement in self.propagated(premises)
        if depth == 2:
            return all(self.propagating.propagate([*premises, other])[0] is False for other in self.others[statement])
        return self.entailed(premises, statement)

    def core(self, premises: list[int], statement: int, depth: int) -> list[int]:
        """A minimal part of `premises` from which `statement` still follows; earlier premises are left out first."""
        self.entailed(premises, statement)
        used = set(self.searching.get_core())
        few = [premise for premise in premises if premise in used]
        kept = few if self.follows(few, statement, depth) else premises
        size = len(kept)
        while size:  # try to leave out this many at once, then half as many, and so on down to one
            i = 0
            while i < len(kept):
                rest = kept[:i] + kept[i + size :]
                if self.follows(rest, statement, depth):
                    kept = rest
                else:
                    i += size
            size //= 2
        return kept

    def chain(self) -> dict[int, int]:
        """Statements with their depths that lead from the clues to the answers, each following from those before it."""
        for goal, question in self.goals.items():
            if not self.entailed(list(self.clues), goal):
                raise ValueError(f"the clues do not determine: {render(question, self.setting)}")
        chain: dict[int, int] = {}
        while missing := [goal for goal in self.goals if goal not in chain]:
            premises = [*self.clues, *chain]
            settled = self.propagated(premises)
            ahead = (x for x in self.statements if x not in settled and self.follows(premises, x, 2))
            if propagated := [goal for goal in missing if goal in settled]:
                chain |= dict.fromkeys(propagated, 1)
            elif found := next(ahead, None):
                chain[found] = 2
            else:
                chain[min(missing, key=lambda goal: len(self.core(premises, goal, 3)))] = 3
        return chain

    def shortened(self, chain: dict[int, int]) -> dict[int, int]:
        """The chain without the statements, other than answers, that no later one needs to follow at its depth."""
        for redundant in [x for x in reversed(chain) if x not in self.goals]:
            rest = [x for x in chain if x != redundant]
            first = list(chain).index(redundant)
            if all(self.follows([*self.clues, *rest[:i]], rest[i], chain[rest[i]]) for i in range(first, len(rest))):
                chain = {x: chain[x] for x in rest}
        return chain

    def step(self, chain: dict[int, int], i: int) -> ProofStep:
        """Step `i` of a chain, as a step of the proof."""
        *earlier, statement = list(chain)[: i + 1]
        core = set(self.core([*(x for x in self.clues if x not in earlier), *earlier], statement, chain[statement]))
        steps = tuple(j for j, x in enumerate(earlier) if x in core)
        clues = sorted(self.clues[x] for x in core.difference(earlier))
        return ProofStep(self.statements[statement], tuple(clues), steps, chain[statement])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.proof", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=int, default=0, help="which puzzle of the series (default 0)")
    add_puzzle_arguments(parser)
    args = parser.parse_args()
    try:
        case = generate(args.seed, args.index, **generator_options(args, Size()))
        steps = prove(case.puzzle, case.night)
    except ValueError as error:
        sys.exit(f"python -m puzzles.proof: {error}")
    print("Clues:\n")
    print("\n".join(f"{i}. {render(clue, case.puzzle.setting)}." for i, clue in enumerate(case.puzzle.clues, 1)))
    print(f"\nProof:\n\n{explain(case.puzzle, steps)}\n\n{summarize(steps)}")


if __name__ == "__main__":
    main()
