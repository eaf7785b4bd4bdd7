"""What the runs of the small models share: running their parts, and scoring the models that come out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from puzzles.files import lock_folder, read_json, read_yaml, write_json
from puzzles.messages import text_of
from puzzles.tables import text_table
from recipes import ROOT
from recipes.machine import has_bfloat16
from rewards.accuracy import accuracy
from rewards.deductions import cached_judge

CPU_PRECISION = ("--bf16", f"{has_bfloat16()}".lower())  # the faster one
Generate = Callable[[Path, list[list[dict]], int, int, int], tuple[list[str], int]]  # see generate_with_transformers


def run_parts(folder: Path, parts: dict[str, tuple[str, ...]], threads: int = 1) -> None:
    """Run Python commands at the same time, except those that an earlier run finished.

    The first one's output is shown. That of each other one goes to a log in the folder. Each finished command is recorded there
    with the settings of the recipes that it names and the seconds that it took, those of interrupted attempts included, of
    which the last ten may be lost.

    Args:
        threads: of each command. With one, sums are made in the same order on every machine.

    Raises:
        SystemExit: if a command fails, and the others are stopped; if a part was finished by another command or with other
            settings; or if another process runs parts in this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        recipes = {part: settings_of_recipes(command) for part, command in parts.items()}
        lock = lock_folder(folder)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
    with open(lock):  # released however this ends
        run_unfinished_parts(folder, parts, recipes, threads)


def run_unfinished_parts(folder: Path, parts: dict[str, tuple[str, ...]], recipes: dict[str, dict], threads: int) -> None:
    """Run Python commands in a locked folder, with the settings of their recipes; see `run_parts`."""
    environment = os.environ | {"OMP_NUM_THREADS": f"{threads}"}
    running: dict[str, subprocess.Popen] = {}
    for part, command in parts.items():
        if (file := folder / f"{part}.json").exists():
            check_same_command(file, command, recipes[part])
    for i, (part, command) in enumerate(parts.items()):
        if (file := folder / f"{part}.json").exists():
            print(f"{part} was finished earlier: {file}", flush=True)
        else:
            print(f"\n== {part}: {' '.join(command)}", flush=True)
            log = (folder / f"{part}.log").open("w") if i else None
            running[part] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log and subprocess.STDOUT
            )
    unfinished = {part: f"{part}.unfinished" for part in running}
    earlier = {part: seconds_of(folder, x) if (folder / f"{x}.json").exists() else 0 for part, x in unfinished.items()}
    start = time.monotonic()

    def write_seconds(part: str, name: str) -> None:
        seconds = round(earlier[part] + time.monotonic() - start, 1)
        write_json(folder / f"{name}.json", {"seconds": seconds, "command": parts[part], "recipes": recipes[part]})

    written = start
    while running:
        time.sleep(0.2)
        if time.monotonic() > written + 10:
            written = time.monotonic()
            for part in running:
                write_seconds(part, unfinished[part])
        for part, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[part]
            if process.returncode:
                for stopped in (part, *running):
                    write_seconds(stopped, unfinished[stopped])
                for other in running.values():
                    other.terminate()
                for other in running.values():
                    other.wait()
                log = folder / f"{part}.log"
                sys.exit(f"{part} did not finish{f' ({log})' if log.exists() else ''}. Run the same command to resume.")
            write_seconds(part, part)
            (folder / f"{unfinished[part]}.json").unlink(missing_ok=True)


def settings_of_recipes(command: tuple[str, ...]) -> dict[str, dict]:
    """What the recipes that a command names set."""
    return {word: read_yaml(ROOT / word) for word in command if word.startswith("recipes/") and word.endswith(".yaml")}


def check_same_command(file: Path, command: tuple[str, ...], recipes: dict[str, dict]) -> None:
    """End the program if the part that this file records was finished by another command, or with other settings."""
    record = read_json(file)
    finished, settings = record.get("command", [*command]), record.get("recipes", recipes)
    changed = [word for word in (*finished, *command) if word not in finished or word not in command]
    for name in recipes.keys() & settings.keys():
        was, now = settings[name], recipes[name]
        changed += [f"{key} in {name}" for key in {**was, **now} if was.get(key) != now.get(key)]
    if changed or finished != [*command]:
        fix = f"give the same ones, or delete {file.parent} to start anew"
        sys.exit(f"{file.stem} was finished with other options ({' '.join(changed)}): {fix}.")


def seconds_of(folder: Path, part: str) -> float:
    """The seconds that a finished part of a run took."""
    return read_json(folder / f"{part}.json")["seconds"]


# ---------------------------------------------------------------- scores


def score_once(file: Path, model: Path, rows: Dataset, seed: int, *options) -> dict:
    """A model's scores and the seconds that they took, from their file if there is one. Arguments as of `score`."""
    if not file.exists():
        start = time.monotonic()
        scores = score(model, rows, seed, *options)
        write_json(file, scores | {"seconds": round(time.monotonic() - start, 1)})
    return read_json(file)


