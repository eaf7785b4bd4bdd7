"""One puzzle of each band to look at, GALLERY.md, and a page to play some hundreds, gallery/index.html.

python -m puzzles.viewer.gallery                 writes both into the current folder

It also writes gallery/deductions.jsonl, a chain of reasoning about each puzzle, which `python -m rewards.deductions.view`
judges step by step.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from puzzles.clues import Clue, answer_options, question_about, with_answer
from puzzles.difficulty import BANDS, DEPTHS, band
from puzzles.files import write_text
from puzzles.generator import Case, generate
from puzzles.prompts import lettered, prompt
from puzzles.proof import BECAUSE, premises, prove
from puzzles.scenario import Night, Size
from puzzles.sentences import render
from puzzles.tables import markdown_table
from puzzles.viewer.picture import picture

SIZES = {"easy": Size(3, 3, 4, 2), "medium": Size(4, 3, 6, 3), "hard": Size(4, 3, 6, 4)}


def examples(name: str, seed: int) -> Iterator[Case]:
    """The puzzles of the series that are of this band, each small enough to take in at a glance."""
    return (case for i in count() if band((case := generate(seed, i, SIZES[name])).depths) == name)


def summary(case: Case) -> str:
    s = case.puzzle.setting
    return (
        f"{band(case.depths).capitalize()}: {len(s.suspects)} suspects, {len(s.weapons)} weapons, {len(s.rooms)} rooms, "
        f"{len(s.times)} times, {len(case.puzzle.clues)} clues"
    )


def markdown(cases: list[Case], seed: int) -> str:
    """GALLERY.md."""
    parts = [
        "# Gallery",
        "One puzzle of each band, as the model sees it, with its solution. `make gallery` writes this page, and "
        "[gallery/index.html](gallery/index.html), where you can solve hundreds of puzzles, with a grid for notes, and "
        "have each one proved step by step (download it: a browser is all it needs). "
        "[gallery/deductions.html](gallery/deductions.html) shows a chain of reasoning about each puzzle, with one wrong step "
        "in it, judged by the solver.",
    ]
    for case in cases:
        name, s = band(case.depths), case.puzzle.setting
        shape = " ".join(f"--{key} {len(getattr(s, key))}" for key in ("suspects", "weapons", "rooms", "times"))
        asked = zip(case.puzzle.questions, case.solution.values(), case.depths, strict=True)
        rows = ((render(question, s), answer, f"{depth}: {DEPTHS[depth]}") for question, answer, depth in asked)
        parts += [
            f"## {summary(case)}",
            f"`python -m puzzles --seed {seed} --index {case.index} {shape} --proof` prints it with a short proof of its "
            "answers, every step checked by CP-SAT.",
            f"```\n{prompt(case.puzzle)}\n```",
            "<details><summary>The solution, and how deep one has to think for it</summary>",
            markdown_table(("question", "answer", "depth"), rows),
            f"![the night](gallery/{name}.svg)",
            "</details>",
        ]
    return "\n\n".join(parts) + "\n"


def play(case: Case) -> dict:
    """A puzzle as gallery.html plays it: the names, the clues, the questions with their answers, the night and the proof.

    Rooms and pieces are indices there; a question has the name of the list that its options are from.
    """
    night, s = case.night, case.puzzle.setting
    lists = {name: list(getattr(s, name)) for name in ("suspects", "weapons", "rooms", "times")}
    lists["motives"] = list(s.motive_names)
    asked = zip(case.puzzle.questions, case.solution.values(), case.depths, strict=True)
    steps = prove(case.puzzle, case.night)
    return {
        "index": case.index,
        **lists,
        "columns": s.columns,
        "clues": [render(clue, s) for clue in case.puzzle.clues],
        "questions": [
            [render(q, s), answer, DEPTHS[depth], next(n for n in lists if [*answer_options(q, s)] == lists[n])]
            for q, answer, depth in asked
        ],
        "pieces": list(s.pieces),
        "places": [[s.rooms.index(night.place[piece, time]) for time in s.times] for piece in s.pieces],
        "murder": [s.times.index(night.time), *(s.pieces.index(piece) for piece in (night.murderer, night.weapon))],
        "proof": [
            [render(step.statement, s), BECAUSE[step.depth].format(premises(step)), [*step.clues], [*step.steps]]
            for step in steps
        ],
    }


def page(data: dict[str, list[dict]]) -> str:
    """gallery/index.html: a page that loads nothing else, with puzzles to play of each band."""
    template = (Path(__file__).parent / "gallery.html").read_text(encoding="utf-8")
    return template.replace("/*DATA*/", json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"))


def reasoning(case: Case) -> str:
    """The puzzle's proof in a model's words, with a supposition that is refuted and a wrong step added, and the answers."""
    s, steps, lines = case.puzzle.setting, prove(case.puzzle, case.night), []
    supposed, wrong = len(steps) // 3, 2 * len(steps) // 3
    for i, step in enumerate(steps):
        if i in (supposed, wrong):
            false = render(false_alternative(step.statement, case.night), s, capital=False)
            if i == supposed:
                lines += [f"Suppose {false}. That leads to a contradiction.", f"So it is not the case that {false}."]
            else:
                lines.append(f"So {false}.")
        lines.append(f"{i + 1}. From {premises(step)} it follows that {render(step.statement, s, capital=False)}.")
    return "\n".join([*lines, "", lettered(case.solution.values())])


def false_alternative(statement: Clue, night: Night) -> Clue:
    """Something else that the statement could say, and that is not true."""
    question = question_about(statement)
    others = (with_answer(question, option) for option in answer_options(question, night.setting))
    return next(other for other in others if not other.holds(night))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.viewer.gallery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="folder to write to (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="which series of puzzles (default 0)")
    parser.add_argument("--count", type=int, default=100, help="puzzles of each band to play (default 100)")
    args = parser.parse_args()
    if args.count < 1:
        parser.error(f"--count {args.count}: use 1 or more.")
    found = {name: list(islice(examples(name, args.seed), args.count)) for name in BANDS}
    cases = [some[0] for some in found.values()]
    rows = [{"prompt": prompt(case.puzzle), "completion": reasoning(case), "difficulty": band(case.depths)} for case in cases]
    try:
        write_text(args.output / "GALLERY.md", markdown(cases, args.seed))
        write_text(args.output / "gallery" / "index.html", page({name: [*map(play, some)] for name, some in found.items()}))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(args.output / "gallery" / "deductions.jsonl", lines)
        for case in cases:
            write_text(args.output / "gallery" / f"{band(case.depths)}.svg", picture(case.night, across=2))
    except OSError as error:
        sys.exit(f"python -m puzzles.viewer.gallery: {error}")
    print(f"{args.output / 'GALLERY.md'}\n{args.output / 'gallery' / 'index.html'}")


if __name__ == "__main__":
    main()
