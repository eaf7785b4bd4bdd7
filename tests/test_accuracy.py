"""The graders: the right answers score 1 however they are written; whatever is not clearly the answer scores 0."""

import json
import re
import time
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer_kind, answer_options, with_answer
from puzzles.dataset import build
from puzzles.dataset.folder import write_published_format
from puzzles.dataset.load import SPLITS
from puzzles.generator import generate
from puzzles.prompts import WORDINGS, lettered, prompt
from puzzles.scenario import Size
from puzzles.sentences import render
from rewards.accuracy import accuracy, answers_of, published_accuracy
from rewards.accuracy import grade as grades
from rewards.answer_sheet import final_sheet
from rewards.thinking import opens_thinking, without_thinking
from tests.test_scenario import SIZES

RIGHT = ["Mrs. White", "Lead Pipe", "Hall", "11:30 PM", "Greed"]
GOLD = "A. Mrs. White\nB. Lead Pipe\nC. Hall\nD. 11:30 PM\nE. Greed"


def grade(text, right=RIGHT):
    return accuracy([text], [right])[0]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), SIZES)
def test_the_right_answers_score_1_and_every_mistake_costs_its_share(seed, size):
    solution = generate(seed, 0, size).solution
    lines = [f"{letter}. {answer}" for letter, answer in solution.items()]
    assert accuracy(["\n".join(lines)], [list(solution.values())]) == [1.0]
    for i in range(len(lines)):
        wrong = [*lines[:i], lines[i] + " or Nobody", *lines[i + 1 :]]
        assert accuracy(["\n".join(wrong)], [solution]) == [pytest.approx(1 - 1 / len(lines))]


@pytest.mark.parametrize("wording", WORDINGS)
def test_every_row_accepts_its_own_answers_in_both_formats(tmp_path, wording):
    ours = build(20261126, 0, 16, wording=wording, players=(1, 3))
    (tmp_path / "data").mkdir()
    for split in SPLITS:
        ours.to_parquet(tmp_path / "data" / f"{split}.parquet")
    write_published_format(tmp_path)
    file = tmp_path / "data" / "train.json"
    published = Dataset.from_list(json.loads(file.read_bytes()))  # Arrow adds a None for each letter that a row lacks
    assert len({len(row["solution"]) for row in ours}) > 1
    for rows in (ours, published):
        sheets = [lettered(answers_of(row["solution"])) for row in rows]
        for completions in (sheets, [[{"role": "assistant", "content": f"<think>Hm.</think>\n\n{sheet}"}] for sheet in sheets]):
            assert accuracy(completions, rows["solution"], prompts=rows["prompt"]) == [1.0] * len(rows)
            assert accuracy(completions, rows["solution"]) == [1.0] * len(rows)
        for nothing in (None, "", [], "I do not know."):
            assert accuracy([nothing] * len(rows), rows["solution"], prompts=rows["prompt"]) == [0.0] * len(rows)


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
def test_the_form_of_a_sheet_does_not_matter(text):
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
        "<think>\n" + GOLD + "\n</think>",
        "\n".join(f"{line} or so" for line in GOLD.split("\n")),
        "\n".join(f"{line[:2]} not {line[3:]}" for line in GOLD.split("\n")),
        GOLD + "\n" + "A. x\nB. x\nC. x\nD. x\nE. x",
    ],
)
def test_everything_else_scores_0(text):
    assert grade(text) == 0.0


@pytest.mark.parametrize("answer", ["Plum or Green", "Mrs. White (surely)", "Mr. White", "Mrs. Whіte", "the Mrs. White", "?"])
def test_a_hedged_unknown_or_inexact_answer_costs_its_question(answer):
    assert grade(GOLD.replace("Mrs. White", answer)) == pytest.approx(0.8)


def test_missing_answers_cost_only_themselves():
    assert grade("A. Mrs. White\nB. Lead Pipe") == pytest.approx(0.4)
    assert grade("C. Hall") == pytest.approx(0.2)
    assert final_sheet("B. one\nA. two", 2) == {0: [" two"]}


def test_the_published_grader_cannot_score_a_time():
    assert published_accuracy([GOLD], [RIGHT]) == [0.8]
    assert published_accuracy(["A. mrs. white B. x\nB. Rope\nB. Lead Pipe"], [RIGHT]) == [0.2]
    assert published_accuracy([None], [RIGHT]) == [0.0]


def test_the_share_solved_is_logged_and_nones_from_arrow_are_ignored():
    logged = {}
    sheets = {"A": "Hall", "B": "Rope", "C": None}
    scores = accuracy(["A. Hall\nB. Rope", "A. Hall\nB. Knife"], [sheets] * 2, log_metric=logged.__setitem__, prompts=["", ""])
    assert scores == [1.0, 0.5]
    assert logged == {"solved": 0.5, "unread_answers": 0.0}
    accuracy(["A. Hall or Study\nB. Rope", ""], [sheets] * 2, log_metric=logged.__setitem__)
    assert logged == {"solved": 0.0, "unread_answers": 0.75}
    with pytest.raises(ValueError, match="`solution` column"):
        accuracy([""], [[]])
    assert accuracy(["A. Hall\nB. Rope"], [{"B": "Rope", "A": "Hall"}]) == [1.0]
    with pytest.raises(ValueError, match="has the letters A, C: use A, B, C and so on, without gaps"):
        accuracy([""], [{"A": "Hall", "B": None, "C": "Rope"}])


def test_long_and_strange_completions_are_graded_quickly():
    """No pattern backtracks: a megabyte in one line, or a hundred thousand lines, is read once."""
    for text in (
        "A. " + "a " * 500_000,
        "*" * 1_000_000,
        "A. x\n" * 100_000,
        "\x00A. \ud800",
        " " * 1_000_000 + "A. Mrs. White",
    ):
        assert 0 <= grade(text) <= 0.2


