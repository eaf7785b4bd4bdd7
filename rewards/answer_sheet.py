"""What a completion answers: for each question one of its candidates, or nothing.

**Which lines.** An answer line begins with a question's letter and a mark (`A.` `A)` `(A)` `A:` `A -` `A |` `"A":` …), behind
nothing but signs, numbering, tags and words such as "Answer". Lines whose letters ascend make a sheet; a letter that does
not begins the next one, but for the same letter again with nothing between, which answers the same question twice. The last
sheet with more than half of the letters counts, so that neither an earlier draft nor a remark afterwards ("A. was the
hardest") does; where no sheet has as many, the last of those with most. Letters that have no line of their own are looked
for in the line of the letter before ("A. … B. …", JSON), and the answer of a line that has none on the lines below it, up to
the next letter.

**Which answer.** A line answers if, after a label or the question itself, it names one candidate and ends, or goes on to say
why behind a comma, full stop, dash or bracket. It does not if it names another candidate too, other than in a reason, or if
anything in it takes the answer back or leaves it open ("X or Y", "not X", "maybe X", "X?", "X, or so"), or if a line below,
before the next letter, gives another (a list, "or Y", "Second guess: Y"): what is not surely an answer is none. How a text is
read never depends on what is right, so whatever is written earns one guess a question at most.

Time is linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

TAIL = 4_000  # characters at the end of a text that are read first
LONGEST = 2_000  # characters of an answer with its reason
SHORT = 60  # characters of a list's item

# ---------------------------------------------------------------- answer lines

WORDS = (
    "final|answers?|answering|questions?|q|sheet|solutions?|conclusions?|results?|summary|here|the|my|our|are|is|to|for|in|as|"
    "order|follows|letter|id|option|part|item|key|name|arguments|parameters|assistant|response|output|"
    "boxed|fbox|text|textbf|textit|mathbf|mathrm|begin|aligned|array|json|so,? the"
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
    r"(?:[^\S\n]*+(?:[.):\]|=&>。】⟩、→⇒–—−]|->|-(?=[\sA-Z0-9])|,(?=[A-Z0-9\"])|(?=\n|$))|[^\S\n]++is\b|(?=\t)|(?<=[*_`\"'”’»])(?=[\s,]))"
)
LINE = re.compile(
    rf"\n(?:\[[xX]\]|\{{[lcr|]++\}}|[^A-Za-z0-9\n{STRUCK[:-2]}]|\d++[.):]|(?i:{WORDS})(?![A-Za-z])|Q(?=[A-Z]\W))*+([A-Za-z]){MARK}(?:[^\S\n]*+\1{MARK})?+"
)
INNER = re.compile(rf"(?:\b(?i:and|final|answer|question|to|q)\b[^\w\n]*+){{0,3}}+(?<![A-Za-z0-9.])([A-Za-z]){MARK}")
ACROSS = re.compile(  # a table with the letters in its first row, and the answers in the next one
    r"\n([^\n|\w]*\|(?:\s*\w{2,}\s*\|)?[^\n|\w]*A[^\n|\w]*\|[^\n|\w]*B[^\n|\w]*\|[^\n]*)\n(?:[^\w\n]*\n)?([^\n]*\|[^\n]*)"
)
ANSWER = re.compile(r"</?(?:final_)?answers?>", re.IGNORECASE)
BLOCK = re.compile(r"<(?:/?(?:p|div|tr|li|[uo]l|table|tbody|thead|h\d)|br ?/?)(?:\s[^<>\n]*)?>")
CELL = re.compile(r"</?t[dh](?:\s[^<>\n]*)?>")
INLINE = re.compile(r"</?(?:b|i|u|em|strong|span|font|code|mark|center|sub|sup)(?:\s[^<>\n]*)?>")
ITEM = re.compile(r"[^\w.:?!]*(?:\d+[.)]\s*)?[\w\s.'’:]*[^\w?!:]*$")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]+")
SPACE = re.compile("&(?:nbsp|ensp|emsp|thinsp|#160|#xa0);", re.IGNORECASE)
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
    the lines below it, up to the next letter or, below the last one, to the end of the paragraph and of a list that follows.

    A sheet without some letters is completed by the one before it if that has just these ("Bonus answers first: F. …").
    """
    size = TAIL
    while True:  # from the end, since mostly that is enough
        first = text.find("\n", len(text) - size) + 1 if size < len(text) else 0
        size *= 8
        if first or size >= 8 * len(text):
            tail = _lay_out(text[first:])
            sheets = _sheets(tail, questions)
            best: dict[int, list[str]] = {}
            stop = len(tail)
            for i in range(len(sheets) - 1, 0 if first else -1, -1):  # the first one may have begun before
                sheet = _entries(tail, sheets[i], stop, questions)
                stop = sheets[i][0].begin
                if len(sheet) > len(best):
                    best = sheet
                if 2 * len(sheet) > questions:
                    if len(sheet) < questions and i > (1 if first else 0):
                        missing = _entries(tail, sheets[i - 1], stop, questions)
                        if len(missing) + len(sheet) == questions and not missing.keys() & sheet.keys():
                            sheet |= missing
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


