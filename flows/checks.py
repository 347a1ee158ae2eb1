"""Checks of a request that need no pixel of a product: all of them are done before the first download.

Each raises `RequestError`, `ModelError` or `DeliveryError`; `flows.checked_request` has the list of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.area import Area, area_km2
from catalog.errors import DeliveryError, ModelError, RequestError
from catalog.grid import PIXEL
from catalog.model_fit import Need, misfits
from catalog.products import LEVEL_BANDS, Level, season_period
from catalog.quoting import presentable, shown
from catalog.registry import Registry
from catalog.season_state import SeasonState, months_listed
from catalog.storage.store import Store
from catalog.storage.system_errors import refusal
from catalog.zone import Zone

if TYPE_CHECKING:
    from processors.patches.labels import Labels

KEPT_SHARE = 0.5
"""Of the bytes of pixels, what is left of them at least when they are packed; real land comes to about 0.7."""

ROOM = 200 * 2**20
"""Bytes that a run takes beside the cubes: results, mosaics, the delivery."""


MOST_PROBLEMS, LONGEST_REFUSAL = 10, 3000
"""Lines of a refusal, and characters of it."""


def listed(problems: list[str]) -> str:
    """One problem a line; of many the first."""
    lines = [presentable(line) for problem in problems for line in problem.split("\n")]
    kept = lines[:MOST_PROBLEMS]
    while len(kept) > 1 and len("".join(kept)) > LONGEST_REFUSAL:
        kept.pop()
    if len(kept) < len(lines):
        kept = kept[: MOST_PROBLEMS - 1]
        kept.append(f"… and {len(lines) - len(kept)} more. Correct these first.")
    return "\n".join(kept)


def check_season(year: int, months: tuple[int, int] | None, now: datetime) -> None:
    """See that the season has begun; ``months``: None where they make no sense."""
    if year > now.year:
        raise RequestError(
            f"year: {year} is in the future. Ask for a year from 2015 to {now.year}, or subscribe to it (`cropline subscribe`)."
        )
    if months is None:
        return
    start, _ = season_period(year, months)
    if start > now:
        raise RequestError(
            f"months: the season {months[0]} to {months[1]} of {year} begins on {start:%Y-%m-%d}, "
            "in the future. Ask for an earlier year or other months, or subscribe to it (`cropline subscribe`)."
        )


def check_deadline(deadline: datetime | None) -> None:
    """See that a deadline lies ahead."""
    if deadline is not None and deadline <= datetime.now(UTC):
        raise RequestError(f"deadline: {deadline:%Y-%m-%d %H:%M} UTC has passed. Give a later one, or none.")


def check_labels(labels: Labels, zone: Zone, level: Level, store: Store) -> None:
    """Look what of the labels lies in the area.

    Labels that hold nothing of it will do where a model that knows their classes is there: they tell which it is.
    """
    try:
        labels.check(zone.geometry, zone.epsg)
    except RequestError:
        registry = Registry(store)
        models = [*registry.models(), *registry.shipped_models()]
        if not any(model.level == level and model.legend.same_classes(labels.legend) for model in models):
            raise


def still_open(season: SeasonState) -> str:
    """Reason why nothing is learnt from a season before it is over, and what to do."""
    return (
        f"no model fits, and none is trained from a season that isn't over: {months_listed(season.open_months)} are open until "
        f"{season.complete_from:%Y-%m-%d}. Ask for months that are over, name a model, or wait (`cropline subscribe`)."
    )


def check_teachable(labels: Labels, level: Level, season: SeasonState, months: tuple[int, int], store: Store) -> None:
    """See that a model of these labels' classes may be there, or can be trained: none learns from a season that isn't over."""
    if season.final:
        return
    registry = Registry(store)
    models = [*registry.models(), *registry.shipped_models()]
    if not any(
        (model.level, model.months) == (level, months) and model.legend.same_classes(labels.legend) for model in models
    ):
        raise RequestError(f"labels: {still_open(season)}")


def check_model(name: str, level: Level, months: tuple[int, int], store: Store) -> None:
    """Read what a named model was trained for, and compare it with what is known of the request already."""
    registry = Registry(store)
    if not Path(name).is_dir():
        names = [entry.name for entry in [*registry.models(), *registry.shipped_models()]]
        if name not in names:
            raise RequestError(
                f"model: {shown(name)} is neither a model of this installation ({', '.join(names) or 'none yet'}) nor a "
                "folder. `cropline models` lists them; without a name the best that fits is taken."
            )
    model = registry.named(name)
    # Which bands the products have, and whether they are synthetic, the source says later.
    need = Need(level, frozenset(LEVEL_BANDS[level]), model.synthetic, months=months)
    if reasons := misfits(model, need):
        against = "; ".join(reason.text for reason in reasons)
        raise ModelError(f"model: {shown(name)} doesn't fit the request: {against}. Name another, or none.")


def check_simulated(level: Level, crops: Mapping[str, float], idle: Sequence[str]) -> None:
    """See that a model can be simulated for a request of a level and the crops that it names; ``idle``: fields that would do nothing."""
    from processors.simulation.place_series import crops_named

    if idle:
        raise RequestError(
            f"model: one that is simulated learns from no label, so {' and '.join(idle)} would do nothing. Drop the one or the other."
        )
    check_simulable("model", level)
    crops_named(crops)


def check_simulable(field: str, level: Level) -> None:
    """See that series can be simulated for a request of a level, as a field of it asks."""
    from processors.simulation.place_series import LEVEL

    if level != LEVEL:
        raise RequestError(f"{field}: what is simulated is seen below the air, so it takes {LEVEL}, not {level}.")
    if find_spec("sklearn") is None:
        raise RequestError(
            f"{field}: learning from simulated series needs scikit-learn, which isn't installed: pip install 'cropline[forest]'."
        )


def check_output(output: Path, base: Path, store: Path) -> None:
    """See that a delivery may be made at ``output`` and can be: its folder is of its own, and the disk lets it be written.

    ``base``: the folder that relative paths start from.
    """
    if base.is_relative_to(output):
        raise RequestError(f"output: {output} is the folder that paths start from, or holds it. Name one below it.")
    if output.is_relative_to(store) or store.is_relative_to(output):
        raise RequestError(f"output: {output} lies in the store {store}, or holds it. Name a folder elsewhere.")
    check_writable(output)


def check_writable(output: Path) -> None:
    """See that the disk lets something be made at ``output``. Raises `DeliveryError`."""
    above = nearest_there(output.parent)
    try:
        Path(tempfile.mkdtemp(prefix=".cropline-", dir=above)).rmdir()
    except OSError as error:
        raise DeliveryError(
            f"output {output}: can't be written, for nothing can be made in {above}: {refusal(error, above)}, or give another folder."
        ) from error


def check_disk(store: Store, area: Area, level: Level, dates: int) -> None:
    """Compare the free disk with the least that the request needs: that many dates of its area alone, all bands, packed."""
    if not isinstance(store.cubes, Path):
        return
    pixels = area_km2(area) * 1e6 / PIXEL**2
    needed = ROOM + round(pixels * len(LEVEL_BANDS[level]) * 2 * dates * KEPT_SHARE)
    folder = nearest_there(store.cubes)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RequestError(
            f"disk: {free / 1e9:,.1f} GB are free in {folder}, and {dates} dates of {area_km2(area):,.1f} km² take at least "
            f"{needed / 1e9:,.1f} GB. Free some space, set CROPLINE_CUBES to a larger disk, or ask for a smaller area."
        )


def nearest_there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
