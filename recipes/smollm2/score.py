"""Scores one model on the puzzles that it was trained for, and on others that none of these models was trained on.

  python recipes/smollm2/score.py outputs/smollm2/base outputs/smollm2/scores.json --seed 0

trained      the recipe's size and wording
larger       the next larger size: 4 suspects, 3 weapons, 4 rooms
published    the recipe's size in the published wording, which leaves out that "or" means exactly one

The last two have a quarter of the puzzles, and at most 4 samples of each. With --run, none is a puzzle that the run was trained
on under other names, as about half of these small puzzles would be. On a CPU, vLLM's CPU build generates where it is installed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from puzzles.dataset import chance
from puzzles.files import read_json, read_yaml, write_json
from recipes import ROOT, grpo, sft
from recipes.arguments import parse, puzzles_of
from recipes.data import clue_sets, fresh_puzzles, load_puzzles
from recipes.runs import generate_with_transformers, score_once

RECIPE = ROOT / "recipes" / "smollm2-135m.yaml"
MEMORY = 40 * 2**20  # bytes of a completion on a GPU; 800 of them took 29 GiB, weights included
SETS = {  # what they change in the recipe
    "trained": {},
    "larger": {"suspects": 4, "weapons": 3, "rooms": 4},
    "published": {"wording": "published"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("output", type=Path, help="JSON file to write the scores to")
    parser.add_argument("--run", type=Path, help="folder of a finished run of train_smol.py: leave out what it was trained on")
    parser.add_argument("--seed", type=int, default=0, help="of the puzzles and the samples (default 0)")
    parser.add_argument("--puzzles", type=int, default=400, help="puzzles of the trained kind (default 400)")
    parser.add_argument("--samples", type=int, default=16, help="samples of each puzzle (default 16)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    at_once = completions_at_once(torch.cuda.mem_get_info()[0] if device == "cuda" else None)
    parser.add_argument(
        "--at-once", type=int, default=at_once, help=f"completions to generate together without vLLM (here {at_once})"
    )
    args = parser.parse_args()
    max_tokens = read_yaml(RECIPE)["max_completion_length"]
    if device == "cpu" and find_spec("vllm"):
        from recipes.vllm_cpu import generate_with_vllm as generate
    else:
        generate = partial(generate_with_transformers, device=device, at_once=args.at_once)
    scores, files, seen = {}, [], clue_sets_trained_on(args.run) if args.run else set()
    for name, changes in SETS.items():
        puzzles, samples = (args.puzzles, args.samples) if not changes else (-(-args.puzzles // 4), min(args.samples, 4))
        rows = fresh_puzzles(replace(puzzles_of(RECIPE), **changes), args.seed, puzzles, seen)
        file = args.output.with_suffix(f".{name}-{puzzles}x{samples}-seed-{args.seed}.json")
        files.append(file)  # so that a killed run repeats no more than one set
        scores[name] = score_once(file, args.model, rows, args.seed, samples, max_tokens, generate)
        scores[name] |= {"n": puzzles, "samples": samples, "chance": chance(rows)}
    write_json(args.output, scores)
    for file in files:
        file.unlink()


def clue_sets_trained_on(run: Path) -> set[str]:
    """The fingerprints of the clue sets that a run's GRPO and imitation were trained on, from their recorded commands.

    They are computed once, and kept in the run's folder.
    """
    file = run / "trained_on.json"
    if not file.exists():
        options = {}
        for part in ("warm_start", "control", "GRPO"):
            command = read_json(run / f"{part}.json")["command"]
            options[part] = command[next(i for i, word in enumerate(command, 1) if word.startswith("recipes/")) :]
        imitated = [sft.read_or_make_rows(*parse(sft.ARGUMENTS, "", options[part])) for part in ("warm_start", "control")]
        puzzle_args, *_, training_args, _ = parse(grpo.ARGUMENTS, "", options["GRPO"])
        rewarded, _ = load_puzzles(puzzle_args, training_args.seed)
        write_json(file, {"clue_sets": sorted({c for rows in (*imitated, rewarded) for c in clue_sets(rows)})})
    return {*read_json(file)["clue_sets"]}


def completions_at_once(free: int | None) -> int:
    """How many completions to generate together, in half of the free memory. Other numbers draw other samples.

    Args:
        free: bytes of GPU memory that nothing uses; None on a CPU.
    """
    return 64 if free is None else min(max(free // 2 // MEMORY, 16), 400)


if __name__ == "__main__":
    main()
