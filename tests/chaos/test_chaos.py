"""Three minutes of chaos, of which the results are those of a quiet installation; `tests/chaos/chaos.py` goes on for longer."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

import pytest
from chaos import chaos

pytestmark = [pytest.mark.slow, pytest.mark.server]


@pytest.mark.timeout(5400)
def test_results_are_the_same_whatever_is_killed(real_data: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    outcome = chaos(tmp_path / "chaos", real_data / "flanders-2019", 3, seed, port, tell)
    tell(str(outcome))
    assert outcome.problems == []
    assert outcome.delivered
    assert sum(outcome.kills.values()) > 5