# ---------------------------------------------------------------- every form of an honest sheet, and of a hedge


CASE = generate(3, 0, Size(suspects=5, weapons=4, rooms=6, times=4, motives=5))
PROMPT, SOLUTION = prompt(CASE.puzzle), list(CASE.solution.values())
ASKED = CASE.puzzle.questions
KINDS = [answer_kind(question) for question in ASKED]
OTHERS = [
    next(o for o in answer_options(q, CASE.puzzle.setting) if o != right) for q, right in zip(ASKED, SOLUTION, strict=True)
]


def written(form, between="\n"):
    """The right sheet in a form: L, l the letter, N a number, K the kind, Q the question, X its answer, Y another option."""
    lines = []
    for i, (kind, question, right, other) in enumerate(zip(KINDS, ASKED, SOLUTION, OTHERS, strict=True)):
        values = {"L": chr(65 + i), "l": chr(97 + i), "N": str(i + 1), "K": kind, "X": right, "Y": other}
        line = form.replace("‹Q›", render(question, CASE.puzzle.setting))
        for name, value in values.items():
            line = line.replace(f"‹{name}›", value)
        lines.append(line)
    return between.join(lines)


def read(text, right=SOLUTION, asked=PROMPT):
    return grades(text, right, asked)


FORMS = r"""
‹L›. ‹X›¦‹L›) ‹X›¦(‹L›) ‹X›¦[‹L›] ‹X›¦‹L›: ‹X›¦‹L› : ‹X›¦‹L›.‹X›¦‹L› - ‹X›¦‹L› – ‹X›¦‹L› — ‹X›¦‹L›- ‹X›¦‹L› = ‹X›¦‹L› → ‹X›
‹L› -> ‹X›¦‹L› => ‹X›¦‹L›：‹X›¦‹L›、‹X›¦（‹L›） ‹X›¦‹l›) ‹X›¦‹l›. ‹X›¦(‹l›) ‹X›¦**‹L›:** ‹X›¦**‹L›**: ‹X›¦**‹L›.** ‹X›
**‹L›** ‹X›¦`‹L›` ‹X›¦**‹L›. ‹X›**¦_‹L›. ‹X›_¦‹L›. *‹X›*¦‹L›. **‹X›**¦‹L›. __‹X›__¦‹L›. `‹X›`¦- ‹L›. ‹X›¦+ ‹L›. ‹X›
* **‹L›.** ‹X›¦• ‹L›. ‹X›¦> ‹L›. ‹X›¦### ‹L›. ‹X›¦‹N›. ‹L›. ‹X›¦‹N›) ‹L›) ‹X›¦‹L›. ‹L›. ‹X›¦✅ ‹L›. ‹X›¦‹L›. 🔪 ‹X›¦‹L›. ‹X› ✅
‹L›. ‹X›.¦‹L›. ‹X›;¦‹L›. ‹X›,¦‹L›. ‹X›!¦‹L›. ‹X›...¦‹L›. “‹X›”¦‹L›. "‹X›"¦‹L›. '‹X›'¦‹L›. [‹X›]¦‹L›. <‹X›>¦‹L›. ‹K›: ‹X›
‹L›. **‹K›:** ‹X›¦‹L›. ‹K› – ‹X›¦‹L›. ‹K› ‹X›¦‹L› (‹K›): ‹X›¦‹L›. (‹K›) ‹X›¦‹L›. The ‹K› is ‹X›¦‹L›. Answer: ‹X›
‹L›. The answer is ‹X›¦‹L›. It was ‹X›¦‹L›. ‹Q› ‹X›¦‹L›. ‹Q› **‹X›**¦**‹L›. ‹Q›** ‹X›¦‹L›. ‹Q› - ‹X›¦‹L›. ‹Q›⏎‹X›
‹L›. ‹Q›⏎   - ‹X›¦‹L›. ‹Q›⏎**Answer:** ‹X›¦### ‹L›. ‹Q›⏎⏎‹X›⏎¦**Question ‹L›:** ‹Q›⏎⏎**Answer:** ‹X›⏎¦‹L›.⏎‹X›
**‹L›.**⏎⏎‹X›⏎¦### ‹L›⏎‹X›¦‹L›. ‹K›:⏎‹X›¦Answer ‹L›: ‹X›¦Question ‹L›: ‹X›¦Answer to ‹L›: ‹X›¦Answer to question ‹L›: ‹X›
Final answer ‹L›: ‹X›¦‹L›. ‹X› (clue 3)¦‹L›. ‹X› (clues 3 and 5)¦‹L›. ‹X› [clue 3]¦‹L›. ‹X› - from clue 3
‹L›. ‹X› because of clue 3¦‹L›. ‹X› — because ‹Y› was elsewhere¦‹L›. ‹X›, because ‹Y› was elsewhere
‹L›. ‹X›, since it is not ‹Y›¦‹L›. ‹X›. Because ‹Y› is out.¦‹L›. ‹X›. ‹Y› was elsewhere.¦‹L›. ‹X› (‹Y› was elsewhere)
‹L›. ‹X›, the only one left¦\boxed{‹L›. ‹X›}¦‹L›. \boxed{‹X›}¦‹L›. \text{‹X›}¦‹L›. $‹X›$¦$\text{‹L›. ‹X›}$
\boxed{\text{‹L›. ‹X›}}¦‹L›. $\boxed{\text{‹X›}}$¦‹L› & ‹X› \\¦"‹L›": "‹X›",¦"‹L›.": "‹X›",¦"answer_‹L›": "‹X›",
<answer>‹L›. ‹X›</answer>¦<b>‹L›.</b> ‹X›¦<li>‹L›. ‹X›</li>¦<tr><td>‹L›</td><td>‹X›</td></tr>¦<‹L›>‹X›</‹L›>¦‹L›. ‹X› <br>
| ‹L› | ‹X› |¦|‹L›|‹X›|¦| **‹L›.** | **‹X›** |¦| ‹L› | ‹Q› | ‹X› |¦‹L›. ‹X› did it¦‹L›. ‹X› is the ‹K›¦‹L›. The ‹K› was ‹X›.
‹L›. ‹X› (‹K›)¦‹L›. ‹K› = ‹X›¦‹L›. ‹X›. This was deduced.¦‹L›. ‹X› → clue 3¦‹L›.) ‹X›¦‹L›). ‹X›¦(‹L›.) ‹X›¦**(‹L›)** ‹X›
**‹L›)** ‹X›¦*‹L›.* ‹X›¦Answer: ‹L›. ‹X›¦| ‹L› | ‹X› | clue 3 |¦| ‹L› | ‹X› | ✅ |¦| ‹L› | ‹K› | ‹X› |¦| ‹L› | Who? | ‹X› |
\textbf{‹L›.} ‹X›¦\textbf{‹L›. ‹X›}¦\item[‹L›.] ‹X›¦\item ‹L›. ‹X›¦‹L›. \textbf{‹X›}¦<answer_‹L›>‹X›</answer_‹L›>
<answer id="‹L›">‹X›</answer>¦The answer to ‹L› is ‹X›¦‹L› is ‹X›¦For ‹L›: ‹X›¦‹L›. (the ‹K›) ‹X›¦‹L›. ‹X› (as per clue 3)
‹L› – ‹K› – ‹X›¦**‹L›**: **‹X›**¦‹L›. ‹X› // clue 3¦‹L›. ‹X›⏎   - because ‹Y› was elsewhere¦[‹L›: ‹X›]¦‹L›=‹X›¦‹L›:‹X›
‹L›)‹X›¦【‹L›】‹X›¦‹L›。‹X›¦Q‹L›: ‹X›¦Q. ‹L›: ‹X›¦Part ‹L›: ‹X›¦‹L›. ‹Q› → ‹X›¦‹L›) ‹Q›: ‹X›¦- ‹L›. ‹Q›⏎  - ‹X›¦‹L›. ‹K›⏎‹X›
**‹L›. ‹K›**⏎‹X›¦‹L›. ✔ ‹X›¦☑ ‹L›. ‹X›¦➡️ ‹L›. ‹X›¦‹L›. ‹X› (by elimination)¦‹L›. ‹X› – confirmed by clue 4
‹L›. ‹X› (proved above)
""".strip()  # ⏎: a line break
FORMS = [form.replace("⏎", "\n") for form in re.split("[¦\n]", FORMS)]
SPACES = ("\ufeff", "\u00a0", "\u200b", "\u3000", "\u2009", "\u202f", "\u2060", "\t", "  ", "\r")
FORMS += [f"{space}‹L›.{space}‹X›{space}" for space in SPACES]


