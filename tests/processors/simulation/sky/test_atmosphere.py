"""The atmosphere: numbers worked out by hand or published, its own inverse, and real clear scenes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import RequestError
from catalog.grid import Window
from catalog.orbits.angles import Angles
from processors.simulation.instrument.instrument import Instrument
from processors.simulation.mission.scene import observe, with_margin
from processors.simulation.sky.atmosphere import NAMES, Atmosphere, above, misjudged, molecular_thickness, transfer
from processors.simulation.sky.sky import Sky

NOON = Angles(30, 150)
ANGLES = st.builds(Angles, st.floats(0, 75), st.floats(0, 360), st.floats(0, 12), st.floats(0, 360))
AIR = st.builds(Atmosphere, st.floats(0, 0.8), st.floats(0.2, 1.8), st.floats(0.2, 5), st.floats(200, 450))


def test_molecules_are_as_thick_as_the_formula_says() -> None:
    # By hand: 0.008569 / 0.443⁴ x (1 + 0.0113 / 0.443² + 0.00013 / 0.443⁴) = 0.2225 x 1.0610, and so on.
    assert molecular_thickness(np.array([0.443, 0.55, 0.67])) == pytest.approx([0.2361, 0.0973, 0.0437], rel=0.01)
    assert molecular_thickness(np.array([0.55]), 506.625) == pytest.approx([0.0973 / 2], rel=0.01)


def test_a_thin_atmosphere_scatters_once() -> None:
    """By hand: rho = P tau / (4 mu_s mu_v), with tau 0.00241, P = 3/4 (1 + cos² 30°) at B10 without water."""
    angles = Angles(30, 0)
    terms = transfer(Atmosphere(aerosol=0, vapour=0, ozone=0), angles)
    by_hand = 0.75 * (1 + math.cos(math.radians(30)) ** 2) * 0.00241 / (4 * math.cos(math.radians(30)))
    assert terms.path[NAMES.index("B10")] == pytest.approx(by_hand, rel=0.02)


def test_blue_path_reflectance_of_pure_air() -> None:
    """By hand for 443 nm, 30° sun, nadir: single scattering 0.070, Sobolev's multiple scattering 0.0134 more."""
    path = transfer(Atmosphere(aerosol=0, vapour=0, ozone=0), NOON).path
    assert path[0] == pytest.approx(0.0835, abs=0.001)
    assert (np.diff(path[:9]) < 0).all()


def test_gases_absorb_where_they_do() -> None:
    terms = transfer(Atmosphere(aerosol=0.0), NOON)
    share = dict(zip(NAMES, terms.up * (terms.direct + terms.diffuse), strict=True))
    assert share["B10"] < 1e-3
    assert 0.15 < share["B09"] < 0.45
    assert share["B8A"] > 0.97
    # Ozone in the Chappuis band: exp(-0.104 * 0.32 * 2.15) = 0.931.
    dry = transfer(Atmosphere(aerosol=0.0, ozone=0), NOON)
    assert terms.up[2] / dry.up[2] == pytest.approx(0.931, abs=0.003)


def test_high_clouds_show_in_b10_and_low_ones_dont() -> None:
    clear_above = [above(Atmosphere(), NOON, height)[NAMES.index("B10")] for height in (1000, 5000, 10_000)]
    assert clear_above[0] < 0.03
    assert 0.1 < clear_above[1] < 0.6
    assert clear_above[2] > 0.8


@given(AIR, ANGLES)
def test_light_is_neither_made_nor_negative(air: Atmosphere, angles: Angles) -> None:
    terms = transfer(air, angles)
    for term in (terms.path, terms.direct, terms.diffuse, terms.up, terms.back):
        assert (term >= 0).all()
        assert (term <= 1).all()
    assert (terms.direct + terms.diffuse <= 1 + 1e-9).all()
    assert terms.to_top(2, np.ones((1, 1), np.float32))[0, 0] < 1.15


@given(AIR, ANGLES, st.floats(0.005, 0.9))
def test_correction_with_the_true_air_gives_the_ground_back(air: Atmosphere, angles: Angles, ground: float) -> None:
    terms = transfer(air, angles)
    surface = np.full((2, 2), ground, np.float32)
    for band in (0, 3, 7, 12):
        assert terms.to_surface(band, terms.to_top(band, surface)) == pytest.approx(surface, abs=2e-5)
    with pytest.raises(ValueError, match="B10"):
        terms.to_surface(NAMES.index("B10"), surface)


def test_what_the_correction_leaves_is_what_sen2cor_is_allowed() -> None:
    """Required of Sen2Cor: 0.05 rho + 0.005. One standard deviation must be near that, and most in the blue."""
    random = np.random.default_rng(1)
    true = Atmosphere()
    left = {}
    for band, ground in (("B02", 0.05), ("B04", 0.05), ("B8A", 0.35), ("B12", 0.15)):
        number = NAMES.index(band)
        top = transfer(true, NOON).to_top(number, np.full((1, 1), ground, np.float32))
        found = [transfer(misjudged(true, random), NOON).to_surface(number, top)[0, 0] - ground for _ in range(200)]
        left[band] = float(np.std(found)) / (0.05 * ground + 0.005)
    assert 0.15 < left["B02"] < 1.2
    assert all(0.02 < one < 1.2 for one in left.values())
    assert left["B12"] < left["B02"]


def test_forest_looks_from_the_top_as_in_real_scenes(real_data: Path) -> None:
    """The dark forest of three real clear L1C scenes: simulated numbers lie within each scene's own range, B09 and B10 too."""
    forest = dict(
        zip(NAMES, (0.012, 0.018, 0.038, 0.02, 0.055, 0.18, 0.23, 0.25, 0.27, 0.27, 0.2, 0.12, 0.05), strict=True)
    )
    window = Window(32633, 46_200, 507_600, 60, 60)
    surface = np.empty((13, *with_margin(window).shape), np.float32)
    for number, value in enumerate(forest.values()):
        surface[number] = value
    days = {
        "20150711T100008": (27.0, 192, 2.2, 0.12),
        "20150830T100547": (38.7, 242, 2.4, 0.22),
        "20150909T100017": (42.5, 252, 1.2, 0.22),
    }
    for name, (zenith, day, vapour, aerosol) in days.items():
        scene = observe(
            surface.copy(), window, Angles(zenith, 155), Sky(Atmosphere(aerosol=aerosol, vapour=vapour)),
            instrument=Instrument("S2A", day), baseline="02.04", seed=1,
        )  # fmt: skip
        folder = real_data / "slovenia-l1c-2015" / "sentinel-2-l1c" / f"S2A_33TWM_{name}_L1C"
        for band in NAMES:
            with rasterio.open(folder / f"{band}.tif") as file:
                low, high = np.percentile(file.read(1), [0.5, 99.5])
            slack = 3 if band == "B10" else 30 if band == "B01" else 0  # which have hardly any range over forest
            assert low - slack <= np.median(scene.l1c[band]) <= high + slack, (name, band, low, high)


@pytest.mark.parametrize("wrong", [{"aerosol": -0.1}, {"vapour": 20}, {"pressure": 10}, {"albedo": 1.2}])
def test_impossible_air_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        Atmosphere(**wrong)
    with pytest.raises(RequestError, match="sun at a zenith of 90"):
        Angles(90, 0)
