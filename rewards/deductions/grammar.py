"""The forms of the sentences that `rewards/deductions/reader.py` reads, as regular expressions.

They are matched against text in lower case in which names have become marks such as <S0>: suspects, weapons, Mr. Boddy (B),
rooms, times and motives. <?> is what only looks like a name, and fits no form.

No pattern here takes more than linear time, so that no text can stall a training step: repetitions are possessive (`*+`), or
their items cannot be told apart in two ways, and nothing like `.*` stands where a search can begin in many places.
"""

from __future__ import annotations

import re


def one_of(phrases: str) -> str:
    """A group of phrases that are given with commas between them, each a regular expression itself."""
    return f"(?:{'|'.join(phrase.strip() for phrase in phrases.split(','))})"


# ---------------------------------------------------------------- statements

PIECE = r"(?:(?:the )?<[SWB]\d+>|the murderer|the murder weapon|(?:the|a) suspect motivated by <M\d+>)"
A_PIECE = re.compile(PIECE)
PIECES = rf"{PIECE}(?:(?:, and |, | and | nor ){PIECE})*+"
TIMES = r" at <T\d+>(?:(?:, and |, | and |, at | and at )<T\d+>)*+"
NUMBERS = r"\d+(?:(?:, and |, | and | )\d+)*+"  # of clues or steps
PHRASES = {
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
IS = one_of(
    "is, was, are, were, must be, must have been, has to be, has to have been, had to be, have to be, stays, stayed,"
    " remains, remained,"
    "ended up, starts, started"
)
IS_NOT = (
    one_of("(?:is|was|are|were|has|have|had|must|could|did|does|do) not, cannot, never, (?:is|was|are|were) never")
    + "(?: have been| be| been)?"
)
WORDS = {  # of a form: what is asserted, or denied in the group `no`
    "is": rf"(?:(?P<no>{IS_NOT})|{IS})",
    "did": r"(?:(?P<no>(?:cannot|could not|did not|must not)(?: have)? )|(?:|must have |has to have |had to have ))",
    "has": one_of("has, had, must have, has to have"),
    "killed": one_of("killed, murdered"),
    "moved": one_of("moved, went, walked, stepped, move, go, gone"),
    "carried": one_of("moved, carried, took, brought, carry, move, take"),
    "happened": one_of("took place, taken place, happened, happen, occurred, occur"),
}


def _form(form: str) -> re.Pattern:
    """A form with its {words}, and its {groups:phrase}."""
    return re.compile(re.sub(r"\{(\w+):?(\w*)\}", lambda m: f"(?P<{m[1]}>{PHRASES[m[2]]})" if m[2] else WORDS[m[1]], form))


FORMS = tuple(
    (kind, _form(form))
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
# Where somebody was, with several subjects, rooms and times: a SUBJECT, and then one PLACE or more.
SUBJECT = re.compile(
    rf"(?:at (?P<first><T\d+>),? )?(?P<neither>neither )?(?P<pieces>{PIECES}),?(?: at (?P<middle><T\d+>),?)? {WORDS['is']}?"
    r"(?: not only)?,?(?: at (?P<late><T\d+>),)?"
)
PLACE = re.compile(
    r",? ?(?:and then |and |but then |but also |but |then )?(?P<not>not )?(?:at (?P<ahead><T\d+>),? )?"
    rf"(?:in|at|inside) (?:the )?(?P<room><R\d+>)(?P<times>,?{TIMES})?"
)
TIME_FIRST = re.compile(r"^at (<T\d+>),? ((?:(?!<T).)+)$")
EITHER = re.compile(
    r"(?P<subject>.+ )(?:either )?(?P<first>(?:in|at) (?:the )?<R\d+>) or (?P<second>(?:in "
    r"|at )?(?:the )?<R\d+>)(?P<when> at <T\d+>)"
)
NEITHER = re.compile(rf"neither ({PIECE}) nor ({PIECE}) (?:is|was|were|are) (.+)")
NO_MOTIVES = re.compile(rf"(<S\d+>) {IS_NOT} motivated by (<M\d+>(?:(?:, | or |, or )<M\d+>)++)")
ANY_FORM = re.compile(  # a quick look: most clauses are none of them
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", form.pattern) for form in (*(form for _, form in FORMS), NO_MOTIVES, NEITHER))
)
SO_WAS = re.compile(rf"(?P<first>.+?),? and so (?:was|were) (?P<pieces>{PIECES})")
LISTED = re.compile(r"(?:at )?(?P<time><T\d+>) ?[:,-] (?P<items>.+?)\.?")  # "12:00 AM: Plum - Hall, Green - Study"
LISTED_ITEM = re.compile(
    rf"(?P<piece>{PIECE}) ?{one_of('-, –, —, :, =, @, →, ->, (?:was |is )?(?:in|at)(?: the)?')} ?(?P<room>(?:the )?<R\d+>)"
)
ANSWER_LINE = re.compile(r"[a-z]\. ?<\w+>\.?")  # of the answer sheet, which is graded elsewhere

# ---------------------------------------------------------------- what stands around a statement

OURS = one_of(
    r"""
    the(?= (?:above|clues?|steps?|rules?|facts?|deductions?|same|previous|last|first)\b), what we know, previous, this,
    that, these, those, above, clues?, steps?, rules?, facts?, deductions?, \d+, and, &
    """
)
THIS = rf"(?:this|that|it|which|clues? {NUMBERS}|step \d+|rules?)"
LEADS = re.compile(
    "(?:"
    + "|".join(
        (
            one_of(
                "okay, ok, so, thus, hence, therefore, then, consequently, accordingly, now, also, and, but, moreover,"
                " furthermore, finally,"
                "anyway, indeed, clearly, obviously, similarly, likewise, yes, no, great, good, right, alright, hmm,"
                " oh, actually, however,"
                "conversely, in fact, as a result, in conclusion, in summary, overall, first, second, third, lastly,"
                " only, this is it,"
                "by (?:elimination|process of elimination|exclusion), there is only one (?:option|possibility"
                "|way) left, conclusion,"
                "result, deduction, note, answer, step(?: \\d+)?, ∴, →, ⇒, =>, ->"
            ),
            rf"{one_of('from, by, using, with, because of, due to, based on, combining, given')}(?:,? {OURS})++",
            rf"{THIS}(?: then| also| now)? "
            + one_of("means, implies, imply, gives, give, shows, show, proves, confirms, tells, follows")
            + "(?: us)?(?: that)?",
            rf"(?:we|i|you|one)(?: {one_of('can, may, now, therefore, thus, then, have, already, also')}|'ve)* "
            + one_of(
                "conclude, concluded, deduce, deduced, infer, inferred, know, see, get, find, found, have, derive,"
                " derived, established,"
                "shown, determined, obtain, say, now know"
            )
            + rf"(?: from (?:clues? {NUMBERS}|this|that|it))?(?: for (?:sure|certain))?(?: that)?",
            "(?:the (?:right |correct )?(?:answer|conclusion) is|what is (?:certain|clear|sure)(?: now)? is(?: only)?"
            "|in particular)(?: that)?",
            "it (?:is|must be) (?:clear|certain|established|known|the case|true|settled)(?: that)?|it must be that",
        )
    )
    + r")(?:[,:] ?| |$)"
)
DENIES = re.compile(
    one_of(
        "there is no way(?: that)?, it is false that, it is not so that, it is not (?:the case|true|possible) that,"
        " it is impossible (?:that|for),"
        r"(?:we|i)(?: can)? (?:rule|ruled) out(?: that)?, (?:this|that|which|clue \d+) rules out(?: that)?,"
        "it cannot be(?: the case)? that, no way(?: that)?"
    )
    + " "
)
ADVERBS = re.compile(
    r"\b(?<!not )(?:"
    + one_of(
        "therefore, thus, hence, consequently, definitely, certainly, clearly, obviously, indeed, surely, actually,"
        " necessarily, already,"
        "still, also, both, really, now, specifically, then, in fact, of course, by elimination, as well, for (?:sure|certain),"
        "as (?:required|needed|expected)"
    )
    + rf"|by (?:clues?|steps?) {NUMBERS})\b ?"
)
SHORT = tuple(  # what is short for two words, by an apostrophe
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\b(it|that|there|what)'s\b", r"\1 is"),
        (r"\bcan't\b", "cannot"),
        (r"\bwon't\b", "will not"),
        (r"(?<=\w)'d\b", " would"),
        (r"(?<=\w)n't\b", " not"),
    )
)
SPELLED = (  # one spelling for what a statement can be said with
    (r"\bcan not\b", "cannot"),
    (r"\b(?:can|could) only (?:have been|be)\b", "must be"),
    (r"\b(?:killer|culprit)\b", "murderer"),
    (r"\b(?:the |mr\.? )(?=<B0>)", ""),
    (r"\b(?:directly|immediately|right) (north|south|east|west) of\b", r"just \1 of"),
    (r" ?\([^()]*\)", ""),  # an aside in parentheses: one that takes something back is seen before
    (r",? (?:either|too|as well)(?=[.!]?$)", ""),
)
NAMED = (  # one name for the murderer, the scene, and whoever has a motive
    (r"\bthe (?:one|person|suspect) who (?:murdered|killed) <B0>", "the murderer"),
    (r"\b(<S\d+>) did it\b", r"\1 is the murderer"),
    (r"\b(<S\d+>) did not do it\b", r"\1 is not the murderer"),
    (r"\bonly (<S\d+>) could have ", r"\1 "),
    (r"\bthe (?:weapon used to kill <B0>|weapon used|weapon of the murder)", "the murder weapon"),
    (r"\bthe (?:crime scene|scene of the (?:crime|murder)|murder (?:scene|location)|room of the murder)\b", "the murder room"),
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
)
TURNED = (  # one turn of phrase for where somebody is, and for what is denied
    (
        r"\b(?:this|that|it|which)(?: also)? (?:forces|places|puts|leaves) ((?:the )?<[SWB]\d+>) (?:to be "
        r"|to have been )?(?=in|at)",
        r"\1 was ",
    ),
    (r"\bit (?:is|was) (<S\d+>) who (?=was|is)", r"\1 "),
    (r"(<S\d+>) ((?:moved|was|is|has|carried)\b(?:(?!<S)[^,;:])*+) and (?=is motivated by <M)", r"\1 \2 and \1 "),
    (r"\bthat leaves (<S\d+>) with (?=<M)", r"\1 has "),
    (r"\b(<S\d+>) has (<M\d+>) as (?:his|her|the) motive\b", r"\1 has \2"),
    (r"(<W\d+>) (?:is|was|were|must have been|has been|had been) (?:moved|carried|taken|brought) (?=from|to)", r"\1 moved "),
    (r"\bcould not have been anywhere but (?=the)", "was in "),
    (r"\bbeing (?=in |at |the )", "was "),
    (r"\bdid not (?:take place|happen|occur)\b", "was not"),
    (r"\bdid not kill\b", "did not killed"),
    (r"\bdid not murder\b", "did not murdered"),
    (r"\b(?:this|that|which) rules out ((?:the )?<[A-Z]\d+>) as (?=the murder)", r"\1 is not "),
    (r"\b(?:rule|ruled) out (<S\d+>|(?:the )?<[WR]\d+>) as (?=the murder)", r"\1 is not "),
)
REWORDED = tuple((re.compile(pattern), new) for pattern, new in SPELLED + NAMED + TURNED)


def _any_of(patterns: list[str]) -> re.Pattern:
    """One pattern for all of them, which asks once at a place what those that begin alike ask there."""
    by_start = {start: [p.removeprefix(start) for p in patterns if p.startswith(start)] for start in (r"\b", "^", "")}
    by_start[""] = [p for p in patterns if not p.startswith((r"\b", "^"))]
    return re.compile("|".join(f"{start}(?:{'|'.join(rest)})" for start, rest in by_start.items() if rest))


ANY_REWORDED = _any_of([pattern.pattern for pattern, _ in REWORDED])  # a quick look: most sentences have none of them
OF_ONE_NAME = re.compile("murder|kill|culprit|crime|death|died|guilty|innocent|did it|weapon|room|time|motive")  # what it takes
AHEAD = re.compile(r"[a-z, ]*+(?<=\bat )(<T\d+>),? (?=[^<]*+<)")  # a time for all clauses
VERB_AHEAD = one_of("is, was, must, cannot, could, has, killed, took, happened, moved, are, were")
JOINTS = re.compile(
    "|".join(
        (
            r"(?:^|,? )"
            + one_of(
                "and so, so(?! that), hence, therefore, thus, which means(?: that)?, which implies(?: that)?,"
                " meaning(?: that)?, because, since,"
                "but, while, whereas"
            )
            + ",? ",
            r",? (?:and )?(?:it|this|that) (?:then )?(?:also )?(?:follows|means|implies)(?: that)? ",
            r"; ?|: |,? i\.e,? | (?:->|=>|→|⇒|—|–) ",
            r", as (?=<|the )",
            r"^as (?=<|the )",
            r", (?=the murder|(?:the |a )?suspect motivated)",
            rf", (?=(?:the )?<[SWB]\d+> {VERB_AHEAD}\b)",
            r",? and (?=(?:the )?(?:<[SWB]\d+>|murder\w*(?: weapon| room| time| motive)?"
            r"|suspect motivated by <M\d+>)(?:'s motive)? "
            rf"{VERB_AHEAD}\b)",
        )
    )
)

# ---------------------------------------------------------------- what is no assertion

HEDGED = one_of(
    r"""
    might, may, maybe, perhaps, possibl\w+, possibilit\w+, probabl\w+, presumably, (?:un)?likely, seems?, appears?,
    apparently, would, should, could(?! (?:not|only)),
    can(?! (?:conclude|deduce|infer|rule|see|find|get|only|be (?:ruled|eliminated|excluded))), think, thought, believe,
    guess\w*, doubt, sure, unsure, unclear, uncertain, plausibl[ey], conceivabl[ey], tentative\w*, provisional\w*,
    speculat\w+, at first (?:glance|sight|look|blush), on the face of it, naively, for now,
    for (?:instance|example), e\.g, not necessarily, whether, candidates?, (?:not|cannot) rule out
    """
)
CONDITIONAL = one_of(
    r"""
    (?<!only )if(?! and only if), unless, provided, otherwise, or else, when, whenever, in case, in the event, were to,
    try, alternatively, as long as, so long as,
    in (?:this|that|such a|which|one|the other|another) (?:case|scenario|event|situation|branch), in the case (?:that|of),
    under (?:this|that|the|such an)(?: \w+)? (?:assumption|hypothesis|supposition|scenario|option|reading),
    (?:since|because|as|for|or) then
    """
)
ATTRIBUTED = one_of(
    r"""
    says?, said, states?, claim\w*, statement, sentence, insists?, quoted?, according, given (?:that|in), recall, remember,
    mistaken?, wrong, incorrect, (?<!is )false, untrue, (?<!is )not true, retract, misread
    """
)
PLANNED = one_of(
    "needs?, goal, to (?:prove|show|check|verify|confirm)(?= ?:), show that, prove that, determine, check, verify, want, plan,"
    " let me, let's"
)
CHOICE = one_of("one of (?:these|them|the), (?:gives?|leaves?) (?:two|three|several)")
NAMED_NEXT = "(?:the |a )?(?:<|murder|suspect motivated)"
GIVEN = (  # a condition without its word: "Given Plum in the Hall, …", "Were Plum in the Hall, …", "For Plum to be there, …"
    r"(?:^|(?:[,;:→—–]|[-=]>) )(?:(?:so|but|and|now|then),? )?"
    rf"(?:given|granted|granting|with|were|had|once|say|let|take|taking|picture)(?: it)?(?: that)?,? {NAMED_NEXT}"
    r"|^(?:first|second|third|fourth|fifth|next|last)(?:ly)? ?[:—–]"
    r"|\bin the (?:first|second|third|former|latter)\b(?! place)|\bunder \w+[,:]"
    r"|\bfor (?:(?:the )?<\w+>|this|that|it|which) to\b"
    r"|(?:^|(?:[,;:→—–]|[-=]>) |\b(?:so|but|and|now|then) )(?:(?:had|were) (?:he|she|it|they)\b|h\d+[:)]"
    r"|(?:not|not both|at most \w+|(?:\w+ )?(?:myth|tempting|unproven|question|todo|draft|query))(?: \w+)? ?:)"
    r"|\b(?:under|in|for|with) (?:\([a-z\d]+\)|(?:scenario|case|option|possibility) \w+)"
)
ASIDE = re.compile(  # a sentence with one of these asserts nothing
    rf"\b(?:{HEDGED}|{CONDITIONAL}|{ATTRIBUTED}|{PLANNED}|{CHOICE})\b|\bexactly one|\b(?:options|alternatives|possibilities):"
    rf"|[\"“”«»„‘?❓❔🤔]|(?<![\w>])'|{GIVEN}"
)
DOUBTED = re.compile(rf"\b(?:{HEDGED}|{CONDITIONAL})\b|\?|{GIVEN}")  # and what spells it out asserts nothing either
UNSURE = re.compile(  # nor what follows from it, unless "would" shows that it is refuted
    r"\b(?:if|maybe|perhaps|might|possibly|probably|presumably|guess|for (?:instance|example)|e\.g)\b(?!.{0,100}\bwould\b)"
)
SPELLS_OUT = re.compile(
    r"(?:and )?(?:then|(?:this|that|which|it)(?: then| also)? (?:means|implies|gives|puts|places|leaves|forces|makes))\b"
)
FOLLOWS = re.compile(
    r"(?:and )?(?:(?:so|thus|hence|therefore|consequently|accordingly|meaning|as a result|it follows)\b|→|⇒|=>|->|∴)"
)
BUT = re.compile(r"(?:hmm,? |oh,? )?(?:but|however|yet)\b")
IF = re.compile(r"(?:(?:so|but|and|now|then|also|first|next|again),? )*+(?:even )?(?:if|otherwise|or else|unless)\b")
CONDITION = re.compile(r"(?:(?!, | then\b)[^:])*+")  # what follows "if"
RESUMES = re.compile(r"(?:but|however|yet|since|because|by|from|clues?|now|still|(?:as )?we|given|in fact)\b")
# Lists of what is open: a line that heads one, and a sentence that announces one in its line.
HEADS = re.compile(r"(?::|\bthen|→|⇒|=>|->)$")  # a line that may head a list
GOES_ON = re.compile(r"(?:,|\bthen|→|⇒|=>|->)$")  # a line whose sentence the next one ends
LISTS = re.compile(r"\b(?:either|options?|cases?|choices?|alternatives?|one of|two|three|four|could|can)\b")
ANNOUNCES = re.compile(
    r"\b(?:two|three|four|several|following|these|possible) (?:cases|options|possibilities|scenarios|alternatives|choices)\b"
)

# What opens a supposition, which holds until it is closed: "Suppose …", "Case 2: …", "Trying: …".
NUMBER = one_of(r"\d[\d.]*[a-z]?, [a-z]\d*, [ivx]+, one, two, three, four, five")
BRANCH = one_of(
    """
    scenario, (?:sub-?)?case, option, possibility, alternative, branch, hypothesis, attempt, trial, candidate, combination,
    variant, choice
    """
)
ALTERNATIVE = re.compile(  # one of several, which ends where the next one begins
    rf"\b{BRANCH} (?:\({NUMBER}\)|#?{NUMBER}\b)(?! (?:seems|looks|works|holds|survives|remains|wins)\b)"
    rf"|\b(?<!only )(?:first|second|third|fourth|next|other|another|last|remaining|final) {BRANCH}\b"
    rf"|\b(?:the )?{BRANCH}(?: ?[:—–]| - )|(?<!this )(?<!that )(?<!which )\bcase {NAMED_NEXT}"
    rf"|\b(?:path|route|world|way|model|timeline|set-?up|version|draft|arrangement|assignment) {NUMBER}(?: ?[:—–]| - )"
    rf"|\b(?:take|taking|try|trying|test|testing|check|checking|consider|assume|suppose|under|in|for|with|now) \({NUMBER}\)"
)
OPENS = re.compile(
    r"\b"
    + one_of(
        r"""
    suppos(?:e|ing), assum\w+, imagine, hypothe\w+, pretend, what (?:if|happens), alternatively, scenario, posit(?:ing)?\b,
    consider(?!\w* (?:the |each |all |only )*(?:clues?|rules?|steps?|facts?)\b), postulat\w+, conjectur\w+,
    presum(?:e|ing)\b, let(?:'s| us) (?:say|try|test|assume|take|guess|start with|go with|put|place|set), take the case,
    wlog, without loss of generality, reductio, (?:towards?|for|by way of) (?:a )?contradiction,
    for the sake of, case (?:split|analysis|distinction|work), by cases, split(?:ting)? (?:on|into),
    (?:first|initial|wild|educated|my|working|best) guess, (?:guess|idea|thought|theory|hunch|say) ?[:—–-]
    """
    )
    + r"|\b(?:try|trying|test|testing|checking|explore|exploring|(?:start|begin|go)(?:ing)? with)\b"
    rf"(?: (?:that|with|putting|it))* ?(?={NAMED_NEXT}|[:—–-])"
    r"|(?:^|(?:[,;:→—–]|[-=]>) )(?:(?:so|now|okay|ok|well|but|and|then),? )?say\b"
    rf"|{ALTERNATIVE.pattern}"
)
SPLITS = re.compile(
    r"\bcase (?:split|analysis|distinction|work)|\bby cases\b|\bsplit(?:ting)? (?:on|into)\b"
)  # holds for all cases
SUPPOSING = re.compile(rf"(?:{OPENS.pattern})\w*(?: that| for contradiction| for the sake of argument)*[:,]? ?")
LABEL = re.compile(r"(?:the )?(?:murder(?:er)?|(?:murder )?(?:weapon|room|time|motive)) ?= ?(?:the )?<")  # so heads a paragraph
INSTEAD = re.compile(r"\b(?:instead|alternatively|on the other hand|next|conversely)\b")

# What takes back what was said before it, in its own sentence or in those before.
BREAKS = one_of(
    r"""
    contradict\w*, conflict\w*, violat\w+, inconsisten\w+, incompatib\w+, absurd\w*, impossibilit(?:y|ies), clash\w*,
    at odds, breaks?(?= (?:the |a )?(?:clue|rule))
    """
)
REFUSED = one_of(
    r"""
    impossible, invalid, nonsens\w*, fail(?:s|ed|ing)?, dead(?: end)?, dies?, unworkable, untenable, infeasible, no good,
    nope, false, wrong, incorrect, untrue, mistaken, too many, (?:is|are|was|goes) out(?! of),
    (?:can|(?:does|do|did|would|will|can|could) )not (?:work|fit|hold|match|add up|make sense|check out|satisfy|happen|stand),
    (?:says?|has it|requires?) otherwise, disagrees?, not (?:ok|okay|good)(?! (?:reason|evidence|enough)),
    not (?:work\w*|possible|valid|allowed|viable|feasible|consistent|compatible|right|correct|true|so|permitted|satisfied),
    not the case,
    (?:eliminate|exclude|reject|discard|dismiss|rules?|ruling|drop|abandon|cross) (?:it|this|that|them|both)(?: out)?,
    (?:take back|retract|scratch|forget|ignore|disregard) (?:all|everything|the (?:whole|entire|last|previous)),
    (?:(?:kill|block|prevent|forbid|exclude|refute|preclude|want|need|demand|require)s) (?:it|this|that|him|her|them|both),
    too far, too late, again no, same (?:\w+ )?(?:problem|issue|trouble|story),
    (?:discarding|dropping|rejecting|eliminating)(?=$|[.;!]), (?:that|this|it|which) (?:breaks|ruins|wrecks|spoils)
    """
)
DROPPED = one_of(  # said of what goes before, unless a name follows
    """
    eliminated, ruled out, ruled-out, excluded, rejected, discarded, dismissed, refuted, disproved, forbidden, prohibited,
    disallowed, precluded, blocked, killed off, closed, prevented, crossed out, struck out, crossed off, abandoned, invalidated
    """
)
CROSSED = re.compile(r"[✗✘✖✕❌❎☒⨯×🚫⛔👎↯⊥⚡💥🛑☠]|⇒⇐|→←|(?:^|[-•.)] )\[ \] ")
REJECTS = re.compile(
    rf"\b(?:(?P<breaks>{BREAKS})|{REFUSED}|{DROPPED}(?! (?:that |the )?<))\b|{CROSSED.pattern}"
    r"|(?:(?<=[:;→—–>-])|(?<=[:;→—–>-] )|^)(?:no|not|out|x|n/a)(?=$|[.,;!)]| \()"
    r"|\bso,? no(?=[.!]*$)"
    r"|^(?:reject|discard|scrap|cancel|drop)\b(?=[.!]|$| (?:it|this|that)\b)"
    r"|\bc(?:an|ould )not be(?: (?:so|it|valid|right|correct|true|possible|the case))?(?=$|[.,;:!)])"
    r"|\bbut (?:by |from |per )?clues? \d"
)
HARMLESS = re.compile(  # a rejection that is denied
    r"\b(?:no|any|without|never|avoid\w*|nor|not) (?:a |any |other |further |direct |the )*"
    r"(?:contradict\w*|conflict\w*|violat\w*|inconsisten\w*|fail|clash)|\b(?:for|towards?|by)(?: a)? contradiction"
)
IN_BRACKETS = re.compile(  # what takes a statement back in brackets after it
    r"\((?:not|or|no|so not|then)\b"
    r"|\((?:[^()]*\b)?(?:suppos\w+|assum\w+|trial|test|tentative\w*|unverified|unconfirmed|to be|guess\w*|hypothe\w+)\b"
)
BOUNDARY = re.compile(r"[,;:—–→⇒(]|->|=>| - |, as\b|\b(?:but|which|because|since|and (?:this|that|it|so))\b")
REASONS = ("because", "since", ", as")  # what is rejected after one of these is a reason for what stands before
AFTER = re.compile(  # what stands after a rejection, and is asserted
    r"(?:^|[,;:—–]? )(?:and )?(?:so(?! that)|hence|therefore|thus|consequently|which means|meaning)\b|→|⇒|->|=>|∴"
)
CONCLUDES = re.compile(r"(?:^|[,;:] )(?:so|therefore|thus|hence|that leaves|which leaves)\b")
DISCHARGES = re.compile(
    rf"\b(?:assumption|supposition|hypothesis|premise|guess|{BRANCH})\b[^<]{{0,60}}\b(?:{BREAKS}|{REFUSED}|{DROPPED})\b"
)
CLOSES = re.compile(r"(?:so |thus |hence |therefore )*(?:in (?:both|either|all|every|any)(?: of the)? cases?|either way),? ?")
CORRECTS = re.compile(
    r"(?:(?:but|hmm+|oh|ah|ok|okay|so),? )*+(?:(?:no,? wait|no,? no|wait,? no"
    r"|(?:actually,? )?wait(?: a (?:minute|second|moment|sec))?|actually|no|nope|no way|correction(?: needed)?"
    r"|scratch that|scrap that|strike that|cancel that"
    r"|hold on|hang on|oops|on second thought"
    r"|not (?:quite|so fast)|my (?:mistake|bad)|mistake|error|sorry|never ?mind)(?:[,:.!…—–-]+ ?|$)|(?:no,? wait|wait,? no) )"
)
WITHDRAWS = re.compile(
    r"\b(?:i take back|take (?:that|it) back|(?:that|this|it) (?:was|is) (?:wrong|false(?! that)|a mistake|incorrect|not right)"
    r"|(?:scratch|ignore|forget|strike|disregard) (?:that|this|it|what)|i misread|i (?:made a|was) (?:mistaken?|wrong|error)"
    r"|let(?:'s| me| us) (?:re-?(?:do|read|consider|think|check|examine|evaluate|visit)|start over|backtrack)"
    r"|(?:that|this|it) (?:is|was) (?:a |the )?(?:problem|bad)"
    r"|^(?:(?:too |very )?bad|ouch|uh-?oh|problem|undo|backtrack(?:ing)?|back up|q\.?e\.?a)(?=[.!:,;]|$)"
    r"|(?:that|this|it) (?:is|was) (?:only |just |merely )?(?:one|a|an|the (?:first|second|other|next)|my) (?:\w+ )?"
    r"(?:scenario|option|case|possibility|way|guess|assumption|hypothesis|idea|supposition|speculation)"
    r"|^(?:but|however|yet|except that|although|though),? (?:then"
    r"|(?:the )?(?:clues?|rules?)(?: \d+)? (?:says?|states?|puts?|places?|requires?|forbids?|has)"
    r"|(?:that|this|it) (?:is|was|would|cannot|does not|has|leaves no)))\b"
    r"|\b(?:no|without) (?:\w+ )?(?:contradictions?|conflicts?|problems?)(?: (?:so far|yet|here))"
    r"|\b(?:that|this|it) (?:works|is (?:still |at least )?(?:possible|plausible|conceivable|feasible))\b"
    r"|(?:^|[,;—–-] ?)(?:\w+,? ){0,4}so,? no[.,;!]*$"
    r"|^(?:(?:hmm|but|and|well|oh),? )*+(?:that|this|which|it|then [^.]{0,60}) would\b"  # what a supposition would lead to
    r"|^(?=[^<]*+$)(?:but|yet|however|hmm),? .{0,80}\b(?:nobody|no one|none|nothing|cannot|could not|not|no|never|two|three)\b"
)

# ---------------------------------------------------------------- lines

ABBREVIATED = re.compile(r"\b(e\.g|i\.e|cf|vs)\.")  # no end of a sentence
LETTERED = re.compile(r"\W*(?:[a-h]|i{1,3}|iv|v)\)[:.]? ")  # one of several cases: "(a)", "b)"
HEADING = re.compile(r"(?P<level>#+) |(?:step|part|phase) \d")
FINAL = re.compile(  # no supposition outlives it
    r"\W*(?:\(/think>|final (?:answer|solution|conclusion|deduction)s?\b|in (?:conclusion|summary)\b"
    r"|(?:the )?(?:conclusions?|summary|solution|answers?)\W*$)"
)
