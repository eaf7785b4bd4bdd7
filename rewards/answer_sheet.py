"""The answer forms that the grader accepts: for each question the one option that a completion gives as its answer, or None.

**Which lines are answers.** An answer line starts with a question's letter and a mark (`A.` `A)` `(A)` `A:` `A -` `A |`
`"A":` …); before the letter there may only be signs, numbering, tags and words such as "Answer". Lines whose letters ascend
form a sheet. A letter that does not ascend starts the next sheet, unless it repeats the letter before it with nothing in
between, which answers the same question twice. The last sheet with more than half of the letters counts, so neither an
earlier draft nor a later remark ("A. was the hardest") does; if no sheet has that many, the last of those with the most
letters counts. A letter without a line of its own is looked for in the line of the letter before it ("A. … B. …", JSON), and
the answer of a line that has none on the lines below it, up to the next letter.

**Which answer a line gives.** A line answers its question if, after an optional label or the question itself, it names one
option and ends there, or continues with a reason after a comma, full stop, dash or bracket. It gives no answer if it also
names another option, except in a reason; if anything in it takes the answer back or leaves it open ("X or Y", "not X", "maybe
X", "X?", "X, or so"); or if a line below it, before the next letter, gives another answer (a list, "or Y", "Second guess:
Y"). Anything that is not clearly an answer is not one. How a text is read never depends on what is right, so no text earns
more than one guess per question.

Time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rewards.spellings import TITLES, WORD, Options, normalize

TAIL_CHARS = 4_000  # at the end of a text, which are searched first
MAX_ANSWER_CHARS = 2_000  # of a line of an answer, with its reason
MAX_ITEM_CHARS = 60  # of an item of a list


@dataclass(frozen=True)
class Question:
    """What can answer a question, and the normalized words around its answer in a sentence ("rope was ", " at 11 pm")."""

    options: Options
    before: str = ""
    after: str = ""

    @cached_property
    def label(self) -> re.Pattern | None:
        """Who or what the question is about, and perhaps when, before a colon or dash or in brackets ("Rope at 11 pm:")."""
        what = re.sub(r" (?:was|is motivated by) ?$", "", self.before) if self.before else self.after
        if not what or "boddy" in what:
            return None
        when = _spaced_words(self.after) if self.before else ""
        when = rf"(?:\W{{0,3}}(?:(?:was )?at )?{when.removeprefix('at[^a-z0-9]+')})?" if when else ""
        who = rf"(?:the )?(?:suspect motivated by )?{_spaced_words(what)}(?:'s (?:location|room|motive))?"
        who = rf"(?:(?:the )?(?:location|place|room|motive) of )?{who}"
        return re.compile(rf"[(\[]?{who}{when}(?: was\b)?\s?(?:[)\]:→=]+|[–—-]\s)\W*")


def _spaced_words(text: str) -> str:
    """A pattern of the words of a text, whatever comes between them."""
    return "[^a-z0-9]+".join(map(re.escape, WORD.findall(text)))


def read_answers(text: str, questions: Sequence[Question]) -> list[str | None]:
    """For each question the option that a text gives as its answer; None if it gives none, or not clearly one."""
    sheet = final_sheet(text, len(questions))
    answers: list[str | None] = []
    for number, question in enumerate(questions):
        given = [_answer_of_entry(entry, question) for entry in dict.fromkeys(sheet.get(number, ()))]
        answers.append(given[-1] if len({answer for answer in given if answer}) == 1 else None)
    return answers


# ---------------------------------------------------------------- which lines are answers

LEAD_WORDS = (  # may come before the letter
    "final|answers?|answering|questions?|q|sheet|solutions?|conclusions?|results?|summary|here|the|my|our|are|is|to|for|in|as|"
    "order|follows|letter|id|option|part|item|key|name|arguments|parameters|assistant|response|output|"
    "boxed|fbox|text|textbf|textit|mathbf|mathrm|begin|aligned|array|json|so,? the"
)
DOUBT_SIGNS = "?¬≠❌✗✘✖×🚫⛔👎❓❔🤔🤷~%"  # signs of doubt or denial
KIND_WORDS = (  # what an answer is called
    "suspect|murderer|killer|culprit|perpetrator|(?:murder )?weapon(?: used)?|murder (?:room|location|place|scene)|"
    "(?:room|location|place|scene)(?: of (?:the )?(?:crime|murder))?|crime scene|murder time|"
    "time(?: of (?:the )?(?:murder|death))?|murder motive|motive(?: (?:for|behind|of) the (?:murder|crime|murderer|killer))?|"
    "motivation|reason|answer|final answer|value|name|who|what|where|when|why"
)
CLOSING = r"[*_`\"'”’»$}\\]"
LETTER_END = (
    r"(?!\.[mMgGeE]\b)"  # not "a.m.", "e.g." or "i.e."
    rf"(?:[^\S\n]*+\((?i:(?:the )?(?:{KIND_WORDS})|wh[^()\n]{{0,100}}\?)\))?+{CLOSING}*+"  # "A (SUSPECT):"
    r"(?:[^\S\n]*+(?:[.):\]|=&>。】⟩、→⇒–—−]|->|-(?=[\sA-Z0-9])|,(?=[A-Z0-9\"])|(?=\n|$))"
    r"|[^\S\n]++is\b|(?=\t)|(?<=[*_`\"'”’»])(?=[\s,]))"
)
ANSWER_LINE = re.compile(
    rf"\n(?:\[[xX]\]|\{{[lcr|]++\}}|[^A-Za-z0-9\n{DOUBT_SIGNS[:-2]}]|\d++[.):]|(?i:{LEAD_WORDS})(?![A-Za-z])|Q(?=[A-Z]\W))*+"
    rf"([A-Za-z]){LETTER_END}(?:[^\S\n]*+\1{LETTER_END})?+"
)
INLINE_LETTER = re.compile(
    rf"(?:\b(?i:and|final|answer|question|to|q)\b[^\w\n]*+){{0,3}}+(?<![A-Za-z0-9.])([A-Za-z]){LETTER_END}"
)
WIDE_TABLE = re.compile(  # with the letters in its first row and the answers in the next one
    r"\n([^\n|\w]*\|(?:\s*\w{2,}\s*\|)?[^\n|\w]*A[^\n|\w]*\|[^\n|\w]*B[^\n|\w]*\|[^\n]*)\n(?:[^\w\n]*\n)?([^\n]*\|[^\n]*)"
)
ANSWER_TAG = re.compile(r"</?(?:final_)?answers?>", re.IGNORECASE)
BLOCK_TAG = re.compile(r"<(?:/?(?:p|div|tr|li|[uo]l|table|tbody|thead|h\d)|br ?/?)(?:\s[^<>\n]*)?>")
CELL_TAG = re.compile(r"</?t[dh](?:\s[^<>\n]*)?>")
INLINE_TAG = re.compile(r"</?(?:b|i|u|em|strong|span|font|code|mark|center|sub|sup)(?:\s[^<>\n]*)?>")
LIST_ITEM = re.compile(r"[^\w.:?!]*(?:\d+[.)]\s*)?[\w\s.'’:]*[^\w?!:]*$")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]+")
HTML_SPACE = re.compile("&(?:nbsp|ensp|emsp|thinsp|#160|#xa0);", re.IGNORECASE)
FULL_WIDTH = re.compile("[\uff01-\uff5e]")  # full-width Latin letters and signs


@dataclass(slots=True)
class AnswerLine:
    """An answer line: its question's number and letter, and where the line, its answer and the line break after it begin."""

    number: int
    letter: str
    begin: int
    start: int
    end: int


