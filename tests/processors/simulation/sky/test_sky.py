"""Clouds: exact neighbours, exact shadows, the cover asked for, and spectra in the right order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import RequestError
from catalog.grid import Window
from catalog.orbits.angles import Angles
from processors.simulation.mission.classification import Errors, classify
from processors.simulation.noise.fractal import fractal
from processors.simulation.sky.atmosphere import NAMES, Atmosphere
from processors.simulation.sky.cloud_optics import layer, step_of, two_streams
from processors.simulation.sky.sky import CloudLayer, Sky, add_layers, add_snow, look, random_sky, thickness

ANGLES = Angles(42, 150, 6, 100)
CUMULUS = CloudLayer("cumulus", 0.25, 1300, 14, 2500)
CIRRUS = CloudLayer("cirrus", 0.4, 9500, 0.8, 9000)
HAZE = CloudLayer("haze", 0.5, 800, 0.3, 8000)
SKY = Sky(Atmosphere(), (HAZE, CUMULUS, CIRRUS), snow=0.3)
WHOLE = Window(32633, 50_004, 500_004, 180, 150)


@settings(max_examples=15)
@given(st.integers(0, 120), st.integers(0, 90), st.integers(1, 60), st.integers(1, 60))
def test_any_part_is_as_in_the_whole(column: int, row: int, width: int, height: int) -> None:
    part = Window(32633, WHOLE.left + column, WHOLE.top - row, width, height)
    inside = WHOLE.slices(part)
    all_of_it, some = look(SKY, 7, WHOLE, ANGLES), look(SKY, 7, part, ANGLES)
    for one, other in zip(all_of_it.thickness, some.thickness, strict=True):
        assert np.array_equal(one[inside], other)
    assert all_of_it.beam is not None
    assert some.beam is not None
    assert np.array_equal(all_of_it.beam[inside], some.beam)
    assert np.array_equal(all_of_it.classes[inside], some.classes)


def test_noise_is_normal_and_another_seed_another_sky() -> None:
    # 400 km: some hundred of the largest structures.
    window = Window(32633, 100, 50_000, 400, 400)
    coarse = fractal(1, 2, window, 100.0)
    assert coarse.mean() == pytest.approx(0, abs=0.05)
    assert coarse.std() == pytest.approx(1, abs=0.05)
    assert (coarse > 1).mean() == pytest.approx(0.159, abs=0.02)
    assert abs(np.corrcoef(coarse.ravel(), fractal(2, 2, window, 100.0).ravel())[0, 1]) < 0.05
    assert np.abs(np.diff(coarse, axis=1)).mean() < np.abs(coarse - coarse[:, ::-1]).mean() / 2


@pytest.mark.parametrize("cover", [0.05, 0.3, 0.8])
def test_cover_is_what_was_asked_for(cover: float) -> None:
    cloud = CloudLayer("cumulus", cover, 1300, 14, 150)
    found = [thickness(cloud, seed, 0, Window(32633, 50_000, 500_000, 300, 300), (0, 0)) > 0 for seed in range(12)]
    assert np.mean(found) == pytest.approx(cover, abs=0.03)
    assert not thickness(CloudLayer("cumulus", 0, 1300, 14, 150), 1, 0, WHOLE, (0, 0)).any()


def test_shadows_lie_where_the_sun_puts_them() -> None:
    """Sun at 45° in the south-east, cloud 700 m x sqrt 2 up: the shadow lies 700 m to the west and 700 m to the north, 70 pixels each."""
    cloud = CloudLayer("cumulus", 0.2, 700 * math.sqrt(2), 30, 900)
    angles = Angles(45, 135)
    view = look(Sky(layers=(cloud,)), 3, Window(32633, 50_000, 500_000, 300, 300), angles)
    assert view.beam is not None
    let_through = layer("water", angles.sun, 1.0).lit[2][step_of(view.thickness[0].copy())]
    below = view.beam[:-70, :-70]
    assert (below < 0.5).any()
    # But for the sun's disc, 13 m wide from there, it is what the cloud lets through.
    edges = np.abs(np.gradient(let_through)).max(axis=0) > 0.02
    assert np.abs(below - let_through[70:, 70:])[~edges[70:, 70:]].max() < 0.03
    for row, column in ((69, 70), (70, 69), (72, 70)):
        moved = let_through[row : row + 228, column : column + 228]
        assert (
            np.abs(below[:228, :228] - let_through[70:298, 70:298]).mean()
            < 0.7 * np.abs(below[:228, :228] - moved).mean()
        )


def test_the_view_displaces_clouds_away_from_the_satellite() -> None:
    cloud = CloudLayer("cumulus", 0.2, 2000, 30, 900)
    window = Window(32633, 50_000, 500_000, 300, 300)
    nadir = look(Sky(layers=(cloud,)), 3, window, Angles(30, 180)).thickness[0]
    # Satellite in the east at a zenith where tan = 0.1: 200 m, 20 pixels to the west.
    tilted = look(Sky(layers=(cloud,)), 3, window, Angles(30, 180, math.degrees(math.atan(0.1)), 90)).thickness[0]
    assert tilted[:, :-20] == pytest.approx(nadir[:, 20:], abs=0.05)


def test_edges_of_high_shadows_are_softer() -> None:
    window = Window(32633, 50_000, 500_000, 300, 300)
    steepest = []
    for height in (500.0, 8000.0):
        beam = look(Sky(layers=(CloudLayer("cumulus", 0.3, height, 60, 900),)), 3, window, ANGLES).beam
        assert beam is not None
        steepest.append(float(np.abs(np.diff(beam, axis=0)).max()))
    assert steepest[1] < 0.6 * steepest[0]


@given(st.floats(0, 60), st.floats(0.1, 1), st.floats(0.5, 0.9))
def test_without_absorption_all_light_comes_out(depth: float, cosine: float, asymmetry: float) -> None:
    reflected, through = two_streams(np.array(depth), np.array(1.0), asymmetry, cosine)
    assert float(reflected + through) == pytest.approx(1, abs=0.02)


def test_thick_clouds_are_bright_and_dark_where_ice_absorbs() -> None:
    """By hand without absorption: 1 - (2/3 + mu) / (4/3 + (1 - g) tau) = 1 - 1.486 / 4.133 = 0.640; ice is darker in B11 than water."""
    step = step_of(np.array([20.0], np.float32))[0]
    water, ice = (layer(kind, math.cos(math.radians(35)), 1.0).reflected[:, step] for kind in ("water", "ice"))
    assert water[NAMES.index("B03")] == pytest.approx(0.640, abs=0.015)
    assert water[NAMES.index("B12")] < water[NAMES.index("B11")] < water[NAMES.index("B8A")]
    assert ice[NAMES.index("B11")] < 0.75 * water[NAMES.index("B11")]


def test_cirrus_shows_in_b10_where_cumulus_does_not() -> None:
    top = {}
    for cloud in (CloudLayer("cirrus", 0.999, 10_000, 1.0, 9000), CloudLayer("cumulus", 0.999, 900, 14, 2500)):
        sky = Sky(layers=(cloud,))
        view = look(sky, 5, WHOLE, ANGLES)
        top[cloud.kind] = np.full(WHOLE.shape, 2e-4, np.float32)
        add_layers(top[cloud.kind], NAMES.index("B10"), sky, view, ANGLES)
    assert top["cirrus"].mean() > 0.03
    assert top["cumulus"].max() < 0.02


def test_shadows_are_bluer_than_sunlit_ground() -> None:
    from processors.simulation.sky.atmosphere import transfer

    terms = transfer(Atmosphere(), ANGLES)
    dark, lit = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    ground = np.full((1, 1), 0.2, np.float32)

    def left(band: str) -> float:
        number = NAMES.index(band)
        path = np.float32(terms.path[number])
        return float(((terms.to_top(number, ground, dark) - path) / (terms.to_top(number, ground, lit) - path))[0, 0])

    assert left("B02") > 2 * left("B8A")


def test_snow_is_white_and_dark_in_the_short_waves() -> None:
    surface = np.full((13, 4, 4), 0.15, np.float32)
    add_snow(surface, np.ones((4, 4), np.float32))
    assert surface[NAMES.index("B03")].min() > 0.8
    assert surface[NAMES.index("B11")].max() < 0.2


def test_the_classification_misses_thin_clouds_and_takes_bright_fields_for_clouds() -> None:
    window = Window(32633, 50_004, 500_004, 720, 720)
    ground = {"B02": 0.17, "B03": 0.2, "B04": 0.24, "B8A": 0.30, "B11": 0.32}
    bright = {band: np.full((360, 360), value, np.float32) for band, value in ground.items()}
    for sky, share in (
        (Sky(), "bright_as_cloud"),
        (Sky(layers=(CloudLayer("stratus", 0.9999, 1000, 1e-3, 2000),)), "thin"),
    ):
        scl, _ = classify(look(sky, 1, window, ANGLES), sky, bright, window, 5, Errors(bright_as_cloud=0.4))
        assert np.isin(scl, (8, 9)).mean() == pytest.approx(0.4, abs=0.1), share
    perfect = Errors(half_seen=0.05, bright_as_cloud=0, shadow_missed=0, cirrus_missed=0)
    sky = Sky(layers=(CloudLayer("cumulus", 0.4, 1000, 20, 600),))
    view = look(sky, 1, window, ANGLES)
    truth = view.classes[::2, ::2]
    found, probability = classify(view, sky, bright, window, 5, perfect)
    usual, _ = classify(view, sky, bright, window, 5, Errors(bright_as_cloud=0))
    cloudy = truth == 1
    assert np.isin(found, (8, 9))[cloudy].mean() > 0.97
    assert 0.6 < np.isin(usual, (8, 9))[cloudy].mean() < np.isin(found, (8, 9))[cloudy].mean()
    assert probability[cloudy].mean() > probability[truth == 0].mean() + 40
    shadow = truth == 2
    assert (found == 3)[shadow].mean() > (usual == 3)[shadow].mean() > 0.2


@pytest.mark.parametrize("cover", [0.0, 0.15, 0.5, 0.9, 1.0])
def test_drawn_skies_have_the_cover_and_can_be_looked_at(cover: float) -> None:
    for seed in range(4):
        sky = random_sky(np.random.default_rng(seed), cover)
        clouds = [one.cover for one in sky.layers if one.kind != "haze"]
        assert 1 - math.prod(1 - one for one in clouds) == pytest.approx(cover, abs=0.01)
        assert look(sky, seed, Window(32633, 0, 500_000, 12, 12), ANGLES).classes.shape == (12, 12)
    with pytest.raises(RequestError, match="not 1"):
        random_sky(np.random.default_rng(0), 1.5)
    with pytest.raises(RequestError, match="cover 2"):
        CloudLayer("cumulus", 2, 1000, 10, 1000)
