"""How fast are completions graded, by the default grader and by the published one?

  python -m benchmarks.reward          (make bench-reward)   prints a table and writes outputs/bench-reward.json

There are 2,000 completions of each kind, of 32,000 characters or about 8,000 tokens: prose that reasons in the words of a
puzzle and ends with a sheet, and texts that might make a pattern backtrack or a list grow. The last rows are ten times as
long, to show how the cost grows with the length.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from puzzles.files import write_json
from puzzles.generator import Case, generate
from puzzles.prompts import lettered, prompt
from puzzles.sentences import render
from recipes import ROOT
from rewards.accuracy import accuracy, published_accuracy

LENGTH = 32_000


def sheet(case: Case) -> str:
    return lettered(case.solution.values())


def prose(case: Case, rng: random.Random, length: int) -> str:
    clues = [render(clue, case.puzzle.setting) for clue in case.puzzle.clues]
    lines: list[str] = []
    while sum(map(len, lines)) + len(lines) < length:
        lines.append(
            f"{rng.choice(('So', 'Then', 'A. is open:', 'Since', '**Step.**'))} {rng.choice(clues)}, therefore it follows."
        )
    return "\n".join(lines) + "\n" + sheet(case)


KINDS: dict[str, Callable[[Case, random.Random, int], str]] = {
    "reasoning, then a sheet": prose,
    "sheets repeated": lambda case, _, length: (sheet(case) + "\n") * (length // len(sheet(case))),
    "one line": lambda case, _, length: "A. " + "Mrs. White or " * (length // 14),
    "one line of markdown": lambda case, _, length: "*_`>#" * (length // 5) + "A. Hall",
    "markdown at each line": lambda case, _, length: ("*" * 79 + "\n") * (length // 80) + sheet(case),
    "empty answer lines": lambda case, _, length: "A.\n" * (length // 3),
    "letters on one line": lambda case, _, length: "A. B. " * (length // 6),
    "JSON without an end": lambda case, _, length: '{"A": "Mrs. White", ' * (length // 20),
    "cells of a table": lambda case, _, length: "| A | B | C |\n" * (length // 14),
    "times": lambda case, _, length: "D. 11:30 p.m., " * (length // 15),
    "tags": lambda case, _, length: "<p><b>A</b></p>" * (length // 15),
    "thoughts": lambda case, _, length: "<think>A.</think>" * (length // 17),
    "not in Latin letters": lambda case, _, length: "Ａ．\u200b é " * (length // 6),
    "reasoning never closed": lambda case, rng, length: "<think>" + prose(case, rng, length),
}


def rate(grader: Callable, texts: list[str], solutions: list[dict], prompts: list[str]) -> float:
    """Completions graded per second of processor time, the better of two runs."""

    def seconds() -> float:
        start = time.process_time()
        grader(texts, solutions, prompts=prompts)
        return time.process_time() - start

    return len(texts) / min(seconds(), seconds())


def rows(count: int, length: int) -> Iterator[tuple[str, float, float]]:
    cases = [generate(20261123, index) for index in range(20)]
    prompts = [prompt(case.puzzle) for case in cases]
    for kind, make in tqdm(KINDS.items(), desc=f"{length:,} characters", leave=False):
        rng = random.Random(kind)
        texts = [make(cases[i % len(cases)], rng, length) for i in range(count)]
        solutions = [cases[i % len(cases)].solution for i in range(count)]
        asked = [prompts[i % len(cases)] for i in range(count)]
        yield kind, *(rate(grader, texts, solutions, asked) for grader in (accuracy, published_accuracy))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=2_000, help="of each kind (default 2,000)")
    args = parser.parse_args()
    if args.completions < 10:
        parser.error(f"--completions {args.completions} is too few: use at least 10.")
    print("| completions | accuracy, completions/s | published_accuracy | ratio |\n|---|---|---|---|")
    result = {}
    for length, count in ((LENGTH, args.completions), (10 * LENGTH, args.completions // 10)):
        for kind, ours, theirs in rows(count, length):
            print(f"| {kind}, {length:,} characters | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |", flush=True)
            result[f"{kind}, {length} characters"] = {"completions_per_s": ours, "published_accuracy": theirs}
    rates = [row["completions_per_s"] for row in result.values()][: len(KINDS)]
    typical, slowest = rates[0], min(rates)
    seconds = " and ".join(f"{10_000 / rate:.1f} s" for rate in (typical, slowest))
    print(f"\n10,000 completions of 8,000 tokens, and of the slowest kind: {seconds} of one core")
    file = ROOT / "outputs" / "bench-reward.json"
    write_json(file, {"completions_per_s": typical, "slowest_kind_per_s": slowest, "characters": LENGTH, "kinds": result})
    print(file)


if __name__ == "__main__":
    main()
