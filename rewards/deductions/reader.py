"""What free text asserts about a night: statements read from a model's own words. Precision comes before recall.

A text is read line by line and sentence by sentence. Names become marks (names.py), a sentence is parsed on its own
(sentence.py), and its clauses become statements (clause.py), each only if all of it has a known form (forms.py):

    SUBJECT VERB in/at the ROOM at TIME       several subjects, rooms and times; the time may come first
    SUBJECT VERB either in the ROOM or in the ROOM at TIME
    every sentence of puzzles/sentences.py, and: shared a room, directly north of, took the WEAPON from … to …
    SUSPECT killed Mr. Boddy in the ROOM with the WEAPON at TIME, and parts of it; the murderer/murder weapon/room … is …
    SUSPECT's motive is MOTIVE, SUSPECT has MOTIVE, SUSPECT = MOTIVE
    TIME: SUSPECT - ROOM, WEAPON - ROOM; a line with a time, and below it a line for each piece; tables of pieces against times

    SUBJECT  a piece, the murderer, the murder weapon, the suspect motivated by MOTIVE; joined by "and", or by "neither … nor"
    VERB     was, is, must be, has to have been, can only be …; denied: was not, cannot be, could not have been …

This file follows what the sentences do to each other. Hedges, questions, plans, quotations, conditions with what depends on
them, and lists of possibilities are set aside: they assert nothing. A later sentence can take back what was said: "X. But
that fails." retracts the paragraph; "X. No, wait." retracts the argument that led to the last sentence. What is supposed
("suppose", "case 1", "trying: …") lasts until a contradiction lets its negation be stated or something be concluded, or until
"in both cases" or a heading ends it. A sentence that names something and is neither read nor set aside counts as unread.

Any text is read in linear time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from puzzles.clues import At, Clue
from puzzles.scenario import Setting
from rewards.deductions import grammar
from rewards.deductions.clause import Assertion, canonical
from rewards.deductions.sentence import MAX_SENTENCE_CHARS, SentenceReader

STEP_LEVEL = 9  # of a heading such as "Step 1", below all with number signs
ASIDE = "aside"  # set aside: it asserts nothing
SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?=\S)[^.!?]*)*[.!?]*")
STRUCK_OUT = re.compile(r"~~[^~\n]*~~|<(s|del|strike)>[^<\n]*</\1>", re.IGNORECASE)
ALL_BOLD = re.compile(r"(?:[-•+*>] )?(?:\*{2,3}|__)[^*_]+(?:\*{2,3}|__):?")  # a line that serves as a title
BULLET = re.compile(r"^\s*\* ")
MARKDOWN = re.compile(r"[*_`]+|[✅✓✔☑]")
ITEM_MARK = re.compile(r"(?:[-•+>#]+ |\[[x ]\] |\d+[.)] )+")  # of a list item or a heading
UNKNOWN_CELL = re.compile(r"\|\s*\?+\s*(?=\|)")


@dataclass(frozen=True)
class Sentence:
    """A sentence that names something: what it asserts, and what became of it.

    Attributes:
        start, end: of its line in the text.
        fate: "read", "aside" (it asserts nothing) or "unread" (part of it has no known form; what was read of it counts).
    """

    start: int
    end: int
    assertions: tuple[Assertion, ...]
    fate: str


def read(text: str, setting: Setting, clues: frozenset[Clue] = frozenset()) -> list[Sentence]:
    """The sentences of a text that name something of the puzzle, in order.

    Args:
        clues: the statements of the prompt. Repeating one asserts nothing.
    """
    return _TextReader(sentence_reader(setting), frozenset(map(canonical, clues)), text).sentences


@lru_cache(maxsize=64)  # the puzzles of a generation batch
def sentence_reader(setting: Setting) -> SentenceReader:
    """The reader of a puzzle's sentences, which keeps those that it has parsed."""
    return SentenceReader(setting)


@dataclass
class _Supposition:
    """What is supposed, and where: from which sentence on, in which line, under a heading of which level.

    One that is an `alternative` ends where the next one begins. One that `splits` cases lasts beyond a contradiction.
    """

    assertions: frozenset[tuple[Clue, bool]]
    start: int
    line: int
    level: int
    alternative: bool
    splits: bool


