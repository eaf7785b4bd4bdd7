"""What a sentence does with the statements in it, as patterns built from the phrases in rewards/deductions/phrases.py.

Like the forms of statements (rewards/deductions/forms.py), they match in linear time, against text in lower case in which names
are marks such as <S0>.
"""

from __future__ import annotations

import re

from rewards.deductions import phrases


def one_of(lines: str) -> str:
    """A group of phrases, one per line."""
    return f"(?:{'|'.join(lines.strip().splitlines())})"


NUMBERS = r"\d+(?:(?:, and |, | and | )\d+)*+"  # of clues or steps
NAME_NEXT = "(?:the |a )?(?:<|murder|suspect motivated)"

# ---------------------------------------------------------------- what surrounds a statement

SOURCE = (
    r"(?:the(?= (?:above|clues?|steps?|rules?|facts?|deductions?|same|previous|last|first)\b)|what we know|previous|this|that"
    r"|these|those|above|clues?|steps?|rules?|facts?|deductions?|\d+|and|&)"
)
LEAD_IN = re.compile(
    "(?:"
    + "|".join(
        (
            one_of(phrases.LEAD_INS),
            rf"(?:from|by|using|with|because of|due to|based on|combining|given)(?:,? {SOURCE})++",
            rf"(?:this|that|it|which|clues? {NUMBERS}|step \d+|rules?)(?: then| also| now)? {one_of(phrases.IMPLY)}"
            "(?: us)?(?: that)?",
            rf"(?:we|i|you|one)(?: (?:can|may|now|therefore|thus|then|have|already|also)|'ve)* {one_of(phrases.CONCLUDE)}"
            rf"(?: from (?:clues? {NUMBERS}|this|that|it))?(?: for (?:sure|certain))?(?: that)?",
            "(?:the (?:right |correct )?(?:answer|conclusion) is|what is (?:certain|clear|sure)(?: now)? is(?: only)?"
            "|in particular)(?: that)?",
            "it (?:is|must be) (?:clear|certain|established|known|the case|true|settled)(?: that)?|it must be that",
        )
    )
    + r")(?:[,:] ?| |$)"
)
DENIAL = re.compile(f"{one_of(phrases.DENIALS)} ")
ADVERB = re.compile(rf"\b(?<!not )(?:{one_of(phrases.ADVERBS)}|by (?:clues?|steps?) {NUMBERS})\b ?")
VERB_NEXT = "(?:is|was|must|cannot|could|has|killed|took|happened|moved|are|were)"
JOINT = re.compile(  # splits a sentence into clauses
    "|".join(
        (
            rf"(?:^|,? ){one_of(phrases.JOINTS)},? ",
            r",? (?:and )?(?:it|this|that) (?:then )?(?:also )?(?:follows|means|implies)(?: that)? ",
            r"; ?|: |,? i\.e,? | (?:->|=>|→|⇒|—|–) ",
            r", as (?=<|the )",
            r"^as (?=<|the )",
            r", (?=the murder|(?:the |a )?suspect motivated)",
            rf", (?=(?:the )?<[SWB]\d+> {VERB_NEXT}\b)",
            r",? and (?=(?:the )?(?:<[SWB]\d+>|murder\w*(?: weapon| room| time| motive)?"
            rf"|suspect motivated by <M\d+>)(?:'s motive)? {VERB_NEXT}\b)",
        )
    )
)

LISTS = re.compile(",? (?:and )?")  # joints that may stand between the names of one clause ("two of Plum, Green and White")
PIECE_LAST = re.compile(r"(?:<[SWB]\d+>|murderer|murder weapon) ?$")
VERB = re.compile(  # in a whole clause, unlike "two of Plum", "the one who met Plum"
    r"(?:(?!\bwho| (?:that|which|where) ).)*?\b(?:is|was|are|were|being|has|have|had|must|can|cannot|could|did|does|do|will"
    r"|moved?|went|walked|took|carried|brought|met|shared|stay(?:s|ed)|remain(?:s|ed)|lies|stands|start(?:s|ed)|end(?:s|ed)"
    r"|left|gets?|needs?|fits?|takes?|ma[dk]es?|gives|leaves|puts|places|forces|means|implies|shows|proves|tells|says|requires"
    r"|rules|know|follows|happened|occurred|died|killed|murdered|s?he's)\b"
)

EITHER = r"(?:^|\b(?:so|that|have|means) )either"
OR = re.compile(r"[^\w<]*(?:(?:and|but)[ /])?(?:x?or|else)\b")  # begins a clause or a line that is an alternative to others
ENDS_IN_OR = re.compile(rf"(?:\bx?or|{EITHER})[^\w>]*+$|^either\b(?!.* or )")  # one to which the next is an alternative
TWO_CLAUSES = re.compile(r" if and only if | or (?!(?:(?:in|at|by) )?(?:the )?<[RMT])")

