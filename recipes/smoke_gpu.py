"""Check in a few minutes, on one GPU, whether training will work there: run it before paying for eight.

  python recipes/smoke_gpu.py                                        a random model of Qwen2.5-0.5B's shape, no download
  python recipes/smoke_gpu.py --model Qwen/Qwen2.5-1.5B-Instruct     a model from the Hub, or a folder
  python recipes/smoke_gpu.py --device cpu                           the same code without a GPU, with a tiny model

Each line is OK, NOT OK, measured (a number or version that nothing here can judge) or not run. The lines are printed and, with
what was measured, written to outputs/smoke-gpu.json. The exit code is 1 if any is NOT OK. The runs that they make go to
outputs/smoke-gpu.json.runs, which is emptied first.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
import trl
from transformers import AttentionInterface, AutoModelForCausalLM, Qwen2Config

from puzzles.files import write_json
from recipes import ROOT, attention, packing
from recipes.checkpoints import read_log_history
from recipes.machine import GiB
from recipes.planner.memory import activations
from recipes.pretrained import hub_is_unreachable, load_config
from recipes.timed_step import HALF_BILLION, largest_micro_batch, least_flops, lengths, new_trainer, timed_steps

TINY = {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 256}
TINY |= {"num_hidden_layers": 2, "vocab_size": 512}
RANDOM = {"cuda": HALF_BILLION, "cpu": TINY}  # shapes
TOKENS = {"cuda": (1000, 600), "cpu": (40, 20)}  # of the prompt, and of a completion on average
GROUP = 16  # samples of the prompt
PACKED_TOKENS = 16384  # the recipes' setting
MEASURED, NOT_RUN = "measured", "not run"  # in place of OK or NOT OK
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "B200": 2250, "L40S": 362, "4090": 165}  # dense bf16, datasheets


class Report:
    """The checks so far, printed as they are made and kept in a file, which recipes/planner/plan.py --measured reads."""

    def __init__(self, file: Path, model: str, device: str):
        self.file, self.about, self.checks = file, {"model": model, "device": device}, []

    def add(self, part: str, name: str, result: bool | str, found: str, **measured) -> None:
        """`result` is whether the check passed, MEASURED or NOT_RUN."""
        result = {True: "OK", False: "NOT OK"}.get(result, result)
        self.checks.append({"part": part, "name": name, "result": result, "found": found, "measured": measured})
        print(f"{result:8} {part:12} {name:44} {found}", flush=True)
        write_json(self.file, self.about | {"checks": self.checks})


def environment(report: Report, args) -> None:
    versions = [f"{package.__name__} {package.__version__}" for package in (torch, transformers, trl)]
    report.add("environment", "versions", MEASURED, ", ".join(versions))
    if args.device == "cpu":
        return
    gpu, capability = torch.cuda.get_device_properties(0), torch.cuda.get_device_capability()
    report.add("environment", "GPU", MEASURED, f"{gpu.name}, {gpu.total_memory / GiB:.1f} GiB", capability=capability)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.check_output(query, text=True).split()[0]
    needed = 580 if torch.version.cuda.startswith("13") else 525
    found = f"{driver} (CUDA {torch.version.cuda} needs R{needed} or newer)"
    report.add("environment", "driver", int(driver.split(".")[0]) >= needed, found)
    report.add("environment", "bfloat16 and flash attention", capability >= (8, 0), f"compute capability {capability}")


def runs(args) -> Path:
    """The folder for what the checks train."""
    return args.output.with_name(f"{args.output.name}.runs")


def new_model(args):
    """A model in bfloat16. Random weights are drawn large enough for attention to matter."""
    torch.manual_seed(0)
    if args.model:
        return AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, trust_remote_code=False).to(args.device)
    config = Qwen2Config(
        **RANDOM[args.device], tie_word_embeddings=True, initializer_range=0.04, eos_token_id=0, pad_token_id=1
    )
    with torch.device(args.device):
        return AutoModelForCausalLM.from_config(config).bfloat16()


def exactness(report: Report, args) -> None:
    """Log-probabilities and gradients: packed against stock in float32, and the distance of each from that in bfloat16."""
    model, (left, right) = new_model(args), TOKENS[args.device]
    shapes = list(product((left, 2 * left // 3, 1), (right, right // 2, right // 4, 1)))  # tokens of prompt and completion
    ids = torch.randint(2, model.config.vocab_size, (len(shapes), left + right), device=args.device)
    mask = torch.zeros_like(ids)
    for row, (prompt, completion) in enumerate(shapes):
        ids[row, :left] = ids[row - row % 4, :left]  # four samples of each prompt
        mask[row, left - prompt : left + completion] = 1
    scored = mask[:, left:].bool()
    weight = torch.randn(scored.shape, generator=torch.Generator().manual_seed(1)).to(args.device) * scored / scored.sum()
    trainer = new_trainer(model, runs(args), {}, [0, 1], 10**6, use_cpu=args.device == "cpu", bf16=False)
    model.train().gradient_checkpointing_enable()

    def compute(dtype: torch.dtype, packed_tokens: int | None, kernel=attention.has_varlen_kernel):
        trainer.packed_tokens = packed_tokens
        model.to(dtype).zero_grad(set_to_none=True)
        with patch.object(packing, "MIN_PADDING_RATIO", 0), patch.object(attention, "has_varlen_kernel", kernel):
            logps = trainer._get_per_token_logps_and_entropies(model, ids, mask, right)[0]
            (logps * weight).sum().backward()  # with the same kernel: activation checkpointing goes forward again
        return logps[scored].detach().float(), torch.cat([p.grad.flatten().float() for p in model.parameters()])

    def errors(found) -> dict[str, float]:
        """Errors of the log-probabilities, mean and largest, and the relative error of the gradient."""
        difference = (found[0] - reference[0]).abs()
        gradient = (found[1] - reference[1]).norm() / reference[1].norm()
        return {"mean_logp": difference.mean().item(), "max_logp": difference.max().item(), "gradient": gradient.item()}

    def add(name: str, ok: bool, e: dict[str, float]) -> None:
        found = f"log-probability {e['mean_logp']:.1e} (largest {e['max_logp']:.1e}), gradient {e['gradient']:.1e}"
        report.add("exactness", name, ok, found, **e)

    reference = compute(torch.float32, None)
    e = errors(compute(torch.float32, 10**6))
    add("packed float32 against stock", max(e["max_logp"], e["gradient"]) < 1e-3, e)
    stock = errors(compute(torch.bfloat16, None))
    add("stock bfloat16 against float32", stock["gradient"] < 0.5, stock)
    kernels = {"a call per completion": lambda query: False, "one call per layer": attention.has_varlen_kernel}
    for name, kernel in list(kernels.items())[: 1 if args.device == "cpu" else 2]:
        e = errors(compute(torch.bfloat16, 10**6, kernel))
        add(f"packed bfloat16, {name}", all(e[key] < 1.25 * stock[key] for key in ("mean_logp", "gradient")), e)

    def leaks(*inputs, packed=None, **kwargs):
        together = packed and [(prefix, [sum(completions)]) for prefix, completions in packed]
        return attention.packed_attention(*inputs, packed=together, **kwargs)

    AttentionInterface.register("packed", leaks)
    try:
        e = errors(compute(torch.float32, 10**6))
    finally:
        AttentionInterface.register("packed", attention.packed_attention)
    add("a leak between completions is noticed", e["max_logp"] > 1e-2, e)


def training(report: Report, args) -> None:
    """An optimizer step of one prompt's samples: stock TRL, packed, and packed where half the samples have no advantage."""
    gpu = "" if args.device == "cpu" else torch.cuda.get_device_name()
    peak = next((tflops for name, tflops in PEAK_TFLOPS.items() if name in gpu), None)
    prompt, mean = TOKENS[args.device]
    completions = lengths(GROUP, mean)
    width = prompt + max(completions)
    micro_batch = largest_micro_batch(GROUP, width, PACKED_TOKENS)
    config = {"max_steps": 3, "use_cpu": not gpu, "bf16": bool(gpu), "activation_checkpointing": True}
    every = [i % 2 for i in range(GROUP)]
    half = [i % 2 if i < GROUP // 2 else 0.5 for i in range(GROUP)]  # 0.5 is the mean: no advantage
    kinds = {"stock": (None, every), "packed": (PACKED_TOKENS, every), "packed, half dropped": (PACKED_TOKENS, half)}
    seconds = {}
    for kind, (packed_tokens, scores) in kinds.items():
        model = new_model(args)
        meter, settings = timed_steps(model, runs(args), prompt, completions, scores, micro_batch, packed_tokens, **config)
        fastest = seconds[kind] = min(meter.seconds[1:])  # the first warms up
        kept = [n for n, score in zip(completions, scores, strict=True) if score != 0.5]
        weights = sum(p.numel() for p in model.model.layers.parameters())
        tflops = 3 * least_flops(model.config, weights, prompt, kept) / fastest / 1e12  # a backward has twice as many
        mfu = tflops / peak if peak else None
        found = f"{fastest:.2f} s, {sum(completions) / fastest:,.0f} completion tokens/s, {meter.tokens:,} tokens computed"
        found += f", MFU {mfu:.1%}" if mfu else ""
        result = fastest < seconds["stock"] if gpu and packed_tokens else MEASURED
        report.add("training", f"a step, {kind}", result, found, seconds=fastest, mfu=mfu, tflops=tflops, tokens=meter.tokens)
        if gpu:
            gradients = 2 * sum(p.numel() for p in model.parameters())
            planned = gradients + activations(model.config, settings, meter.most, width, padded=not packed_tokens)
            found = f"{meter.bytes / GiB:.2f} GiB beyond weights and optimizer, {planned / GiB:.2f} planned"
            sizes = {"bytes": meter.bytes, "planned": planned, "gradients": gradients}
            report.add("memory", f"a step, {kind}", meter.bytes < 1.1 * planned, found, **sizes)
        del model
        torch.cuda.empty_cache()


def generation(report: Report, args) -> None:
    """Tokens a second of many completions at once: vLLM's, or without vLLM those of Transformers."""
    model, (prompt, length) = new_model(args), TOKENS[args.device]
    count = 4 if args.device == "cpu" else 256
    parameters = sum(p.numel() for p in model.parameters())
    ids = torch.randint(2, model.config.vocab_size, (count, prompt))
    if args.device == "cuda" and find_spec("vllm"):
        from vllm import LLM, SamplingParams

        engine = "vLLM"
        model.save_pretrained(runs(args) / "generation")
        del model
        torch.cuda.empty_cache()
        sizes = {"max_model_len": prompt + length, "gpu_memory_utilization": 0.45, "dtype": "bfloat16"}
        llm = LLM(str(runs(args) / "generation"), skip_tokenizer_init=True, **sizes)

        def generate(rows) -> None:
            settings = SamplingParams(max_tokens=length, ignore_eos=True, detokenize=False)
            llm.generate([{"prompt_token_ids": row} for row in rows.tolist()], settings, use_tqdm=False)
    else:
        engine = "Transformers"

        def generate(rows) -> None:
            mask, new = torch.ones_like(rows).to(args.device), {"max_new_tokens": length, "min_new_tokens": length}
            model.generate(rows.to(args.device), attention_mask=mask, do_sample=True, **new)

    generate(ids[:1])  # warms up
    start = time.perf_counter()
    generate(ids)
    speed = count * length / (time.perf_counter() - start)
    found = f"{speed:,.0f} tokens/s, prompts of {prompt:,} included"
    measured = {"tokens_per_second": speed, "engine": engine, "parameters": parameters}
    report.add("generation", f"{count} completions of {length:,} tokens, {engine}", MEASURED, found, **measured)


def run_grpo(args, folder: Path, *options: str) -> list[dict]:
    """What recipes/grpo.py logs in a few steps of the tiny recipe; RuntimeError with the end of its output if it fails."""
    gpu = () if args.device == "cpu" else ("--use_cpu", "false", "--bf16", "true")
    small = "--num_train_puzzles 32 --num_eval_puzzles 16 --num_generations_eval 1 --per_device_eval_batch_size 16"
    small += " --per_device_train_batch_size 64"
    launch = ("-m", "accelerate.commands.launch", "--config_file", f"accelerate_configs/{'single_gpu' if gpu else 'cpu'}.yaml")
    launch += ("--gpu_ids", "all") if gpu else ()  # the one in CUDA_VISIBLE_DEVICES
    command = [sys.executable, *launch, "recipes/grpo.py", "--config", "recipes/tiny-cpu.yaml", *small.split(), *gpu, *options]
    done = subprocess.run([*command, "--output_dir", str(folder)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(options)}: {done.stderr[-1500:]}")
    return read_log_history(folder)


def grpo(report: Report, args) -> None:
    """Four steps of GRPO with a tiny model; then two steps, resumed for two more: the same weights, byte for byte."""
    straight, resumed = (runs(args) / run for run in ("straight", "resumed"))
    exact = ("--full_determinism", "true", "--save_steps", "2", "--eval_steps", "2", "--lr_scheduler_type", "constant")
    rewards = [log["reward"] for log in run_grpo(args, straight, "--max_steps", "4", *exact) if "reward" in log]
    ok = len(rewards) == 4 and all(map(math.isfinite, rewards))
    report.add("GRPO", "four steps of recipes/grpo.py", ok, "rewards " + ", ".join(f"{x:.3f}" for x in rewards))
    run_grpo(args, resumed, "--max_steps", "2", *exact)
    (resumed / "result.json").unlink()
    again = [log["reward"] for log in run_grpo(args, resumed, "--max_steps", "4", *exact) if "reward" in log]
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (straight, resumed)]
    same = {"rewards": again == rewards, "weights": weights[0] == weights[1]}
    found = ", ".join(f"{what} {'equal' if equal else 'differ'}" for what, equal in same.items())
    report.add("GRPO", "stopped after two steps and resumed", all(same.values()), found)


def vllm(report: Report, args) -> None:
    """Three steps of GRPO with vLLM colocated, asleep while training: do its weights follow the trainer's?"""
    name, on_cpu = "colocated, asleep while training", args.device == "cpu"
    if on_cpu or not find_spec("vllm"):
        return report.add("vLLM", name, NOT_RUN, "on a CPU, use `make rehearse`" if on_cpu else "vLLM is not installed")
    colocated = ("--use_vllm", "true", "--vllm_mode", "colocate", "--vllm_enable_sleep_mode", "true")
    sizes = ("--vllm_gpu_memory_utilization", "0.2", "--vllm_max_model_length", "1024", "--max_steps", "3", "--save_steps", "3")
    logs = run_grpo(args, runs(args) / "vllm", *colocated, *sizes)
    differences = [log[key] for log in logs if (key := "sampling/sampling_logp_difference/mean") in log]
    ok = len(differences) == 3 and max(differences) < 0.05
    report.add("vLLM", name, ok, "log-probabilities differ by " + ", ".join(f"{x:.4f}" for x in differences))


PARTS = {"environment": environment, "exactness": exactness, "training": training, "generation": generation}
PARTS |= {"grpo": grpo, "vllm": vllm}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model from the Hub or a folder, instead of a random one")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which checks to run (all)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "smoke-gpu.json")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA GPU here. To run the same checks on the CPU with a tiny model, add --device cpu.")
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    try:
        if args.model:
            load_config(trl.ModelConfig(args.model), hub_is_unreachable())
        if args.output.is_dir():
            raise ValueError(f"--output {args.output} is a folder: name a file, such as {args.output / 'smoke-gpu.json'}.")
        runs(args).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(runs(args))
    except OSError as error:
        sys.exit(f"recipes/smoke_gpu.py: {error.filename}: {error.strerror}. --output must be a file in a folder of yours.")
    except ValueError as error:
        sys.exit(f"recipes/smoke_gpu.py: {str(error).replace('model_name_or_path', '--model')}")
    report = Report(args.output, args.model or "random weights", args.device)
    for name in args.parts:
        try:
            PARTS[name](report, args)
        except Exception as error:  # any error belongs in the report, and the next part starts
            report.add(name, "runs without an error", False, f"{type(error).__name__}: {str(error)[-1500:]}")
    failed, not_run = (sum(check["result"] == result for check in report.checks) for result in ("NOT OK", NOT_RUN))
    print(f"{failed} NOT OK, {not_run} not run: {args.output}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