def test_the_questions_tried_are_of_every_kind():
    assert set(KINDS) == {"SUSPECT", "WEAPON", "ROOM", "TIME", "MOTIVE"}


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_sheet_is_read_in_every_form_and_for_every_kind_of_question(form):
    assert read(written(form)) == [True] * len(KINDS)


LAYOUTS = {
    "inline": "Answers: " + written("‹L›. ‹X›", " "),
    "semicolons": written("‹L›. ‹X›", "; "),
    "a sentence": "The final answers are: " + written("‹L›: ‹X›", ", ") + ".",
    "brackets": written("(‹L›) ‹X›", " "),
    "bars": written("‹L›: ‹X›", " | "),
    "answers inline": written("Answer ‹L›: ‹X›.", " "),
    "json": "{" + written('"‹L›": "‹X›"', ", ") + "}",
    "json in a fence": "```json\n{\n" + written('  "‹L›": "‹X›"', ",\n") + "\n}\n```",
    "nested json": '{"answers": {' + written('"‹L›": "‹X›"', ", ") + "}}",
    "json with reasons": "{\n" + written('  "‹L›": {\n    "answer": "‹X›",\n    "reason": "clue 3"\n  }', ",\n") + "\n}",
    "a list of objects": "[" + written('{"question": "‹L›", "answer": "‹X›"}', ", ") + "]",
    "a pretty list": "[\n" + written('  {\n    "question": "‹L›",\n    "answer": "‹X›"\n  }', ",\n") + "\n]",
    "single objects": "[" + written('{"‹L›": "‹X›"}', ", ") + "]",
    "a python dict": "{" + written("'‹L›': '‹X›'", ", ") + "}",
    "tags": "<answer>" + written("‹L›. ‹X›") + "</answer>",
    "tags on one line": "<answer>" + written("‹L›. ‹X›", " ") + "</answer>",
    "boxed": "\\boxed{" + written("‹L›. ‹X›", ", ") + "}",
    "boxed lines": "\\boxed{" + written("\\text{‹L›. ‹X›}", " \\\\ ") + "}",
    "a table": "| Question | Answer |\n|---|---|\n" + written("| ‹L› | ‹X› |"),
    "a wide table": f"|{written('‹L›', '|')}|\n|{'---|' * len(KINDS)}\n|{written('‹X›', '|')}|",
    "a remark after it": written("‹L›. ‹X›") + "\n\nSo A. Mr. Green is surprising.\nA. was the hardest.",
    "a draft before it": written("‹L›. ‹Y›") + "\nWait, no.\n" + written("‹L›) ‹X›"),
    "reasons between": written("### ‹L›. ‹Q›\n‹X›\nThis follows from the clues."),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_sheet_is_read_in_every_layout(name):
    assert read(LAYOUTS[name]) == [True] * len(KINDS)


HEDGES = r"""
‹X› (leaning)¦‹X› (my best bet)¦‹X›, kind of¦‹X›, I'd say¦‹X› for now¦‹X› (to be determined)¦Who knows? ‹X›¦Likely ‹X›
Best guess: ‹X›¦I think it's ‹X›¦? ‹X›¦‹X› and/or ‹Y›¦‹X› (tie with ‹Y›)¦‹X›. ‹Y› did it.¦‹X›, same as ‹Y›¦It isn't ‹X›
‹X› is out¦‹X› is innocent¦‹X›: no¦‹X› (no)¦Everyone except ‹X›¦‹X›, ‹X› or ‹Y›¦"‹X›" or "‹Y›"¦‹X› || ‹Y›¦‹X› > ‹Y›
‹X› = ‹Y›¦from ‹X› to ‹Y›¦‹X› (previously ‹Y›)¦‹X›<br>‹Y›¦\boxed{‹X›} \boxed{‹Y›}¦‹X›\\‹Y›¦‹X›, with ‹Y›¦Both ‹X› and ‹Y›
‹X› (also ‹Y›)¦nobody but ‹X›¦‹X›: 50, ‹Y›: 50¦‹X› is one possibility¦‹X› has an alibi¦‹X› (tentative)¦‹X› (assuming clue 3)
‹X›, I believe¦‹X›. Not sure.¦‹X›. Hmm.¦‹X›. Wait.¦‹X›. Could also be ‹Y›.¦I'm unsure, ‹X›¦‹X› (doubtful)¦‹X› (unproven)
‹X› (speculative)¦‹X› (in theory)¦‹X› (cannot tell)¦hopefully ‹X›¦‹X› (nearly certain)¦‹X› (arbitrary)¦‹X› (potentially)
potentially ‹X›¦‹X› (a candidate)¦‹X› or ‹Y›¦‹Y› or ‹X›¦not ‹X›¦maybe ‹X›¦perhaps ‹X›¦‹X›?¦‹X› (?)¦?‹X›¦either ‹X› or ‹Y›
probably not ‹X›¦‹X›, or possibly ‹Y›¦‹X› / ‹Y›¦‹X›, ‹Y›¦‹X› (‹Y›)¦‹X› and ‹Y›¦‹X› & ‹Y›¦‹X› + ‹Y›¦‹X› ‹Y›¦‹X›; ‹Y›¦‹X›: ‹Y›
‹X› - ‹Y›¦‹X› → ‹Y›¦‹X› is not the murderer¦anyone but ‹X›¦anything but ‹X›¦except ‹X›¦other than ‹X›¦‹X› or so
‹X› or nobody¦‹X› (or ‹Y›)¦‹X› (not sure)¦‹X› (probably)¦‹X› (most likely)¦‹X›, I think¦‹X›, presumably¦‹X› (guess)
‹X› (50 %)¦I guess ‹X›¦I think ‹X›¦could be ‹X›¦might be ‹X›¦‹X›. Actually ‹Y›.¦‹X›. No, ‹Y›.¦‹X›. It was ‹Y›.¦‹X›, not ‹Y›
‹X› rather than ‹Y›¦‹X› but maybe ‹Y›¦‹X›, but ‹Y› is possible¦‹X› unless ‹Y›¦‹X› if clue 3 holds, else ‹Y›
neither ‹X› nor ‹Y›¦between ‹X› and ‹Y›¦‹X› was ruled out¦‹X› (ruled out)¦‹X› (eliminated)¦‹X› is impossible
‹X› (impossible)¦‹X› ❌¦❌ ‹X›¦~~‹X›~~¦\cancel{‹X›}¦<del>‹X›</del>¦¬‹X›¦!‹X›¦≠ ‹X›¦no ‹X›¦non-‹X›¦never ‹X›¦‹X› (wrong)
‹X› is wrong¦‹X›, among others¦‹X› et al.¦‹X›, ‹Y› too¦‹X› as well as ‹Y›¦‹X›, as well as ‹Y›¦all of ‹X›, ‹Y›¦‹X› vs ‹Y›
‹X› xor ‹Y›¦‹X›… or ‹Y›¦‹X› because ‹Y› is the murderer¦unknown (‹X›)¦‹X› (to be confirmed or not)¦it is not ‹X›
The answer is not ‹X›¦isn't ‹X›¦‹X› didn't do it¦opposite of ‹X›¦‹X›⏎or ‹Y›¦‹X›⏎‹Y›¦‹X›⏎‹L›. ‹Y›¦["‹X›", "‹Y›"]¦‹X› | ‹Y›
‹X› (alternatively ‹Y›)¦‹X›, otherwise ‹Y›¦‹X› (99%)¦‹X› (not 100% certain)
‹X› (less than 100%)¦‹X› (100% wrong)¦‹X› (1,100%)
‹X›. Every other option fits.¦‹X›. All others are possible.¦‹X›. No other option is ruled out.¦‹X› (a remaining candidate)
‹X›, the only candidates being ‹X› and ‹Y›¦‹X›. No other option works, except ‹Y›
‹X›. All others eliminated, or ‹Y›¦must be ‹X› or ‹Y›
""".strip()


@pytest.mark.parametrize("hedge", [hedge.replace("⏎", "\n") for hedge in re.split("[¦\n]", HEDGES)])
def test_a_hedge_a_denial_and_two_names_are_no_answer(hedge):
    assert read(written("‹L›. " + hedge)) == [None] * len(KINDS)


TWO = r"""
‹L›.⏎- ‹X›⏎- ‹Y›¦‹L›. ‹X›⏎- ‹Y›¦‹L›. ‹X›⏎⏎- ‹Y›¦‹L›.⏎⏎- ‹X›⏎⏎- ‹Y›⏎¦‹L›. ‹K›:⏎  1. ‹X›⏎  2. ‹Y›¦‹L›.⏎- ‹X›⏎  - ‹Y›
‹L›.⏎<ul><li>‹X›</li><li>‹Y›</li></ul>¦‹L›. ‹X›⏎‹K›: ‹Y›¦‹L›. ‹X›⏎Answer: ‹Y›¦‹L›.⏎Answer: ‹X›⏎Answer: ‹Y›
"‹L›": [⏎ "‹X›",⏎ "‹Y›"⏎],¦"‹L›": {⏎ "first": "‹X›",⏎ "second": "‹Y›"⏎},¦‹L›. ‹X›⏎Second guess: ‹Y›¦‹L›. ‹X›⏎Also ‹Y›
‹L›. ‹X›⏎It could also be ‹Y›.¦‹L›. ‹X›⏎‹Y› is possible too.¦| ‹L› | ‹X› |⏎| | ‹Y› |¦‹L›. ‹X›⏎---⏎‹Y›¦‹L›. ‹X›⏎\boxed{‹Y›}
‹L›. ‹X›⏎‹X›, ‹Y›¦‹L›. ‹K›⏎‹X› / ‹Y›¦‹L›. ‹X›⏎Candidates: ‹X›, ‹Y›¦‹L›. ‹X›⏎✅ ‹Y›¦‹L›. ‹X›⏎- [ ] ‹Y›¦‹L›. ‹X›⏎‹Y› did it.
‹L›. ‹X›⏎<answer>‹Y›</answer>¦‹L›. ‹X›⏎It was ‹Y›.¦‹L›. ‹X›⏎‹Y› (60 %)¦‹L›. ‹X›⏎Likely ‹Y›¦‹L›. ‹X›⏎No, ‹Y›¦‹L›. ‹X›⏎vs ‹Y›
‹L›. ‹X›⏎Wait, it is ‹Y›¦‹L›. ‹X›⏎Guess 2 - ‹Y›¦‹L›. ‹X›⏎If not, ‹Y›¦‹L›. ‹X›⏎else ‹Y›
‹L›. ‹X›⏎(or somebody else)¦‹L›. ‹X›⏎Not sure, though.
‹L›. ‹X› = ‹Y›¦‹L›. ‹X›, ‹X›?¦‹L›. ‹X›, since nobody else or ‹Y›¦‹L›. ‹X›. Nobody else, but ‹Y› too¦‹L›. (‹Y›) ‹X›¦‹L›. ‹Y›: ‹X›
‹L›.⏎1) ‹X›⏎2) ‹Y›⏎3) ‹Y›¦‹L›. 1. ‹X› 2. ‹Y›
""".strip()


@pytest.mark.parametrize("form", [form.replace("⏎", "\n") for form in re.split("[¦\n]", TWO)])
def test_two_options_before_the_next_letter_are_no_answer_whichever_lines_they_are_on(form):
    assert True not in read(written(form))


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (0, "Mrs. White, because nobody else could have been there."), (0, "Mrs. White killed Mr. Boddy"),
        (0, "Mrs. White (Mrs. White)"),
        (0, "Mrs. White's guilty"), (0, "Mrs. White murdered Mr. Boddy."),
        (1, "The murderer used the Lead Pipe."), (1, "He used the Lead Pipe."),
        (0, "The correct answer is Mrs. White"), (0, "Correct answer: Mrs. White"), (0, "The murderer must be Mrs. White."),
        (0, "It must have been Mrs. White"), (0, "Mrs. White killed Boddy."), (0, "Boddy was killed by Mrs. White"),
        (0, "Mrs. White\n   (e.g. clue 3)"), (0, "Mrs. White\n   (i.e. the only one there)"), (0, "Mrs. White (100%)"),
        (0, "Mrs. White (100 % certain)"), (0, "Mrs. White | 100% |"), (0, "Mrs. White (only remaining candidate)"),
        (0, "Mrs. White (all others eliminated)"), (0, "Mrs. White – everyone else is ruled out"),
        (0, "Mrs. White, as no other suspect was there"), (1, "Lead Pipe. No other option works."),
        (1, "Lead Pipe – every other weapon is impossible"), (1, "Lead Pipe, otherwise clue 4 would be violated."),
        (2, "Room 10 (Hall)"), (2, "Room 5: Hall"), (2, "Room 5. Hall"),
        (4, "His motive was Greed"), (4, "Their motive must be Greed"),
        (1, "Lead Pipe – it never left the victim's side."), (1, "Lead Pipe | the other two weapons were elsewhere |"),
        (2, "5. Hall"),
        (1, "What weapon did the murderer use?\nReasoning: the Rope was in the Hall.\nAnswer: Lead Pipe\n"), (2, "Hall = Hall"),
        (1, "Lead Pipe\nReasoning: it was there.\nThe Rope was in the Kitchen."), (1, "Lead Pipe\nRuled out: Rope"),
        (3, "11:30 at night"), (3, "11:30 in the evening"), (3, "11:30 PM sharp"),
        (3, "11:30 PM – before anyone else arrived."),
        (4, "For greed"), (4, "driven by greed"), (4, "He was motivated by Greed"), (4, "Because she was motivated by Greed"),
        (4, "Professor Plum's motive was Greed"), (4, "The murderer's motive was Greed."), (4, "**Greed** was what drove him"),
    ],
)  # fmt: skip
def test_reasons_and_sentences_that_leave_no_doubt_are_read(number, line):
    assert read(f"{'ABCDE'[number]}. {line}", ["Mrs. White", "Lead Pipe", "Hall", "11:30 PM", "Greed"], asked())[number] is True


