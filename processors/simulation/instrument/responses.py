"""Spectral responses of the MultiSpectral Instrument's bands, as a few numbers a band.

The agency's 1 nm curves stand in the metadata of every product and aren't repeated here: each is replaced by a tilted super-Gaussian
``2 ** -|2 (x - centre) / width| ** steepness * (1 + tilt (x - centre) / width)`` whose cumulative curve is fitted to the
agency's (`tests/kits/response_fit.py`), so that averages over smooth spectra agree. Fitted to metadata of 2A (baseline 04.00, 2022) and
2B (05.09, 2023); B02 of 2A differs a little in older metadata. **2C's curves were at hand in no product: 2B's stand in for them.**
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError
from catalog.products import BANDS

Floats = npt.NDArray[np.float64]

WAVELENGTHS: Floats = np.arange(400.0, 2501.0)
"""The grid of spectra, nm: that of PROSAIL."""


@dataclass(frozen=True, slots=True)
class Response:
    """One band of one satellite."""

    centre: float
    """Centre of the curve, nm."""
    width: float
    """Full width at half maximum before the tilt, nm."""
    steepness: float
    """Exponent: 2 is a Gaussian, large is a box."""
    tilt: float
    """Change of the height across one width."""

    def at(self, wavelengths: Floats) -> Floats:
        """The response at wavelengths in nm, unnormalised, not negative."""
        x = (wavelengths - self.centre) / self.width
        curve: Floats = 2.0 ** -(np.abs(2 * x) ** self.steepness) * np.clip(1 + self.tilt * x, 0, None)
        return curve


_S2A = (
    (442.237, 19.965, 6.335, 0.268),
    (492.125, 65.285, 16.944, 0.108),
    (560.427, 35.465, 9.282, -0.191),
    (664.605, 31.994, 30.789, 0.003),
    (704.408, 14.282, 7.259, -0.233),
    (740.34, 13.828, 8.119, 0.127),
    (783.493, 20.287, 8.619, -0.424),
    (841.78, 119.705, 28.68, -0.906),
    (864.565, 21.017, 6.739, 0.082),
    (945.132, 19.666, 7.238, -0.044),
    (1373.692, 29.187, 5.979, -0.091),
    (1613.277, 90.633, 11.693, 0.054),
    (2199.364, 174.478, 8.693, 0.201),
)
_S2B = (
    (442.056, 20.41, 7.146, 0.134),
    (491.812, 66.038, 19.228, 0.095),
    (559.463, 35.925, 10.683, -0.168),
    (664.648, 30.73, 10.772, 0.111),
    (703.983, 14.32, 7.025, -0.125),
    (738.952, 13.898, 8.562, 0.148),
    (780.047, 19.996, 6.516, -0.189),
    (840.926, 118.549, 41.493, -0.813),
    (864.118, 21.113, 6.567, -0.077),
    (943.424, 19.679, 6.738, -0.148),
    (1377.224, 30.3, 6.701, -0.126),
    (1610.645, 94.073, 12.181, -0.03),
    (2184.901, 187.397, 16.007, 0.05),
)

RESPONSES: Mapping[str, Mapping[str, Response]] = {
    satellite: {band: Response(*numbers) for band, numbers in zip(BANDS, table, strict=True)}
    for satellite, table in (("S2A", _S2A), ("S2B", _S2B), ("S2C", _S2B))
}
"""Responses by satellite and band. 2C borrows 2B's."""


def weights(satellite: str) -> Floats:
    """(13, W): rows that sum to one; ``spectra @ weights(s).T`` are the band averages of spectra on `WAVELENGTHS`.

    Raises `RequestError` for a satellite without responses.
    """
    if satellite not in RESPONSES:
        raise RequestError(f"no spectral responses of {satellite!r}; there are those of {', '.join(RESPONSES)}.")
    curves = np.stack([response.at(WAVELENGTHS) for response in RESPONSES[satellite].values()])
    normal: Floats = curves / curves.sum(axis=1, keepdims=True)
    return normal
