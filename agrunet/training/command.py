"""`python -m agrunet.training.command --patches DATA --output DIR [--config FILE.json]`, alone or under `torchrun`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from agrunet.errors import AgrunetError
from agrunet.training.train import PRESETS, TrainingConfig, train

_LOG = logging.getLogger("agrunet.training.command")

_EVERY = 10
"""Steps between two lines of progress."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the exit status is 0 where the checkpoint was written, 1 with one line of reason where it was not."""
    parser = argparse.ArgumentParser(
        prog="python -m agrunet.training.command", description="Train AgrUNet on a folder of patches."
    )
    parser.add_argument("--patches", required=True, help="folder of training patches, or pastis:FOLDER")
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint to write")
    parser.add_argument(
        "--config", type=Path, help="JSON of the training's settings; what it leaves out is the preset's"
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="standard", help="settings to start from")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        config = read_config(options.config, options.preset)
        train(options.patches, options.output, config, _log_progress)
    except AgrunetError as error:
        _LOG.error("%s", error)
        return 1
    return 0


def read_config(path: Path | None, preset: str) -> TrainingConfig:
    """The settings in a JSON file, laid over a preset. Raises `AgrunetError` naming the field that is wrong."""
    if path is None:
        return PRESETS[preset]
    try:
        given = TrainingConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AgrunetError(f"settings {path} can't be read: {error}. Give a JSON file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AgrunetError(f"settings {path}: {where}: {first['msg']}. Correct it.") from error
    return PRESETS[preset].model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def _log_progress(step: int, steps: int, loss: float) -> None:
    if step % _EVERY == 0 or step == steps:
        _LOG.info("step %d of %d, loss %.4f", step, steps, loss)


if __name__ == "__main__":
    sys.exit(main())
