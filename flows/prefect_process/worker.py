"""The process of this store's worker: ``python -m flows.prefect_process.worker worker start --name NAME …``, with the words of ``prefect``.

It is Prefect's own worker. Beside it a thread takes up again what crashed: with the worker it starts and ends, and needs no care.
"""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
import time
from threading import Thread

from catalog.guards.environment import variable
from catalog.storage.scratch import scratch_folder
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.crashed_runs import CrashedRuns
from flows.reporting.json_lines import all_as_json

PAUSE = 10.0
"""Seconds between two looks at the runs."""


def watch(runs: CrashedRuns) -> None:
    """Look at the runs for ever. While the server is away nothing can be told, and nothing is."""
    while True:
        try:
            runs.look()
        except ServiceError as error:
            _tell(str(error))
        time.sleep(PAUSE)


def main() -> None:
    """Work until this process is ended."""
    all_as_json()
    api = Api(os.environ["PREFECT_API_URL"], variable("PREFECT_API_AUTH_STRING"))
    name, pool = (sys.argv[sys.argv.index(option) + 1] for option in ("--name", "--pool"))
    Thread(target=watch, args=(CrashedRuns(api, name, _tell, pool),), name="crashed runs", daemon=True).start()
    # Its temporary files and those of its runs, whoever makes them: what a killed one leaves is cleared away with the folder.
    with scratch_folder("worker") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
