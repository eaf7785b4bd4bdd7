"""Questions put to the CPU recipe, over several seeds: two published findings in miniature, and what was left open there.

  python recipes/tiny/experiments.py diversity         (make experiment-diversity)

16              does training on only 16 puzzles raise held-out accuracy?
tradeoff        more puzzles or more samples of each, at the same total?
diversity       does training on the best of k samples, or an entropy bonus, keep answers diverse (pass@16)?
refill          does it help to replace puzzles whose samples all earn the same?
curriculum      does it help to go from easy to hard, by depth or by pass rate?
excellence      does it help to reward solving the whole puzzle?
learning-rate   should the learning rate follow the number of rows that teach?
deductions      does it help to reward justified deductions?

Each arm is `recipes/tiny-cpu.yaml` with one change, which its name gives, from the base of `make train-tiny`. It is scored on
the same 400 fresh puzzles as there, 16 samples of each. Finished arms and seeds are not repeated, and experiments share them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from puzzles.files import write_json
from puzzles.tables import markdown_table
from recipes import ROOT
from recipes.checkpoints import read_log_history
from recipes.runs import run_parts, score_once
from recipes.tiny.train_tiny import BASE, GRPO, scored_puzzles

FOLDER = ROOT / "outputs" / "experiments"
RECIPE: dict[str, tuple[str, ...]] = {"recipe": ()}  # the recipe as it is: 16 puzzles × 16 samples, out of 4,096 puzzles
HALF_OF_THE_ROWS = ("--learning_rate_rows", "128")
FOURS = ("--num_generations", "4")
ONCE = ("--num_train_puzzles", "640")  # as many as a run sees
EXPERIMENTS = {  # arm → what it changes; the first one is what the others are compared with
    "16": RECIPE | {"16 puzzles": ("--num_train_puzzles", "16")},
    "tradeoff": RECIPE | {f"{256 // n} × {n}": ("--num_generations", f"{n}") for n in (4, 8, 32)},
    "diversity": RECIPE
    | {f"best of {k}": ("--best_of_k", f"{k}") for k in (4, 8)}
    | {"adaptive entropy": ("--use_adaptive_entropy", "true", "--entropy_target", "0.25", "--entropy_coef_delta", "0.005")},
    "refill": {"64 × 4": FOURS}  # with as many generated tokens: 42 % of these groups agree, so a round adds as much
    | {"64 × 4, one round": (*FOURS, "--refill_groups", "1", "--max_steps", "28")}
    | {"64 × 4, three rounds": (*FOURS, "--refill_groups", "3", "--max_steps", "24")},
    "curriculum": RECIPE | {by: ("--curriculum", by, *ONCE) for by in ("depth", "pass_rate")},
    "excellence": RECIPE | {f"solved {weight}": ("--solved_weight", weight) for weight in ("0.5", "1")},
    "learning-rate": RECIPE
    | {"linear, at most 1": ("--learning_rate_power", "1"), "square root, at most 1": ("--learning_rate_power", "0.5")}
    | {"linear": ("--learning_rate_power", "1", *HALF_OF_THE_ROWS)}
    | {"square root": ("--learning_rate_power", "0.5", *HALF_OF_THE_ROWS)},
    "deductions": RECIPE | {f"deductions {weight}": ("--deduction_weight", weight) for weight in ("0.25", "0.5", "1")},
}
MEASURES = {  # of recipes/runs.py's `score`, in the table
    "sampled": "answers right",
    "sampled_solved": "solved",
    "best_of_16": "best of 16",
    "pass_at_16": "pass@16",
    "sampled_soundness": "deductions proved",
}
# Student's t, 97.5 %, by degrees of freedom (any table of it): for a 95 % interval of a mean over a few seeds.
STUDENT_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="2 to 10 seeds (default 0 1 2)")
    args = parser.parse_args()
    if not 2 <= len(set(args.seeds)) == len(args.seeds) <= 10:
        parser.error(f"--seeds {' '.join(map(str, args.seeds))}: an interval over seeds needs 2 to 10 different ones.")
    if min(args.seeds) < 0:
        parser.error(f"--seeds {min(args.seeds)}: use 0 or more.")
    base = [score_arm("base", BASE, seed) for seed in args.seeds]
    arms = EXPERIMENTS[args.experiment]
    scores = {arm: [run_arm(arm, changes, seed) for seed in args.seeds] for arm, changes in arms.items()}
    write_json(FOLDER / f"{args.experiment}.json", {"seeds": args.seeds, "base": base, "arms": scores})
    seeds = ", ".join(map(str, args.seeds))
    print(f"\nHeld-out puzzles, seeds {seeds}; in brackets the difference from {next(iter(arms))!r} ± 95 % over seeds:\n")
    print(f"{arms_table(base, scores)}\n\n{FOLDER / (args.experiment + '.json')}")


def run_arm(arm: str, changes: tuple[str, ...], seed: int) -> dict:
    """Train an arm and score it, unless that is done. Adds the accuracy on the training puzzles of the last ten steps."""
    name = arm.replace(",", "").replace(" × ", "x").replace(" ", "-")
    folder = FOLDER / f"seed-{seed}" / name
    run_parts(folder, {"GRPO": (*GRPO, "--seed", f"{seed}", "--output_dir", f"{folder / 'grpo'}", *changes)})
    rewards = [log["rewards/accuracy/mean"] for log in read_log_history(folder / "grpo") if "rewards/accuracy/mean" in log]
    return score_arm(name, folder / "grpo" / "model", seed) | {"trained_on": float(np.mean(rewards[-10:]))}


def score_arm(name: str, model: Path, seed: int) -> dict:
    """A model's scores on the held-out puzzles of a seed."""
    return score_once(FOLDER / f"seed-{seed}" / name / "scores.json", model, scored_puzzles(seed), seed)


def arms_table(base: list[dict], scores: dict[str, list[dict]]) -> str:
    """Markdown: one row per arm, with the means over seeds and the differences from the first arm, paired by seed."""
    recipe = next(iter(scores.values()))
    rows = [("base", *(f"{np.mean([run[key] for run in base]):.3f}" for key in MEASURES), "")]
    for arm, runs in scores.items():
        cells = []
        for key in MEASURES:
            mean = f"{np.mean([run[key] for run in runs]):.3f}"
            against = mean_over_seeds([run[key] - other[key] for run, other in zip(runs, recipe, strict=True)])
            cells.append(mean if runs is recipe else f"{mean} ({against})")
        rows.append((arm, *cells, f"{np.mean([run['trained_on'] for run in runs]):.3f}"))
    return markdown_table(("", *MEASURES.values(), "training puzzles"), rows)


def mean_over_seeds(values: list[float]) -> str:
    """Mean ± half the width of its 95 % interval (Student's t)."""
    half = STUDENT_T[len(values) - 1] * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):+.3f} ± {half:.3f}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
