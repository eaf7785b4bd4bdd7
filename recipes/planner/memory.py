"""How much memory and disk a run needs, by arithmetic.

Model states under ZeRO-3 are DeepSpeed's estimate (deepspeed/runtime/zero/stage3.py, estimate_zero3_model_states_mem_needs)
with gradients in bfloat16, as its engine keeps them: 16 bytes per trained parameter (2 weight, 2 gradient, 12 AdamW in float32)
and 2 per frozen one. A test compares the two. The largest module, which the estimate adds, is counted where it is gathered: its
weight with the other gathered weights, its gradient with the activations. Without DeepSpeed a trained parameter takes 18 (4
weight, 2 its copy under autocast, 4 gradient, 8 AdamW), a frozen one what its dtype takes, and on several GPUs the bucket in
which DDP reduces a gradient 4 more (torch's DistributedDataParallel, gradient_as_bucket_view=False).

Activations are within 10 % of what benchmarks/memory.py measures, for every recipe; a test compares them.
"""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedConfig
from trl import GRPOConfig

from puzzles.files import read_json
from recipes.arguments import RunArguments
from recipes.batch_geometry import divided_by_tokens
from recipes.machine import GiB, Machine
from recipes.packing import MIN_PADDING_RATIO, not_shareable
from recipes.pretrained import Parameters, experts_per_token

OVERHEAD = 4 * GiB  # CUDA context, NCCL's buffers and vLLM's CUDA graphs: an allowance, not a formula
MARGIN = 0.05  # of a GPU's memory that has to stay free, for what PyTorch's allocator can't use and the estimates miss
CHECKPOINT = 14  # bytes per trained parameter: weight in bf16, and in float32 with AdamW's two moments; without DeepSpeed 12
LIVE_PARAMETERS = 10**9  # DeepSpeed keeps no more gathered at a time (stage3_max_live_parameters)
BUCKET = 5 * 10**8  # gradients that DeepSpeed reduces at once (reduce_bucket_size)
SIMULATED = Path(__file__).with_name("simulated.json")  # python -m benchmarks.memory --output recipes/planner/simulated.json
LOGITS = 4096 * 32768  # of the head at a time (TRL's TOKEN_CHUNK_SIZE and vocabulary chunk)


def states(p: Parameters, machine: Machine) -> tuple[float, float]:
    """Bytes of weights, gradients and optimizer per GPU, and per node's CPU (half as much again, for buffers)."""
    frozen = p.total - p.trained
    if not machine.zero3:  # trained in float32, their gradients and AdamW's moments too, under autocast's copy in 16 bits
        bucket = 4 if machine.processes > 1 else 0
        return (2 if machine.float32_masters else p.bytes_each) * frozen + (18 + bucket) * p.trained, 0
    if not machine.offload_optimizer:
        on_cpu = 1.5 * 4 * p.largest * machine.processes / machine.nodes
        return (2 * frozen + 16 * p.trained) / machine.processes, on_cpu
    if not machine.offload_parameters:
        return 2 * p.total / machine.processes, 1.5 * 16 * p.trained / machine.nodes
    return 0, 1.5 * (2 * frozen + 18 * p.trained) / machine.nodes


def zero3_buffers(p: Parameters) -> tuple[float, float]:
    """Bytes on each GPU for ZeRO-3's bucket of gradients; and beside it while training, for gathered weights and for the copy
    of a bucket that is reduced. A gradient larger than the bucket goes alone.
    """
    return 2 * BUCKET, 2 * min(LIVE_PARAMETERS, p.total) + 2 * min(max(BUCKET, p.largest), p.trained)


def uncountable(config: PreTrainedConfig) -> str | None:
    """What a text model has that the arithmetic here does not know: layers of another kind, compressed keys and values, or no
    value in its config for a size.
    """
    kinds = {*(getattr(config, "layer_types", None) or ["full_attention"])} - {"full_attention", "sliding_attention"}
    if hasattr(config, "linear_num_value_heads"):
        kinds -= {"linear_attention"}  # a gated delta rule
    latent = ["latent attention"] if getattr(config, "kv_lora_rank", None) else []
    sizes = ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size"]
    sizes += [] if experts_per_token(config)[0] else ["intermediate_size"]
    unsaid = [f"no {size} in its config" for size in sizes if not getattr(config, size, None)]
    return " and ".join(latent + [f"layers of {kind}" for kind in sorted(kinds)] + unsaid) or None