COLON = re.compile(": | [—–] ")
HALF = r"(?:the )?(?:first|second|other|left|right)(?:-hand)?(?: half| part| side| one)?(?: of (?:it|the clue|clue \d+))?"
LABEL = re.compile(  # before a colon; what comes after it is asserted
    rf"(?:(?:(?:(?:we|i)'ve|{one_of(phrases.LABELS)}|<\w\d+>(?:'s)?|c?\d[\d.]*[a-z]?)(?!\w)|[&+/#.,()-]) ?)*+"
    rf"|{HALF} (?:holds|must hold|(?:is|must be) (?:true|the true one|satisfied))|it (?:is|must be) (?:{HALF}|\(\w\))"
)

NOT_THAT = re.compile(r"(?>[^<]*?\b(?:no|not|cannot|never|nothing|nobody)\b)[^<]*\bthat\b")  # "it does not follow that"
DENIES_ALL = re.compile(r"(?:,? ?(?:and|but|while|whereas),?|,) ")  # joints after which a denial may go on, or may not
QUANTIFIED = re.compile(  # "everyone but Plum"
    rf"\b(?:(?:all|no(?:body| one|thing|ne)|(?:any|every|some)(?:one|body|thing)"
    rf"|(?:every|all|no) \w+) (?:but|except(?: for)?|besides|other than|apart from)) {NAME_NEXT}"
)

# ---------------------------------------------------------------- a sentence that asserts nothing

HEDGE, CONDITION = one_of(phrases.HEDGES), one_of(phrases.CONDITIONS)
IMPLICIT_CONDITION = (  # "Given Plum in the Hall, …", "Were Plum in the Hall, …", "For Plum to be there, …"
    r"(?:^|(?:[,;:→—–]|[-=]>) )(?:(?:so|but|and|now|then),? )?"
    rf"(?:given|granted|granting|with|were|had|once|say|let|take|taking|picture)(?: it)?(?: that)?,? {NAME_NEXT}"
    r"|^(?:first|second|third|fourth|fifth|next|last)(?:ly)? ?[:—–]"
    r"|\bin the (?:first|second|third|former|latter)\b(?! place)|\bunder \w+[,:]"
    r"|\bfor (?:(?:the )?<\w+>|this|that|it|which) to\b"
    r"|(?:^|(?:[,;:→—–]|[-=]>) |\b(?:so|but|and|now|then) )(?:(?:had|were) (?:he|she|it|they)\b|h\d+[:)]"
    r"|(?:not|not both|at most \w+|(?:\w+ )?(?:myth|tempting|unproven|question|todo|draft|query))(?: \w+)? ?:)"
    r"|\b(?:under|in|for|with) (?:\([a-z\d]+\)|(?:scenario|case|option|possibility) \w+)"
)
NOT_ASSERTED = re.compile(
    rf"\b(?:{HEDGE}|{CONDITION}|{one_of(phrases.QUOTATIONS)}|{one_of(phrases.PLANS)}"
    r"|(?:one of (?:these|them|the)|(?:gives?|leaves?) (?:two|three|several)))\b"
    r"|\bexactly one|\b(?:options|alternatives|possibilities):"
    rf"|[\"“”«»„‘?❓❔🤔]|(?<![\w>])'|{IMPLICIT_CONDITION}"
)
DOUBTED = re.compile(rf"\b(?:{HEDGE}|{CONDITION})\b|\?|{IMPLICIT_CONDITION}")  # and what elaborates it asserts nothing either
UNSURE = re.compile(  # nor does what follows from it, unless "would" shows that it is refuted
    r"\b(?:if|maybe|perhaps|might|possibly|probably|presumably|guess|for (?:instance|example)|e\.g)\b(?!.{0,100}\bwould\b)"
)
ELABORATES = re.compile(
    r"(?:and )?(?:then|(?:this|that|which|it)(?: then| also)? (?:means|implies|gives|puts|places|leaves|forces|makes))\b"
)
FOLLOWS = re.compile(
    r"(?:and )?(?:(?:so|thus|hence|therefore|consequently|accordingly|meaning|as a result|it follows)\b|→|⇒|=>|->|∴)"
)
BUT = re.compile(r"(?:hmm,? |oh,? )?(?:but|however|yet)\b")
IF = re.compile(r"(?:(?:so|but|and|now|then|also|first|next|again),? )*+(?:even )?(?:if|otherwise|or else|unless)\b")
IF_CLAUSE = re.compile(r"(?:(?!, | then\b)[^:])*+")  # what follows "if"
RESUMES = re.compile(r"(?:but|however|yet|since|because|by|from|clues?|now|still|(?:as )?we|given|in fact)\b")

