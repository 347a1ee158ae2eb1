"""Fits the land: ``python -m processors.simulation.fitting FOLDER [--regions NAME ...] [--out FILE]``.

Writes `land/fits.json`: one fit to all the regions named, and one for each of them without it, so that every region can be scored with
a land that saw nothing of it. FOLDER holds the real series, none of which is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from catalog.storage.whole import write_json
from processors.simulation.fitting.fit import Statistics, fit, statistics
from processors.simulation.land.crops import CROPS
from processors.simulation.land.fits import ALL, FILE, without
from processors.simulation.scoring.regions import REGIONS, read_region


def fit_all(folder: Path, regions: list[str]) -> dict[str, dict[int, dict[str, float]]]:
    """Deviations by name of the fit and code of the crop."""
    known = [part for name in regions for part in statistics(name, REGIONS[name], read_region(folder, name))]
    solved: dict[tuple[int, tuple[str, ...]], dict[str, float]] = {}
    fits: dict[str, dict[int, dict[str, float]]] = {}
    for left_out in (None, *regions):
        fits[without(left_out) if left_out else ALL] = {
            code: _solved(solved, code, [part for part in known if part.code == code and part.region != left_out])
            for code in sorted({part.code for part in known if part.region != left_out})
        }
    return fits


def _solved(
    solved: dict[tuple[int, tuple[str, ...]], dict[str, float]], code: int, known: list[Statistics]
) -> dict[str, float]:
    key = code, tuple(part.region for part in known)
    if key not in solved:
        solved[key] = fit(code, known)
        sys.stdout.write(f"{CROPS[code].name}, {', '.join(key[1])}: {json.dumps(solved[key])}\n")
        sys.stdout.flush()
    return solved[key]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the real test data")
    parser.add_argument("--regions", choices=sorted(REGIONS), nargs="+", default=list(REGIONS))
    parser.add_argument("--out", type=Path, default=FILE, help="where to write the fits")
    given = parser.parse_args(arguments)
    write_json(given.out, {"regions": given.regions, "fits": fit_all(given.folder, given.regions)})


if __name__ == "__main__":
    main()
