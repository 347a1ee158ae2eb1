"""A small synthetic farmland: fields and what grows on them, and how bright they are on a day.

Thrown away when the mission simulator replaces `embedded`. The shapes of the curves are the usual double logistic (Beck et
al., 2006); spectra and dates are plausible for the Po plain, fitted to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from catalog.products import LEVEL_BANDS

Floats = npt.NDArray[np.float64]

BANDS = LEVEL_BANDS["L2A"]

# Bottom-of-atmosphere reflectance in the order of BANDS: B01 ... B08 B8A B09 B11 B12.
_SOIL = np.array([0.08, 0.10, 0.13, 0.16, 0.18, 0.195, 0.205, 0.22, 0.23, 0.235, 0.29, 0.25])
_GREEN = np.array([0.02, 0.025, 0.055, 0.03, 0.085, 0.27, 0.36, 0.40, 0.42, 0.42, 0.20, 0.095])
_DRY = np.array([0.07, 0.09, 0.13, 0.17, 0.21, 0.25, 0.28, 0.31, 0.33, 0.33, 0.36, 0.24])
_FLOWER = np.array([0.03, 0.04, 0.15, 0.13, 0.18, 0.31, 0.37, 0.40, 0.41, 0.41, 0.21, 0.11])
_WATER = np.array([0.06, 0.065, 0.07, 0.05, 0.045, 0.03, 0.03, 0.025, 0.02, 0.02, 0.012, 0.01])
_STONE = np.array([0.12, 0.13, 0.15, 0.165, 0.175, 0.185, 0.19, 0.20, 0.205, 0.205, 0.23, 0.21])


@dataclass(frozen=True, slots=True)
class Crop:
    """How one crop grows; days of the year are those of the middle of a rise or fall."""

    code: int
    name: str
    colour: str
    share: float
    """Of the fields."""
    green_up: float
    rise: float
    """Steepness, 1/day."""
    senescence: float
    fall: float
    harvest: float
    cover: float
    """Fraction of the ground that is green at the peak."""
    winter_cover: float = 0.0
    flowering: tuple[float, float] | None = None
    cuts: tuple[float, ...] = ()
    near_infrared: float = 1.0
    """Multiplies the bands from B06 to B09."""
    short_wave: float = 1.0
    """Multiplies B11 and B12."""


CROPS = (
    Crop(110, "winter wheat", "#e2b33c", 0.24, 78, 0.075, 158, 0.13, 180, 0.92, 0.22),
    Crop(120, "winter barley", "#f3e08b", 0.11, 70, 0.08, 139, 0.14, 162, 0.88, 0.26, near_infrared=0.96),
    Crop(210, "maize", "#e8702a", 0.21, 147, 0.12, 238, 0.08, 262, 0.93, near_infrared=0.97, short_wave=1.08),
    Crop(220, "soybean", "#5f9e3a", 0.15, 171, 0.12, 252, 0.09, 268, 0.92, near_infrared=1.14),
    Crop(310, "sugar beet", "#b8479b", 0.10, 126, 0.10, 260, 0.06, 275, 0.96, near_infrared=1.08, short_wave=0.82),
    Crop(410, "rapeseed", "#fff04a", 0.08, 62, 0.09, 148, 0.11, 172, 0.90, 0.34, flowering=(94, 118)),
    Crop(510, "alfalfa", "#2f7d5b", 0.11, 66, 0.07, 320, 0.05, 340, 0.90, 0.30, cuts=(122, 153, 184), short_wave=0.92),
)

BACKGROUND_CODE = 900
WOOD, WATER, ROAD, VILLAGE = range(len(CROPS), len(CROPS) + 4)
"""Kinds of ground beside the crops, which are their own index."""


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """What lies where; arrays are (H, W)."""

    kind: npt.NDArray[np.uint8]
    field: npt.NDArray[np.int32]
    """Number of the field, -1 off the fields."""
    margin: npt.NDArray[np.bool_]
    """Field edges: half grass."""
    shift: Floats
    """Days that growth is late."""
    vigour: Floats
    """Multiplies the green cover."""
    brightness: Floats
    """Multiplies the soil's reflectance."""

    def codes(self) -> npt.NDArray[np.uint16]:
        """Label code of every pixel (H, W)."""
        table = np.array([crop.code for crop in CROPS] + [BACKGROUND_CODE] * 4, dtype=np.uint16)
        codes: npt.NDArray[np.uint16] = table[self.kind]
        return codes

    def reflectance(self, day: float, wetness: float) -> Floats:
        """Surface reflectance (B, H, W) on a day of the year; ``wetness`` 0 to 1 darkens the soil."""
        soil = _SOIL[:, None, None] * self.brightness * (1 - 0.35 * wetness)
        scene = soil.copy()
        for index, crop in enumerate(CROPS):
            here = self.kind == index
            scene[:, here] = _grown(crop, day - self.shift[here], self.vigour[here], soil[:, here])
        leaves = 0.25 + 0.65 * _logistic(day - self.shift, 100, 0.12) * self.vigour
        wood = leaves * _GREEN[:, None, None] * 0.85 + (1 - leaves) * soil * 0.55
        grass = (0.35 + 0.4 * _logistic(np.full(self.kind.shape, day), 80, 0.08)) * self.vigour
        meadow = grass * _GREEN[:, None, None] + (1 - grass) * soil
        stone = _STONE[:, None, None] * self.brightness
        scene = np.where(self.margin, 0.5 * scene + 0.5 * meadow, scene)
        scene = np.where(self.kind == WOOD, wood, scene)
        scene = np.where(self.kind == WATER, _WATER[:, None, None] * (0.9 + 0.1 * self.brightness), scene)
        scene = np.where(self.kind == ROAD, 0.7 * stone + 0.3 * meadow, scene)
        roofs = np.clip(self.vigour - 0.55, 0.15, 0.9)
        scene = np.where(self.kind == VILLAGE, roofs * stone + (1 - roofs) * meadow, scene)
        # The instrument's point spread mixes neighbours.
        blurred: Floats = ndimage.gaussian_filter(scene, (0, 0.45, 0.45))
        return blurred


