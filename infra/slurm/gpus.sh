#!/bin/sh
# A scheduler and one worker for each GPU of this machine, in a job or without Slurm: `sh infra/slurm/gpus.sh FOLDER [ADDRESS]`, FOLDER as
# infra/certificates.sh made it, ADDRESS the one that others reach this machine by (127.0.0.1: only this machine itself). Needs
# `pip install dask-cuda`. Ends with Ctrl-C. For runs of this machine alone CROPLINE_DASK=local is enough: inference takes all its GPUs.
#
# Never run on a GPU; checked by a shell.
set -eu
folder=${1:?say where the certificates are}
address=${2:-127.0.0.1}
tls="--tls-ca-file $folder/cert.pem --tls-cert $folder/cert.pem --tls-key $folder/key.pem"

gpus=$(nvidia-smi -L | grep -c '^GPU')
OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(($(nproc) / gpus > 0 ? $(nproc) / gpus : 1))}
export OMP_NUM_THREADS

# shellcheck disable=SC2086  # the options are several words
DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=2 dask scheduler $tls --protocol tls --host "$address" --port 8786 --no-dashboard \
    --dashboard-address 127.0.0.1:0 &
scheduler=$!
trap 'kill $scheduler' EXIT
# It pins each worker by CUDA_VISIBLE_DEVICES. Torch has memory of its own: RMM isn't used.
# shellcheck disable=SC2086
dask cuda worker $tls --protocol tls --host "$address" --nthreads 1 --memory-limit 0 --no-dashboard "tls://$address:8786"
