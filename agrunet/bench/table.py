"""A text table of the rows: one block per configuration, season and kind of step, the talk's figures beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from agrunet.bench.rows import Row, season_gains
from agrunet.bench.talk import SEASON_PAGE
from agrunet.networks.registry import TITLES

SEASON_TITLES = {"year": "whole year", "jan-jul": "January to July"}

QUICK_NOTE = "QUICK: small images and short series. It shows that everything runs; its figures say nothing about speed."

_HEADERS = (
    "network",
    "parameters",
    "GFLOP",
    "arithmetic",
    "runs",
    "img/s",
    "slowest–fastest",
    "time/U-TAE",
    "time/UNet-3D",
    "peak memory",
    "talk img/s",
)
_LEFT = {"network", "arithmetic", "runs"}
_ARITHMETIC = {"fp32": "fp32", "tf32": "TF32", "bf16": "AMP bf16"}


def format_table(rows: Sequence[Row]) -> str:
    """Write all rows for a terminal of 140 characters."""
    parts = [_heading(rows[0])] if rows else []
    parts += [_block(list(block)) for _, block in groupby(rows, key=lambda row: row.group)]
    gains = _gains(rows)
    return "\n\n".join([*parts, *([gains] if gains else []), _notes(rows)])


def _heading(row: Row) -> str:
    line = f"{row.device_name}, torch {row.torch}, {row.threads} thread{'s' if row.threads > 1 else ''}"
    return f"{line}\n{QUICK_NOTE}" if row.quick else line


def _block(rows: list[Row]) -> str:
    first = rows[0]
    assumed = " (assumed)" if first.dates_assumed else ""
    title = (
        f"{first.config}, {SEASON_TITLES[first.season]}, {first.purpose}: "
        f"{first.size} x {first.size} px, {first.dates} dates{assumed}, batch {first.batch}"
    )
    return f"{title}\n{_aligned(rows)}"


def _aligned(rows: list[Row]) -> str:
    cells = [_HEADERS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADERS))]
    lines = []
    for number, line in enumerate(cells):
        padded = [
            cell.ljust(width) if header in _LEFT else cell.rjust(width)
            for header, cell, width in zip(_HEADERS, line, widths, strict=True)
        ]
        row = rows[number - 1] if number else None
        failure = f"  {row.reason}" if row is not None and row.reason else ""
        lines.append("  ".join(padded).rstrip() + failure)
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    spread = ""
    if row.slowest is not None and row.fastest is not None:
        spread = f"{_rate(row.slowest)}–{_rate(row.fastest)}"
    return (
        TITLES[row.network],
        "" if row.parameters is None else f"{row.parameters:,}",
        "" if row.gflop is None else f"{row.gflop:.4g}",
        _ARITHMETIC[row.precision],
        "compiled" if row.compiled else "eager",
        "failed" if row.images_per_second is None else _rate(row.images_per_second),
        spread,
        "" if row.ratio_to_utae is None else f"{row.ratio_to_utae:.2f}",
        "" if row.ratio_to_unet3d is None else f"{row.ratio_to_unet3d:.2f}",
        "" if row.peak_bytes is None else memory(row.peak_bytes),
        "" if row.talk is None else _rate(row.talk),
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def memory(count: int) -> str:
    """Write a number of bytes in MB or GB (powers of ten)."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _gains(rows: Iterable[Row]) -> str:
    lines = []
    for gain in season_gains(rows):
        beside = f"; the talk {gain.talk}" if gain.talk is not None else ""
        kind = f"{gain.config} {TITLES[gain.network]} {gain.mode} {_ARITHMETIC[gain.precision]}"
        lines.append(f"  {kind}: {gain.gain:.2f}{beside}")
    if not lines:
        return ""
    title = f'Throughput from January to July over that of the whole year (the talk: 1.7 to 2.1, V100, "{SEASON_PAGE}")'
    return "\n".join([title, *lines])


def _notes(rows: Sequence[Row]) -> str:
    lines = [
        "img/s is the median of the rounds. Ratios are times over that of U-TAE or UNet-3D eager in fp32 in this run: less is faster.",
        "GFLOP: one image's forward pass in inference, a multiply-add counts as 2. The talk does not "
        "give the lengths of its series.",
    ]
    if any(row.device == "cpu" for row in rows):
        lines.append(
            "Peak memory: of a process that does only this, with Python, torch and, where it compiles, the compiler. "
            "The talk has no figure for CPUs."
        )
    else:
        lines.append("Peak memory: what tensors held on the GPU.")
    if any(row.emulated for row in rows):
        lines.append("This device has no bf16 arithmetic: AMP bf16 is emulated here, and slow.")
    lines += [f"talk: {source}" for source in sorted({row.talk_source for row in rows if row.talk_source})]
    return "\n".join(lines)
