"""Which of the deductions in a completion are proved? The verdict is always the solver's.

What a completion asserts is read by rewards/deductions/reader.py. Each statement gets a verdict, given the clues and the
rules:

    proved      it holds on every night that fits the clues
    refuted     on none
    undecided   on some: the clues leave it open
    timed out   the solver needed more than MAX_CONFLICTS conflicts

A proved one is also *justified* where it stands if one supposition shows it: suppose the opposite, and unit propagation over
the rules, the clues and the statements proved before it runs into a contradiction (look-ahead, see puzzles/difficulty.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pysat.solvers import Solver

from puzzles.clues import Clue
from puzzles.cnf import CNF, minimal_core
from puzzles.prompts import read_prompt
from rewards.deductions.clause import Assertion
from rewards.deductions.reader import Sentence, read

MAX_CONFLICTS = 20_000  # of the solver for one verdict: far more than any published size needs, and under a second
MAX_CHARS = 500_000  # of a completion; what follows is not read
DECIDED = ("proved", "refuted", "undecided")  # the verdicts that count; a timeout counts neither for nor against


@dataclass(frozen=True)
class Deduction:
    """A statement that a completion asserts, with its verdict.

    Attributes:
        verdict: "proved", "refuted", "undecided" or "timed out".
        repeated: whether the completion asserted it before.
        justified: whether it is proved and one supposition shows it, from the clues and what was proved before it.
        at_hand: whether it follows by unit propagation from a single clue, or a single statement proved before it.
    """

    sentence: Sentence
    assertion: Assertion
    verdict: str
    repeated: bool
    justified: bool
    at_hand: bool


@dataclass(frozen=True)
class JudgedCompletion:
    """All deductions of a completion, and its sentences that name something, read or not."""

    sentences: tuple[Sentence, ...]
    deductions: tuple[Deduction, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Distinct deductions by verdict."""
        verdicts = [d.verdict for d in self.deductions if not d.repeated]
        return {verdict: verdicts.count(verdict) for verdict in (*DECIDED, "timed out")}

    @property
    def soundness(self) -> float | None:
        """Proved ÷ (proved + refuted + undecided), each statement once; None if none was decided."""
        counts = self.counts
        decided = sum(counts[verdict] for verdict in DECIDED)
        return counts["proved"] / decided if decided else None

    @property
    def tally(self) -> dict[str, int]:
        """The counts together with the numbers of sentences read and unread: what can be added up over completions."""
        fates = [s.fate for s in self.sentences]
        return self.counts | {fate: fates.count(fate) for fate in ("read", "unread")}

    @property
    def read_share(self) -> float | None:
        """Of the sentences that name something and are not set aside, the share that was read; None if there are none."""
        tally = self.tally
        asserting = tally["read"] + tally["unread"]
        return tally["read"] / asserting if asserting else None


