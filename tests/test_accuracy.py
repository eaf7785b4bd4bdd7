"""The graders: gold is worth 1, whatever is not the answer is worth 0, and form is forgiven only where it says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.generate import generate
from rewards.accuracy import accuracy, answer_sheet, published_accuracy
from tests.test_scenario import SIZES

RIGHT = ["Mrs. White", "Lead Pipe", "Hall", "11:30 PM", "Greed"]
GOLD = "A. Mrs. White\nB. Lead Pipe\nC. Hall\nD. 11:30 PM\nE. Greed"


def grade(text, right=RIGHT):
    return accuracy([text], [right])[0]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), SIZES)
def test_gold_is_worth_one_and_every_slip_costs_its_share(seed, size):
    solution = generate(seed, 0, size).solution
    lines = [f"{letter}. {answer}" for letter, answer in solution.items()]
    assert accuracy(["\n".join(lines)], [list(solution.values())]) == [1.0]
    for i in range(len(lines)):
        wrong = [*lines[:i], lines[i] + " or Nobody", *lines[i + 1 :]]
        assert accuracy(["\n".join(wrong)], [solution]) == [pytest.approx(1 - 1 / len(lines))]


@pytest.mark.parametrize(
    "text",
    [
        GOLD,
        GOLD.lower(),
        GOLD.replace("\n", "\n\n"),
        GOLD.replace("\n", "  \r\n  "),
        GOLD.replace("Lead Pipe", "lead  pipe").replace("11:30 PM", "11:30pm"),
        "\n".join(f"**{line}**" for line in GOLD.split("\n")),
        "\n".join(f"- **{line[:2]}** _{line[3:]}_." for line in GOLD.split("\n")),
        "\n".join(f"> `{line}`!" for line in GOLD.split("\n")),
        "First A. then B.\nA. Who? Plum, I think.\nLet me look again.\n\nFinal answer:\n" + GOLD + "\n\nBest regards",
        GOLD.replace("White", "Peacock") + "\nNo, wait:\n" + GOLD,
        "<think>\n" + GOLD.replace("White", "Peacock") + "\n</think>\n" + GOLD,
        GOLD + "\nA. was the hardest.",  # the last *complete* sheet counts
        [{"role": "assistant", "content": GOLD}],
    ],
)
def test_form_is_forgiven(text):
    assert grade(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        [],
        [{"role": "assistant", "content": None}],
        "I do not know.",
        "A.\nB.\nC.\nD.\nE.",
        "A. SUSPECT\nB. WEAPON\nC. ROOM\nD. TIME\nE. MOTIVE",
        "Mrs. White, Lead Pipe, Hall, 11:30 PM, Greed",
        GOLD.replace(". ", ") "),
        "<think>\n" + GOLD + "\n</think>",
        "\n".join(f"{line} or so" for line in GOLD.split("\n")),
        "\n".join(f"{line[:2]} not {line[3:]}" for line in GOLD.split("\n")),
        GOLD + "\n" + "A. x\nB. x\nC. x\nD. x\nE. x",
    ],
)
def test_everything_else_is_worth_nothing(text):
    assert grade(text) == 0.0


@pytest.mark.parametrize(
    "answer", ["Plum or Green", "Mrs. White (surely)", "White", "Mrs White", "Mrs. Whіte", "the Mrs. White", "?"]
)
def test_a_hedged_foreign_or_inexact_answer_costs_its_question(answer):
    assert grade(GOLD.replace("Mrs. White", answer)) == pytest.approx(0.8)


def test_answers_that_are_missing_cost_only_themselves():
    assert grade("A. Mrs. White\nB. Lead Pipe") == pytest.approx(0.4)
    assert grade("C. Hall") == pytest.approx(0.2)
    assert answer_sheet("B. one\nA. two", 2) == {0: " two"}


def test_the_published_grader_cannot_score_a_time():
    assert published_accuracy([GOLD], [RIGHT]) == [0.8]
    assert published_accuracy(["A. mrs. white B. x\nB. Rope\nB. Lead Pipe"], [RIGHT]) == [0.2]
    assert published_accuracy([None], [RIGHT]) == [0.0]


def test_solved_share_is_logged_and_arrow_nones_are_left_out():
    logged = {}
    sheets = {"A": "Hall", "B": "Rope", "C": None}
    scores = accuracy(["A. Hall\nB. Rope", "A. Hall\nB. Knife"], [sheets] * 2, log_metric=logged.__setitem__, prompts=["", ""])
    assert scores == [1.0, 0.5]
    assert logged == {"solved": 0.5}
    with pytest.raises(ValueError, match="`solution` column"):
        accuracy([""], [[]])


def test_long_and_strange_completions_are_graded_in_no_time():
    """No pattern backtracks: a megabyte in one line, or a hundred thousand lines, is read once."""
    for text in (
        "A. " + "a " * 500_000,
        "*" * 1_000_000,
        "A. x\n" * 100_000,
        "\x00A. \ud800",
        " " * 1_000_000 + "A. Mrs. White",
    ):
        assert 0 <= grade(text) <= 0.2
