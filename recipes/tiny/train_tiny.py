"""The whole method on a laptop: puzzles → base model → GRPO → held-out scores before and after, and a control.

  python recipes/tiny/train_tiny.py --seed 0          (or: make train-tiny SEED=0)

0. base         the committed checkpoint recipes/tiny/tiny-base, taught by flawless solutions of small puzzles (make tiny-base)
1. GRPO         `accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml`: larger puzzles, the reward alone
2. control      at the same time and for no less long, imitation continues from the base
3. scores       fresh puzzles, 16 samples of each and greedy, with 95 % intervals: a table, a plot and result.json

A part that is finished is skipped, so after Ctrl-C the same command resumes.
"""

from __future__ import annotations

import argparse
import shutil
import sys

from datasets import Dataset

from puzzles.dataset import chance
from puzzles.files import write_json
from recipes import ROOT
from recipes.arguments import puzzles_of
from recipes.checkpoints import read_log_history
from recipes.data import fresh_puzzles
from recipes.evaluation.plots import learning_curve_plot, save
from recipes.runs import CPU_PRECISION, run_parts, score_once, score_table, seconds_of

RUNS = ROOT / "outputs" / "tiny-cpu"
BASE = ROOT / "recipes" / "tiny" / "tiny-base"
RECIPE = ROOT / "recipes" / "tiny-cpu.yaml"
GRPO = ("-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml", "recipes/grpo.py")
GRPO += ("--config", "recipes/tiny-cpu.yaml")
CONTROL_STAGE = "760:0:1:1"  # the base's last stage goes on, for no less time than GRPO takes
CONTROL = ("recipes/sft.py", "--config", "recipes/tiny-base.yaml", "--model_name_or_path", "recipes/tiny/tiny-base")
CONTROL += ("--learning_rate", "5e-4", "--muon_learning_rate", "1e-3", *CPU_PRECISION)
SCORED_PUZZLES = 400  # in the table; none of them is among those that GRPO is evaluated on during training
SAMPLES = 16  # of each
MODELS = {"base": "base model", "after": "after GRPO", "control": "control: more imitation"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the puzzles and of training (default 0)")
    seed = parser.parse_args().seed
    if seed < 0:
        parser.error(f"--seed {seed}: use 0 or more.")
    folder = RUNS / f"seed-{seed}"
    grpo, control = folder / "grpo", folder / "control"
    # The base model's own seed is 42, so these are other demonstrations than it has seen.
    imitation = (*CONTROL, "--seed", f"{seed + 1_000_000}", "--stages", CONTROL_STAGE, "--output_dir", f"{control}")
    if not (folder / "control.json").exists():  # an earlier run was killed just before it recorded the control
        shutil.rmtree(control, ignore_errors=True)
    run_parts(folder, {"GRPO": (*GRPO, "--seed", f"{seed}", "--output_dir", f"{grpo}"), "control": imitation})

    rows = scored_puzzles(seed)
    result: dict = {"seed": seed, "n": SCORED_PUZZLES, "samples": SAMPLES, "chance": chance(rows)}
    for key, model in zip(MODELS, (BASE, grpo / "model", control), strict=True):
        result[key] = score_once(folder / f"{key}.scores.json", model, rows, seed, SAMPLES)
    seconds = {part: seconds_of(folder, part) for part in ("GRPO", "control")}
    seconds |= {"scores": round(sum(result[key]["seconds"] for key in MODELS), 1)}
    result |= {"seconds": seconds, "wall_seconds": round(max(seconds["GRPO"], seconds["control"]) + seconds["scores"], 1)}
    for place in (folder, RUNS):
        save(learning_curve_plot(result, read_log_history(grpo)), place / "learning-curve.png")
        write_json(place / "result.json", result)
    print(f"\nAnswers right ± 95 %, on {SCORED_PUZZLES} fresh puzzles of seed {seed}, {SAMPLES} samples of each:\n")
    print(score_table(result, MODELS))
    print("\nSeconds:", ", ".join(f"{part} {value:.0f}" for part, value in seconds.items()))
    print(f"{RUNS / 'result.json'}\n{RUNS / 'learning-curve.png'}")


def scored_puzzles(seed: int) -> Dataset:
    """The puzzles of the table, of the recipe's size and kind."""
    return fresh_puzzles(puzzles_of(RECIPE), seed, SCORED_PUZZLES)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
