"""What a model is taught by imitation: puzzles with solver-written solutions, as a dataset for TRL's SFTTrainer.

A demonstration is flawless: a chain of statements, one per line, and then the answer sheet. The chain derives the whole night
in small steps, or, with `proofs`, is a short proof of the answers (`puzzles/proof.py`). Steps may be left out, as people do.
Demonstrations are made on the spot (`demonstrations`), or come from datasets made with proofs (`from_datasets`).
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from datasets import Dataset
from pysat.solvers import Solver

from puzzles.clues import ASPECTS, Clue, Murder, facts, question_about, with_answer
from puzzles.cnf import CNF, minimal_core
from puzzles.dataset import check_complete, read_rows
from puzzles.generator import MAX_QUESTIONS, Case, generate
from puzzles.prompts import lettered, prompt
from puzzles.proof import prove, sentences
from puzzles.scenario import BODDY, Size
from puzzles.sentences import render

FIRST_INDEX = 2_000_000_000  # far from the puzzles of GRPO (from 0) and the held-out ones (from puzzles.dataset.HELD_OUT)


def demonstrations(
    stages: Sequence[str], size: Size, proofs: bool, seed: int, batch_size: int, wording: str = "compact"
) -> Dataset:
    """Prompts and completions in the order in which they are learned, grouped into batches of similar length.

    Args:
        stages: what is learned in turn, each as "STEPS:LOW:HIGH:SKIPS". The stage has STEPS batches; each puzzle's directness
            (`puzzles/generator.py`) is drawn between LOW and HIGH, and the share of its steps left out between 0 and SKIPS.
        batch_size: demonstrations per optimizer step, over all processes.
        wording: of the prompts, one of `puzzles.prompts.WORDINGS`.

    Raises:
        ValueError: if a stage, the size or the batch size is impossible.
    """
    if batch_size < 1:
        raise ValueError(
            f"a batch of {batch_size} has no room for a demonstration: set per_device_train_batch_size to 1 or more."
        )
    columns: dict[str, list] = {"index": [], "low": [], "high": [], "skips": []}
    for stage in stages:
        try:
            count, *values = stage.split(":")
            steps, (low, high, skips) = int(count), map(float, values)
        except ValueError:
            raise ValueError(f"stage {stage!r} is not STEPS:LOW:HIGH:SKIPS, such as 500:0:2:1.") from None
        if not (steps > 0 and 0 <= low <= high < math.inf and 0 <= skips <= 1):
            raise ValueError(
                f"stage {stage!r} is impossible: it needs STEPS of at least 1, 0 ≤ LOW ≤ HIGH, and SKIPS from 0 to 1."
            )
        rows = steps * batch_size
        columns["index"] += range(FIRST_INDEX + len(columns["index"]), FIRST_INDEX + len(columns["index"]) + rows)
        for column, value in (("low", low), ("high", high), ("skips", skips)):
            columns[column] += [value] * rows

    def row(index: int, low: float, high: float, skips: float) -> dict:
        rng = random.Random(f"demonstration {seed} {index}")
        case = quiz(generate(seed, index, size, directness=rng.uniform(low, high)), rng)
        question, reply = prompt(case.puzzle, wording), demonstration(case, rng, rng.uniform(0, skips), proofs)
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


def demonstration(case: Case, rng: random.Random, skipped: float = 0.0, proofs: bool = False) -> str:
    """A model completion: the chain, and then for each question the fact that answers it and the answer.

    Args:
        skipped: probability that a step of the chain is left out.
        proofs: write a short proof of the answers instead of deriving the whole night.
    """
    s = case.puzzle.setting
    steps = prove(case.puzzle, case.night) if proofs else small_steps(case)
    lines = [render(step.statement, s) for step in steps if rng.random() >= skipped]
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


# ---------------------------------------------------------------- from datasets with proofs


def from_datasets(folders: Sequence[str], cache: Path) -> Dataset:
    """Prompts and completions of the split `train` of datasets made with `python -m puzzles.dataset --proofs`.

    They are read one after the other and kept in files of the folder `cache`, so a million need no more memory than a thousand.
    What is there already is used if it comes from the same bytes. Column `length` has the characters of each.

    Raises:
        ValueError: if a folder holds no finished dataset, or one without proofs.
    """
    checksums = {}
    for folder in folders:
        record = check_complete(Path(folder))
        if "proofs" not in record:
            raise ValueError(f"dataset {folder} has no proofs to imitate: make it with `python -m puzzles.dataset --proofs`.")
        checksums[folder] = record["sha256"]
    return Dataset.from_generator(rows_of, gen_kwargs={"checksums": checksums}, cache_dir=str(cache))


def rows_of(checksums: Mapping[str, dict]) -> Iterator[dict]:
    """The demonstrations in these folders, one by one. Their checksums are part of the name under which Datasets keeps them."""
    for folder in checksums:
        for row in read_rows(folder)["train"]:
            reply = "\n".join([*sentences(row["proof"]), lettered(row["solution"])])
            yield {
                "prompt": row["prompt"],
                "completion": [{"role": "assistant", "content": reply}],
                "length": len(row["prompt"][0]["content"]) + len(reply),
            }


# ---------------------------------------------------------------- the whole night in small steps


@dataclass(frozen=True)
class SmallStep:
    """`statement` follows from the rules, the steps before it and `clues`, and not without any one of these clues."""

    statement: Clue
    clues: tuple[Clue, ...]


def small_steps(case: Case) -> list[SmallStep]:
    """All facts that the clues entail: every place, every motive and the murder, as far as they are determined.

    The facts that clues state outright come first, in the order of the clues. Each further step is the fact that follows from
    the fewest clues, as found by a SAT solver.
    """
    clues = case.puzzle.clues
    cnf = CNF(case.puzzle.setting)
    clue_of = {cnf.literal(clue): clue for clue in clues}
    missing = {fact: cnf.literal(fact) for fact in facts(case.night)}
    steps = [SmallStep(clue, (clue,)) for clue in clues if clue in missing]
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
            steps.append(SmallStep(fact, tuple(clue_of[literal] for literal in core)))
    return steps
