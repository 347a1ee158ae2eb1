"""Jobs of Slurm, with other programs in the place of its own: what they would run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SLURM = Path(__file__).resolve().parents[2] / "infra" / "slurm"
Programs = Callable[..., dict[str, str]]

JOB = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "node[07-08]",
    "SLURM_CPUS_PER_TASK": "8",
}
HOSTS = 'test "$1 $2 $3" = "show hostnames node[07-08]" || exit 1; printf "node07\\nnode08\\n"'


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder with an environment of Python to be activated."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").write_text("export ACTIVATED=yes\n")
    return tmp_path / "venv"


def run(script: Path, *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(script), *words], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("machine", "gpus", "nodes"), [("coka", 4, 1), ("dgx", 8, 1), ("gh200", 1, 2)])
def test_a_machines_job_asks_for_its_gpus_and_trains_on_all_of_them(
    machine: str, gpus: int, nodes: int, programs: Programs, environment: Path
) -> None:
    script = SLURM / f"{machine}.sbatch"
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script.read_text(encoding="utf-8"), re.MULTILINE))
    assert (asked["gpus-per-node"], asked["nodes"], asked["ntasks-per-node"]) == (str(gpus), str(nodes), "1")
    env = programs(scontrol=HOSTS, srun='echo "$OMP_NUM_THREADS $ACTIVATED"; printf "%s\\n" "$@"')
    env |= JOB | {
        "SLURM_SUBMIT_DIR": str(SLURM.parents[1]),
        "SLURM_JOB_NUM_NODES": asked["nodes"],
        "SLURM_GPUS_ON_NODE": asked["gpus-per-node"],
        "SLURM_CPUS_PER_TASK": asked["cpus-per-task"],
        "CROPLINE_VENV": str(environment),
    }
    done = run(script, "--data", "a folder", "--output", "out", env=env)
    assert done.returncode == 0, done.stderr
    first, *words = done.stdout.splitlines()
    assert first == f"{int(asked['cpus-per-task']) // gpus} yes"
    assert words[:3] == [f"--nodes={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={asked['cpus-per-task']}"]
    assert {f"--nnodes={nodes}", f"--nproc-per-node={gpus}", "--rdzv-endpoint=node07:24711", "--rdzv-id=4711"} <= set(
        words
    )
    assert words[words.index("-m", words.index("--rdzv-id=4711")) :] == [
        "-m", "agrunet", "train", "--data", "a folder", "--output", "out",
    ]  # fmt: skip


def test_a_training_outside_of_a_job_says_how_it_is_started(programs: Programs) -> None:
    done = run(SLURM / "train.sh", env=programs())
    assert done.returncode == 1
    assert "this runs in a job: sbatch infra/slurm/dgx.sbatch" in done.stderr


def test_a_worker_of_a_job_has_a_store_of_its_own_and_no_secret_in_its_words(
    programs: Programs, environment: Path, tmp_path: Path
) -> None:
    (tmp_path / ".cropline-worker").write_text("export PREFECT_API_AUTH_STRING=cropline:secret\n")
    env = programs(cropline='echo "$CROPLINE_STORE $PREFECT_API_AUTH_STRING"; echo "$@"') | JOB
    env |= {"HOME": str(tmp_path), "CROPLINE_VENV": str(environment), "SLURM_TMPDIR": "/fast", "SLURM_SUBMIT_DIR": "/"}
    done = run(SLURM / "worker.sbatch", "https://maps.example.org/api", env=env)
    assert done.stdout.splitlines() == [
        "/fast/cropline-4711 cropline:secret",
        "up --foreground worker --api https://maps.example.org/api",
    ]
    assert run(SLURM / "worker.sbatch", env=env).returncode == 1


def test_the_jobs_of_a_cluster_of_dask_can_be_read_and_start_workers_over_tls(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is no dependency: pip install dask-jobqueue")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    program = f"import runpy, sys; sys.argv = ['dask.py', {str(tmp_path)!r}, '2']; " + (
        f"from dask_jobqueue import slurm; made = runpy.run_path({str(SLURM / 'dask.py')!r}, run_name='read')"
    )
    shown = program.replace(
        "import runpy", "import distributed.deploy.spec as s; s.SpecCluster.sync = lambda *a, **k: None; import runpy"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{shown}; print(made['cluster'].job_script())"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    script = tmp_path / "job.sh"
    script.write_text(done.stdout)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert "#SBATCH --cpus-per-task=8" in done.stdout
    assert "--protocol tls" in done.stdout
    assert "--nthreads 1" in done.stdout
