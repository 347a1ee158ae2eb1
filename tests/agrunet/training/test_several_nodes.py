"""A training on several nodes, as the jobs of `infra/slurm` start it: here two on one machine, of a process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "infra" / "slurm" / "train.sh"

PROGRAMS = {
    "scontrol": "echo 127.0.0.1",
    # Slurm starts the words once a node.
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; "$@" & first=$!; "$@" & wait $first && wait $!',
    "python": f'exec {sys.executable} "$@"',
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_meet_and_train_one_checkpoint(toy_folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(
        json.dumps({"filters": [4, 8], "hidden": 4, "steps": 60, "passes": 0, "crop": 16, "rate": 1e-2})
    )
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "activate").touch()
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    env = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CROPLINE_VENV": str(tmp_path),
        "SLURM_JOB_ID": str(10_000 + os.getpid() % 5000),  # the port is made of it
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "this",
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_CPUS_PER_TASK": "1",
    }
    words = ["--data", str(toy_folder), "--output", str(tmp_path / "model"), "--config", str(settings)]
    done = subprocess.run(["bash", str(SCRIPT), *words], env=env, capture_output=True, text=True, check=False)
    assert (tmp_path / "model" / "weights.safetensors").is_file(), done.stderr[-3000:]
    assert done.stderr.count("step 60 of 60") == 1, "one training of both: only its first process reports"
