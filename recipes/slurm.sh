#!/usr/bin/env bash
# GRPO on several nodes of 8 GPUs under Slurm. First run `make install-gpu` and `make dataset` on a disk that all nodes share:
#   sbatch --nodes 2 recipes/slurm.sh --config recipes/qwen2.5-32b.yaml
#   sbatch --nodes 4 recipes/slurm.sh --config recipes/qwen2.5-32b.yaml
# Arguments go to recipes/grpo.py. Ten minutes before its time limit, or when a node is lost, the job goes back into the queue,
# and then resumes from the last complete checkpoint.
#SBATCH --job-name=grpo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --signal=B:USR1@600
#SBATCH --open-mode=append
#SBATCH --output=outputs/slurm-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"

gpus=${SLURM_GPUS_ON_NODE:-8}
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export HEAD=${hosts%%$'\n'*} PROCESSES=$((SLURM_NNODES * gpus)) PORT=$((20000 + SLURM_JOB_ID % 20000))

trap 'scontrol requeue "$SLURM_JOB_ID"' USR1 # --requeue alone is for lost nodes, not for time limits

# Since Slurm 22.05 srun does not inherit --cpus-per-task. In single quotes, so that each node expands its own
# SLURM_PROCID; unquoted, every node would get the first node's rank. In the background, since bash runs no trap meanwhile.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 bash -c '.venv/bin/accelerate launch --config_file accelerate_configs/zero3_multinode.yaml \
  --num_machines "$SLURM_NNODES" --num_processes "$PROCESSES" --machine_rank "$SLURM_PROCID" \
  --main_process_ip "$HEAD" --main_process_port "$PORT" recipes/grpo.py "$@"' grpo "$@" &
wait $!