def final_sheet(text: str, questions: int) -> dict[int, list[str]]:
    """The sheet that counts: for each question's number its entries, usually one.

    An entry is what follows the letter together with the lines below, up to the next letter; below the last letter, up
    to the end of the paragraph and of a list that follows it. A sheet that lacks some letters is completed by the sheet before
    it if that has exactly those ("Bonus answers first: F. …").
    """
    size = TAIL_CHARS
    while True:  # the end of the text first, since that is usually enough
        first = text.find("\n", len(text) - size) + 1 if size < len(text) else 0
        size *= 8
        if first or size >= 8 * len(text):
            tail = _as_lines(text[first:])
            sheets = _sheets(tail, questions)
            best: dict[int, list[str]] = {}
            stop = len(tail)
            for i in range(len(sheets) - 1, 0 if first else -1, -1):  # the first one may have begun earlier
                sheet = _entries(tail, sheets[i], stop, questions)
                stop = sheets[i][0].begin
                if len(sheet) > len(best):
                    best = sheet
                if 2 * len(sheet) > questions:
                    if len(sheet) < questions and i:
                        if first and i == 1:
                            break
                        missing = _entries(tail, sheets[i - 1], stop, questions)
                        if len(missing) + len(sheet) == questions and not missing.keys() & sheet.keys():
                            sheet |= missing
                    return sheet
            if not first:
                return best


