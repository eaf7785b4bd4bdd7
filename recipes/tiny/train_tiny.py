"""The whole method on a laptop: puzzles → warm start → GRPO → held-out scores before and after, and a control.

  python recipes/tiny/train_tiny.py --seed 0          (or: make train-tiny SEED=0)

1. warm start   a little imitation of a teacher who deduces correctly but gets six answers in ten wrong
2. GRPO         `accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml`, from the reward alone
3. control      the warm start's imitation continues for at least as long as GRPO took
4. scores       fresh puzzles, sampled and greedy, with 95 % intervals: a table, a plot and result.json

A part that is finished is skipped, so after Ctrl-C the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from puzzles.clues import answer_options
from puzzles.files import write_json
from puzzles.messages import text_of
from puzzles.prompts import read_prompt
from puzzles.tables import text_table
from recipes.arguments import puzzles_of
from recipes.checkpoints import read_log_history
from recipes.data import fresh_puzzles
from recipes.evaluation.plots import learning_curve_plot, save
from rewards.accuracy import accuracy
from rewards.deductions import cached_judge

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "outputs" / "tiny-cpu"
BASE = ROOT / "recipes" / "tiny" / "tiny-base"
SFT = ("recipes/sft.py", "--config", "recipes/tiny-warm-start.yaml")
GRPO = ("-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml", "recipes/grpo.py")
GRPO += ("--config", "recipes/tiny-cpu.yaml")
SCORED_PUZZLES = 400  # in the table; none of them is among those that GRPO is evaluated on during training
MAX_TOKENS = 160  # in a completion
CONTROL_STAGE = "350:0.75:0.75:0.6"  # the warm start's stage with more steps, so that it takes no less time than GRPO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the puzzles and of training (default 0)")
    seed = parser.parse_args().seed
    folder = RUNS / f"seed-{seed}"
    warm, grpo, control = make_warm_start(seed), folder / "grpo", folder / "sft-control"
    run_once(folder, "GRPO", *GRPO, "--seed", f"{seed}", "--model_name_or_path", f"{warm}", "--output_dir", f"{grpo}")
    run_once(  # the other seed gives it other demonstrations than the warm start had
        folder, "control", *SFT, "--seed", f"{seed + 1_000_000}", "--stages", CONTROL_STAGE,
        "--model_name_or_path", f"{warm}", "--output_dir", f"{control}", output=control,
    )  # fmt: skip

    rows = scored_puzzles(seed)
    result: dict = {"seed": seed, "n": SCORED_PUZZLES, "chance": chance(rows)}
    start = time.monotonic()
    for key, model in (("base", BASE), ("before", warm), ("after", grpo / "model"), ("sft_control", control)):
        result[key] = score(model, rows, "sampled", seed) | score(model, rows, "greedy", seed)
    seconds = result["seconds"] = finished_parts(folder) | {"scores": round(time.monotonic() - start, 1)}
    result["wall_seconds"] = round(sum(seconds.values()), 1)
    for place in (folder, RUNS):
        save(learning_curve_plot(result, read_log_history(grpo)), place / "learning-curve.png")
        write_json(place / "result.json", result)
    print(f"\nMean fraction of answers right ± 95 %, on {SCORED_PUZZLES} fresh puzzles of seed {seed}:\n")
    print(score_table(result))
    print(f"\nGRPO {seconds['GRPO']:.0f} s, control {seconds['control']:.0f} s, total {result['wall_seconds']:.0f} s")
    print(f"{RUNS / 'result.json'}\n{RUNS / 'learning-curve.png'}")


# ---------------------------------------------------------------- training


def make_warm_start(seed: int) -> Path:
    """The model that GRPO starts from, trained if it is not there yet."""
    folder = RUNS / f"seed-{seed}" / "warm-start"
    arguments = ("--seed", f"{seed}", "--model_name_or_path", f"{BASE}", "--output_dir", f"{folder}")
    run_once(folder.parent, "warm start", *SFT, *arguments, output=folder)
    return folder


def run_once(folder: Path, part: str, *command: str, output: Path | None = None) -> None:
    """Run a Python command and record its seconds in the folder's parts.json, unless that has the part already.

    Args:
        output: a folder that the command writes and that must not exist when it starts.

    Raises:
        SystemExit: if the command fails.
    """
    finished = finished_parts(folder)
    if part in finished:
        return
    if output:  # it exists only if an earlier run was killed just before recording the part
        shutil.rmtree(output, ignore_errors=True)
    print(f"\n== {part}: {' '.join(command)}", flush=True)
    start = time.monotonic()
    if subprocess.run([sys.executable, *command], cwd=ROOT).returncode:
        sys.exit(f"{part} did not finish. Run the same command to resume.")
    write_json(folder / "parts.json", finished | {part: round(time.monotonic() - start, 1)})


def finished_parts(folder: Path) -> dict[str, float]:
    """The seconds that each finished part of a run took."""
    file = folder / "parts.json"
    return json.loads(file.read_text()) if file.exists() else {}


# ---------------------------------------------------------------- scores


def scored_puzzles(seed: int) -> Dataset:
    """The puzzles of the table, of the recipe's size and kind."""
    return fresh_puzzles(puzzles_of(ROOT / "recipes" / "tiny-cpu.yaml"), seed, SCORED_PUZZLES)


