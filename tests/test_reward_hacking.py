"""No way of writing more earns more: attacks against the grader, by somebody who knows some answers and must guess the rest.

An attacker has a list of candidates for each question, in an order of their own. Over all rotations of these lists the truth
stands at each place equally often, so what an attack earns on average is what it earns without knowing. An honest sheet, the
first candidate of each list, earns 1/k of a question with k candidates. No attack may earn more.
"""

import random
from math import lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import candidates
from puzzles.generate import generate
from puzzles.scenario import Size
from rewards.accuracy import accuracy

LOOKALIKES = str.maketrans("AaBCcEeHKMOoPpSTXxyi", "АаВСсЕеНКМОоРрЅТХхуі")  # Latin to Cyrillic
INVISIBLE = ("\u200b", "\u00ad", "\u2060", "\u0301", "\ufeff", "\u202e")


def sheet(answers, form="{letter}. {answer}"):
    return "\n".join(form.format(letter=chr(65 + i), answer=answer) for i, answer in enumerate(answers))


def ranked(lists, rank):
    """Everybody's candidate of a rank."""
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


def noise(lists, rng):
    pieces = ["A.", "B. ", "\n", "Z. x", "a.", "*", "**", "</think>", "<think>", "\x00", "\ud800", "?", *lists[0]]
    return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 200)))


ATTACKS = (repeated, all_options, a_line_each, interleaved, lookalikes, reasoning_only, nested, noise)


def attack_of(lists, seed):
    """A mixture of one to four attacks in a row, the same for every rotation of the lists."""
    rng = random.Random(seed)
    chosen = [(rng.choice(ATTACKS), rng.random()) for _ in range(rng.randint(1, 4))]
    return "\n".join(attack(lists, random.Random(own)) for attack, own in chosen)


@pytest.mark.parametrize("index", range(6))
def test_no_attack_earns_more_than_the_honest_sheet(index):
    case = generate(20261123, index, Size(suspects=3, weapons=2, rooms=4, times=2, motives=2))
    truth = list(case.solution.values())
    options = [list(candidates(question, case.puzzle.setting)) for question in case.puzzle.questions]
    for known in (0, 2):  # how many answers the attacker is sure of
        lists = [[answer] for answer in truth[:known]] + options[known:]
        rotations = lcm(*map(len, lists))
        honest = sum(1 / len(some) for some in lists) / len(lists)
        every_rotation = [[some[r % len(some) :] + some[: r % len(some)] for some in lists] for r in range(rotations)]
        fair = accuracy([sheet(ranked(rotated, 0)) for rotated in every_rotation], [truth] * rotations)
        assert sum(fair) / rotations == pytest.approx(honest)
        for seed in range(150):
            texts = [attack_of(rotated, seed) for rotated in every_rotation]
            earned = sum(accuracy(texts, [truth] * rotations)) / rotations
            assert earned <= honest + 1e-9, texts[0]


def test_each_attack_by_itself_is_really_graded():
    """The attacks are not all worth nothing for a trivial reason: those that put down one clean sheet at last earn like one."""
    truth, lists = ["Hall", "Rope"], [["Hall"], ["Rope"]]
    worth = {attack.__name__: accuracy([attack(lists, random.Random(1))], [truth])[0] for attack in ATTACKS}
    assert worth["repeated"] == worth["a_line_each"] == 1.0
    assert worth["reasoning_only"] == 0.0


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=st.characters(), max_size=400) | st.text(alphabet="AB.ab*`>#- \n\t<>/think", max_size=400))
def test_nothing_crashes_the_grader(text):
    assert accuracy([text, [{"content": text}], None], [["Hall", "Rope"]] * 3)[0] in (0.0, 0.5, 1.0)
