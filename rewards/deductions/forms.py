"""The forms in which a statement can be made, as regular expressions: to teach the reader another one, add a line to FORMS.

Add texts with what they assert to tests/deduction_sentences.json too: some that have the form, and some that resemble it and
assert nothing. Forms are matched against text in lower case in which names have become marks such as <S0>: suspects, weapons,
Mr. Boddy (B), rooms, times and motives. <?> only looks like a name, and fits no form.

No pattern here takes more than linear time, so that no text can stall a training step: repetitions are possessive (`*+`), or
there is only one way to divide a text into their items; and nothing like `.*` occurs where a search can begin in many places.
"""

from __future__ import annotations

import re

PIECE = r"(?:(?:the )?<[SWB]\d+>|the murderer|the murder weapon|(?:the|a) suspect motivated by <M\d+>)"
A_PIECE = re.compile(PIECE)
PIECES = rf"{PIECE}(?:(?:, and |, | and | nor ){PIECE})*+"
TIMES = r" at <T\d+>(?:(?:, and |, | and |, at | and at )<T\d+>)*+"
GROUPS = {  # what a group of a form can match
    "piece": PIECE,
    "pieces": PIECES,
    "suspect": r"(?:<S\d+>|(?:the|a) suspect motivated by <M\d+>)",
    "name": r"<S\d+>",
    "weapon": r"(?:the )?<W\d+>|the murder weapon",
    "room": r"(?:the )?<R\d+>",
    "place": r"(?:in|at|inside) (?:the )?<R\d+>",
    "motive": r"<M\d+>",
    "time": r"<T\d+>",
    "when": r" ?(?:at <T\d+>)?",
    "way": "north|south|east|west",
}
IS = (
    "(?:is|was|are|were|must be|must have been|has to be|has to have been|had to be|have to be|stays|stayed|remains|remained"
    "|ended up|starts|started)"
)
IS_NOT = (
    "(?:(?:is|was|are|were|has|have|had|must|could|did|does|do) not|cannot|never|(?:is|was|are|were) never)"
    "(?: have been| be| been)?"
)
VERBS = {  # of a form; what the group `no` matches denies it
    "is": rf"(?:(?P<no>{IS_NOT})|{IS})",
    "did": r"(?:(?P<no>(?:cannot|could not|did not|must not)(?: have)? )|(?:|must have |has to have |had to have ))",
    "has": "(?:has|had|must have|has to have)",
    "killed": "(?:killed|murdered)",
    "moved": "(?:moved|went|walked|stepped|move|go|gone)",
    "carried": "(?:moved|carried|took|brought|carry|move|take)",
    "happened": "(?:took place|taken place|happened|happen|occurred|occur)",
}


def _pattern(form: str) -> re.Pattern:
    """A form with its {verb} and its {field:group} filled in."""
    return re.compile(re.sub(r"\{(\w+):?(\w*)\}", lambda m: f"(?P<{m[1]}>{GROUPS[m[2]]})" if m[2] else VERBS[m[1]], form))


