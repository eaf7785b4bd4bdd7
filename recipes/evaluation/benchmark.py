"""Score any model on the same puzzles with the same grader: accuracy, soundness, tokens, dollars, with n and 95 % intervals.

  python recipes/evaluation/benchmark.py outputs/tiny-cpu/seed-0/grpo/model --recipe recipes/tiny-cpu.yaml   # a folder
  python recipes/evaluation/benchmark.py vllm/Qwen/Qwen2.5-14B-Instruct --server-args "-tp 4" --gpu-dollars 16
  python recipes/evaluation/benchmark.py my-model --base-url http://host:8000/v1   # OpenAI-compatible; SERVER_API_KEY
  python recipes/evaluation/benchmark.py anthropic/claude-sonnet-5-5 --reasoning-effort high   # ANTHROPIC_API_KEY
  python recipes/evaluation/benchmark.py anthropic/claude-3-7-sonnet-latest --reasoning-tokens 16000
  python recipes/evaluation/benchmark.py together/deepseek-ai/DeepSeek-R1 --max-tokens 32768   # TOGETHER_API_KEY
  python recipes/evaluation/benchmark.py guess   # no model: random answers, which show the level of chance

Inspect (inspect.aisi.org.uk) handles requests, retries and logs, and names the APIs; `make benchmark-view` shows its logs. A
checkpoint folder (LoRA adapters too) or `vllm/...` is served with vLLM on this machine while the benchmark runs. Each response
is saved as it arrives: after Ctrl-C or kill -9, the same command requests only what is missing.

Soundness is the share of the stated deductions that the solver proves (rewards/deductions/judge.py). With --extractor-url and
--extractor-model, a model first rewrites the prose as sentences (rewards/deductions/llm_extractor.py). That works for finished
benchmarks too: no response is requested again, and nothing is extracted twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

from inspect_ai import eval_set
from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log
from inspect_ai.model import GenerateConfig

from puzzles.files import read_yaml, write_json
from recipes import ROOT
from recipes.arguments import puzzles_of, words
from recipes.checkpoints import claim_for_run
from recipes.data import dataset_not_made_yet, fresh_puzzles
from recipes.evaluation.measures import count_responses, price_of, summarize, summary_table
from recipes.evaluation.models import api_model, guesser, server_model, template_opens_thinking
from recipes.evaluation.serving import serve, weights_digest
from recipes.evaluation.task import dataset_rows, judge_extracted, task_of, to_samples
from rewards.deductions.llm_extractor import Extractor


def main(args: argparse.Namespace) -> int:
    """Run a benchmark, or what is missing of it, and write result.json. Returns 1 if responses or extractions are missing.

    Raises:
        ValueError: if the arguments, the puzzles or the server do not work.
    """
    name = args.name or result_name(args)
    if name == ".." or name != Path(name).name:
        raise ValueError(f"--name {name}: must be the name of a folder in {args.output}, not a path.")
    folder = args.output / name
    recipe = read_yaml(args.recipe)
    price = price_of(args.model, args.prices)
    rows, source = load_puzzles(args)
    asked = [[row["prompt"], row["solution"]] for row in rows]
    settings = {
        "model": args.model,
        "samples": args.samples,
        # With a reasoning effort, the API decides how much to think, and so where to stop.
        "max_tokens": args.max_tokens or (None if args.reasoning_effort else recipe.get("max_completion_length", 8192)),
        "temperature": recipe.get("temperature", 1.0) if args.temperature is None else args.temperature,
        "reasoning_tokens": args.reasoning_tokens,
        "reasoning_effort": args.reasoning_effort,
        "chat_template_kwargs": recipe.get("chat_template_kwargs"),
        "puzzles": {
            "source": source,
            "n": len(rows),
            "digest": hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12],
        },
    }
    if Path(args.model).is_dir():
        settings["weights"] = weights_digest(Path(args.model))
    is_new = not folder.exists()
    claim_for_run(folder, settings, chosen_by="--name")
    responses = len(rows) * args.samples
    try:
        log = complete_log(folder / "logs", responses) or ask_model(args, settings, folder, rows)
    finally:
        if is_new and not (folder / "logs").exists():  # nothing was asked
            shutil.rmtree(folder)
    samples = log.samples or []
    counts = count_responses(samples)
    counts["failed"] += responses - len(samples)
    answered = [s for s in samples if s.scores and not s.error]
    result = {"name": name, **settings, "date": log.eval.created[:10], "responses": counts}
    result |= {"price": {"gpu_dollars": args.gpu_dollars} if args.gpu_dollars is not None else price}
    result |= summarize(answered, args.samples, price, args.gpu_dollars) | {"extracted": None}
    if args.extractor_url:
        extractor = Extractor(args.extractor_url, args.extractor_model, folder / "extracted")
        result["extracted"] = judge_extracted(answered, extractor, args.max_connections)
    write_json(folder / "result.json", result)
    print(f"\n{name}: {len(rows)} puzzles × {args.samples} of {source}\n\n{summary_table(result)}\n")
    print(", ".join(f"{key.replace('_', ' ')} {count}" for key, count in counts.items()))
    if result["verdicts"]:
        print("deductions:", ", ".join(f"{count} {verdict}" for verdict, count in result["verdicts"].items()))
    print_warnings(result, args, samples)
    print(f"{folder / 'result.json'} (to browse the responses: make benchmark-view; for tables and plots: make report)")
    return 1 if counts["failed"] or (result["extracted"] or {}).get("failed") else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a folder, vllm/ORG/NAME from the Hub, an API's provider/model, a name at --base-url, or guess"
    )
    parser.add_argument("--name", help="the result's name, and its folder in --output (default: from the model)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "benchmark", help="default: outputs/benchmark")
    which = parser.add_argument_group("which puzzles")
    which.add_argument(
        "--recipe", type=Path, default=ROOT / "recipes" / "qwen2.5-14b.yaml",
        help="its puzzles, completion length, temperature and chat_template_kwargs apply (default: recipes/qwen2.5-14b.yaml)",
    )  # fmt: skip
    which.add_argument("--dataset", help="use this folder, file or Hub dataset instead of the recipe's")
    which.add_argument("--split", default="test", help="default: test")
    which.add_argument("--puzzles", type=int, default=64, help="number of puzzles, from the first on (default 64)")
    which.add_argument("--samples", type=int, default=2, help="responses per puzzle (default 2)")
    which.add_argument("--seed", type=int, default=0, help="which puzzles, if the recipe generates them (default 0)")
    how = parser.add_argument_group("how the model is asked")
    how.add_argument("--base-url", help="an OpenAI-compatible server, such as http://host:8000/v1")
    how.add_argument(
        "--max-tokens",
        type=int,
        help="longest completion, not counting --reasoning-tokens (default: the recipe's; with --reasoning-effort, the API's)",
    )
    how.add_argument("--temperature", type=float, help="default: the recipe's, else 1")
    how.add_argument("--reasoning-tokens", type=int, help="thinking budget, for APIs that take one")
    how.add_argument("--reasoning-effort", help="low, medium, high ..., for APIs that take one")
    how.add_argument("--max-connections", type=int, default=10, help="parallel requests (default 10)")
    how.add_argument("--max-retries", type=int, default=10, help="retries per request, with growing pauses (default 10)")
    how.add_argument(
        "--server-args", type=words, default=[], metavar='"--key value"', help="options for the vLLM server started here"
    )
    cost = parser.add_argument_group("what it costs")
    cost.add_argument(
        "--prices",
        type=Path,
        default=ROOT / "recipes" / "evaluation" / "prices.yaml",
        help="dollars per million tokens, by model (default: recipes/evaluation/prices.yaml)",
    )
    cost.add_argument(
        "--gpu-dollars", type=float, help="dollars per hour of your own deployment, divided by the measured throughput"
    )
    extractor = parser.add_argument_group("a model that rewrites prose as sentences, for the solver to judge")
    extractor.add_argument("--extractor-url", help="an OpenAI-compatible endpoint; its key is EXTRACTOR_API_KEY")
    extractor.add_argument("--extractor-model", help="the model's name there")
    args = parser.parse_args()
    if bool(args.extractor_url) != bool(args.extractor_model):
        parser.error("--extractor-url and --extractor-model go together.")
    least = dict.fromkeys(("puzzles", "samples", "max_tokens", "reasoning_tokens", "max_connections"), 1)
    for option, lowest in (least | {"temperature": 0, "max_retries": 0, "gpu_dollars": 0}).items():
        if (value := getattr(args, option)) is not None and not value >= lowest:
            parser.error(f"--{option.replace('_', '-')} {value}: must be at least {lowest}.")
    for file in (args.recipe, args.prices):
        if not file.exists():
            parser.error(f"there is no file {file}.")
    return args


def result_name(args: argparse.Namespace) -> str:
    """The model's name, or its folder without outputs/ or recipes/, and how it reasons: "claude-3-7-sonnet-latest-16k"."""
    path = Path(args.model)
    if path.is_dir():
        path = path.resolve()
        parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else path.parts[-2:]
        name = "-".join(part for part in parts if part not in ("outputs", "recipes"))
    else:
        name = path.name
    name += f"-{args.reasoning_tokens // 1000}k" if args.reasoning_tokens else ""
    return name + (f"-{args.reasoning_effort}" if args.reasoning_effort else "")