def _sheets(text: str, questions: int) -> list[list[AnswerLine]]:
    """The answer lines of a text, sheet by sheet."""
    sheets: list[list[AnswerLine]] = []
    before = None
    for match in ANSWER_LINE.finditer(text):
        number = ord(match[1].upper()) - 65
        if number >= questions:
            continue
        end = text.find("\n", match.end())
        line = AnswerLine(number, match[1], match.start(), match.end(), len(text) if end < 0 else end)
        if before and (number > before.number or (number == before.number and not text[before.end : line.begin].strip())):
            sheets[-1].append(line)
        else:
            sheets.append([line])
        before = line
    return sheets


def _entries(text: str, sheet: list[AnswerLine], stop: int, questions: int) -> dict[int, list[str]]:
    """The entries of a sheet, as `final_sheet` returns them; the next sheet begins at `stop`."""
    entries: dict[int, list[str]] = {}
    for line, after in zip(sheet, [*sheet[1:], None], strict=True):
        number, start, last = line.number, line.start, after.number if after else questions
        if last > number + 1:  # the letters between this line's and the next one's may be within it
            for inner in INLINE_LETTER.finditer(text, line.start, line.end):
                found = ord(inner[1]) - ord(line.letter) + line.number
                if number < found == number + 1 < last or line.number == found < number:  # the next one, or all once more
                    entries.setdefault(number, []).append(text[start : inner.start()])
                    number, start = found, inner.end()
        end = after.begin if after else stop
        entries.setdefault(number, []).append(text[start:end] if after else _paragraph(text, start, line.end, end))
    return entries


def _paragraph(text: str, start: int, end: int, stop: int) -> str:
    """The last entry of a sheet: its line, the paragraph below, and the short lines of a list, which may have blank lines
    between them. What follows that is not part of the sheet.
    """
    answered = WORD.search(text, start, end) and not text[start:end].rstrip(" \t*_`|").endswith(("?", ":"))
    gap = False
    while end < stop:
        after = text.find("\n", end + 1, stop)
        after = stop if after < 0 else after
        line = text[end + 1 : after]
        if not line.strip():
            gap = True
        elif (gap and answered and not (len(line) < MAX_ITEM_CHARS and LIST_ITEM.match(line))) or ANSWER_LINE.match(text, end):
            break
        else:
            answered, gap = True, gap and not answered
        end = after
    return text[start:end]


def _as_lines(text: str) -> str:
    """A text with a line break before its first line, HTML turned into lines and cells, and no invisible characters."""
    if "&" in text:
        text = HTML_SPACE.sub(" ", text)
    if "<" in text:
        text = INLINE_TAG.sub("", CELL_TAG.sub("|", BLOCK_TAG.sub("\n", ANSWER_TAG.sub("\n", text))))
    if not text.isascii():
        text = FULL_WIDTH.sub(lambda wide: chr(ord(wide[0]) - 0xFEE0), INVISIBLE.sub("", text))
    text = "\n" + text
    return WIDE_TABLE.sub(_transposed, text) if "|" in text else text