FORMS = tuple(
    (kind, _pattern(form))
    for kind, form in (
        ("at", "{room:room} is where {who:piece} {is}{when:when}"),
        ("same room", "{pieces:pieces} {is} in (?:the same|one) room{when:when}"),
        ("same room", "{pieces:pieces} shared a room{when:when}"),
        ("same room as", "{who:piece} {is} (?:in the same room as|with|together with) {other:piece}{when:when}"),
        ("together", "{pieces:pieces} {is} {place:place} together(?: at least once)?"),
        ("together", "{pieces:pieces} {is} together {place:place} at (?:least once|some point|some time)"),
        ("together", "{who:piece} met {other:piece} {place:place}(?: at least once)?"),
        ("moved", "{who:piece} {did}{moved} from {origin:room} to {destination:room}{when:when}"),
        ("arrived", "{who:piece} {did}{moved} (?:back )?to {room:room}{when:when}"),
        ("brought", "{who:piece} {did}{carried} {weapon:weapon} (?:back )?to {room:room}{when:when}"),
        ("carried", "{who:piece} {did}{carried} {weapon:weapon} from {origin:room} to {destination:room}{when:when}"),
        ("beside", "{who:piece} {is} (?:in the room )?just {way:way} of {other:piece}{when:when}"),
        ("motivated", "{suspect:name} {is} (?:motivated|driven) by {motive:motive}"),
        ("motivated", "{suspect:name} {is} (?:the|a) (?:suspect )?motivated by {motive:motive}"),
        ("motivated", "the suspect motivated by {motive:motive} {is} {suspect:name}"),
        ("motivated", "{suspect:name}'s motive {is} {motive:motive}"),
        ("motivated", "the motive of {suspect:name} {is} {motive:motive}"),
        ("motivated", "{motive:motive} {is} {suspect:name}'s(?: motive)?"),
        ("motivated", "{suspect:name} {has} (?:the motive )?{motive:motive}"),
        ("motivated", "{suspect:name} = {motive:motive}"),
        ("murderer", "{value:suspect} {is} the murderer"),
        ("murderer", "the murderer {is} {value:suspect}"),
        ("murderer", "(?:it (?:is|was) )?{value:suspect}(?: who)? {did}(?:committed the murder|{killed} <B0>)"),
        ("murderer", "{value:suspect} {is} guilty(?: of the murder)?"),
        ("not the murderer", "{value:suspect} {is} innocent(?: of the murder)?"),
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
        ("murder", "{by:name} {did}{killed} <B0>(?: with {weapon:weapon})?(?: {place:place})?(?: at {time:time})?"),
        ("murder", "{by:name} {did}{killed} <B0> {place:place} with {weapon:weapon}(?: at {time:time})?"),
        ("murder", "the murder {did}{happened}(?: {place:place})?(?: at {time:time})?"),
        ("murder", "the murder {did}{happened} at {time:time} {place:place}"),
        ("murder", "the murder {is}(?: committed)?(?: {place:place})?(?: at {time:time})?(?: with {weapon:weapon})?"),
    )
)
# Where pieces were, with several subjects, rooms and times: a SUBJECT, then one or more of PLACE.
SUBJECT = re.compile(
    rf"(?:at (?P<first><T\d+>),? )?(?P<neither>neither )?(?P<pieces>{PIECES}),?(?: at (?P<middle><T\d+>),?)? {VERBS['is']}?"
    r"(?: not only)?,?(?: at (?P<late><T\d+>),)?"
)
PLACE = re.compile(
    r",? ?(?:and then |and |but then |but also |but |then )?(?P<not>not )?(?:at (?P<ahead><T\d+>),? )?"
    rf"(?:in|at|inside) (?:the )?(?P<room><R\d+>)(?P<times>,?{TIMES})?"
)
ORDERED = re.compile(r"<R\d+>,? (?:and |but )?(?:then|now) ")  # "in the Hall, then …": at which time?
MODAL = re.compile("cannot|(?:could|must) not")
TIME_FIRST = re.compile(r"^at (<T\d+>),? ((?:(?!<T).)+)$")
EITHER = re.compile(
    r"(?P<subject>.+ )(?:either )?(?P<first>(?:in|at) (?:the )?<R\d+>) or (?P<second>(?:in "
    r"|at )?(?:the )?<R\d+>)(?P<when> at <T\d+>)"
)
NEITHER_NOR = re.compile(rf"neither ({PIECE}) nor ({PIECE}) (?:is|was|were|are) (.+)")
NO_MOTIVES = re.compile(rf"(<S\d+>) {IS_NOT} motivated by (<M\d+>(?:(?:, | or |, or )<M\d+>)++)")
ANY_FORM = re.compile(  # a quick check: most clauses have none
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", form.pattern) for form in (*(form for _, form in FORMS), NO_MOTIVES, NEITHER_NOR))
)
SO_WAS = re.compile(rf"(?P<first>.+?),? and so (?:was|were) (?P<pieces>{PIECES})")
TIMED_LIST = re.compile(r"(?:at )?(?P<time><T\d+>) ?[:,-] (?P<items>.+?)\.?")  # "12:00 AM: Plum - Hall, Green - Study"
LIST_ITEM = re.compile(rf"(?P<piece>{PIECE}) ?(?:-|–|—|:|=|@|→|->|(?:was |is )?(?:in|at)(?: the)?) ?(?P<room>(?:the )?<R\d+>)")

OF_ONE_NAME = re.compile("murder|kill|culprit|crime|death|died|guilty|innocent|did it|weapon|room|time|motive")  # one is enough
TIME_OF_ALL = re.compile(r"[a-z, ]*+(?<=\bat )(<T\d+>),? (?=[^<]*+<)")  # a time that precedes all clauses

# ---------------------------------------------------------------- other wordings, rewritten as those that the forms have