def score(
    folder: Path, rows: Dataset, seed: int, samples: int = 16, max_tokens: int = 160, generate: Generate | None = None
) -> dict:
    """How well a model does on puzzles: some samples of each at temperature 1, and one greedy completion.

    Args:
        samples: of each puzzle.
        max_tokens: in a completion.
        generate: writes the completions (default: `generate_with_transformers`, on the CPU).

    Returns:
        sampled, greedy: the mean fraction of answers right; …_interval, half the width of its 95 % interval over puzzles;
        …_solved, the share of completions with every answer right; …_unread_answers, the share of answers that can't be read.
        best_of_16, pass_at_16, with 16 samples: the mean of each puzzle's best one, and the share of puzzles that one solves.
        sampled_soundness, sampled_deductions: of the first sample of each puzzle, the share of the distinct deductions stated
        that are proved, and how many it states. sampled_tokens: the mean length of a sample.
    """
    generate = generate or generate_with_transformers
    result: dict = {}
    for decoding, each in (("sampled", samples), ("greedy", 1)):
        texts, tokens = generate(folder, [*rows["prompt"]], seed, samples if decoding == "sampled" else 0, max_tokens)
        prompts, solutions = ([x for x in rows[name] for _ in range(each)] for name in ("prompt", "solution"))
        shares: dict[str, float] = {}
        values = np.reshape(accuracy(texts, solutions, prompts=prompts, log_metric=shares.__setitem__), (-1, each))
        result |= {f"{decoding}_{name}": share for name, share in shares.items()}
        result[decoding] = values.mean()
        result[f"{decoding}_interval"] = 1.96 * values.mean(axis=1).std(ddof=1) / len(rows) ** 0.5
        if decoding == "sampled":
            best = values.max(axis=1)
            result |= {f"best_of_{samples}": best.mean(), f"pass_at_{samples}": (best == 1).mean()}
            verdicts: Counter[str] = Counter()
            for prompt, text in zip(rows["prompt"], texts[::each], strict=True):
                verdicts.update(cached_judge(text_of(prompt)).judge(text).counts)
            result["sampled_soundness"] = verdicts["proved"] / max(verdicts.total(), 1)
            result["sampled_deductions"] = verdicts.total() / len(rows)
            result["sampled_tokens"] = tokens / len(texts)
    return {name: float(value) for name, value in result.items()}


def generate_with_transformers(
    folder: Path, prompts: list[list[dict]], seed: int, samples: int, max_tokens: int, device: str = "cpu", at_once: int = 400
) -> tuple[list[str], int]:
    """Completions of each prompt, and how many tokens they have together.

    Args:
        samples: of each prompt, at temperature 1; 0 for one greedy completion.
        device: on "cuda", the weights are in bfloat16; on "cpu", in float32.
        at_once: completions that are generated together. Other numbers draw other samples.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().to(device)
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": samples}
    options = options if samples else {"do_sample": False}
    torch.manual_seed(seed)
    texts, tokens, step = [], 0, max(at_once // max(samples, 1), 1)
    title = f"{folder.parent.name}/{folder.name}: {'sampled' if samples else 'greedy'}"
    for i in tqdm(range(0, len(prompts), step), desc=title):
        inputs = tokenizer.apply_chat_template(
            prompts[i : i + step], add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        ).to(device)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=max_tokens, **options)[:, inputs["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(ids, skip_special_tokens=True)
        ends = (ids == tokenizer.eos_token_id).cumsum(dim=1)  # padding may be the same token
        tokens += int(((ends == 0) | ((ends == 1) & (ids == tokenizer.eos_token_id))).sum())
    return texts, tokens


def score_table(result: dict, models: dict[str, str], samples: int = 16) -> str:
    """A text table of the scores in a result, one line for each model. Without that many samples, their best are left blank.

    Args:
        result: the scores of each model, and `chance`.
        models: the name to print, for each key of a model.
    """
    rows = []
    for key, name in models.items():
        scores = result[key]
        cells = [f"{scores[k]:.3f} ± {scores[f'{k}_interval']:.3f}" for k in ("sampled", "greedy")]
        names = ("sampled_solved", f"best_of_{samples}", f"pass_at_{samples}", "sampled_unread_answers", "sampled_soundness")
        cells += [f"{scores[k]:.3f}" if k in scores else "" for k in names]
        rows.append((name, *cells, f"{scores['sampled_tokens']:.0f}"))
    rows.append(("chance", f"{result['chance']:.3f}", *[""] * 7))
    best = (f"best of {samples}", f"pass@{samples}")
    return text_table(("", "sampled", "greedy", "solved", *best, "unread", "proved", "tokens"), rows)
