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
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
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
RECIPE = ROOT / "recipes" / "tiny-cpu.yaml"
GRPO = ("-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml", "recipes/grpo.py")
GRPO += ("--config", "recipes/tiny-cpu.yaml")
CONTROL_STAGE = "760:0:1:1"  # the base's last stage goes on, for no less time than GRPO takes
CONTROL = ("recipes/sft.py", "--config", "recipes/tiny-base.yaml", "--model_name_or_path", "recipes/tiny/tiny-base")
CONTROL += ("--learning_rate", "5e-4", "--muon_learning_rate", "1e-3")
SCORED_PUZZLES = 400  # in the table; none of them is among those that GRPO is evaluated on during training
SAMPLES = 16  # of each
MAX_TOKENS = 160  # in a completion
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
        result[key] = score_once(folder / f"{key}.scores.json", model, rows, seed)
    seconds = {part: seconds_of(folder, part) for part in ("GRPO", "control")}
    seconds |= {"scores": round(sum(result[key]["seconds"] for key in MODELS), 1)}
    result |= {"seconds": seconds, "wall_seconds": round(max(seconds["GRPO"], seconds["control"]) + seconds["scores"], 1)}
    for place in (folder, RUNS):
        save(learning_curve_plot(result, read_log_history(grpo)), place / "learning-curve.png")
        write_json(place / "result.json", result)
    print(f"\nAnswers right ± 95 %, on {SCORED_PUZZLES} fresh puzzles of seed {seed}, {SAMPLES} samples of each:\n")
    print(score_table(result))
    print("\nSeconds:", ", ".join(f"{part} {value:.0f}" for part, value in seconds.items()))
    print(f"{RUNS / 'result.json'}\n{RUNS / 'learning-curve.png'}")


def run_parts(folder: Path, parts: dict[str, tuple[str, ...]]) -> None:
    """Run Python commands at the same time, one thread each, except those that an earlier run finished.

    The first one's output is shown. That of each other one goes to a log in the folder, and so do the seconds that each took.

    Raises:
        SystemExit: if a command fails. The others are stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # the same sums in the same order on every machine
    running: dict[str, subprocess.Popen] = {}
    for i, (part, command) in enumerate(parts.items()):
        if not (folder / f"{part}.json").exists():
            print(f"\n== {part}: {' '.join(command)}", flush=True)
            log = (folder / f"{part}.log").open("w") if i else None
            running[part] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log and subprocess.STDOUT
            )
    start = time.monotonic()
    while running:
        time.sleep(0.2)
        for part, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[part]
            if process.returncode:
                for other in running.values():
                    other.terminate()
                for other in running.values():
                    other.wait()
                log = folder / f"{part}.log"
                sys.exit(f"{part} did not finish{f' ({log})' if log.exists() else ''}. Run the same command to resume.")
            write_json(folder / f"{part}.json", {"seconds": round(time.monotonic() - start, 1)})


def seconds_of(folder: Path, part: str) -> float:
    """The seconds that a finished part of a run took."""
    return json.loads((folder / f"{part}.json").read_text())["seconds"]


# ---------------------------------------------------------------- scores


def scored_puzzles(seed: int) -> Dataset:
    """The puzzles of the table, of the recipe's size and kind."""
    return fresh_puzzles(puzzles_of(RECIPE), seed, SCORED_PUZZLES)


def score_once(file: Path, model: Path, rows: Dataset, seed: int) -> dict:
    """A model's scores and the seconds that they took, from their file if there is one."""
    if not file.exists():
        start = time.monotonic()
        scores = score(model, rows, seed)
        write_json(file, scores | {"seconds": round(time.monotonic() - start, 1)})
    return json.loads(file.read_text())


def score(folder: Path, rows: Dataset, seed: int) -> dict:
    """How well a model does on puzzles: SAMPLES completions of each at temperature 1, and one greedy.

    Returns:
        sampled, greedy: the mean fraction of answers right; …_interval, half the width of its 95 % interval over puzzles;
        …_solved, the share of completions with every answer right.
        best_of_16, pass_at_16: the mean of each puzzle's best sample, and the share of puzzles that one of them solves.
        sampled_soundness, sampled_deductions: of the first sample of each puzzle, the share of the distinct deductions stated
        that are proved, and how many it states. sampled_tokens: the mean length of a sample.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(seed)
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": SAMPLES}
    scores: dict[str, list[list[float]]] = {"sampled": [], "greedy": []}  # of each puzzle's completions
    verdicts: Counter[str] = Counter()
    tokens = 0
    for batch in tqdm(rows.batch(25), desc=f"scoring {folder.parent.name}/{folder.name}", unit="batch"):
        inputs = tokenizer.apply_chat_template(
            batch["prompt"], add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        for decoding, options in (("sampled", sampling), ("greedy", {"do_sample": False})):
            with torch.inference_mode():
                ids = model.generate(**inputs, max_new_tokens=MAX_TOKENS, **options)[:, inputs["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
            each = len(texts) // len(batch["prompt"])  # puzzle
            prompts, solutions = ([x for x in batch[name] for _ in range(each)] for name in ("prompt", "solution"))
            right = accuracy(texts, solutions, prompts=prompts)
            scores[decoding] += np.reshape(right, (-1, each)).tolist()
            if decoding == "sampled":
                tokens += int((ids != tokenizer.pad_token_id).sum())
                for prompt, text in zip(batch["prompt"], texts[::each], strict=True):
                    verdicts.update(cached_judge(text_of(prompt)).judge(text).counts)
    result: dict = {}
    for decoding, values in scores.items():
        of_puzzle = np.mean(values, axis=1)
        result[decoding] = of_puzzle.mean()
        result[f"{decoding}_interval"] = 1.96 * of_puzzle.std(ddof=1) / len(rows) ** 0.5
        result[f"{decoding}_solved"] = np.mean(np.array(values) == 1)
    best = np.max(scores["sampled"], axis=1)
    result |= {"best_of_16": best.mean(), "pass_at_16": (best == 1).mean()}
    result["sampled_soundness"] = verdicts["proved"] / max(verdicts.total(), 1)
    result["sampled_deductions"] = verdicts.total() / len(rows)
    result["sampled_tokens"] = tokens / (len(rows) * SAMPLES)
    return {name: float(value) for name, value in result.items()}


def chance(rows: Dataset) -> float:
    """The mean fraction right of answer sheets filled in at random with answers of the right kind."""
    total = 0.0
    for (message,) in rows["prompt"]:
        puzzle = read_prompt(message["content"])
        total += sum(1 / len(answer_options(q, puzzle.setting)) for q in puzzle.questions) / len(puzzle.questions)
    return total / len(rows)


def score_table(result: dict) -> str:
    rows = []
    for key, name in MODELS.items():
        scores = result[key]
        cells = [f"{scores[k]:.3f} ± {scores[f'{k}_interval']:.3f}" for k in ("sampled", "greedy")]
        cells += [f"{scores[k]:.3f}" for k in ("sampled_solved", "best_of_16", "pass_at_16", "sampled_soundness")]
        rows.append((name, *cells, f"{scores['sampled_tokens']:.0f}"))
    rows.append(("chance", f"{result['chance']:.3f}", *[""] * 6))
    return text_table(("", "sampled", "greedy", "solved", "best of 16", "pass@16", "proved", "tokens"), rows)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