def served_here(args: argparse.Namespace) -> bool:
    """Whether the benchmark starts vLLM for the model on this machine."""
    return Path(args.model).is_dir() or args.model.startswith("vllm/")


def load_puzzles(args: argparse.Namespace) -> tuple[list[dict], str]:
    """The rows to ask about, and a description of where they come from: a dataset, or fresh puzzles of the recipe.

    Raises:
        ValueError: if there is no such dataset, or its rows do not suffice.
    """
    recipe = puzzles_of(args.recipe)
    recipe.dataset = args.dataset or recipe.dataset
    if recipe.dataset is None:
        source = f"fresh puzzles of {args.recipe.name}, seed {args.seed}"
        return fresh_puzzles(recipe, args.seed, args.puzzles).to_list(), source
    if dataset_not_made_yet(recipe):
        raise ValueError(f"there is no dataset {recipe.dataset} yet: make it with `make dataset`, or name one with --dataset.")
    return dataset_rows(recipe.dataset, args.split, args.puzzles)


def complete_log(folder: Path, responses: int) -> EvalLog | None:
    """The log that has all responses, if there is one, so that nothing needs to be requested."""
    for info in list_eval_logs(str(folder)) if folder.exists() else []:
        log = read_eval_log(info)
        if log.status == "success" and len(log.samples or []) == responses:
            return log
    return None