CONTRACTIONS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\b(it|that|there|what)'s\b", r"\1 is"),
        (r"\bcan't\b", "cannot"),
        (r"\bwon't\b", "will not"),
        (r"(?<=\w)'d\b", " would"),
        (r"(?<=\w)n't\b", " not"),
    )
)
REWORDINGS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        # spellings
        (r"\bcan not\b", "cannot"),
        (r"\b(?:can|could) only (?:have been|be)\b", "must be"),
        (r"\b(?:killer|culprit)\b", "murderer"),
        (r"\b(?:the |mr\.? )(?=<B0>)", ""),
        (r"\b(?:directly|immediately|right) (north|south|east|west) of\b", r"just \1 of"),
        # a remark in brackets: those that take something back were handled earlier; "clue 3 (first part): …" needs its own
        (r" ?\((?:[^()]*\)(?! ?:)|(?:(?:from|by|see|with|using) )?(?:clues?|steps?|rules?|c)? ?\d[\d, &+and]*\))", ""),
        (r",? (?:either|too|as well)(?=[.!]?$)", ""),
        # names of the murderer, the scene and the suspect with a motive
        (r"\bthe (?:one|person|suspect) who (?:murdered|killed) <B0>", "the murderer"),
        (r"\b(<S\d+>) did it\b", r"\1 is the murderer"),
        (r"\b(<S\d+>) did not do it\b", r"\1 is not the murderer"),
        (r"\bonly (<S\d+>) could have ", r"\1 "),
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
        (r"\b(<S\d+>) (?:is left with|can only have)(?: the motive)? (?=<M)", r"\1 has "),
        (r"\b(?:this|that|which) leaves (<M\d+>) for (<S\d+>)", r"\2 has \1"),
        (r"\b(<M\d+>) (?:must )?belongs? to (<S\d+>)", r"\2 has \1"),
        (r"^(<S\d+>) ?(?:→|->|=>|:) ?(<M\d+>)$", r"\1 = \2"),
        (r"^(<M\d+>) ?(?:→|->|=>|:|=) ?(<S\d+>)$", r"\2 = \1"),
        (r"^(<S\d+>) ?≠ ?(<M\d+>)$", r"\1 is not motivated by \2"),
        (r"^(?:the )?murderer ?[:=] ?(?=<S)", "the murderer is "),
        (r"^(?:the )?(?:murder )?weapon ?[:=] ?(?=<W)", "the murder weapon is "),
        (r"^(?:the )?(?:murder )?(room|time|motive) ?[:=] ?(?=<[RTM])", r"the murder \1 is "),
        # turns of phrase for where somebody is, and for what is denied
        (
            r"\b(?:this|that|it|which)(?: also)? (?:forces|places|puts|leaves) ((?:the )?<[SWB]\d+>) (?:to be "
            r"|to have been )?(?=in|at)",
            r"\1 was ",
        ),
        (r"\bit (?:is|was) (<S\d+>) who (?=was|is)", r"\1 "),
        (r"(<S\d+>) ((?:moved|was|is|has|carried)\b(?:(?!<S)[^,;:])*+) and (?=is motivated by <M)", r"\1 \2 and \1 "),
        (r"\bthat leaves (<S\d+>) with (?=<M)", r"\1 has "),
        (r"\b(<S\d+>) has (<M\d+>) as (?:his|her|the) motive\b", r"\1 has \2"),
        (
            r"(<W\d+>) (?:is|was|were|must have been|has been|had been) (?:moved|carried|taken|brought) (?=from|to)",
            r"\1 moved ",
        ),
        (r"\bcould not have been anywhere but (?=the)", "was in "),
        (r"\bbeing (?=in |at |the )", "was "),
        (r"\bdid not (?:take place|happen|occur)\b", "was not"),
        (r"\bdid not kill\b", "did not killed"),
        (r"\bdid not murder\b", "did not murdered"),
        (r"\b(?:this|that|which) rules out ((?:the )?<[A-Z]\d+>) as (?=the murder)", r"\1 is not "),
        (r"\b(?:rule|ruled) out (<S\d+>|(?:the )?<[WR]\d+>) as (?=the murder)", r"\1 is not "),
    )
)


def _any_of(patterns: list[str]) -> re.Pattern:
    """One pattern for all of them, which tests a shared beginning only once."""
    by_start = {start: [p.removeprefix(start) for p in patterns if p.startswith(start)] for start in (r"\b", "^", "")}
    by_start[""] = [p for p in patterns if not p.startswith((r"\b", "^"))]
    return re.compile("|".join(f"{start}(?:{'|'.join(rest)})" for start, rest in by_start.items() if rest))


ANY_REWORDING = _any_of([pattern.pattern for pattern, _ in REWORDINGS])  # a quick check: most sentences have none
