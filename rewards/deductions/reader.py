"""What free text asserts about a night: statements read from a model's own words. Precision before recall.

A clause is read only if all of it has a known form, once names are recognised (in full, without the title or its dot, a
suspect by the surname), markdown is gone, and lead-ins such as "So", "Therefore", "From clue 3 it follows that".
`rewards/deductions/grammar.py` has the forms:

    SUBJECT VERB in/at the ROOM at TIME       several subjects, rooms and times; the time may come first
    SUBJECT VERB either in the ROOM or in the ROOM at TIME
    every sentence of puzzles/sentences.py, and: shared a room, directly north of, took the WEAPON from … to …
    SUSPECT killed Mr. Boddy in the ROOM with the WEAPON at TIME, and parts of it; the murderer/murder weapon/room … is …
    SUSPECT's motive is MOTIVE, SUSPECT has MOTIVE, SUSPECT = MOTIVE
    TIME: SUSPECT - ROOM, WEAPON - ROOM; a line with a time, and below it a line for each piece; tables of pieces against times

    SUBJECT  a piece, the murderer, the murder weapon, the suspect motivated by MOTIVE; joined by "and", or by "neither … nor"
    VERB     was, is, must be, has to have been, can only be …; denied: was not, cannot be, could not have been …

Joints (so, because, which means, but, and, semicolons) part a sentence into clauses that are read one by one. "There is no
way that", "we can rule out that" and the like deny.

Set aside are sentences that assert nothing: hedges, questions, plans, quotations, what others say; conditions and what hangs
on them; lists of what is possible, and rows of tables of it. What is rejected does not count either: by its own sentence
("X → contradiction", "✗ X", "~~X~~"; what follows a "so" after that counts), or by a later one ("X. But that fails.", "X. No,
wait."), which takes back the paragraph or what the last sentence follows from. What is supposed ("suppose", "case 1",
"trying: …") lasts until a contradiction lets its negation be stated or something be concluded, or "in both cases" or a heading
ends it. What names something and is neither read nor set aside counts as unread.

Any text is read in linear time: a sentence of more than LONGEST characters is not parsed, and the patterns do not backtrack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Setting
from rewards.deductions import grammar

LONGEST = 1_000  # characters of a sentence; a longer one is set aside
TOO_LONG = " … "  # in the middle of such a one
SPARSE = 150  # characters for each name; a sentence with fewer names is about something else
MOST = 40  # statements of a clause
LOWEST = 9  # level of a heading
SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?=\S)[^.!?]*)*[.!?]*")
STRUCK = re.compile(r"~~[^~\n]*~~|<(s|del|strike)>[^<\n]*</\1>", re.IGNORECASE)
BULLET = re.compile(r"^\s*\* ")
MARKDOWN = re.compile(r"[*_`]+|[✅✓✔☑]")
ITEM_MARK = re.compile(r"(?:[-•+>#]+ |\[[x ]\] |\d+[.)] )+")  # of a list item or a heading
UNKNOWN_CELL = re.compile(r"\|\s*\?+\s*(?=\|)")
TITLES = ("Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Professor", "Colonel", "Madame", "Captain", "Lord", "Lady", "Sir")
NAME_AFTER = re.compile(r" (?!(?:And|At|In|The|Is|Was|AM|PM|NOT)\b)[A-Z][a-z]+")


@dataclass(frozen=True)
class Assertion:
    """That `statement` holds, or that it does not."""

    statement: Clue
    holds: bool = True


@dataclass(frozen=True)
class Sentence:
    """A sentence that names something: what it asserts, and what became of it.

    Attributes:
        start, end: of its line in the text.
        fate: "read", "aside" (it asserts nothing) or "unread" (not all of it, though what was read of it counts).
    """

    start: int
    end: int
    assertions: tuple[Assertion, ...]
    fate: str


def read(text: str, setting: Setting, clues: frozenset[Clue] = frozenset()) -> list[Sentence]:
    """The sentences of a text that name something of the puzzle, in order.

    Args:
        clues: statements that the prompt makes itself: said again, they are no assertions.
    """
    return _Reading(_reader(setting, clues), text).sentences


def plain(statement: Clue) -> Clue:
    """One of all statements that say the same by symmetry."""
    match statement:
        case Or(a, b) | Iff(a, b):
            return type(statement)(*sorted((a, b), key=repr))
        case SameRoom(who, other, time):
            return SameRoom(*sorted((who, other)), time)
        case Together(who, other, room):
            return Together(*sorted((who, other)), room)
        case Beside(who, "south" | "east" as way, other, time):
            return Beside(other, "north" if way == "south" else "west", who, time)
    return statement


def _keys(assertions: tuple[Assertion, ...]) -> frozenset[tuple[Clue, bool]]:
    return frozenset((plain(a.statement), a.holds) for a in assertions)


def _clash(a: Assertion, b: Assertion) -> bool:
    """Whether both cannot hold, as whoever says "but" between them means."""
    one, other = a.statement, b.statement
    if isinstance(one, At) and isinstance(other, At) and a.holds and b.holds:
        return (one.who, one.time) == (other.who, other.time) and one.room != other.room
    return opposite(a) == (plain(other), b.holds)


def opposite(assertion: Assertion) -> tuple[Clue, bool]:
    return plain(assertion.statement), not assertion.holds


# ---------------------------------------------------------------- a text: what is supposed, taken back, in lists and tables


@dataclass
class _Supposition:
    """What is supposed, from which sentence on, under a heading of what level; an `alternative` ends with the next one."""

    assertions: frozenset[tuple[Clue, bool]]
    start: int
    level: int
    alternative: bool
    splits: bool
    line: int


class _Reading:
    """One pass over a text."""

    def __init__(self, reader: _Reader, text: str):
        self.reader = reader
        self.sentences: list[Sentence] = []
        self.standing: list[int] = []  # those of them that have not been taken back: each can be only once
        self.supposed: list[_Supposition] = []  # those that are open, the innermost last
        self.contradicted, self.refuted = False, 0  # the innermost of them, and in which line
        self.doubted = self.unsure = False  # the last sentence, and so what spells it out, or even what follows from it
        self.condition: frozenset[tuple[Clue, bool]] = frozenset()  # of the last "if"
        self.conditional = False  # the rest of a line that begins with "if"
        self.block = self.before = self.chain = 0  # first sentences: of a paragraph, of the one before, of a train of thought
        self.level = 0  # of the heading above
        self.fenced = False  # in a block of code
        self.span = (0, 0)  # of the line
        self.context = ""  # of the items of a list: the time that the line above names, or "aside"
        self.listed = False  # there were items since then, or a blank line
        self.owner: tuple[int, bool] | None = None  # the item above them, if it is one
        self.header: list[str] | None = None  # of a table
        for line in text.splitlines(keepends=True):
            self.span = (self.span[1], self.span[1] + len(line))
            if not line.strip():
                self.pause()
                continue
            if line.lstrip().startswith("```"):
                self.fenced = not self.fenced
            bare = MARKDOWN.sub("", BULLET.sub("- ", STRUCK.sub("", line)))
            self.line(reader.mask(bare).strip(), len(line) - len(line.lstrip()))

    def line(self, line: str, indent: int) -> None:
        if grammar.FINAL.match(line):
            self.supposed.clear()
        elif heading := grammar.HEADING.match(line):
            self.head(len(heading["level"] or "") or LOWEST)
        if line.startswith("|"):
            return self.row(line)
        self.header = None
        mark = ITEM_MARK.match(line)
        body = line[mark.end() :] if mark else line
        self.conditional &= not mark
        if mark:
            self.end()
        if not body or grammar.ANSWER_LINE.fullmatch(body):
            return
        times = re.findall(r"<T\d+>", body)
        aside = grammar.HEADS.search(body) and any(
            pattern.search(body) for pattern in (grammar.ASIDE, grammar.OPENS, grammar.REJECTS, grammar.LISTS)
        )
        if re.fullmatch(r"(?:at )?<T\d+>", body) or (body.endswith(":") and len(times) == body.count("<") == 1 and not aside):
            self.context = times[0]
            return
        self.head_list(mark and (indent, mark[0].strip()[0].isdigit()), bool(aside))
        aside = self.fenced or self.context == "aside" or grammar.CROSSED.search(line)
        context = "aside" if aside or grammar.LETTERED.match(line) else self.context if mark else ""
        sentences = SENTENCE.findall(body)
        if len(sentences) > 1 and grammar.LABEL.match(body) and not grammar.FOLLOWS.match(sentences[1].strip()):
            sentences[0] = f"case: {sentences[0]}"
        for sentence in sentences:
            self.sentence(sentence.strip(), context)
        self.conditional = bool(grammar.GOES_ON.search(body)) and (self.conditional or self.doubted)

    def head_list(self, rank: tuple[int, bool] | None, aside: bool) -> None:
        """Whether a line heads a list of what is set aside, is in one, or ends it. An item's `rank` is its indent and kind."""
        if rank is None and (
            aside or self.context != "aside" or self.listed
        ):  # else a list without marks, right below its head
            self.context, self.owner = "aside" if aside else "", None
        elif rank and aside and self.context != "aside":
            self.context, self.owner = "aside", rank
        elif rank and self.owner and rank[1] == self.owner[1] and rank[0] <= self.owner[0]:
            if self.listed:  # the next item after that head
                self.context, self.owner = "aside" if aside else "", rank if aside else None
            else:  # a flat list
                self.owner = None
        self.listed = not aside and (rank is not None or (self.listed and self.context == "aside"))

    def pause(self) -> None:
        """A blank line, or a heading."""
        self.listed = True
        self.end()
        if self.block < len(self.sentences):
            self.before, self.block = self.block, len(self.sentences)

    def end(self) -> None:
        """A line that supposed something and ended in a contradiction is over, and so is what it supposed."""
        if self.contradicted and not (self.supposed and (self.supposed[-1].splits or self.supposed[-1].line != self.refuted)):
            self.settle()

    def head(self, level: int) -> None:
        """A heading closes what was supposed under one of its level."""
        self.pause()
        while self.supposed and self.supposed[-1].level >= level:
            self.supposed.pop()
        self.level = level

    def settle(self) -> None:
        """The innermost supposition is over."""
        self.contradicted = False
        if self.supposed:
            self.supposed.pop()

    def add(self, assertions: tuple[Assertion, ...], fate: str, follows: bool = False) -> None:
        if not follows:
            self.chain = len(self.sentences)
        self.standing.append(len(self.sentences))
        self.sentences.append(Sentence(*self.span, assertions, fate))

    def take_back(self, start: int) -> None:
        """What was asserted since then does not count, though not what was said before the supposition that is open."""
        start = max(start, self.supposed[-1].start) if self.supposed else start
        while self.standing and self.standing[-1] >= start:
            i = self.standing.pop()
            said = self.sentences[i]
            self.sentences[i] = Sentence(said.start, said.end, (), "aside")
        self.chain = len(self.sentences)
        if start <= self.block:
            self.block = self.before = len(self.sentences)

    def sentence(self, sentence: str, context: str) -> None:
        said = self.reader.said(sentence)
        if said.corrects and not (said.would and self.denied()):
            self.take_back(self.chain)
        if said.closes:
            self.supposed.clear()
        if said.discharges and self.supposed:
            self.settle()
        elif said.supposed is not None:
            if self.contradicted or said.instead or (said.alternative and self.supposed and self.supposed[-1].alternative):
                self.settle()
            start = len(self.sentences)
            self.supposed.append(_Supposition(said.supposed, start, self.level, said.alternative, said.splits, self.span[0]))
        if said.rejects and not (self.doubted or (said.would and self.denied())):
            self.take_back(self.block if self.block < len(self.sentences) else self.before)
        if said.contradicts:
            self.contradicted, self.refuted = True, self.span[0]
        if said.rejects or said.corrects:
            self.doubted = self.unsure = self.conditional = False
        self.conditional = (self.conditional and not said.resumes) or said.conditional
        if not said.fate:
            return
        hangs = self.conditional or (self.doubted and said.spells_out) or (self.unsure and said.follows)
        if hangs and said.follows and said.asserted and all(opposite(a) in self.condition for a in said.asserted):
            hangs = self.conditional = False  # "If X, …. So not X"
        self.condition = said.condition or self.condition
        self.doubted, self.unsure = said.doubted or hangs or context == "aside", said.unsure or hangs
        asserted, fate = said.asserted, said.fate
        if context and context != "aside":
            listed = self.reader.said(f"{context}: {sentence}")
            asserted, fate = listed.asserted, listed.fate
        if said.supposed is not None or context == "aside" or hangs:
            return self.add((), "aside", said.follows or said.spells_out)
        if self.supposed:
            return self.add(self.concluded(asserted, said.concludes), "aside", said.follows or said.spells_out)
        if said.but and self.sentences and any(_clash(a, b) for a in self.sentences[-1].assertions for b in asserted):
            self.take_back(self.chain)
        fresh = self.reader.fresh(asserted)
        self.add(fresh, "aside" if fate == "read" and not fresh else fate, said.follows or said.spells_out)

    def denied(self) -> bool:
        """Whether the last sentence only denied: then what "would" be impossible is the reason."""
        last = self.sentences[-1].assertions if self.sentences else ()
        return bool(last) and not any(a.holds for a in last)

    def concluded(self, asserted: tuple[Assertion, ...], concludes: bool) -> tuple[Assertion, ...]:
        """What leaves a supposition and closes it, by two of three: a contradiction before, a "so", that it is the opposite."""
        negation = tuple(a for a in asserted if opposite(a) in self.supposed[-1].assertions)
        if not asserted or self.contradicted + bool(negation) + concludes < 2:
            return ()
        self.settle()
        return () if self.supposed else negation or asserted

    def row(self, line: str) -> None:
        """A row of a table: a piece against times, a time against pieces, or a suspect and a motive."""
        line = UNKNOWN_CELL.sub("|", line)
        aside = len(line) > LONGEST or grammar.ASIDE.search(line) or grammar.OPENS.search(line) or grammar.REJECTS.search(line)
        cells = [cell.strip() for cell in line.strip("|").split("|")] if not aside else []
        if self.header is None:
            self.header = cells
            return
        found, whole = [], True
        for head, cell in zip(self.header[1:], cells[1:], strict=False):
            clause = self.reader.cell(cells[0], head, cell)
            whole &= clause is not None or "<" not in cell
            found += clause or []
        if "<" in line:
            fresh = self.reader.fresh(found) if whole and not (self.supposed or self.fenced or self.context == "aside") else ()
            self.add(fresh, "read" if fresh else "aside" if whole else "unread")