HEADS_LIST = re.compile(rf"(?::|\bthen|{EITHER}|→|⇒|=>|->)$")  # a line that may head a list
CONTINUES = re.compile(r"(?:,|\bthen|→|⇒|=>|->)$")  # a line whose sentence ends on the next one
POSSIBILITIES = re.compile(
    r"\b(?:either|options?|cases?|choices?|alternatives?|one (?:of|must|has|is|holds)|two|three|four|could|can)\b"
)
ANNOUNCES_CASES = re.compile(
    r"\b(?:two|three|four|several|following|these|possible) (?:cases|options|possibilities|scenarios|alternatives|choices)\b"
)

# ---------------------------------------------------------------- a supposition, which holds until it is closed

NUMBER = r"(?:\d[\d.]*[a-z]?|[a-z]\d*|[ivx]+|one|two|three|four|five)"
CASE = one_of(phrases.CASES)
ALTERNATIVE = re.compile(  # one of several cases: it ends where the next one begins
    rf"\b{CASE} (?:\({NUMBER}\)|#?{NUMBER}\b)(?! (?:seems|looks|works|holds|survives|remains|wins)\b)"
    rf"|\b(?<!only )(?:first|second|third|fourth|next|other|another|last|remaining|final) {CASE}\b"
    rf"|\b(?:the )?{CASE}(?: ?[:—–]| - )|(?<!this )(?<!that )(?<!which )\bcase {NAME_NEXT}"
    rf"|\b(?:path|route|world|way|model|timeline|set-?up|version|draft|arrangement|assignment) {NUMBER}(?: ?[:—–]| - )"
    rf"|\b(?:take|taking|try|trying|test|testing|check|checking|consider|assume|suppose|under|in|for|with|now) \({NUMBER}\)"
)
SUPPOSES = re.compile(
    rf"\b{one_of(phrases.SUPPOSITIONS)}"
    r"|\b(?:try|trying|test|testing|checking|explore|exploring|(?:start|begin|go)(?:ing)? with)\b"
    rf"(?: (?:that|with|putting|it))* ?(?={NAME_NEXT}|[:—–-])"
    r"|(?:^|(?:[,;:→—–]|[-=]>) )(?:(?:so|now|okay|ok|well|but|and|then),? )?say\b"
    rf"|{ALTERNATIVE.pattern}"
)
SUPPOSITION_START = re.compile(rf"(?:{SUPPOSES.pattern})\w*(?: that| for contradiction| for the sake of argument)*[:,]? ?")
SPLITS_CASES = re.compile(r"\bcase (?:split|analysis|distinction|work)|\bby cases\b|\bsplit(?:ting)? (?:on|into)\b")
INSTEAD = re.compile(r"\b(?:instead|alternatively|on the other hand|next|conversely)\b")
PARAGRAPH_LABEL = re.compile(r"(?:the )?(?:murder(?:er)?|(?:murder )?(?:weapon|room|time|motive)) ?= ?(?:the )?<")
CONCLUDES = re.compile(r"(?:^|[,;:] )(?:so|therefore|thus|hence|that leaves|which leaves)\b")
CLOSES_CASES = re.compile(
    r"(?:so |thus |hence |therefore )*(?:in (?:both|either|all|every|any)(?: of the)? cases?|either way),? ?"
)

# ---------------------------------------------------------------- a rejection of what is said, there or before