def ask_model(args: argparse.Namespace, settings: dict, folder: Path, rows: list[dict]) -> EvalLog:
    """Request all responses that are still missing.

    Raises:
        ValueError: if a puzzle cannot be read, or the model cannot be reached.
    """
    max_tokens, source, name = settings["max_tokens"], settings["puzzles"]["source"], folder.name
    samples = to_samples(rows)
    config = GenerateConfig(
        max_tokens=max_tokens and max_tokens + (args.reasoning_tokens or 0),
        temperature=settings["temperature"],
        reasoning_tokens=args.reasoning_tokens,
        reasoning_effort=args.reasoning_effort,
        max_connections=args.max_connections,
        max_retries=args.max_retries,
        cache_prompt=False,  # some APIs charge for cache writes, which do not pay off for prompts sent once or twice
    )
    template_kwargs = settings["chat_template_kwargs"]
    here = served_here(args)
    vllm = serve(args.model.removeprefix("vllm/"), name, folder.with_name(f"{name}.log"), args.server_args)
    with vllm if here else nullcontext(args.base_url) as url:
        thinking_opened = False
        if url:
            config.extra_body = {"chat_template_kwargs": template_kwargs} if template_kwargs else None
            served_name = name if here else args.model
            model = server_model(served_name, url, config, max_tokens)
            # A server with a reasoning parser returns the reasoning apart from the answer.
            if not any(option.startswith("--reasoning-parser") for option in args.server_args):
                thinking_opened = template_opens_thinking(url, served_name, template_kwargs)
        else:
            model = guesser() if args.model == "guess" else api_model(args.model, config)
        price = None if args.gpu_dollars is not None else price_of(args.model, args.prices)
        task = task_of(samples, source, args.samples, thinking_opened, price)
        _, logs = eval_set(
            task, model=model, log_dir=str(folder / "logs"), log_buffer=1, max_samples=args.max_connections,
            fail_on_error=True, continue_on_fail=True, retry_attempts=0, retry_immediate=False, ctl_server=False,
            display="rich" if sys.stderr.isatty() else "plain",
        )  # fmt: skip
    return read_eval_log(logs[0].location)


def print_warnings(result: dict, args: argparse.Namespace, samples: list[EvalSample]) -> None:
    """Print whatever makes the figures mean something other than they seem to."""
    counts = result["responses"]
    if counts["truncated"]:
        where = f"at {result['max_tokens']} tokens" if result["max_tokens"] else "at the API's limit"
        print(
            f"WARNING: {counts['truncated']} of {counts['answered']} responses were truncated {where}, and graded as they are. "
            "To give them more room, raise --max-tokens (under another --name)."
        )
    if counts["refused"]:
        print(f"WARNING: {counts['refused']} responses are refusals by the API's filter, and graded as they are.")
    if counts["empty"]:
        print(
            f"WARNING: {counts['empty']} of {counts['answered']} responses ended by themselves without an answer after their "
            "reasoning, or without any text: every question counts as answered wrong."
        )
    if (kwargs := result["chat_template_kwargs"]) and not (served_here(args) or args.base_url or args.model == "guess"):
        print(
            f"WARNING: chat_template_kwargs {kwargs} of {args.recipe} cannot reach {args.model}: an API uses its own template."
        )
    if counts["failed"]:
        first = next((s.error.message.splitlines()[-1] for s in samples if s.error), "the run was interrupted")
        print(f"WARNING: {counts['failed']} responses are missing, and not part of the means. The first error: {first[:500]}")
        print("         The same command requests them again, and nothing else.")
    if (extracted := result["extracted"]) and extracted["failed"]:
        print(
            f"WARNING: the extractor failed on {extracted['failed']} of {counts['answered']} responses, which its figures "
            f"leave out. The same command retries them. The first error: {extracted['first_error'][:500]}"
        )
    if result["dollars"] is None and counts["answered"] and args.model != "guess":
        reason = "the server gave no token counts" if result["completion_tokens"] is None else f"{args.prices} does not list it"
        print(f"WARNING: no cost: {reason}. For your own deployment, give its dollars per hour with --gpu-dollars.")


if __name__ == "__main__":
    try:
        sys.exit(main(arguments()))
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command requests only what is missing.")
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/evaluation/benchmark.py: {error}")