def _transposed(table: re.Match) -> str:
    """A table with a column for each question, as answer lines."""
    letters, answers = (row.strip().strip("|").split("|") for row in table.groups())
    return "".join(f"\n{letter} | {answer}" for letter, answer in zip(letters, answers, strict=False))


# ---------------------------------------------------------------- which answer a line gives

FILLER = rf"[^\w{DOUBT_SIGNS}!+/]*"
IS = "(?:is|was|must (?:be|have been))"
# What may come before a name: a label, the question, "in the"; and after it: "is the murderer", and a reason.
LEAD_IN = re.compile(
    rf"{FILLER}(?:(?:"
    r"(?:who (?:murdered|killed|is motivated by)|what (?:weapon|motivates)|where was|when did|why did)\b[^?\n]{0,100}?"
    r"(?:\?|:(?!\d)|\s[-–—|→=])|(?:who|what|where|when|why)\?|"
    r"(?:s?he|they|the (?:murderer|killer|culprit|perpetrator)) (?:was|were|used|acted|did it)\b|"
    rf"(?:(?:the murderer|(?:[a-z]+\.? )?[a-z]+)'s|his|her|their) (?:motive|weapon) {IS}\b|"
    r"(?:the )?murderer's (?:motive|weapon)(?=\s*[:=→|–—-])|"
    r"driven by\b|for\b|because\b(?= (?:s?he|they|the murderer) )|(?:room #?)?\d{1,2}[.)](?=\s)|room #?\d{1,2}(?=\s?[(:=–—-])|"
    rf"(?:the )?(?:correct )?(?:{KIND_WORDS})(?: {IS})?(?!\w)|(?:it|this|that) {IS}\b|"
    r"(?:mr\.? )?boddy was (?:murdered|killed)(?: by)?\b|(?:the )?murder (?:was committed|took place|happened|occurred)\b|"
    rf"(?:in|at|inside|with|using|motivated by|out of|because of|due to)\b|the\b(?! (?:{'|'.join(TITLES)})\b)|an?\b"
    rf"){FILLER})*+"
)
AFTER_NAME = re.compile(
    rf"(?: (?:did it|committed the murder|(?:killed|murdered) (?:him|(?:mr\.? )?boddy|the victim)|hours|hrs|sharp|exactly)\b"
    rf"|(?:'s| is| was) (?:guilty|(?:the )?(?:{KIND_WORDS}))\b(?: (?:drove|motivated) (?:him|her|them|the murderer)\b)?)?"
    r"(?=(?P<reason>\s*(?:[-–—(\[,.;:|→]\s*)*(?:because|since|given|due to|based on|per|according to|"
    r"(?:(?:from|by|as|see|via) )?clues?|by (?:process of )?(?:elimination|exclusion)|"
    r"as (?:per|he|she|it|they|all|the|only)|the only|thanks to)\b)?)"
)
# What follows an answer has to be separated from it, and may not hedge. Only a reason may contain a denial ("because it was not
# Green"). Only a reason, or a remark on where somebody was that claims nothing about the murder, may name another option.
SEPARATOR = re.compile(r"\s*(?://|[,.;:!|()\[\]–—→←\n…]|--|-\s)")
HEDGE = re.compile(
    r"\b(?:x?or|nor|either|neither|may|maybe|might|perhaps|(?<!only )possib\w*|probab\w*|(?:un)?likely|presum\w+|apparent\w*|"
    r"suppos\w+|seem\w*|appears?|arguabl\w+|surely|sure|would|should|could(?! not|n't)|guess\w*|ambiguous|tentative\w*|"
    r"un(?:sure|certain\w*|clear|known|decided|determined|confirmed|verified)|provisional\w*|placeholder|random\w*|coin|toss|"
    r"tb[dc]|confiden\w+|percent|chance|odds|think|believe|i suspect|feel|assum\w+|hypothe\w+|if|unless|except|but|however|"
    r"al?though|alternativ\w+|otherwise|instead|rather|actually|wait|hmm+|oops|scratch|correction|kidding|joke|versus|vs|wrong|"
    r"false|incorrect|mistake\w*|nope|then again|one of|on second thought|lean\w*|bet|certainty|(?:kind|sort) of|"
    r"i'd say|pending|subject to|for now|draft|disput\w*|question\w*|doubt\w*|speculat\w*|unproven|unresolved|weak|"
    r"(?<!only )(?<!only remaining )candidate|candidates|"
    r"inconclusive|approx\w*|roughly|almost|nearly|insufficient|in theory|default|arbitrar\w*|hope\w*|plausib\w*|"
    r"(?:less|more) than|"
    r"potential\w*|who knows|to be (?:checked|confirmed|determined|verified))\b"
)
DENIAL = re.compile(
    r"\b(?:not?|never|cannot|none|nobody|no one|\w+n't|impossib\w*|contradict\w*|exclud\w+|eliminat\w+|innocent|"
    r"ruled out|(?:is|are) out|others?|another|some(?:one|body)|any(?:one|body)|else|also|too|both|as well|etc)\b"
)
WHEREABOUTS = re.compile(r"\b(?:was|were|had|moved|went|stayed|carried)\b")
CLAIM = re.compile(r"\b(?:murder\w*|kill\w*|culprit|guilty|did it|answers?|weapon|motives?|(?:it|this|that) (?:is|was))\b")
IS_CLAIMED = re.compile(r"\W*(?:is|was|must be)?\s*(?:the )?(?:murderer|killer|culprit|guilty|did it|answer|murder weapon)\b")
LEAVES_OPEN = re.compile(
    r"\W*(?:or|else|maybe|perhaps|possibly|alternatively|otherwise|"
    r"(?:(?:i'm|i am|but|this is|it is|it's|just|only|not|a|an) ){0,4}(?:sure|unsure|(?:un)?certain|guess(?:ing)?))\b"
)
# A reason or remark denies nothing by saying only that there is no other answer, or where all the others were; and "100 %"
# leaves no doubt.
OPTION_WORDS = f"(?:{KIND_WORDS}|option|possibility|candidate|choice|one)"
NO_OTHERS = re.compile(
    r"\b(?:(?:nobody|no ?one|anyone|anybody|nothing) else(?: (?:could|can) (?:have )?(?:been|be|done|do)\b)?|"
    r"never (?:left|moved)\b|"
    rf"(?:the|all) other (?:(?:two|three|four|five|\d) )?(?:(?:{KIND_WORDS})s )?(?:were|had)\b"
    r"(?! (?:also|too|guilty|possible|not))|"
    rf"(?:every(?:one|body|thing) else|(?:all|every|each)(?: of)?(?: the)? others?(?: {OPTION_WORDS}s?| possibilities)?)"
    r"(?: (?:is|are|was|were|has been|have been|being))? (?:ruled out|eliminated|excluded|impossible)\b|"
    rf"no others?(?: {OPTION_WORDS}s?)? (?:works?|fits?|is (?:left|possible)|remains?|was (?:there|left|possible))\b|"
    r"otherwise,? clues? \d+(?: and \d+)? would be (?:violated|contradicted|broken)\b)|"
    r"(?<![\w.,-])(?<!not )100 ?%(?: (?:certain|sure))?"
)
BEFORE_REPEAT = re.compile(r"[\s=,.;:()\[\]|–—-]+(?:(?:in|at|with) )?(?:the )?")
# Lines below an answer that give another one: a list of names, a label with a name, "or", "also".
LIST_GLUE = re.compile(r"(?:[^\w]|\d+[.)]|(?:and|or|also|even|just|plus|then|the|an?|in|at|with|too|\d+ ?%)\b)*+")
LABEL = re.compile(r"[^:\n\d]{1,60}:(?!\d)")
ADDS_ANOTHER = re.compile(
    r"\b(?:also (?:possible|plausible|fits?|works?|an?|the)|"
    r"(?:could|might|may) (?:also|equally|(?:just )?as well|be|have done)|"
    r"maybe|perhaps|alternativ\w+|(?:is|are|remains?) (?:also |equally |just as )?(?:possible|plausible|likely)|did it too|"
    r"(?:second|next|other|another) (?:guess|choice|option|answer|candidate|possibility|one))\b"
)
STARTS_WITH_NO = re.compile(r"^\W*(?:no|if not)\b")
ANSWER_LABEL = re.compile(r"\W*(?:final |the |my |correct )*answer(?: is\b|\W{0,4}:)")


