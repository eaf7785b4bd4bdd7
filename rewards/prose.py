"""What free text asserts about a night: statements read from a model's own words. Precision before recall.

A clause is read only if all of it has a known form, once names are recognised (in full, without the title or its dot, a
suspect by the surname), markdown is gone, and lead-ins such as "So", "Therefore", "From clue 3 it follows that".
`rewards/grammar.py` has the forms:

    SUBJECT VERB in/at the ROOM at TIME       several subjects, rooms and times; the time may come first
    SUBJECT VERB either in the ROOM or in the ROOM at TIME
    every sentence of puzzles/english.py, and: shared a room, directly north of, took the WEAPON from … to …
    SUSPECT killed Mr. Boddy in the ROOM with the WEAPON at TIME, and parts of it; the murderer/murder weapon/room … is …
    SUSPECT's motive is MOTIVE, SUSPECT has MOTIVE, SUSPECT = MOTIVE
    TIME: SUSPECT - ROOM, WEAPON - ROOM; a line with a time, and below it a line for each piece; tables of pieces against times

    SUBJECT  a piece, the murderer, the murder weapon, the suspect motivated by MOTIVE; joined by "and", or by "neither … nor"
    VERB     was, is, must be, has to have been, can only be …; denied: was not, cannot be, could not have been …

Joints (so, because, which means, but, and, semicolons) part a sentence into clauses that are read one by one. "There is no
way that", "we can rule out that" and the like deny.

Set aside are sentences that assert nothing: hedges, questions, plans, quotations, what others say, what is taken back;
conditions and what hangs on them; whatever follows "suppose", "assume", "case 1" …, until a contradiction lets its negation be
stated or something be concluded, or "in both cases" ends it. What names something and is neither read nor set aside counts as
unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Setting
from rewards import grammar

LONGEST = 1_000  # characters of a sentence; a longer one is set aside
SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?=\S)[^.!?]*)*[.!?]*")
MARKDOWN = re.compile(r"[*_`]+|[✅✓✔☑❌]")
ITEM_MARK = re.compile(r"(?:[-•+>#]+ |\[[x ]\] |\d+[.)] )+")  # of a list item or a heading
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
    return statement


def opposed(a: Assertion, b: Assertion) -> bool:
    """Whether one denies what the other asserts."""
    return a.holds != b.holds and plain(a.statement) == plain(b.statement)


# ---------------------------------------------------------------- a text: what is supposed, taken back, in lists and tables


class _Reading:
    """One pass over a text."""

    def __init__(self, reader: _Reader, text: str):
        self.reader = reader
        self.sentences: list[Sentence] = []
        self.supposed: list[list[Assertion]] = []  # one for each supposition that is open, the innermost last
        self.contradicted = False
        self.span = (0, 0)  # of the line
        self.context = ""  # of the items of a list: the time that the line above names, or "aside"
        self.header: list[str] | None = None  # of a table
        for line in text.splitlines(keepends=True):
            self.span = (self.span[1], self.span[1] + len(line))
            self.line(reader.mask(MARKDOWN.sub("", line)).strip())

    def line(self, line: str) -> None:
        if line.startswith("|"):
            return self.row([cell.strip() for cell in line.strip("|").split("|")])
        self.header = None
        mark = ITEM_MARK.match(line)
        body = line[mark.end() :] if mark else line
        # A paragraph or an item that ended in a contradiction is over, and so is what was supposed before a heading.
        if (self.contradicted and (mark or not body)) or line.startswith("#") or re.match(r"(?:step|part) \d", line):
            self.supposed.clear()
        if not body or grammar.ANSWER_LINE.fullmatch(body):
            return
        times = re.findall(r"<T\d+>", body)
        aside = body.endswith(":") and grammar.ASIDE.search(body)
        if re.fullmatch(r"(?:at )?<T\d+>", body) or (body.endswith(":") and len(times) == body.count("<") == 1 and not aside):
            self.context = times[0]
            return
        if not mark:
            self.context = "aside" if aside else ""
        for sentence in SENTENCE.findall(body):
            self.sentence(sentence.strip(), self.context if mark else "")

    def add(self, assertions: list[Assertion], fate: str) -> None:
        self.sentences.append(Sentence(*self.span, tuple(assertions), fate))

    def sentence(self, sentence: str, context: str) -> None:
        if correction := grammar.CORRECTS.match(sentence):
            self.take_back()
            sentence = sentence[correction.end() :]
        if grammar.WITHDRAWS.search(sentence):
            self.take_back()
        if grammar.CONTRADICTS.search(sentence):
            self.contradicted = True
        if closing := grammar.CLOSES.match(sentence):
            self.supposed.clear()
            sentence = sentence[closing.end() :]
        if opens := grammar.OPENS.search(sentence):
            if grammar.ALTERNATIVE.search(sentence):
                self.supposed.clear()
            self.contradicted = False
            self.supposed.append(self.reader.clauses(grammar.SUPPOSING.sub("", sentence))[0])
        if "<" not in sentence:
            return
        if opens or context == "aside" or len(sentence) > LONGEST:
            return self.add([], "aside")
        asserted, whole = self.reader.clauses(f"{context}: {sentence}" if context else sentence)
        if self.supposed:
            return self.add(self.concluded(asserted, sentence), "aside")
        fresh = self.reader.fresh(asserted)
        if not whole and (asserted or not grammar.ASIDE.search(sentence)):
            return self.add(fresh, "unread")
        self.add(fresh, "read" if fresh else "aside")

    def concluded(self, asserted: list[Assertion], sentence: str) -> list[Assertion]:
        """Within a supposition, after a contradiction: its negation, or what a "so" concludes from it. That closes it."""
        negation = [a for a in asserted if any(opposed(a, b) for b in self.supposed[-1])]
        if not (self.contradicted and asserted and (negation or grammar.CONCLUDES.search(sentence))):
            return []
        self.supposed.pop()
        self.contradicted = False
        return [] if self.supposed else negation or asserted

    def take_back(self) -> None:
        """What the last sentence asserted does not count."""
        if self.sentences:
            last = self.sentences[-1]
            self.sentences[-1] = Sentence(last.start, last.end, (), "aside")

    def row(self, cells: list[str]) -> None:
        """A row of a table: a piece against times, a time against pieces, or a suspect and a motive."""
        if self.header is None:
            self.header = cells
            return
        found, whole = [], True
        for head, cell in zip(self.header[1:], cells[1:], strict=False):
            clause = self.reader.cell(cells[0], head, cell)
            whole &= clause is not None or "<" not in cell
            found += clause or []
        if "<" in "".join(cells):
            fresh = [] if self.supposed or not whole else self.reader.fresh(found)
            self.add(fresh, "read" if fresh else "aside" if whole else "unread")


# ---------------------------------------------------------------- a sentence, and its clauses


class _Reader:
    """Reads the sentences of one puzzle, each of them once."""

    def __init__(self, setting: Setting, clues: frozenset[Clue]):
        self.setting, self.given = setting, frozenset(map(plain, clues))
        kinds = {"S": setting.suspects, "W": setting.weapons, "B": (BODDY,), "R": setting.rooms, "M": setting.motive_names}
        self.names = {f"<{kind}{i}>": name for kind, names in kinds.items() for i, name in enumerate(names)}
        self.names |= {f"<T{i}>": time for i, time in enumerate(setting.times)}
        self.pattern, self.marks = _names(setting)
        self.known: dict[str, tuple[list[Assertion], bool]] = {}  # sentences repeat over the samples of a puzzle

    def mask(self, line: str) -> str:
        """A line in lower case, with a mark for each name."""
        pieces, last = [], 0
        for match in self.pattern.finditer(line):
            mark = self.marks[" ".join(match[0].replace(".", "").upper().split())]
            pieces += [_lower(line[last : match.start()]), "<?>" if _of_a_longer_name(line, match) else mark]
            last = match.end()
        return "".join([*pieces, _lower(line[last:])])

    def fresh(self, asserted: list[Assertion]) -> list[Assertion]:
        """Without what a clue says already."""
        return [a for a in asserted if not (a.holds and plain(a.statement) in self.given)]

    def clauses(self, sentence: str) -> tuple[list[Assertion], bool]:
        """What a sentence asserts, clause by clause, and whether all clauses that name something have a known form."""
        if sentence not in self.known:
            if len(self.known) > 10_000:
                self.known.clear()
            self.known[sentence] = self._clauses(sentence)
        return self.known[sentence]

    def _clauses(self, sentence: str) -> tuple[list[Assertion], bool]:
        for pattern, new in grammar.REWORDED:
            sentence = pattern.sub(new, sentence)
        if grammar.ASIDE.search(sentence):
            return [], False
        for way in (self.clause, self.listed):
            if (found := way(sentence)) is not None:
                return found, True
        found, whole = [], True
        ahead = re.match(r"(?:[a-z, ]+ )?at (<T\d+>),? (?=.*<[SWB]\d+>.*\band\b)", sentence)  # a time for all clauses
        for clause in filter(None, grammar.JOINTS.split(sentence)):
            if "<" in clause:
                part = self.clause(f"{clause.rstrip(' .!')} at {ahead[1]}" if ahead and "<T" not in clause else clause)
                whole &= part is not None
                found += part or []
        return found, whole

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

    def clause(self, clause: str) -> list[Assertion] | None:
        """What a clause asserts; None if it has no known form."""
        clause = clause.strip(" .!,;:-")
        while lead := grammar.LEADS.match(clause):
            clause = clause[lead.end() :]
        if denied := grammar.DENIES.match(clause):
            clause = clause[denied.end() :]
        clause = " ".join(grammar.ADVERBS.sub("", clause).split()).strip(" .!,;:")
        found = self.joined(clause) if " or " in clause or " if and only if " in clause else self.placed(clause)
        if found is None:
            found = self.formed(clause)
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
        match = grammar.PLACED.fullmatch(clause)
        if not match:
            return None
        only = self.setting.times if len(self.setting.times) == 1 else []
        ahead = self.all_names(match["first"] or match["middle"] or match["late"]) or only
        items, waiting = [], []  # a place without a time has that of the next one
        for item in grammar.ITEM.finditer(match["rest"]):
            waiting.append((bool(item["not"]), self.name(item["room"])))
            if times := self.all_names(item["times"]) or ahead:
                items += [(no, room, time) for no, room in waiting for time in times]
                waiting = []
        if waiting or not items:
            return None
        denied = bool(match["no"] or match["neither"])
        subjects = [self.name(piece[0]) for piece in re.finditer(grammar.PIECE, match["pieces"])]
        return [Assertion(At(who, room, time), not (denied or no)) for who in subjects for no, room, time in items]

    def formed(self, clause: str) -> list[Assertion] | None:
        """One of the other forms."""
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
        pieces = [self.name(piece[0]) for piece in re.finditer(grammar.PIECE, groups.get("pieces", ""))]
        if kind in ("at", "same room", "same room as", "moved", "carried", "beside") and time is None:
            return None
        match kind:
            case "at":
                return [At(of["who"], of["room"], time)]
            case "same room":
                return [SameRoom(*pieces, time)] if len(set(pieces)) == len(pieces) == 2 else None
            case "same room as":
                return [SameRoom(of["who"], of["other"], time)] if of["who"] != of["other"] else []
            case "together":
                pieces = pieces or [of["who"], of["other"]]
                return [Together(*pieces, of["place"])] if len(set(pieces)) == len(pieces) == 2 else None
            case "beside":
                return [Beside(of["who"], groups["way"], of["other"], time)]
            case "moved" if time != s.times[0]:
                return [Moved(of["who"], of["origin"], of["destination"], time)]
            case "carried" if time != s.times[0]:
                return [Carried(of["who"], of["weapon"], of["origin"], of["destination"], time)]
            case "motivated":
                return [Motivated(of["suspect"], of["motive"])]
            case "murderer" | "not the murderer":
                return [self.murderer(groups["value"])]
            case "weapon" | "room" | "time" | "motive":
                return [Murder(kind, of["value"])]
            case "murder":
                by = [self.murderer(groups["by"])] if "by" in groups else []
                said = {"weapon": of.get("weapon"), "room": of.get("place"), "time": of.get("time")}
                return by + [Murder(aspect, value) for aspect, value in said.items() if value] or None
        return None

    def murderer(self, phrase: str) -> Murder:
        return Murder("murderer" if phrase.startswith("<S") else "motive", self.name(phrase))

    def name(self, phrase: str) -> str:
        """The name that a phrase stands for."""
        mark = re.search(r"<[A-Z]\d+>", phrase)
        return self.names[mark[0]] if mark else MURDER_WEAPON if "weapon" in phrase else MURDERER

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
    for i, time in enumerate(setting.times):
        clock, _, half = time.partition(" ")
        for written in (f"{clock} {half}", f"{clock}{half}", f"{clock} {half[:1]}.{half[1:]}."):
            marks[" ".join(written.replace(".", "").upper().split())] = f"<T{i}>"
        clocks.append(rf"{clock}\s?{half[:1]}\.?{half[1:]}\b")
    return re.compile(rf"(?<![\w:-])(?:{'|'.join(clocks + words)})(?![\w-])", re.IGNORECASE), marks


def _of_a_longer_name(line: str, match: re.Match) -> bool:
    """Whether a title before or a capitalised word after makes another name of it: Mr. White for Mrs. White, or Green Room."""
    before = line[max(0, match.start() - 12) : match.start()].rstrip(" .")
    return before.endswith(TITLES) or bool(NAME_AFTER.match(line, match.end()))


def _lower(text: str) -> str:
    return text.lower().replace("<", "(").replace("’", "'")
