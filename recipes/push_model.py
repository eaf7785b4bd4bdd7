"""Publish the model of a finished training run on the Hugging Face Hub, with a card of what was trained and what it gained.

  python recipes/push_model.py outputs/qwen2.5-14b --dry-run                  show what would be uploaded; needs no token
  python recipes/push_model.py outputs/qwen2.5-14b name/temporal-clue-14b --private

It takes the weights or the LoRA adapter in the run's folder `model`, and the scores that its checkpoints logged. With --merge,
an adapter is merged into its base, so that anything can load the result, without PEFT. With --benchmark, results of `make
benchmark` are listed too: name the base's first, and the trained model's last.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from huggingface_hub import EvalResult, HfApi, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from peft import PeftConfig, PeftModel
from trl import ModelConfig

from puzzles.dataset.hub import check_id, print_files, publish
from puzzles.files import read_json
from puzzles.tables import markdown_table
from recipes.checkpoints import read_log_history
from recipes.evaluation.logs import Run, read_result
from recipes.evaluation.plots import accuracy_plot
from recipes.evaluation.power_law import fit_power_law
from recipes.evaluation.report import describe_scores, first_and_last
from recipes.hub import NOT_UPLOADED
from recipes.pretrained import hub_is_unreachable, load_config, model_class

REPO = "name/temporal-clue-model"  # stands in the card for the id on the Hub until the model is published
SETTINGS = (  # of a run, those that the card lists
    *("dataset", "suspects", "weapons", "rooms", "times", "motives", "players", "directness", "wording", "difficulty"),
    *("num_train_puzzles", "num_eval_puzzles", "curriculum", "learning_rate", "muon_learning_rate", "lr_scheduler_type"),
    *("num_train_epochs", "generation_batch_size", "num_generations", "num_iterations", "max_completion_length", "temperature"),
    *("steps_per_iteration", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm", "dtype", "bf16"),
    *("beta", "epsilon", "loss_type", "scale_rewards", "solved_weight", "format_weight", "overlong_buffer"),
    *("deduction_weight", "best_of_k", "seed"),
)
LORA_SETTINGS = ("use_peft", "lora_r", "lora_alpha", "lora_target_modules")


def card(folder: Path, repo: str, licence: str, results: list[dict], adapter: bool) -> str:
    """The model card of a run: README.md on the Hub.

    Args:
        results: benchmarks to list, the trained model's last.
        adapter: whether a LoRA adapter is published, and not weights.
    """
    run, arguments = Run(folder), read_json(folder / "run.json")
    before, after = first_and_last(run.accuracy)
    base = arguments["model_name_or_path"]
    on_hub = base.count("/") == 1 and not Path(base).exists()
    dataset = arguments.get("dataset") or "generated puzzles"
    score = results[-1]["accuracy"]["mean"] if results else after
    data = ModelCardData(
        language="en", license=licence, library_name="peft" if adapter else "transformers", pipeline_tag="text-generation",
        tags=["temporal-clue", "deduction", "puzzles", "reasoning", "grpo", "trl"], base_model=base if on_hub else None,
        model_name=repo.split("/")[-1],
        eval_results=[
            EvalResult(
                task_type="text-generation", task_name="deduction puzzles", dataset_type="temporal-clue",
                dataset_name="Temporal Clue, held-out puzzles", metric_type="accuracy",
                metric_name="fraction of questions answered correctly", metric_value=round(score, 4),
            )
        ],
    )  # fmt: skip
    settings = SETTINGS + LORA_SETTINGS if arguments.get("use_peft") else SETTINGS
    trained = {name: arguments[name] for name in settings if arguments.get(name) is not None}
    trained["max_steps"] = read_log_history(folder)[-1]["step"]
    rows = [["all", f"{before:.3f}", f"{after:.3f}"]]
    rows += [[band, interval_cell(run.before.get(band)), interval_cell(run.after[band])] for band in run.after]
    scores = "\n".join(f"- {line}" for line in describe_scores(run))
    return f"""---
{data.to_yaml()}
---

# {repo.split("/")[-1]}

{"A LoRA adapter" if adapter else "A model"} trained with GRPO on Temporal Clue, deduction puzzles about a murder in Tudor
Mansion, from `{base}`.

```python
from transformers import pipeline

detective = pipeline("text-generation", "{repo}")
```

Prompts are chats of one user message, as in the columns `prompt` of a Temporal Clue dataset.

## Before and after

Fraction of questions answered correctly on {run.puzzles} held-out puzzles, in the run's own evaluations before the first and
after the last step (in brackets: 95 % interval):

{markdown_table(("puzzles", "before", "after"), rows)}

{scores}
{benchmarks(results)}
![accuracy over iterations](accuracy.png)

## How it was trained

On {dataset}, with `recipes/grpo.py` of the repository that made it. Its main settings (`run.json` has all of them):

```yaml
{yaml.safe_dump({"model_name_or_path": base} | trained, sort_keys=False).strip()}
```

## Limits

