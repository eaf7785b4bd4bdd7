"""Writing more never earns more: attacks on the grader by somebody who knows some answers and has to guess the rest.

An attacker has a list of options for each question, in an order of their own. Over all rotations of these lists the right
answer is at each place equally often, so what an attack earns on average is what it earns without knowing. An honest sheet,
the first option of each list, earns 1/k of a question with k options. No attack may earn more, with or without the prompt.
"""

import random
from functools import cache
from itertools import product
from math import lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import answer_options
from puzzles.dataset import row
from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from recipes import grpo
from recipes.alarms import AlarmArguments, AlarmCallback
from rewards.accuracy import accuracy, complete_sheet, questions_of
from rewards.answer_sheet import read_answers
from rewards.thinking import without_thinking
from tests.test_grpo import ROOT, parsed

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


# ---------------------------------------------------------------- the whole reward of a run that shapes it

LIMIT, BUFFER = 400, 300  # of the tokens of a completion
CASES = [
    (2, Size(suspects=2, weapons=2, rooms=2, times=1, motives=0)),
    (3, Size(suspects=3, weapons=2, rooms=3, times=1, motives=0)),
    (5, Size(suspects=4, weapons=3, rooms=4, times=2, motives=3)),
    (8, Size(suspects=5, weapons=4, rooms=6, times=3)),
]
SHAPED = {
    "form": "--format_weight 0.5",
    "form, nearly one answer's worth": "--format_weight 0.99",
    "length": f"--overlong_buffer {BUFFER}",
    "form and length": f"--format_weight 0.5 --overlong_buffer {BUFFER}",
    "form and length, whole puzzles": f"--format_weight 0.4 --overlong_buffer {BUFFER} --solved_weight 0.5",
}


def trainer_of(monkeypatch, tmp_path, options):
    recipe = ("--config", ROOT / "recipes/tiny-cpu.yaml", "--output_dir", tmp_path, "--max_completion_length", str(LIMIT))
    small = "--num_train_puzzles 1 --num_eval_puzzles 1 --num_generations 2 --per_device_train_batch_size 2 --directness 1"
    puzzles, run_args, _, *rest = parsed(monkeypatch, *recipe, *small.split(), *options.split())
    rows = grpo.load_puzzles(puzzles, 0)
    trainer = grpo.make_trainer(puzzles, run_args, *rest, *rows, None, AlarmCallback(AlarmArguments()))
    trainer.model.train()
    return trainer


@cache
def case_of(index, size):
    case = generate(20261126, index, size)
    return case, [list(answer_options(question, case.puzzle.setting)) for question in case.puzzle.questions]


def completed(trainer, text):
    """The tokens of a completion with this text, truncated at the limit, and what the reward sees of them as text."""
    ids = trainer._tokenizer(text.encode(errors="replace").decode()).input_ids
    ids = ids[:LIMIT] if len(ids) >= LIMIT else [*ids, trainer._tokenizer.eos_token_id]
    return ids, trainer._tokenizer.decode(ids, skip_special_tokens=True)


def paid(trainer, case, texts):
    """What the trainer pays for each text: its own weighted sum of the rewards."""
    columns = row(case, "compact")
    ids, texts = zip(*(completed(trainer, text) for text in texts), strict=True)
    n = len(texts)
    rewards = trainer._calculate_rewards(
        [columns] * n, [columns["prompt"]] * n, [[{"role": "assistant", "content": text}] for text in texts], list(ids)
    )
    return (rewards * trainer.reward_weights).nansum(dim=1).tolist()


def honest(trainer, case, text):
    """The plain answer sheet with the answers that a text gives, as far as it gives any."""
    questions = questions_of(prompt(case.puzzle, "compact"))
    answers = read_answers(without_thinking(completed(trainer, text)[1]), questions)
    return "\n".join(f"{chr(65 + i)}. {answer}" for i, answer in enumerate(answers) if answer)