def _entries(text: str, sheet: list[Line], stop: int, questions: int) -> dict[int, list[str]]:
    """What stands behind each letter of a sheet, as `last_sheet` gives it; the next sheet begins at `stop`."""
    entries: dict[int, list[str]] = {}
    for line, after in zip(sheet, [*sheet[1:], None], strict=True):
        number, start, last = line.number, line.start, after.number if after else questions
        if last > number + 1:  # the letters between this line's and the next one's may stand within it
            for inner in INNER.finditer(text, line.start, line.end):
                found = ord(inner[1]) - ord(line.letter) + line.number
                if number < found == number + 1 < last or line.number == found < number:  # the next one, or all once more
                    entries.setdefault(number, []).append(text[start : inner.start()])
                    number, start = found, inner.end()
        end = after.begin if after else stop
        entries.setdefault(number, []).append(text[start:end] if after else _paragraph(text, start, line.end, end))
    return entries


def _paragraph(text: str, start: int, end: int, stop: int) -> str:
    """What stands behind the last letter of a sheet: its line with the paragraph below, and the short lines of a list, which
    blank lines may part. What is said after that is no part of the sheet.
    """
    said = WORD.search(text, start, end) and not text[start:end].rstrip(" \t*_`|").endswith(("?", ":"))
    gap = False
    while end < stop:
        after = text.find("\n", end + 1, stop)
        after = stop if after < 0 else after
        line = text[end + 1 : after]
        if not line.strip():
            gap = True
        elif (gap and said and not (len(line) < SHORT and ITEM.match(line))) or LINE.match(text, end):
            break
        else:
            said, gap = True, gap and not said
        end = after
    return text[start:end]


def _lay_out(text: str) -> str:
    """The text with a line break before its first line, HTML as lines and cells, and without invisible characters."""
    if "&" in text:
        text = SPACE.sub(" ", text)
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
    r"(?:,? (?P<day>in the morning|in the (?:afternoon|evening)|(?:at )?(?:mid)?night\b))?"
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
    half, day = match["half"], match["day"]
    if not (match["minute"] or half or day) or minute > 59 or hour > 24:
        return []
    if day and not half and 1 <= hour <= 12:
        if day.endswith("midnight") and (hour, minute) != (12, 0):
            return []
        half = "a" if day.endswith("morning") or (day.endswith("night") and (hour < 6 or hour == 12)) else "p"
    if half:
        return [hour % 12 * 60 + minute + 720 * (half == "p")] if 1 <= hour <= 12 else []
    if 1 <= hour <= 12:
        return [hour % 12 * 60 + minute, hour % 12 * 60 + minute + 720]
    return [hour % 24 * 60 + minute]


# ---------------------------------------------------------------- one answer

