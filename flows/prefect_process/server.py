"""The process of this store's server: ``python -m flows.prefect_process.server server start …``, with the words of ``prefect``.

It is Prefect's own server, on a database that many may write to at once, and hands out deliveries and metrics.
"""

from __future__ import annotations

import runpy

from flows.prefect_process.delivery_files import add_deliveries
from flows.prefect_process.metrics_page import add_metrics
from flows.prefect_process.server_routes import add_to_server
from flows.prefect_process.sqlite_locks import register
from flows.reporting.json_lines import all_as_json


def main() -> None:
    """Serve until this process is ended."""
    all_as_json()
    register()
    add_to_server(add_deliveries, add_metrics)
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
