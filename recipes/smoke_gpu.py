"""Minutes on one GPU that show whether training will work on it, before anyone pays for eight.

  python recipes/smoke_gpu.py                                        a random model of Qwen2.5-0.5B's shape, no download
  python recipes/smoke_gpu.py --model Qwen/Qwen2.5-1.5B-Instruct     a model of the Hub, or a folder
  python recipes/smoke_gpu.py --device cpu                           the same code without a GPU, with a tiny model

Each check is OK, NOT OK or not run. They are printed, and written to outputs/smoke-gpu.json with what was measured; the exit
code is 1 if one is NOT OK.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
import trl
from datasets import Dataset
from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Qwen2Config, TrainerCallback
from trl import GRPOConfig

from puzzles.files import write_json
from recipes import attention, packing
from recipes.checkpoints import read_log_history
from recipes.machine import GiB
from recipes.packing import PackedGRPOTrainer
from recipes.planner.memory import activations

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "recipes" / "tiny" / "tiny-warm-start"
SHAPE = ("hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "num_hidden_layers", "vocab_size")
SHAPES = {
    "tiny": (128, 4, 2, 256, 2, 512),
    "0.5b": (896, 14, 2, 4864, 24, 151936),
    "1.5b": (1536, 12, 2, 8960, 28, 151936),
}
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "B200": 2250, "L40S": 362, "4090": 165}  # dense bf16, datasheets


@dataclass
class Check:
    """One line of the report. `ok` is None for what was not run."""

    part: str
    name: str
    ok: bool | None
    found: str
    measured: dict = field(default_factory=dict)


class Report:
    """The checks so far, printed as they come and kept in a file."""

    def __init__(self, file: Path, **about):
        self.file, self.about, self.checks = file, about, []

    def add(self, *check, **measured) -> None:
        self.checks.append(check := Check(*check, measured))
        verdict = {True: "OK", False: "NOT OK", None: "not run"}[check.ok]
        print(f"{verdict:8} {check.part:12} {check.name:44} {check.found}", flush=True)
        write_json(self.file, {**self.about, "checks": [asdict(check) for check in self.checks]})

    @contextmanager
    def part(self, name: str):
        """A part that breaks off is NOT OK, and the next one follows."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:  # whatever it is: the report must say so, and go on
            self.add(name, "runs to its end", False, f"{type(error).__name__}: {str(error)[-1500:]}")
        print(f"         ({name}: {time.monotonic() - start:.0f} s)", flush=True)


def environment(report: Report, device: str) -> None:
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    report.add("environment", "versions", True, ", ".join(f"{k} {v}" for k, v in versions.items()), **versions)
    if device == "cpu":
        return
    gpu, capability = torch.cuda.get_device_properties(0), torch.cuda.get_device_capability()
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    report.add("environment", "GPU", True, f"{gpu.name}, {gpu.total_memory / GiB:.1f} GiB", capability=capability)
    needed = 580 if torch.version.cuda.startswith("13") else 525
    fine = int(driver.split(".")[0]) >= needed
    report.add("environment", "driver", fine, f"{driver} (CUDA {torch.version.cuda} needs R{needed} or newer)", driver=driver)
    report.add("environment", "bfloat16 and flash attention", capability >= (8, 0), f"compute capability {capability}")


def new_model(args):
    """In bfloat16; the random one with weights large enough for attention to matter."""
    torch.manual_seed(0)
    if args.model:
        return AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).to(args.device)
    shape = dict(zip(SHAPE, SHAPES[args.size], strict=True))
    others = {"tie_word_embeddings": True, "initializer_range": 0.04, "max_position_embeddings": 32768}
    with torch.device(args.device):
        return AutoModelForCausalLM.from_config(Qwen2Config(**shape, **others, eos_token_id=0, pad_token_id=1)).bfloat16()


def lengths(count: int, mean: int) -> list[int]:
    """Tokens of completions: log-normal, sigma 0.8."""
    draw, sigma = random.Random(f"{count} {mean}"), 0.8
    return [max(1, round(draw.lognormvariate(math.log(mean) - sigma**2 / 2, sigma))) for _ in range(count)]


