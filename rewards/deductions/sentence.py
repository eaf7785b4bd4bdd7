"""What one sentence does on its own: assert statements, hedge, suppose, conclude, reject or retract what was said.

It asserts what its clauses assert, which are joined by "so", "because", "which means", "but", "and", semicolons and the like. A
sentence asserts nothing if it hedges, asks, plans, quotes or sets a condition. A part that the sentence itself rejects ("X →
contradiction", "✗ X") asserts nothing either; what follows a "so" after the rejection counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from puzzles.clues import Clue
from puzzles.scenario import Setting
from rewards.deductions import forms, grammar
from rewards.deductions.clause import Assertion, ClauseReader, denies, may_be_read, without_lead_ins
from rewards.deductions.names import Names

MAX_SENTENCE_CHARS = 1_000  # of a longer one only the beginning and the end are examined, and it asserts nothing
OMITTED = " … "
MAX_PARSED = 10_000  # sentences kept per puzzle


@dataclass(frozen=True)
class ParsedSentence:
    """What a sentence does, whatever its context.

    What it asserts:
        asserted: the assertions, without what it rejects itself.
        fate: "read", "unread" if a clause that names something has no known form, or "" if it names nothing.
        doubted: whether it hedges, asks or sets a condition, so that what elaborates it asserts nothing either.
        unsure: whether what follows from it asserts nothing either.
        conditional: whether the rest of its line depends on it ("If X, …", "Two cases: …").
        condition: what follows its "if".

    What it does with the sentence before:
        follows: it starts with "so" or the like; `elaborates`: with "then", "that means".
        resumes: it starts with "since", "we" …, so that the condition before it is over.
        but: it starts with "but"; `would`: it says what would be.
        corrects: it takes that sentence back as a slip ("No, wait.").
        rejects: it takes it back because it cannot be ("That is impossible.").

    What it does with a supposition:
        supposes: what it supposes, if it opens one; `alternative`: as one of several cases; `splits`: as a case split, which
            holds for all cases; `instead`: in place of the one before.
        contradicts: it finds a contradiction.
        concludes: it draws a conclusion.
        discharges: it rejects the supposition by that name ("So the assumption is false."); `closes`: it closes all of them
            ("In both cases, …").
    """

    asserted: tuple[Assertion, ...]
    fate: str
    doubted: bool
    unsure: bool
    conditional: bool
    condition: frozenset[tuple[Clue, bool]]
    follows: bool
    elaborates: bool
    resumes: bool
    but: bool
    would: bool
    corrects: bool
    rejects: bool
    supposes: frozenset[tuple[Clue, bool]] | None
    alternative: bool
    splits: bool
    instead: bool
    contradicts: bool
    concludes: bool
    discharges: bool
    closes: bool


class SentenceReader:
    """Parses the sentences of one puzzle, each distinct one once, since they repeat across its completions."""

    def __init__(self, setting: Setting):
        self.names = Names(setting)
        self.clauses = ClauseReader(setting, self.names)
        self._parsed: dict[str, ParsedSentence] = {}

    def parse(self, sentence: str) -> ParsedSentence:
        """What a sentence of marked text does."""
        if len(sentence) > MAX_SENTENCE_CHARS:
            sentence = f"{sentence[: MAX_SENTENCE_CHARS // 2]}{OMITTED}{sentence[-MAX_SENTENCE_CHARS // 2 :]}"
        if sentence not in self._parsed:
            if len(self._parsed) > MAX_PARSED:
                self._parsed.clear()
            self._parsed[sentence] = self._parse(sentence)
        return self._parsed[sentence]

    def _parse(self, sentence: str) -> ParsedSentence:
        if corrects := grammar.CORRECTS.match(sentence):
            sentence = sentence[corrects.end() :]
        if closes := grammar.CLOSES_CASES.match(sentence):
            sentence = sentence[closes.end() :]
        conditional, not_asserted = grammar.IF.match(sentence), grammar.NOT_ASSERTED.search(sentence)
        doubted = not_asserted and grammar.DOUBTED.search(sentence)
        rest, rejects, contradicts, discharges = sentence, False, False, None
        if grammar.REJECTS.search(sentence):
            rest, rejects, contradicts = _split_rejection(sentence)
            discharges = grammar.DISCHARGES.search(sentence)
        opening = None if discharges else grammar.SUPPOSITION_START.search(sentence)
        asserted, supposed, condition, complete = (), (), (), True
        if conditional:
            condition, _ = self._assertions(grammar.IF_CLAUSE.match(sentence, conditional.end())[0])
        if opening:
            supposed, _ = self._assertions(sentence[opening.end() :])
        elif OMITTED in sentence:
            complete = False
        elif "<" in rest:
            asserted, complete = self._assertions(rest)
        unread = not complete and (asserted or not not_asserted)
        return ParsedSentence(
            asserted=asserted,
            fate="" if "<" not in sentence else "unread" if unread else "read",
            doubted=bool(doubted),
            unsure=bool(doubted and grammar.UNSURE.search(sentence)),
            conditional=bool((conditional and " would " not in sentence) or grammar.ANNOUNCES_CASES.search(sentence)),
            condition=frozenset(a.key for a in condition),
            follows=bool(grammar.FOLLOWS.match(sentence)),
            elaborates=bool(grammar.ELABORATES.match(sentence)),
            resumes=bool(grammar.RESUMES.match(sentence)),
            but=bool(grammar.BUT.match(sentence)),
            would=" would " in sentence and not grammar.BUT.match(sentence),
            corrects=bool(corrects or grammar.WITHDRAWS.search(sentence)),
            rejects=rejects and not conditional,
            supposes=frozenset(a.key for a in supposed) if opening else None,
            alternative=bool(opening and grammar.ALTERNATIVE.search(sentence)),
            splits=bool(opening and grammar.SPLITS_CASES.search(sentence)),
            instead=bool(opening and grammar.INSTEAD.search(sentence)),
            contradicts=contradicts and not conditional and "?" not in sentence,
            concludes=bool(grammar.CONCLUDES.search(sentence)),
            discharges=bool(discharges),
            closes=bool(closes),
        )

    def _assertions(self, sentence: str) -> tuple[tuple[Assertion, ...], bool]:
        """What a sentence asserts, clause by clause, and whether all clauses that name something have a known form."""
        if not may_be_read(sentence) or grammar.BRACKETED_REJECTION.search(sentence) or grammar.QUANTIFIED.search(sentence):
            return (), False
        not_asserted = grammar.NOT_ASSERTED.search(sentence)
        if not_asserted and grammar.DOUBTED.search(sentence):
            return (), False
        if forms.ANY_REWORDING.search(sentence):
            for pattern, new in forms.REWORDINGS:
                sentence = pattern.sub(new, sentence)
            not_asserted = grammar.NOT_ASSERTED.search(sentence)
        if not_asserted:
            return (), False
        for read in (self.clauses.read, self.clauses.read_list):
            if (found := read(sentence)) is not None:
                return tuple(found), True
        found, complete = [], True
        time_of_all = forms.TIME_OF_ALL.match(sentence) if " and " in sentence else None
        parts = self._split(sentence)
        if len(parts) == 1 and not time_of_all:
            return (), False
        if any(denies(part) and grammar.DENIES_ALL.fullmatch(joint) for part, joint in parts):
            return (), False  # "It is impossible that X and Y"
        if _alternatives(parts):
            return (), False
        for clause, joint in parts:
            if grammar.COLON.fullmatch(joint) and not _introduces(clause):
                return tuple(found), False
            if "<" in clause:
                if time_of_all and "<T" not in clause:
                    clause = f"{clause.rstrip(' .!')} at {time_of_all[1]}"
                part = self.clauses.read(clause)
                complete &= part is not None
                found += part or []
        return tuple(found), complete

    def _split(self, sentence: str) -> list[tuple[str, str]]:
        """The clauses of a sentence, each with the joint after it; the names of a list stay together."""
        parts, start = [], 0
        for joint in grammar.JOINT.finditer(sentence):
            clause = sentence[start : joint.start()]
            if not (grammar.LISTS.fullmatch(joint[0]) and "<" in clause and self._is_cut(clause, joint[0])):
                parts.append((clause, joint[0]))
                start = joint.end()
        return [*parts, (sentence[start:], "")]

    def _is_cut(self, clause: str, joint: str) -> bool:
        """Whether what seems to be a clause ends within a list of names: "two of Plum", before "and Green were in the Hall"."""
        if not grammar.VERB.match(without_lead_ins(clause)):
            return True
        return joint == " and " and bool(grammar.PIECE_LAST.search(clause)) and self.clauses.read(clause) is None


def _introduces(clause: str) -> bool:
    """Whether what comes after a clause and a colon is asserted: "Clue 3: X", "Plum did not move: X", but not "A trap: X"."""
    label = grammar.ADVERB.sub("", without_lead_ins(clause))
    return bool(grammar.LABEL.fullmatch(label) or ("<" in label and grammar.VERB.match(label)))


def _alternatives(parts: list[tuple[str, str]]) -> bool:
    """Whether some of the clauses, each with the joint after it, are alternatives, so that it is unclear which stand alone."""
    if any(grammar.TWO_CLAUSES.search(clause) for clause, _ in parts):
        return any(grammar.DENIES_ALL.fullmatch(joint) for _, joint in parts)
    clauses = [clause.strip(" ,") for clause, _ in parts]
    return any(grammar.OR.match(clause) or grammar.ENDS_IN_OR.search(clause) for clause in clauses)


def _split_rejection(sentence: str) -> tuple[str, bool, bool]:
    """What a sentence that rejects something asserts nevertheless; whether it rejects what was said before; and whether that
    is a contradiction.
    """
    bare = sentence
    for harmless in (grammar.DENIAL, grammar.NO_REJECTION):
        bare = harmless.sub(lambda match: " " * len(match[0]), bare)
    clauses = [(0, ""), *((boundary.end(), boundary[0]) for boundary in grammar.BOUNDARY.finditer(bare))]
    last, rejects_before, contradicts, i = -1, False, False, 0
    for match in grammar.REJECTS.finditer(bare):
        while i + 1 < len(clauses) and clauses[i + 1][0] <= match.start():
            i += 1
        start, boundary = clauses[i]
        if boundary in grammar.REASONS:
            continue
        last = match.end()
        named_in_sentence, named_in_clause = "<" in bare[: match.start()], "<" in bare[start : match.start()]
        reaches_back = (match["contradiction"] and " not " not in bare) or grammar.ELABORATES.match(bare)
        rejects_before |= not named_in_clause and (not named_in_sentence or bool(reaches_back))
        contradicts |= not named_in_clause or bool(match["contradiction"])
    if last < 0:
        return sentence, False, False
    after = grammar.AFTER_REJECTION.search(sentence, last)
    return sentence[after.start() :] if after else "", rejects_before, contradicts
