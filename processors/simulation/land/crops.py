"""The crops of the simulated land, with the codes of PASTIS (Garnot & Landrieu, 2021), and what covers the rest of it.

Green leaf area follows degree-days since sowing: it rises by a logistic curve and falls by another (after Baret, 1986, as used by Koetz et
al., 2005). Dates and sums are those of a temperate lowland (`weather.TEMPERATE`), round numbers of agronomy: `calendars` moves
them to other climates, `varieties` to other places, and `fits` holds what statistics of real regions say against them. **What sets the
cereals apart (soft and durum wheat, triticale, mixed cereal: days, leaf angle, chlorophyll, awns) is partly invention**: score them as
one group as well (`Crop.group`). Codes of the EuroCrops taxonomy are HCAT 3 (Schneider et al., 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from processors.simulation.land.surfaces import Top

Habit = Literal["annual", "grass", "woody", "none"]


@dataclass(frozen=True, slots=True)
class Crop:
    """Growth of one crop, or of another cover of the ground. Degree-days are counted from sowing (woody plants: from 1 January)."""

    code: int
    name: str
    colour: str
    group: str
    """Group that it is scored as where kinds that differ little are merged."""
    hcat: str | None = None
    habit: Habit = "annual"
    sowing: int = 0
    """Mean day, counted from 1 January of the year of harvest; negative in the year before."""
    sowing_spread: float = 8.0
    """Standard deviation between fields, days."""
    calendar_spread: float = 1.0
    """Standard deviation between places of the temperature at which it is sown, °C."""
    late: float = 0.15
    """Part of what a long season adds to the window for sowing that passes before the mean field is sown."""
    late_spread: float = 0.12
    """Standard deviation between fields, as a part of that."""
    adapts: float = 0.5
    """How far varieties follow the length of the season: 0 not at all, 1 they use all of it."""
    base: float = 0.0
    """Temperature below which nothing grows, °C."""
    rise: float = 500.0
    """Degree-days at half of the peak."""
    rate: float = 0.01
    """Rate of the rise, 1 / degree-day."""
    peak: float = 4.0
    """Largest leaf area index."""
    fade: float = 1500.0
    """Degree-days at which half of the leaves are dead."""
    fade_rate: float = 0.012
    ripe: float = 1700.0
    """Degree-days at harvest."""
    latest: int = 300
    """Day of the year by which it is harvested in any case."""
    leaf_angle: float = 50.0
    """Mean inclination, degrees."""
    chlorophyll: float = 48.0
    """Chlorophyll of green leaves, µg/cm²."""
    water: float = 0.018
    """Water of green leaves, cm."""
    dry_matter: float = 0.005
    """Dry matter of leaves, g/cm²."""
    structure: float = 1.5
    hotspot: float = 0.1
    cover: float = 1.0
    """Share of the ground that rows or crowns can close."""
    shade: float = 1.0
    """Factor of the reflectance: crowns shade each other."""
    shadow: float = 0.0
    """Open ground in the shadow of rows or trees when the sun is 45 degrees high, as a share of the ground that they cover."""
    top: Top | None = None
    """Flowers, ears or tassels."""
    top_from: float = 0.0
    """Degree-days between which they show."""
    top_until: float = 0.0
    top_share: float = 0.0
    """Share of the canopy that they hide."""
    residue: float = 0.6
    """Share of the ground under straw after harvest."""
    cover_spread: float = 0.08
    """Spread of the cover of rows or crowns between fields, as a logarithm."""
    young: float = 0.0
    """Part of a plantation's life that passes before rows or crowns have closed as far as they will."""
    kinds: float = 0.0
    """Spread of the warmth until leaves are out between kinds that go by one name, as a logarithm."""
    ragged: float = 1.0
    """Factor of the differences between fields."""


def _cereal(code: int, name: str, colour: str, hcat: str, **traits: float) -> Crop:
    usual: dict[str, float] = {
        "sowing": -70,
        "sowing_spread": 9,
        "rise": 950,
        "rate": 0.006,
        "peak": 5.0,
        "fade": 2150,
        "fade_rate": 0.012,
        "ripe": 2350,
        "latest": 232,
        "leaf_angle": 60,
        "chlorophyll": 50,
        "water": 0.02,
        "structure": 1.5,
        "top": Top.EAR,
        "top_from": 1560,
        "top_until": 2500,
        "top_share": 0.08,
        "residue": 0.65,
    }
    return Crop(code, name, colour, "cereal", hcat, **{**usual, **traits})  # type: ignore[arg-type]


