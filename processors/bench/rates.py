"""The figures of the benchmark of ingestion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from catalog.products import Frozen


class IngestRates(Frozen):
    """Rates that were measured. Pixels are those of reflectance, of 10 m, read and written."""

    pixels_per_second: Annotated[float, Field(description="ingestion of COGs, from the order to whole slabs")]
    pixels_per_second_jp2: Annotated[float, Field(description="ingestion of lossless JP2")]
    pixels_per_second_off_cells: Annotated[
        float, Field(description="ingestion of COGs that lie beside the cells as MGRS tiles do: 9 cells instead of 4")
    ]
    decode_pixels_per_second_cog: Annotated[float, Field(description="the same files read by rasterio alone")]
    decode_pixels_per_second_jp2: float
    write_pixels_per_second: Annotated[float, Field(description="the same slabs written into cells, nothing read")]
    odc_stac_pixels_per_second: Annotated[float, Field(description="odc.stac.load(...).to_zarr(...) of the same COGs")]
    share_of_decode_cog: Annotated[float, Field(description="ingestion's speed over decoding's")]
    share_of_decode_jp2: float
    share_of_decode_and_write_cog: Annotated[
        float, Field(description="ingestion's speed over that of decoding and writing one after the other")
    ]
    ratio_to_odc_stac: Annotated[float, Field(description="ingestion's speed over odc-stac's")]
    ratio_to_odc_stac_tuned: Annotated[
        float, Field(description="the same where odc-stac writes through the cube's compressor and Rust codecs")
    ]
    patch_read_ratio: Annotated[
        float, Field(description="one 128 px patch, all dates and bands: time from the COGs over time from the cube")
    ]
    patch_read_seconds: float
    peak_memory_mb: Annotated[
        dict[str, float], Field(description="of a process that ingests two acquisitions, by area in pixels")
    ]
    peak_memory_mb_by_acquisitions: Annotated[
        dict[str, float], Field(description="of a process that ingests so many acquisitions of the smallest area")
    ]
    synthetic: bool = True
    quick: bool
    acquisitions: int
    bands: int
    size: Annotated[int, Field(description="edge of a file, pixels")]
    rounds: int
    threads: int
    versions: dict[str, str]

    def as_text(self) -> str:
        """Table for people."""
        lines = [
            f"Synthetic archives, {self.acquisitions} acquisitions x {self.bands} bands of {self.size} x {self.size} pixels, "
            f"{self.threads} threads, medians of {self.rounds} rounds{'; QUICK: says nothing about speed' if self.quick else ''}",
            "",
            f"{'':38s}{'COG':>8s}{'JP2':>8s}  Mpx/s",
            f"{'ingestion':38s}{self.pixels_per_second / 1e6:8.1f}{self.pixels_per_second_jp2 / 1e6:8.1f}",
            f"{'decoding alone':38s}{self.decode_pixels_per_second_cog / 1e6:8.1f}{self.decode_pixels_per_second_jp2 / 1e6:8.1f}",
            f"{'share of decoding':38s}{self.share_of_decode_cog:8.2f}{self.share_of_decode_jp2:8.2f}",
            f"{'writing alone':38s}{self.write_pixels_per_second / 1e6:8.1f}",
            f"{'share of decoding, then writing':38s}{self.share_of_decode_and_write_cog:8.2f}",
            f"{'ingestion, files beside the cells':38s}{self.pixels_per_second_off_cells / 1e6:8.1f}",
            f"{'odc-stac to Zarr':38s}{self.odc_stac_pixels_per_second / 1e6:8.1f}",
            f"{'times as fast as odc-stac':38s}{self.ratio_to_odc_stac:8.2f}",
            f"{'the same, odc-stac with our codecs':38s}{self.ratio_to_odc_stac_tuned:8.2f}",
            "",
            f"one patch, all dates and bands: {self.patch_read_seconds * 1e3:.1f} ms from the cube, "
            f"{self.patch_read_ratio:.1f} times as long from the COGs",
            f"peak memory, MB, by area: {_listed(self.peak_memory_mb)}",
            f"peak memory, MB, by acquisitions: {_listed(self.peak_memory_mb_by_acquisitions)}",
        ]
        return "\n".join(lines)


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in values.items())
