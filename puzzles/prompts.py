"""Prompts, written and read: what the detective is told, in three wordings.

    clear      the default: also states three rules that the published prompt does not ("or" means exactly one, Mr. Boddy is
               not moved after his death, weapons move only in a suspect's hands)
    published  without those three rules, like the published prompt
    compact    the same clues and questions without a story, to save tokens

A fourth one, `ORIGINAL`, is that of the published prompts to the letter. It can be recognized, but not written: its sentences
are not ours to copy.

The sentences of clues and questions are in `sentences.py`. `read_prompt` reads every wording. It goes by the shape of the
lines, and so accepts other sentences around them; `first_difference` does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from puzzles.clues import Beside, Carried, Clue, Moved, Puzzle, answer_kind, answer_options
from puzzles.scenario import MURDER_WEAPON, MURDERER, Setting
from puzzles.sentences import NAME, quoted, read_sentence, render

WORDINGS = ("clear", "published", "compact")
ORIGINAL = "original"
ONLY_TIME = "12:00 AM"  # the unstated time of a night that has just one

# What a story says around its lists, in their order. `moves` and `night` are used where the night has several times, `scene`
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
    ORIGINAL: {  # the published generator's sentences are not ours to copy, so only a digest of each is here
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
    """The text in any wording; in that of `ORIGINAL` a digest stands for each sentence of the story."""
    return "\n".join(_compact(puzzle)) if wording == "compact" else "\n\n".join(_story(puzzle, STORIES[wording]))


def _digest(line: str) -> str:
    return f"sha256 {hashlib.sha256(line.encode(errors='replace')).hexdigest()[:32]}"


def _story(puzzle: Puzzle, story: dict[str, str]) -> Iterator[str]:
    s = puzzle.setting
    yield story["suspects"]
    yield _bullets(s.suspects)
    yield story["weapons"]
    yield _bullets(s.weapons)
    yield story["rooms"]
    width = len(str(len(s.rooms)))
    yield "\n".join(f"{i:0{width}d}. {room}" for i, room in enumerate(s.rooms, 1))
    yield story["plan"]
    yield _floor_plan(s, width)
    if len(s.times) > 1:
        yield story["times"]
        yield _bullets(s.times)
        yield story["moves"]
    if s.motives:
        unique = all(count == 1 for _, count in s.motives)
        yield story["each" if unique else "some"]
        yield _bullets(
            motive if unique else f"{motive} ({count} suspect{'s' if count > 1 else ''})" for motive, count in s.motives
        )
    yield story["night" if len(s.times) > 1 else "scene"]
    yield story["clues"]
    yield "\n".join(f"- {render(clue, s)}" for clue in puzzle.clues)
    asked = [f"{chr(65 + i)}. {render(q, s)}" for i, q in enumerate(puzzle.questions)]
    first = len(asked) - puzzle.bonus
    yield story["questions"]
    yield "\n".join(asked[:first])
    if puzzle.bonus:
        yield story["bonus"]
        yield "\n".join(asked[first:])
    yield story["form"]
    yield lettered(answer_kind(question) for question in puzzle.questions)
    if "end" in story:
        yield story["end"]


def lettered(items: Iterable[str]) -> str:
    """An answer sheet: items one per line, lettered A, B, C, …"""
    return "\n".join(f"{chr(65 + i)}. {item}" for i, item in enumerate(items))


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
        ValueError: naming the line and what is wrong with it, or the section that is missing or inconsistent.
    """
    lists: dict[str, list[str]] = {"suspects": [], "weapons": [], "times": [], "motives": []}
    topic = "suspects"  # what the bullets are: the last line of prose before them names it
    rooms: list[str] = []
    columns = 0
    bonus_from = None
    clues: list[str] = []
    questions: list[str] = []
    answer_form: list[str] = []
    for _, line in _numbered_lines(text):
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
            answer_form.append(match[1])
        else:
            prose = line.lower()
            topic = max(lists, key=prose.rfind)
            if re.search(r"\bbonus\b", prose):
                bonus_from = len(questions)
    sections = {"suspects": lists["suspects"], "weapons": lists["weapons"], "rooms": rooms, "floor plan": columns}
    for section, found in (*sections.items(), ("clues", clues), ("questions", questions)):
        if not found:
            raise ValueError(f"the prompt has no {section}: is it complete, and a Temporal Clue puzzle?")
    if wrong := [x for x in (*lists["suspects"], *lists["weapons"], *rooms) if not re.fullmatch(NAME, x)]:
        raise ValueError(f"{quoted(wrong[0])} is not a name.")
    setting = Setting(
        suspects=tuple(lists["suspects"]),
        weapons=tuple(lists["weapons"]),
        rooms=tuple(rooms),
        columns=columns,
        times=tuple(lists["times"]) or (ONLY_TIME,),
        motives=tuple(_read_motive(item) for item in lists["motives"]),
    )
    puzzle = Puzzle(
        setting,
        tuple(_read_clue(sentence, setting) for sentence in clues),
        tuple(read_sentence(question, setting) for question in questions),
        bonus=len(questions) - bonus_from if bonus_from is not None else 0,
    )
    for question in puzzle.questions:
        if len(answer_options(question, setting)) < 2:
            raise ValueError(
                f"{render(question, setting)!r} asks for a {answer_kind(question)}, of which the prompt does not name two."
            )
    if answer_form and answer_form != [answer_kind(question) for question in puzzle.questions]:
        raise ValueError(f"the answer form {answer_form} does not fit the {len(questions)} questions: is the prompt complete?")
    return puzzle


