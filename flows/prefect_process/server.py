"""The process of this store's server: ``python -m flows.prefect_process.server server start …``, with the words of ``prefect``.

It is Prefect's own server, on a database that many may write to at once, and hands out deliveries.
"""

from __future__ import annotations

import runpy

from flows.prefect_process.delivery_files import add_to_server
from flows.prefect_process.sqlite_locks import register


def main() -> None:
    """Serve until this process is ended."""
    register()
    add_to_server()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
