"""Throughputs that the talk gives (A. Miola, University of Ferrara, 2nd AI-INFN Advanced Hackathon, November 24, 2025), images per second.

What it calls AMP stands as bf16 here; a V100 has no bf16, so there it was fp16. Batch sizes of inference, lengths of the series
and the software are not given. The tables of three machines don't name their season: their V100 columns are those of
"Time-series optimization" for January to July.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agrunet.bench.problems import Precision, Purpose, Season

FULL_PAGE = "Computational results – Full time-series length"
SEASON_PAGE = "Computational results – Time-series optimization"
TRAINING_PAGE = "Computational results – different GPUs (training throughput)"
INFERENCE_PAGE = "Computational results – different GPUs (inference throughput)"

MACHINES = {
    "V100": "COKA cluster @ UniFE, 4x V100 32 GB",
    "A100": "DGX @ CINECA, 8x A100 40 GB",
    "H100": "GH200 @ UniFE, 1x H100 96 GB",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A cell of a table of the talk."""

    network: str
    config: str
    season: Season
    purpose: Purpose
    machine: str
    gpus: int
    precision: Precision
    images_per_second: float
    page: str


_Line = tuple[str, int, tuple[float | None, ...]]

# Network, GPUs, then fp32 and AMP of OrthoPASTIS, fp32 and AMP of Munich; all on V100.
_FULL: dict[Purpose, tuple[_Line, ...]] = {
    "training": (
        ("unet3d", 1, (2.95, None, 24.83, None)),
        ("utae", 1, (6.51, None, 40.94, None)),
        ("agrunet", 1, (2.52, 9.08, 23.85, 63.99)),
        ("agrunet", 2, (5.01, 17.71, 45.16, 123.82)),
        ("agrunet", 3, (7.51, 26.29, 67.93, 186.26)),
        ("agrunet", 4, (10.01, 35.29, 90.23, 247.50)),
    ),
    "inference": (
        ("unet3d", 1, (5.41, None, 22.40, None)),
        ("utae", 1, (5.93, None, 59.29, None)),
        ("agrunet", 1, (9.35, 41.04, 105.73, 263.68)),
        ("agrunet", 2, (18.65, 81.55, 209.94, 519.39)),
        ("agrunet", 4, (37.34, 162.09, 428.02, 1057.24)),
    ),
}
_FULL_COLUMNS: tuple[tuple[str, Precision], ...] = (
    ("orthopastis", "fp32"),
    ("orthopastis", "bf16"),
    ("munich", "fp32"),
    ("munich", "bf16"),
)

# AgrUNet from January to July: configuration, GPUs, then V100 fp32, AMP; A100 fp32, TF32, AMP; H100 fp32, TF32, AMP.
_MACHINES: dict[Purpose, tuple[_Line, ...]] = {
    "training": (
        ("orthopastis", 1, (4.52, 15.30, 5.61, 19.65, 27.85, 12.71, 37.62, 59.49)),
        ("orthopastis", 2, (9.02, 30.07, 11.19, 39.42, 55.41, None, None, None)),
        ("orthopastis", 4, (18.08, 60.28, 22.34, 78.78, 110.17, None, None, None)),
        ("orthopastis", 8, (None, None, 44.54, 155.47, 218.99, None, None, None)),
        ("munich", 1, (38.09, 87.85, 46.29, 126.96, 141.09, 64.91, 185.25, 243.35)),
        ("munich", 2, (74.24, 169.94, 92.15, 252.40, 273.75, None, None, None)),
        ("munich", 4, (147.93, 337.19, 183.84, 504.61, 545.16, None, None, None)),
        ("munich", 8, (None, None, 366.25, 999.31, 1076.18, None, None, None)),
    ),
    "inference": (
        ("orthopastis", 1, (16.69, 86.05, 16.37, 75.64, 125.93, 75.48, 264.41, 605.53)),
        ("orthopastis", 2, (33.23, 159.30, 32.58, 125.41, 230.84, None, None, None)),
        ("orthopastis", 4, (66.44, 270.30, 64.23, 232.05, 434.00, None, None, None)),
        ("orthopastis", 8, (None, None, 120.40, 340.30, 735.75, None, None, None)),
        ("munich", 1, (153.30, 373.65, 207.77, 479.90, 740.92, 280.56, 897.16, 1649.10)),
        ("munich", 2, (304.65, 735.77, 405.32, 908.62, 1406.66, None, None, None)),
        ("munich", 4, (609.10, 1455.93, 705.76, 1645.55, 2779.95, None, None, None)),
        ("munich", 8, (None, None, 1505.78, 3166.60, 5450.09, None, None, None)),
    ),
}
_MACHINES_COLUMNS: tuple[tuple[str, Precision], ...] = (
    ("V100", "fp32"),
    ("V100", "bf16"),
    ("A100", "fp32"),
    ("A100", "tf32"),
    ("A100", "bf16"),
    ("H100", "fp32"),
    ("H100", "tf32"),
    ("H100", "bf16"),
)

SEASON_GAINS: dict[tuple[Purpose, Precision], float] = {
    ("training", "bf16"): 1.7,
    ("training", "fp32"): 1.8,
    ("inference", "bf16"): 2.1,
    ("inference", "fp32"): 1.8,
}
"""Throughput of January to July over that of the year: AgrUNet at OrthoPASTIS on one V100 (`SEASON_PAGE`)."""


def _figures() -> Iterator[Figure]:
    for purpose, lines in _FULL.items():
        for network, gpus, cells in lines:
            for (config, precision), cell in zip(_FULL_COLUMNS, cells, strict=True):
                if cell is not None:
                    yield Figure(network, config, "year", purpose, "V100", gpus, precision, cell, FULL_PAGE)
    for purpose, lines in _MACHINES.items():
        page = TRAINING_PAGE if purpose == "training" else INFERENCE_PAGE
        for config, gpus, cells in lines:
            for (machine, precision), cell in zip(_MACHINES_COLUMNS, cells, strict=True):
                if cell is not None:
                    yield Figure("agrunet", config, "jan-jul", purpose, machine, gpus, precision, cell, page)


FIGURES: tuple[Figure, ...] = tuple(_figures())


def machine_class(device_name: str) -> str | None:
    """Find which of the talk's GPUs this is ("V100", "A100", "H100"); None for others and for CPUs."""
    if re.search(r"\bGH200\b", device_name):  # its GPU is an H100
        return "H100"
    return next((name for name in MACHINES if re.search(rf"\b{name}\b", device_name)), None)


def talk_figure(
    network: str, config: str, season: Season, purpose: Purpose, precision: Precision, device_name: str, gpus: int = 1
) -> Figure | None:
    """Find the talk's figure for the same network, step and arithmetic on so many GPUs of the same class; None where it has none."""
    wanted = (network, config, season, purpose, machine_class(device_name), gpus, precision)
    for figure in FIGURES:
        found = (figure.network, figure.config, figure.season, figure.purpose, figure.machine, figure.gpus)
        if (*found, figure.precision) == wanted:
            return figure
    return None