def score(folder: Path, rows: Dataset, decoding: str, seed: int) -> dict[str, float]:
    """How well a model does on puzzles.

    Args:
        decoding: "sampled" (one completion per puzzle, at temperature 1) or "greedy".

    Returns:
        under the name of the decoding, the mean fraction of answers right; …_interval, half the width of its 95 % interval
        over puzzles; …_solved, the share of puzzles with every answer right; …_soundness, the share of the distinct
        deductions stated that are proved; …_deductions, how many of them a completion states.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(seed)
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0} if decoding == "sampled" else {"do_sample": False}
    scores: list[float] = []
    verdicts: Counter[str] = Counter()
    for batch in tqdm(rows.batch(100), desc=f"{folder.parent.name}/{folder.name}, {decoding}", unit="batch"):
        inputs = tokenizer.apply_chat_template(
            batch["prompt"], add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=MAX_TOKENS, **sampling)
        texts = tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores += accuracy(texts, batch["solution"], prompts=batch["prompt"])
        for prompt, text in zip(batch["prompt"], texts, strict=True):
            verdicts.update(cached_judge(text_of(prompt)).judge(text).counts)
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in scores) / (len(scores) - 1))
    return {
        decoding: mean,
        f"{decoding}_interval": 1.96 * deviation / math.sqrt(len(scores)),
        f"{decoding}_solved": sum(x == 1 for x in scores) / len(scores),
        f"{decoding}_soundness": verdicts["proved"] / max(verdicts.total(), 1),
        f"{decoding}_deductions": verdicts.total() / len(scores),
    }


def chance(rows: Dataset) -> float:
    """The mean fraction right of answer sheets filled in at random with answers of the right kind."""
    total = 0.0
    for (message,) in rows["prompt"]:
        puzzle = read_prompt(message["content"])
        total += sum(1 / len(answer_options(q, puzzle.setting)) for q in puzzle.questions) / len(puzzle.questions)
    return total / len(rows)


def score_table(result: dict) -> str:
    names = {
        "base": "base checkpoint",
        "before": "before GRPO (warm start)",
        "after": "after GRPO",
        "sft_control": "control: more imitation",
    }
    rows = []
    for key, name in names.items():
        scores = result[key]
        cells = [f"{scores[k]:.3f} ± {scores[f'{k}_interval']:.3f}" for k in ("sampled", "greedy")]
        rows.append((name, *cells, f"{scores['sampled_solved']:.3f}"))
    rows.append(("chance", f"{result['chance']:.3f}", "", ""))
    return text_table(("", "sampled", "greedy", "all right"), rows)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