CONTRADICTION, REFUSAL = one_of(phrases.CONTRADICTIONS), one_of(phrases.REFUSALS)
DROPPED = one_of(phrases.DROPPED)  # rejects what comes before it, unless a name follows
CROSS_SIGN = re.compile(r"[✗✘✖✕❌❎☒⨯×🚫⛔👎↯⊥⚡💥🛑☠]|⇒⇐|→←|(?:^|[-•.)] )\[ \] ")
REJECTS = re.compile(
    rf"\b(?:(?P<contradiction>{CONTRADICTION})|{REFUSAL}|{DROPPED}(?! (?:that |the )?<))\b|{CROSS_SIGN.pattern}"
    r"|(?:(?<=[:;→—–>-])|(?<=[:;→—–>-] )|^)(?:no|not|out|x|n/a)(?=$|[.,;!)]| \()"
    r"|\bso,? no(?=[.!]*$)"
    r"|^(?:reject|discard|scrap|cancel|drop)\b(?=[.!]|$| (?:it|this|that)\b)"
    r"|\bc(?:an|ould )not be(?: (?:so|it|valid|right|correct|true|possible|the case))?(?=$|[.,;:!)])"
    r"|\bbut (?:by |from |per )?clues? \d"
)
NO_REJECTION = re.compile(  # "no contradiction", "by contradiction"
    r"\b(?:no|any|without|never|avoid\w*|nor|not) (?:a |any |other |further |direct |the )*"
    r"(?:contradict\w*|conflict\w*|violat\w*|inconsisten\w*|fail|clash)|\b(?:for|towards?|by)(?: a)? contradiction"
)
NEGATES = re.compile(  # as a title, or in the head of a table
    r"^(?:.*\b(?:so|hence|therefore|thus)\b)?+"
    r".*\b(?:no|not|cannot|never|none|neither|nobody|nothing|nowhere|without|lacks?|errors?|mistakes|lies?|myths?|traps?|exclusions?)\b"
)
SETS_ASIDE = re.compile(  # as a title of what stands below it
    r"^(?!.*\?|[^a-z]*(?:who|what|where|when|why|which|how)\b)"
    rf".*(?:\b(?:{HEDGE}|un(?:proven|verified|confirmed|used))\b|{REJECTS.pattern})"
)
BRACKETED_REJECTION = re.compile(  # after a statement, in brackets
    r"\((?:not|or|no|so not|then)\b"
    r"|\((?:[^()]*\b)?(?:suppos\w+|assum\w+|trial|test|tentative\w*|unverified|unconfirmed|to be|guess\w*|hypothe\w+)\b"
)
BOUNDARY = re.compile(r"[,;:—–→⇒(]|->|=>| - |, as\b|\b(?:but|which|because|since|and (?:this|that|it|so))\b")  # of clauses
REASONS = ("because", "since", ", as")  # what is rejected after one of these is a reason for what comes before it
AFTER_REJECTION = re.compile(  # what follows it is asserted again
    r"(?:^|[,;:—–]? )(?:and )?(?:so(?! that)|hence|therefore|thus|consequently|which means|meaning)\b|→|⇒|->|=>|∴"
)
DISCHARGES = re.compile(  # "so the assumption is false"
    rf"\b(?:assumption|supposition|hypothesis|premise|guess|{CASE})\b[^<]{{0,60}}\b(?:{CONTRADICTION}|{REFUSAL}|{DROPPED})\b"
)
CORRECTS = re.compile(
    rf"(?:(?:but|hmm+|oh|ah|ok|okay|so),? )*+(?:{one_of(phrases.CORRECTIONS)}(?:[,:.!…—–-]+ ?|$)|(?:no,? wait|wait,? no) )"
)
WITHDRAWS = re.compile(
    rf"\b(?:{one_of(phrases.WITHDRAWALS)}"
    r"|(?:that|this|it) (?:is|was) (?:only |just |merely )?(?:one|a|an|the (?:first|second|other|next)|my) (?:\w+ )?"
    r"(?:scenario|option|case|possibility|way|guess|assumption|hypothesis|idea|supposition|speculation)"
    r"|^(?:but|however|yet|except that|although|though),? (?:then"
    r"|(?:the )?(?:clues?|rules?)(?: \d+)? (?:says?|states?|puts?|places?|requires?|forbids?|has)"
    r"|(?:that|this|it) (?:is|was|would|cannot|does not|has|leaves no)))\b"
    r"|\b(?:no|without) (?:\w+ )?(?:contradictions?|conflicts?|problems?)(?: (?:so far|yet|here))"
    r"|\b(?:that|this|it) (?:works|is (?:still |at least )?(?:possible|plausible|conceivable|feasible))\b"
    r"|(?:^|[,;—–-] ?)(?:\w+,? ){0,4}so,? no[.,;!]*$"
    r"|^(?:(?:hmm|but|and|well|oh),? )*+(?:that|this|which|it|then [^.]{0,60}) would\b"  # what a supposition would lead to
    r"|^(?:and |but )?x?or\b"
    r"|^(?=[^<]*+$)(?:but|yet|however|hmm),? .{0,80}\b(?:nobody|no one|none|nothing|cannot|could not|not|no|never|two|three)\b"
)

# ---------------------------------------------------------------- lines

ABBREVIATION = re.compile(r"\b(e\.g|i\.e|cf|vs)\.")  # which does not end a sentence
LETTERED_CASE = re.compile(r"\W*(?:[a-h]|i{1,3}|iv|v)\)[:.]? ")  # "(a)", "b)"
ANSWER_LINE = re.compile(r"[a-z]\. ?<\w+>\.?")  # of the answer sheet, which is graded elsewhere
HEADING = re.compile(r"(?P<level>#+) |(?:step|part|phase) \d")
FINAL_PART = re.compile(  # no supposition outlives it
    r"\W*(?:\(/think>|final (?:answer|solution|conclusion|deduction)s?\b|in (?:conclusion|summary)\b"
    r"|(?:the )?(?:conclusions?|summary|solution|answers?)\W*$)"
)
