"""Score any model on the same puzzles with the same grader: accuracy, soundness, tokens, dollars, with n and 95 % intervals.

  python recipes/evaluation/benchmark.py outputs/tiny-cpu/seed-0/grpo/model --recipe recipes/tiny-cpu.yaml   # a folder
  python recipes/evaluation/benchmark.py vllm/Qwen/Qwen2.5-14B-Instruct --server-args "-tp 4" --gpu-dollars 16
  python recipes/evaluation/benchmark.py my-model --base-url http://host:8000/v1   # OpenAI-compatible; SERVER_API_KEY
  python recipes/evaluation/benchmark.py anthropic/claude-sonnet-5-5 --reasoning-effort high   # ANTHROPIC_API_KEY
  python recipes/evaluation/benchmark.py anthropic/claude-3-7-sonnet-latest --reasoning-tokens 16000
  python recipes/evaluation/benchmark.py together/deepseek-ai/DeepSeek-R1 --max-tokens 32768   # TOGETHER_API_KEY
  python recipes/evaluation/benchmark.py guess   # no model: answers drawn at random, the level of chance

Requests, retries, logs and their viewer (`make benchmark-view`) are Inspect's (inspect.aisi.org.uk), and so are the names of
APIs. A checkpoint folder, of LoRA too, and `vllm/…` are served with vLLM on this machine while it takes. Whatever was answered
is on disk at once: after Ctrl-C or kill -9, the same command asks only for what is missing.

Soundness is the share of the deductions stated that the solver proves (rewards/deductions/judge.py). With --extractor-url and
--extractor-model a model puts the prose into sentences first (rewards/deductions/llm_extractor.py), for any finished run
too: no response is asked for again, and the extractor only asked what it was not asked before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shlex
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import httpx
import yaml
from inspect_ai import Epochs, Task, eval_set
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import Score, mean, scorer
from inspect_ai.solver import solver
from rich.text import Text
from tqdm import tqdm

from puzzles.clues import Motivated, Murder, answer_options
from puzzles.cpsat import find_night
from puzzles.dataset import puzzle_of, read_rows
from puzzles.difficulty import band, depths
from puzzles.files import lock_folder, write_json
from puzzles.messages import text_of
from puzzles.prompts import read_prompt
from puzzles.scenario import Setting
from recipes.arguments import puzzles_of
from recipes.checkpoints import check_same_run
from recipes.data import fresh, to_be_made
from recipes.evaluation.measures import counts, price_of, stated, summary, table
from recipes.evaluation.serving import at_server, served, weights_digest
from rewards.accuracy import Prompt, answers_of, grade, published_accuracy
from rewards.deductions.judge import judge_of
from rewards.deductions.llm_extractor import Extractor, NotExtracted, canonical
from rewards.thinking import opens_thinking, without_thinking

ROOT = Path(__file__).resolve().parents[2]
ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


# ---------------------------------------------------------------- what is asked


def rows_to_ask(args: argparse.Namespace) -> tuple[list[dict], str]:
    """The puzzles, and what they are called.

    Raises:
        ValueError: if there are not so many, or one lacks its prompt or its solution.
    """
    named = puzzles_of(args.recipe)
    named.dataset = args.dataset or named.dataset
    if named.dataset is None:
        name = f"fresh puzzles of {args.recipe.name}, seed {args.seed}"
        return fresh(named, args.seed, args.puzzles).to_list(), name
    if to_be_made(named):
        raise ValueError(f"there is no dataset {named.dataset} yet: make it with `make dataset`, or name one with --dataset.")
    splits = read_rows(named.dataset)
    split = args.split if args.split in splits else next(iter(splits))
    if len(splits) > 1 and split != args.split:
        raise ValueError(f"{named.dataset} has no split {args.split!r}, only {', '.join(splits)}: choose one with --split.")
    rows = list(splits[split])
    if args.puzzles > len(rows):
        raise ValueError(f"--puzzles {args.puzzles}: {named.dataset}, {split}, has only {len(rows)}.")
    for i, row in enumerate(rows[: args.puzzles]):
        if missing := {"prompt", "solution"} - set(row):
            raise ValueError(f"{named.dataset}, {split}, row {i} has no {' and no '.join(sorted(missing))}.")
    return rows[: args.puzzles], f"{named.dataset}, {split}"


def sample_of(index: int, row: dict) -> Sample:
    """A puzzle as Inspect's Sample, with the band of its difficulty and the kind of each question.

    Raises:
        ValueError: if its prompt cannot be read, or its solution is empty.
    """
    try:
        puzzle, statements = puzzle_of(row | {"prompt": text_of(row["prompt"], role="user")})
        messages = messages_of(row["prompt"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"puzzle {index}: {error}.") from error
    difficulty = row.get("difficulty") or band(depths(puzzle, find_night(puzzle.setting, statements)))
    kinds = [
        q.aspect if isinstance(q, Murder) else "motives" if isinstance(q, Motivated) else "places" for q in puzzle.questions
    ]
    metadata = {"difficulty": difficulty, "kinds": kinds}
    return Sample(id=index, input=messages, target=answers_of(row["solution"]), metadata=metadata)


def messages_of(prompt: Prompt) -> list[ChatMessage]:
    """All messages of a prompt, as training sends them; a text is one message of the user's.

    Raises:
        ValueError: if one is of a role that is none.
    """
    messages = []
    for message in [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt:
        if message["role"] not in ROLES:
            raise ValueError(f"a message of its prompt has the role {message['role']!r}, none of {', '.join(ROLES)}")
        messages.append(ROLES[message["role"]](content=text_of(message) or ""))
    return messages


@solver
def ask():
    """One completion of the prompt as it is. What never became an answer is an error, which is asked again, and no zero."""

    async def solve(state, generate):
        state = await generate(state)
        if state.output.stop_reason == "model_length" and not state.output.usage:
            raise ValueError(f"the prompt does not fit into the model's context: {state.output.completion}")
        return state

    return solve


def said(output: ModelOutput) -> str:
    """All that a response says: its reasoning, where the API gives any (or a summary of it), and what comes after.

    The heading between them ends what the reasoning may have left supposed.
    """
    parts = [(part.summary or "") if part.redacted else part.reasoning for part in thoughts_of(output)]
    return "\n\n# Answer\n\n".join([*filter(None, parts), output.completion])


def thoughts_of(output: ModelOutput) -> list[ContentReasoning]:
    """What a response gives as its reasoning, apart from what it says."""
    content = output.message.content
    return [part for part in content if isinstance(part, ContentReasoning)] if isinstance(content, list) else []


@scorer(metrics={"*": [mean()]})
def grader(begun: bool = False):
    """Both graders, on what the model says after its reasoning, and the verdicts on its deductions, reasoning included.

    Args:
        begun: whether the server's chat template begins a thought, so that a response that never ends it says nothing.
    """

    async def score(state, target):
        answers = list(target)
        whole = state.output.completion
        text = without_thinking(whole, opened=begun and not thoughts_of(state.output))
        right = grade(text, answers, state.input_text)
        value = {
            "accuracy": sum(map(bool, right)) / len(right),
            "published_accuracy": published_accuracy([whole], [answers])[0],
            "solved": float(all(right)),
        }
        judge = judge_of(state.input_text)  # None where the clues contradict each other
        tally = judge.judge(said(state.output)).tally if judge else None
        metadata = {"right": [*map(bool, right)], "unread": right.count(None), "silent": not text.strip(), "deductions": tally}
        return Score(value=value, answer=text[-1000:], metadata=metadata)

    return score


# ---------------------------------------------------------------- who is asked


def of_api(name: str, config: GenerateConfig) -> Model:
    """A model of an API.

    Raises:
        ValueError: if there is no such API, or its key, or a package that it needs, is missing.
    """
    try:
        return get_model(name, config=config, memoize=False)
    except PrerequisiteError as error:  # with markup and empty lines
        raise ValueError(" ".join(Text.from_markup(str(error)).plain.split())) from error
    except ValueError as error:
        raise ValueError(
            f"{error} A model is a folder (there is none of this name), vllm/ORG/NAME, an API's provider/model, a name at "
            "--base-url, or guess."
        ) from error


def guess() -> Model:
    """Who fills in the answer sheet at random, with things of the right kind. Tokens are words."""
    asked: Counter[str] = Counter()

    def reply(messages, *_) -> ModelOutput:
        text = next(message.text for message in reversed(messages) if message.role == "user")
        asked[text] += 1
        puzzle, rng = read_prompt(text), random.Random(f"{asked[text]} {text}")
        drawn = [rng.choice(answer_options(question, puzzle.setting)) for question in puzzle.questions]
        sheet = "\n".join(f"{chr(65 + i)}. {answer}" for i, answer in enumerate(drawn))
        output = ModelOutput.from_content("guess", sheet)
        output.usage = ModelUsage(input_tokens=len(text.split()), output_tokens=len(sheet.split()))
        return output

    return get_model("mockllm/guess", custom_outputs=reply, memoize=False)


def template_begins_thought(url: str, name: str, kwargs: dict | None) -> bool:
    """Whether the chat template of a vLLM server begins the model's thought; False for another server, which cannot tell."""
    headers = {"Authorization": f"Bearer {os.environ.get('SERVER_API_KEY', 'none')}"}
    with httpx.Client(base_url=url.removesuffix("/v1"), headers=headers, timeout=60) as server:
        models = server.get("/v1/models").json()["data"]
        if not any(model["id"] == name and model.get("owned_by") == "vllm" for model in models):
            return False
        chat = {"model": name, "messages": [{"role": "user", "content": "Who?"}], "chat_template_kwargs": kwargs}
        try:
            tokens = server.post("/tokenize", json=chat).raise_for_status().json()["tokens"]
            prompt = server.post("/detokenize", json={"model": name, "tokens": tokens}).raise_for_status().json()["prompt"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:  # behind a gateway, say
            print(
                f"WARNING: {url} does not tell its chat template ({error}). If that begins a thought, a draft in a thought that"
            )
            print("         a response never ends counts as its answer.")
            return False
    return opens_thinking(prompt)


# ---------------------------------------------------------------- the run


def short_name(args: argparse.Namespace) -> str:
    """A name for the row: the model's, or the folder's without outputs/ or recipes/, and how it reasons."""
    path = Path(args.model)
    if path.is_dir():
        path = path.resolve()
        parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else path.parts[-2:]
        name = "-".join(part for part in parts if part not in ("outputs", "recipes"))
    else:
        name = path.name
    name += f"-{args.reasoning_tokens // 1000}k" if args.reasoning_tokens else ""
    return name + (f"-{args.reasoning_effort}" if args.reasoning_effort else "")


def started_here(args: argparse.Namespace) -> bool:
    """Whether the model is served with vLLM on this machine, while the benchmark takes."""
    return Path(args.model).is_dir() or args.model.startswith("vllm/")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, vllm/… of the Hub, an API's provider/model, a name at --base-url, or guess")
    parser.add_argument("--name", help="the row's name, and its folder in --output (default: from the model)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "benchmark", help="default: outputs/benchmark")
    which = parser.add_argument_group("which puzzles")
    which.add_argument(
        "--recipe", type=Path, default=ROOT / "recipes" / "qwen2.5-14b.yaml",
        help="puzzles, longest completion and temperature are those of this recipe (default: recipes/qwen2.5-14b.yaml)",
    )  # fmt: skip
    which.add_argument("--dataset", help="puzzles of this folder, file or Hub id instead")
    which.add_argument("--split", default="test", help="default: test")
    which.add_argument("--puzzles", type=int, default=64, help="how many, from the first (default 64)")
    which.add_argument("--samples", type=int, default=2, help="responses a puzzle (default 2)")
    which.add_argument("--seed", type=int, default=0, help="which puzzles, if the recipe generates them (default 0)")
    how = parser.add_argument_group("how they are asked")
    how.add_argument("--base-url", help="an OpenAI-compatible server, such as http://host:8000/v1")
    how.add_argument(
        "--max-tokens",
        type=int,
        help="longest completion, a --reasoning-tokens budget aside (default: the recipe's; with an effort, the API's)",
    )
    how.add_argument("--temperature", type=float, help="default: the recipe's, else 1")
    how.add_argument("--reasoning-tokens", type=int, help="budget for thinking, where the API has one")
    how.add_argument("--reasoning-effort", help="low, medium, high …, where the API has that")
    how.add_argument("--max-connections", type=int, default=10, help="requests under way at once (default 10)")
    how.add_argument("--max-retries", type=int, default=10, help="repetitions of a request, ever later (default 10)")
    how.add_argument("--server-args", default="", metavar='"--key value"', help="for the vLLM that is started here")
    cost = parser.add_argument_group("what it costs")
    cost.add_argument(
        "--prices",
        type=Path,
        default=ROOT / "recipes" / "evaluation" / "prices.yaml",
        help="default: recipes/evaluation/prices.yaml",
    )
    cost.add_argument("--gpu-dollars", type=float, help="of one's own deployment, an hour: cost by measured throughput")
    deductions = parser.add_argument_group("a model that puts prose into sentences, for the solver to judge")
    deductions.add_argument("--extractor-url", help="an OpenAI-compatible endpoint; its key: EXTRACTOR_API_KEY")
    deductions.add_argument("--extractor-model", help="the name of the model there")
    args = parser.parse_args()
    if bool(args.extractor_url) != bool(args.extractor_model):
        parser.error("--extractor-url and --extractor-model go together.")
    for option in ("puzzles", "samples", "max_tokens", "reasoning_tokens", "max_connections"):
        if (value := getattr(args, option)) is not None and value < 1:
            parser.error(f"--{option.replace('_', '-')} {value}: at least 1.")
    for file in (args.recipe, args.prices):
        if not file.exists():
            parser.error(f"there is no file {file}.")
    return args


def whole_log(folder: Path, responses: int) -> EvalLog | None:
    """The log in which no response is missing, if there is one: nobody has to be asked again."""
    for info in list_eval_logs(str(folder)) if folder.exists() else []:
        log = read_eval_log(info)
        if log.status == "success" and len(log.samples or []) == responses:
            return log
    return None


def run(args: argparse.Namespace, settings: dict, folder: Path, rows: list[dict]) -> EvalLog:
    """Ask for all responses, or for what is missing of them.

    Raises:
        ValueError: if a puzzle cannot be read, or the server does not do what it should.
    """
    longest, source, name = settings["max_tokens"], settings["puzzles"]["source"], folder.name
    samples = [sample_of(i, row) for i, row in enumerate(tqdm(rows, desc="reading the puzzles", leave=False))]
    config = GenerateConfig(
        max_tokens=longest and longest + (args.reasoning_tokens or 0),
        temperature=settings["temperature"],
        reasoning_tokens=args.reasoning_tokens,
        reasoning_effort=args.reasoning_effort,
        max_connections=args.max_connections,
        max_retries=args.max_retries,
        cache_prompt=False,  # where one pays for writing a cache, prompts that are asked once or twice are not worth it
    )
    template = settings["chat_template_kwargs"]
    here = started_here(args)
    own = served(args.model.removeprefix("vllm/"), name, folder.with_name(f"{name}.log"), shlex.split(args.server_args))
    with own if here else nullcontext(args.base_url) as url:
        begun = False
        if url:
            config.extra_body = {"chat_template_kwargs": template} if template else None
            model = at_server(name if here else args.model, url, config, longest)
            # A server that parses the reasoning out gives it apart from what is said.
            begun = "--reasoning-parser" not in args.server_args and template_begins_thought(
                url, name if here else args.model, template
            )
        else:
            model = guess() if args.model == "guess" else of_api(args.model, config)
        task = Task(
            dataset=MemoryDataset(samples, name=source), solver=ask(), scorer=grader(begun), epochs=Epochs(args.samples, []),
            name="temporal_clue",
        )  # fmt: skip
        _, logs = eval_set(
            task, model=model, log_dir=str(folder / "logs"), log_buffer=1, max_samples=args.max_connections,
            fail_on_error=True, continue_on_fail=True, retry_attempts=0, retry_immediate=False, ctl_server=False,
            display="rich" if sys.stderr.isatty() else "plain",
        )  # fmt: skip
    return read_eval_log(logs[0].location)


def extracted(samples: list[EvalSample], extractor: Extractor, at_once: int) -> dict:
    """The measures of deductions once more, of the sentences that a model makes of each response; its errors are left out."""
    samples = [s for s in samples if s.scores["grader"].metadata.get("deductions")]
    judges = [judge_of(next(m.text for m in reversed(s.input) if m.role == "user")) for s in samples]
    pairs = [(said(s.output), judge.puzzle.setting) for s, judge in zip(samples, judges, strict=True)]

    def attempt(pair: tuple[str, Setting]) -> str | NotExtracted:
        try:
            return extractor(*pair)
        except NotExtracted as error:
            return error

    different = list(dict.fromkeys(pairs))
    with ThreadPoolExecutor(at_once) as pool:
        found = tqdm(pool.map(attempt, different), total=len(different), desc="extracting", leave=False)
        answers = dict(zip(different, found, strict=True))
    tallies, errors = [], []
    for sample, judge, pair in zip(samples, judges, pairs, strict=True):
        if isinstance(answers[pair], NotExtracted):
            errors.append(str(answers[pair]))
        else:
            sentences, dropped = canonical(answers[pair], judge.puzzle.setting)
            tally = judge.judge(sentences).tally
            tallies.append((sample.id, tally | {"unread": tally["unread"] + dropped}))
    counted = {"responses": len(tallies), "failed": len(errors), "first_error": next(iter(errors), None)}
    return {"model": extractor.model} | counted | stated(tallies)


def main(args: argparse.Namespace) -> int:
    """Run a benchmark, or what is missing of it, and write its result.json; 1 if a response or an extraction is still missing.

    Raises:
        ValueError: for whatever is wrong with the arguments, the puzzles or the server.
    """
    recipe = yaml.safe_load(args.recipe.read_text())
    price = price_of(args.model, args.prices)
    rows, source = rows_to_ask(args)
    name = args.name or short_name(args)
    folder = args.output / name
    asked = [[row["prompt"], row["solution"]] for row in rows]
    settings = {
        "model": args.model,
        "samples": args.samples,
        # How much an effort thinks is up to the API, and so is the limit.
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
    check_same_run(folder, settings)
    lock_folder(folder)
    try:
        log = whole_log(folder / "logs", len(rows) * args.samples) or run(args, settings, folder, rows)
    finally:
        if not (folder / "logs").exists():  # nobody was asked anything
            shutil.rmtree(folder)
    everything = log.samples or []
    found = counts(everything)
    found["failed"] += len(rows) * args.samples - len(everything)
    answered = [s for s in everything if s.scores and not s.error]
    result = {"name": name, **settings, "date": log.eval.created[:10], "responses": found}
    result |= {"price": {"gpu_dollars": args.gpu_dollars} if args.gpu_dollars is not None else price}
    result |= summary(answered, price, args.gpu_dollars) | {"extracted": None}
    if args.extractor_url:
        extractor = Extractor(args.extractor_url, args.extractor_model, folder / "extracted")
        result["extracted"] = extracted(answered, extractor, args.max_connections)
    write_json(folder / "result.json", result)
    print(f"\n{name}: {len(rows)} puzzles × {args.samples} of {source}\n\n{table(result)}\n")
    print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in found.items()))
    if result["verdicts"]:
        print("deductions:", ", ".join(f"{value} {key}" for key, value in result["verdicts"].items()))
    warn(result, args, everything)
    print(f"{folder / 'result.json'}; the responses: make benchmark-view; the table and pictures: make report")
    return 1 if found["failed"] or (result["extracted"] or {}).get("failed") else 0


def warn(result: dict, args: argparse.Namespace, samples: list[EvalSample]) -> None:
    """Say what makes the figures something else than they seem."""
    found = result["responses"]
    if found["cut_off"]:
        where = f"at {result['max_tokens']} tokens" if result["max_tokens"] else "at the API's limit"
        print(
            f"WARNING: {found['cut_off']} of {found['answered']} responses were cut off {where}, and graded as they were: "
            "--max-tokens, with another --name, gives them more room."
        )
    if found["refused"]:
        print(f"WARNING: {found['refused']} responses are refusals of the API's filter, graded as they were.")
    if found["empty"]:
        print(
            f"WARNING: {found['empty']} of {found['answered']} responses ended by themselves and say nothing after what they "
            "think, or nothing at all: each question of theirs counts as answered wrongly."
        )
    if (kwargs := result["chat_template_kwargs"]) and not (started_here(args) or args.base_url or args.model == "guess"):
        print(
            f"WARNING: chat_template_kwargs {kwargs} of {args.recipe} cannot reach {args.model}: an API has its own template."
        )
    if found["failed"]:
        first = next((s.error.message.splitlines()[-1] for s in samples if s.error), "the run was interrupted")
        print(f"WARNING: {found['failed']} responses are missing, and no part of the means. The first: {first[:500]}")
        print("         The same command asks for them again, and for nothing else.")
    if (by_model := result["extracted"]) and by_model["failed"]:
        print(
            f"WARNING: the extractor failed on {by_model['failed']} of {found['answered']} responses, which are no part of its "
            f"figures; the same command tries them again. The first: {by_model['first_error'][:500]}"
        )
    if result["dollars"] is None and found["answered"] and args.model != "guess":
        why = "the server gave no token counts" if result["completion_tokens"] is None else f"it is not in {args.prices}"
        print(f"WARNING: no cost, since {why}. For your own deployment: --gpu-dollars, what it costs an hour.")


if __name__ == "__main__":
    try:
        sys.exit(main(arguments()))
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command asks only for what is missing.")
    except (ValueError, OSError) as error:
        sys.exit(f"recipes/evaluation/benchmark.py: {error}")
