"""Small tables of series that can be learnt: two crops whose green comes early or late, in places some km apart."""

from __future__ import annotations

import numpy as np

from agrunet.data.series_table import SeriesMetadata, SeriesTable

DAYS = np.arange(10, 211, 20, dtype=np.int16)


def series_table(rows: int = 90, seed: int = 0, irregular: bool = False, **metadata: object) -> SeriesTable:
    """Points 2 km apart, one in ten without a label; ``irregular``: each has days of its own."""
    rng = np.random.default_rng(seed)
    late = rng.random(rows) < 0.4
    chosen = [
        np.sort(rng.choice(np.arange(5, 210), len(DAYS), replace=False)) if irregular else DAYS for _ in range(rows)
    ]
    days = np.concatenate(chosen).astype(np.int16)
    peak = np.repeat(np.where(late, 150, 90), len(DAYS))
    green = np.exp(-(((days - peak) / 35.0) ** 2))
    values = np.stack([1200 - 900 * green, 1500 + 2500 * green], axis=1) * rng.normal(1, 0.03, (len(days), 1))
    values = values.clip(1).astype(np.uint16)
    values[rng.random(len(days)) < 0.15] = 0
    unknown = np.arange(rows) % 10 == 7
    return SeriesTable(
        ids=tuple(f"p{row}" for row in range(rows)),
        lon=3 + 0.03 * (np.arange(rows) % 10),
        lat=51 + 0.02 * (np.arange(rows) // 10),
        year=np.full(rows, 2019),
        labels=tuple(
            None if gap else ("late" if is_late else "early") for gap, is_late in zip(unknown, late, strict=True)
        ),
        bands=("B04", "B08"),
        offsets=np.arange(rows + 1) * len(DAYS),
        days=days,
        values=values,
        metadata=SeriesMetadata.model_validate(metadata),
    )
