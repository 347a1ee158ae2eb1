"""`cropline bench`: measures of speed. Torch is imported by the library that they call, not by `--help`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog.errors import CroplineError

bench = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True)

STDOUT = Path("-")


class BenchDevice(StrEnum):
    cpu = "cpu"
    cuda = "cuda"


class BenchSeason(StrEnum):
    year = "year"
    jan_jul = "jan-jul"
    both = "both"


@bench.command()
def network(
    device: Annotated[BenchDevice, typer.Option(help="Where the networks run.")] = BenchDevice.cpu,
    season: Annotated[
        BenchSeason, typer.Option(help="Length of the series; both also prints how much faster the shorter one is.")
    ] = BenchSeason.jan_jul,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small images and short series: shows that it runs, nothing about speed.")
    ] = False,
    compiled: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Measure with torch.compile too; not in a quick run.")
    ] = None,
    networks: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these, separated by commas. Ratios need utae and unet3d.")
    ] = None,
    configs: Annotated[str | None, typer.Option(metavar="NAMES", help="Only these: orthopastis,munich.")] = None,
    precisions: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these: fp32,tf32,bf16. Ratios need fp32.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often every case is timed; 5, quick 2.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step; on a CPU 1, on a GPU the talk's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own number.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON; - for standard output.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the rows.")] = None,
) -> None:
    """Measure AgrUNet and its rivals in turn: size, speed and memory, beside the talk's figures.

    Example: cropline bench network --networks agrunet,utae --configs orthopastis --no-compile
    """
    from agrunet.bench.measure import measure
    from agrunet.bench.plan import make_plan
    from agrunet.bench.plot import plot_rows
    from agrunet.bench.rows import to_json
    from agrunet.bench.table import format_table
    from agrunet.errors import AgrunetError
    from flows.reporting.progress import terminal_step

    try:
        plan = make_plan(
            device.value, season.value, networks, configs, precisions, compiled, rounds, batch, threads, quick
        )
        with terminal_step("bench", "the first figure", 0) as step:
            rows = measure(plan, step.advance)
        # Only JSON goes to standard output where it is asked for there.
        typer.echo(format_table(rows), err=json_file == STDOUT)
        _write(json_file, to_json(rows))
        if plot is not None:
            plot_rows(rows, plot)
    except AgrunetError as error:
        raise CroplineError(str(error)) from error


@bench.command()
def predict(
    device: Annotated[BenchDevice, typer.Option(help="Where the network runs.")] = BenchDevice.cpu,
    patches: Annotated[int, typer.Option(min=1, max=7, help="Patches at first; then 4 and 16 times as many.")] = 4,
    dates: Annotated[int, typer.Option(min=1, max=70, help="Acquisitions of the synthetic cube.")] = 27,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own number.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON; - for standard output.")
    ] = None,
) -> None:
    """Measure prediction over a synthetic cube, from stored blocks to probabilities, beside the bare network; and its memory.

    Example: cropline bench predict --json predict.json
    """
    from agrunet.bench.machine import cpu_threads
    from agrunet.bench.prediction import measure_prediction
    from agrunet.errors import AgrunetError
    from catalog.storage.scratch import scratch_folder
    from flows.reporting.progress import terminal_step
    from processors.bench.cell import write_bench_cube
    from processors.patches.cube_patches import PatchGrid

    try:
        with (
            scratch_folder("bench") as folder,
            terminal_step("bench", "the first figure", 0) as step,
            cpu_threads(threads),
        ):
            source = write_bench_cube(
                folder, dates, PatchGrid(), lambda done, total: step.advance(done, total, "synthetic cube")
            )
            counts = [patches, 4 * patches, 16 * patches]
            rows = measure_prediction(
                source, counts, source.bands, device.value, watch=lambda what: step.advance(dates, dates, what)
            )
    except AgrunetError as error:
        raise CroplineError(str(error)) from error
    for row in rows:
        typer.echo(
            f"{row.patches:5d} patches  {row.images_per_second:.3f}/s end to end, the bare network {row.network_images_per_second:.3f}/s "
            f"(share {row.share:.2f}), peak {row.peak_bytes / 2**30:.2f} GiB",
            err=json_file == STDOUT,
        )
    _write(json_file, _as_json([row.model_dump() for row in rows]))


@bench.command()
def cube(
    dates: Annotated[int, typer.Option(min=1, max=80, help="Acquisitions of the synthetic cell.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="How often every layout is measured; the fastest counts.")] = 2,
    folder: Annotated[
        Path | None, typer.Option(help="On the disk that is measured; by default where temporary files go.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON; - for standard output.")
    ] = None,
) -> None:
    """Measure chunk and shard shapes of the cube: written date by date, read as all dates of one patch.

    Example: cropline bench cube --json cube.json
    """
    from agrunet.bench.machine import device_name
    from catalog.storage.scratch import scratch_folder
    from flows.reporting.progress import terminal_step
    from processors.bench.layout import measure_layouts

    with (
        scratch_folder("bench", folder) as scratch,
        terminal_step("bench", "the first figure", 0) as step,
    ):
        rows = measure_layouts(scratch, dates, rounds, device_name("cpu"), watch=step.advance)
    head = f"{dates} dates, 12 bands, synthetic fields, from the system's cache; the fastest of {rounds} rounds"
    lines = [head, "layout         pipeline      write Mpx/s  patch ms  straddling ms  bytes/px  files/date"]
    lines += [
        f"{row.layout.name:<14} {row.pipeline:<12} {row.write_megapixels_per_second:12.0f} {row.patch_ms:9.1f} "
        f"{row.straddling_patch_ms:14.1f} {row.bytes_per_pixel:9.2f} {row.files:11d}"
        for row in rows
    ]
    typer.echo("\n".join(lines), err=json_file == STDOUT)
    _write(json_file, _as_json([row.model_dump() for row in rows]))


def _write(file: Path | None, text: str) -> None:
    """Write JSON to a file or to standard output, where it is asked for."""
    from catalog.storage.whole import written_whole

    if file == STDOUT:
        typer.echo(text)
    elif file is not None:
        with written_whole(file) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def _as_json(rows: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(rows, indent=1)


@bench.command()
def ingest(
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny files and one round: shows that it runs, nothing about speed.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON; - for standard output.")
    ] = None,
) -> None:
    """Measure ingestion of synthetic COGs and JP2s beside their decoding alone and beside odc-stac; and its memory.

    Example: cropline bench ingest --json ingest.json
    """
    from catalog.storage.scratch import scratch_folder
    from flows.reporting.progress import terminal_step
    from processors.bench.ingest import QUICK, IngestPlan, measure_ingest

    with scratch_folder("bench") as folder, terminal_step("bench", "the first figure", 0) as step:
        rates = measure_ingest(folder, QUICK if quick else IngestPlan(), step.advance)
    typer.echo(rates.as_text(), err=json_file == STDOUT)
    _write(json_file, rates.model_dump_json(indent=1))


@bench.command()
def request(
    square: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Source of L2A products of a small real square that is repeated, such as stac:square/catalog.json.",
        ),
    ] = None,
    area: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Area of that square: GeoJSON or GeoPackage.")
    ] = None,
    year: Annotated[int | None, typer.Option(help="Year of its products that is taken.")] = None,
    dates: Annotated[int, typer.Option(min=5, max=40, help="Acquisitions.")] = 12,
    edges: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Edges of the areas, pixels of 10 m, rising: 500,1580,4992.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="On the disk that is measured; by default where temporary files go.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny areas: shows that it runs, and nothing about speed.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON; - for standard output.")
    ] = None,
) -> None:
    """Measure whole requests of growing area by stage: time, memory, bytes, beside decoding, writing and the network alone.

    A synthetic archive is made for it, as large as a request may ask for: 12 GB of disk, and ten minutes on two cores.

    Example: cropline bench request --json request.json
    """
    from catalog.area import parse_area
    from catalog.area_file import area_value
    from catalog.errors import RequestError
    from catalog.storage.scratch import scratch_folder
    from flows.bench.request import QUICK, RequestPlan, measure_requests
    from flows.reporting.progress import terminal_step
    from processors.bench.square import read_square

    plan = QUICK if quick else RequestPlan(dates=dates)
    if edges is not None:
        plan = replace(plan, edges=_edges(edges))
    if (square is None) != (area is None) or (square is None) != (year is None):
        raise RequestError("--square, --area and --year belong together: give all three, or none of them.")
    with scratch_folder("bench", folder) as scratch, terminal_step("bench", "the first figure", 0) as step:
        repeated = None
        if square is not None and area is not None and year is not None:
            repeated = read_square(square, parse_area(area_value(str(area))), year, plan.dates)
        rates = measure_requests(scratch, plan, repeated, step.advance)
    typer.echo(rates.as_text(), err=json_file == STDOUT)
    _write(json_file, rates.model_dump_json(indent=1))


def _edges(text: str) -> tuple[int, ...]:
    from catalog.errors import RequestError

    numbers = [word.strip() for word in text.split(",")]
    edges = tuple(int(word) for word in numbers if word.isdecimal())
    if (
        len(edges) != len(numbers)
        or edges != tuple(sorted(set(edges)))
        or not edges
        or not 128 <= edges[0] <= edges[-1] <= 4992
    ):
        raise RequestError(f"--edges {text}: no rising numbers of 128 to 4992, such as 500,1580.")
    return edges
