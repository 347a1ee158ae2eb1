"""Band responses against the agency's curves in real products' metadata, which the repository doesn't hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from response_fit import fit, read_curves

from catalog.errors import RequestError
from catalog.products import BANDS
from processors.simulation.instrument.responses import RESPONSES, WAVELENGTHS, weights
from processors.simulation.land.surfaces import GROUND, TOP

METADATA = (
    ("S2A", "S2A_MSIL2A_20221005*/MTD_MSIL2A.xml"),
    ("S2A", "S2A_MSIL1C_20180629*/MTD_MSIL1C.xml"),
    ("S2B", "S2B_MSIL2A_20230823*/MTD_MSIL2A.xml"),
)


def spectra() -> np.ndarray:
    """A red edge, slopes, absorption features and the end-members, (S, W)."""
    centres = [band.wavelength for band in BANDS.values()]
    smooth = [np.interp(WAVELENGTHS, centres, spectrum) for spectrum in np.concatenate([GROUND, TOP])]
    edge = [0.04 + 0.5 / (1 + np.exp(-(WAVELENGTHS - middle) / 12)) for middle in (700, 715, 730)]
    dips = [
        0.45 - 0.3 * np.exp(-(((WAVELENGTHS - at) / width) ** 2))
        for at, width in ((670, 25), (970, 40), (1450, 60), (1940, 80))
    ]
    return np.array([*smooth, *edge, *dips, WAVELENGTHS / 5000])


@pytest.mark.parametrize(("satellite", "pattern"), METADATA)
def test_band_averages_agree_with_the_measured_curves(real_data: Path, satellite: str, pattern: str) -> None:
    curves = read_curves(next((real_data / "safe").glob(pattern)))
    assert list(curves) == list(BANDS)
    measured = np.stack([np.interp(WAVELENGTHS, *curve, left=0, right=0) for curve in curves.values()])
    measured /= measured.sum(axis=1, keepdims=True)
    assert np.abs(spectra() @ (weights(satellite) - measured).T).max() < 0.002


@pytest.mark.parametrize(("satellite", "pattern"), METADATA[::2])
def test_the_table_is_what_the_fit_gives(real_data: Path, satellite: str, pattern: str) -> None:
    curves = read_curves(next((real_data / "safe").glob(pattern)))
    for band, curve in curves.items():
        assert fit(*curve).centre == pytest.approx(RESPONSES[satellite][band].centre, abs=0.05)
        assert fit(*curve).width == pytest.approx(RESPONSES[satellite][band].width, abs=0.2)


def test_a_constant_spectrum_stays_and_2c_is_2b() -> None:
    for satellite in RESPONSES:
        np.testing.assert_allclose(weights(satellite) @ np.full(WAVELENGTHS.shape, 0.3), 0.3)
    assert np.array_equal(weights("S2C"), weights("S2B"))
    with pytest.raises(RequestError, match="S2D"):
        weights("S2D")
