"""Evaluation of a delivered map, and samples for it, as the flow and the commands do it: names and paths to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from catalog.delivered_maps import ITEM, map_folder, name_of
from catalog.errors import RequestError
from catalog.guards.paths import user_path
from catalog.legend import read_legend
from catalog.legend_words import ReadAs
from catalog.products import Frozen
from catalog.registry import Registry
from flows.reporting.evaluation import Evaluated
from flows.reporting.progress import Reporter, step
from flows.settings import Settings
from processors.delivery.delivered_map import open_delivered
from processors.evaluation.design import SampleDesign
from processors.evaluation.drawing import SampleWish, draw_sample
from processors.evaluation.evaluate import evaluate
from processors.evaluation.into_delivery import add_evaluation
from processors.evaluation.reference import open_reference
from processors.evaluation.sample_file import write_sample


class Sampled(Frozen):
    """A sample that was drawn; the object that `cropline sample --json` prints, without its points."""

    sample: Annotated[str, Field(description="file")]
    design: SampleDesign


def evaluate_map(
    settings: Settings,
    reporter: Reporter,
    delivery: str,
    reference: str,
    *,
    column: str | None = None,
    classes: str = "any",
    layer: str | None = None,
    legend: str | None = None,
) -> Evaluated:
    """Evaluate a delivered map and lay the evaluation into its delivery. Raises `DeliveryError` and `RequestError`."""
    store = settings.open_store(create=False)
    with step(reporter, "evaluate", "the map and the reference data") as under_way:
        path = _path("reference", reference, settings)
        codes = None if legend is None else read_legend(_path("legend", legend, settings))
        delivered = open_delivered(map_folder(store, delivery, settings.folder))
        read = open_reference(path, delivered.window.epsg, column, layer)
        made = evaluate(delivered, read, None if classes == "any" else ReadAs(classes), codes)
        files = add_evaluation(delivered, made)
        folder = delivered.item.folder
        if name_of(store, folder) is not None:
            Registry(store).add_map(folder / ITEM)
        under_way.outcome = f"{made.used:,} {made.unit}s compared"
    return Evaluated(delivery=str(folder), files=tuple(map(str, files)), evaluation=made)


def sample_map(
    settings: Settings,
    reporter: Reporter,
    delivery: str,
    output: str | None,
    wish: SampleWish,
    *,
    replace: bool = False,
) -> Sampled:
    """Draw a sample from a delivered map and write its file. Raises `DeliveryError` and `RequestError`.

    ``output``: by default the delivery's name with ``-sample.gpkg``, where the command runs. A file that is there is kept, since its
    points may have been filled in, except with ``replace``.
    """
    store = settings.open_store(create=False)
    with step(reporter, "sample", "the map") as under_way:
        folder = map_folder(store, delivery, settings.folder)
        path = _path("output", output or f"{folder.name}-sample.gpkg", settings)
        if path.suffix.lower() != ".gpkg":
            raise RequestError(f"output: {path.name} is no GeoPackage's name. Give one that ends in .gpkg.")
        if path.is_dir() or (path.exists() and not replace):
            raise RequestError(
                f"output: {path} is there already, and its points may have been filled in. Give another name, or --replace."
            )
        delivered = open_delivered(folder)
        design = draw_sample(delivered, wish)
        write_sample(path, design, [entry.name for entry in delivered.entries])
        under_way.outcome = f"{len(design.points)} points in {len(design.strata)} strata"
    return Sampled(sample=str(path), design=design)


def _path(name: str, written: str, settings: Settings) -> Path:
    return user_path(
        written, lambda why: RequestError(f"{name}: {why}. Give the path of a file."), base=settings.folder
    )
