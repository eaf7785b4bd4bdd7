"""How fast are stated deductions read and judged, and how well are they read?

  python -m benchmarks.deductions          (make bench-deductions)   prints a table and writes outputs/bench-deductions.json

The completions have 6,000 characters, about 1,500 tokens, and state facts of the night, some of them false, among other
prose. There are 50 for each puzzle, as in a GRPO group, on puzzles of the default size and of the published mix. "First"
includes making the judge of each puzzle and reaching every verdict; "again" is the next 50. Precision and recall are those of
tests/test_reader.py, on the sentences of tests/deduction_sentences.json; beside them are the texts of 100,000 characters that
repeat and nest the grammar's forms, of which the slowest is timed.
"""

from __future__ import annotations

import argparse
import random
import time

from puzzles.clues import At, facts
from puzzles.files import write_json
from puzzles.generator import Case, generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from puzzles.sentences import render
from recipes import ROOT
from rewards.deductions import cached_judge, deductions, read
from rewards.deductions.reader import sentence_reader
from tests.deduction_sentences import CLUES, REPEATED, SET, SETTING, precision_and_recall

LENGTH = 6_000
LEADS = ("So ", "Therefore, ", "From clue 3, ", "It follows that ", "")
ENDS = (".", ". That is worth a note, given how people moved around that night.", ", because nothing else is left.")


def completion(case: Case, rng: random.Random, length: int) -> str:
    """Facts of the night, one in four about a wrong room, with lead-ins and other prose."""
    setting, true = case.puzzle.setting, facts(case.night)
    lines: list[str] = []
    while sum(map(len, lines)) < length:
        fact = rng.choice(true)
        if isinstance(fact, At) and rng.random() < 0.25:
            fact = At(fact.who, rng.choice(setting.rooms), fact.time)
        lines.append(rng.choice(LEADS) + render(fact, setting) + rng.choice(ENDS))
    return "\n".join(lines)


def rate(cases: list[Case], samples: int, length: int) -> tuple[float, float]:
    """Completions judged per second of processor time, with empty caches and with the verdicts of the first samples."""
    rng = random.Random(0)
    rates = []
    cached_judge.cache_clear()
    for _ in range(2):
        texts = [completion(case, rng, length) for case in cases for _ in range(samples)]
        prompts = [prompt(case.puzzle) for case in cases for _ in range(samples)]
        start = time.process_time()
        deductions(prompts, texts)
        rates.append(len(texts) / (time.process_time() - start))
    return rates[0], rates[1]


def slowest() -> float:
    """Seconds of processor time for the slowest of `REPEATED`, each the best of three readings with an empty cache."""
    times = []
    for text in REPEATED:
        readings = []
        for _ in range(3):
            sentence_reader.cache_clear()
            start = time.process_time()
            read(text[:100_000], SETTING, CLUES)
            readings.append(time.process_time() - start)
        times.append(min(readings))
    return max(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=8, help="of each size (default 8)")
    parser.add_argument("--samples", type=int, default=50, help="completions a puzzle (default 50)")
    args = parser.parse_args()
    if min(args.puzzles, args.samples) < 1:
        parser.error("--puzzles and --samples must be at least 1.")
    print("| puzzles | characters | first, completions/s | again |\n|---|---|---|---|")
    result = {}
    sizes = {"default size": Size(), "published mix": None, "largest published": Size(10, 8, 17, 12)}
    for name, size in sizes.items():
        cases = [generate(20261123, i, size) for i in range(args.puzzles)]
        for length in (LENGTH, 5 * LENGTH) if size == Size() else (LENGTH,):
            first, again = rate(cases, args.samples, length)
            print(f"| {name} | {length:,} | {first:,.0f} | {again:,.0f} |", flush=True)
            result[f"{name}, {length} characters"] = {"first": first, "again": again}
    precision, recall, _ = precision_and_recall([entry for entry in SET if entry["category"] != "ambiguous"])
    print(f"\nprecision {precision:.3f}, recall {recall:.3f} on the hand-written sentences")
    seconds = slowest()
    print(f"at most {seconds:.2f} s to read 100,000 characters, of {len(REPEATED)} that repeat or nest the forms")
    file = ROOT / "outputs" / "bench-deductions.json"
    per_second = result[f"default size, {LENGTH} characters"]["first"]
    figures = {"completions_per_s": per_second, "precision": precision, "recall": recall, "seconds_per_100k": seconds}
    write_json(file, figures | {"sizes": result})
    print(file)


if __name__ == "__main__":
    main()