LATEX = re.compile(
    r"\\(?:begin|end)\{\w*\}|\\(?:text\w*|math\w*|boxed|fbox|mbox|bf|it|rm|quad|qquad|end|[^a-z])|[{}$]|(?<=[\w.])~(?=\w)"
)
TAG_END = re.compile(r"</[^<>\n]*>")
MARKDOWN = re.compile(r"[*_`\"“”„«»<>#^&]+")
JUNK = rf"[^\w{STRUCK}!+/]*"
# What may stand before a name: a label, the question, "in the"; and behind it: "is the murderer", and why.
PREFACE = re.compile(
    rf"{JUNK}(?:(?:"
    r"(?:who (?:murdered|killed|is motivated by)|what (?:weapon|motivates)|where was|when did|why did)\b[^?\n]{0,100}?"
    r"(?:\?|:(?!\d)|\s[-–—|→=])|(?:who|what|where|when|why)\?|"
    r"(?:s?he|they|the (?:murderer|killer|culprit|perpetrator)) (?:was|were|used|acted|did it)\b|"
    r"(?:the murderer|(?:[a-z]+\.? )?[a-z]+)'s (?:motive|weapon) (?:is|was)\b|"
    r"driven by\b|for\b|because\b(?= (?:s?he|they|the murderer) )|\d{1,2}[.)](?=\s)|"
    rf"(?:the )?(?:{NOUNS})(?: (?:is|was))?(?!\w)|(?:it|this|that) (?:is|was)\b|"
    r"mr\.? boddy was (?:murdered|killed)(?: by)?\b|(?:the )?murder (?:was committed|took place|happened|occurred)\b|"
    rf"(?:in|at|inside|with|using|motivated by|out of|because of|due to)\b|the\b(?! (?:{'|'.join(TITLES)})\b)|an?\b"
    rf"){JUNK})*+"
)
AFTER = re.compile(
    rf"(?: (?:did it|committed the murder|(?:killed|murdered) (?:him|mr\.? boddy|the victim)|hours|hrs|sharp|exactly)\b"
    rf"|(?:'s| is| was) (?:guilty|(?:the )?(?:{NOUNS}))\b(?: (?:drove|motivated) (?:him|her|them|the murderer)\b)?)?"
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
    r"\b(?:not?|never|cannot|none|nobody|no one|\w+n't|impossib\w*|contradict\w*|exclud\w+|eliminat\w+|innocent|"
    r"ruled out|(?:is|are) out|others?|another|some(?:one|body)|any(?:one|body)|else|also|too|both|as well|etc)\b"
)
ASIDE = re.compile(r"\b(?:was|were|had|moved|went|stayed|carried)\b")
CLAIM = re.compile(r"\b(?:murder\w*|kill\w*|culprit|guilty|did it|answers?|weapon|motives?|(?:it|this|that) (?:is|was))\b")
CLAIMED = re.compile(r"\W*(?:is|was|must be)?\s*(?:the )?(?:murderer|killer|culprit|guilty|did it|answer|murder weapon)\b")
OPEN = re.compile(
    r"\W*(?:or|else|maybe|perhaps|possibly|alternatively|otherwise|"
    r"(?:(?:i'm|i am|but|this is|it is|it's|just|only|not|a|an) ){0,4}(?:sure|unsure|(?:un)?certain|guess(?:ing)?))\b"
)


# In a reason or remark, what only says that there is no other answer, or where the other candidates were, denies nothing.
SAFE = re.compile(
    r"\b(?:(?:nobody|no ?one|anyone|anybody|nothing) else(?: (?:could|can) (?:have )?(?:been|be|done|do)\b)?|"
    r"never (?:left|moved)\b|"
    rf"(?:the|all) other (?:(?:two|three|four|five|\d) )?(?:(?:{NOUNS})s )?(?:were|had)\b(?! (?:also|too|guilty|possible|not)))"
)
AGAIN = re.compile(r"[\s=,.;:()\[\]|–—-]+(?:(?:in|at|with) )?(?:the )?")
# Of the lines below an answer those that give another: a list of names, a label with one, "or", "also".
JOINED = re.compile(r"(?:[^\w]|\d+[.)]|(?:and|or|also|even|just|plus|then|the|an?|in|at|with|too|\d+ ?%)\b)*+")
LABEL = re.compile(r"[^:\n\d]{1,60}:(?!\d)")
ALSO = re.compile(
    r"\b(?:also (?:possible|plausible|fits?|works?|an?|the)|"
    r"(?:could|might|may) (?:also|equally|(?:just )?as well|be|have done)|"
    r"maybe|perhaps|alternativ\w+|(?:is|are|remains?) (?:also |equally |just as )?(?:possible|plausible|likely)|did it too|"
    r"(?:second|next|other|another) (?:guess|choice|option|answer|candidate|possibility|one))\b"
)
NO = re.compile(r"^\W*(?:no|if not)\b")
ANSWERED = re.compile(r"\W*(?:final |the |my |correct )*answer(?: is\b|\W{0,4}:)")


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

    @cached_property
    def label(self) -> re.Pattern | None:
        """Whom or what it is about, and maybe when, in front of a colon, a dash or in brackets ("Rope at 11 pm:")."""
        what = re.sub(r" (?:was|is motivated by) ?$", "", self.before) if self.before else self.behind
        if not what or "boddy" in what:
            return None
        when = _spaced(self.behind) if self.before else ""
        when = rf"(?:\W{{0,3}}(?:(?:was )?at )?{when.removeprefix('at[^a-z0-9]+')})?" if when else ""
        return re.compile(rf"[(\[]?(?:the )?{_spaced(what)}{when}(?: was\b)?\s?(?:[)\]:→=]+|[–—-]\s)\W*")


