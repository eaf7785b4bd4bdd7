"""A statement or question as a sentence, and back: the English view of a clue.

One table of templates serves both directions. `render` fills a template with a statement's fields; `read_sentence` turns the
same template into a regular expression, and the sentence back into the statement. The sentences are those of the published
puzzles, so that results compare. What a prompt says around them is in `prompts.py`.
"""

from __future__ import annotations

import re
from functools import cache

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import MURDER_WEAPON, MURDERER, Setting

# (class, fields fixed by the sentence, template). `{field:kind}` stands for a field's value as a phrase of that kind.
SENTENCES = (
    (At, {}, "{who:piece} was {room:place}{time:when}"),
    (SameRoom, {}, "{who:piece} was in the same room as {other:piece}{time:when}"),
    (Together, {}, "{who:piece} and {other:piece} were {room:place} together at least once"),
    (Moved, {}, "{who:piece} moved from {origin:room} to {destination:room}{time:when}"),
    (Carried, {}, "{who:piece} moved {weapon:piece} from {origin:room} to {destination:room}{time:when}"),
    (Beside, {}, "{who:piece} was in the room just {direction:direction} of {other:piece}{time:when}"),
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
PHRASES = {  # each kind of phrase, as a regular expression
    "piece": rf"(?:[Tt]he murderer|[Tt]he murder weapon|(?:[Tt]he|[Aa]) suspect motivated by {NAME}|(?:[Tt]he )?{NAME})",
    "culprit": rf"(?:the|a) suspect motivated by {NAME}",
    "place": rf"(?:in|at) the {NAME}",
    "room": rf"the {NAME}",
    "weapon": rf"the {NAME}",
    "suspect": NAME,
    "motive": NAME,
    "when": rf"(?: at {CLOCK})?",
    "direction": "north|south|east|west",
}
FIELD = re.compile(r"\{(\w+):(\w+)\}")


def render(statement: Clue, setting: Setting, capital: bool = True) -> str:
    """The sentence of a statement (without a full stop) or of a question.

    Args:
        capital: False for a sentence within a longer one: "the Knife was …".
    """
    match statement:
        case Or(first, second):
            sentence = f"{_render_simple(first, setting)} or {_render_simple(second, setting)}"
        case Iff(first, second):
            sentence = f"{_render_simple(first, setting)} if and only if {_render_simple(second, setting)}"
        case _:
            sentence = _render_simple(statement, setting)
    return sentence[0].upper() + sentence[1:] if capital else sentence


def _render_simple(statement: Clue, setting: Setting) -> str:
    template = _template(statement)
    if len(setting.times) == 1:
        template = template.removesuffix(" at least once")
    return FIELD.sub(lambda m: _phrase(m[2], getattr(statement, m[1]), setting), template)


def _template(statement: Clue) -> str:
    for kind, fixed, template in QUESTIONS + SENTENCES:  # questions first: they fix the field that is open
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


def read_sentence(sentence: str, setting: Setting) -> Clue:
    """The statement or question that a sentence makes: the inverse of `render`.

    Raises:
        ValueError: if the sentence has no known form, or names someone or something that is not in `setting`.
    """
    for connective, kind in ((" if and only if ", Iff), (" or ", Or)):
        first, found, second = sentence.partition(connective)
        if found:
            sides = _read_simple(first, setting), _read_simple(second, setting)
            if not all(isinstance(side, At) and side.room for side in sides):
                raise ValueError(
                    f"{quoted(sentence)} joins statements other than where someone was, which is not a known form."
                )
            return kind(*sides)
    return _read_simple(sentence, setting)


def _read_simple(sentence: str, setting: Setting) -> Clue:
    for kind, fixed, pattern, kinds in _patterns():
        if match := pattern.fullmatch(sentence):
            values = {f: _value(kinds[f], text, setting, sentence) for f, text in match.groupdict().items()}
            return kind(**fixed, **values)
    raise ValueError(f"{quoted(sentence)} is not a sentence of a known form.")


def quoted(text: str, longest: int = 500) -> str:
    """A text as error messages quote it: on one line, and shortened if it is very long."""
    return repr(text if len(text) <= longest else f"{text[: longest - 1]}…")


@cache
def _patterns() -> list[tuple[type, dict, re.Pattern, dict[str, str]]]:
    patterns = []
    for kind, fixed, template in SENTENCES + QUESTIONS:
        kinds = dict(FIELD.findall(template))
        literal = re.sub(r"[.?]", r"\\\g<0>", template).replace(" at least once", "(?: at least once)?")
        patterns.append((kind, fixed, re.compile(FIELD.sub(lambda m: f"(?P<{m[1]}>{PHRASES[m[2]]})", literal)), kinds))
    return patterns


def _value(kind: str, phrase: str, setting: Setting, sentence: str) -> str:
    """The name within a phrase, checked against the setting."""
    if kind == "direction":
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
    kind_of_name, names = {
        "piece": ("suspect or weapon", setting.pieces),
        "place": ("room", setting.rooms),
        "room": ("room", setting.rooms),
        "weapon": ("weapon", setting.weapons),
        "suspect": ("suspect", setting.suspects),
        "motive": ("motive", setting.motive_names),
    }[kind]
    return _known(kind_of_name, name, names, sentence)


def _known(kind_of_name: str, name: str, names: tuple[str, ...], sentence: str) -> str:
    if name not in names:
        raise ValueError(
            f"{quoted(sentence)} names the {kind_of_name} {quoted(name)}, which is not one of: {', '.join(names) or 'none'}."
        )
    return name
