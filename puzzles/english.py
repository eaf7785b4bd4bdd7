"""Sentences and prompts, written and read: the English view of a clue.

One table of templates serves both directions. `render` fills a template from a statement's fields; `read` turns the same
template into a regular expression and the sentence back into the statement. The clue and question sentences are those of
the published format, so results compare; `WORDINGS` frames them in three ways:

    clear      the default: also states the three rules that the published prompt leaves unsaid ("or" means exactly one,
               Mr. Boddy is not moved after his death, weapons move only in a suspect's hands)
    published  without those three rules, as the published prompt
    compact    the same clues and questions without a story, for models that count tokens

A fourth one, `ORIGINAL`, is that of the published prompts, so that published files can be compared with it to the letter. It
cannot be written, only recognized.

`read_prompt` reads all of them. It goes by the shape of the lines and so forgives a text that says something else around them;
`difference` does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache

from puzzles.clues import (
    At,
    Beside,
    Carried,
    Clue,
    Iff,
    Motivated,
    Moved,
    Murder,
    Or,
    Puzzle,
    SameRoom,
    Together,
    candidates,
    noun,
)
from puzzles.scenario import MURDER_WEAPON, MURDERER, Setting

WORDINGS = ("clear", "published", "compact")
ORIGINAL = "original"
ONLY_TIME = "12:00 AM"  # the unspoken time of a night that has just one

# (class, fields fixed by the sentence, template). `{field:kind}` stands for a field's value as a phrase of that kind.
SENTENCES = (
    (At, {}, "{who:piece} was {room:place}{time:when}"),
    (SameRoom, {}, "{who:piece} was in the same room as {other:piece}{time:when}"),
    (Together, {}, "{who:piece} and {other:piece} were {room:place} together at least once"),
    (Moved, {}, "{who:piece} moved from {origin:room} to {destination:room}{time:when}"),
    (Carried, {}, "{who:piece} moved {weapon:piece} from {origin:room} to {destination:room}{time:when}"),
    (Beside, {}, "{who:piece} was in the room just {direction:way} of {other:piece}{time:when}"),
    (Motivated, {}, "{suspect:suspect} is motivated by {motive:motive}"),
    (Murder, {"aspect": "murderer"}, "Mr. Boddy was murdered by {value:suspect}"),
    (Murder, {"aspect": "weapon"}, "Mr. Boddy was killed with {value:weapon}"),
    (Murder, {"aspect": "room"}, "Mr. Boddy was murdered {value:place}"),
    (Murder, {"aspect": "time"}, "Mr. Boddy was murdered{value:when}"),
    (Murder, {"aspect": "motive"}, "Mr. Boddy was murdered by {value:culprit}"),
)
QUESTIONS = (
    (Murder, {"aspect": "murderer", "value": None}, "Who murdered Mr. Boddy?"),
    (Murder, {"aspect": "weapon", "value": None}, "What weapon did the murderer use?"),
    (Murder, {"aspect": "room", "value": None}, "Where was the murder committed?"),
    (Murder, {"aspect": "time", "value": None}, "When did the murder occur?"),
    (Murder, {"aspect": "motive", "value": None}, "Why did the murderer do it?"),
    (Motivated, {"motive": None}, "What motivates {suspect:suspect}?"),
    (Motivated, {"suspect": None}, "Who is motivated by {motive:motive}?"),
    (At, {"room": None}, "Where was {who:piece}{time:when}?"),
)
NAME = r"[A-Z][\w.'-]*(?: [A-Z][\w.'-]*)*"
CLOCK = r"\d\d?:\d\d [AP]M"
KINDS = {  # each kind of phrase, as it is read
    "piece": rf"(?:[Tt]he murderer|[Tt]he murder weapon|(?:[Tt]he|[Aa]) suspect motivated by {NAME}|(?:[Tt]he )?{NAME})",
    "culprit": rf"(?:the|a) suspect motivated by {NAME}",
    "place": rf"(?:in|at) the {NAME}",
    "room": rf"the {NAME}",
    "weapon": rf"the {NAME}",
    "suspect": NAME,
    "motive": NAME,
    "when": rf"(?: at {CLOCK})?",
    "way": "north|south|east|west",
}
FIELD = re.compile(r"\{(\w+):(\w+)\}")


# ---------------------------------------------------------------- statements and questions


def render(statement: Clue, setting: Setting) -> str:
    """The sentence of a statement (without a full stop) or of a question."""
    match statement:
        case Or(first, second):
            return f"{render(first, setting)} or {_phrase_of(second, setting)}"
        case Iff(first, second):
            return f"{render(first, setting)} if and only if {_phrase_of(second, setting)}"
    sentence = _phrase_of(statement, setting)
    return sentence[0].upper() + sentence[1:]


def clause(statement: Clue, setting: Setting) -> str:
    """The sentence of a statement as a part of a longer one: "the Knife was …"."""
    return re.sub(r"^(?:The|A) ", lambda m: m[0].lower(), render(statement, setting))


def _phrase_of(statement: Clue, setting: Setting) -> str:
    template = _template(statement)
    if len(setting.times) == 1:
        template = template.removesuffix(" at least once")
    return FIELD.sub(lambda m: _phrase(m[2], getattr(statement, m[1]), setting), template)


def _template(statement: Clue) -> str:
    for kind, fixed, template in QUESTIONS + SENTENCES:  # questions first: they fix the field that is their hole
        if isinstance(statement, kind) and all(getattr(statement, f) == v for f, v in fixed.items()):
            return template
    raise TypeError(f"{statement!r} is neither a statement nor a question.")


def _phrase(kind: str, value: str, setting: Setting) -> str:
    if kind == "when":
        return f" at {value}" if len(setting.times) > 1 else ""
    if kind == "place":
        return f"{'at' if value == 'Fountain' else 'in'} the {value}"
    if kind in ("room", "weapon") or (kind == "piece" and value in setting.weapons):
        return f"the {value}"
    if kind in ("culprit", "piece") and value in setting.motive_counts:
        return f"{'the' if setting.motive_counts[value] == 1 else 'a'} suspect motivated by {value}"
    return value


def read(sentence: str, setting: Setting) -> Clue:
    """The statement or question that a sentence makes: the inverse of `render`.

    Raises:
        ValueError: if the sentence has no known form, or names somebody or something that `setting` does not have.
    """
    for connective, kind in ((" if and only if ", Iff), (" or ", Or)):
        first, found, second = sentence.partition(connective)
        if found:
            sides = _read(first, setting), _read(second, setting)
            if not all(isinstance(side, At) and side.room for side in sides):
                raise ValueError(
                    f"{quoted(sentence)} joins statements other than where somebody was, which is not a known form."
                )
            return kind(*sides)
    return _read(sentence, setting)


def _read(sentence: str, setting: Setting) -> Clue:
    for kind, fixed, pattern, kinds in _patterns():
        if match := pattern.fullmatch(sentence):
            values = {f: _value(kinds[f], text, setting, sentence) for f, text in match.groupdict().items()}
            return kind(**fixed, **values)
    raise ValueError(f"{quoted(sentence)} is not a sentence of a known form.")


def quoted(text: str, longest: int = 500) -> str:
    """A text as an error quotes it: on one line, and not all of it if it is very long."""
    return repr(text if len(text) <= longest else f"{text[: longest - 1]}…")


@cache
def _patterns() -> list[tuple[type, dict, re.Pattern, dict[str, str]]]:
    patterns = []
    for kind, fixed, template in SENTENCES + QUESTIONS:
        kinds = dict(FIELD.findall(template))
        literal = re.sub(r"[.?]", r"\\\g<0>", template).replace(" at least once", "(?: at least once)?")
        patterns.append((kind, fixed, re.compile(FIELD.sub(lambda m: f"(?P<{m[1]}>{KINDS[m[2]]})", literal)), kinds))
    return patterns


def _value(kind: str, phrase: str, setting: Setting, sentence: str) -> str:
    """The name within a phrase, checked against the setting."""
    if kind == "way":
        return phrase
    if kind == "when":
        if not phrase and len(setting.times) > 1:
            raise ValueError(f"{quoted(sentence)} gives no time, but the night has {len(setting.times)}.")
        return _known("time", phrase.removeprefix(" at ") or setting.times[0], setting.times, sentence)
    if phrase.lower() in (MURDERER, MURDER_WEAPON):
        return phrase.lower()
    if " motivated by " in phrase:
        return _known("motive", phrase.rpartition(" motivated by ")[2], setting.motive_names, sentence)
    name = re.sub(r"^(?:(?:in|at) )?[Tt]he ", "", phrase)
    noun, names = {
        "piece": ("suspect or weapon", setting.pieces),
        "place": ("room", setting.rooms),
        "room": ("room", setting.rooms),
        "weapon": ("weapon", setting.weapons),
        "suspect": ("suspect", setting.suspects),
        "motive": ("motive", setting.motive_names),
    }[kind]
    return _known(noun, name, names, sentence)


def _known(noun: str, name: str, names: tuple[str, ...], sentence: str) -> str:
    if name not in names:
        raise ValueError(
            f"{quoted(sentence)} names the {noun} {quoted(name)}, which is not one of: {', '.join(names) or 'none'}."
        )
    return name


# ---------------------------------------------------------------- prompts

# What a story says around its lists, in their order. `moves` and `night` are said where the night has several times, `scene`
# where it has one; `each` where no two suspects share a motive, `some` where they do.
SCENE = "At the murder, Mr. Boddy and the murder weapon were in the room, and the murderer was the only suspect there."
DEAD = "A clue about where Mr. Boddy was may speak of him alive or dead."
EITHER = 'A clue that says "or" means that exactly one of its two statements is true.'
PUBLISHED = {
    "suspects": "Mr. Boddy invited a few of his closest associates to dinner at Tudor Mansion, and by the next morning he had "
    "been murdered. You are the detective. These are the suspects:",
    "weapons": "These are the weapons that were found:",
    "rooms": "The murder took place in one of these rooms:",
    "plan": "This is the floor plan, with a room's number in its place:",
    "times": "The murder happened at one of these times:",
    "moves": "From one time to the next, each suspect and Mr. Boddy either stayed where they were or moved to the next room "
    "to the north, south, east or west. Suspects could carry weapons from room to room.",
    "each": "Each suspect had a different one of these motives:",
    "some": "Each suspect had one of these motives:",
    "scene": SCENE,
    "night": f"{SCENE} {DEAD}",
    "clues": "These are the clues:",
    "questions": "Answer these questions:",
    "bonus": "And these bonus questions:",
    "form": "Think it through, then finish with your answers in exactly this form:",
}
CLEAR = PUBLISHED | {
    "moves": "From one time to the next, each suspect and Mr. Boddy either stayed where they were or moved to the next room "
    "to the north, south, east or west. A weapon changed rooms only if a suspect made the same move at the same time.",
    "scene": f"{SCENE} {EITHER}",
    "night": f"{SCENE} From then on Mr. Boddy stayed in that room. {DEAD} {EITHER}",
}
STORIES = {
    "clear": CLEAR,
    "published": PUBLISHED,
    ORIGINAL: {  # of the published generator: its sentences are not ours to copy, so only a digest of each is here
        "suspects": "sha256 050ad2d0f2ff1cdc231a2661a03c347b",
        "weapons": "sha256 0e3036813f9da88d4eef026ea1f78588",
        "rooms": "sha256 e493387431f4c3cf83029a1e96ad1ba4",
        "plan": "sha256 8e8d2f812934c1f64c7d9ec1b16bf1e1",
        "times": "sha256 e8b82ca6f455398e08a355a34bae690c",
        "moves": "sha256 1d6f9985622645a85ba500478c29d077",
        "each": "sha256 d3c0658adb39facd59c8ff0baa4452e7",
        "some": "sha256 52d3445d52a053a6c1e672e9bd12ec2b",
        "scene": "sha256 a4b0e75f1a83000803ea6fda8a198dcc",
        "night": "sha256 cc21845947ebc33be40304e52b27ed20",
        "clues": "sha256 7693f48c6d2fbd561d0887bbb3f20336",
        "questions": "sha256 69435bf072e1af7de5fd4596de613a6c",
        "bonus": "sha256 0d60eedaa8aee5cc2e0a74f94ed083ff",
        "form": "sha256 7178555b565480cf6f1626a9f9e60e0c",
        "end": "sha256 8c6555bf90662cfd26e1ac6a03530e1b",
    },
}


def prompt(puzzle: Puzzle, wording: str = "clear") -> str:
    """The whole puzzle as text, in one of `WORDINGS`."""
    if wording not in WORDINGS:
        raise ValueError(f"wording={wording!r} is unknown: choose one of {', '.join(WORDINGS)}.")
    return _text(puzzle, wording)


def _text(puzzle: Puzzle, wording: str) -> str:
    """The text in any wording; that of `ORIGINAL` has digests in it."""
    return "\n".join(_compact(puzzle)) if wording == "compact" else "\n\n".join(_story(puzzle, STORIES[wording]))


def _digest(line: str) -> str:
    return f"sha256 {hashlib.sha256(line.encode(errors='replace')).hexdigest()[:32]}"


def _story(puzzle: Puzzle, said: dict[str, str]) -> Iterator[str]:
    s = puzzle.setting
    yield said["suspects"]
    yield _bullets(s.suspects)
    yield said["weapons"]
    yield _bullets(s.weapons)
    yield said["rooms"]
    width = len(str(len(s.rooms)))
    yield "\n".join(f"{i:0{width}d}. {room}" for i, room in enumerate(s.rooms, 1))
    yield said["plan"]
    yield _floor_plan(s, width)
    if len(s.times) > 1:
        yield said["times"]
        yield _bullets(s.times)
        yield said["moves"]
    if s.motives:
        unique = all(count == 1 for _, count in s.motives)
        yield said["each" if unique else "some"]
        yield _bullets(
            motive if unique else f"{motive} ({count} suspect{'s' if count > 1 else ''})" for motive, count in s.motives
        )
    yield said["night" if len(s.times) > 1 else "scene"]
    yield said["clues"]
    yield "\n".join(f"- {render(clue, s)}" for clue in puzzle.clues)
    asked = [f"{chr(65 + i)}. {render(q, s)}" for i, q in enumerate(puzzle.questions)]
    first = len(asked) - puzzle.bonus
    yield said["questions"]
    yield "\n".join(asked[:first])
    if puzzle.bonus:
        yield said["bonus"]
        yield "\n".join(asked[first:])
    yield said["form"]
    yield "\n".join(f"{chr(65 + i)}. {noun(q)}" for i, q in enumerate(puzzle.questions))
    if "end" in said:
        yield said["end"]


def _bullets(items) -> str:
    return "\n".join(f"• {item}" for item in items)


def _floor_plan(s: Setting, width: int) -> str:
    numbers = [f"{i:0{width}d}" for i in range(1, len(s.rooms) + 1)]
    numbers += ["-"] * (-len(numbers) % s.columns)
    rows = [f"W {'|'.join(numbers[i : i + s.columns])} E" for i in range(0, len(numbers), s.columns)]
    return "\n".join([f"  {' '.join(['N' * width] * s.columns)}  ", *rows, f"  {' '.join(['S' * width] * s.columns)}  "])


def _compact(puzzle: Puzzle) -> Iterator[str]:
    s = puzzle.setting
    yield f"Suspects: {', '.join(s.suspects)}"
    yield f"Weapons: {', '.join(s.weapons)}"
    yield f"Rooms: {' / '.join(' | '.join(s.rooms[i : i + s.columns]) for i in range(0, len(s.rooms), s.columns))}"
    if len(s.times) > 1:
        yield f"Times: {', '.join(s.times)}"
    if s.motives:
        yield f"Motives: {', '.join(f'{motive} {count}' for motive, count in s.motives)}"
    yield "Clues:"
    for clue in puzzle.clues:
        yield f"- {render(clue, s)}"
    yield "Questions:"
    for i, question in enumerate(puzzle.questions):
        if i == len(puzzle.questions) - puzzle.bonus:
            yield "Bonus:"
        yield f"{chr(65 + i)}. {render(question, s)}"


def read_prompt(text: str) -> Puzzle:
    """The puzzle that a prompt describes: the inverse of `prompt`, for every wording.

    Raises:
        ValueError: naming the line and what is wrong with it, or the section that is missing or makes no sense.
    """
    lists: dict[str, list[str]] = {"suspects": [], "weapons": [], "times": [], "motives": []}
    topic = "suspects"  # the last line of prose tells what the bullets below it are
    rooms: list[str] = []
    columns = 0
    bonus_from = None
    clues: list[str] = []
    questions: list[str] = []
    nouns: list[str] = []
    for _, line in _lines(text):
        if match := re.fullmatch(r"• (.+)", line):
            lists[topic].append(match[1])
        elif match := re.fullmatch(r"(Suspects|Weapons|Times|Motives): (.+)", line):
            lists[match[1].lower()] = [re.sub(r" (\d+)$", r" (\1 suspects)", item) for item in match[2].split(", ")]
        elif match := re.fullmatch(r"Rooms: (.+)", line):
            rows = [row.split(" | ") for row in match[1].split(" / ")]
            rooms, columns = [room for row in rows for room in row], len(rows[0])
        elif match := re.fullmatch(rf"\d+\. ({NAME})", line):
            rooms.append(match[1])
        elif match := re.fullmatch(r"W ([\d|-]+) E", line):
            columns = match[1].count("|") + 1
        elif match := re.fullmatch(r"- (.+)", line):
            clues.append(match[1])
        elif match := re.fullmatch(r"([A-Z])\. (.+\?)", line):
            if match[1] != chr(65 + len(questions)):
                raise ValueError(f"question {quoted(line)} is out of order: {chr(65 + len(questions))} comes next.")
            questions.append(match[2])
        elif match := re.fullmatch(r"[A-Z]\. ([A-Z]+)", line):
            nouns.append(match[1])
        else:
            said = line.lower()
            topic = max(lists, key=said.rfind)
            if re.search(r"\bbonus\b", said):
                bonus_from = len(questions)
    sections = {"suspects": lists["suspects"], "weapons": lists["weapons"], "rooms": rooms, "floor plan": columns}
    for section, found in (*sections.items(), ("clues", clues), ("questions", questions)):
        if not found:
            raise ValueError(f"the prompt has no {section}: is it whole, and a Temporal Clue puzzle?")
    if wrong := [x for x in (*lists["suspects"], *lists["weapons"], *rooms) if not re.fullmatch(NAME, x)]:
        raise ValueError(f"{quoted(wrong[0])} is not a name.")
    setting = Setting(
        suspects=tuple(lists["suspects"]),
        weapons=tuple(lists["weapons"]),
        rooms=tuple(rooms),
        columns=columns,
        times=tuple(lists["times"]) or (ONLY_TIME,),
        motives=tuple(_motive(item) for item in lists["motives"]),
    )
    puzzle = Puzzle(
        setting,
        tuple(_clue(sentence, setting) for sentence in clues),
        tuple(read(question, setting) for question in questions),
        bonus=len(questions) - bonus_from if bonus_from is not None else 0,
    )
    for question in puzzle.questions:
        if len(candidates(question, setting)) < 2:
            raise ValueError(
                f"{render(question, setting)!r} asks for a {noun(question)}, of which the prompt does not name two."
            )
    if nouns and nouns != [noun(question) for question in puzzle.questions]:
        raise ValueError(f"the answer form {nouns} does not fit the {len(questions)} questions: is the prompt whole?")
    return puzzle


def _clue(sentence: str, setting: Setting) -> Clue:
    """The clue that a sentence is. `read` knows statements that no clue makes, such as "The Rope moved from …"."""
    clue, s = read(sentence, setting), setting
    if None in vars(clue).values():
        raise ValueError(f"the clue {quoted(sentence)} is a question.")
    allowed = {"other": s.pieces, "weapon": (*s.weapons, MURDER_WEAPON)}
    if isinstance(clue, Beside):
        allowed["who"] = s.pieces
    elif isinstance(clue, Moved | Carried):
        allowed["who"] = (*(s.people if isinstance(clue, Moved) else s.suspects), MURDERER, *s.motive_names)
    for field, names in allowed.items():
        if (name := getattr(clue, field, None)) and name not in names:
            raise ValueError(f"the clue {quoted(sentence)} should not say {name!r} there, but one of: {', '.join(names)}.")
    return clue


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines of a text that are not blank, numbered from 1, without the space at their ends.

    `splitlines` and `strip` would also take control characters, such as a file separator, for line ends and space.
    """
    lines = (line.rstrip(" \t") for line in re.split(r"\r\n?|\n", text))
    return [(i, line) for i, line in enumerate(lines, 1) if line]


