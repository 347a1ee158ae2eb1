"""Lines of the benchmark's table, and their comparison."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from agrunet.bench.problems import Device, Precision, Purpose, Season
from agrunet.bench.talk import SEASON_GAINS
from agrunet.settings import Frozen


class Row(Frozen):
    """The measurement of one network in one kind of step and arithmetic."""

    network: str
    config: str
    season: Season
    dates: Annotated[int, Field(description="length of the series")]
    dates_assumed: Annotated[bool, Field(description="the talk does not give this length")] = True
    size: Annotated[int, Field(description="edge of an image, pixels")]
    batch: Annotated[int, Field(description="images a step")]
    precision: Precision
    mode: Annotated[str, Field(description="inference or training; with -compiled through torch.compile, else eager")]
    parameters: int | None = None
    gflop: Annotated[
        float | None,
        Field(description="1e9 operations of an image's forward pass in inference; a multiply-add counts as 2"),
    ] = None
    images_per_second: Annotated[float | None, Field(description="median over the rounds; none where it failed")] = None
    slowest: Annotated[float | None, Field(description="images per second of the slowest round")] = None
    fastest: Annotated[float | None, Field(description="images per second of the fastest round")] = None
    rounds: int = 0
    ratio_to_utae: Annotated[
        float | None, Field(description="time of this over U-TAE's, eager in fp32, same kind of step, same run")
    ] = None
    ratio_to_unet3d: Annotated[float | None, Field(description="the same over UNet-3D's time")] = None
    peak_bytes: Annotated[
        int | None,
        Field(
            description="GPU: what tensors held at once; CPU: what a process that does only this held, torch included"
        ),
    ] = None
    talk: Annotated[float | None, Field(description="images per second in the talk, on one GPU of this class")] = None
    talk_source: Annotated[str | None, Field(description="machine and page of the talk's figure")] = None
    device: Device
    device_name: str
    threads: int
    torch: str
    quick: Annotated[bool, Field(description="small images and short series: no statement about speed")] = False
    emulated: Annotated[bool, Field(description="the device lacks this arithmetic and emulates it, slowly")] = False
    reason: Annotated[str | None, Field(description="why there is no figure")] = None

    @property
    def purpose(self) -> Purpose:
        return "training" if self.mode.startswith("training") else "inference"

    @property
    def compiled(self) -> bool:
        return self.mode.endswith("-compiled")

    @property
    def group(self) -> tuple[str, Season, Purpose]:
        """Configuration, season and purpose; rows of one group were measured in turn and are compared with each other."""
        return self.config, self.season, self.purpose

    def with_rates(self, rates: Sequence[float]) -> Row:
        """Add the figures from the images per second of every round."""
        return self.model_copy(
            update={
                "images_per_second": statistics.median(rates),
                "slowest": min(rates),
                "fastest": max(rates),
                "rounds": len(rates),
            }
        )


def with_ratios(rows: Iterable[Row]) -> list[Row]:
    """Add the times relative to those of U-TAE and UNet-3D, eager in fp32, in the same group."""
    rows = list(rows)
    references = {
        (*row.group, row.network): row.images_per_second
        for row in rows
        if row.precision == "fp32" and not row.compiled and row.images_per_second
    }

    def ratio(row: Row, network: str) -> float | None:
        reference = references.get((*row.group, network))
        return reference / row.images_per_second if reference and row.images_per_second else None

    return [
        row.model_copy(update={"ratio_to_utae": ratio(row, "utae"), "ratio_to_unet3d": ratio(row, "unet3d")})
        for row in rows
    ]


class SeasonGain(Frozen):
    """Throughput of January to July over that of the whole year."""

    network: str
    config: str
    precision: Precision
    mode: str
    gain: float
    talk: float | None


def season_gains(rows: Iterable[Row]) -> list[SeasonGain]:
    """Compare the seasons of every network and mode measured over both; the talk's gain, AgrUNet's at OrthoPASTIS, stands beside."""
    rates = {
        (row.network, row.config, row.precision, row.mode, row.season): row.images_per_second
        for row in rows
        if row.images_per_second
    }
    found = []
    for (network, config, precision, mode, season), short in rates.items():
        whole = rates.get((network, config, precision, mode, "year"))
        if season != "jan-jul" or not whole or not short:
            continue
        purpose: Purpose = "training" if mode.startswith("training") else "inference"
        comparable = network == "agrunet" and config == "orthopastis"
        talk = SEASON_GAINS.get((purpose, precision)) if comparable else None
        found.append(
            SeasonGain(network=network, config=config, precision=precision, mode=mode, gain=short / whole, talk=talk)
        )
    return found


def to_json(rows: Iterable[Row]) -> str:
    """Write the list of rows as JSON."""
    return json.dumps([row.model_dump(mode="json") for row in rows], indent=1)
