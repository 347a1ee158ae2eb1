"""A Dask cluster of Slurm jobs, over TLS: `python infra/slurm/dask.py FOLDER JOBS`, FOLDER by infra/certificates.sh. Ends with Ctrl-C.

Needs `pip install dask-jobqueue` beside Cropline, and a folder that the nodes share for the certificates. Run it on a node that the
jobs and Cropline can reach: the scheduler lives in it. Put in your partition, account and paths.

Never run on a cluster. Checked with dask-jobqueue 0.9: the job's script that it writes, by a shell.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import dask
from dask_jobqueue import SLURMCluster
from distributed import Security

CORES = 8
GPUS = 0
"""Of one job, which is one worker."""

folder, jobs = Path(sys.argv[1]).resolve(), int(sys.argv[2])
certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
roles = {
    f"tls_{role}_{kind}": file
    for role in ("client", "scheduler", "worker")
    for kind, file in (("cert", certificate), ("key", key))
}
dask.config.set({"distributed.scheduler.allowed-failures": 2})
cluster = SLURMCluster(
    queue="YOUR-PARTITION",
    account="YOUR-ACCOUNT",
    walltime="04:00:00",
    cores=1,  # tasks at once; the cores are for their threads
    processes=1,
    job_cpu=CORES,
    memory="16GB",
    job_extra_directives=[f"--gres=gpu:{GPUS}"] if GPUS else [],
    job_script_prologue=[
        f"export OMP_NUM_THREADS={CORES}",
        ". /path/to/cropline/.venv/bin/activate",
        ". $HOME/.cropline-credentials",  # export AWS_ACCESS_KEY_ID=... and so on, readable by you alone
    ],
    protocol="tls://",
    security=Security(require_encryption=True, tls_ca_file=certificate, **roles),
    shared_temp_directory=str(folder),
    scheduler_options={"port": 8786, "dashboard": False, "dashboard_address": "127.0.0.1:0"},
)
if __name__ == "__main__":
    cluster.scale(jobs=jobs)
    sys.stdout.write(f"CROPLINE_DASK={cluster.scheduler_address}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    cluster.close()
