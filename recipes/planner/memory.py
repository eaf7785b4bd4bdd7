"""How much memory and disk a run needs, by arithmetic.

Model states are counted as in DeepSpeed's estimator (deepspeed/runtime/zero/stage3.py,
estimate_zero3_model_states_mem_needs): 18 bytes per trained parameter (2 weight, 4 gradient, 12 AdamW in float32), 2 per frozen
one, and 4 per parameter of the largest module, gathered with its gradient. A test compares the two. Without DeepSpeed a trained
parameter also takes 18 (4 weight, 2 its copy under autocast, 4 gradient, 8 AdamW), a frozen one what its dtype takes.
"""

from __future__ import annotations

from transformers import PreTrainedConfig
from trl import GRPOConfig

from recipes.arguments import RunArguments
from recipes.batch_geometry import divided_by_tokens
from recipes.machine import GiB, Machine
from recipes.packing import MIN_PADDING_RATIO
from recipes.pretrained import Parameters

OVERHEAD = 4 * GiB  # CUDA context, NCCL's buffers and vLLM's CUDA graphs: an allowance, not a formula
CHECKPOINT = 14  # bytes per trained parameter: weight in bf16, and in float32 with AdamW's two moments; without DeepSpeed 12
LIVE_PARAMETERS = 10**9  # DeepSpeed keeps no more gathered at a time (stage3_max_live_parameters)


def states(p: Parameters, machine: Machine) -> tuple[float, float]:
    """Bytes of weights, gradients and optimizer per GPU, and per node's CPU (half as much again, for buffers)."""
    frozen = p.total - p.trained
    if not machine.zero3:  # trained in float32, their gradients and AdamW's moments too, under autocast's copy in 16 bits
        return (2 if machine.float32_masters else p.bytes_each) * frozen + 18 * p.trained, 0
    gathered = 4 * p.largest
    if not machine.offload_optimizer:
        on_cpu = 1.5 * gathered * machine.processes / machine.nodes
        return gathered + (2 * frozen + 18 * p.trained) / machine.processes, on_cpu
    if not machine.offload_parameters:
        return gathered + 2 * p.total / machine.processes, 1.5 * 16 * p.trained / machine.nodes
    return gathered, 1.5 * (2 * frozen + 18 * p.trained) / machine.nodes


