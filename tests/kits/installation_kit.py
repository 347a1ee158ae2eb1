"""An installation with a server and a worker of its own, and what tests ask of it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.own_server import authorization, read_secret
from flows.prefect_process.services import Services


@dataclass(frozen=True)
class Installation:
    """A folder in which commands run, with a store, a server and a worker of its own."""

    folder: Path
    env: dict[str, str]
    command: Any

    @property
    def services(self) -> Services:
        return Services.model_validate_json((self.folder / "store" / "prefect" / "server.json").read_text())

    @property
    def secret(self) -> str:
        secret = read_secret(self.folder / "store" / "prefect")
        assert secret is not None
        return secret

    def run(self, *words: str, text: str | None = None) -> Any:
        return self.command(*words, cwd=self.folder, env=self.env, text=text)

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.services.api}/{path}",
            data=data,
            headers={"Content-Type": "application/json", **authorization(self.secret)},
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return value
