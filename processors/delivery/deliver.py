"""Writing of a delivery: rasters, table, picture, report and their description, made aside and swapped in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from shapely.geometry import shape

from catalog.delivered_maps import ITEM
from catalog.errors import DeliveryError
from catalog.grid import blocks_meeting, to_zone, window_around
from catalog.guards.paths import user_path
from catalog.storage.store import sha256
from catalog.storage.whole import write_json
from processors.conformity.judge import Conformity
from processors.delivery.areas import AreaTable, count_areas, write_areas
from processors.delivery.changes import CHANGES, RASTER, Earlier, changed_variable, compare, earlier_delivery
from processors.delivery.class_style import write_class_style
from processors.delivery.conformity_files import Verdicts
from processors.delivery.evaluation_section import write_into, write_item
from processors.delivery.evaluations import carry_over
from processors.delivery.folder_swap import delivered_digest, swapped_in, unwritable
from processors.delivery.parcels import write_parcels
from processors.delivery.provenance import DeliveryFacts
from processors.delivery.report import write_report
from processors.delivery.stac_item import make_item
from processors.rasters import MOST_COG, TILE, Variable, copy_as_cog, copy_blocks
from processors.views.parcels import CONFIDENCE
from processors.views.views import Views


def deliver(
    folder: Path,
    variables: Mapping[str, Path],
    declared: Sequence[Variable],
    facts: DeliveryFacts,
    views: Views | None = None,
    conformity: Conformity | None = None,
    *,
    replace: bool = False,
) -> list[Path]:
    """Write a delivery and return its files: rasters first, then table, picture, report, request and item.

    ``variables``: the mosaic of each variable in ``declared``, by name; ``views``: what the season looked like there; ``conformity``:
    verdicts on the parcels that the request declares. A folder that
    holds an earlier delivery of the same request (with ``replace``, of any) is replaced at once; until then it stays as it is.
    Evaluations of the same request's map are kept, and claimed for these pixels only if they are of them. Raises `DeliveryError` where
    the folder holds anything else, and `StoreError` or `DeliveryError` where it can't be written; nothing is half-written then.
    """
    folder = user_path(folder, lambda why: DeliveryError(f"output: {why}. Give the path of a folder."))
    missing = [variable.name for variable in declared if variable.name not in variables]
    if missing:
        raise DeliveryError(f"output {folder}: no mosaic of {', '.join(missing)}. Run the mosaic again.")
    with swapped_in(folder, facts.request_digest, replace=replace) as aside:
        try:
            if delivered_digest(folder) == facts.request_digest:
                carry_over(folder, aside)
            earlier = earlier_delivery(folder, facts.request_digest)
            verdicts = None if conformity is None else Verdicts.of(conformity, folder, earlier, facts)
            files = _write(aside, variables, declared, facts, views, earlier, verdicts)
        except OSError as error:
            raise unwritable(folder, error) from error
    return [folder / path.name for path in files]


def _write(
    aside: Path,
    variables: Mapping[str, Path],
    declared: Sequence[Variable],
    facts: DeliveryFacts,
    views: Views | None,
    earlier: Earlier | None,
    verdicts: Verdicts | None,
) -> list[Path]:
    zone_area = to_zone(shape(facts.area), facts.epsg)
    around = window_around(zone_area, facts.epsg)
    # A compact area's raster has all its tiles, which any reader knows; one of far-apart parts would be empty tiles for the most part.
    touched = blocks_meeting(zone_area, around, TILE)
    sparse = len(touched) * 2 < -(-around.width // TILE) * -(-around.height // TILE)

    def copied(source: Path, variable: Variable) -> Path:
        target, tags = aside / f"{variable.name}.tif", raster_tags(variable, facts)
        if sparse and around.width * around.height > MOST_COG:
            copy_blocks(source, target, variable, around, touched, tags)
        else:
            copy_as_cog(source, target, variable, tags, sparse=sparse)
        return target

    rasters = {variable.name: copied(variables[variable.name], variable) for variable in declared}
    files = [*rasters.values()]
    counted = () if views is None or views.clear_count_variable is None else (views.clear_count_variable,)
    if views is not None and views.clear_count is not None:
        files += [copied(views.clear_count, variable) for variable in counted]
    table = _areas(rasters, declared, facts, views)
    classes = _class_map(declared)
    if classes is not None and table is not None:
        files += write_class_style(aside, classes.name, [(row.entry, row.pixels) for row in table.rows if row.pixels])
        files.append(aside / "areas.csv")
        write_areas(files[-1], table, (facts.title, facts.notice, *facts.notes))
    if views is not None:
        files += write_parcels(aside, views, [] if table is None else [row.entry for row in table.rows], facts)
    if verdicts is not None:
        files += verdicts.write(aside, facts, classes, rasters, views)
    if earlier is not None:
        facts, declared, changes = _changes(aside, earlier, rasters, declared, facts)
        files += changes
    from processors.delivery.picture import draw_overview  # matplotlib, which only a delivery needs

    picture = aside / "overview.png"
    draw_overview(picture, rasters, [one for one in declared if one.name in rasters], facts, table)
    # An area that lies in a file of the store is given whole: the delivery must do without the store.
    write_json(aside / "request.json", {**facts.request, "area": facts.area})
    report = aside / "report.html"
    drawn = {path.stem: path for path in files if path.suffix == ".tif"}
    write_report(
        report, picture, [*files, picture, aside / "request.json", aside / ITEM], facts, table,
        rasters=drawn, declared=(*declared, *counted), views=views,
    )  # fmt: skip
    if verdicts is not None:
        verdicts.write_into(report)
    files += [picture, report, aside / "request.json"]
    item = make_item(facts, files, (*declared, *counted))
    write_item(aside, item if classes is None else write_into(aside, sha256(rasters[classes.name]), item))
    return [*files, aside / ITEM]


def _changes(
    aside: Path,
    earlier: Earlier,
    rasters: Mapping[str, Path],
    declared: Sequence[Variable],
    facts: DeliveryFacts,
) -> tuple[DeliveryFacts, Sequence[Variable], list[Path]]:
    """Compare with the delivery that is replaced, while it is still there. Returns facts and variables with the changes, and their files.

    Where there is nothing to tell, all stays as it is.
    """
    zone_area = to_zone(shape(facts.area), facts.epsg)
    found = aside / f"{RASTER}.found.tif"
    changes = compare(earlier, rasters, declared, facts.inputs, zone_area, found)
    if changes is None:
        return facts, declared, []
    facts = facts.model_copy(update={"changes": changes})
    files = [aside / CHANGES]
    write_json(files[0], changes.model_dump(mode="json"))
    if not found.is_file():
        return facts, declared, files
    from processors.delivery.changes_picture import draw_changes

    variable = changed_variable(next(one for one in declared if one.legend is not None))
    raster, picture = aside / f"{RASTER}.tif", aside / f"{RASTER}.png"
    copy_as_cog(found, raster, variable, raster_tags(variable, facts), sparse=True)
    found.unlink()
    draw_changes(picture, raster, variable, facts, changes, zone_area)
    return facts, [*declared, variable], [raster, *files, picture]


def raster_tags(variable: Variable, facts: DeliveryFacts) -> dict[str, str]:
    """Tags that describe a raster in itself; nothing that differs between two runs of one request."""
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": f"{variable.title}. {facts.title}",
        "TIFFTAG_COPYRIGHT": facts.notice,
        "TIFFTAG_SOFTWARE": facts.software,
        "CROPLINE_SYNTHETIC": "yes" if facts.synthetic else "no",
        "CROPLINE_PROCESSOR": f"{facts.processor} {facts.processor_version}",
        "CROPLINE_REQUEST": facts.request_digest,
        "CROPLINE_SOURCE": facts.source_id,
    }
    if facts.model is not None:
        tags["CROPLINE_MODEL"] = f"{facts.model.name} {facts.model.checksum}"
    if facts.notes:
        tags["CROPLINE_NOTES"] = " ".join(facts.notes)
    if variable.legend is not None:
        tags["CROPLINE_CLASSES"] = "; ".join(f"{entry.value} {entry.name}" for entry in variable.legend.mapped)
    return tags


def _areas(
    rasters: Mapping[str, Path], declared: Sequence[Variable], facts: DeliveryFacts, views: Views | None
) -> AreaTable | None:
    """Count the class map, where there is one."""
    variable = _class_map(declared)
    if variable is None or variable.legend is None:
        return None
    below = None if views is None or views.parcels is None or views.declared else views.below
    zone_area = to_zone(shape(facts.area), facts.epsg)
    return count_areas(rasters[variable.name], variable.legend, zone_area, rasters.get(CONFIDENCE), below)


def _class_map(declared: Sequence[Variable]) -> Variable | None:
    """The first variable that has classes."""
    return next((variable for variable in declared if variable.legend is not None), None)