def head_size(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def tokens_at_once(run_args: RunArguments, args: GRPOConfig, longest: int) -> int:
    """Most tokens that go forward and backward together on a GPU, if the longest row has `longest`."""
    if divided_by_tokens(run_args, args):
        return round(MIN_PADDING_RATIO * max(run_args.packed_tokens, longest))
    return args.per_device_train_batch_size * longest


def activations(config: PreTrainedConfig, args: GRPOConfig, tokens: int, length: int) -> float:
    """Peak bytes of the activations of this many tokens, in rows of this length.

    With activation checkpointing: the input of each layer in bf16, and what the backward of one layer needs, which is two
    norms' inputs and outputs, q, k, v and the attention's output, and the four tensors of the gated MLP. Attention itself
    keeps nothing, but padding makes a mask of 2 bytes for each pair of positions. Then the gradient of the LM head in
    float32 (trl/kernels/chunked_logprob.py, which makes logits in small tiles only).
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    attention = 2 * (config.num_attention_heads + config.num_key_value_heads) * head_size(config)
    layer = 2 * (4 * hidden + attention + 4 * config.intermediate_size)
    kept = layers * 2 * hidden + layer if args.activation_checkpointing else layers * layer
    return tokens * kept + 2 * tokens * length + 4 * config.vocab_size * hidden


def memory(
    config: PreTrainedConfig,
    p: Parameters,
    machine: Machine,
    run_args: RunArguments,
    args: GRPOConfig,
    lengths: list[int],
    completion: int,
) -> tuple[dict[str, str], list[str]]:
    """Memory on each GPU while it trains and while it generates: rows of the plan's table, and what does not fit.

    Args:
        lengths: tokens of each prompt.
        completion: tokens of a completion, on average.
    """
    longest, mean = max(lengths) + args.max_completion_length, sum(lengths) // len(lengths) + completion
    on_gpu, on_cpu = states(p, machine)
    if args.beta and p.trained == p.total:  # a reference model; with LoRA it is the model without its adapter
        on_gpu += 2 * p.total / machine.processes if machine.zero3 else p.bytes_each * p.total
    at_once = tokens_at_once(run_args, args, longest)
    activation_bytes = activations(config, args, at_once, longest)
    colocated = args.use_vllm and args.vllm_mode == "colocate"
    budget = args.vllm_gpu_memory_utilization * machine.gpu if colocated else 0
    awake = 0 if args.vllm_enable_sleep_mode else budget
    training = on_gpu + activation_bytes + awake + OVERHEAD + (2 * min(LIVE_PARAMETERS, p.total) if machine.zero3 else 0)
    limit = f"{machine.gpu / GiB:.1f} GiB a GPU"
    rows = {
        "model states": f"{on_gpu / GiB:.1f} GiB a GPU, {on_cpu / GiB:.0f} GiB a node",
        "activations, logits": f"{activation_bytes / GiB:.1f} GiB, {at_once:,} tokens",
        "memory, training": f"{training / GiB:.1f} of {limit}",
    }
    problems = []
    if training > machine.gpu:
        smaller = "packed_tokens" if divided_by_tokens(run_args, args) else "per_device_train_batch_size"
        fix = f"lower {smaller}" if training - activation_bytes / 2 < machine.gpu else "use more nodes"
        if machine.zero3 and not machine.offload_optimizer:
            fix += ", or offload the optimizer (accelerate_configs/zero3_offload.yaml)"
        problems.append(f"training needs {training / GiB:.1f} GiB, but a GPU has {machine.gpu / GiB:.1f}: {fix}.")
    if colocated:
        tp = args.vllm_tensor_parallel_size
        weights = 2 * p.total / tp
        cache = budget - weights - GiB  # less vLLM's activations, at the 4,096 tokens that TRL lets it batch
        token = 2 * config.num_hidden_layers * config.num_key_value_heads * head_size(config) * 2  # keys, values, bf16
        tokens = max(cache * tp / token, 0)
        at_once = tokens / mean * (machine.processes // tp)
        generating = on_gpu + budget + OVERHEAD
        rows["vLLM"] = f"{weights / GiB:.1f} GiB weights + {max(cache, 0) / GiB:.1f} KV cache a GPU (TP {tp})"
        rows["KV cache holds"] = f"{at_once:,.0f} completions of {completion:,} tokens"
        rows["memory, generating"] = f"{generating / GiB:.1f} of {limit}"
        if generating > machine.gpu:
            problems.append(
                f"generating needs {generating / GiB:.1f} GiB, but a GPU has {machine.gpu / GiB:.1f}: lower "
                "vllm_gpu_memory_utilization, offload the optimizer (accelerate_configs/zero3_offload.yaml), or use more nodes."
            )
        if tokens < longest:
            problems.append(
                f"vLLM's cache holds {tokens:,.0f} tokens, but the longest prompt with its completion has {longest:,}: raise "
                "vllm_gpu_memory_utilization or vllm_tensor_parallel_size."
            )
    if on_cpu > machine.cpu:
        problems.append(
            f"offloading needs {on_cpu / GiB:.0f} GiB of a node's memory, but it has {machine.cpu / GiB:.0f}: use more nodes, "
            "or offload less."
        )
    return rows, problems


def disk(p: Parameters, machine: Machine) -> tuple[dict[str, str], list[str]]:
    """Disk for two checkpoints, the latest and the one that is being written, and two models, the best and the final one."""
    weight, checkpoint = (2, CHECKPOINT) if machine.float32_masters else (4, 12)
    need = 2 * (checkpoint + weight) * p.trained
    rows = {"disk": f"{need / GiB:,.0f} GiB: 2 checkpoints and 2 models"}
    if machine.disk is not None and need > machine.disk:
        problem = f"output_dir needs {need / GiB:,.2f} GiB of disk, but {machine.disk / GiB:,.2f} are free: put it elsewhere."
        return rows, [problem]
    return rows, []
