"""The machine that a run is on, or that it is planned for."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from transformers import TrainingArguments
from trl import GRPOConfig

from puzzles.files import read_yaml

GiB = 2**30
VLLM_CPU_ENVIRONMENT = {  # what vLLM's CPU build reads when it starts
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; by default nearly all memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # all cores; by default all but one, and a trainer in the process gets that one
}


@dataclass(frozen=True)
class Machine:
    """All nodes of a run.

    Attributes:
        processes: on all nodes together, one per GPU.
        gpu: bytes of a GPU, or None on a CPU, where memory is not planned.
        cpu: bytes of memory of a node.
        disk: bytes that are free for checkpoints, or None if that is not known.
        float32_masters: whether weights trained in 16 bits have a float32 copy, as with DeepSpeed, and FSDP in mixed precision.
    """

    name: str
    processes: int
    nodes: int
    zero3: bool
    offload_optimizer: bool
    offload_parameters: bool
    gpu: float | None
    cpu: float
    disk: float | None
    float32_masters: bool = False


def print_once(message: str) -> None:
    """Print on one process of a run."""
    if os.environ.get("RANK", "0") == "0":
        print(message)


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16: AMX, AVX512-BF16, Arm's BF16. One that has none, as most laptops, takes
    eight times as long in bfloat16 as in float32 (17 and 139 GFLOP/s on two cores with AVX2; LOG.md).
    """
    return any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def warn_of_slow_bfloat16(args: TrainingArguments) -> None:
    """Say so if training will compute in bfloat16 on a CPU that has no instructions for it."""
    if args.use_cpu and args.bf16 and not has_bfloat16():
        print_once("bf16: true on a CPU without instructions for bfloat16: --bf16 false is several times as fast.")


def too_many_gpus(args: TrainingArguments) -> list[str]:
    """The problem of a process that sees several GPUs: TRL would refuse it, or divide the model's layers among them."""
    if args.n_gpu < 2:
        return []
    return [
        f"this process sees {args.n_gpu} GPUs and trains on one: set CUDA_VISIBLE_DEVICES=0, or start a process on each with "
        "`accelerate launch --config_file accelerate_configs/ddp.yaml`."
    ]


def this_machine(args: GRPOConfig) -> Machine:
    """The machine that this process was launched on, with what `accelerate launch` put into the environment."""
    environment = {name.removeprefix("ACCELERATE_DEEPSPEED_"): value for name, value in os.environ.items()}
    deepspeed = environment.get("ACCELERATE_USE_DEEPSPEED") == "true"
    gpu = torch.cuda.is_available() and not args.use_cpu
    existing = output_dir = Path(args.output_dir).absolute()
    while not existing.exists():
        existing = existing.parent
    own = sum(file.stat().st_size for file in output_dir.rglob("*") if file.is_file())  # of the run that is resumed
    return Machine(
        name="here",
        processes=args.world_size,
        nodes=max(1, args.world_size // int(environment.get("LOCAL_WORLD_SIZE", args.world_size))),
        zero3=deepspeed and environment.get("ZERO_STAGE") == "3",
        offload_optimizer=deepspeed and environment.get("OFFLOAD_OPTIMIZER_DEVICE", "none") != "none",
        offload_parameters=deepspeed and environment.get("OFFLOAD_PARAM_DEVICE", "none") != "none",
        gpu=torch.cuda.get_device_properties(0).total_memory if gpu else None,
        cpu=psutil.virtual_memory().total,
        disk=shutil.disk_usage(existing).free + own,
        float32_masters=(deepspeed and environment.get("ZERO_STAGE") != "0")
        or ((deepspeed or environment.get("ACCELERATE_USE_FSDP") == "true") and (args.bf16 or args.fp16)),
    )


def planned_machine(
    config: Path, processes: int | None, nodes: int | None, gpu: float, cpu: float, disk: float | None
) -> Machine:
    """The machine that an accelerate config describes.

    Args:
        processes, nodes: instead of what the config says, where they are given; 1 or more.
        gpu, cpu, disk: bytes; see Machine.

    Raises:
        ValueError: if there is no such config, it lacks something, or the processes don't divide evenly over the nodes.
    """
    content = read_yaml(config)
    counts = {"num_processes": processes, "num_machines": nodes}
    for name, given in counts.items():
        counts[name] = count = content.get(name) if given is None else given
        if type(count) is not int or count < 1:
            raise ValueError(f"{config} has {name}: {count}: write a number of 1 or more there, or give --{name}.")
    deepspeed = content.get("deepspeed_config") or {}
    if not isinstance(deepspeed, dict):
        raise ValueError(f"{config} has deepspeed_config: {deepspeed}: write options there, or leave it out.")
    processes, nodes = counts.values()
    if processes % nodes:
        raise ValueError(f"{processes} processes don't divide evenly over {nodes} nodes (num_processes, num_machines).")
    return Machine(
        name=config.stem,
        processes=processes,
        nodes=nodes,
        zero3=deepspeed.get("zero_stage") == 3,
        offload_optimizer=deepspeed.get("offload_optimizer_device", "none") != "none",
        offload_parameters=deepspeed.get("offload_param_device", "none") != "none",
        gpu=gpu,
        cpu=cpu,
        disk=disk,
        float32_masters=bool(deepspeed.get("zero_stage"))
        or ((deepspeed or content.get("distributed_type") == "FSDP") and content.get("mixed_precision") != "no"),
    )