def _motive(item: str) -> tuple[str, int]:
    match = re.fullmatch(rf"({NAME})(?: \((\d\d?) suspects?\))?", item)
    if not match:
        raise ValueError(f"{quoted(item)} is not a motive.")
    return match[1], int(match[2] or 1)


def wording_of(text: str, puzzle: Puzzle) -> str:
    """The wording, one of `WORDINGS` or `ORIGINAL`, that shares most lines with a text which `puzzle` was read from."""
    lines = {form for _, line in _lines(text) for form in (line, _digest(line))}
    return max((*WORDINGS, ORIGINAL), key=lambda wording: len(lines.intersection(_text(puzzle, wording).splitlines())))


def difference(text: str, puzzle: Puzzle, wording: str) -> str | None:
    """The first line in which a text is not the `prompt` of the puzzle that was read from it; None if there is none.

    Line ends, blank lines and space at the end of a line do not count; all else does. The order of suspects, weapons, motives
    and clues, which means nothing, is the puzzle's own and so never differs.
    """
    says, should = _lines(text), [line for _, line in _lines(_text(puzzle, wording))]
    for (number, line), right in zip(says, should, strict=False):
        if right != (_digest(line) if right.startswith("sha256 ") else line):
            return f"line {number} says {quoted(line)}, but in the {wording} wording it should say {_named(right)}"
    if len(says) < len(should):
        return f"it ends after line {says[-1][0]}, but in the {wording} wording {_named(should[len(says)])} should follow"
    if len(says) > len(should):
        number, line = says[len(should)]
        return f"line {number} says {quoted(line)}, but in the {wording} wording the text should end before it"
    return None


def _named(line: str) -> str:
    return "another sentence of the published prompts" if line.startswith("sha256 ") else quoted(line)
