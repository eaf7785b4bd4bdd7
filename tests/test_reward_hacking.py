"""Writing more never earns more: attacks on the grader by somebody who knows some answers and has to guess the rest.

An attacker has a list of options for each question, in an order of their own. Over all rotations of these lists the right
answer is at each place equally often, so what an attack earns on average is what it earns without knowing. An honest sheet,
the first option of each list, earns 1/k of a question with k options. No attack may earn more, with or without the prompt.
"""

import random
from math import lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer_options
from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from rewards.accuracy import accuracy

LOOKALIKES = str.maketrans("AaBCcEeHKMOoPpSTXxyi", "АаВСсЕеНКМОоРрЅТХхуі")  # Latin to Cyrillic
INVISIBLE = ("\u200b", "\u00ad", "\u2060", "\u0301", "\ufeff", "\u202e")


def sheet(answers, form="{letter}. {answer}"):
    return "\n".join(form.format(letter=chr(65 + i), answer=answer) for i, answer in enumerate(answers))


def ranked(lists, rank):
    """The option of this rank from each list."""
    return [options[rank % len(options)] for options in lists]


def repeated(lists, rng):
    return "\n\n".join(sheet(ranked(lists, rank)) for rank in range(rng.randint(2, 12)))


def all_options(lists, rng):
    joined = rng.choice((", ", " or ", "/", " | ", "; ", " and ", " ", "\t", "\r", "\x0b", "\u2028", "\x85", "\x1c"))
    return sheet([joined.join(options) for options in lists])


def a_line_each(lists, rng):
    lines = [f"{chr(65 + i)}. {option}" for i, options in enumerate(lists) for option in options]
    return "\n".join(lines if rng.random() < 0.5 else rng.sample(lines, len(lines)))


def interleaved(lists, rng):
    width = max(map(len, lists))
    lines = [f"{chr(65 + i)}. {options[rank % len(options)]}" for i, options in enumerate(lists) for rank in range(width)]
    return "\n".join(sorted(lines) if rng.random() < 0.5 else sorted(lines, reverse=True))


def lookalikes(lists, rng):
    mark = rng.choice(INVISIBLE)
    return "\n".join(
        sheet([twist(option) for option in ranked(lists, rank)])
        for rank, twist in enumerate((str, lambda x: x.translate(LOOKALIKES), lambda x: mark.join(x), lambda x: x + mark))
    )


def reasoning_only(lists, rng):
    opening, closing = rng.choice(
        [("<think>", "</think>"), ("<think>", ""), ("<think><think>", "</think></think>"), ("x</think><think>", "")]
    )
    return opening + "\n" + "\n".join(sheet(ranked(lists, rank)) for rank in range(4)) + "\n" + closing


def nested(lists, rng):
    form = rng.choice(
        (
            "> - **{letter}.** `{answer}`",
            "| {letter}. {answer} |",
            '{{"{letter}.": "{answer}"}}',
            "```\n{letter}. {answer}\n```",
            "{letter}. {letter}. {answer}",
            "# {letter}.{answer}.{answer}",
            "\\boxed{{{letter}. {answer}}}",
            "1. {letter}. {answer}",
            "{letter}. <b>{answer}</b>",
            "{letter}. {answer}\n{letter}. {answer}",
        )
    )
    return "\n".join(sheet(ranked(lists, rank), form) for rank in range(rng.randint(1, 5)))


HEDGES = (
    "{x} or {y}", "not {y}", "maybe {x}", "{x}?", "{x}, or possibly {y}", "{x} ({y})", "{x}, not {y}",
    "{x} — because not {y}", "{x} / {y}",
    "{x}. Actually {y}.", "{x}, because {y} was elsewhere", "anyone but {x}", "{x} is not the murderer", "{x}, {y}",
    "{x} (clue 3), {y} (clue 4)", "{x}, since it is {y}", "{x} due to {y}", "{x}: {y}", "the {x} with the {y}",
    "{x} because {x} or {y}",
    "{x}, as the {y} is out", "{x}. It was {y}.", "neither {x} nor {y}", "the answer is {x}; the answer is {y}", "{x} was {y}",
    "in the {x}, at the {y}", "{x}\n{y}", "\n{x}\n{y}", "{x}\nor {y}", "Who murdered {x}? {y}", "{x} ✅ {y}",
    "Suspect: {x}, weapon: {y}",
)  # fmt: skip


def hedged(lists, rng):
    form = rng.choice(HEDGES)
    return sheet([form.format(x=options[0], y=options[-1]) for options in lists])


def tables(lists, rng):
    ranks = rng.randint(1, 4)
    rows = [f"| {chr(65 + i)} | {' | '.join(some[r % len(some)] for r in range(ranks))} |" for i, some in enumerate(lists)]
    across = [f"| {' | '.join(ranked(lists, rank))} |" for rank in range(ranks)]
    letters = f"| {' | '.join(chr(65 + i) for i in range(len(lists)))} |"
    return "\n".join(rng.choice((rows, [letters, *across], [letters, "|---|", *across], ["| Question | Answer |", *rows])))