# ---------------------------------------------------------------- a sentence, and its clauses


@dataclass(frozen=True)
class _Said:
    """A sentence by itself.

    Attributes:
        asserted: without what it rejects itself, or asserts only under a condition.
        fate: "read", "unread", or "" if it names nothing.
        supposed: what it supposes, if it opens a supposition; `alternative`: one of several.
        corrects, rejects: it takes back what was said before, as a slip or because it cannot be.
        contradicts, concludes, discharges, closes: the steps by which a supposition ends.
        follows, resumes: whether it hangs on the sentence before, or stands for itself.
        doubted, unsure, conditional, would, but: whether it is asserted at all, and what it leaves of the sentence before.
    """

    asserted: tuple[Assertion, ...]
    fate: str
    supposed: frozenset[tuple[Clue, bool]] | None
    condition: frozenset[tuple[Clue, bool]]
    alternative: bool
    splits: bool
    instead: bool
    corrects: bool
    rejects: bool
    contradicts: bool
    concludes: bool
    discharges: bool
    closes: bool
    follows: bool
    spells_out: bool
    resumes: bool
    doubted: bool
    unsure: bool
    conditional: bool
    would: bool
    but: bool


class _Reader:
    """Reads the sentences of one puzzle, each of them once."""

    def __init__(self, setting: Setting, clues: frozenset[Clue]):
        self.setting, self.given = setting, frozenset(map(plain, clues))
        kinds = {"S": setting.suspects, "W": setting.weapons, "B": (BODDY,), "R": setting.rooms, "M": setting.motive_names}
        self.names = {f"<{kind}{i}>": name for kind, names in kinds.items() for i, name in enumerate(names)}
        self.names |= {f"<T{i}>": time for i, time in enumerate(setting.times)}
        self.pattern, self.marks = _names(setting)
        self.known: dict[str, _Said] = {}  # sentences repeat over the samples of a puzzle

    def mask(self, line: str) -> str:
        """A line in lower case, with a mark for each name."""
        pieces, last = [], 0
        for match in self.pattern.finditer(line):
            mark = self.marks[" ".join(match[0].replace(".", "").upper().split())]
            pieces += [_lower(line[last : match.start()]), "<?>" if _of_a_longer_name(line, match) else mark]
            last = match.end()
        return grammar.ABBREVIATED.sub(r"\1", "".join([*pieces, _lower(line[last:])]))

    def fresh(self, asserted: tuple[Assertion, ...]) -> tuple[Assertion, ...]:
        """Without what a clue says already."""
        return tuple(a for a in asserted if not (a.holds and plain(a.statement) in self.given))

    def said(self, sentence: str) -> _Said:
        """What a sentence is, whatever stands around it."""
        if len(sentence) > LONGEST:  # too long to be read: how it begins and ends
            sentence = f"{sentence[: LONGEST // 2]}{TOO_LONG}{sentence[-LONGEST // 2 :]}"
        if sentence not in self.known:
            if len(self.known) > 10_000:
                self.known.clear()
            self.known[sentence] = self._said(sentence)
        return self.known[sentence]

    def _said(self, sentence: str) -> _Said:
        if "'" in sentence:
            for pattern, new in grammar.SHORT:
                sentence = pattern.sub(new, sentence)
        if corrects := grammar.CORRECTS.match(sentence):
            sentence = sentence[corrects.end() :]
        if closes := grammar.CLOSES.match(sentence):
            sentence = sentence[closes.end() :]
        conditional, aside = grammar.IF.match(sentence), grammar.ASIDE.search(sentence)
        doubted = aside and grammar.DOUBTED.search(sentence)
        rejects, rest, before, refuted = bool(grammar.REJECTS.search(sentence)), sentence, False, False
        if rejects:
            rest, before, refuted = self.rejected(sentence)
        discharges = rejects and grammar.DISCHARGES.search(sentence)
        opens = None if discharges else grammar.SUPPOSING.search(sentence)
        supposed = asserted = condition = ()
        if conditional:
            condition, _ = self.clauses(grammar.CONDITION.match(sentence, conditional.end())[0])
        whole = True
        if opens:
            supposed, _ = self.clauses(sentence[opens.end() :])
        elif TOO_LONG in sentence:
            whole = False
        elif rest and "<" in rest:
            asserted, whole = self.clauses(rest)
        unread = not whole and (asserted or not aside)
        return _Said(
            asserted=asserted,
            fate="" if "<" not in sentence else "unread" if unread else "read",
            supposed=_keys(supposed) if opens else None,
            condition=_keys(condition),
            alternative=bool(opens and grammar.ALTERNATIVE.search(sentence)),
            splits=bool(opens and grammar.SPLITS.search(sentence)),
            instead=bool(opens and grammar.INSTEAD.search(sentence)),
            corrects=bool(corrects or grammar.WITHDRAWS.search(sentence)),
            closes=bool(closes),
            rejects=before and not conditional,
            contradicts=refuted and not conditional and "?" not in sentence,
            discharges=bool(discharges),
            concludes=bool(grammar.CONCLUDES.search(sentence)),
            follows=bool(grammar.FOLLOWS.match(sentence)),
            spells_out=bool(grammar.SPELLS_OUT.match(sentence)),
            doubted=bool(doubted),
            unsure=bool(doubted and grammar.UNSURE.search(sentence)),
            conditional=bool((conditional and " would " not in sentence) or grammar.ANNOUNCES.search(sentence)),
            resumes=bool(grammar.RESUMES.match(sentence)),
            would=" would " in sentence and not grammar.BUT.match(sentence),
            but=bool(grammar.BUT.match(sentence)),
        )

    def rejected(self, sentence: str) -> tuple[str, bool, bool]:
        """What of a sentence is not rejected in it, whether it rejects what was said before, and whether that is refuted."""
        bare = sentence
        for harmless in (grammar.DENIES, grammar.HARMLESS):
            bare = harmless.sub(lambda match: " " * len(match[0]), bare)
        edges = [(0, ""), *((edge.end(), edge[0]) for edge in grammar.BOUNDARY.finditer(bare))]
        last, before, refuted, i = -1, False, False, 0
        for match in grammar.REJECTS.finditer(bare):
            while i + 1 < len(edges) and edges[i + 1][0] <= match.start():
                i += 1
            start, edge = edges[i]
            if edge in grammar.REASONS:
                continue
            last = match.end()
            named = "<" in bare[: match.start()]
            own = "<" in bare[start : match.start()]
            reaches = (match["breaks"] and " not " not in bare) or grammar.SPELLS_OUT.match(bare)
            before |= not own and (not named or bool(reaches))
            refuted |= not own or bool(match["breaks"])
        if last < 0:
            return sentence, False, False
        after = grammar.AFTER.search(sentence, last)
        return sentence[after.start() :] if after else "", before, refuted

    def clauses(self, sentence: str) -> tuple[tuple[Assertion, ...], bool]:
        """What a sentence asserts, clause by clause, and whether all clauses that name something have a known form."""
        if not self.may_be_read(sentence) or grammar.IN_BRACKETS.search(sentence):
            return (), False
        aside = grammar.ASIDE.search(sentence)
        if aside and grammar.DOUBTED.search(sentence):
            return (), False
        if grammar.ANY_REWORDED.search(sentence):
            for pattern, new in grammar.REWORDED:
                sentence = pattern.sub(new, sentence)
            aside = grammar.ASIDE.search(sentence)
        if aside:
            return (), False
        for way in (self.clause, self.listed):
            if (found := way(sentence)) is not None:
                return tuple(found), True
        found, whole = [], True
        ahead = " and " in sentence and grammar.AHEAD.match(sentence)
        if len(parts := grammar.JOINTS.split(sentence)) == 1 and not ahead:
            return (), False
        for clause in filter(None, parts):
            if "<" in clause:
                part = self.clause(f"{clause.rstrip(' .!')} at {ahead[1]}" if ahead and "<T" not in clause else clause)
                whole &= part is not None
                found += part or []
        return tuple(found), whole

    def cell(self, label: str, head: str, cell: str) -> list[Assertion] | None:
        """What a cell of a table asserts under the head of its column, in the row of a label."""
        for piece, time in ((label, head), (head, label)):
            if (
                re.fullmatch(r"(?:the )?<[SWB]\d+>", piece)
                and re.fullmatch(r"<T\d+>", time)
                and re.fullmatch(r"(?:the )?<R\d+>", cell)
            ):
                return self.clause(f"{piece} was in {cell} at {time}")
        if re.fullmatch(r"<S\d+>", label) and "motive" in head and re.fullmatch(r"<M\d+>", cell):
            return self.clause(f"{label} is motivated by {cell}")
        return None

    def listed(self, sentence: str) -> list[Assertion] | None:
        """A time, and after it where each of several pieces was."""
        match = grammar.LISTED.fullmatch(sentence)
        if not match:
            return None
        items = [grammar.LISTED_ITEM.fullmatch(item) for item in re.split(r"[,;] (?:and )?", match["items"])]
        if not all(items):
            return None
        return [*chain(*(self.clause(f"{i['piece']} was in {i['room']} at {match['time']}") or [] for i in items))]

    def may_be_read(self, clause: str) -> bool:
        """Whether a clause names enough for a statement: the first thing to ask, since short clauses are many."""
        names = clause.count("<")
        return len(clause) <= SPARSE * names and (names > 1 or bool(grammar.OF_ONE_NAME.search(clause)))

    def clause(self, clause: str) -> list[Assertion] | None:
        """What a clause asserts; None if it has no known form."""
        if not self.may_be_read(clause):
            return None
        clause = clause.strip(" .!,;:-")
        while lead := grammar.LEADS.match(clause):
            clause = clause[lead.end() :]
        if denied := grammar.DENIES.match(clause):
            clause = clause[denied.end() :]
        clause = " ".join(grammar.ADVERBS.sub("", clause).split()).strip(" .!,;:")
        if so := grammar.SO_WAS.fullmatch(clause):  # and so was the Rope
            found = self.placed(so["first"])
            if not found or len({(a.statement.room, a.statement.time, a.holds) for a in found}) > 1:
                return None
            like, others = found[0], self.all_pieces(so["pieces"])
            return [*found, *(replace(like, statement=replace(like.statement, who=who)) for who in others)]
        found = self.joined(clause) if " or " in clause or " if and only if " in clause else self.placed(clause)
        if found is None:
            found = self.formed(grammar.TIME_FIRST.sub(r"\2 at \1", clause))
        if denied and found is not None:
            return [Assertion(found[0].statement, not found[0].holds)] if len(found) == 1 else None
        return found

    def joined(self, clause: str) -> list[Assertion] | None:
        """Two statements of where somebody was, joined by "or" or "if and only if"; nothing if they are the same."""
        kind, connective = (Iff, " if and only if ") if " if and only if " in clause else (Or, " or ")
        first, _, second = clause.removeprefix("either ").partition(connective)
        if kind is Or and (short := grammar.EITHER.fullmatch(clause)):
            subject = short["subject"].replace("either ", "")
            first, second = (
                f"{subject}{place if place.startswith(('in ', 'at ')) else f'in {place}'}{short['when']}"
                for place in (short["first"], short["second"])
            )
        sides = self.placed(first), self.placed(second)
        if not all(side and len(side) == 1 and side[0].holds for side in sides):
            return None
        a, b = sides[0][0].statement, sides[1][0].statement
        return [Assertion(kind(a, b))] if a != b else []

    def placed(self, clause: str) -> list[Assertion] | None:
        """Where somebody was: a statement for each subject, place and time."""
        match = grammar.SUBJECT.match(clause)
        if not match:
            return None
        only = self.setting.times if len(self.setting.times) == 1 else []
        ahead = self.all_names(match["first"] or match["middle"] or match["late"]) or only
        items, waiting, end = [], [], match.end()  # a place without a time has that of the next one
        while item := grammar.PLACE.match(clause, end):
            end = item.end()
            waiting.append((bool(item["not"]), self.name(item["room"])))
            if times := self.all_names(item["times"]) or self.all_names(item["ahead"]) or ahead:
                items += [(no, room, time) for no, room in waiting for time in times]
                waiting = []
        subjects = self.all_pieces(match["pieces"])
        if end < len(clause) or waiting or not items or len(items) * len(subjects) > MOST:
            return None
        denied = bool(match["no"] or match["neither"])
        return [Assertion(At(who, room, time), not (denied or no)) for who in subjects for no, room, time in items]

    def formed(self, clause: str) -> list[Assertion] | None:
        """One of the other forms."""
        if not grammar.ANY_FORM.fullmatch(clause):
            return None
        for kind, form in grammar.FORMS:
            if match := form.fullmatch(clause):
                groups = {name: value for name, value in match.groupdict().items() if value}
                denied = bool(groups.pop("no", None)) != (kind == "not the murderer")
                statements = self.statements(kind, groups)
                if statements is None or (denied and len(statements) > 1):  # not all of it: but which part is not?
                    return None
                return [Assertion(statement, not denied) for statement in statements]
        if several := grammar.NO_MOTIVES.fullmatch(clause):
            return [Assertion(Motivated(self.name(several[1]), motive), False) for motive in self.all_names(several[2])]
        if neither := grammar.NEITHER.fullmatch(clause):
            found = [self.formed(f"{who} was {neither[3]}") for who in (neither[1], neither[2])]
            if all(some and len(some) == 1 for some in found):
                return [Assertion(a.statement, not a.holds) for a in chain(*found)]
        return None

    def statements(self, kind: str, groups: dict[str, str]) -> list[Clue] | None:
        """The statements of a form; None if it leaves open what they need, such as a time."""
        s = self.setting
        of = {name: self.name(phrase) for name, phrase in groups.items() if name not in ("pieces", "when", "way")}
        (time,) = self.all_names(groups.get("when")) or (s.times if len(s.times) == 1 else (None,))
        pieces = self.all_pieces(groups.get("pieces", ""))
        if kind in ("at", "arrived", "brought", "same room", "same room as", "moved", "carried", "beside") and time is None:
            return None
        match kind:
            case "at":
                return [At(of["who"], of["room"], time)]
            case "arrived" if time != s.times[0]:
                return [At(of["who"], of["room"], time)]
            case "brought" if time != s.times[0]:
                return [At(of["who"], of["room"], time), At(of["weapon"], of["room"], time)]
            case "same room":
                return [SameRoom(*pair, time)] if (pair := self.pair(pieces)) else None
            case "same room as":
                if of["who"] == of["other"]:
                    return []
                return [SameRoom(*pair, time)] if (pair := self.pair([of["who"], of["other"]])) else None
            case "together":
                return [Together(*pair, of["place"])] if (pair := self.pair(pieces or [of["who"], of["other"]])) else None
            case "beside" if {of["who"], of["other"]} <= set(s.pieces):
                return [Beside(of["who"], groups["way"], of["other"], time)]
            case "moved" if time != s.times[0]:
                return [Moved(of["who"], of["origin"], of["destination"], time)]
            case "carried" if time != s.times[0]:
                return [Carried(of["who"], of["weapon"], of["origin"], of["destination"], time)]
            case "motivated":
                return [Motivated(of["suspect"], of["motive"])]
            case "murderer" | "not the murderer":
                return [self.murderer(groups["value"])]
            case "weapon" | "room" | "time" | "motive" if of["value"] != MURDER_WEAPON:
                return [Murder(kind, of["value"])]
            case "murder":
                by = [self.murderer(groups["by"])] if "by" in groups else []
                said = {"weapon": of.get("weapon"), "room": of.get("place"), "time": of.get("time")}
                return (
                    by + [Murder(aspect, value) for aspect, value in said.items() if value not in (None, MURDER_WEAPON)] or None
                )
        return None

    def pair(self, pieces: list[str]) -> list[str] | None:
        """Two pieces of a statement about both, of which only the first may be one that the detective has to find out."""
        if len(set(pieces)) != 2 or len(pieces) != 2 or set(pieces).isdisjoint(self.setting.pieces):
            return None
        return sorted(pieces, key=self.setting.pieces.__contains__)

    def murderer(self, phrase: str) -> Murder:
        return Murder("murderer" if phrase.startswith("<S") else "motive", self.name(phrase))

    def name(self, phrase: str) -> str:
        """The name that a phrase stands for."""
        mark = re.search(r"<[A-Z]\d+>", phrase)
        return self.names[mark[0]] if mark else MURDER_WEAPON if "weapon" in phrase else MURDERER

    def all_pieces(self, phrase: str) -> list[str]:
        return [self.name(piece[0]) for piece in grammar.A_PIECE.finditer(phrase)]

    def all_names(self, phrase: str | None) -> list[str]:
        return [self.names[mark] for mark in re.findall(r"<[A-Z]\d+>", phrase or "")]