@pytest.mark.parametrize(
    ("number", "labels"),
    [
        (0, "Murderer¦The murderer is"), (1, "Weapon used¦The weapon used was¦Murder weapon"),
        (2, "Murder location¦Location of murder¦Location of the murder¦Murder scene¦Room of the murder¦Place of the crime"),
        (3, "Time of murder¦Time of the murder¦Murder time"),
        (4, "Murder motive¦Motivation¦Motive for the murder¦Murderer's motive¦The murderer's motive"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["A. ‹S›: ‹X›", "- **A. ‹S›:** ‹X›", "A. ‹S› - ‹X›", "| A. ‹S› | ‹X› |", "A. ‹S› = ‹X›"])
def test_usual_labels_are_read(number, labels, form):
    answers = ["Mrs. White", "Lead Pipe", "Hall", "11:30 PM", "Greed"]
    for label in labels.split("¦"):
        line = form.replace("A.", f"{'ABCDE'[number]}.").replace("‹S›", label)
        assert read(line.replace("‹X›", answers[number]), answers, asked())[number] is True, label
        assert read(line.replace("‹X›", f"{answers[number]}, or not"), answers, asked())[number] is None, label


@pytest.mark.parametrize(
    "form", ["‹S›: ‹X›", "**‹S›:** ‹X›", "(‹S›) ‹X›", "‹S› – ‹X›", "‹S›:\n‹X›", "The ‹S›: ‹X›", "Location of the ‹S›: ‹X›"]
)
def test_a_label_may_repeat_what_a_question_is_about(form):
    for i, (question, right) in enumerate(zip(ASKED, SOLUTION, strict=True)):
        if (sentence := render(question, CASE.puzzle.setting)).startswith("Where was ") and "committed" not in sentence:
            about = sentence.removeprefix("Where was ").removeprefix("the ").rstrip("?")
            who = about.rpartition(" at ")[0]
            for label in (about, who, about.replace(" at ", ", "), f"{who}'s location"):
                assert read(f"{chr(65 + i)}. {form.replace('‹S›', label).replace('‹X›', right)}")[i] is True, label


@pytest.mark.parametrize(
    "text",
    [
        "A,Mrs. White\nB,Lead Pipe\nC,Hall\nD,11:30 PM\nE,Greed", "A-Mrs. White, B-Lead Pipe, C-Hall, D-11:30 PM, E-Greed",
        GOLD.replace(". ", ".&nbsp;", 1), "Assistant: " + GOLD,
        "D. 11:30 PM\nE. Greed\n\nThe others:\nA. Mrs. White\nB. Lead Pipe\nC. Hall",
        "\n".join("- [x] " + line for line in GOLD.split("\n")),
        '{"name": "final_answer", "arguments": {' + ", ".join(f'"{line[0]}": "{line[3:]}"' for line in GOLD.split("\n")) + "}}",
        "{"
        + ",\n".join(f'"{line[0]}": {{\n"question": "Who?",\n"answer": "{line[3:]}"\n}}' for line in GOLD.split("\n")) + "}",
        "$$\\boxed{\\begin{array}{ll}"
        + r" \\ ".join(rf"\text{{{x[:2]}}} & \text{{{x[3:]}}}" for x in GOLD.split("\n")) + r" \end{array}}$$",
    ],
)  # fmt: skip
def test_more_layouts_are_read(text):
    assert grade(text) == 1.0
    assert grade("Then it was clear to me. " * 400 + "\n" + text) == 1.0  # which is longer than the end that is searched first


@pytest.mark.parametrize(
    "form", ["‹L› (not sure): ‹X›", "❌ ‹L›. ‹X›", "Maybe ‹L›. ‹X›", "Not ‹L›. ‹X›", "~~‹L›. ‹X›~~", "‹L›? ‹X›"]
)
def test_a_doubted_letter_has_no_answer(form):
    assert read(written(form)) == [None] * len(KINDS)


HALF_A_DAY = [(11, "AM"), (12, "PM"), *((hour, "PM") for hour in range(1, 12))]


def asked(**lists):
    """A prompt in the compact wording with these names."""
    names = {
        "Suspects": "Mrs. White, Mr. Green",
        "Weapons": "Lead Pipe, Rope",
        "Times": "11:30 PM, 12:00 AM, 12:30 AM, 01:00 AM",
    } | lists
    rows = [f"{key}: {value}" for key, value in names.items()] + ["Motives: Greed 1, Fear 1", "Rooms: Hall | Fountain"]
    clues = ["Clues:", "- Mr. Boddy was murdered in the Hall", "Questions:", "A. Who murdered Mr. Boddy?"]
    questions = ("What weapon did the murderer use?", "Where was the murder committed?", "When did the murder occur?")
    clues += [f"{letter}. {q}" for letter, q in zip("BCDE", (*questions, "Why did the murderer do it?"), strict=True)]
    return "\n".join([*rows, *clues])


@pytest.mark.parametrize(
    ("number", "right", "names"),
    [
        (0, "Mrs. White", "White|mrs white|MRS WHITE|Mrs White|Missus White"),
        (0, "Mr. Green", "Green|Mister Green|mr green"),
        (1, "Lead Pipe", "the Lead Pipe|The lead pipe|a Lead Pipe|with the Lead Pipe|Lead-Pipe|LEAD PIPE|leadpipe"),
        (2, "Hall", "In the Hall|the Hall|in the hall.|The murder was committed in the Hall"),
        (2, "Fountain", "at the Fountain|the Fountain|FOUNTAIN"),
        (3, "11:30 PM", "11:30 p.m.|11:30PM|11:30 pm|11:30 P.M.|23:30|at 11:30 PM|11:30|11.30 pm|23:30:00|23h30|11:30\u202fPM"),
        (3, "12:00 AM", "midnight|00:00|12:00 a.m.|12 AM|at midnight|12:00|24:00|0:00"),
        (3, "01:00 AM", "1:00 AM|01:00|1:00 a.m.|1 AM|1:00am"),
        (4, "Greed", "greed|out of greed|motivated by Greed|because of greed|The motive was Greed|Out of Greed."),
    ],
)  # fmt: skip
def test_names_are_read_in_all_their_spellings(number, right, names):
    for name in names.split("|"):
        text = f"{'ABCDE'[number]}. {name}"
        answers = ["Mrs. White", "Rope", "Hall", "12:00 AM", "Fear"]
        answers[number] = right
        assert read(text, answers, asked())[number] is True, name


@pytest.mark.parametrize(
    ("number", "right", "names", "lists"),
    [
        (0, "Mrs. White", "Mr. White|Miss White|Whites|Snow White|Mrs.|Mrs. Green|whitewash", {}),
        (0, "Mrs. White", "White|the Whites", {"Suspects": "Mrs. White, Mr. White"}),
        (1, "Lead Pipe", "Pipe dream|Lead|a rope or a Lead Pipe", {}),
        (2, "Hall", "near the Hall|next to the Hall|north of the Hall|Hallway|outside the Hall", {}),
        (3, "11:30 PM", "11:30 AM|before 11:30 PM|after 11:30 PM|~11:30 PM|11:31 PM|11:30 PM - 12:00 AM|11|2330", {}),
        (3, "11:30 PM", "11:30", {"Times": ", ".join(f"{hour:02d}:30 {half}" for hour, half in HALF_A_DAY)}),
        (4, "Greed", "Greedy|no Greed|Greed and Fear", {}),
    ],
)  # fmt: skip
def test_what_only_resembles_a_name_or_could_be_two_names_is_not_read(number, right, names, lists):
    for name in names.split("|"):
        answers = ["Mrs. White", "Rope", "Hall", "12:00 AM", "Fear"]
        answers[number] = right
        assert read(f"{'ABCDE'[number]}. {name}", answers, asked(**lists))[number] is not True, name


def test_whole_sentences_answer_too():
    after = {"Who": "Mr. Boddy was murdered by ‹X›.", "What": "Mr. Boddy was killed with the ‹X›"}
    for i, (question, right) in enumerate(zip(ASKED, SOLUTION, strict=True)):
        sentence = render(question, CASE.puzzle.setting)
        if sentence.startswith("Where was ") and "committed" not in sentence:
            who, _, when = sentence.removeprefix("Where was ").rstrip("?").rpartition(" at ")
            told = f"{who} was in the {right} at {when}."
        else:
            told = after.get(sentence.split()[0], "‹X›").replace("‹X›", right)
        assert read(f"{chr(65 + i)}. {told}")[i] is True, told


# ---------------------------------------------------------------- sheets, thinking, messages


def test_the_last_sheet_counts_even_if_one_of_its_lines_is_unreadable():
    draft, final = written("‹L›. ‹Y›"), written("‹L›. ‹X›").split("\n")
    for i in range(len(final)):
        for odd in ("I cannot say", f"{chr(65 + i)}: ???", "Nobody knows", ""):
            found = read(draft + "\n\nBut no:\n\n" + "\n".join([*final[:i], odd, *final[i + 1 :]]))
            assert [bool(f) for f in found] == [j != i for j in range(len(final))], odd
    assert read("\n".join(final) + "\n\n" + "\n".join(final[:2]).replace(". ", ". not ")) == [True] * len(final)
    assert read("\n".join(final) + "\n" + draft) == [False] * len(final)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<seed:think>", "</seed:think>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
    ],
)  # fmt: skip
def test_thinking_does_not_count(begin, end):
    none, all_right = [None] * len(KINDS), [True] * len(KINDS)
    right, wrong = written("‹L›. ‹X›"), written("‹L›. ‹Y›")
    assert read(f"{begin}\n{wrong}\n{end}\n{right}") == all_right
    assert read(f"{begin}\n{right}\n{end}\nThat is all.") == read(f"{begin}\n{right}") == none
    assert read(f"{wrong}\n{end}\n{right}") == all_right  # the chat template opened the thinking
    assert read(f"{right}\n{begin}{wrong}{end}") == all_right
    for prompted in (f"{PROMPT}\n<|assistant|>{begin}\n", [*chat(PROMPT), {"role": "assistant", "content": begin}]):
        assert opens_thinking(f"Who?{begin}\n\n")
        assert read(right, SOLUTION, prompted) == read(f"{right}\n{begin}", SOLUTION, prompted) == none
        assert read(f"{wrong}{end}{right}", SOLUTION, prompted) == all_right
        assert accuracy([right], [SOLUTION], prompts=[prompted]) == [0.0]
    assert not opens_thinking(f"Who?{begin}\n\n{end}\n\n")
    assert not opens_thinking(f"Write {begin} first. Who?")
    assert read(right, SOLUTION, chat(f"{PROMPT}\nThink after {begin}")) == all_right
    assert accuracy([right, right], [SOLUTION] * 2, unfinished_thought=[True, False]) == [0.0, 1.0]
    assert without_thinking("no tags, a < b and [1]") == "no tags, a < b and [1]"