def make_landscape(size: int, random: np.random.Generator) -> Landscape:
    """Fields of about 1 to 8 ha in blocks turned against north, with woods, a river, a road and a village."""
    field, margin = _parcels(size, random)
    count = int(field.max()) + 1
    crop_of_field = _drawn_crops(count, random)
    kind = crop_of_field[field]
    rows, columns = np.mgrid[:size, :size].astype(float)
    bend = 0.045 * size * np.sin(rows / size * 5.3) + 0.02 * size * np.sin(rows / size * 13 + 1)
    kind[smooth_noise(size, random, 0.05 * size) > 1.75] = WOOD
    village = np.hypot(rows - 0.74 * size, columns - 0.70 * size) + 3 * smooth_noise(size, random, 4)
    kind[village < 0.075 * size] = VILLAGE
    kind[np.abs(0.52 * size + 0.35 * (columns - 0.5 * size) - rows) < 1.1] = ROAD
    kind[np.abs(columns - 0.2 * size - 0.12 * rows - bend) < max(2.0, 0.012 * size)] = WATER
    off_fields = kind >= len(CROPS)
    within = smooth_noise(size, random, 3.0)
    return Landscape(
        kind=kind.astype(np.uint8),
        field=np.where(off_fields, -1, field).astype(np.int32),
        margin=margin & ~off_fields,
        shift=random.normal(0, 5, count)[field] + 1.5 * within,
        vigour=np.clip(
            random.normal(1, 0.07, count)[field] + 0.05 * within + random.normal(0, 0.02, (size, size)), 0.5, 1.08
        )
        - np.where(kind == VILLAGE, random.uniform(0, 0.5, (size, size)), 0),
        brightness=np.clip(random.normal(1, 0.09, count)[field] + 0.05 * smooth_noise(size, random, 8), 0.6, 1.4),
    )