class _TextReader:
    """One pass over a text."""

    def __init__(self, reader: SentenceReader, given: frozenset[Clue], text: str):
        self.reader, self.given = reader, given
        self.sentences: list[Sentence] = []
        self.standing: list[int] = []  # indices of those that have not been retracted
        self.paragraph = self.previous_paragraph = self.argument = 0  # their first sentences; an argument is joined by "so"
        self.suppositions: list[_Supposition] = []  # the open ones, the innermost last
        self.contradiction: int | None = None  # the line in which a contradiction to the innermost one was found
        self.doubted = self.unsure = False  # the last sentence (see `ParsedSentence`)
        self.condition: frozenset[tuple[Clue, bool]] = frozenset()  # of the last "if"
        self.conditional = False  # the rest of the line depends on a condition
        self.level = 0  # of the heading above
        self.in_code = False
        self.span = (0, 0)  # of the line
        self.context = ""  # of the items of a list: the time that the line above names, or `ASIDE`
        self.context_item: tuple[int, bool] | None = None  # the item that set it, if it was one: its indent, and if numbered
        self.context_level = 0  # of the heading that set it last, if one did
        self.after_items = False  # items or a blank line have followed since
        self.after_or = False  # the line above ends in "or"
        self.header: list[str] | None = None  # of a table
        for line in text.splitlines(keepends=True):
            self.span = (self.span[1], self.span[1] + len(line))
            if not line.strip():
                self._end_paragraph()
                continue
            if line.lstrip().startswith("```"):
                self.in_code = not self.in_code
            bare = MARKDOWN.sub("", BULLET.sub("- ", STRUCK_OUT.sub("", line)))
            is_title = line.lstrip().startswith("#") or bool(ALL_BOLD.fullmatch(line.strip()))
            self._read_line(self.reader.names.mark(bare).strip(), len(line) - len(line.lstrip()), is_title)

    # ---- lines, lists and tables

    def _read_line(self, line: str, indent: int, is_title: bool) -> None:
        level = 0
        if grammar.FINAL_PART.match(line):
            self.suppositions.clear()
        elif heading := grammar.HEADING.match(line):
            level = len(heading["level"] or "")
            self._open_heading(level or STEP_LEVEL)
            if 0 < level <= self.context_level:  # the part that a heading set aside is over
                self.context, self.context_item = "", None
            condition = grammar.IF.match(line, heading.end())
            if condition and condition[0].endswith("if") and "<" in line:
                line = f"suppose {line[condition.end() :]}"  # for all that stands under the heading
        if line.startswith("|"):
            return self._read_row(line)
        self.header = None
        mark = ITEM_MARK.match(line)
        body = line[mark.end() :] if mark else line
        self.conditional &= not mark
        if mark:
            self._end_item()
        if not body or grammar.ANSWER_LINE.fullmatch(body):
            return
        if grammar.OR.match(body):  # the lines above it are alternatives
            self._retract_paragraph()
        after_or, self.after_or = self.after_or, bool(grammar.ENDS_IN_OR.search(body))
        times = re.findall(r"<T\d+>", body)
        heads_aside = bool(grammar.HEADS_LIST.search(body)) and any(
            pattern.search(body) for pattern in (grammar.NOT_ASSERTED, grammar.SUPPOSES, grammar.REJECTS, grammar.POSSIBILITIES)
        )
        if len(times) == body.count("<"):  # "Ruled out", as a title; "None of these holds:"
            heads_aside |= is_title and bool(grammar.SETS_ASIDE.search(grammar.NO_REJECTION.sub("", body)))
            heads_aside |= bool((is_title or grammar.HEADS_LIST.search(body)) and grammar.NEGATES.search(body))
        if re.fullmatch(r"(?:at )?<T\d+>", body) or (
            body.endswith(":") and len(times) == body.count("<") == 1 and not heads_aside
        ):
            self.context = times[0]
            return
        self._set_context((indent, mark[0].strip()[0].isdigit()) if mark else None, heads_aside)
        self.context_level = level if heads_aside else self.context_level
        context = self.context if mark or self.context == ASIDE else ""
        if self.in_code or after_or or grammar.CROSS_SIGN.search(line) or grammar.LETTERED_CASE.match(line):
            context = ASIDE
        sentences = SENTENCE.findall(body)
        if len(sentences) > 1 and grammar.PARAGRAPH_LABEL.match(body) and not grammar.FOLLOWS.match(sentences[1].strip()):
            sentences[0] = f"case: {sentences[0]}"
        for sentence in sentences:
            self._read_sentence(sentence.strip(), context)
        self.conditional = bool(grammar.CONTINUES.search(body)) and (self.conditional or self.doubted)

    def _set_context(self, item: tuple[int, bool] | None, heads_aside: bool) -> None:
        """Update the context for a line that may be an item of a list, given by its indent and whether it is numbered.

        A line such as "Options:" sets aside the items below it, or the lines below it if there are no items.
        """
        if item is None and (heads_aside or self.context != ASIDE or self.after_items):
            self.context, self.context_item = ASIDE if heads_aside else "", None
        elif item and heads_aside and self.context != ASIDE:
            self.context, self.context_item = ASIDE, item
        elif item and self.context_item and item[1] == self.context_item[1] and item[0] <= self.context_item[0]:
            if self.after_items:  # the next item after the one that set the context
                self.context, self.context_item = (ASIDE, item) if heads_aside else ("", None)
            else:  # a flat list
                self.context_item = None
        self.after_items = not heads_aside and (item is not None or (self.after_items and self.context == ASIDE))

    def _read_row(self, line: str) -> None:
        """A row of a table: a piece against times, a time against pieces, or a suspect and a motive."""
        line = UNKNOWN_CELL.sub("|", line)
        aside = len(line) > MAX_SENTENCE_CHARS or any(
            pattern.search(line) for pattern in (grammar.NOT_ASSERTED, grammar.SUPPOSES, grammar.REJECTS)
        )
        aside |= self.header is None and bool(grammar.NEGATES.search(line))
        cells = [cell.strip() for cell in line.strip("|").split("|")] if not aside else []
        if self.header is None:
            self.header = cells
            return
        found, complete = [], True
        for head, cell in zip(self.header[1:], cells[1:], strict=False):
            assertions = self.reader.clauses.read_cell(cells[0], head, cell)
            complete &= assertions is not None or "<" not in cell
            found += assertions or []
        if "<" in line:
            asserts = complete and not (self.suppositions or self.in_code or self.context == ASIDE)
            new = self._without_clues(found) if asserts else ()
            self._add(new, "read" if new else ASIDE if complete else "unread")

    def _end_paragraph(self) -> None:
        """At a blank line or a heading."""
        self.after_items = True
        self._end_item()
        if self.paragraph < len(self.sentences):
            self.previous_paragraph, self.paragraph = self.paragraph, len(self.sentences)

    def _end_item(self) -> None:
        """Close a supposition that was made and contradicted in the same line."""
        if self.contradiction is not None:
            innermost = self.suppositions[-1] if self.suppositions else None
            if not (innermost and (innermost.splits or innermost.line != self.contradiction)):
                self._close_supposition()

    def _open_heading(self, level: int) -> None:
        """Close what was supposed under a heading of this level or below."""
        self._end_paragraph()
        while self.suppositions and self.suppositions[-1].level >= level:
            self.suppositions.pop()
        self.level = level

    # ---- sentences

    def _read_sentence(self, sentence: str, context: str) -> None:
        parsed = self.reader.parse(sentence)
        # What it does to the sentences and suppositions before it.
        is_reason = parsed.would and self._last_only_denied()  # "It was not X. That would contradict clue 3."
        if parsed.corrects and not is_reason:
            self._retract(self.argument)
        if parsed.closes:
            self.suppositions.clear()
        if parsed.discharges and self.suppositions:
            self._close_supposition()
        elif parsed.supposes is not None:
            if (
                self.contradiction is not None
                or parsed.instead
                or (parsed.alternative and self.suppositions and self.suppositions[-1].alternative)
            ):
                self._close_supposition()
            position = len(self.sentences), self.span[0], self.level
            self.suppositions.append(_Supposition(parsed.supposes, *position, parsed.alternative, parsed.splits))
        if parsed.rejects and not (self.doubted or is_reason):
            self._retract_paragraph()
        if parsed.contradicts:
            self.contradiction = self.span[0]
        if parsed.rejects or parsed.corrects:
            self.doubted = self.unsure = self.conditional = False
        self.conditional = (self.conditional and not parsed.resumes) or parsed.conditional
        if not parsed.fate:
            return
        # What it asserts itself.
        hangs = self.conditional or (self.doubted and parsed.elaborates) or (self.unsure and parsed.follows)
        if hangs and parsed.follows and parsed.asserted and all(a.opposite in self.condition for a in parsed.asserted):
            hangs = self.conditional = False  # "If X, …. So not X"
        self.condition = parsed.condition or self.condition
        self.doubted, self.unsure = parsed.doubted or hangs or context == ASIDE, parsed.unsure or hangs
        asserted, fate = parsed.asserted, parsed.fate
        if context and context != ASIDE:
            with_time = self.reader.parse(f"{context}: {sentence}")
            asserted, fate = with_time.asserted, with_time.fate
        continues = parsed.follows or parsed.elaborates
        if parsed.supposes is not None or context == ASIDE or hangs:
            return self._add((), ASIDE, continues)
        if self.suppositions:
            return self._add(self._concluded(asserted, parsed.concludes), ASIDE, continues)
        if parsed.but and self.sentences and any(_clash(a, b) for a in self.sentences[-1].assertions for b in asserted):
            self._retract(self.argument)
        new = self._without_clues(asserted)
        self._add(new, ASIDE if fate == "read" and not new else fate, continues)

    def _last_only_denied(self) -> bool:
        """Whether the last sentence only denied something: then what "would" be impossible is its reason."""
        last = self.sentences[-1].assertions if self.sentences else ()
        return bool(last) and not any(a.holds for a in last)

    def _concluded(self, asserted: tuple[Assertion, ...], concludes: bool) -> tuple[Assertion, ...]:
        """What a sentence within a supposition asserts outside it, and so closes it.

        It needs two of three: a contradiction before it, a word such as "so", and that it is the opposite of what was supposed.
        """
        negation = tuple(a for a in asserted if a.opposite in self.suppositions[-1].assertions)
        if not asserted or (self.contradiction is not None) + bool(negation) + concludes < 2:
            return ()
        self._close_supposition()
        return () if self.suppositions else negation or asserted

    def _close_supposition(self) -> None:
        """Close the innermost one."""
        self.contradiction = None
        if self.suppositions:
            self.suppositions.pop()

    def _without_clues(self, asserted: list[Assertion] | tuple[Assertion, ...]) -> tuple[Assertion, ...]:
        return tuple(a for a in asserted if not (a.holds and canonical(a.statement) in self.given))

    def _add(self, assertions: tuple[Assertion, ...], fate: str, continues: bool = False) -> None:
        """Add a sentence; one that does not continue the argument before it starts a new one."""
        if not continues:
            self.argument = len(self.sentences)
        self.standing.append(len(self.sentences))
        self.sentences.append(Sentence(*self.span, assertions, fate))

    def _retract_paragraph(self) -> None:
        """Take back this paragraph, or the last one if this is empty so far."""
        self._retract(self.paragraph if self.paragraph < len(self.sentences) else self.previous_paragraph)

    def _retract(self, start: int) -> None:
        """Take back what was asserted from the sentence `start` on, but nothing from before the supposition that is open.

        Each sentence is retracted at most once, so the time stays linear.
        """
        start = max(start, self.suppositions[-1].start) if self.suppositions else start
        while self.standing and self.standing[-1] >= start:
            i = self.standing.pop()
            retracted = self.sentences[i]
            self.sentences[i] = Sentence(retracted.start, retracted.end, (), ASIDE)
        self.argument = len(self.sentences)
        if start <= self.paragraph:
            self.paragraph = self.previous_paragraph = len(self.sentences)


def _clash(a: Assertion, b: Assertion) -> bool:
    """Whether they cannot both hold, as a "but" between them suggests."""
    one, other = a.statement, b.statement
    if isinstance(one, At) and isinstance(other, At) and a.holds and b.holds:
        return (one.who, one.time) == (other.who, other.time) and one.room != other.room
    return a.opposite == b.key
