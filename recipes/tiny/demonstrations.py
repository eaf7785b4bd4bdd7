"""What a model is taught by imitation: puzzles with solver-written solutions, as a dataset for TRL's SFTTrainer.

A demonstration is flawless: reasoning, one statement per line, and then the answer sheet. Demonstrations differ in how much of
their reasoning they write down (`REASONING`). The steps derive the whole night, or, with `proofs`, are a short proof of the
answers (`puzzles/proof.py`).
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from datasets import Dataset
from pysat.solvers import Solver

from puzzles.clues import ASPECTS, Clue, Murder, facts, question_about, with_answer
from puzzles.cnf import CNF, minimal_core
from puzzles.generator import MAX_QUESTIONS, Case, generate
from puzzles.prompts import prompt
from puzzles.proof import prove
from puzzles.scenario import BODDY, Size
from puzzles.sentences import render

REASONING = ("none", "facts", "clues")  # what is written before the answers: nothing, each fact, or each fact after its clues
FIRST_INDEX = 2_000_000_000  # far from the puzzles of GRPO (from 0) and the held-out ones (from puzzles.dataset.HELD_OUT)


def demonstrations(
    stages: Sequence[str], size: Size, reasoning: Sequence[str], proofs: bool, seed: int, batch_size: int
) -> Dataset:
    """Prompts and completions in the order in which they are learned, grouped into batches of similar length.

    Args:
        stages: what is learned in turn, each as "STEPS:LOW:HIGH". The stage has STEPS batches; each puzzle's directness
            (`puzzles/generator.py`) is drawn between LOW and HIGH.
        reasoning: the kinds of REASONING demonstrated, each equally often.
        batch_size: demonstrations per optimizer step, over all processes.

    Raises:
        ValueError: if a stage, a kind of reasoning, the size or the batch size is impossible.
    """
    if batch_size < 1:
        raise ValueError(
            f"a batch of {batch_size} has no room for a demonstration: set per_device_train_batch_size to 1 or more."
        )
    if not reasoning or not {*reasoning} <= {*REASONING}:
        raise ValueError(f"reasoning {' '.join(reasoning)!r} is impossible: it is one or more of {', '.join(REASONING)}.")
    columns: dict[str, list] = {"index": [], "low": [], "high": []}
    for stage in stages:
        try:
            count, *values = stage.split(":")
            steps, (low, high) = int(count), map(float, values)
        except ValueError:
            raise ValueError(f"stage {stage!r} is not STEPS:LOW:HIGH, such as 500:0:2.") from None
        if not (steps > 0 and 0 <= low <= high < math.inf):
            raise ValueError(f"stage {stage!r} is impossible: it needs STEPS of at least 1 and 0 ≤ LOW ≤ HIGH.")
        rows = steps * batch_size
        columns["index"] += range(FIRST_INDEX + len(columns["index"]), FIRST_INDEX + len(columns["index"]) + rows)
        for column, value in (("low", low), ("high", high)):
            columns[column] += [value] * rows

    def row(index: int, low: float, high: float) -> dict:
        rng = random.Random(f"demonstration {seed} {index}")
        case = quiz(generate(seed, index, size, directness=rng.uniform(low, high)), rng)
        question, reply = prompt(case.puzzle, "compact"), demonstration(case, rng.choice(reasoning), proofs)
        return {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": reply}],
            "length": len(question) + len(reply),
        }

    made = Dataset.from_dict(columns).map(
        row, input_columns=list(columns), num_proc=os.cpu_count(), desc="demonstrations", load_from_cache_file=False
    )
    order = list(range(len(made)))
    rng = random.Random(seed)
    for first in range(0, len(order), 16 * batch_size):  # sort by length only within chunks, to keep the order of learning
        chunk = sorted(order[first : first + 16 * batch_size], key=made["length"].__getitem__)
        batches = [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        rng.shuffle(batches)
        order[first : first + 16 * batch_size] = chain(*batches)
    return made.select(order).select_columns(["prompt", "completion"])


def demonstration(case: Case, reasoning: str = "facts", proofs: bool = False) -> str:
    """A model completion: the reasoning, and then for each question the fact that answers it and the answer.

    Args:
        reasoning: one of REASONING.
        proofs: reason by a short proof of the answers instead of deriving the whole night.
    """
    s = case.puzzle.setting
    steps = []
    if reasoning != "none":
        steps = proof_steps(case) if proofs else small_steps(case)
    lines = []
    for step in steps:
        if reasoning == "clues":
            lines += [f"- {render(clue, s)}" for clue in step.clues if clue != step.statement]
        lines.append(render(step.statement, s))
    for question, (letter, answer) in zip(case.puzzle.questions, case.solution.items(), strict=True):
        lines += [render(with_answer(question, answer), s), f"{letter}. {answer}"]
    return "\n".join(lines)


def quiz(case: Case, rng: random.Random) -> Case:
    """The same case with three to eight other questions, including ones that a clue answers outright, for variety."""
    questions = [question_about(fact) for fact in facts(case.night)]
    questions = rng.sample([q for q in questions if getattr(q, "who", None) != BODDY], rng.randint(3, MAX_QUESTIONS))
    murder = [Murder(aspect, None) for aspect in ASPECTS if Murder(aspect, None) in questions]
    bonus = [q for q in questions if not isinstance(q, Murder)]
    return replace(case, puzzle=replace(case.puzzle, questions=(*murder, *bonus), bonus=len(bonus)))


# ---------------------------------------------------------------- the steps


@dataclass(frozen=True)
class Step:
    """`statement` follows from the rules, the steps before it and `clues`, and not without any one of these clues."""

    statement: Clue
    clues: tuple[Clue, ...]


def proof_steps(case: Case) -> list[Step]:
    """A short proof of the answers."""
    clues = case.puzzle.clues
    return [Step(step.statement, tuple(clues[i] for i in step.clues)) for step in prove(case.puzzle, case.night)]


def small_steps(case: Case) -> list[Step]:
    """All facts that the clues entail: every place, every motive and the murder, as far as they are determined.

    The facts that clues state outright come first, in the order of the clues. Each further step is the fact that follows from
    the fewest clues, as found by a SAT solver.
    """
    clues = case.puzzle.clues
    cnf = CNF(case.puzzle.setting)
    clue_of = {cnf.literal(clue): clue for clue in clues}
    missing = {fact: cnf.literal(fact) for fact in facts(case.night)}
    steps = [Step(clue, (clue,)) for clue in clues if clue in missing]
    with Solver(name="minisat-gh", bootstrap_with=cnf.clauses) as solver:
        for step in steps:
            solver.add_clause([missing.pop(step.statement)])
        while missing:
            best = None
            for fact, literal in missing.items():
                core = minimal_core(solver, list(clue_of), literal)
                if core is not None and (best is None or len(core) < len(best[1])):
                    best = fact, core
                    if not core:
                        break
            if best is None:  # the clues determine no more than the answers
                break
            fact, core = best
            solver.add_clause([missing.pop(fact)])
            steps.append(Step(fact, tuple(clue_of[literal] for literal in core)))
    return steps