def chat(text, role="user"):
    return [{"role": role, "content": text}]


@pytest.mark.parametrize("grader", [accuracy, published_accuracy])
def test_messages_of_every_shape_are_graded(grader):
    plain = [GOLD, chat(GOLD, "assistant"), chat([{"type": "text", "text": GOLD}], "assistant"), chat([GOLD])]
    half = len(GOLD) // 2
    plain += [chat([{"type": "text", "text": GOLD[:half]}, {"type": "text", "text": GOLD[half:]}]), chat([{"text": GOLD}])]
    plain += [chat([{"type": "thinking", "thinking": "A. Mr. Green"}, {"type": "text", "text": GOLD}])]
    plain += [[*chat("x", "assistant"), *chat("y", "tool"), *chat(GOLD, "assistant")], {"role": "assistant", "content": GOLD}]
    assert set(grader(plain, [RIGHT] * len(plain))) == {grader([GOLD], [RIGHT])[0]}
    empty = [
        None,
        "",
        [],
        [{"role": "assistant"}],
        [{"role": "assistant", "tool_calls": [{}]}],
        chat(None),
        chat([]),
        chat([None]),
    ]
    empty += [chat(GOLD, "tool"), [None], chat([{"type": "image"}]), chat([{"type": "text", "text": None}]), chat(7), [{}]]
    empty += [[{"role": "assistant", "content": None, "reasoning_content": GOLD}], chat([{"type": "reasoning", "text": GOLD}])]
    assert grader(empty, [RIGHT] * len(empty)) == [0.0] * len(empty)


