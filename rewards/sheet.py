"""What a completion answers: for each question one of its candidates, or nothing.

**Which lines.** An answer line begins with a question's letter and a mark (`A.` `A)` `(A)` `A:` `A -` `A |` `"A":` …), behind
nothing but signs, numbering, tags and words such as "Answer". Lines whose letters ascend make a sheet; a letter that does
not begins the next one, but for the same letter again with nothing between, which answers the same question twice. The last
sheet with more than half of the letters counts, so that neither an earlier draft nor a remark afterwards ("A. was the
hardest") does; where no sheet has as many, the last of those with most. Letters that have no line of their own are looked
for in the line of the letter before ("A. … B. …", JSON), and the answer of a line that has none on the next line.

**Which answer.** A line answers if, after a label or the question itself, it names one candidate and ends, or goes on to say
why behind a comma, full stop, dash or bracket. It does not if it names another candidate too, other than in a reason, or if
anything in it takes the answer back or leaves it open ("X or Y", "not X", "maybe X", "X?", "X, or so"): what is not surely an
answer is none. How a text is read never depends on what is right, so whatever is written earns one guess a question at most.

Time is linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

TAIL = 4_000  # characters at the end of a text that are read first
LONGEST = 2_000  # characters of an answer with its reason

# ---------------------------------------------------------------- answer lines

WORDS = (
    "final|answers?|answering|questions?|q|sheet|solutions?|conclusions?|results?|summary|here|the|my|our|are|is|to|for|in|as|"
    "order|follows|letter|id|option|part|item|key|boxed|fbox|text|textbf|textit|mathbf|mathrm|begin|aligned|array|json|so,? the"
)
STRUCK = "?¬≠❌✗✘✖×🚫⛔👎❓❔🤔🤷~%"  # signs of doubt or denial
NOUNS = (
    "suspect|murderer|killer|culprit|perpetrator|murder weapon|weapon|murder room|room|location|place|crime scene|"
    "scene(?: of the (?:crime|murder))?|murder time|time(?: of (?:the )?(?:murder|death))?|motive|reason|answer|final answer|"
    "value|name|who|what|where|when|why"
)
CLOSING = r"[*_`\"'”’»$}\\]"
MARK = (
    rf"(?!\.[mM]\b)(?:[^\S\n]*+\((?i:(?:the )?(?:{NOUNS})|wh[^()\n]{{0,100}}\?)\))?+{CLOSING}*+"  # not "a.m."; "A (SUSPECT):"
    r"(?:[^\S\n]*+(?:[.):\]|=&>。】⟩、→⇒–—−]|->|-(?=\s)|(?=\n|$))|[^\S\n]++is\b|(?=\t)|(?<=[*_`\"'”’»])(?=[\s,]))"
)
LINE = re.compile(
    rf"\n(?:[^A-Za-z0-9\n{STRUCK[:-2]}]|\d++[.):]|(?i:{WORDS})(?![A-Za-z])|Q(?=[A-Z]\W))*+([A-Za-z]){MARK}(?:[^\S\n]*+\1{MARK})?+"
)
INNER = re.compile(rf"(?:\b(?i:and|final|answer|question|to|q)\b[^\w\n]*+){{0,3}}+(?<![A-Za-z0-9.])([A-Za-z]){MARK}")
ACROSS = re.compile(  # a table with the letters in its first row, and the answers in the next one
    r"\n([^\n|\w]*\|(?:\s*\w{2,}\s*\|)?[^\n|\w]*A[^\n|\w]*\|[^\n|\w]*B[^\n|\w]*\|[^\n]*)\n(?:[^\w\n]*\n)?([^\n]*\|[^\n]*)"
)
ANSWER = re.compile(r"</?(?:final_)?answers?>", re.IGNORECASE)
BLOCK = re.compile(r"<(?:/?(?:p|div|tr|li|[uo]l|table|tbody|thead|h\d)|br ?/?)(?:\s[^<>\n]*)?>")
CELL = re.compile(r"</?t[dh](?:\s[^<>\n]*)?>")
INLINE = re.compile(r"</?(?:b|i|u|em|strong|span|font|code|mark|center|sub|sup)(?:\s[^<>\n]*)?>")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]+")
NOT_SPACE = re.compile(r"\S")
WIDE = re.compile("[\uff01-\uff5e]")  # Latin letters and signs as wide as Chinese ones


@dataclass(slots=True)
class Line:
    """An answer line: its question's number and letter, and where the line, its answer and the line break after it begin."""

    number: int
    letter: str
    begin: int
    start: int
    end: int


