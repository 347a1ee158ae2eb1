"""The process of the interface: ``python -m flows.ogc.serve serve --host HOST --port PORT --address ADDRESS``.

The store, the server's address and its secret are in the environment, as `cropline up` puts them there.
"""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn

from catalog.guards.environment import variable
from flows.ogc.app import application
from flows.ogc.keys import KEYS_FILE, Keys
from flows.own_server import store_folder
from flows.prefect_process.api import Api


def main() -> None:
    """Serve until this process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    given = parser.parse_args()
    keys = Keys(store_folder() / "prefect" / KEYS_FILE, _tell)
    server = Api(os.environ["PREFECT_API_URL"], variable("PREFECT_API_AUTH_STRING"))
    uvicorn.run(
        application(given.address, keys, server),
        host=given.host,
        port=given.port,
        server_header=False,
        proxy_headers=False,  # addresses are those that `--ogc-address` says, whatever a proxy tells
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
