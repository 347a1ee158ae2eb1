"""The instrument: noise of the variance that real metadata state, the blur asked for, numbers as products have them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import RequestError
from catalog.grid import Window
from catalog.orbits.angles import Angles
from catalog.products import BANDS, SATURATED
from processors.simulation.instrument.instrument import MARGIN, RADIOMETRY, Instrument, sample, to_numbers, whole_pixels

ANGLES = Angles(40, 150)
INSTRUMENT = Instrument("S2A", 180)
WINDOW = Window(32633, 50_004, 500_004, 360, 360)


def flat(value: float, window: Window = WINDOW) -> np.ndarray:
    return np.full((window.height + 2 * MARGIN, window.width + 2 * MARGIN), value, np.float32)


@pytest.mark.parametrize("band", BANDS)
def test_noise_of_flat_fields_has_the_stated_variance(band: str) -> None:
    """By hand: counts = A L; variance of counts ALPHA² + BETA L; back to reflectance through pi / (E U cos)."""
    one, reflectance = RADIOMETRY["S2A"][band], 0.2
    measured = INSTRUMENT.measure(band, flat(reflectance), WINDOW, ANGLES, seed=3)
    per_reflectance = one.irradiance * INSTRUMENT.sun_distance * math.cos(math.radians(40)) / math.pi
    expected = math.sqrt(one.alpha**2 + one.beta * reflectance * per_reflectance) / (one.gain * per_reflectance)
    assert measured.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * measured.size))
    assert measured.mean() == pytest.approx(
        reflectance + (6e-4 if band == "B10" else 0), abs=5 * expected / math.sqrt(measured.size)
    )


def test_noise_is_what_was_measured_in_orbit() -> None:
    """Signal-to-noise ratios at the reference radiances: required (ESA, 2015), and 2A's first in orbit (Gascon et al., 2017)."""
    required = dict(zip(BANDS, (129, 154, 168, 142, 117, 89, 105, 174, 72, 114, 50, 100, 100), strict=True))
    in_orbit = dict(zip(BANDS, (1372, 214, 249, 230, 253, 220, 227, 221, 161, 222, 390, 159, 167), strict=True))
    for band, one in RADIOMETRY["S2A"].items():
        ratio = one.gain * one.reference / math.sqrt(one.alpha**2 + one.beta * one.reference)
        if band != "B09":  # its pixels of 60 m are means of three, the model is of one
            assert ratio > required[band], band
        if BANDS[band].resolution < 60:
            assert ratio == pytest.approx(in_orbit[band], rel=0.3), band


def test_constants_are_those_of_the_real_metadata(real_data: Path) -> None:
    folder = next((real_data / "safe").glob("S2A_MSIL1C_*T56JMM*"))
    strip = next(folder.glob("DATASTRIP/*/MTD_DS.xml")).read_text()
    product = (folder / "MTD_MSIL1C.xml").read_text()
    ours = RADIOMETRY["S2A"].values()
    assert [float(text) for text in re.findall("<ALPHA>(.*?)<", strip)] == [one.alpha for one in ours]
    assert [float(text) for text in re.findall("<BETA>(.*?)<", strip)] == [one.beta for one in ours]
    assert [float(text) for text in re.findall("<SOLAR_IRRADIANCE[^>]*>(.*?)<", product)] == [
        one.irradiance for one in ours
    ]
    gains = [float(text) for text in re.findall("<PHYSICAL_GAINS[^>]*>(.*?)<", product)]
    assert gains == pytest.approx([one.gain for one in ours], rel=1e-4)
    distance = float(re.findall("<U>(.*?)<", product)[0])
    assert Instrument("S2A", 180).sun_distance == pytest.approx(distance, abs=0.002)  # 29 June


def test_windows_agree_and_acquisitions_do_not() -> None:
    top = (
        np.random.default_rng(0)
        .uniform(0.1, 0.4, (WINDOW.height + 2 * MARGIN, WINDOW.width + 2 * MARGIN))
        .astype(np.float32)
    )
    part = Window(32633, WINDOW.left + 120, WINDOW.top - 60, 120, 180)
    rows, columns = WINDOW.slices(part)
    of_part = top[rows.start : rows.stop + 2 * MARGIN, columns.start : columns.stop + 2 * MARGIN]
    for band in ("B02", "B05", "B09"):
        factor = BANDS[band].resolution // 10
        whole = INSTRUMENT.measure(band, top, WINDOW, ANGLES, seed=3)
        inside = whole[rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor]
        assert np.array_equal(INSTRUMENT.measure(band, of_part, part, ANGLES, seed=3), inside)
        assert not np.array_equal(INSTRUMENT.measure(band, top, WINDOW, ANGLES, seed=4), whole)
    with pytest.raises(ValueError, match="multiples of 6"):
        INSTRUMENT.measure("B02", flat(0.2), Window(32633, 50_001, 500_004, 360, 360), ANGLES, seed=3)


@pytest.mark.parametrize(("band", "contrast"), [("B03", 0.28), ("B05", 0.31), ("B01", 0.36)])
def test_blur_leaves_the_contrast_at_nyquist(band: str, contrast: float) -> None:
    """A grating of half the sampling frequency, its stripes' means over pixels of 10 m, keeps the contrast that the optics have."""
    factor = BANDS[band].resolution // 10
    size = 240 + 2 * MARGIN
    # Phase such that a pixel's mean is at the crest; fine samples are averaged to the 10 m that the land comes in.
    fine = np.cos(np.pi * (np.arange(size * 50) + 0.5 - MARGIN * 50 - 25 * factor) / (50 * factor))
    row = fine.reshape(size, 50).mean(axis=1)
    top = np.broadcast_to((0.2 + 0.1 * row).astype(np.float32), (size, size))
    sampled = sample(band, np.ascontiguousarray(top))
    found = (sampled.max() - sampled.min()) / 0.2
    # The Gaussian stands for the optics, the mean over the pixel has sinc's 0.637 in place of a Gaussian's 0.663.
    assert found == pytest.approx(contrast, rel=0.06)


def test_numbers_are_those_of_the_baseline() -> None:
    values = np.array([[0.1234, -0.05, -0.2], [np.inf, 8.0, 0.0]], np.float32)
    seen = np.array([[True, True, True], [True, True, False]])
    assert to_numbers(values, "05.09", seen).tolist() == [[2234, 500, 1], [SATURATED, SATURATED - 1, 0]]
    assert to_numbers(values, "02.06", seen).tolist() == [[1234, 1, 1], [SATURATED, SATURATED - 1, 0]]
    assert to_numbers(values, "04.00")[1, 2] == 1000


def test_the_brightest_clouds_saturate() -> None:
    # 308 W/m²/sr/µm in B8A under a high sun: reflectance 308 pi / (955 0.967 cos 40°) = 1.37.
    assert INSTRUMENT.brightest("B8A", ANGLES) == pytest.approx(
        308 * math.pi / (955.32 * INSTRUMENT.sun_distance * 0.766), rel=1e-3
    )
    assert np.isinf(INSTRUMENT.measure("B8A", flat(1.5), WINDOW, ANGLES, seed=1)).all()
    assert np.isfinite(INSTRUMENT.measure("B8A", flat(1.2), WINDOW, ANGLES, seed=1)).all()


def test_half_seen_pixels_are_not_seen() -> None:
    seen = np.ones((12, 12), bool)
    seen[0, 0] = False
    assert whole_pixels(seen, 20).sum() == 35
    assert whole_pixels(seen, 60).sum() == 3


def test_unknown_satellites_are_refused() -> None:
    with pytest.raises(RequestError, match="S2Z"):
        Instrument("S2Z", 1)