def test_the_puzzle_is_found_in_every_kind_of_prompt_and_without_one_all_names_of_the_game_count():
    text = asked(Suspects="Mrs. White, Mr. White")
    answers = ["Mrs. White", "Rope", "Hall", "12:00 AM", "Fear"]
    template = f"<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    system = chat("- Be brief.\nA. Who are you?", "system")
    for shape in (text, template, chat(text), system + chat(text), chat([{"type": "text", "text": text}])):
        assert read("A. White", answers, shape) == [None] * 5, shape  # of two
        assert read("A. Mrs White", answers, shape) == [True] + [None] * 4
    for none in (None, "", "no puzzle", chat("no puzzle"), [], asked(Suspects="Mr. Green, Mrs. Peacock")):
        assert read("A. White", answers, none)[0] is True
        assert read("A. Mr. White", answers, none)[0] is None
        assert read("A. Green", answers, none)[0] is False
    assert grade("A. Zoe Smith\nB. in the Attic", ["Zoe Smith", "Attic"]) == 1.0  # of another game
    assert grade("A. Smith\nB. Attic or Hall", ["Mr. Smith", "Attic"]) == 0.0  # that game may have several Smiths


def test_grading_takes_linear_time_whatever_the_text():
    pieces = ["A", "A.", "A. ", "A) ", "(A", "| A | B |\n", "A. Mrs. White\n", "A. B. ", "B. A. ", "**", "$", "\\text{", "```"]
    pieces += ["- ", "1. ", "1", "answer ", "the ", "so the ", "A (", "A ((", "\n\n", "\n \n", " ", "\t", "<p ", "<b>", "</"]
    pieces += [
        "<think>",
        "</think>",
        "Mrs. ",
        "11:30 ",
        "a.m. ",
        "who murdered ",
        "it was ",
        "because ",
        ", ",
        "(clue ",
        "A:\n\n",
    ]
    pieces += [
        "\n- Mrs. White",
        "\n\n- x",
        "\nA.\n- x",
        "Answer: ",
        "\nAnswer: A. x",
        "A: x: ",
        "nobody else ",
        "= ",
        "the other ",
    ]
    pieces += [
        "\n- x or y",
        "\nA. x\n\nC. x\nB. x",
        "&nbsp;",
        "1) ",
        "{ll}",
        "[x] ",
        "s's motive was ",
        "he was ",
        "at night ",
        "x, ",
    ]
    pieces += ['"A": ', "and ", "\u200b", "ſ. ", "[THINK]", "<|channel|>", "Mrs. White or ", "A. Mrs. White, "]

    def seconds(text):
        start = time.process_time()
        read(text)
        return time.process_time() - start

    for piece in pieces:
        for before in ("", "A. ", "A. Mrs. White, ", "<", "A. Who murdered "):
            text = (before + piece * 40_000)[:40_000]
            assert seconds(text) < 1.0, (before, piece)  # about 0.03