def attacks_on(case, options):
    """Texts of every attack alone and of several in a row, by somebody who knows no answer, half of them, or all."""
    truth = list(case.solution.values())
    yield from ("", "\n\n\n", prompt(case.puzzle), prompt(case.puzzle, "compact"), prompt(case.puzzle, "published"))
    yield sheet(["SUSPECT", "WEAPON", "ROOM", "TIME", "MOTIVE"] * 5)
    for placeholder in ("", "?", "unknown", "X", "the answer", "ROOM"):
        yield sheet([placeholder] * len(truth))
    for known, seed in product((0, len(truth) // 2, len(truth)), range(8)):
        rng = random.Random(f"{known} {seed}")
        lists = [
            [answer, *others] if i < known else rng.sample(some, len(some))
            for i, (answer, some) in enumerate(zip(truth, options, strict=True))
            for others in [rng.sample([x for x in some if x != answer], len(some) - 1)]
        ]
        yield sheet(ranked(lists, 0))
        yield from (attack(lists, rng) for attack in ATTACKS)
        yield attack_of(lists, seed)


def gains(trainer, case, options):
    """What each attack earns beyond the honest sheet with the same answers."""
    texts = list(attacks_on(case, options))
    sheets = [honest(trainer, case, text) for text in texts]
    assert max(len(completed(trainer, text)[0]) for text in sheets) <= LIMIT - BUFFER  # an honest sheet is not overlong
    return {text: x - y for text, x, y in zip(texts, paid(trainer, case, texts), paid(trainer, case, sheets), strict=True)}


@pytest.mark.parametrize("shape", SHAPED)
def test_with_form_and_length_in_the_reward_no_attack_is_paid_more_than_the_honest_sheet(monkeypatch, tmp_path, shape):
    trainer = trainer_of(monkeypatch, tmp_path, SHAPED[shape])
    for case, options in (case_of(*each) for each in CASES):
        gained = gains(trainer, case, options)
        assert max(gained.values()) <= 1e-6, max(gained, key=gained.get)


def test_a_reward_for_what_looks_like_a_sheet_would_be_gamed(monkeypatch, tmp_path):
    """The control: it pays for an empty sheet."""

    def letters(completions, solution, **_):
        return [float(chat[0]["content"].count(". ") >= len(right)) for chat, right in zip(completions, solution, strict=True)]

    trainer = trainer_of(monkeypatch, tmp_path, SHAPED["form"])
    trainer.reward_funcs[trainer.reward_funcs.index(complete_sheet)] = letters
    assert max(gains(trainer, *case_of(*CASES[1])).values()) > 0.4


@pytest.mark.parametrize("shape", SHAPED)
def test_no_sheet_is_paid_more_than_one_with_more_right_answers(monkeypatch, tmp_path, shape):
    """Of sheets with each answer right, wrong or left out."""
    trainer = trainer_of(monkeypatch, tmp_path, SHAPED[shape])
    for case, options in (case_of(*each) for each in CASES):
        by_right, truth = {}, list(case.solution.values())
        rng = random.Random(0)
        kinds = ["r" * right + rest * (len(truth) - right) for right in range(len(truth) + 1) for rest in "wo"]
        kinds += ["".join(rng.choices("rwo", k=len(truth))) for _ in range(300)]
        texts = [
            "\n".join(
                f"{chr(65 + i)}. {truth[i] if kind == 'r' else next(x for x in options[i] if x != truth[i])}"
                for i, kind in enumerate(each)
                if kind != "o"
            )
            for each in kinds
        ]
        for each, reward in zip(kinds, paid(trainer, case, texts), strict=True):
            by_right.setdefault(each.count("r"), []).append(reward)
        assert by_right.keys() == {*range(len(truth) + 1)}
        assert all(max(by_right[right]) < min(by_right[right + 1]) - 1e-6 for right in range(len(truth)))


def test_length_is_punished_as_in_dapo_thinking_included_truncated_or_not(monkeypatch, tmp_path):
    """arXiv:2503.14476, equation 13, times 0.5."""
    trainer = trainer_of(monkeypatch, tmp_path, SHAPED["length"])
    case, _ = case_of(*CASES[1])
    right = sheet(case.solution.values())

    def padded(length):  # with the token that ends the turn
        own = len(completed(trainer, f"<think>\n</think>\n{right}")[0])
        return "<think>\n" + "?" * (length - own) + "</think>\n" + right

    lengths = [LIMIT - BUFFER, LIMIT - BUFFER + 1, LIMIT - BUFFER // 2, LIMIT]
    texts = [padded(length) for length in lengths]
    assert [len(completed(trainer, text)[0]) for text in texts] == lengths
    by_equation = [0, -1 / BUFFER, -1 / 2, -1]
    assert paid(trainer, case, texts) == pytest.approx([1 + 0.5 * punishment for punishment in by_equation])
    assert paid(trainer, case, ["?" * 2 * LIMIT]) == pytest.approx([-0.5])