def _answer_start(text: str, question: Question) -> int:
    """Where in a normalized text the name of an answer would begin: after labels, the question and the words of a sentence."""
    start = LEAD_IN.match(text).end()
    if question.label and (label := question.label.match(text, start) or question.label.match(text)):
        start = LEAD_IN.match(text, label.end()).end()
    if question.before and text.startswith(question.before, start):
        start = LEAD_IN.match(text, start + len(question.before)).end()
    return start


def _answer_of_line(line: str, question: Question) -> str | None:
    """The one option that a line gives as the answer, or None."""
    text = normalize(line)
    if not (found := question.options.at(text, _answer_start(text, question))):
        return None
    name, end = found
    while (gap := BEFORE_REPEAT.match(text, end)) and (again := question.options.at(text, gap.end())) and again[0] == name:
        end = again[1]
    if question.after and text.startswith(question.after, end):
        end += len(question.after)
    after = AFTER_NAME.match(text, end)
    rest = text[after.end() :]
    if not WORD.search(rest):
        return None if any(sign in DOUBT_SIGNS for sign in rest) else name
    reason, remark = after["reason"], NO_OTHERS.sub(" ", rest)
    if not (reason or SEPARATOR.match(rest)) or any(sign in DOUBT_SIGNS for sign in remark):
        return None
    if HEDGE.search(remark) or (not reason and DENIAL.search(remark)):
        return None
    others = [*question.options.others(rest, name)]
    if others and not reason and (CLAIM.search(rest) or not WHEREABOUTS.search(rest)):
        return None
    return None if any(IS_CLAIMED.match(rest, end) for end in others) else name