def linear_size(config: PreTrainedConfig) -> tuple[int, int]:
    """The sizes of all keys and of all values of a layer of linear attention; 0 where a model has none."""
    names = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim")
    key_heads, key_size, value_heads, value_size = (getattr(config, name, 0) for name in names)
    return key_heads * key_size, value_heads * value_size


def sequence_cache(config: PreTrainedConfig) -> tuple[int, int]:
    """What vLLM keeps of a sequence: bytes for each token, keys and values in bf16; and bytes of the states of linear
    attention, in float32, with the last inputs of their convolutions in bf16. A window counts as if it were full attention.
    """
    linear = (getattr(config, "layer_types", None) or []).count("linear_attention")
    token = 2 * (config.num_hidden_layers - linear) * config.num_key_value_heads * head_size(config) * 2
    keys, values = linear_size(config)
    if not linear:
        return token, 0
    inputs = (2 * keys + values) * (config.linear_conv_kernel_dim - 1)
    return token, linear * (4 * values * config.linear_key_head_dim + 2 * inputs)


def head_size(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def tokens_at_once(run_args: RunArguments, args: GRPOConfig, longest: int, apart: bool = False) -> int:
    """Most tokens that go forward and backward together on a GPU, if the longest row has `longest`.

    Args:
        apart: whether rows stay apart, since the model cannot share prompts.
    """
    if divided_by_tokens(run_args, args):  # rows that are padded by less than this are not packed
        return round((1 if apart else MIN_PADDING_RATIO) * max(run_args.packed_tokens, longest))
    return args.per_device_train_batch_size * longest


def activations(
    config: PreTrainedConfig,
    args: GRPOConfig,
    tokens: int,
    longest: int,
    lora: bool = False,
    autocast: bool = False,
    padded: bool = True,
    trains_experts: bool = True,
) -> float:
    """Peak bytes of the forward and backward of this many tokens, beyond weights and complete gradients.

    With activation checkpointing: the input of each layer in bfloat16, and the larger of two parts that never coincide, the
    head's backward and one layer's. Per token, with hidden size h, intermediate size i, and all attention heads together a:

        a layer's backward   12 i   gate, up, SiLU, their product, and gradients of two of these
                             18 h   of two norms the input in float32, its copy and the output; the gradient
                              4 a   queries, and the output of attention
        Qwen3                 4 a + 4 kv   queries and keys (kv: all key heads) in float32, for their norms
                              4 a   padded: keys and values, repeated for each query head. Packed: those of all segments
        experts               6 i + 8 h for each that a token passes through, in place of 12 i: gate and up, SiLU; the input,
                              and the output as it is, weighted and sorted by token. 8 i + 10 h where experts are trained
        experts, with LoRA    their weights in a layer, with the adapter added
        padded                3     bytes for each pair of positions in a row: the mask, and what cuDNN gets of it
        LoRA in float32      14 i + 30 h in place of 12 i + 18 h: each linear layer casts its input
        all in float32       12 i + 26 h, and layers' inputs in float32, under autocast
        linear attention     21 v   with all values v and keys k: the gated norm in float32, and what flash-linear-attention
                              8 k   keeps (benchmarks/memory.py); Transformers' own code keeps 3.6 times as much
        full, beside linear   6 a   more, for its gate
        the head             14 h   its input, in float32 too, and the gradient
        the head, trained     6     bytes per weight: the gradient in float32, and its copy in bfloat16

    Args:
        tokens: with those of the padding.
        longest: the most tokens of a row.
        lora: whether only adapters are trained.
        autocast: whether the trained weights are in float32, as without DeepSpeed.
        padded: whether they are in rows; otherwise they are packed, and segments attend to at most twice as many keys.
        trains_experts: whether the experts of a mixture are trained, or LoRA adapts them.
    """
    h, i = config.hidden_size, getattr(config, "intermediate_size", None) or 0
    a, kv = (heads * head_size(config) for heads in (config.num_attention_heads, config.num_key_value_heads))
    mask = 3 * tokens / -(-tokens // longest) if padded else 0
    head_norms = 4 * (a + kv) if config.model_type.startswith("qwen3") else 0
    mixer = 4 * a + head_norms + (4 * a + mask if padded else 8 * kv)
    keys, values = linear_size(config)
    if values:  # the larger of both kinds of layer; rows are not packed
        mixer = max(6 * a + mixer, 21 * values + 8 * keys + mask / 3)
    float32 = autocast and not lora
    mlp, kept_mlp, adapted = (14 if lora and autocast else 12) * i, 8 * i, 0
    experts, chosen = experts_per_token(config)
    if experts:
        m = getattr(config, "moe_intermediate_size", None) or i
        mlp = max(mlp, chosen * (8 * m + 10 * h if trains_experts else 6 * m + 8 * h))
        kept_mlp = max(kept_mlp, chosen * (8 * m + 4 * h if trains_experts else 6 * m + 2 * h))
        adapted = 2 * experts * 3 * h * m if lora and trains_experts else 0
    norms = 30 if lora and autocast else 26 if float32 else 18
    layer = tokens * (mlp + norms * h + mixer) + adapted
    gradient = 0 if lora else 2 * config.vocab_size * h  # of the head, in bfloat16
    head = 14 * tokens * h + 2 * LOGITS + (2 if float32 else 3) * gradient
    if config.tie_word_embeddings:  # the gradient of the head waits for that of the embedding
        layer += 2 * gradient if float32 else gradient
    if args.activation_checkpointing:
        return config.num_hidden_layers * (4 if float32 else 2) * h * tokens + max(layer, head)
    kept = tokens * (kept_mlp + (26 if float32 else 16) * h + mixer)
    return config.num_hidden_layers * kept + max(layer - kept, head)


def simulated(p: Parameters, zero3: bool, tokens: int) -> str:
    """What benchmarks/memory.py measured for this model, in GiB, as a cell of the plan's table."""
    model = {"parameters": p.total, "trained": p.trained, "zero3": zero3}
    for row in read_json(SIMULATED)["rows"]:
        if row.items() >= (model | {"tokens": tokens, "padded": True}).items():
            return f"{row['measured_gib']:.1f} GiB"
    return "not simulated (make bench-memory has only unchanged recipes)"


def vllm_cache(config: PreTrainedConfig, p: Parameters, args: GRPOConfig, machine: Machine) -> tuple[float, float, float]:
    """Of a colocated vLLM: bytes of weights and of its cache on each GPU, and the tokens of a sequence that fills the cache.

    Beside them it has the activations of the 4,096 tokens that TRL lets it batch, 1 GiB, and a count of each token of the
    vocabulary for each completion of its GPUs, 4 bytes each (vllm/v1/worker/gpu/sample/penalties.py).
    """
    tp = args.vllm_tensor_parallel_size
    counts = 4 * config.vocab_size * args.generation_batch_size / machine.processes * tp
    weights = 2 * p.total / tp
    cache = args.vllm_gpu_memory_utilization * machine.gpu - weights - counts - GiB
    token, state = sequence_cache(config)
    return weights, cache, max((cache * tp - state) / token, 0)


def memory(
    config: PreTrainedConfig,
    p: Parameters,
    machine: Machine,
    run_args: RunArguments,
    args: GRPOConfig,
    lengths: list[int],
    completion: int,
    correction: float = 1.0,
) -> tuple[dict[str, str], list[str]]:
    """Memory on each GPU while it trains and while it generates: rows of the plan's table, and what does not fit.

    Args:
        lengths: tokens of each prompt.
        completion: tokens of a completion, on average.
        correction: measured activations, as a multiple of those estimated.

    Raises:
        ValueError: if the model has a kind of layer that this arithmetic does not know.
    """
    if unknown := uncountable(config):
        raise ValueError(
            f"the memory of a {config.model_type} model can't be estimated, because of {unknown}: `recipes/planner/memory.py` "
            "knows full attention, windows, and gated delta rules beside them. To start anyway: --start_anyway."
        )
    longest, mean = max(lengths) + args.max_completion_length, sum(lengths) // len(lengths) + completion
    on_gpu, on_cpu = states(p, machine)
    if args.beta and p.trained == p.total:  # a reference model; with LoRA it is the model without its adapter
        on_gpu += 2 * p.total / machine.processes if machine.zero3 else p.bytes_each * p.total
    at_once = tokens_at_once(run_args, args, longest, apart=bool(not_shareable(config, args)))
    autocast = not (machine.zero3 or machine.float32_masters)
    activation_bytes = correction * activations(
        config, args, at_once, longest, p.trained < p.total, autocast, trains_experts=p.trains_experts
    )
    bucket, gathered = zero3_buffers(p) if machine.zero3 else (0, 0)
    colocated = args.use_vllm and args.vllm_mode == "colocate"
    budget = args.vllm_gpu_memory_utilization * machine.gpu if colocated else 0
    awake = 0 if args.vllm_enable_sleep_mode else budget
    training = on_gpu + activation_bytes + awake + OVERHEAD + bucket + gathered
    usable = (1 - MARGIN) * machine.gpu
    limit = f"{machine.gpu / GiB:.1f} GiB a GPU"
    too_much = f"but a plan may use {usable / GiB:.1f} of a GPU's {machine.gpu / GiB:.1f}"
    rows = {
        "model states": f"{on_gpu / GiB:.1f} GiB a GPU, {on_cpu / GiB:.0f} GiB a node",
        "activations, logits": f"{activation_bytes / GiB:.1f} GiB, {at_once:,} tokens",
        "the same, simulated": simulated(p, machine.zero3, at_once if args.activation_checkpointing else 0),
        "memory, training": f"{training / GiB:.1f} of {limit}",
    }
    problems = []
    if training > usable:
        smaller = "packed_tokens" if divided_by_tokens(run_args, args) else "per_device_train_batch_size"
        fix = f"lower {smaller}" if training - activation_bytes / 2 < usable else "use more nodes"
        if machine.zero3 and not machine.offload_optimizer:
            fix += ", or offload the optimizer (accelerate_configs/zero3_offload.yaml)"
        problems.append(f"training needs {training / GiB:.1f} GiB, {too_much}: {fix}.")
    if colocated:
        tp = args.vllm_tensor_parallel_size
        weights, cache, tokens = vllm_cache(config, p, args, machine)
        token, state = sequence_cache(config)
        at_once = max(cache * tp, 0) / (token * mean + state) * (machine.processes // tp)
        generating = on_gpu + budget + OVERHEAD + bucket + (2 * p.largest if machine.zero3 else 0)  # the weight in transfer
        rows["vLLM"] = f"{weights / GiB:.1f} GiB weights + {max(cache, 0) / GiB:.1f} KV cache a GPU (TP {tp})"
        rows["KV cache holds"] = f"{at_once:,.0f} completions of {completion:,} tokens"
        rows["memory, generating"] = f"{generating / GiB:.1f} of {limit}"
        if generating > usable:
            problems.append(
                f"generating needs {generating / GiB:.1f} GiB, {too_much}: lower "
                "vllm_gpu_memory_utilization, offload the optimizer (accelerate_configs/zero3_offload.yaml), or use more nodes."
            )
        if tokens < (row := args.vllm_max_model_length or config.max_position_embeddings):  # vLLM would not start
            problems.append(
                f"vLLM's cache holds {tokens:,.0f} tokens, but a row may have {row:,} (vllm_max_model_length): lower that, or "
                "raise vllm_gpu_memory_utilization or vllm_tensor_parallel_size."
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
