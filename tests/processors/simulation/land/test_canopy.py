"""The canopy's emulator beside PROSAIL itself, which runs only here and where the table is made."""

from __future__ import annotations

import numpy as np
import pytest

from processors.simulation.instrument.responses import weights
from processors.simulation.land import canopy


def random_canopies(count: int, seed: int) -> np.ndarray:
    low, high = np.array(list(canopy.RANGES.values())).T
    return low + (high - low) * np.random.default_rng(seed).uniform(size=(count, len(low)))


@pytest.mark.parametrize("satellite", ["S2A", "S2B"])
def test_reflectance_is_prosails(satellite: str) -> None:
    prosail = pytest.importorskip("prosail")
    drawn = random_canopies(250, 11)
    random = np.random.default_rng(12)
    expected, grounds = [], []
    for area, chlorophyll, water, dry, angle, brown, hotspot, layers, sun, view, azimuth in drawn:
        # PROSAIL's own soils: brightness and moisture.
        soil = random.uniform(0.4, 1.0), random.uniform()
        library = prosail.spectral_lib.soil
        spectrum = soil[0] * (soil[1] * library.rsoil1 + (1 - soil[1]) * library.rsoil2)
        seen = prosail.run_prosail(
            layers, chlorophyll, canopy.carotenoids(chlorophyll), brown, water, dry, area, angle, hotspot, sun, view,
            azimuth, typelidf=2, prospect_version="D", rsoil0=spectrum,
        )  # fmt: skip
        expected.append(weights(satellite) @ seen)
        grounds.append(weights(satellite) @ spectrum)
    made = canopy.reflectance(drawn.astype(np.float32), np.array(grounds, np.float32), satellite)
    error = made - np.array(expected)
    assert np.sqrt((error**2).mean(axis=0)).max() < 0.004
    assert np.abs(error).max() < 0.04
    assert np.abs(error.mean(axis=0)).max() < 0.001


def test_without_leaves_only_the_ground_is_seen() -> None:
    drawn = random_canopies(50, 1).astype(np.float32)
    drawn[:, 0] = 0
    ground = np.random.default_rng(2).uniform(0.05, 0.5, (50, 13)).astype(np.float32)
    np.testing.assert_allclose(canopy.reflectance(drawn, ground, "S2A"), ground, atol=1e-5)


def test_a_pixel_does_not_depend_on_how_many_there_are() -> None:
    drawn = random_canopies(9000, 3).astype(np.float32)
    ground = np.full((9000, 13), 0.2, np.float32)
    whole = canopy.reflectance(drawn, ground, "S2B")
    assert np.array_equal(canopy.reflectance(drawn[4000:8500], ground[4000:8500], "S2B"), whole[4000:8500])
    assert np.array_equal(canopy.reflectance(drawn[7:8], ground[7:8], "S2C"), whole[7:8])


def test_the_table_is_small() -> None:
    from pathlib import Path

    assert Path(canopy.__file__).with_name(canopy.TABLE).stat().st_size < 1_000_000
