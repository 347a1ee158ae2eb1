"""The process of a temporary Prefect server: ``python -P serve.py DESCRIPTOR PARENT``, its home the working directory.

It answers on the socket that it inherits, and ends with the process that started it, however that ended: a server that nobody
asks anything any more is never left behind. Run as a file, so that it imports Prefect and nothing else.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from threading import Thread

PAUSE = 0.5
"""Seconds between two looks at the parent."""


def end_with(parent: int, home: Path) -> None:
    """Wait for the parent's end, then remove the home and end this process at once: nothing in it is worth keeping."""
    while os.getppid() == parent:
        time.sleep(PAUSE)
    shutil.rmtree(home, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Serve until this process is ended."""
    descriptor, parent = map(int, sys.argv[1:])
    Thread(target=end_with, args=(parent, Path.cwd()), daemon=True).start()
    gc.disable()  # what is imported stays: looking for rubbish in it takes a fifth of the start
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    gc.enable()
    gc.freeze()
    config = uvicorn.Config(app, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main()