class Judge:
    """Judges completions of one puzzle. It keeps its verdicts, so that the completions of a puzzle share them.

    Raises:
        ValueError: if the prompt cannot be read, or its clues contradict each other.
    """

    def __init__(self, prompt: str):
        self.puzzle = read_prompt(prompt)
        self._clues = frozenset(self.puzzle.clues)
        self._cnf = CNF(self.puzzle.setting)
        self._clue_literals = [self._cnf.literal(clue) for clue in self.puzzle.clues]
        # Three solvers: the first two only propagate, from the rules alone and from rules and clues; the last one solves.
        self._rules, self._all, self._exact = (Solver(name="minisat-gh") for _ in range(3))
        self._clauses_added = 0
        for literal in self._clue_literals:
            self._all.add_clause([literal])
            self._exact.add_clause([literal])
        self._add_new_clauses()
        self._exact.conf_budget(MAX_CONFLICTS)
        if self._exact.solve_limited() is False:
            raise ValueError("the clues contradict each other: no night fits them.")
        self._implied_by: dict[int, frozenset[int]] = {}
        self._follows_from_clues: dict[int, bool] = {}
        self._verdicts: dict[int, str] = {}
        self._implied_by_a_clue = frozenset().union(*(self._implied(literal) for literal in self._clue_literals))

    def judge(self, text: str) -> JudgedCompletion:
        """The deductions of a text with their verdicts."""
        sentences = read(text[:MAX_CHARS], self.puzzle.setting, self._clues)
        proved: list[int] = []  # literals of statements so far, without those from which nothing more follows
        implied_by_one: set[int] = set()  # what propagates from any single one of those proved so far
        seen: set[tuple[Clue, bool]] = set()
        deductions = []
        for sentence in sentences:
            for assertion in sentence.assertions:
                literal = self._literal(assertion)
                verdict, repeated = self.verdict(assertion), assertion.key in seen
                seen.add(assertion.key)
                at_hand = literal in self._implied_by_a_clue or literal in implied_by_one
                justified = verdict == "proved" and (self._follows(literal) or not self._all.propagate([*proved, -literal])[0])
                if verdict == "proved" and not repeated:
                    implied_by_one |= self._implied(literal)
                    if self._all.propagate([literal]) != (True, []):  # something follows from it in addition to the clues
                        proved.append(literal)
                deductions.append(Deduction(sentence, assertion, verdict, repeated, justified, at_hand))
        return JudgedCompletion(tuple(sentences), tuple(deductions))

    def verdict(self, assertion: Assertion) -> str:
        """What the clues say about an assertion: "proved", "refuted", "undecided" or "timed out"."""
        literal = self._literal(assertion)
        if literal not in self._verdicts:
            self._exact.conf_budget(MAX_CONFLICTS)
            can_fail = self._exact.solve_limited(assumptions=[-literal])  # None beyond the limit
            self._exact.conf_budget(MAX_CONFLICTS)
            can_hold = self._exact.solve_limited(assumptions=[literal]) if can_fail is not False else True
            verdicts = {(False, True): "proved", (True, False): "refuted", (None, False): "refuted", (True, True): "undecided"}
            self._verdicts[literal] = verdicts.get((can_fail, can_hold), "timed out")
        return self._verdicts[literal]

    def deciding_clues(self, assertion: Assertion) -> list[Clue] | None:
        """Clues that prove an assertion, or refute it, none of them redundant; None if the clues do neither.

        For people who look at a completion: it uses a separate solver, so it changes no verdicts and slows no rewards.
        """
        literal = self._literal(assertion)
        clue_of = dict(zip(self._clue_literals, self.puzzle.clues, strict=True))
        with Solver(name="minisat-gh", bootstrap_with=self._cnf.clauses) as solver:
            for side in (literal, -literal):
                if (core := minimal_core(solver, list(clue_of), side)) is not None:
                    return [clue for clue_literal, clue in clue_of.items() if clue_literal in core]
        return None

    def _literal(self, assertion: Assertion) -> int:
        literal = self._cnf.literal(assertion.statement)
        self._add_new_clauses()
        return literal if assertion.holds else -literal

    def _add_new_clauses(self) -> None:
        """Give the solvers the clauses added since, which define a new compound statement."""
        for clause in self._cnf.clauses[self._clauses_added :]:
            for solver in (self._rules, self._all, self._exact):
                solver.add_clause(clause)
        self._clauses_added = len(self._cnf.clauses)

    def _implied(self, literal: int) -> frozenset[int]:
        """What propagates from a literal under the rules alone."""
        if literal not in self._implied_by:
            self._implied_by[literal] = frozenset(self._rules.propagate([literal])[1]) | {literal}
        return self._implied_by[literal]

    def _follows(self, literal: int) -> bool:
        """Whether its opposite propagates into a contradiction with the rules and clues alone."""
        if literal not in self._follows_from_clues:
            self._follows_from_clues[literal] = not self._all.propagate([-literal])[0]
        return self._follows_from_clues[literal]


@lru_cache(maxsize=64)  # the puzzles of a generation batch; about 2 MiB each
def cached_judge(prompt: str) -> Judge | None:
    """The judge of a puzzle, made once; None if the prompt is not a puzzle, or its clues contradict each other."""
    try:
        return Judge(prompt)
    except ValueError:
        return None
