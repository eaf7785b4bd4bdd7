"""The main job on a laptop: puzzles → warm start → GRPO → held-out scores before and after, and a control.

  python recipes/tiny/train_tiny.py --seed 0          (or: make train-tiny SEED=0)

1. warm start   a few steps of imitation turn the base checkpoint into a detective of poor memory
2. GRPO         `accelerate launch recipes/grpo.py --config recipes/tiny-cpu.yaml`, from the reward alone
3. control      the warm start's imitation goes on for at least as long as GRPO took
4. scores       fresh puzzles, sampled and greedy, with 95 % intervals; a table, a picture and result.json

Each part is skipped if it is already there, so that after Ctrl-C the same command goes on.
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
from rewards.deductions.judge import judge_of

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "outputs" / "tiny-cpu"
BASE = ROOT / "recipes" / "tiny" / "tiny-base"
SFT = ("recipes/sft.py", "--config", "recipes/tiny-warm-start.yaml")
GRPO = ("-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml", "recipes/grpo.py")
GRPO += ("--config", "recipes/tiny-cpu.yaml")
SCORED = 400  # held-out puzzles in the table: other ones than those that GRPO is watched on while it trains
LONGEST = 160  # tokens in a completion
CONTROL_STAGE = "350:0.75:0.75:0.6"  # the warm start's stage, longer: chosen so that it takes no less time than GRPO


def score(folder: Path, rows: Dataset, decoding: str, seed: int) -> dict[str, float]:
    """How a model does on puzzles: the mean fraction of answers right (under the name of the decoding), half the width of
    its 95 % interval over puzzles (…_interval), the share of puzzles with every answer right (…_solved), and of the distinct
    deductions that it states the share that is proved (…_soundness) and how many there are in a completion (…_deductions).

    Args:
        decoding: "sampled" (one answer a puzzle at temperature 1) or "greedy".
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(seed)
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0} if decoding == "sampled" else {"do_sample": False}
    scores: list[float] = []
    stated: Counter[str] = Counter()
    for batch in tqdm(rows.batch(100), desc=f"{folder.parent.name}/{folder.name}, {decoding}", unit="batch"):
        inputs = tokenizer.apply_chat_template(
            batch["prompt"], add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=LONGEST, **sampling)
        texts = tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores += accuracy(texts, batch["solution"], prompts=batch["prompt"])
        for prompt, text in zip(batch["prompt"], texts, strict=True):
            stated.update(judge_of(text_of(prompt)).judge(text).counts)
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in scores) / (len(scores) - 1))
    return {
        decoding: mean,
        f"{decoding}_interval": 1.96 * deviation / math.sqrt(len(scores)),
        f"{decoding}_solved": sum(x == 1 for x in scores) / len(scores),
        f"{decoding}_soundness": stated["proved"] / max(stated.total(), 1),
        f"{decoding}_deductions": stated.total() / len(scores),
    }


def chance(rows: Dataset) -> float:
    """The mean fraction right of a sheet filled in at random with candidates of the right kind."""
    total = 0.0
    for (message,) in rows["prompt"]:
        puzzle = read_prompt(message["content"])
        total += sum(1 / len(answer_options(q, puzzle.setting)) for q in puzzle.questions) / len(puzzle.questions)
    return total / len(rows)


class Parts:
    """The parts of the run, each done once: what is there already is not done again."""

    def __init__(self, folder: Path):
        self.file = folder / "parts.json"
        self.seconds: dict[str, float] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def run(self, name: str, *command: str, makes: Path | None = None) -> None:
        """Run a command unless the part is done; `makes` is a folder that it wants to find absent.

        Raises:
            SystemExit: if the command fails.
        """
        if name in self.seconds:
            return
        if makes:  # there only if the last run was killed between making it and noting that
            shutil.rmtree(makes, ignore_errors=True)
        print(f"\n== {name}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        code = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
        if code:
            sys.exit(f"{name} did not finish. The same command goes on from here.")
        self.seconds[name] = round(time.monotonic() - start, 1)
        write_json(self.file, self.seconds)


def warm_start(seed: int) -> Path:
    """The model that GRPO starts from under this seed, made if it is not there yet."""
    folder = RUNS / f"seed-{seed}" / "warm-start"
    teach = (*SFT, "--seed", f"{seed}", "--model_name_or_path", f"{BASE}", "--output_dir", f"{folder}")
    Parts(folder.parent).run("warm start", *teach, makes=folder)
    return folder


def held_out(seed: int) -> Dataset:
    """The puzzles of the table: of the recipe's size and kind, and not those that GRPO is watched on while it trains."""
    return fresh_puzzles(puzzles_of(ROOT / "recipes" / "tiny-cpu.yaml"), seed, SCORED)


def table(result: dict) -> str:
    rows = []
    for key, name in (
        ("base", "base checkpoint"),
        ("before", "before GRPO (warm start)"),
        ("after", "after GRPO"),
        ("sft_control", "control: more imitation"),
    ):
        r = result[key]
        cells = [f"{r[k]:.3f} ± {r[f'{k}_interval']:.3f}" for k in ("sampled", "greedy")]
        rows.append((name, *cells, f"{r['sampled_solved']:.3f}"))
    rows.append(("chance", f"{result['chance']:.3f}", "", ""))
    return text_table(("", "sampled", "greedy", "all right"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="which puzzles, and which randomness in training (default 0)")
    seed = parser.parse_args().seed
    folder = RUNS / f"seed-{seed}"
    warm, grpo, control = warm_start(seed), folder / "grpo", folder / "sft-control"
    parts = Parts(folder)
    parts.run("GRPO", *GRPO, "--seed", f"{seed}", "--model_name_or_path", f"{warm}", "--output_dir", f"{grpo}")
    parts.run(  # other demonstrations than the warm start's: another seed
        "control", *SFT, "--seed", f"{seed + 1_000_000}", "--stages", CONTROL_STAGE,
        "--model_name_or_path", f"{warm}", "--output_dir", f"{control}", makes=control,
    )  # fmt: skip

    rows = held_out(seed)
    result: dict = {"seed": seed, "n": SCORED, "chance": chance(rows)}
    start = time.monotonic()
    for key, model in (("base", BASE), ("before", warm), ("after", grpo / "model"), ("sft_control", control)):
        result[key] = score(model, rows, "sampled", seed) | score(model, rows, "greedy", seed)
    result["seconds"] = parts.seconds | {"scores": round(time.monotonic() - start, 1)}
    result["wall_seconds"] = round(sum(result["seconds"].values()), 1)
    for place in (folder, RUNS):
        save(learning_curve_plot(result, read_log_history(grpo)), place / "learning-curve.png")
        write_json(place / "result.json", result)
    seconds = result["seconds"]
    print(f"\nMean fraction of answers right ± 95 %, on {SCORED} fresh puzzles of seed {seed}:\n\n{table(result)}")
    print(f"\nGRPO {seconds['GRPO']:.0f} s, control {seconds['control']:.0f} s, in all {result['wall_seconds']:.0f} s")
    print(f"{RUNS / 'result.json'}\n{RUNS / 'learning-curve.png'}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from here.")