def last_sheet(text: str, questions: int) -> dict[int, list[str]]:
    """The sheet of a text that counts: by the number of a question what stands behind its letter, mostly once, each time with
    the next line that has words after a line break, unless that is an answer line itself.
    """
    size = TAIL
    while True:  # from the end, since mostly that is enough
        first = text.find("\n", len(text) - size) + 1 if size < len(text) else 0
        size *= 8
        if first or size >= 8 * len(text):
            tail = _lay_out(text[first:])
            sheets = _sheets(tail, questions)
            best: dict[int, list[str]] = {}
            for run in reversed(sheets[1:] if first else sheets):  # the first one may have begun before
                sheet = _entries(tail, run, questions)
                if len(sheet) > len(best):
                    best = sheet
                if 2 * len(sheet) > questions:
                    return sheet
            if not first:
                return best


def _sheets(text: str, questions: int) -> list[list[Line]]:
    """The answer lines of a text, a list for each sheet."""
    sheets: list[list[Line]] = []
    before = None
    for match in LINE.finditer(text):
        number = ord(match[1].upper()) - 65
        if number >= questions:
            continue
        end = text.find("\n", match.end())
        line = Line(number, match[1], match.start(), match.end(), len(text) if end < 0 else end)
        if before and (number > before.number or (number == before.number and not text[before.end : line.begin].strip())):
            sheets[-1].append(line)
        else:
            sheets.append([line])
        before = line
    return sheets


def _entries(text: str, sheet: list[Line], questions: int) -> dict[int, list[str]]:
    """What stands behind each letter of a sheet, as `last_sheet` gives it."""
    entries: dict[int, list[str]] = {}
    for line, after in zip(sheet, [*sheet[1:], None], strict=True):
        number, start, last = line.number, line.start, after.number if after else questions
        if last > number + 1:  # the letters between this line's and the next one's may stand within it
            for inner in INNER.finditer(text, line.start, line.end):
                found = ord(inner[1]) - ord(line.letter) + line.number
                if number < found == number + 1 < last or line.number == found < number:  # the next one, or all once more
                    entries.setdefault(number, []).append(text[start : inner.start()])
                    number, start = found, inner.end()
        below = "" if after and after.begin == line.end else _below(text, line.end)
        entries.setdefault(number, []).append(text[start : line.end] + below)
    return entries


def _below(text: str, end: int) -> str:
    """The next line that is not empty, if it is no answer line, with the line breaks before it."""
    first = NOT_SPACE.search(text, end)
    if not first or LINE.match(text, start := text.rfind("\n", 0, first.start())):
        return ""
    stop = text.find("\n", first.start())
    return text[end:start] + text[start : min(len(text) if stop < 0 else stop, start + LONGEST)]


def _lay_out(text: str) -> str:
    """The text with a line break before its first line, HTML as lines and cells, and without invisible characters."""
    if "<" in text:
        text = INLINE.sub("", CELL.sub("|", BLOCK.sub("\n", ANSWER.sub("\n", text))))
    if not text.isascii():
        text = WIDE.sub(lambda wide: chr(ord(wide[0]) - 0xFEE0), INVISIBLE.sub("", text))
    text = "\n" + text
    return ACROSS.sub(_down, text) if "|" in text else text


def _down(table: re.Match) -> str:
    """A table that has a column for each question, as answer lines."""
    letters, answers = (row.strip().strip("|").split("|") for row in table.groups())
    return "".join(f"\n{letter} | {answer}" for letter, answer in zip(letters, answers, strict=False))


# ---------------------------------------------------------------- names

TITLES = {
    "mr": ("mister",), "mrs": ("missus",), "miss": (), "ms": (), "colonel": ("col",), "professor": ("prof",),
    "sgt": ("sergeant",), "monsieur": (), "madame": ("mme",), "dr": ("doctor",), "captain": ("capt",), "reverend": ("rev",),
}  # fmt: skip
TIME = re.compile(
    r"(?P<word>midnight|noon)\b|(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d\d)(?::00)?)?(?:\s*(?P<half>[ap])(?:\.\s?m\b\.?|\s?m\b))?(?![\w:])"
)
GAP = re.compile(r"[\s.'’-]*")
WORD = re.compile(r"[^\W_]+")
MOST_WORDS = 5  # in a name


