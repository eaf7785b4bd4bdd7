"""What does a short proof cost, how does the cost grow, and how short is the proof (puzzles/proof.py)?

python -m benchmarks.proof                            20 puzzles for each number of players and 5 of the largest size
python -m benchmarks.proof --determine answers        puzzles whose clues determine only the answers

Everything runs on one thread of one process. `fewest` counts proofs whose only steps are the answers: none can be shorter.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from benchmarks.generate import LARGEST, growth
from puzzles.clues import with_answer
from puzzles.files import write_json
from puzzles.generator import DETERMINE, Case, generate
from puzzles.proof import check_proof, prove


def measure(case: Case) -> dict:
    """One proof: seconds, those of the check by CP-SAT, the depth of each step, and how many clues and steps each rests on."""
    started = time.perf_counter()
    steps = prove(case.puzzle, case.night)
    proved = time.perf_counter()
    check_proof(case.puzzle, steps)
    check_s = time.perf_counter() - proved
    answers = {with_answer(q, a) for q, a in zip(case.puzzle.questions, case.solution.values(), strict=True)}
    return {
        "cells": len(case.puzzle.setting.pieces) * len(case.puzzle.setting.times),
        "all_s": proved - started,
        "check_s": check_s,
        "search_s": proved - started - check_s,
        "steps": len(steps),
        "fewest": len(steps) == len(answers),
        "depths": [step.depth for step in steps],
        "premises": [len(step.clues) + len(step.steps) for step in steps],
    }


def row(size: str, runs: list[dict]) -> dict:
    median = {key: statistics.median(run[key] for run in runs) for key in ("cells", "all_s", "search_s", "steps")}
    most = {f"most_{key}": max(run[key] for run in runs) for key in ("all_s", "search_s")}
    depths = Counter(depth for run in runs for depth in run["depths"])
    return {
        "size": size,
        "n": len(runs),
        **median,
        **most,
        "check_share": sum(run["check_s"] for run in runs) / sum(run["all_s"] for run in runs),
        "fewest": sum(run["fewest"] for run in runs) / len(runs),
        "depths": [depths[depth] / depths.total() for depth in (1, 2, 3)],
        "premises": statistics.median(n for run in runs for n in run["premises"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=20, help="puzzles for each number of players (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="which puzzles (default 0)")
    parser.add_argument("--determine", choices=DETERMINE, default="world")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench-proof.json"))
    args = parser.parse_args()
    if args.puzzles < 4:
        parser.error(f"--puzzles {args.puzzles} is too few for a median: ask for at least 4.")
    sizes = {f"{n} player{'s' if n > 1 else ''}": {"players": (n, n)} for n in range(1, 7)} | {"largest": {"size": LARGEST}}
    runs: dict[str, list[dict]] = {}
    for name, how in tqdm(sizes.items(), unit="size"):
        indices = range(args.puzzles if name != "largest" else args.puzzles // 4)
        cases = (generate(args.seed, i, determine=args.determine, **how) for i in indices)
        runs[name] = [measure(case) for case in tqdm(cases, desc=name, total=len(indices), unit="puzzle", leave=False)]
    mix = [run for name, some in runs.items() if name != "largest" for run in some]
    rows = [*(row(name, some) for name, some in runs.items()), row("default mix", mix)]
    print(
        "| size | puzzles | pieces × times | seconds: median, most | without CP-SAT | CP-SAT's share | steps | fewest", end=" "
    )
    print("| propagation | look-ahead | search | a step rests on |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        seconds = [f"{r[key]:.3f}, {r[f'most_{key}']:.2f}" for key in ("all_s", "search_s")]
        shares = [f"{share:.0%}" for share in r["depths"]]
        cells = [r["size"], r["n"], f"{r['cells']:.0f}", *seconds, f"{r['check_share']:.0%}", f"{r['steps']:.0f}"]
        print(f"| {' | '.join(map(str, [*cells, format(r['fewest'], '.0%'), *shares, format(r['premises'], '.0f')]))} |")
    power = growth([*mix, *runs["largest"]], "all_s")
    print(f"Cost grows with (pieces × times) to the power of {power:.2f}.")
    write_json(args.output, {"rows": rows, "power": power})
    print(f"rows: {args.output}")


if __name__ == "__main__":
    main()