def _read_clue(sentence: str, setting: Setting) -> Clue:
    """The clue that a sentence states. `read_sentence` also reads what no clue states, such as "The Rope moved from …"."""
    clue, s = read_sentence(sentence, setting), setting
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


def _numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines of a text that are not blank, numbered from 1, without the space at their ends.

    `splitlines` and `strip` would also treat control characters, such as a file separator, as line ends and space.
    """
    lines = (line.rstrip(" \t") for line in re.split(r"\r\n?|\n", text))
    return [(i, line) for i, line in enumerate(lines, 1) if line]


def _read_motive(item: str) -> tuple[str, int]:
    match = re.fullmatch(rf"({NAME})(?: \((\d\d?) suspects?\))?", item)
    if not match:
        raise ValueError(f"{quoted(item)} is not a motive.")
    return match[1], int(match[2] or 1)


def wording_of(text: str, puzzle: Puzzle) -> str:
    """The wording, one of `WORDINGS` or `ORIGINAL`, that shares most lines with the text that `puzzle` was read from."""
    lines = {form for _, line in _numbered_lines(text) for form in (line, _digest(line))}
    return max((*WORDINGS, ORIGINAL), key=lambda wording: len(lines.intersection(_text(puzzle, wording).splitlines())))


def first_difference(text: str, puzzle: Puzzle, wording: str) -> str | None:
    """Where a text first differs from the `prompt` of the puzzle that was read from it; None if it does not.

    Line ends, blank lines and space at the end of a line do not count; everything else does. The order of suspects, weapons,
    motives and clues, which carries no meaning, is the puzzle's own and so never differs.
    """
    lines, expected = _numbered_lines(text), [line for _, line in _numbered_lines(_text(puzzle, wording))]
    for (number, line), right in zip(lines, expected, strict=False):
        if right != (_digest(line) if right.startswith("sha256 ") else line):
            return f"line {number} is {quoted(line)}, but in the {wording} wording it should be {_quoted_line(right)}"
    if len(lines) < len(expected):
        missing = _quoted_line(expected[len(lines)])
        return f"it ends after line {lines[-1][0]}, but in the {wording} wording {missing} should follow"
    if len(lines) > len(expected):
        number, line = lines[len(expected)]
        return f"line {number} is {quoted(line)}, but in the {wording} wording the text should end before it"
    return None


def _quoted_line(line: str) -> str:
    return "another sentence of the published prompts" if line.startswith("sha256 ") else quoted(line)