def _parcels(size: int, random: np.random.Generator) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Field numbers (H, W) and edges of fields: rectangles cut in two until they are small enough, in turned axes."""
    rows, columns = np.mgrid[:size, :size].astype(float)
    angle = math.radians(random.uniform(12, 24))
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    field = np.zeros((size, size), np.int32)
    margin = np.zeros((size, size), bool)
    todo = [(along.min() - 1, along.max() + 1, across.min() - 1, across.max() + 1)]
    number = 0
    while todo:
        left, right, low, high = todo.pop()
        inside = (along >= left) & (along < right) & (across >= low) & (across < high)
        if not inside.any():
            continue
        width, height = right - left, high - low
        if width * height < random.uniform(250, 900) and max(width, height) < 60:
            field[inside] = number
            margin |= inside & ((along - left < 1) | (across - low < 1))
            number += 1
            continue
        cut = random.uniform(0.36, 0.64)
        if width > 0.8 * height:
            middle = left + cut * width
            todo += [(left, middle, low, high), (middle, right, low, high)]
        else:
            middle = low + cut * height
            todo += [(left, right, low, middle), (left, right, middle, high)]
    return field, margin


def _drawn_crops(count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """A crop for each field, in the crops' shares and none forgotten, in random order."""
    shares = np.cumsum([crop.share for crop in CROPS])
    drawn = np.searchsorted(shares / shares[-1], (np.arange(count) + 0.5) / count)
    crops: npt.NDArray[np.int64] = random.permutation(drawn)
    return crops


def _grown(crop: Crop, day: Floats, vigour: Floats, soil: Floats) -> Floats:
    """Reflectance (B, N) of one crop's pixels, each on its own day of growth (N,)."""
    standing = 1 - _logistic(day, crop.senescence, crop.fall)
    green = crop.winter_cover + (crop.cover - crop.winter_cover) * _logistic(day, crop.green_up, crop.rise)
    for cut in crop.cuts:
        # Cut to stubble within a day, grown again after three weeks.
        green = green * (1 - 0.72 * _logistic(day, cut, 2.0) * (1 - _logistic(day, cut + 15, 0.3)))
    green = np.clip(green * standing * vigour, 0, 1)
    ripe = crop.cover * (1 - standing) * _logistic(day, crop.green_up, crop.rise)
    stubble = 0.45 + 0.55 * (1 - _logistic(day, crop.harvest, 0.8))
    dry = np.clip(ripe * stubble, 0, 1 - green)
    leaf = _GREEN.copy()
    leaf[BANDS.index("B06") : BANDS.index("B09") + 1] *= crop.near_infrared
    leaf[BANDS.index("B11") :] *= crop.short_wave
    canopy = np.broadcast_to(leaf[:, None], soil.shape)
    if crop.flowering is not None:
        first, last = crop.flowering
        bloom = 0.8 * _logistic(day, first, 0.5) * (1 - _logistic(day, last, 0.4))
        canopy = bloom * _FLOWER[:, None] + (1 - bloom) * canopy
    grown: Floats = green * canopy + dry * _DRY[:, None] + (1 - green - dry) * soil
    return grown


def _logistic(day: Floats, middle: float, steepness: float) -> Floats:
    curve: Floats = 1 / (1 + np.exp(-np.clip(steepness * (day - middle), -50, 50)))
    return curve


def smooth_noise(size: int, random: np.random.Generator, scale: float) -> Floats:
    """Smooth periodic noise (H, W), mean 0 and standard deviation 1; ``scale`` in pixels."""
    noise: Floats = ndimage.gaussian_filter(random.normal(size=(size, size)), scale, mode="wrap")
    normal: Floats = (noise - noise.mean()) / noise.std()
    return normal