def test_sheets_by_another_author_get_the_grades_they_deserve():
    """Honest, hedged and dishonest sheets by an author who had not seen the grader, which has not been adapted to them."""
    sheets = json.loads((Path(__file__).parent / "answer_sheets.json").read_text(encoding="utf-8"))
    unread = 0
    for case in sheets["cases"]:
        number, right = case["puzzle"], case["right"]
        graded = [bool(x) for x in grades(case["text"], sheets["solutions"][number], sheets["prompts"][number])]
        assert not [i for i in range(len(right)) if graded[i] > right[i]], case["note"]
        unread += graded != right
    assert unread <= 5, f"{unread} of {len(sheets['cases'])}"


def test_a_fact_between_two_answers_belongs_to_neither():
    """As the tiny model writes: the fact that answers a question, then the answer. With the puzzle and without it."""
    for seed in range(80):
        size = Size(2 + seed % 3, 2 + seed % 2, 2 + seed % 4, 1 + seed % 3, 2 * (seed % 2))
        case = generate(seed, 0, size)
        s, lines = case.puzzle.setting, []
        for question, (letter, answer) in zip(case.puzzle.questions, case.solution.items(), strict=True):
            lines += [render(with_answer(question, answer), s), f"{letter}. {answer}"]
        for asked in (None, prompt(case.puzzle)):
            assert all(grades("\n".join(lines), list(case.solution.values()), asked)), lines
