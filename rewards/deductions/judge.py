"""Which of a completion's stated deductions are proved? A metric, and an optional reward; the verdict is always the solver's.

What a completion asserts is read by `rewards/deductions/reader.py`. Each statement gets a verdict, given the clues and rules:

    proved      on every night that fits the clues
    refuted     on none
    undecided   on some: more than the clues tell
    timed out   the solver needed more than LIMIT conflicts

and a proved one is *justified* where it stands if one supposition shows it: suppose the opposite, and unit propagation over the
rules, the clues and the proved statements before it runs into a contradiction (look-ahead, see puzzles/difficulty.py).

The reward pays for steps that are justified, new, and not at hand, which is whatever propagates from a single clue or a single
proved statement before. A step pays as much as it excludes: 1 − 1/k for the value of a cell that has k, 1/k for saying which
it is not, and nothing for what is no cell of the night. Every refuted or undecided statement costs 1. So whoever guesses loses:
a guess that is right with probability p pays at most 1 − p, and costs 1 otherwise: p (1 − p) − (1 − p) < 0. The sum is divided
by what the questions are worth, and cut to [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pysat.solvers import Solver

from puzzles.clues import At, Clue, Motivated, Murder, answer_options
from puzzles.cnf import CNF, minimal_core
from puzzles.messages import text_of
from puzzles.prompts import read_prompt
from rewards.accuracy import Completion
from rewards.deductions.reader import Assertion, Sentence, plain, read

LIMIT = 20_000  # conflicts of the solver for one verdict: far beyond any published size, and under a second
DECIDED = ("proved", "refuted", "undecided")  # verdicts; what the solver timed out on counts neither for nor against
LONGEST = 500_000  # characters of a completion that are read


@dataclass(frozen=True)
class Deduction:
    """A statement of a completion with its verdict.

    Attributes:
        verdict: "proved", "refuted", "undecided" or "timed out".
        repeated: whether the completion said so before.
        justified: whether it is proved and a single supposition shows it, from the clues and what was proved before it.
        at_hand: whether it propagates from a single clue, or a single statement before it.
        pays: its share of the reward, before the division.
    """

    sentence: Sentence
    assertion: Assertion
    verdict: str
    repeated: bool
    justified: bool
    at_hand: bool
    pays: float


@dataclass(frozen=True)
class Judgement:
    """All deductions of a completion, and its sentences, read or not."""

    sentences: tuple[Sentence, ...]
    deductions: tuple[Deduction, ...]
    reward: float

    @property
    def counts(self) -> dict[str, int]:
        """Distinct deductions by verdict."""
        new = [d.verdict for d in self.deductions if not d.repeated]
        return {verdict: new.count(verdict) for verdict in (*DECIDED, "timed out")}

    @property
    def soundness(self) -> float | None:
        """Proved ÷ (proved + refuted + undecided), each statement once; None if nothing was stated."""
        counts = self.counts
        judged = sum(counts[verdict] for verdict in DECIDED)
        return counts["proved"] / judged if judged else None

    @property
    def tally(self) -> dict[str, int]:
        """The counts, and the sentences that were read and unread: what can be added up over completions."""
        fates = [s.fate for s in self.sentences]
        return self.counts | {fate: fates.count(fate) for fate in ("read", "unread")}

    @property
    def read_share(self) -> float | None:
        """Of the sentences that name something and are not set aside, the share that was understood; None if there are none."""
        tally = self.tally
        asserting = tally["read"] + tally["unread"]
        return tally["read"] / asserting if asserting else None


class Judge:
    """Judges completions of one puzzle. Verdicts are kept, so that the samples of a puzzle share them.

    Raises:
        ValueError: if the prompt cannot be read, or its clues contradict each other.
    """

    def __init__(self, prompt: str):
        self.puzzle = read_prompt(prompt)
        self.clues = frozenset(self.puzzle.clues)
        self.cnf = CNF(self.puzzle.setting)
        self.literals = [self.cnf.literal(clue) for clue in self.puzzle.clues]
        self.rules, self.all, self.exact = (Solver(name="minisat-gh") for _ in range(3))  # the first two only ever propagate
        self.fed = 0
        for literal in self.literals:
            self.all.add_clause([literal])
            self.exact.add_clause([literal])
        self._feed()
        self.exact.conf_budget(LIMIT)
        if self.exact.solve_limited() is False:
            raise ValueError("the clues contradict each other: no night fits them.")
        self.implied: dict[int, frozenset[int]] = {}
        self.follows: dict[int, bool] = {}
        self.worths: dict[Assertion, float] = {}
        self.verdicts: dict[int, str] = {}
        self.given = frozenset().union(*(self._implied(literal) for literal in self.literals))
        self.worth = sum(1 - 1 / len(answer_options(q, self.puzzle.setting)) for q in self.puzzle.questions)

    def _feed(self) -> None:
        """Give the solvers the clauses that have been added since: those that define a new compound statement."""
        for clause in self.cnf.clauses[self.fed :]:
            for solver in (self.rules, self.all, self.exact):
                solver.add_clause(clause)
        self.fed = len(self.cnf.clauses)

    def _literal(self, assertion: Assertion) -> int:
        literal = self.cnf.literal(assertion.statement)
        self._feed()
        return literal if assertion.holds else -literal

    def _implied(self, literal: int) -> frozenset[int]:
        """What propagates from a literal under the rules alone."""
        if literal not in self.implied:
            self.implied[literal] = frozenset(self.rules.propagate([literal])[1]) | {literal}
        return self.implied[literal]

    def _follows(self, literal: int) -> bool:
        """Whether its opposite propagates into a contradiction with the clues alone."""
        if literal not in self.follows:
            self.follows[literal] = not self.all.propagate([-literal])[0]
        return self.follows[literal]

    def _settled(self, literal: int) -> bool:
        """Whether the clues alone propagate to it, so that nothing more follows from supposing it."""
        return self.all.propagate([literal]) == (True, [])

    def verdict(self, assertion: Assertion) -> str:
        """What the clues say of an assertion: "proved", "refuted", "undecided" or "timed out"."""
        literal = self._literal(assertion)
        if literal not in self.verdicts:
            self.exact.conf_budget(LIMIT)
            otherwise = self.exact.solve_limited(assumptions=[-literal])  # None beyond the limit
            self.exact.conf_budget(LIMIT)
            so = self.exact.solve_limited(assumptions=[literal]) if otherwise is not False else True
            named = {(False, True): "proved", (True, False): "refuted", (None, False): "refuted", (True, True): "undecided"}
            self.verdicts[literal] = named.get((otherwise, so), "timed out")
        return self.verdicts[literal]

    def pays(self, assertion: Assertion) -> float:
        """How much a justified step is worth: the share of a cell's values that it excludes."""
        if assertion not in self.worths:
            match assertion.statement:
                case At(who, _, _) if who in self.puzzle.setting.pieces:
                    values = len(self.puzzle.setting.rooms)
                case Motivated(_, _):
                    values = len(self.puzzle.setting.motives)
                case Murder(aspect, _):
                    values = len(answer_options(Murder(aspect, None), self.puzzle.setting))
                case _:
                    values = 0
            self.worths[assertion] = 0.0 if not values else 1 - 1 / values if assertion.holds else 1 / values
        return self.worths[assertion]

    def because(self, assertion: Assertion) -> list[Clue] | None:
        """Clues that prove a statement, or refute it if it is refuted, none of them idle; None if the clues do neither.

        For people who look at a completion: a solver of its own, so that it changes no verdict and costs the reward nothing.
        """
        literal = self._literal(assertion)
        clue_of = dict(zip(self.literals, self.puzzle.clues, strict=True))
        with Solver(name="minisat-gh", bootstrap_with=self.cnf.clauses) as solver:
            for side in (literal, -literal):
                if (core := minimal_core(solver, list(clue_of), side)) is not None:
                    return [clue for known, clue in clue_of.items() if known in core]
        return None

    def judge(self, text: str) -> Judgement:
        """The deductions of a text with their verdicts, and the reward."""
        sentences = read(text[:LONGEST], self.puzzle.setting, self.clues)
        proved: list[int] = []
        nearby: set[int] = set()  # what propagates from a single proved statement so far
        seen: set[tuple[Clue, bool]] = set()
        deductions, earned = [], 0.0
        for sentence in sentences:
            for assertion in sentence.assertions:
                key = plain(assertion.statement), assertion.holds
                literal = self._literal(assertion)
                verdict, repeated = self.verdict(assertion), key in seen
                seen.add(key)
                near = literal in self.given or literal in nearby
                justified = verdict == "proved" and (self._follows(literal) or not self.all.propagate([*proved, -literal])[0])
                pays = 0.0
                if not repeated:
                    if verdict in ("refuted", "undecided"):
                        pays = -1.0
                    elif justified and not near:
                        pays = self.pays(assertion)
                if verdict == "proved" and not repeated:
                    nearby |= self._implied(literal)
                    if not self._settled(literal):
                        proved.append(literal)
                earned += pays
                deductions.append(Deduction(sentence, assertion, verdict, repeated, justified, near, pays))
        return Judgement(tuple(sentences), tuple(deductions), min(max(earned / self.worth, 0.0), 1.0))


