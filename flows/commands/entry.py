"""The entry point of the command `cropline`: imports nothing before an interrupt is provided for."""

from __future__ import annotations

import sys
from typing import NoReturn

from flows.commands.stopping import INTERRUPTED, STOPPED


def main() -> NoReturn:
    """Run a command. An interrupt ends it with one message and exit code 130, however early or late it comes."""
    try:
        from flows.commands.main import main as run

        run()
    except KeyboardInterrupt:
        code: int | str | None = INTERRUPTED
    except SystemExit as end:
        code = end.code
    if code == INTERRUPTED:
        sys.stderr.write(f"\n{STOPPED}\n")
    sys.exit(code)
