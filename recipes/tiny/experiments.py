"""Questions put to the CPU recipe, over several seeds. The first two repeat published findings in miniature.

  python recipes/tiny/experiments.py 16            (make experiment-16)          does training on only 16 puzzles help?
  python recipes/tiny/experiments.py tradeoff      (make experiment-tradeoff)    more puzzles, or more samples of each?
  python recipes/tiny/experiments.py deductions    (make experiment-deductions)  does rewarding justified deductions help?

Each arm is `recipes/tiny-cpu.yaml` with one change, which its name gives, from the warm start of `make train-tiny`. It is
scored before and after training on the same 400 fresh puzzles, sampled. Finished arms and seeds are not repeated, and
experiments share them.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from puzzles.files import write_json
from puzzles.tables import markdown_table
from recipes.checkpoints import read_log_history
from recipes.tiny.train_tiny import GRPO, ROOT, make_warm_start, run_once, score, scored_puzzles

FOLDER = ROOT / "outputs" / "experiments"
RECIPE: dict[str, tuple[str, ...]] = {"8 × 8 of 1024": ()}  # the recipe as it is: 8 puzzles × 8 samples, out of 1,024 puzzles
EXPERIMENTS = {  # arm → what it changes; the first one is what the others are compared with
    "16": RECIPE | {"8 × 8 of 16": ("--num_train_puzzles", "16")},
    "tradeoff": RECIPE | {f"{64 // n} × {n} of 1024": ("--num_generations", f"{n}") for n in (2, 4, 16, 32)},
    "deductions": RECIPE | {"8 × 8 of 1024 deductions 0.5": ("--deduction_weight", "0.5")},
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
    arms = EXPERIMENTS[args.experiment]
    scores = {arm: [run_arm(arm, changes, seed) for seed in args.seeds] for arm, changes in arms.items()}
    write_json(FOLDER / f"{args.experiment}.json", {"seeds": args.seeds, "arms": scores})
    seeds = ", ".join(map(str, args.seeds))
    print(f"\nHeld-out accuracy, seeds {seeds}; ± 95 % over seeds:\n\n{arms_table(scores)}")
    print(f"\n{FOLDER / (args.experiment + '.json')}")


def run_arm(arm: str, changes: tuple[str, ...], seed: int) -> dict[str, float]:
    """Train an arm unless that is done. Returns held-out accuracy and deductions before and after, and the training accuracy
    of the last ten steps.
    """
    warm_start = make_warm_start(seed)
    folder = FOLDER / f"seed-{seed}" / arm.replace(" × ", "x").replace(" ", "-")
    file = folder / "scores.json"
    if not file.exists():
        run = ("--seed", f"{seed}", "--model_name_or_path", f"{warm_start}", "--output_dir", f"{folder / 'grpo'}", *changes)
        run_once(folder, arm, *GRPO, *run)
        rewards = [log["rewards/accuracy/mean"] for log in read_log_history(folder / "grpo") if "rewards/accuracy/mean" in log]
        rows = scored_puzzles(seed)
        before, after = (score(model, rows, "sampled", seed) for model in (warm_start, folder / "grpo" / "model"))
        scores = {"before": before["sampled"], "after": after["sampled"], "trained_on": sum(rewards[-10:]) / len(rewards[-10:])}
        for measure in ("soundness", "deductions"):
            scores |= {f"{measure}_before": before[f"sampled_{measure}"], f"{measure}_after": after[f"sampled_{measure}"]}
        write_json(file, scores)
    return json.loads(file.read_text())


def arms_table(scores: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: one row per arm, with each seed's scores and the means over seeds."""
    header = ("puzzles × samples, of how many", "before → after, by seed", "gain", "compared with the recipe as it is")
    header += ("training puzzles", "deductions proved, before → after")
    rows, recipe = [], next(iter(scores))
    for arm, runs in scores.items():
        accuracy = ", ".join(f"{s['before']:.3f} → {s['after']:.3f}" for s in runs)
        soundness = ", ".join(f"{s['soundness_before']:.3f} → {s['soundness_after']:.3f}" for s in runs)
        gain = mean_over_seeds([s["after"] - s["before"] for s in runs])
        pairs = zip(runs, scores[recipe], strict=True)
        against_recipe = "" if arm == recipe else mean_over_seeds([s["after"] - r["after"] for s, r in pairs])
        rows.append((arm, accuracy, gain, against_recipe, f"{np.mean([s['trained_on'] for s in runs]):.3f}", soundness))
    return markdown_table(header, rows)


def mean_over_seeds(values: list[float]) -> str:
    """Mean ± half the width of its 95 % interval (Student's t)."""
    half = STUDENT_T[len(values) - 1] * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):+.3f} ± {half:.3f}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
