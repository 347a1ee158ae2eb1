"""The flow `evaluate`: a delivered map against reference data. What it does is in `processors.evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.evaluation import evaluate_map
from flows.reporting.artifacts import Artifacts
from flows.reporting.evaluation import Evaluated, accuracy_rows, headlines, matrix_rows
from flows.reporting.run_log import make_readable
from flows.request import Text
from flows.settings import load_settings
from processors.delivery.evaluations import PICTURE

NAME = "evaluate"

SHARES = {"evaluate": 100}


def _run_name() -> str:
    return f"{NAME} {Path(str(flow_run.parameters['delivery'])).name}"


@flow(name=NAME, flow_run_name=_run_name, persist_result=False)
def evaluate(
    delivery: Text,
    reference: Text,
    column: Text | None = None,
    classes: Literal["any", "codes", "values", "names"] = "any",
    layer: Text | None = None,
    legend: Text | None = None,
) -> dict[str, Any]:
    """Accuracy of a delivered map against reference points or parcels, and areas with intervals where the sample's design is known.

    Args:
        delivery: Folder of the delivery, or the name of a map of this installation.
        reference: GeoPackage, GeoParquet, GeoJSON, shapefile or FlatGeobuf of points or parcels, or a CSV with lon, lat and a class.
        column: Column of the classes; by default the only one that fits.
        classes: What that column holds: codes of the labels, values of the map, names; any takes the only reading that fits.
        layer: Layer of the reference, where its file holds several.
        legend: CSV that says what the reference's codes mean; by default the legend of the map.
    """
    make_readable()
    settings = load_settings()
    with Artifacts(SHARES) as artifacts:
        evaluated: Evaluated = evaluate_map(
            settings, artifacts, delivery, reference, column=column, classes=classes, layer=layer, legend=legend
        )
        publish(artifacts, evaluated)
    return evaluated.model_dump(mode="json")


def publish(artifacts: Artifacts, evaluated: Evaluated) -> None:
    """Show accuracies, areas and the confusion matrix of an evaluation."""
    made = evaluated.evaluation
    lines = list(headlines(made))
    artifacts.table("accuracy", accuracy_rows(made), " ".join(lines))
    artifacts.table(
        "confusion", matrix_rows(made), "Units by what the map shows (rows) and what the reference says (columns)."
    )
    for file in map(Path, evaluated.files):
        if file.name == PICTURE:
            artifacts.picture("confusion-picture", file, f"Confusion matrix: {made.title} against {made.reference}.")
    if made.unused:
        rows = [{"units": str(count), "not used": kind.words} for kind, count in made.unused.items()]
        artifacts.table("not-used", rows, "Rows of the reference that are not compared, by reason.")
    for line in lines:
        get_run_logger().info("%s", line)
