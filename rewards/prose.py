"""What free text asserts about a night: statements read from a model's own words. Precision before recall.

A sentence is read only if all of it has a known form, once names are recognised (in full, without the title or its dot, a
suspect by the surname), markdown is gone, and lead-ins such as "So", "Therefore", "From clue 3 it follows that" are. The forms:

    SUBJECT VERB in/at the ROOM at TIME       several subjects, rooms and times; the time may come first
    SUBJECT VERB either in the ROOM or in the ROOM at TIME
    every sentence of puzzles/english.py, and: shared a room with, directly north of, took the WEAPON from … to …
    SUSPECT killed Mr. Boddy in the ROOM with the WEAPON at TIME, and any part of it; the murderer/murder weapon/room/time/motive is …
    SUSPECT's motive is MOTIVE, SUSPECT has MOTIVE, SUSPECT = MOTIVE
    TIME: SUSPECT - ROOM, WEAPON - ROOM; a line with a time, and below it a line for each piece; tables of pieces against times

    SUBJECT  a piece, the murderer, the murder weapon, the suspect motivated by MOTIVE; joined by "and", or by "neither … nor"
    VERB     was, is, must be, has to have been, can only be …; negated: was not, cannot be, could not have been …

Joints (so, because, which means, but, and, semicolons) part a sentence into clauses that are read one by one. "There is no
way that", "we can rule out that" and the like negate.

Set aside are sentences that assert nothing: hedges, questions, plans, quotations, what others say, what is taken back; conditions
and what hangs on them; whatever follows "suppose", "assume", "case 1" …, until a contradiction allows its negation to be stated, or
"in both cases" closes it. What names something of the puzzle and is neither read nor set aside counts as unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Setting

LONGEST = 1_000  # characters of a sentence; a longer one is unread


@dataclass(frozen=True)
class Assertion:
    """That `statement` holds, or that it does not."""

    statement: Clue
    holds: bool = True


@dataclass(frozen=True)
class Sentence:
    """A sentence that names something: what it asserts, and what became of it.

    Attributes:
        start, end: of its line.
        fate: "read", "aside" (it asserts nothing) or "unread".
    """

    start: int
    end: int
    assertions: tuple[Assertion, ...]
    fate: str


# ---------------------------------------------------------------- the grammar
# Names are marks such as <S0> by now: suspects, weapons, Mr. Boddy, rooms, times, motives; <?> only looks like a name.

PIECE = r"(?:(?:the )?<[SWB]\d+>|the murderer|the murder weapon|(?:the|a) suspect motivated by <M\d+>)"
PHRASES = {
    "piece": PIECE,
    "pieces": rf"{PIECE}(?:(?:, and |, | and ){PIECE})*",
    "suspect": r"(?:<S\d+>|(?:the|a) suspect motivated by <M\d+>)",
    "plain": r"<S\d+>",
    "weapon": r"(?:the )?<W\d+>|the murder weapon",
    "room": r"(?:the )?<R\d+>",
    "place": r"(?:in|at|inside) (?:the )?<R\d+>",
    "motive": r"<M\d+>",
    "time": r"<T\d+>",
    "when": r" ?(?:at <T\d+>)?",
    "way": "north|south|east|west",
    "is": r"(?:is|was|are|were|must be|must have been|has to be|has to have been|had to be|have to be|stays|stayed|remains|remained|ended up|starts|started)",
    "not": r"(?:(?:is|was|are|were|has|have|had|must|could|did|does|do) not|cannot|never|(?:is|was|are|were) never)(?: have been| be| been)?",
    "has": r"(?:has|had|must have|has to have)",
    "did": r"(?:|must have |has to have |had to have )",
    "killed": r"(?:killed|murdered)",
    "moved": r"(?:moved|went|walked|stepped|move|go|gone)",
    "carried": r"(?:moved|carried|took|brought|carry|move|take)",
}  # fmt: skip
DID_NOT = r"(?:(?:cannot|could not|did not|must not)(?: have)? )"


def _phrase(name: str, kind: str) -> str:
    if kind:
        return f"(?P<{name}>{PHRASES[kind]})"
    if name == "is":
        return f"(?:(?P<no>{PHRASES['not']})|{PHRASES['is']})"
    if name == "did":
        return f"(?:(?P<no>{DID_NOT})|{PHRASES['did']})"
    return PHRASES[name]


# In a form, {is} stands for an affirmative or a negative verb, {did} for what may come before a past participle.
FORMS = tuple(
    (kind, re.compile(re.sub(r"\{(\w+):?(\w*)\}", lambda m: _phrase(m[1], m[2]), form)))
    for kind, form in (
        ("at", "{room:room} is where {who:piece} {is}{when:when}"),
        ("same room", "{pieces:pieces} {is} in (?:the same|one) room{when:when}"),
        ("same room", "{pieces:pieces} shared a room{when:when}"),
        ("same room of", "{who:piece} {is} (?:in the same room as|with|together with) {other:piece}{when:when}"),
        ("together", "{pieces:pieces} {is} {place:place} together(?: at least once)?"),
        ("together", "{pieces:pieces} {is} together {place:place}(?: at (?:least once|some point|some time))"),
        ("together", "{who:piece} met {other:piece} {place:place}(?: at least once)?"),
        ("moved", "{who:piece} {did}{moved} from {origin:room} to {destination:room}{when:when}"),
        ("carried", "{who:piece} {did}{carried} {weapon:weapon} from {origin:room} to {destination:room}{when:when}"),
        ("beside", "{who:piece} {is} (?:in the room )?just {way:way} of {other:piece}{when:when}"),
        ("motivated", "{suspect:suspect} {is} (?:motivated|driven) by {motive:motive}"),
        ("motivated", "{suspect:plain} {is} the suspect motivated by {motive:motive}"),
        ("motivated", "the suspect motivated by {motive:motive} {is} {suspect:plain}"),
        ("motivated", "{suspect:suspect}'s motive {is} {motive:motive}"),
        ("motivated", "the motive of {suspect:suspect} {is} {motive:motive}"),
        ("motivated", "{motive:motive} {is} {suspect:suspect}'s(?: motive)?"),
        ("motivated", "{suspect:suspect} {has} (?:the motive )?{motive:motive}"),
        ("motivated", "{suspect:plain} = {motive:motive}|{motive2:motive} = {suspect2:plain}"),
        ("murderer", "{value:suspect} {is} the murderer"),
        ("murderer", "the murderer {is} {value:suspect}"),
        ("murderer", "(?:it (?:is|was) )?{value:suspect}(?: who)? {did}(?:committed the murder|{killed} <B0>)"),
        ("murderer", "{value:suspect} {is} guilty(?: of the murder)?"),
        ("not murderer", "{value:suspect} {is} innocent(?: of the murder)?"),
        ("weapon", "{value:weapon} {is} the murder weapon"),
        ("weapon", "the murder weapon {is} {value:weapon}"),
        ("room", "{value:room} {is} the murder room"),
        ("room", "the murder room {is} {value:room}"),
        ("time", "the murder time {is} {value:time}"),
        ("motive", "the murder motive {is} {value:motive}"),
        ("motive", "the murderer {is} (?:motivated|driven) by {value:motive}"),
        ("motive", "the murderer {has} {value:motive}"),
        ("murder", "<B0> {is} {killed}(?: by {by:suspect})?(?: with {weapon:weapon})?(?: {place:place})?(?: at {time:time})?"),
        ("murder", "<B0> {is} {killed} at {time:time} {place:place}"),
        ("murder", "<B0> died(?: {place:place})?(?: at {time:time})?"),
        (
            "murder",
            "{by:plain} {did}{killed} <B0>(?: with {weapon:weapon})?(?: {place:place})?(?: with {weapon2:weapon})?(?: at {time:time})?",
        ),
        (
            "murder",
            "the murder {did}(?:took place|taken place|happened|happen|occurred|occur)(?: {place:place})?(?: at {time:time})?",
        ),
        (
            "murder",
            "the murder {did}(?:took place|taken place|happened|happen|occurred|occur)(?: at {time:time}) {place:place}",
        ),
        ("murder", "the murder {is}(?: committed)?(?: {place:place})?(?: at {time:time})?(?: with {weapon:weapon})?"),
    )
)
LEADS = re.compile(
    r"(?:(?:okay|ok|so|thus|hence|therefore|then|consequently|accordingly|now|also|and|but|moreover|furthermore|finally|anyway|indeed|clearly|obviously"
    r"|similarly|likewise|yes|great|good|right|hmm|in fact|as a result|in conclusion|in summary|overall|first|second|third|lastly|actually|oh|ok|alright|however|conversely|no|this is it|there is only one (?:option|possibility|way) left"
    r"|by (?:elimination|process of elimination|exclusion)|conclusion|result|deduction|note|step(?: \d+)?|answer|∴|→|⇒|=>|->|✓|✔"
    r"|(?:from|by|using|with|because of|due to|based on|combining|given)(?: (?:the|this|that|these|those|above|clues?|steps?|rules?|facts?|deductions?|\d+|and|,|&))+"
    r"|(?:this|that|it|which|clues? [\d, and]+|step \d+|rules?)(?: then| also| now)? (?:means|implies|imply|gives|give|shows|show|proves|confirms|tells|follows)(?: us)?(?: that)?"
    r"|(?:we|i|you|one)(?: can| may| now| therefore| thus| then| have|'ve|'ve now)* (?:conclude|concluded|deduce|deduced|infer|inferred|know|see|get|find|found|have|derive|derived|established|shown|determined)(?: for (?:sure|certain))?(?: that)?"
    r"|it (?:is|must be) (?:clear|certain|established|known|the case|true|settled)(?: that)?|it must be that|only)(?:[,:] ?| |$))+"
)
DENIES = re.compile(
    r"(?:there is no way(?: that)?|it is false that|it is not (?:the case|true|possible) that|it is impossible (?:that|for)|(?:we|i)(?: can)? (?:rule|ruled) out(?: that)?"
    r"|(?:this|that|which|clue \d+) rules out(?: that)?|it cannot be(?: the case)? that|no way(?: that)?) "
)
ADVERBS = re.compile(
    r"\b(?<!not )(?:therefore|thus|hence|consequently|definitely|certainly|clearly|obviously|indeed|surely|actually|necessarily|already|still|also|both|in fact|of course"
    r"|really|now|specifically|by elimination|then|as well|as (?:required|needed|expected)|for (?:sure|certain)|by (?:clues?|steps?) [\d, and]+)\b ?"
)
REWORDED = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\b(it|that|there|what)'s\b", r"\1 is"),
        (r"\bcan't\b", "cannot"),
        (r"\b(\w+)n't\b", r"\1 not"),
        (r"\b(can) not\b", "cannot"),
        (r"\bonly (<S\d+>) could have ", r"\1 "),
        (r"\b(?:can|could) only (?:have been|be)\b", "must be"),
        (r"\b(?:killer|culprit)\b", "murderer"),
        (r"\bthe (?:one|person|suspect) who (?:murdered|killed) <B0>", "the murderer"),
        (r"\bthe (?:weapon used to kill <B0>|weapon used|weapon of the murder)", "the murder weapon"),
        (
            r"\bthe (?:crime scene|scene of the (?:crime|murder)|murder (?:scene|location)|room of the murder)\b",
            "the murder room",
        ),
        (r"\bthe (?:time of the murder|time of death)\b", "the murder time"),
        (r"\bthe (?:motive (?:for|of|behind) the murder|murderer's motive|motive of the murderer)\b", "the murder motive"),
        (r"\b(the|a) (?:one|person) (?:who is )?motivated by", r"\1 suspect motivated by"),
        (
            r"\b(the|a) (?:suspect|one|person) (?:with|driven by|whose motive is)(?: the motive)? (?=<M)",
            r"\1 suspect motivated by ",
        ),
        (r"\b(?:directly|immediately|right) (north|south|east|west) of\b", r"just \1 of"),
        (r"\b(?:the |mr\.? )(?=<B0>)", ""),
        (
            r"\b(?:this|that|it|which)(?: also)? (?:forces|places|puts|leaves) ((?:the )?<[SWB]\d+>) (?:to be |to have been )?(?=in|at)",
            r"\1 was ",
        ),
        (r"\b(?:this|that|which) leaves (<M\d+>) for (<S\d+>)", r"\2 has \1"),
        (r"\b(?:this|that|which) rules out (.+) as (?=the murder)", r"\1 is not "),
        (r"\bdid not (kill|murder)\b", r"did not \1ed"),
        (r"\bdid not (?:take place|happen|occur)\b", "was not"),
        (r"\bmurdereded\b|\bmurdered\b", "murdered"),
        (r"\b((?:the )?<[SWB]\d+>)'s (?:location|position|room|place) at (<T\d+>)", r"\1 at \2"),
        (r"\b(?:not|nowhere|not anywhere) (?:but|else than)\b", ""),
        (r"\bcould not have been anywhere but (?=the|in|at)", "was in "),
        (r"\bwas in (?=in |at )", "was "),
        (r"\bit (?:is|was) (<S\d+>) who (?=was|is)", r"\1 "),
        (r" ?\((?!not\b|or\b|if\b|unless\b|maybe\b|perhaps\b|probably\b)[^()?]*\)", ""),
        (r"\bbeing (?=in |at |the )", "was "),
        (r"\b(?:rule|ruled|rules) out (<S\d+>|(?:the )?<[WR]\d+>) (?=as the murder)", r"\1 is not "),
        (r" is not  ?as (?=the murder)", " is not "),
        (r"\b(<S\d+>) (?:is left with|must have|can only have)(?: the motive)? (?=<M)", r"\1 has "),
        (r"\b(<M\d+>) (?:must )?belongs? to (<S\d+>)", r"\2 has \1"),
        (r"\b(<S\d+>) did it\b", r"\1 is the murderer"),
        (r" either$", ""),
        (r"^(?:the )?murderer ?[:=] ?(?=<S)", "the murderer is "),
        (r"^(?:the )?(?:murder )?weapon ?[:=] ?(?=<W)", "the murder weapon is "),
        (r"^(?:the )?(?:murder )?room ?[:=] ?(?=<R)", "the murder room is "),
        (r"^(?:the )?(?:murder )?time ?[:=] ?(?=<T)", "the murder time is "),
        (r"^(?:the )?(?:murder )?motive ?[:=] ?(?=<M)", "the murder motive is "),
        (r"^(<S\d+>) ?(?:→|->|=>|:) ?(<M\d+>)$", r"\1 = \2"),
        (r"^(<M\d+>) ?(?:→|->|=>|:|=) ?(<S\d+>)$", r"\2 = \1"),
        (r"^(<S\d+>) ?≠ ?(<M\d+>)$", r"\1 is not motivated by \2"),
    )
)
JOINTS = re.compile(
    r"(?:^|,? )(?:and so|so that|so|hence|therefore|thus|which means(?: that)?|which implies(?: that)?|meaning(?: that)?|because|since|but|while|whereas),? "
    r"|, (?=<S\d+> (?:has|had|is|was) )"
    r"|,? (?:and )?(?:it|this|that) (?:then )?(?:also )?(?:follows|means|implies)(?: that)? |; ?|: | (?:->|=>|→|⇒|—|–) |, as (?=<|the )"
    r"|,? and (?=(?:the )?(?:<[SWB]\d+>|murder\w*(?: weapon| room| time| motive)?|suspect motivated by <M\d+>)(?:'s motive)? (?:is|was|must|cannot|could|has|killed|took|happened|moved|are|were)\b)"
    r"|, (?=the (?:murder\w*) )"
)
ASIDE = re.compile(  # a sentence with one of these asserts nothing that could be checked
    r"exactly one|\b(?:options|alternatives|possibilities):|\b(?:gives?|leaves?) (?:two|three|several) |\b(?:might|may|maybe|perhaps|possibl\w+|possibilit\w+|probabl\w+|presumably|(?:un)?likely|seems?|appears?|apparently|would|should|think|believe|guess|doubt|sure"
    r"|unsure|not necessarily|unclear|uncertain|whether|candidates?|could(?! (?:not|only))|can(?! (?:conclude|deduce|infer|rule|see|find|only))|not rule out|cannot rule out"
    r"|(?<!only )if(?! and only if)|unless|provided|otherwise|when|whenever|in case|were to|try"
    r"|says?|said|states?|claim\w*|statement|sentence|insists?|quoted?|according|mistaken?|given in|wrong|incorrect|(?<!is )false|untrue|retract|misread|needs?|goal|show that|prove that|one of (?:these|them|the)"
    r"|determine|check|verify|let me|let's|want|plan|recall|remember|given that|(?<!is )not true|alternatively)\b|\"|\?"
)
OPENS = re.compile(
    r"\b(?:suppose|supposing|assum\w+|imagine|hypothe\w+|let's (?:say|try|test|assume)|what if|pretend|consider|alternatively|scenario|(?:case|option|possibility) [\da-z]\b)"
)
ALTERNATIVE = re.compile(r"\b(?:scenario|case|option|possibility) [\da-z]\b")
CONTRADICTS = re.compile(
    r"\b(?:contradict\w*|impossible|not possible|absurd|violat\w+|conflicts?|inconsistent|(?:that|this) cannot be)\b|⊥"
)
CLOSES = re.compile(r"(?:so |thus |hence |therefore )*(?:in (?:both|either|all|every|any)(?: of the)? cases?|either way),? ?")
CORRECTS = re.compile(
    r"(?:(?:but|hmm|oh),? )*(?:no,? wait|wait|actually|no|correction|scratch that)[,:.!-]+ ?|(?:no,? wait|wait,? no) "
)
SUPPOSING = re.compile(rf"^.*?{OPENS.pattern}\w*(?: that| for contradiction| for the sake of argument)*[:,]? ")
SENTENCES = re.compile(r"[^.!?]+(?:[.!?](?=\S)[^.!?]*)*[.!?]*")
CONCLUDES = re.compile(r"(?:^|[,;:] )(?:so|therefore|thus|hence|that leaves|which leaves)\b")
WITHDRAWS = re.compile(
    r"\b(?:take (?:that|it) back|(?:that|this|it) (?:was|is) (?:wrong|false|a mistake|incorrect|not right)|scratch that|ignore that)\b"
)


# ---------------------------------------------------------------- from a text to sentences


def read(text: str, setting: Setting, clues: frozenset[Clue] = frozenset()) -> list[Sentence]:
    """The sentences of a text that name something of the puzzle, in order.

    Args:
        clues: statements that the prompt makes itself: said again, they are no assertions.
    """
    return _reader(setting, clues).read(text)


def _numbers(mark: str | None) -> list[tuple[str, int]]:
    return [(kind, int(number)) for kind, number in re.findall(r"<([A-Z])(\d+)>", mark or "")]


class _Reader:
    def __init__(self, setting: Setting, clues: frozenset[Clue]):
        self.setting, self.clues = setting, frozenset(map(plain, clues))
        kinds = {
            "S": setting.suspects,
            "W": setting.weapons,
            "B": (BODDY,),
            "R": setting.rooms,
            "T": setting.times,
            "M": setting.motive_names,
        }
        self.names = {f"<{kind}{i}>": name for kind, names in kinds.items() for i, name in enumerate(names)}
        self.pattern, self.marks = _names(setting)
        self.known: dict[str, tuple[list[Assertion], bool]] = {}  # sentences repeat over the samples of a puzzle

    # ------------ names

    def mask(self, line: str) -> str:
        """A line in lower case, with a mark for each name."""
        pieces, last = [], 0
        for match in self.pattern.finditer(line):
            mark = self.marks[" ".join(match[0].replace(".", "").upper().split())]
            pieces += [_lower(line[last : match.start()]), "<?>" if _of_a_longer_name(line, match) else mark]
            last = match.end()
        return "".join([*pieces, _lower(line[last:])])

    # ------------ lines and sentences

    def read(self, text: str) -> list[Sentence]:
        self.found: list[Sentence] = []
        self.supposed: list[list[Assertion]] = []  # one for each supposition that is open, the innermost last
        self.contradicted = False
        self.span = (0, 0)
        context = ""  # of the items of a list: the time that the line above names, or "aside"
        header: list[str] | None = None  # of a table
        for original in text.splitlines(keepends=True):
            self.span = (self.span[1], self.span[1] + len(original))
            line = self.mask(re.sub(r"[*_`]+|[✅✓✔☑❌]", "", original)).strip()
            if line.startswith("|"):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                if header is None:
                    header = cells
                elif set(line) - set("|-: "):
                    self._row(header, cells)
                continue
            header = None
            item = re.match(r"(?:[-•+>#]+ |\[[x ]\] |\d+[.)] )+", line)
            body = line[item.end() :] if item else line
            if not body and self.contradicted:  # a paragraph that ended in a contradiction
                self.supposed.clear()
            if not body or re.fullmatch(r"[a-z]\. ?<\w+>\.?", body):  # nothing, or a line of the answer sheet
                continue
            if line.startswith("#") or re.match(r"(?:step|part) \d", line) or (item and self.contradicted):
                self.supposed.clear()
            times = re.findall(r"<T\d+>", body)
            if (
                body.endswith(":")
                and len(times) == body.count("<") == 1
                and not ASIDE.search(body)
                or re.fullmatch(r"(?:at )?<T\d+>", body)
            ):
                context = times[0]
                continue
            if not item:
                context = "aside" if body.endswith(":") and ASIDE.search(body) else ""
            for sentence in SENTENCES.findall(body):
                self._sentence(sentence.strip(), context if item else "")
        return self.found

    def _add(self, assertions: list[Assertion], fate: str) -> None:
        self.found.append(Sentence(*self.span, tuple(assertions), fate))

    def _sentence(self, sentence: str, context: str) -> None:
        if correction := CORRECTS.match(sentence):
            self._withdraw()
            sentence = sentence[correction.end() :]
        if WITHDRAWS.search(sentence):
            self._withdraw()
        if CONTRADICTS.search(sentence) and not re.search(r"\bno contradiction|\?", sentence):
            self.contradicted = True
        if closing := CLOSES.match(sentence):
            self.supposed.clear()
            sentence = sentence[closing.end() :]
        opens = OPENS.search(sentence)
        if opens:
            if ALTERNATIVE.search(sentence):
                self.supposed.clear()
            self.contradicted = False
            self.supposed.append(self._clauses(SUPPOSING.sub("", sentence))[0])
        if "<" not in sentence:
            return
        if opens or context == "aside" or len(sentence) > LONGEST:
            return self._add([], "aside")
        asserted, complete = self._clauses(f"{context}: {sentence}" if context else sentence)
        if self.supposed:
            return self._add(self._concluded(asserted, sentence), "aside")
        fresh = [a for a in asserted if not self._said(a)]
        if ASIDE.search(sentence) and not asserted:
            fate = "aside"
        else:
            fate = "unread" if not complete else "read" if fresh else "aside"
        self._add(fresh, fate)

    def _concluded(self, asserted: list[Assertion], sentence: str) -> list[Assertion]:
        """Within a supposition: after a contradiction its negation, or what a "so" concludes from it. That closes it."""
        opposite = [
            a
            for a in asserted
            if any(plain(a.statement) == plain(b.statement) and a.holds != b.holds for b in self.supposed[-1])
        ]
        if not self.contradicted or not (opposite or CONCLUDES.search(sentence)) or not asserted:
            return []
        self.supposed.pop()
        self.contradicted = False
        return [] if self.supposed else opposite or asserted

    def _said(self, assertion: Assertion) -> bool:
        return assertion.holds and plain(assertion.statement) in self.clues

    def _withdraw(self) -> None:
        if self.found:
            last = self.found[-1]
            self.found[-1] = Sentence(last.start, last.end, (), "aside")

    def _row(self, header: list[str], cells: list[str]) -> None:
        """A row of a table: a piece against times, a time against pieces, or a suspect and a motive."""
        label, found, broken = cells[0], [], False
        for head, cell in zip(header[1:], cells[1:], strict=False):
            clause = None
            for piece, time in ((label, head), (head, label)):
                if (
                    re.fullmatch(r"(?:the )?<[SWB]\d+>", piece)
                    and re.fullmatch(r"<T\d+>", time)
                    and re.fullmatch(r"(?:the )?<R\d+>", cell)
                ):
                    clause = self._clause(f"{piece} was in {cell} at {time}")
            if re.fullmatch(r"<S\d+>", label) and "motive" in head and re.fullmatch(r"<M\d+>", cell):
                clause = self._clause(f"{label} is motivated by {cell}")
            broken |= clause is None and "<" in cell
            found += clause or []
        if "<" in "".join(cells):
            fresh = [a for a in found if not self._said(a)]
            self._add([] if broken or self.supposed else fresh, "unread" if broken else "read" if fresh else "aside")

    # ------------ clauses

    def _clauses(self, sentence: str) -> tuple[list[Assertion], bool]:
        """What a sentence asserts, clause by clause, and whether all clauses that name something have a known form."""
        if sentence not in self.known:
            if len(self.known) > 10_000:
                self.known.clear()
            self.known[sentence] = self.parse(sentence)
        return self.known[sentence]

    def parse(self, sentence: str) -> tuple[list[Assertion], bool]:
        for pattern, new in REWORDED:
            sentence = pattern.sub(new, sentence)
        if ASIDE.search(sentence):
            return [], False
        for whole in (self._clause, self._list):
            if (found := whole(sentence)) is not None:
                return found, True
        found, complete = [], True
        ahead = re.match(r"(?:[a-z, ]+ )?at (<T\d+>),? (?=.*<[SWB]\d+>.*\band\b)", sentence)
        for clause in filter(None, JOINTS.split(sentence)):
            if "<" not in clause:
                continue
            part = self._clause(f"{clause.rstrip(' .!')} at {ahead[1]}" if ahead and "<T" not in clause else clause)
            complete &= part is not None
            found += part or []
        return found, complete

    def _list(self, sentence: str) -> list[Assertion] | None:
        """ "<T0>: <S0> - <R1>, <S1> - <R0>"."""
        match = re.fullmatch(r"(?:at )?(<T\d+>) ?[:,-] (.+?)\.?", sentence)
        if not match:
            return None
        found = []
        for item in re.split(r"[,;] (?:and )?", match[2]):
            pair = re.fullmatch(
                rf"({PIECE}) ?(?:-|–|—|:|=|@|→|->|in|at|in the|at the|was in|is in|was in the|is in the|was at the|is at the) ?((?:the )?<R\d+>)",
                item,
            )
            if not pair:
                return None
            found += self._clause(f"{pair[1]} was in {pair[2]} at {match[1]}") or []
        return found

    def _clause(self, clause: str) -> list[Assertion] | None:
        clause = clause.strip(" .!,;:-")
        if lead := LEADS.match(clause):
            clause = clause[lead.end() :]
        denied = DENIES.match(clause)
        if denied:
            clause = clause[denied.end() :]
        clause = " ".join(ADVERBS.sub("", clause).split()).strip(" .!,;:")
        found = self._joined(clause) if " or " in clause or " if and only if " in clause else self._placed(clause)
        if found is None:
            found = self._formed(clause)
        if denied and found is not None:
            return [Assertion(found[0].statement, not found[0].holds)] if len(found) == 1 else None
        return found

    def _joined(self, clause: str) -> list[Assertion] | None:
        for connective, kind in ((" if and only if ", Iff), (" or ", Or)):
            first, found, second = clause.removeprefix("either ").partition(connective)
            if not found:
                continue
            if kind is Or and (
                short := re.fullmatch(
                    r"(.+ )(?:either )?((?:in|at) (?:the )?<R\d+>) or ((?:in |at )?(?:the )?<R\d+>)( at <T\d+>)", clause
                )
            ):
                subject = short[1].replace("either ", "")
                first, second = (
                    f"{subject}{place}{short[4]}"
                    for place in (short[2], short[3] if short[3].startswith(("in", "at")) else f"in {short[3]}")
                )
            sides = self._placed(first), self._placed(second)
            if all(side and len(side) == 1 and side[0].holds and isinstance(side[0].statement, At) for side in sides):
                a, b = sides[0][0].statement, sides[1][0].statement
                return [Assertion(kind(a, b))] if a != b else []
            return None
        return None

    def _placed(self, clause: str) -> list[Assertion] | None:
        """Where somebody was: At statements, several of them if there are several subjects, places or times."""
        match = PLACED.fullmatch(clause)
        if not match:
            return None
        subjects = self._pieces(match["pieces"])
        neither = bool(match["neither"])
        first = match["first"] or match["middle"] or match["late"]
        only = [("T", 0)] if len(self.setting.times) == 1 else []
        items, pending = [], []
        for item in ITEM.finditer(match["rest"]):
            times = _numbers(item["times"]) or _numbers(first) or only
            pending.append((bool(item["not"]), item["room"]))
            if times:
                items += [(no, room, time) for no, room in pending for time in times]
                pending = []
        if pending or not items:
            return None
        negated = bool(match["no"]) or neither
        return [
            Assertion(At(who, self._name(room), self.setting.times[time[1]]), not (negated or no))
            for who in subjects for no, room, time in items
        ]  # fmt: skip

    def _formed(self, clause: str) -> list[Assertion] | None:
        for kind, form in FORMS:
            if match := form.fullmatch(clause):
                groups = {name: value for name, value in match.groupdict().items() if value}
                no = bool(groups.pop("no", None))
                statements = self._statements(kind, groups)
                if statements is None or (no and len(statements) > 1):
                    return None
                return [Assertion(statement, holds=no == (kind == "not murderer")) for statement in statements]
        if listed := re.fullmatch(
            r"(?P<subject><S\d+>) (?:is not|cannot be|was not) motivated by (?P<motives><M\d+>(?:(?:, | or |, or )<M\d+>)+)",
            clause,
        ):
            return [
                Assertion(Motivated(self._name(listed["subject"]), self._name(m)), False)
                for m in re.findall(r"<M\d+>", listed["motives"])
            ]
        if neither := re.fullmatch(r"neither (.+?) nor (.+?) (is|was|were|are) (.+)", clause):
            found = [self._formed(f"{who} was {neither[4]}") for who in (neither[1], neither[2])]
            if all(some and len(some) == 1 for some in found):
                return [Assertion(a.statement, not a.holds) for a in chain(*found)]
        return None

    def _statements(self, kind: str, groups: dict[str, str]) -> list[Clue] | None:
        """The statements of a form; None if it leaves something open that they need."""
        s, name = self.setting, self._name
        when = _numbers(groups.get("when"))
        time = s.times[when[0][1]] if when else s.times[0] if len(s.times) == 1 else None
        pieces = self._pieces(groups.get("pieces", ""))
        match kind:
            case "at":
                return [At(name(groups["who"]), name(groups["room"]), time)] if time else None
            case "same room" | "together":
                if len(pieces) != 2 or pieces[0] == pieces[1] or (kind == "same room" and time is None):
                    return None
                return [SameRoom(*pieces, time) if kind == "same room" else Together(*pieces, name(groups["place"]))]
            case "same room of" | "beside" | "moved" | "carried" if kind != "together" and time is None:
                return None
            case "same room of":
                who, other = name(groups["who"]), name(groups["other"])
                return [SameRoom(who, other, time)] if who != other else []
            case "beside":
                return [Beside(name(groups["who"]), groups["way"], name(groups["other"]), time)]
            case "moved" | "carried":
                origin, destination = name(groups["origin"]), name(groups["destination"])
                if time == s.times[0]:
                    return None
                if kind == "moved":
                    return [Moved(name(groups["who"]), origin, destination, time)]
                return [Carried(name(groups["who"]), name(groups["weapon"]), origin, destination, time)]
            case "motivated":
                suspect, motive = groups.get("suspect") or groups["suspect2"], groups.get("motive") or groups["motive2"]
                return [Motivated(name(suspect), name(motive))] if suspect.startswith("<S") else None
            case "murderer" | "not murderer":
                return [self._murderer(groups["value"])]
            case "weapon" | "room" | "time" | "motive":
                return [Murder(kind, name(groups["value"]))]
            case "murder":
                by = [self._murderer(groups["by"])] if "by" in groups else []
                rest = {
                    "weapon": groups.get("weapon") or groups.get("weapon2"),
                    "room": groups.get("place"),
                    "time": groups.get("time"),
                }
                return by + [Murder(aspect, name(mark)) for aspect, mark in rest.items() if mark] or None
        return None

    def _murderer(self, mark: str) -> Murder:
        return Murder("murderer" if mark.startswith("<S") else "motive", self._name(mark))

    def _pieces(self, text: str) -> list[str]:
        return [self._name(match[0]) for match in re.finditer(PIECE, text)]

    def _name(self, phrase: str) -> str:
        mark = re.search(r"<[A-Z]\d+>", phrase)
        return self.names[mark[0]] if mark else MURDER_WEAPON if "weapon" in phrase else MURDERER


PLACED = re.compile(
    rf"(?:at (?P<first>{PHRASES['time']}),? )?(?P<neither>neither )?(?P<pieces>{PIECE}(?:(?:, and |, | and | nor ){PIECE})*),?"
    rf"(?: at (?P<middle>{PHRASES['time']}),?)? {_phrase('is', '')}?(?: not only)?,?(?: at (?P<late>{PHRASES['time']}),)?(?P<rest>(?:,? ?(?:and |but |then |but also |and then )?(?:not )?(?:at <T\d+>,? )?(?:in|at|inside) (?:the )?<R\d+>"
    r"(?:,? at <T\d+>(?:(?:, and |, | and |, at | and at )<T\d+>)*)?)+)"
)
ITEM = re.compile(
    r"(?P<not>not )?(?P<before>at <T\d+>,? )?(?:in|at|inside) (?P<room>(?:the )?<R\d+>)(?P<times>,? at <T\d+>(?:(?:, and |, | and |, at | and at )<T\d+>)*)?"
)


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


TITLE_BEFORE = re.compile(r"(?:^|[^\w.'’-])(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Colonel|Madame|Captain|Lord|Lady|Sir)\.?\s+$")
NAME_AFTER = re.compile(r" (?!(?:And|At|In|The|Is|Was|AM|PM|NOT)\b)[A-Z][a-z]+")


def _of_a_longer_name(line: str, match: re.Match) -> bool:
    """Whether a title before or a capitalised word after makes another name of it, such as Mr. White for Mrs. White, or Green Room."""
    before = TITLE_BEFORE.search(line[max(0, match.start() - 12) : match.start()])
    return bool(before or NAME_AFTER.match(line, match.end()))


def _lower(text: str) -> str:
    return text.lower().replace("<", "(").replace("’", "'")


@lru_cache(maxsize=64)  # the puzzles of a generation batch
def _reader(setting: Setting, clues: frozenset[Clue]) -> _Reader:
    return _Reader(setting, clues)


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