@lru_cache(maxsize=64)  # the puzzles of a generation batch; about 2 MiB each
def judge_of(prompt: str) -> Judge | None:
    """The judge of a puzzle, made once; None if the prompt is no puzzle."""
    try:
        return Judge(prompt)
    except ValueError:
        return None


def deductions(
    prompts: Sequence[str | list[dict]],
    completions: Sequence[Completion],
    log_metric: Callable[[str, float], None] | None = None,
    **_,
) -> list[float | None]:
    """The reward of each completion's deductions, from 0 to 1; None, which TRL leaves out, where the prompt cannot be read.

    Args:
        prompts: B texts, or B chats whose last message is the puzzle.
        completions: B texts, or B chats whose last message is the answer.
        log_metric: TRL's hook; receives `soundness`, `deductions` (stated in a completion), `read_share` and `unread_prompts`.
    """
    judges = [judge_of(text_of(prompt) or "") for prompt in prompts]
    judged = [judge and judge.judge(text_of(c) or "") for judge, c in zip(judges, completions, strict=True)]
    if log_metric and judged:
        whole = [j for j in judged if j]
        log_metric("unread_prompts", 1 - len(whole) / len(judged))
        total = sum((Counter(j.tally) for j in whole), Counter())
        decided = sum(total[verdict] for verdict in DECIDED)
        if decided:
            log_metric("soundness", total["proved"] / decided)
        if whole:
            log_metric("deductions", decided / len(whole))
        if asserting := total["read"] + total["unread"]:
            log_metric("read_share", total["read"] / asserting)
    return [j.reward if j else None for j in judged]