def objects(lists, rng):
    """JSON with duplicate keys, lists as values, several objects."""
    between = rng.choice((", ", ",\n", "}, {", "}\n{"))
    pairs = [
        f'"{chr(65 + i)}": "{option}"' for rank in range(rng.randint(1, 4)) for i, option in enumerate(ranked(lists, rank))
    ]
    several = [f'"{chr(65 + i)}": ["{chr(34).join(options)}"]' for i, options in enumerate(lists)]
    return "{" + between.join(rng.choice((pairs, sorted(pairs), several, rng.sample(pairs, len(pairs))))) + "}"


def on_one_line(lists, rng):
    between = rng.choice((" ", ", ", "; ", " and ", " or ", " | "))
    return between.join(
        f"{chr(65 + i)}{rng.choice('.):')} {option}"
        for rank in range(rng.randint(1, 4))
        for i, option in enumerate(ranked(lists, rank))
    )


def mixed_forms(lists, rng):
    """Sheets whose lines have different forms, some of them with another letter's answer."""
    forms = (
        "A. {x}",
        "A) {x}",
        "(A) {x}",
        "**A:** {x}",
        "A - {x}",
        "| A | {x} |",
        '"A": "{x}",',
        "A.\n{x}",
        "The answer: {x}",
        "A {x}",
    )
    lines = []
    for rank in range(rng.randint(1, 4)):
        for i, option in enumerate(ranked(lists, rank)):
            lines.append(rng.choice(forms).replace("A", chr(65 + i), 1).format(x=option))
        lines.append(rng.choice(("", "Wait.", "</answer>", "A. was hard", "Final answer:")))
    return "\n".join(lines)


def listed_below(lists, rng):
    """All options of a question on the lines below its letter, the first one perhaps beside it, or below a label."""
    item = rng.choice(
        (
            "- {}",
            "  * {}",
            "{}",
            "1. {}",
            "> {}",
            '"{}",',
            "<li>{}</li>",
            "| | {} |",
            "Answer: {}",
            "or {}",
            "\n- {}",
            "Also {}",
        )
    )
    head = rng.choice(("{}.", "{}. {first}", "### {}", "{}: [", "**{}.** Candidates:", "<b>{}.</b> {first}", "{}.\n{first}"))
    return "\n".join(
        "\n".join([head.format(chr(65 + i), first=options[0]), *map(item.format, options)]) for i, options in enumerate(lists)
    )


def noise(lists, rng):
    pieces = ["A.", "B. ", "\n", "Z. x", "a.", "*", "**", "</think>", "<think>", "\x00", "\ud800", "?", *lists[0]]
    return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 200)))


ATTACKS = (repeated, all_options, a_line_each, interleaved, lookalikes, reasoning_only, nested, noise)
ATTACKS += (hedged, tables, objects, on_one_line, mixed_forms, listed_below)


def attack_of(lists, seed):
    """One to four attacks in a row, the same for every rotation of the lists."""
    rng = random.Random(seed)
    chosen = [(rng.choice(ATTACKS), rng.random()) for _ in range(rng.randint(1, 4))]
    return "\n".join(attack(lists, random.Random(own)) for attack, own in chosen)


@pytest.mark.parametrize("index", range(6))
def test_no_attack_earns_more_than_the_honest_sheet(index):
    case = generate(20261123, index, Size(suspects=3, weapons=2, rooms=4, times=2, motives=2))
    truth = list(case.solution.values())
    options = [list(answer_options(question, case.puzzle.setting)) for question in case.puzzle.questions]
    for known in (0, 2):  # how many answers the attacker is sure of
        lists = [[answer] for answer in truth[:known]] + options[known:]
        rotations = lcm(*map(len, lists))
        honest = sum(1 / len(some) for some in lists) / len(lists)
        every_rotation = [[some[r % len(some) :] + some[: r % len(some)] for some in lists] for r in range(rotations)]
        for prompts in (None, [prompt(case.puzzle)] * rotations):
            fair = accuracy([sheet(ranked(rotated, 0)) for rotated in every_rotation], [truth] * rotations, prompts=prompts)
            assert sum(fair) / rotations == pytest.approx(honest)
            for seed in range(150):
                texts = [attack_of(rotated, seed) for rotated in every_rotation]
                earned = sum(accuracy(texts, [truth] * rotations, prompts=prompts)) / rotations
                assert earned <= honest + 1e-9, texts[0]


def test_each_attack_is_really_graded():
    """The attacks do not score 0 for a trivial reason: with one option for each question they score like an honest sheet."""
    truth, lists = ["Hall", "Rope"], [["Hall"], ["Rope"]]
    seeds = range(20)
    worth = {a.__name__: max(accuracy([a(lists, random.Random(s)) for s in seeds], [truth] * len(seeds))) for a in ATTACKS}
    assert worth["reasoning_only"] == 0
    assert {name for name, earned in worth.items() if earned < 1} <= {"reasoning_only", "noise"}


def test_a_list_of_all_options_earns_nothing_even_if_the_first_is_right():
    truth = ["Hall", "Rope", "Greed"]
    lists = [["Hall", "Study", "Lounge"], ["Rope", "Knife"], ["Greed", "Fear"]]
    for seed in range(300):
        text = listed_below(lists, random.Random(seed))
        assert accuracy([text], [truth]) == [0.0], text


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=st.characters(), max_size=400) | st.text(alphabet="AB.ab*`>#- \n\t<>/think", max_size=400))
def test_nothing_crashes_the_grader(text):
    assert accuracy([text, [{"content": text}], None], [["Hall", "Rope"]] * 3)[0] in (0.0, 0.5, 1.0)
