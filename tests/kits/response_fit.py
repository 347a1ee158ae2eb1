"""The agency's response curves in real products' metadata, and the fit that the table of `responses` was made by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from defusedxml.ElementTree import parse
from scipy.optimize import least_squares

from catalog.products import BANDS
from processors.simulation.instrument.responses import Floats, Response


def read_curves(metadata: Path) -> dict[str, tuple[Floats, Floats]]:
    """Wavelengths (nm) and response of each band, from a product's ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``."""
    curves: dict[str, tuple[Floats, Floats]] = {}
    for element in parse(metadata).getroot().iter("Spectral_Information"):
        response: Floats = np.array(element.findtext("Spectral_Response/VALUES").split(), dtype=np.float64)
        first = float(element.findtext("Wavelength/MIN"))
        name = list(BANDS)[int(element.get("bandId"))]
        curves[name] = (first + np.arange(len(response), dtype=np.float64), response)
    return curves


def fit(wavelengths: Floats, response: Floats) -> Response:
    """The `Response` whose cumulative curve is nearest to a measured one (least squares)."""
    grid = np.arange(wavelengths[0] - 20, wavelengths[-1] + 21)
    measured = np.interp(grid, wavelengths, response, 0, 0)
    measured /= measured.sum()
    centroid = float(measured @ grid)
    spread = float(np.sqrt(measured @ (grid - centroid) ** 2))

    def misfit(numbers: Floats) -> Floats:
        curve = Response(*numbers).at(grid)
        difference: Floats = np.cumsum(curve / curve.sum() - measured)
        return difference

    bounds = ([centroid - 30, 5, 2, -1.9], [centroid + 30, 400, 60, 1.9])
    solved = least_squares(misfit, [centroid, 3.4 * spread, 6, 0], bounds=bounds, x_scale=[1, 10, 5, 0.3])
    return Response(*(round(float(number), 3) for number in solved.x))
