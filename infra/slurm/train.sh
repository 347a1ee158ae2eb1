#!/bin/bash
# One training on all nodes and GPUs of a Slurm job: what coka.sbatch, dgx.sbatch and gh200.sbatch run. What follows are the words of
# `python -m agrunet train`: the data, a folder that all nodes see, and where the checkpoint goes.
#
# Never run on a cluster. Run on one machine as two nodes of a process each, through srun and scontrol that a test puts in Slurm's place.
set -euo pipefail

: "${SLURM_JOB_ID:?this runs in a job: sbatch infra/slurm/dgx.sbatch --data FOLDER --output FOLDER}"
# shellcheck source=/dev/null
. "${CROPLINE_VENV:-.venv}/bin/activate"

gpus=${SLURM_GPUS_ON_NODE:-1} # processes of each node
read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
cores=${SLURM_CPUS_PER_TASK:-$(nproc)}
export OMP_NUM_THREADS=$((cores / gpus > 0 ? cores / gpus : 1))

# One agent a node, which starts its processes. They meet at the first node; another job there has another port and another name.
exec srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task="$cores" --kill-on-bad-exit=1 \
    python -m torch.distributed.run --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="$gpus" --max-restarts=0 \
    --rdzv-backend=c10d --rdzv-endpoint="$first:$((20000 + SLURM_JOB_ID % 20000))" --rdzv-id="$SLURM_JOB_ID" \
    -m agrunet train "$@"