def _spaced(text: str) -> str:
    return "[^a-z0-9]+".join(map(re.escape, WORD.findall(text)))


def _begin(text: str, question: Question) -> int:
    """Where a plain text that may name an answer does so: behind labels, the question and the words of a sentence."""
    start = PREFACE.match(text).end()
    if question.label and (label := question.label.match(text, start) or question.label.match(text)):
        start = PREFACE.match(text, label.end()).end()
    if question.before and text.startswith(question.before, start):
        start = PREFACE.match(text, start + len(question.before)).end()
    return start


def _read_answer(text: str, question: Question) -> str | None:
    """The one candidate that a text names as its answer, or None."""
    text = plain(text)
    if not (found := question.names.at(text, _begin(text, question))):
        return None
    name, end = found
    while (gap := AGAIN.match(text, end)) and (again := question.names.at(text, gap.end())) and again[0] == name:
        end = again[1]
    if question.behind and text.startswith(question.behind, end):
        end += len(question.behind)
    after = AFTER.match(text, end)
    rest = text[after.end() :]
    if not WORD.search(rest):
        return None if any(sign in STRUCK for sign in rest) else name
    why = after["why"]
    told = SAFE.sub(" ", rest) if why or SEPARATED.match(rest) else rest
    doubtful = any(sign in STRUCK for sign in rest) or HEDGE.search(told) or (not why and DENIAL.search(told))
    if doubtful or not (why or SEPARATED.match(rest)):
        return None
    others = [*question.names.others(rest, name)]
    if others and not why and (CLAIM.search(rest) or not ASIDE.search(rest)):
        return None
    return None if any(CLAIMED.match(rest, end) for end in others) else name


def _gives_another(line: str, question: Question, name: str) -> bool:
    """Whether a line below an answer gives another candidate too, rather than a reason."""
    text = plain(line)
    if OPEN.match(text):
        return True
    others = [*question.names.others(text, name)]
    if not others:
        return False
    for start in {0, *(label.end() for label in [LABEL.match(text)] if label and not DENIAL.search(label[0]))}:
        if _read_answer(text[start:], question) not in (None, name):
            return True
        end = JOINED.match(text, start).end()
        while found := question.names.at(text, end):
            end = JOINED.match(text, found[1]).end()
        if end == len(text):  # nothing but names
            return True
    told = DENIAL.search(NO.sub("", text)) or ASIDE.search(text) or AFTER.match(text)["why"] or "is motivated by" in text
    return (len(text) < SHORT and not told) or bool(ALSO.search(text)) or any(CLAIMED.match(text, end) for end in others)


def _read_entry(text: str, question: Question) -> str | None:
    """The answer of an answer line, or of those below one that says nothing itself: the line that begins with "Answer:", or
    else the first. It is none if a line below gives another.
    """
    line, *below = text.split("\n")
    below = [some for some in below if some.strip()]
    if max(map(len, (line, *below))) > LONGEST:
        return None
    said = plain(line)
    if not WORD.search(said, _begin(said, question)):
        marked = [i for i, some in enumerate(below) if ANSWERED.match(plain(some))]
        if not below:
            return None
        first = marked[0] if marked else next((i for i, some in enumerate(below) if WORD.search(some)), 0)
        line, below = below[first], below[first + 1 :]
    answer = _read_answer(line, question)
    return None if answer and any(_gives_another(some, question, answer) for some in below) else answer


def read_answers(text: str, questions: Sequence[Question]) -> list[str | None]:
    """For each question the candidate that a text gives as its answer; None where it gives none, or not surely one."""
    sheet = last_sheet(text, len(questions))
    answers: list[str | None] = []
    for number, question in enumerate(questions):
        read = [_read_entry(entry, question) for entry in dict.fromkeys(sheet.get(number, ()))]
        answers.append(read[-1] if len({answer for answer in read if answer}) == 1 else None)
    return answers
