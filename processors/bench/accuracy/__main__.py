"""The command: `python -m processors.bench.accuracy ../shared/data --json FILE [--rows NAME ...] [--seeds N]`."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agrunet.bench.machine import device_name
from catalog.errors import CroplineError
from processors.bench.accuracy import measurements as measured
from processors.bench.accuracy.picture import draw
from processors.bench.accuracy.rows import Curve, Measured, Row, read_measured, record, table

_LOG = logging.getLogger("accuracy")

Made = Callable[[], Row | Curve]


def measurements(data: Path, scratch: Path, seeds: Sequence[int]) -> dict[str, Made]:
    """Each measurement by its name."""
    return {
        "flanders": partial(measured.flanders, data, scratch, seeds),
        "flanders, no labels": partial(measured.no_labels, data, "flanders", "miou", 0.65, seeds),
        "arkansas, no labels": partial(measured.no_labels, data, "arkansas", "oa", 0.80, seeds),
        "california, no labels": partial(measured.no_labels, data, "california", "oa", 0.70, seeds),
        "canada, no labels": partial(measured.no_labels, data, "canada", "oa", None, seeds),
        "arkansas, january to july": partial(measured.arkansas, data, (1, 7), seeds),
        "arkansas, whole year": partial(measured.arkansas, data, (1, 12), seeds),
        "canada, blocks of a degree": partial(measured.canada, data, seeds),
        "few fields, arkansas": partial(measured.few_fields, data, scratch, "arkansas", seeds),
        "few fields, california": partial(measured.few_fields, data, scratch, "california", seeds),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; the status is 1 where something asked for isn't reached, 2 where it can't be measured."""
    parser = argparse.ArgumentParser(prog="python -m processors.bench.accuracy", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the real test data")
    parser.add_argument(
        "--json", type=Path, required=True, help="record to write, or to go on with; a picture beside it"
    )
    parser.add_argument("--rows", nargs="+", help="names of those to measure; all by default")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each kind")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    record_so_far = read_measured(options.json, device_name("cpu"))
    with tempfile.TemporaryDirectory(prefix="cropline-accuracy-") as scratch:
        made = measurements(options.data, Path(scratch), range(options.seeds))
        names = options.rows or list(made)
        if strange := [name for name in names if name not in made]:
            parser.error(f"no row {strange[0]!r}; there are {', '.join(made)}")
        for name in names:
            started = time.monotonic()
            _LOG.info("%s", name)
            try:
                row = made[name]()
            except (CroplineError, OSError) as error:
                _LOG.error("%s: %s", name, error)
                return 2
            record_so_far = record(options.json, record_so_far, row)
            _LOG.info("%s: %.0f s", name, time.monotonic() - started)
    draw(record_so_far, options.json.with_suffix(".png"))
    return _told(record_so_far)


def _told(found: Measured) -> int:
    for line in table(found.rows):
        sys.stdout.write("; ".join(f"{key} {value}" for key, value in line.items() if value) + "\n")
    return 0 if all(row.reached is not False for row in found.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