def _gives_another(line: str, question: Question, name: str) -> bool:
    """Whether a line below an answer gives another option too, rather than a reason."""
    text = normalize(line)
    if LEAVES_OPEN.match(text):
        return True
    others = [*question.options.others(text, name)]
    if not others:
        return False
    for start in {0, *(label.end() for label in [LABEL.match(text)] if label and not DENIAL.search(label[0]))}:
        if _answer_of_line(text[start:], question) not in (None, name):
            return True
        end = LIST_GLUE.match(text, start).end()
        while found := question.options.at(text, end):
            end = LIST_GLUE.match(text, found[1]).end()
        if end == len(text):  # nothing but names
            return True
    if ADDS_ANOTHER.search(text) or any(IS_CLAIMED.match(text, end) for end in others):
        return True
    denied = DENIAL.search(STARTS_WITH_NO.sub("", text))
    remark = denied or WHEREABOUTS.search(text) or AFTER_NAME.match(text)["reason"] or "is motivated by" in text
    return len(text) < MAX_ITEM_CHARS and not remark


def _answer_of_entry(text: str, question: Question) -> str | None:
    """The answer of an entry: of its first line or, if that gives none itself, of the line below that begins with "Answer:", or
    else of the first line below. There is none if a later line gives another.
    """
    line, *below = text.split("\n")
    below = [other for other in below if other.strip()]
    if max(map(len, (line, *below))) > MAX_ANSWER_CHARS:
        return None
    first_line = normalize(line)
    if not WORD.search(first_line, _answer_start(first_line, question)):
        if not below:
            return None
        labelled = [i for i, other in enumerate(below) if ANSWER_LABEL.match(normalize(other))]
        first = labelled[0] if labelled else next((i for i, other in enumerate(below) if WORD.search(other)), 0)
        line, below = below[first], below[first + 1 :]
    answer = _answer_of_line(line, question)
    return None if answer and any(_gives_another(other, question, answer) for other in below) else answer