MEADOW, ORCHARD, GRAPEVINE, FODDER = 1, 16, 8, 14
WOOD, WATER, VILLAGE, ROAD, HEDGE, EDGE = 20, 21, 22, 23, 24, 25
"""Background kinds; their codes continue after PASTIS's 19, which is void."""

_ALL = (
    Crop(
        MEADOW, "meadow", "#a8d08d", "grassland", "3302000000", habit="grass", peak=4.5, leaf_angle=55, chlorophyll=40,
        water=0.016, dry_matter=0.0055, structure=1.5, ragged=1.2,
    ),
    _cereal(2, "soft winter wheat", "#f2d34f", "3301010101"),
    Crop(
        3, "corn", "#e8702a", "corn", "3301010600", sowing=115, sowing_spread=8, base=8, rise=400, rate=0.015, peak=4.8,
        fade=1150, fade_rate=0.011, ripe=1240, latest=300, leaf_angle=57, chlorophyll=50, water=0.016, structure=1.4,
        top=Top.TASSEL, top_from=620, top_until=1400, top_share=0.10, residue=0.35,
    ),
    _cereal(
        4, "winter barley", "#d9b26f", "3301010401", sowing=-85, rise=950, rate=0.0055, peak=5.2, fade=1980, ripe=2150,
        latest=212, leaf_angle=55, chlorophyll=48, water=0.02, top_from=1550, top_until=2300, top_share=0.15,
    ),
    Crop(
        5, "winter rapeseed", "#fff04a", "rapeseed", "3301060401", sowing=-125, sowing_spread=7, rise=620, rate=0.0065,
        peak=4.8, fade=2560, fade_rate=0.010, ripe=2820, latest=222, leaf_angle=42, chlorophyll=52, water=0.026, structure=1.6,
        top=Top.RAPE_FLOWER, top_from=1700, top_until=2080, top_share=0.62, residue=0.5,
    ),
    _cereal(
        6, "spring barley", "#e9c98f", "3301010402", sowing=76, rise=470, rate=0.0095, peak=4.6, fade=1480, fade_rate=0.012,
        ripe=1690, latest=228, leaf_angle=56, chlorophyll=46, top_from=950, top_until=1800, top_share=0.15,
    ),
    Crop(
        7, "sunflower", "#f7b733", "sunflower", "3301060500", sowing=112, base=6, rise=480, rate=0.013, peak=3.6, fade=1380,
        fade_rate=0.011, ripe=1560, latest=275, leaf_angle=35, chlorophyll=45, water=0.022, structure=1.7,
        top=Top.SUNFLOWER, top_from=780, top_until=1050, top_share=0.30, residue=0.3,
    ),
    Crop(
        GRAPEVINE, "grapevine", "#7b3fa0", "permanent", "3303060000", habit="woody", base=8, rise=260, rate=0.012, peak=3.0,
        fade=310, leaf_angle=52, chlorophyll=42, cover=0.40, cover_spread=0.30, young=0.12, kinds=0.1, shade=0.85, shadow=0.5, ragged=1.5,
    ),
    Crop(
        9, "beet", "#b8479b", "beet", "3301290700", sowing=92, sowing_spread=8, base=3, rise=780, rate=0.009, peak=4.5,
        fade=3300, fade_rate=0.006, ripe=2420, latest=325, leaf_angle=38, chlorophyll=44, water=0.024, dry_matter=0.0045,
        structure=1.7, residue=0.15,
    ),
    _cereal(
        10, "winter triticale", "#cfa84a", "3301010801", sowing=-78, rise=840, rate=0.0056, peak=5.5, fade=2260, ripe=2480,
        leaf_angle=58, chlorophyll=45, dry_matter=0.0056, top_from=1500, top_share=0.13,
    ),
    _cereal(
        11, "winter durum wheat", "#f5e08a", "3301010201", sowing=-64, rise=900, rate=0.0060, peak=4.5, fade=2080, ripe=2290,
        leaf_angle=66, chlorophyll=47, top_from=1480, top_share=0.15,
    ),
    Crop(
        12, "fruits, vegetables, flowers", "#f08080", "vegetables", "3301070000", sowing=118, sowing_spread=26, base=5, rise=430,
        rate=0.012, peak=3.2, fade=1500, fade_rate=0.008, ripe=1350, latest=310, leaf_angle=42, chlorophyll=42, water=0.028,
        structure=1.6, cover=0.8, residue=0.15, ragged=2.0,
    ),
    Crop(
        13, "potatoes", "#8c5a2b", "potatoes", "3301030000", sowing=110, sowing_spread=8, base=4, rise=500, rate=0.0135, peak=4.5,
        fade=1640, fade_rate=0.009, ripe=1760, latest=280, leaf_angle=33, chlorophyll=40, water=0.022, dry_matter=0.004,
        structure=1.75, residue=0.1,
    ),
    Crop(
        FODDER, "leguminous fodder", "#2f7d5b", "fodder", "3301090300", habit="grass", sowing=-120, peak=4.8, leaf_angle=44,
        chlorophyll=47, water=0.021, dry_matter=0.0042, structure=1.6, ragged=1.1,
    ),
    Crop(
        15, "soybeans", "#5f9e3a", "soybeans", "3301160000", sowing=126, late=0.42, late_spread=0.16, adapts=0.8,
        base=8, rise=420, rate=0.012, peak=4.8, fade=1120,
        fade_rate=0.012, ripe=1260, latest=290, leaf_angle=36, chlorophyll=42, water=0.018, dry_matter=0.004, structure=1.6,
        residue=0.4,
    ),
    Crop(
        ORCHARD, "orchard", "#c0504d", "permanent", "3303010000", habit="woody", base=5, rise=230, rate=0.014, peak=3.4, fade=300,
        leaf_angle=50, chlorophyll=50, cover=0.58, shade=0.75, shadow=0.7, top=Top.BLOSSOM, top_from=110, top_until=200, top_share=0.25,
        cover_spread=0.3,
        young=0.33, kinds=0.25, ragged=1.3,
    ),
    _cereal(
        17, "mixed cereal", "#d7bf6a", "3301010000", sowing=-66, sowing_spread=16, rise=860, peak=4.7, fade=2240, leaf_angle=58,
        chlorophyll=44, top_share=0.10, ragged=1.4,
    ),
    Crop(
        18, "sorghum", "#a0522d", "sorghum", "3301010900", sowing=134, late=0.25, base=9, rise=350, rate=0.015, peak=4.0, fade=1080,
        fade_rate=0.010, ripe=1180, latest=292, leaf_angle=55, chlorophyll=46, structure=1.4, top=Top.TASSEL, top_from=620,
        top_until=1400, top_share=0.25, residue=0.4,
    ),
    Crop(
        WOOD, "wood", "#1f5d2e", "background", habit="woody", base=5, rise=210, rate=0.016, peak=5.0, fade=302, leaf_angle=45,
        chlorophyll=48, water=0.014, dry_matter=0.007, structure=1.7, cover=0.95, shade=0.72, ragged=1.3,
    ),
    Crop(WATER, "water", "#3f7fbf", "background", habit="none"),
    Crop(
        VILLAGE, "village", "#9a8c80", "background", habit="woody", base=5, rise=200, rate=0.014, peak=3.0, fade=302,
        leaf_angle=50, chlorophyll=44, cover=0.45, shade=0.85, shadow=0.5,
    ),
    Crop(ROAD, "road", "#6b6b6b", "background", habit="grass", peak=2.5, cover=0.25),
    Crop(
        HEDGE, "hedge", "#3c7a3c", "background", habit="woody", base=5, rise=190, rate=0.016, peak=4.0, fade=305, leaf_angle=45,
        chlorophyll=46, dry_matter=0.006, cover=0.85, shade=0.75,
    ),
    Crop(EDGE, "grassland edge", "#c6dba8", "background", habit="grass", peak=3.2, leaf_angle=55, chlorophyll=38, dry_matter=0.007),
)  # fmt: skip

CROPS: Mapping[int, Crop] = MappingProxyType({crop.code: crop for crop in _ALL})
"""Crops by code: 1 to 18 are crops, from 20 on background."""


def is_crop(code: int) -> bool:
    return code < WOOD