@lru_cache(maxsize=64)  # the puzzles of a generation batch
def _reader(setting: Setting, clues: frozenset[Clue]) -> _Reader:
    return _Reader(setting, clues)


@lru_cache(maxsize=256)
def _names(setting: Setting) -> tuple[re.Pattern, dict[str, str]]:
    """A pattern of everything that has a name, and the mark of each name in capitals without dots."""
    marks: dict[str, str] = {}
    for kind, names in (
        ("W", setting.weapons),
        ("R", setting.rooms),
        ("M", setting.motive_names),
        ("S", setting.suspects),
        ("B", (BODDY,)),
    ):
        for i, name in enumerate(names):
            marks[" ".join(name.replace(".", "").upper().split())] = f"<{kind}{i}>"
    taken = set(marks)
    surnames = [name.split()[-1].upper() for name in setting.suspects]
    for i, name in enumerate(setting.suspects):
        title, _, surname = name.replace(".", "").upper().rpartition(" ")
        if surname not in taken and surnames.count(surname) == 1:
            marks[surname] = f"<S{i}>"
        if title == "PROFESSOR":
            marks[f"PROF {surname}"] = f"<S{i}>"
    marks |= {"BODDY": "<B0>", "THE VICTIM": "<B0>"}
    words = [r"\.?\s+".join(map(re.escape, name.split())) for name in sorted(marks, key=len, reverse=True)]
    clocks = []
    for i, time in enumerate(setting.times):  # also as 1:00am, or 1:00 a.m.
        clock, _, half = time.partition(" ")
        for hour in (clock, clock.removeprefix("0")):
            for written in (f"{hour} {half}", f"{hour}{half}"):
                marks[written.upper()] = f"<T{i}>"
        clocks.append(rf"{re.sub('^0', '0?', clock)}\s?{half[:1]}\.?{half[1:]}\b")
    return re.compile(rf"(?<![\w:-])(?:{'|'.join(clocks + words)})(?![\w-])", re.IGNORECASE), marks


def _of_a_longer_name(line: str, match: re.Match) -> bool:
    """Whether a title before or a capitalised word after makes another name of it: Mr. White for Mrs. White, or Green Room."""
    before = line[max(0, match.start() - 12) : match.start()].rstrip(" .")
    return before.endswith(TITLES) or bool(NAME_AFTER.match(line, match.end()))


def _lower(text: str) -> str:
    return text.lower().replace("<", "(").replace("’", "'")
