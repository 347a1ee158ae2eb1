"""Cloud handling and normalisation against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agrunet.data.inputs import Normalisation, channels, interpolate, measure_normalisation, pad_edges, prepare, stack
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError

IDENTITY = Normalisation(mean=(0.0,), std=(1.0,))


def _patch(
    series: list[int], clear: list[int], days: list[int], dtype: type[np.uint16 | np.int16] = np.uint16
) -> Patch:
    """One pixel, one band."""
    values = np.array(series, dtype=dtype).reshape(-1, 1, 1, 1)
    return Patch(values, np.array(clear, dtype=bool).reshape(-1, 1, 1), np.array(days, dtype=np.int32))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_interpolation_by_hand(dtype: type[np.uint16 | np.int16]) -> None:
    patch = _patch([9, 100, 9, 9, 200, 9, 80, 9], [0, 1, 0, 0, 1, 0, 1, 0], [0, 10, 20, 35, 50, 55, 60, 90], dtype)
    found = prepare(stack([patch]), IDENTITY, "interpolate").flatten().tolist()
    assert found == pytest.approx([100, 100, 125, 162.5, 200, 140, 80, 80])


def test_interpolation_agrees_with_numpy_for_every_pixel() -> None:
    rng = np.random.default_rng(1)
    T, C, H, W = 15, 3, 6, 5
    values, clear = rng.normal(size=(2, T, C, H, W)), rng.random((2, T, H, W)) < 0.4
    clear[:, 4] = True
    days = np.sort(rng.choice(200, (2, T), replace=False), axis=1)
    found = interpolate(torch.tensor(values), torch.tensor(clear), torch.tensor(days)).numpy()
    for b, c, h, w in np.ndindex(2, C, H, W):
        seen = clear[b, :, h, w]
        wanted = np.interp(days[b], days[b][seen], values[b, seen, c, h, w])
        np.testing.assert_allclose(found[b, :, c, h, w], wanted, atol=1e-5)


def test_a_pixel_that_is_never_clear_gets_the_mean() -> None:
    normalisation = Normalisation(mean=(50.0,), std=(10.0,))
    values = prepare(stack([_patch([9000, 1], [0, 0], [0, 5])]), normalisation, "interpolate")
    assert values.flatten().tolist() == [0, 0]


def test_values_above_int16_are_kept() -> None:
    found = prepare(stack([_patch([40000, 65535], [1, 1], [0, 5])]), IDENTITY, "raw")
    assert found.flatten().tolist() == [40000, 65535]


def test_raw_normalises_and_nothing_else() -> None:
    found = prepare(stack([_patch([10, 30], [1, 0], [0, 5])]), Normalisation(mean=(20.0,), std=(5.0,)), "raw")
    assert found.flatten().tolist() == [-2, 2]


def test_zero_hides_clouds_and_appends_the_clear_mask() -> None:
    found = prepare(stack([_patch([10, 30], [1, 0], [0, 5])]), Normalisation(mean=(20.0,), std=(5.0,)), "zero")
    assert found.shape == (1, 2, channels(1, "zero"), 1, 1)
    assert found[0, :, 0].flatten().tolist() == [-2, 0]
    assert found[0, :, 1].flatten().tolist() == [1, 0]


@pytest.mark.parametrize("cloud_input", ["raw", "interpolate", "zero"])
def test_padded_dates_change_nothing_and_are_zero(cloud_input: str) -> None:
    short, long = _patch([10, 30], [1, 0], [0, 5]), _patch([1, 2, 3, 4], [1, 1, 1, 0], [0, 5, 9, 12])
    together = prepare(stack([short, long]), IDENTITY, cloud_input)
    torch.testing.assert_close(together[:1, :2], prepare(stack([short]), IDENTITY, cloud_input))
    assert together[0, 2:].abs().max() == 0


def test_normalisation_by_hand_over_clear_chosen_pixels() -> None:
    values = np.array([[[[1, 2]], [[10, 10]]], [[[3, 60]], [[10, 70]]]], dtype=np.uint16)  # (T=2, C=2, H=1, W=2)
    clear = np.array([[[True, True]], [[True, False]]])
    patch = Patch(values, clear, np.array([0, 5], dtype=np.int32))
    both = measure_normalisation([(patch, np.array([[True, True]]))])
    assert both.mean == pytest.approx((2, 10))
    assert both.std == pytest.approx((np.sqrt(2 / 3), 1))  # a band that never changes gets 1
    left = measure_normalisation([(patch, np.array([[True, False]])), (patch, np.array([[True, False]]))])
    assert left.mean == pytest.approx((2, 10))


def test_no_clear_training_pixel_is_an_error() -> None:
    with pytest.raises(AgrunetError, match="no labelled training pixel is clear"):
        measure_normalisation([(_patch([1], [0], [0]), np.array([[True]]))])


def test_bands_that_do_not_fit_the_normalisation_are_refused() -> None:
    with pytest.raises(AgrunetError, match="hold 1 bands, the normalisation 2"):
        prepare(stack([_patch([1], [1], [0])]), Normalisation(mean=(0.0, 0.0), std=(1.0, 1.0)), "raw")


def test_edges_are_repeated_up_to_the_multiple() -> None:
    values = np.arange(6, dtype=np.uint16).reshape(1, 1, 2, 3) + 60000
    clear = np.array([[[True, True, False], [False, True, True]]])
    padded = pad_edges(stack([Patch(values, clear, np.zeros(1, dtype=np.int32))]), 4)
    assert (padded.values[0, 0, 0] - 60000).tolist() == [[0, 1, 2, 2], *[[3, 4, 5, 5]] * 3]
    assert padded.clear[0, 0].tolist() == [[True, True, False, False], *[[False, True, True, True]] * 3]
