"""Products of the simulated mission: its passes are searched, its pixels are simulated when somebody asks for them. **All synthetic.**"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError
from shapely.geometry import mapping

from catalog.antimeridian import cut_geojson, unbroken
from catalog.area import Area
from catalog.errors import ProductError, Reason, RequestError, StoreError
from catalog.grid import Window, in_zone
from catalog.orbits.tiles import Tile
from catalog.orbits.timeline import Timeline
from catalog.products import BANDS, LEVEL_BANDS, Asset, LeftOut, Level, Product
from catalog.sources.address import source_id
from catalog.sources.protocol import SearchResult
from catalog.storage.credentials import Credentials
from catalog.storage.whole import folder_aside
from processors.simulation.instrument.instrument import OFFSET
from processors.simulation.land.rotation import FARMING
from processors.simulation.mission.granule import Granule, stamp
from processors.simulation.mission.mission import VERSION, Mission
from processors.simulation.mission.overpass import BASELINE, Overpass, home_zone, overpasses
from processors.simulation.mission.scene import Scene
from processors.simulation.products.staging import Staging

_NO_PERCENT = 255

_AROUND = 12
"""Pixels around a window of another zone: what its warp interpolates between, in bands of 60 m too."""


class MissionSource:
    """One mission, named by its seed and by what is farmed."""

    usage = "mission: or mission:seed=3,farming=flanders for simulated products"

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:  # noqa: ARG002 - as all sources
        """``address``: empty, or settings such as ``seed=3,farming=flanders``. Raises `RequestError`."""
        self.mission = parse_mission(address)
        settings = f"seed={self.mission.seed},farming={self.mission.farming}"
        self.address = f"mission:{settings}"
        # Another version makes other pixels: its cells are others.
        self.id = source_id("mission", settings, f"{self.address},version={VERSION}")

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`. Tiles of one zone only (`home_zone`), for every zone has a land of its own."""
        products: list[Product] = []
        missing: list[LeftOut] = []
        now = datetime.now(UTC)
        for overpass in overpasses(unbroken(area), home_zone(area), *period):
            timeline = overpass.timeline
            if timeline is None:
                name = f"{overpass.platform}_{stamp(overpass.sensed)}_T{overpass.tile.name}"
                missing.append(
                    LeftOut(product=name, reason="lost on board: the memory was full", kind=Reason.LOST_ON_BOARD)
                )
                continue
            granule = overpass.granule(level, timeline)
            if granule.generated > now:
                reason = f"not there yet: expected on {granule.generated:%Y-%m-%d %H:%M} UTC"
                missing.append(LeftOut(product=granule.name, reason=reason, kind=Reason.NOT_THERE_YET))
            else:
                products.append(self._product(overpass, granule, timeline))
        return SearchResult(tuple(products), tuple(missing))

    def assets(self, product: Product) -> dict[str, Asset]:  # noqa: ARG002 - as `Source` has it
        """No assets: no pixel is a file before `download`."""
        return {}

    def download(self, product: Product, windows: Sequence[Window], folder: Path) -> dict[str, Asset]:
        """See `Downloading`. The folder appears when all of it is there. Raises `StoreError` where it can't be written."""
        overpass = overpass_of(product)
        granule = _granule(overpass, product)
        try:
            with folder_aside(folder) as aside, closing(Staging(aside, granule.window)) as staging:
                for window in windows:
                    for scene in self.mission.scenes(overpass, in_zone(window, overpass.tile.epsg, _AROUND)):
                        _stage(staging, scene, granule.level)
        except (OSError, RasterioError) as error:
            raise StoreError(f"{folder} can't be written: {error}. Free some space there (TMPDIR).") from error
        return {path.stem: _asset(path) for path in sorted(folder.glob("*.tif"))}

    def _product(self, overpass: Overpass, granule: Granule, timeline: Timeline) -> Product:
        return Product(
            id=granule.name,
            href=f"{self.address}/{granule.name}",
            level=granule.level,
            time=overpass.sensed,
            tile=granule.tile,
            platform=granule.platform,
            datatake=f"{stamp(granule.datatake_start)}_{granule.absolute_orbit:06d}",
            datastrip=f"S{stamp(granule.datastrip_start)}",
            relative_orbit=f"R{granule.relative_orbit:03d}",
            baseline=granule.baseline,
            generation_time=granule.generated,
            cloud_cover=self.mission.cloud_cover(overpass),
            sun_zenith=round(granule.angles.sun_zenith, 4),
            sun_azimuth=round(granule.angles.sun_azimuth, 4),
            footprint=cut_geojson(mapping(overpass.footprint)),
            synthetic=True,
            content=f"simulation {VERSION}",
            reception=timeline.reception,
        )


def parse_mission(settings: str) -> Mission:
    """The mission that settings such as ``seed=3,farming=flanders`` mean; empty: the usual one. Raises `RequestError`."""
    given: dict[str, str] = {}
    for part in filter(None, settings.split(",")):
        name, sign, value = part.partition("=")
        if not sign or name not in ("seed", "farming") or name in given:
            raise RequestError(
                f"source: mission:{settings}: {part!r} is no setting. Write mission: or mission:seed=3,farming=flanders."
            )
        given[name] = value
    seed, farming = given.get("seed", "0"), given.get("farming", "france")
    if not (seed.isascii() and seed.isdecimal() and len(seed) <= 9):
        raise RequestError(
            f"source: mission:{settings}: a seed is a whole number of at most nine digits, not {seed!r}."
        )
    if farming not in FARMING:
        raise RequestError(f"source: mission:{settings}: farming is one of {', '.join(FARMING)}, not {farming!r}.")
    return Mission(int(seed), farming)


def overpass_of(product: Product) -> Overpass:
    """The overpass that a mission's product was made in. Raises `ProductError` where it is none of this mission's."""
    try:
        tile, orbit = Tile.from_name(product.tile), int(product.relative_orbit.removeprefix("R"))
    except (RequestError, ValueError) as error:
        raise ProductError(f"{product.id} is no product of the simulated mission ({error}). Order again.") from error
    return Overpass.at(product.platform, orbit, tile, product.time)


def _granule(overpass: Overpass, product: Product) -> Granule:
    timeline = overpass.timeline
    if timeline is None or (granule := overpass.granule(product.level, timeline)).name != product.id:
        raise ProductError(f"{product.id} is no product of the mission as it is simulated now. Order again.")
    return granule


def _stage(staging: Staging, scene: Scene, level: Level) -> None:
    numbers = scene.l1c if level == "L1C" else scene.l2a
    for band in LEVEL_BANDS[level]:
        staging.write(band, BANDS[band].resolution, scene.window, numbers[band])
    if level == "L2A":
        staging.write("SCL", 20, scene.window, scene.scl)
        # The same blocks are without data as in SCL; what was never written reads as 0.
        probability: npt.NDArray[Any] = np.where(scene.scl > 0, scene.cloud_probability, _NO_PERCENT)
        staging.write("CLD", 20, scene.window, probability.astype(np.uint8))


def _asset(path: Path) -> Asset:
    if path.stem in BANDS:
        return Asset(href=str(path), offset=-OFFSET, offset_from=f"processing baseline {BASELINE}")
    return Asset(href=str(path), nodata=_NO_PERCENT if path.stem == "CLD" else 0, offset_from="a mask has none")