It was trained on one kind of puzzle, in one wording. Nothing is known about its other abilities, which may have suffered.
"""


def interval_cell(value: tuple[float, float | None, float | None] | None) -> str:
    """An accuracy with its 95 % interval where that was logged."""
    if value is None:
        return "—"
    mean, low, high = value
    return f"{mean:.3f}" if low is None else f"{mean:.3f} ({low:.3f} to {high:.3f})"


def benchmarks(results: list[dict]) -> str:
    """A table of benchmark results, or nothing if there are none."""
    if not results:
        return ""
    cells = ([r["name"], interval_cell(tuple(r["accuracy"][k] for k in ("mean", "low", "high")))] for r in results)
    return "\n" + markdown_table((f"`make benchmark`, {results[-1]['puzzles']['source']}", "answers right"), cells) + "\n"


def merge(adapter: Path, into: Path) -> None:
    """Write a LoRA adapter's base with the adapter merged into it, in the base's dtype, and the adapter's tokenizer.

    The base is of the class that was trained: for a model with a vision tower, PEFT's own choice has other names of modules.

    Raises:
        ValueError: if the adapter does not fit its base.
    """
    peft_config = PeftConfig.from_pretrained(adapter)
    name, revision = peft_config.base_model_name_or_path, peft_config.revision or "main"
    config = load_config(ModelConfig(name, model_revision=revision), hub_is_unreachable())
    base = model_class(config).from_pretrained(name, revision=revision, dtype="auto")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys")
        try:
            merged = PeftModel.from_pretrained(base, adapter).merge_and_unload()
        except UserWarning as warning:
            raise ValueError(f"{adapter} does not fit {name}: {warning!s:.300}") from None
    merged.save_pretrained(into)
    for file in adapter.iterdir():
        if file.is_file() and not file.name.startswith("adapter_"):
            shutil.copy(file, into)


def content(folder: Path, repo: str, licence: str, results: list[dict], merge_into: Path | None) -> dict[str, bytes | Path]:
    """What is published of a run, path on the Hub → bytes or file.

    Args:
        merge_into: an empty folder in which to merge the run's adapter into its base; None to publish what the run saved.

    Raises:
        ValueError: if the run is not finished, or has no adapter to merge.
    """
    model, adapter = folder / "model", (folder / "model" / "adapter_config.json").exists()
    if not adapter and not (model / "config.json").exists():
        raise ValueError(f"{folder} holds no finished run: {model} has no model. Is it the run's folder?")
    if merge_into:
        if not adapter:
            raise ValueError(f"{model} holds whole weights, and no adapter: leave out --merge.")
        merge(model, merge_into)
        model, adapter = merge_into, False
    files = {file.name: file for file in sorted(model.iterdir()) if file.name not in NOT_UPLOADED}
    run, curve = Run(folder), io.BytesIO()
    accuracy_plot([run], [fit_power_law(run.accuracy)]).savefig(curve, format="png", metadata={"Software": None})
    recorded = {k: v for k, v in read_json(folder / "run.json").items() if not (isinstance(v, str) and v.startswith("/"))}
    made = {"run.json": json.dumps(recorded, indent=2).encode(), "accuracy.png": curve.getvalue()}
    return {**files, **made, "README.md": card(folder, repo, licence, results, adapter).encode()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished training run")
    parser.add_argument("repo", nargs="?", help="id on the Hub: name/model")
    parser.add_argument("--licence", default="apache-2.0", help="the base model's licence (default apache-2.0)")
    parser.add_argument("--benchmark", type=Path, action="append", default=[], help="folder of a benchmark's result.json")
    parser.add_argument("--merge", action="store_true", help="merge a LoRA adapter into its base")
    parser.add_argument("--private", action="store_true", help="only you can see it")
    parser.add_argument("--replace", action="store_true", help="replace what the repository holds")
    parser.add_argument("--dry-run", action="store_true", help="show what would be uploaded, and upload nothing")
    args = parser.parse_args()
    try:
        if args.repo is None and not args.dry_run:
            raise ValueError(f"where to? Name the repository: {REPO}, or `make push-model RUN=… REPO={REPO}`.")
        repo = args.repo or REPO
        check_id(repo, "model")
        results = [read_result(folder / "result.json") for folder in args.benchmark]
        if empty := [result["name"] for result in results if not result["accuracy"]["n"]]:
            raise ValueError(f"--benchmark {empty[0]}: none of its requests was answered, so it has no score: leave it out.")
        with TemporaryDirectory() as scratch:
            files = content(args.run, repo, args.licence, results, Path(scratch) if args.merge else None)
            if args.dry_run:
                print_files(files, f"Would upload to {HfApi().endpoint}/{repo} ({'private' if args.private else 'public'})")
                print(f"\nThe card:\n\n{files['README.md'].decode()}")
            else:
                message = "Temporal Clue: a trained model"
                print(f"Published: {publish(files, repo, 'model', args.private, args.replace, message)}")
    except (OSError, ValueError, HFValidationError, HfHubHTTPError) as error:
        sys.exit(f"recipes/push_model.py: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command uploads what is missing.")


if __name__ == "__main__":
    main()