class Names:
    """The candidates of a question, and how they may be called.

    Args:
        candidates: all of one kind.
        known: whether these are all that there are, so that a surname alone can be told to be unambiguous.
    """

    def __init__(self, candidates: Iterable[str], known: bool = True):
        self.candidates = tuple(candidates)
        spelled: dict[str, set[str]] = {}
        for name in candidates:
            title, *rest = WORD.findall(plain(name)) or [""]
            titles = [title, *TITLES.get(title, ())] if rest else [title]
            for spelling in [*titles, *([""] if known and rest and title in TITLES else [])]:
                spelled.setdefault(spelling + "".join(rest), set()).add(name)
        self.by_spelling = {spelling: names.copy().pop() for spelling, names in spelled.items() if len(names) == 1}
        self.by_minute = {minute: name for name in candidates for minute in minutes(TIME.fullmatch(plain(name)))}

    def at(self, text: str, start: int) -> tuple[str, int] | None:
        """The candidate that a plain text names from `start` on, by its longest spelling, and where its name ends."""
        if self.by_minute:
            match = TIME.match(text, start)
            named = {self.by_minute[minute] for minute in minutes(match) if minute in self.by_minute}
            return (named.pop(), match.end()) if len(named) == 1 else None
        spelling, end, found = "", start, None
        for _ in range(MOST_WORDS):
            word = WORD.match(text, end if not spelling else GAP.match(text, end).end())
            if not word:
                break
            spelling, end = spelling + word[0], word.end()
            if spelling in self.by_spelling:
                found = self.by_spelling[spelling], end
        return found

    def others(self, text: str, name: str) -> Iterator[int]:
        """Where in a plain text the names of candidates other than `name` end, of times that may be another too."""
        if self.by_minute:
            for match in TIME.finditer(text):
                if any(self.by_minute.get(minute, name) != name for minute in minutes(match)):
                    yield match.end()
        else:
            for word in WORD.finditer(text):
                if (found := self.at(text, word.start())) and found[0] != name:
                    yield found[1]


def minutes(match: re.Match | None) -> list[int]:
    """The minutes after midnight that a time may mean: two without AM or PM, unless the hour is one of 24."""
    if not match:
        return []
    if match["word"]:
        return [0 if match["word"] == "midnight" else 720]
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if not (match["minute"] or match["half"]) or minute > 59 or hour > 24:
        return []
    if match["half"]:
        return [hour % 12 * 60 + minute + 720 * (match["half"] == "p")] if 1 <= hour <= 12 else []
    if 1 <= hour <= 12:
        return [hour % 12 * 60 + minute, hour % 12 * 60 + minute + 720]
    return [hour % 24 * 60 + minute]


# ---------------------------------------------------------------- one answer

LATEX = re.compile(r"\\(?:text\w*|math\w*|boxed|fbox|mbox|bf|it|rm|quad|qquad|end|[^a-z])|[{}$]|(?<=[\w.])~(?=\w)")
TAG_END = re.compile(r"</[^<>\n]*>")
MARKDOWN = re.compile(r"[*_`\"“”„«»<>#^&]+")
JUNK = rf"[^\w{STRUCK}!+/]*"
# What may stand before a name: a label, the question, "in the"; and behind it: "is the murderer", and why.
PREFACE = re.compile(
    rf"{JUNK}(?:(?:"
    r"(?:who (?:murdered|killed|is motivated by)|what (?:weapon|motivates)|where was|when did|why did)\b[^?\n]{0,100}?"
    r"(?:\?|:(?!\d)|\s[-–—|→=])|(?:who|what|where|when|why)\?|"
    rf"(?:the )?(?:{NOUNS})(?: (?:is|was))?(?!\w)|(?:it|this|that) (?:is|was)\b|"
    r"mr\.? boddy was (?:murdered|killed)(?: by)?\b|(?:the )?murder (?:was committed|took place|happened|occurred)\b|"
    rf"(?:in|at|inside|with|using|motivated by|out of|because of|due to)\b|the\b(?! (?:{'|'.join(TITLES)})\b)|an?\b"
    rf"){JUNK})*+"
)
AFTER = re.compile(
    rf"(?: (?:did it|committed the murder|(?:is|was) (?:the )?(?:{NOUNS})|hours|hrs)\b)?"
    r"(?=(?P<why>\s*(?:[-–—(\[,.;:|→]\s*)*(?:because|since|given|due to|based on|per|according to|"
    r"(?:(?:from|by|as|see|via) )?clues?|by (?:process of )?(?:elimination|exclusion)|"
    r"as (?:per|he|she|it|they|all|the|only)|the only|thanks to)\b)?)"
)
# What follows an answer has to stand apart from it. No word of HEDGE may be in it; one of DENIAL only in a reason ("because it
# was not Green"); another candidate only in a reason, or in a remark on where it was (ASIDE) that makes no CLAIM.
SEPARATED = re.compile(r"\s*(?://|[,.;:!|()\[\]–—→←\n…]|--|-\s)")
HEDGE = re.compile(
    r"\b(?:x?or|nor|either|neither|may|maybe|might|perhaps|(?<!only )possib\w*|probab\w*|(?:un)?likely|presum\w+|apparent\w*|"
    r"suppos\w+|seem\w*|appears?|arguabl\w+|surely|sure|would|should|could(?! not|n't)|guess\w*|ambiguous|tentative\w*|"
    r"un(?:sure|certain\w*|clear|known|decided|determined|confirmed|verified)|provisional\w*|placeholder|random\w*|coin|toss|"
    r"tb[dc]|confiden\w+|percent|chance|odds|think|believe|i suspect|feel|assum\w+|hypothe\w+|if|unless|except|but|however|"
    r"al?though|alternativ\w+|otherwise|instead|rather|actually|wait|hmm+|oops|scratch|correction|kidding|joke|versus|vs|wrong|"
    r"false|incorrect|mistake\w*|nope|then again|one of|on second thought|lean\w*|bet|certainty|(?:kind|sort) of|"
    r"i'd say|pending|subject to|for now|draft|disput\w*|question\w*|doubt\w*|speculat\w*|unproven|candidates?|unresolved|weak|"
    r"inconclusive|approx\w*|roughly|almost|nearly|insufficient|in theory|default|arbitrar\w*|hope\w*|plausib\w*|"
    r"potential\w*|who knows|to be (?:checked|confirmed|determined|verified))\b"
)
DENIAL = re.compile(
    r"\b(?:not?|never|cannot|none|nobody|no one|\w+n't|impossib\w*|contradict\w*|exclud\w+|eliminat\w+|innocent|ruled out|"
    r"others?|another|some(?:one|body)|any(?:one|body)|else|also|too|both|as well|etc)\b"
)
ASIDE = re.compile(r"\b(?:was|were|had|moved|went|stayed|carried)\b")
CLAIM = re.compile(r"\b(?:murder\w*|kill\w*|culprit|guilty|did it|answers?|weapon|motives?|(?:it|this|that) (?:is|was))\b")
CLAIMED = re.compile(r"\W*(?:is|was|must be)?\s*(?:the )?(?:murderer|killer|culprit|guilty|did it|answer|murder weapon)\b")
OPEN = re.compile(r"\W*(?:or|maybe|perhaps|possibly|alternatively|otherwise)\b")