def new_trainer(model, folder: str, device: str, rollout: dict, scores: list[float], packed_tokens: int | None, **config):
    """A trainer that "generates" the completions of `rollout`, of one prompt, and rewards them with `scores`."""
    group = len(scores)
    settings = {
        "num_generations": group, "per_device_train_batch_size": group, "max_completion_length": 8192, "loss_type": "grpo",
        "beta": 0.0, "learning_rate": 1e-6, "use_cpu": device == "cpu", "report_to": "none", "save_strategy": "no",
        "dataloader_pin_memory": False, "disable_tqdm": True, "logging_steps": 1,
    }  # fmt: skip
    trainer = PackedGRPOTrainer(
        model,
        lambda completion_ids, **_: scores,
        args=GRPOConfig(folder, **{**settings, **config}),
        train_dataset=Dataset.from_dict({"prompt": ["a puzzle"] * 16}),
        processing_class=AutoTokenizer.from_pretrained(TOKENIZER),
        rollout_func=lambda prompts, trainer: {**rollout},
        packed_tokens=packed_tokens,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def exactness(report: Report, args) -> None:
    """Log-probabilities and gradients: packed against stock in float32, and how far each is from that in bfloat16."""
    model = new_model(args)
    prompts, draw, rows = (args.prompt, 2 * args.prompt // 3, 1), random.Random(0), []
    for prompt in prompts:
        ids = draw.choices(range(2, model.config.vocab_size), k=prompt)
        rows += [(ids, draw.choices(range(2, model.config.vocab_size), k=n)) for n in lengths(4, args.mean // 2)]
    left, right = max(prompts), max(len(completion) for _, completion in rows)
    ids, mask = torch.ones(2, len(rows), left + right, dtype=torch.long, device=args.device)
    mask.zero_()
    for row, (prompt, completion) in enumerate(rows):
        ids[row, left - len(prompt) : left + len(completion)] = torch.tensor(prompt + completion)
        mask[row, left - len(prompt) : left + len(completion)] = 1
    scored = mask[:, left:].bool()
    weight = torch.randn(scored.shape, generator=torch.Generator().manual_seed(1)).to(args.device) * scored / scored.sum()
    with tempfile.TemporaryDirectory() as folder:
        trainer = new_trainer(model, folder, args.device, {}, [0, 1], 10**6, bf16=False)
    model.train()
    model.gradient_checkpointing_enable()

    def compute(dtype: torch.dtype, packed_tokens: int | None, one_call: bool = True, gradients: bool = True):
        trainer.packed_tokens = packed_tokens
        model.to(dtype).zero_grad(set_to_none=True)
        kernel = attention.has_varlen_kernel if one_call else lambda query: False
        always = patch.object(packing, "MIN_PADDING_RATIO", 0)
        with always, patch.object(attention, "has_varlen_kernel", kernel), torch.set_grad_enabled(gradients):
            logps = trainer._get_per_token_logps_and_entropies(model, ids, mask, right)[0]
            if gradients:
                (logps * weight).sum().backward()
        return logps[scored].detach().float(), [p.grad.float() for p in model.parameters()] if gradients else []

    def errors(found, reference) -> dict[str, float]:
        """Of the log-probabilities, mean and most; of the gradient, relative."""
        difference = (found[0] - reference[0]).abs()
        norms = [sum(x.double().square().sum().item() for x in gradients) for gradients in (reference[1], found[1])]
        wrong = sum((a.double() - b.double()).square().sum().item() for a, b in zip(found[1], reference[1], strict=True))
        gradient = math.sqrt(wrong / norms[0]) if found[1] else math.nan
        return {"mean_logp": difference.mean().item(), "max_logp": difference.max().item(), "gradient": gradient}

    def text(e: dict[str, float]) -> str:
        return f"log-probability {e['mean_logp']:.1e} (most {e['max_logp']:.1e}), gradient {e['gradient']:.1e}"

    reference = compute(torch.float32, None)
    e = errors(compute(torch.float32, 10**6), reference)
    report.add("exactness", "packed float32 against stock", max(e["max_logp"], e["gradient"]) < 1e-3, text(e), **e)
    stock = errors(compute(torch.bfloat16, None), reference)
    report.add("exactness", "stock bfloat16 against float32", stock["gradient"] < 0.5, text(stock), **stock)
    for name, one_call in (("one call per layer", True), ("a call per completion", False)):
        if one_call and args.device == "cpu":
            report.add("exactness", f"packed bfloat16, {name}", None, "the kernel needs a GPU")
            continue
        e = errors(compute(torch.bfloat16, 10**6, one_call), reference)
        close = all(e[key] < 1.25 * stock[key] for key in ("mean_logp", "gradient"))
        report.add("exactness", f"packed bfloat16, {name}", close, text(e), **e)

    def leaks(module, query, key, value, attention_mask, packed=None, **kwargs):
        together = packed and [(prefix, [sum(completions)]) for prefix, completions in packed]
        return attention.packed_attention(module, query, key, value, attention_mask, packed=together, **kwargs)

    AttentionInterface.register("packed", leaks)
    try:
        e = errors(compute(torch.float32, 10**6, gradients=False), (reference[0], []))
    finally:
        AttentionInterface.register("packed", attention.packed_attention)
    report.add("exactness", "a leak between completions is noticed", e["max_logp"] > 1e-2, f"it makes {e['max_logp']:.1e}", **e)


class Meter(TrainerCallback):
    """Seconds of each optimizer step, and of the last one the most memory on the GPU beyond what there was before, in bytes."""

    def __init__(self, device: str):
        self.gpu, self.seconds, self.bytes, self.tokens = device != "cpu", [], 0, 0

    def on_step_begin(self, args, state, control, **kwargs):
        self.tokens = 0
        if self.gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        self.start = time.perf_counter()

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if self.gpu:
            self.bytes = torch.cuda.max_memory_allocated() - self.before

    def on_step_end(self, args, state, control, **kwargs):
        if self.gpu:
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)


def flops(config, prompt: int, completions: list[int]) -> float:
    """FLOPs of the forward and backward that give a step's gradient, each token once, nothing recomputed."""
    hidden, kv = config.hidden_size, config.hidden_size * config.num_key_value_heads // config.num_attention_heads
    layer = 2 * hidden * (hidden + kv) + 3 * hidden * config.intermediate_size
    pairs = prompt**2 / 2 + sum(n * prompt + n**2 / 2 for n in completions)
    layers = config.num_hidden_layers * (2 * layer * (prompt + sum(completions)) + 4 * hidden * pairs)
    return 3 * (layers + 2 * hidden * config.vocab_size * sum(completions))


def training(report: Report, args) -> None:
    """An optimizer step of one prompt's samples: stock TRL, packed, and packed where half the samples have no advantage."""
    completions, peak = lengths(args.group, args.mean), next((v for k, v in PEAK_TFLOPS.items() if k in args.gpu), None)
    width = args.prompt + max(completions)
    micro = max(n for n in range(1, args.group + 1) if args.group % n == 0 and (n == 1 or n * width <= args.packed_tokens))
    every = [i % 2 for i in range(args.group)]
    half = [i % 2 if i < args.group // 2 else 0.5 for i in range(args.group)]  # 0.5 is the mean: no advantage
    kinds = {"stock": (None, every), "packed": (args.packed_tokens, every), "packed, half dropped": (args.packed_tokens, half)}
    seconds = {}
    for kind, (packed_tokens, scores) in kinds.items():
        model, draw = new_model(args), random.Random(1)
        ids = [draw.choices(range(2, model.config.vocab_size), k=n) for n in (args.prompt, *completions)]
        rollout = {"prompt_ids": [ids[0]] * args.group, "completion_ids": ids[1:], "logprobs": [[0.0] * n for n in completions]}
        with tempfile.TemporaryDirectory() as folder:
            batch = {"per_device_train_batch_size": micro, "gradient_accumulation_steps": args.group // micro}
            config = {"bf16": args.device != "cpu", "activation_checkpointing": True, "max_steps": 1 + args.steps, **batch}
            trainer = new_trainer(model, folder, args.device, rollout, scores, packed_tokens, **config)
            trainer.add_callback(meter := Meter(args.device))
            count = lambda module, _, kwargs, meter=meter: setattr(meter, "tokens", meter.tokens + kwargs["input_ids"].numel())  # noqa: E731
            model.model.register_forward_pre_hook(count, with_kwargs=True)
            trainer.train()
        fastest = seconds[kind] = min(meter.seconds[1:])
        kept = [n for n, score in zip(completions, scores, strict=True) if score != 0.5]
        mfu = flops(model.config, args.prompt, kept) / fastest / peak / 1e12 if peak else math.nan
        speed = f"{sum(completions) / fastest:,.0f} completion tokens/s"
        found = f"{fastest:.2f} s, {speed}, MFU {mfu:.1%}, {meter.tokens:,} tokens computed"
        measured = {"seconds": fastest, "mfu": mfu, "tokens": meter.tokens, "all_seconds": meter.seconds, "bytes": meter.bytes}
        fine = len(seconds) == 1 or args.device == "cpu" or fastest < seconds["stock"]
        report.add("training", f"a step of {args.group} samples, {kind}", fine, found, **measured)
        if args.device != "cpu":
            gradients = 2 * sum(p.numel() for p in model.parameters())
            at_once = args.packed_tokens if packed_tokens else micro * width
            planned = activations(model.config, trainer.args, at_once, width) + gradients
            found = f"{meter.bytes / GiB:.2f} GiB beyond weights and optimizer, {planned / GiB:.2f} planned"
            report.add("memory", f"a step, {kind}", meter.bytes < 1.1 * planned, found, bytes=meter.bytes, planned=planned)
        del trainer, model
        torch.cuda.empty_cache()


def grpo(args, folder: Path, *options: str) -> list[dict]:
    """What recipes/grpo.py logs in some steps of the tiny recipe.

    Raises:
        RuntimeError: if it fails, with the end of what it printed.
    """
    gpu = ("--use_cpu", "false", "--bf16", "true") if args.device != "cpu" else ()
    small = ("--num_train_puzzles", "32", "--num_eval_puzzles", "16", "--per_device_eval_batch_size", "16")
    launch = ("-m", "accelerate.commands.launch", "--config_file", f"accelerate_configs/{'single_gpu' if gpu else 'cpu'}.yaml")
    command = [sys.executable, *launch, "recipes/grpo.py", "--config", "recipes/tiny-cpu.yaml", *small, *gpu]
    done = subprocess.run([*command, "--output_dir", str(folder), *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, options))}: {done.stderr[-1500:]}")
    return read_log_history(folder)


def resume(report: Report, args, folder: Path) -> None:
    """Four steps of GRPO with a tiny model, and two steps resumed for two more: the same weights, to the byte."""
    exact = ("--full_determinism", "true", "--save_steps", "2", "--eval_steps", "2")
    start = time.monotonic()
    log = grpo(args, folder / "straight", "--max_steps", "4", *exact)
    rewards = [entry["reward"] for entry in log if "reward" in entry]
    fine = len(rewards) == 4 and all(map(math.isfinite, rewards))
    found = f"rewards {', '.join(f'{x:.3f}' for x in rewards)}, {time.monotonic() - start:.0f} s in all"
    report.add("GRPO", "four steps of recipes/grpo.py", fine, found, log=log)
    grpo(args, folder / "resumed", "--max_steps", "2", *exact)
    (folder / "resumed" / "result.json").unlink()
    again = grpo(args, folder / "resumed", "--max_steps", "4", *exact)
    same = [entry["reward"] for entry in again if "reward" in entry] == rewards
    ends = [(folder / run / "model" / "model.safetensors").read_bytes() for run in ("straight", "resumed")]
    equal = ends[0] == ends[1]
    found = f"rewards {'equal' if same else 'differ'}, weights {'equal to the byte' if equal else 'differ'}"
    report.add("GRPO", "stopped after two steps and resumed", same and equal, found)


def vllm(report: Report, args, folder: Path) -> None:
    """Three steps of GRPO with vLLM colocated, put to sleep while training: do its weights follow the trainer's?"""
    if args.device == "cpu" or not find_spec("vllm"):
        why = "on a CPU `make rehearse` does" if args.device == "cpu" else "vLLM is not installed"
        report.add("vLLM", "colocated, asleep while training", None, why)
        return
    colocated = ("--use_vllm", "true", "--vllm_mode", "colocate", "--vllm_enable_sleep_mode", "true")
    sizes = ("--vllm_gpu_memory_utilization", "0.2", "--vllm_max_model_length", "1024", "--max_steps", "3", "--save_steps", "3")
    log = grpo(args, folder / "vllm", *colocated, *sizes)
    differences = [x for entry in log if (x := entry.get("sampling/sampling_logp_difference/mean")) is not None]
    found = f"log-probabilities differ by {', '.join(f'{x:.4f}' for x in differences)}"
    fine = len(differences) == 3 and max(differences) < 0.05
    report.add("vLLM", "colocated, asleep while training", fine, found, differences=differences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model of the Hub or a folder, instead of a random one")
    parser.add_argument("--size", choices=SHAPES, help="shape of the random model (0.5b; on a CPU tiny)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--prompt", type=int, help="tokens of the prompt (1000; on a CPU 40)")
    parser.add_argument("--mean", type=int, help="mean tokens of a completion (600; on a CPU 20)")
    parser.add_argument("--group", type=int, default=16, help="samples of the prompt (16)")
    parser.add_argument("--packed_tokens", type=int, default=16384, help="room of a forward and backward (16384)")
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps to take the fastest of, after the first (2)")
    parser.add_argument("--parts", nargs="+", default=["exactness", "training", "grpo", "vllm"], help="of the checks (all)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "smoke-gpu.json")
    args = parser.parse_args()
    cpu = args.device == "cpu"
    if not cpu and not torch.cuda.is_available():
        sys.exit("There is no CUDA GPU here. The same checks with a tiny model on the CPU: add --device cpu.")
    args.size, args.prompt = args.size or ("tiny" if cpu else "0.5b"), args.prompt or (40 if cpu else 1000)
    args.mean = args.mean or (20 if cpu else 600)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    args.gpu = "" if cpu else torch.cuda.get_device_name()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    report = Report(args.output, device=args.gpu or "cpu", model=args.model or f"random {args.size}")
    folder = args.output.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    environment(report, args.device)
    parts = {"exactness": (exactness,), "training": (training,), "grpo": (resume, folder), "vllm": (vllm, folder)}
    for name in args.parts:
        check, *where = parts[name]
        with report.part(name):
            check(report, args, *where)
    wrong = [check.name for check in report.checks if check.ok is False]
    print(f"{len(wrong)} NOT OK, {sum(check.ok is None for check in report.checks)} not run: {args.output}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
