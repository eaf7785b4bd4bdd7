"""The whole method on a real language model: SmolLM2-135M-Instruct → warm start → GRPO → held-out scores, and a control.

  python recipes/smollm2/train_smol.py --seed 0          (or: make train-smol SEED=0)

0. before       the model as it is downloaded (recipes/smollm2/weights.py), which fills in no answer sheet
1. warm start   `recipes/sft.py --config recipes/smollm2-135m-sft.yaml`: it imitates 640 flawless short proofs
2. GRPO         `accelerate launch recipes/grpo.py --config recipes/smollm2-135m.yaml`: the reward alone
3. control      imitation continues from the warm start, for no less time than GRPO took
4. scores       of all four (recipes/smollm2/score.py), with 95 % intervals: tables, a plot and result.json

The same on the published puzzles:

  python recipes/smollm2/train_smol.py --recipe smollm2-135m-published --published val.json      (or: make train-detective)

0. proofs       datasets of the published size mix with proofs, in two wordings, without the published puzzles under any names
1. warm start   it imitates these proofs, 300,000 in all
2. GRPO         in the published wording
3. scores       benchmarks before, between and after on the published puzzles or, without their file, on held-out ones of the
                same mix; and a report

A part that is finished is skipped, so after Ctrl-C or `kill -9` the same command resumes.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from puzzles.arguments import players_range
from puzzles.dataset import read_rows
from puzzles.files import read_json, read_yaml, sha256, write_json
from puzzles.scenario import published_size
from puzzles.tables import text_table
from recipes import ROOT
from recipes.arguments import words
from recipes.checkpoints import check_same_run, read_log_history
from recipes.evaluation.plots import learning_curve_plot, save
from recipes.runs import CPU_PRECISION, run_parts, score_table, seconds_of
from recipes.smollm2.score import SETS
from recipes.smollm2.weights import base_model

RUNS = ROOT / "outputs" / "smollm2"
DETECTIVE, DETECTIVE_RUNS = "smollm2-135m-published", ROOT / "outputs" / "detective"
WARM_START_STEPS, _, STAGE = read_yaml(ROOT / "recipes" / "smollm2-135m-sft.yaml")["stages"][0].partition(":")
# vLLM's CPU build computes each prompt once: a step took 124 to 130 s on two cores, and 287 without it (LOG.md). It
# computes in the trainer's precision, so its probabilities are taken as the trainer's, which saves a forward.
VLLM_ON_A_CPU = ("--use_vllm", "true", "--vllm_mode", "colocate", "--vllm_importance_sampling_correction", "false")
FEWER_ON_A_CPU = ("--per_device_train_batch_size", "64", "--learning_rate", "3e-5", "--max_steps", "14")
# Half as much at once as on a GPU, for the memory (about 10 GB; LOG.md): a puzzle with its 8 samples, or 4 proofs.
FEWER_ON_A_CPU += ("--packed_tokens", "2048")
FOUR_AT_A_TIME = ("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2")
# Proofs of all sizes, 32 a step as on a GPU: one at a time they need no padding. At about 1.3 MB of activations a token in
# float32, 8 of the longest, 3,610 tokens each, would need 37 GB.
ONE_AT_A_TIME = ("--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "32")
SEEDS_APART = 1_000_000  # added to the seed for the control, and for the second dataset of proofs
OWN = {"--config", "--model_name_or_path", "--output_dir", "--seed", "--stages", "--dataset", "--dry_run", "--help", "-h"}
PUBLISHED = "https://github.com/bradhilton/temporal-clue/blob/main/puzzles/val.json"
MODELS = {
    "before": "as downloaded",
    "warm_start": "after the warm start",
    "after": "after GRPO",
    "control": "control: more imitation",
}


def main() -> None:
    gpu = torch.cuda.is_available()
    args = arguments(gpu)
    if gpu:  # every part runs on one
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    detective = args.recipe == DETECTIVE
    folder = (DETECTIVE_RUNS if detective else RUNS) / f"seed-{args.seed}"
    try:
        models = {"before": base_model(args.gguf), "warm_start": folder / "warm-start"}
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"recipes/smollm2/train_smol.py: {error}")
    models |= {"after": folder / "grpo" / "model", "control": folder / "control"}
    for part in ("warm_start", "control"):  # an earlier run was killed just before it recorded that part
        if not (folder / f"{part}.json").exists():
            shutil.rmtree(models[part], ignore_errors=True)

    def score(key: str) -> tuple[str, ...]:
        samples = min(args.samples, 2) if key == "before" else args.samples  # as downloaded, all are bad
        which = ("--run", f"{folder}", *seed, "--puzzles", f"{args.puzzles}", "--samples", f"{samples}")
        return "recipes/smollm2/score.py", f"{models[key]}", f"{folder / 'scores' / key}.json", *which

    seed, device = ("--seed", f"{args.seed}"), () if gpu else ("--use_cpu", "true", *CPU_PRECISION)
    sft = ("recipes/sft.py", "--config", f"recipes/{args.recipe}-sft.yaml", *device)
    sft += () if gpu else ONE_AT_A_TIME if detective else FOUR_AT_A_TIME
    warm_start = (*sft, *seed, "--model_name_or_path", f"{models['before']}", "--output_dir", f"{models['warm_start']}")
    control = (*sft, "--model_name_or_path", f"{models['warm_start']}", "--output_dir", f"{models['control']}")
    control += ("--seed", f"{args.seed + SEEDS_APART}", "--learning_rate", "1e-4")
    grpo = ("-m", "accelerate.commands.launch", "--config_file", f"accelerate_configs/{'single_gpu' if gpu else 'cpu'}.yaml")
    grpo += ("--gpu_ids", "all") if gpu else ()  # of those in CUDA_VISIBLE_DEVICES
    grpo += ("recipes/grpo.py", "--config", f"recipes/{args.recipe}.yaml", *device, *seed)
    grpo += ("--model_name_or_path", f"{models['warm_start']}", "--output_dir", f"{folder / 'grpo'}")
    grpo += VLLM_ON_A_CPU if not gpu and find_spec("vllm") else ()
    as_downloaded = ("--model_name_or_path", f"{models['before']}")  # of the same kind as the warm start will be
    if detective:
        try:
            run = {name: getattr(args, name) for name in ("demonstrations", "players", "puzzles")}
            run |= {"published": args.published and sha256(args.published)}
            check_same_run(folder, run, chosen_by="--seed")
            write_json(folder / "run.json", run)
        except ValueError as error:
            sys.exit(f"recipes/smollm2/train_smol.py: {error}")
        parts = published_parts(args, folder, models, warm_start, grpo)
        if not args.published:
            print(f"Without --published, scores are those of other puzzles of the same mix. The published ones: {PUBLISHED}")
        if not (folder / "proofs_clear.json").exists():
            check_options(warm_start + tuple(args.sft_args))
        for part, command in parts.items():
            if part == "warm_start" and not (folder / "warm_start.json").exists():
                check_options(parts["GRPO"], *as_downloaded)
            run_in_turn(folder, {part: command})
        print("\nSeconds:", ", ".join(f"{part} {seconds_of(folder, part):.0f}" for part in parts))
        print(folder / "report" / "report.md")
        return
    warm_start += ("--stages", f"{args.warm_start_steps}:{STAGE}", *args.sft_args)
    grpo += (*(() if gpu else FEWER_ON_A_CPU), *args.grpo_args)
    if not (folder / "warm_start.json").exists():
        check_options(grpo, *as_downloaded)
    run_in_turn(folder, {"warm_start": warm_start, "GRPO": grpo})
    steps = args.control_steps or steps_in_time_of_grpo(folder, args.warm_start_steps, gpu)
    others = {"control": (*control, "--stages", f"{steps}:{STAGE}")} | {f"score_{key}": score(key) for key in MODELS}
    run_in_turn(folder, others)

    scores = {key: read_json(folder / "scores" / f"{key}.json") for key in MODELS}
    result = {"seed": args.seed, "device": torch.cuda.get_device_name() if gpu else "cpu"}
    result |= {name: scores["after"]["trained"][name] for name in ("n", "samples", "chance")}
    result |= {key: scores[key]["trained"] for key in MODELS}
    result["never_trained_on"] = {name: {key: scores[key][name] for key in MODELS} for name in SETS if SETS[name]}
    seconds = {part: seconds_of(folder, part) for part in ("warm_start", "GRPO", *others)}
    result |= {"seconds": seconds, "wall_seconds": sum(seconds.values())}
    for place in (folder, RUNS):
        figure = learning_curve_plot(result, read_log_history(folder / "grpo"), "SmolLM2-135M-Instruct", "warm_start")
        save(figure, place / "learning-curve.png")
        write_json(place / "result.json", result)
    print_result(result)
    print(f"{RUNS / 'result.json'}\n{RUNS / 'learning-curve.png'}")


def arguments(gpu: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of the puzzles and of training (default 0)")
    recipes = ("smollm2-135m", DETECTIVE)
    parser.add_argument(
        "--recipe",
        choices=recipes,
        default=recipes[0],
        help=f"recipe of GRPO (default {recipes[0]}); RECIPE-sft is its warm start",
    )
    parser.add_argument(
        "--puzzles", type=int, help="puzzles to score on (default 400; of the published mix, all of its file, or 250)"
    )
    parser.add_argument(
        "--samples", type=int, default=16 if gpu else 2, help="samples of each puzzle (default 16 on a GPU, 2 on a CPU)"
    )
    parser.add_argument("--warm-start-steps", type=int, help=f"optimizer steps of the warm start (default {WARM_START_STEPS})")
    parser.add_argument("--control-steps", type=int, help="optimizer steps of the control (default: as long as GRPO takes)")
    parser.add_argument("--grpo-args", type=words, default=[], help='other options for GRPO, such as "--max_steps 60"')
    parser.add_argument(
        "--sft-args",
        type=words,
        default=[],
        help='other options for the warm start, such as "--learning_rate 1e-4" (on a CPU, a step is 2 × 4 proofs)',
    )
    parser.add_argument("--gguf", type=Path, help="GGUF file of the model, instead of the Hub or PyPI")
    mix = parser.add_argument_group("the published mix")
    mix.add_argument(
        "--published", type=Path, metavar="FILE", help=f"the published puzzles to leave out and score on: {PUBLISHED}"
    )
    mix.add_argument("--demonstrations", type=int, metavar="N", help="proofs to imitate (default 300000)")
    mix.add_argument("--players", metavar="N[-M]", help="sizes of the puzzles (default 1-6)")
    args = parser.parse_args()
    if not 0 <= args.seed < 2**32 - SEEDS_APART:
        parser.error(f"--seed {args.seed}: use 0 to {2**32 - SEEDS_APART - 1}.")
    for name, least in (("puzzles", 1), ("samples", 1), ("warm_start_steps", 1), ("control_steps", 1), ("demonstrations", 2)):
        if (value := getattr(args, name)) is not None and value < least:
            parser.error(f"--{name.replace('_', '-')} {value}: use {least} or more.")
    for name, given in (("--grpo-args", args.grpo_args), ("--sft-args", args.sft_args)):
        if own := {option.partition("=")[0] for option in given} & OWN:
            parser.error(f"{name}: {', '.join(sorted(own))} can't be given here: leave it out.")
    of_recipe = {recipes[0]: ("warm_start_steps", "control_steps"), DETECTIVE: ("published", "demonstrations", "players")}
    for recipe, names in of_recipe.items():
        if given := [name for name in names if recipe != args.recipe and getattr(args, name) is not None]:
            parser.error(f"--{given[0].replace('_', '-')} goes with --recipe {recipe}.")
    args.warm_start_steps, args.players = args.warm_start_steps or int(WARM_START_STEPS), args.players or "1-6"
    args.demonstrations = args.demonstrations or 300_000
    try:
        published_size(random.Random(0), players_range(args.players))  # raises if there are no such sizes
        there = puzzles_in(args.published) if args.published else None
    except ValueError as error:
        parser.error(str(error))
    if there:
        if args.puzzles and args.puzzles > there:
            parser.error(f"--puzzles {args.puzzles}: {args.published} has only {there}.")
        args.puzzles = args.puzzles or there
    args.puzzles = args.puzzles or (250 if args.recipe == DETECTIVE else 400)
    return args


def puzzles_in(published: Path) -> int:
    """How many puzzles the file of published puzzles holds.

    Raises:
        ValueError: if there is no such file, or it cannot be read.
    """
    if not published.is_file():
        raise ValueError(
            f"--published {published}: there is no such file. The published puzzles are not part of this repository: save "
            f"{PUBLISHED} there, or leave the option out, to score on held-out puzzles of the same mix."
        )
    count = sum(map(len, read_rows(str(published)).values()))
    if not count:
        raise ValueError(f"--published {published} holds no puzzles.")
    return count


def check_options(command: tuple[str, ...], *others: str) -> None:
    """End the program if a recipe refuses these options, which it would otherwise say only when its turn comes."""
    script = next(word for word in command if word.startswith("recipes/"))
    print(f"\n== options of {script}", flush=True)
    dry_run = (*command[command.index(script) :], *others, "--dry_run", "true")
    if subprocess.run([sys.executable, *dry_run], cwd=ROOT).returncode:
        sys.exit(f"recipes/smollm2/train_smol.py: {script} refuses its options, see above. Nothing was trained.")


def published_parts(args: argparse.Namespace, folder: Path, models: dict[str, Path], warm_start: tuple, grpo: tuple) -> dict:
    """The commands of a run on the published mix, in turn: each may use the whole machine."""
    published = args.published and f"{args.published.resolve()}"
    exclude = ("--exclude", published) if published else ()
    parts, datasets = {}, {wording: f"{folder / wording}" for wording in ("clear", "published")}
    for series, (wording, dataset) in enumerate(datasets.items()):
        which = ("--seed", f"{args.seed + series * SEEDS_APART}", "--players", args.players, "--wording", wording)
        held_out = ("--validation", "64", "--test", f"{args.puzzles}") if series else ("--validation", "1", "--test", "1")
        count = ("--train", f"{(args.demonstrations + series) // 2}", *held_out)
        parts[f"proofs_{wording}"] = ("-m", "puzzles.dataset", "--proofs", "--output", dataset, *which, *count, *exclude)
    parts["warm_start"] = (*warm_start, "--dataset", *datasets.values(), *args.sft_args)
    count = ("--num_train_puzzles", f"{min(4096, args.demonstrations // 2)}")
    parts["GRPO"] = (*grpo, "--dataset", datasets["published"], *count, *args.grpo_args)
    source = ("--dataset", published) if published else ("--dataset", datasets["published"], "--split", "test")
    source += ("--puzzles", f"{args.puzzles}", "--samples", f"{args.samples}", "--output", f"{folder / 'benchmark'}")
    for key in ("before", "warm_start", "after"):
        benchmark = ("recipes/evaluation/benchmark.py", f"{models[key]}", "--recipe", f"recipes/{args.recipe}.yaml")
        parts[f"score_{key}"] = (*benchmark, "--name", key, *source)
    logs = ("--run", f"{folder / 'grpo'}", "--benchmark", f"{folder / 'benchmark'}", "--output", f"{folder / 'report'}")
    return parts | {"report": ("recipes/evaluation/report.py", *logs)}


def run_in_turn(folder: Path, parts: dict[str, tuple[str, ...]]) -> None:
    """Run these parts one after the other, each with the whole machine to itself."""
    for part, command in parts.items():
        run_parts(folder, {part: command}, threads=os.cpu_count())


def steps_in_time_of_grpo(folder: Path, warm_start_steps: int, gpu: bool) -> int:
    """Steps of imitation that take a tenth longer than GRPO did, at the speed of the warm start. On a GPU, which spends half of
    the warm start's minute on starting, up to twice as long.
    """
    steps_per_second = warm_start_steps / seconds_of(folder, "warm_start") * (2 if gpu else 1)
    return math.ceil(1.1 * seconds_of(folder, "GRPO") * steps_per_second)


def print_result(result: dict) -> None:
    """Print the tables of a run."""
    kind = f"{result['n']} fresh puzzles of seed {result['seed']}, {result['samples']} samples of each"
    print(f"\nAnswers right ± 95 %, on {kind}:\n\n{score_table(result, MODELS, result['samples'])}")
    print("\nAnswers right ± 95 %, sampled and greedy, on puzzles of kinds that it was never trained on:\n")
    others, rows = result["never_trained_on"], []
    for key, name in MODELS.items():
        cells = [
            f"{others[kind][key][k]:.3f} ± {others[kind][key][f'{k}_interval']:.3f}"
            for kind in others
            for k in ("sampled", "greedy")
        ]
        rows.append((name, *cells))
    rows.append(("chance", *(cell for kind in others for cell in (f"{others[kind]['before']['chance']:.3f}", ""))))
    titles = [title for kind in others for title in (f"{kind}, n {others[kind]['before']['n']}", "greedy")]
    print(text_table(("", *titles), rows))
    print("\nSeconds:", ", ".join(f"{part} {value:.0f}" for part, value in result["seconds"].items()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command to resume.")