def plain(text: str) -> str:
    """A text in small letters, without markdown, LaTeX, quotation marks and typographic variants."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = LATEX.sub(" ", TAG_END.sub(" ", text.casefold()))
    return MARKDOWN.sub("", text).replace("’", "'").strip(" \t\r'")


@dataclass(frozen=True)
class Question:
    """What answers a question: its candidates, and the plain words around one in a sentence ("rope was ", " at 11 pm")."""

    names: Names
    before: str = ""
    behind: str = ""


def _read_answer(text: str, question: Question) -> str | None:
    """The one candidate that a text names as its answer, or None."""
    text = plain(text)
    start = PREFACE.match(text).end()
    if question.before and text.startswith(question.before, start):
        start = PREFACE.match(text, start + len(question.before)).end()
    if not (found := question.names.at(text, start)):
        return None
    name, end = found
    if question.behind and text.startswith(question.behind, end):
        end += len(question.behind)
    after = AFTER.match(text, end)
    rest = text[after.end() :]
    if not WORD.search(rest):
        return None if any(sign in STRUCK for sign in rest) else name
    why = after["why"]
    doubtful = any(sign in STRUCK for sign in rest) or HEDGE.search(rest) or (not why and DENIAL.search(rest))
    if doubtful or not (why or SEPARATED.match(rest)):
        return None
    others = [*question.names.others(rest, name)]
    if others and not why and (CLAIM.search(rest) or not ASIDE.search(rest)):
        return None
    return None if any(CLAIMED.match(rest, end) for end in others) else name


def _read_entry(text: str, question: Question) -> str | None:
    """The answer of an answer line, or of the line below one that says nothing itself. Two different answers are none."""
    line, _, below = text.partition("\n")
    if max(len(line), len(below)) > LONGEST:
        return None
    said = plain(line)
    if not WORD.search(said, PREFACE.match(said).end()):
        return _read_answer(below, question)
    answer = _read_answer(line, question)
    if answer and below and not below.startswith("\n"):  # right below it
        other = _read_answer(below, question)
        if OPEN.match(plain(below)) or (other and other != answer):
            return None
    return answer


def read_answers(text: str, questions: Sequence[Question]) -> list[str | None]:
    """For each question the candidate that a text gives as its answer; None where it gives none, or not surely one."""
    sheet = last_sheet(text, len(questions))
    answers: list[str | None] = []
    for number, question in enumerate(questions):
        read = [_read_entry(entry, question) for entry in dict.fromkeys(sheet.get(number, ()))]
        answers.append(read[-1] if len({answer for answer in read if answer}) == 1 else None)
    return answers
