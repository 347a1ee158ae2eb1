"""The table says all that was measured, and what was not."""

from __future__ import annotations

from collections.abc import Callable

from agrunet.bench.rows import Row, with_ratios
from agrunet.bench.table import format_table, memory

Make = Callable[..., Row]


def test_figures_ratios_and_the_talk_stand_in_one_line(make_row: Make) -> None:
    row = make_row(parameters=2_016_742, gflop=188.12, peak_bytes=1_234_000_000, talk=605.53, talk_source="GH200: page")
    rows = with_ratios([row.with_rates([1799.0, 1801.0, 1800.0]), make_row(1200.0, network="utae", precision="fp32")])
    lines = format_table(rows).splitlines()
    line = next(line for line in lines if line.startswith("AgrUNet"))
    assert line.split() == [
        *("AgrUNet", "2,016,742", "188.1", "fp32", "eager", "1,800", "1,799–1,801", "0.67", "1.23", "GB", "606")
    ]
    assert "talk: GH200: page" in lines
    assert "orthopastis, January to July, inference: 128 x 128 px, 27 dates (assumed), batch 1" in lines


def test_columns_are_aligned(make_row: Make) -> None:
    rows = [make_row(0.5, mode="inference-compiled"), make_row(12345.0, network="conv_rnn", precision="bf16")]
    head, *lines = format_table(rows).splitlines()[3:6]
    assert head.index("arithmetic") == lines[0].index("fp32") == lines[1].index("AMP bf16")
    assert head.index("img/s") + len("img/s") == lines[0].index("0.5") + 3


def test_a_failure_shows_its_reason(make_row: Make) -> None:
    text = format_table([make_row(1.0), make_row(network="tsvit", reason="out of memory: 20 GB")])
    line = next(line for line in text.splitlines() if line.startswith("TSViT"))
    assert line.endswith("failed  out of memory: 20 GB")


def test_a_quick_run_says_so(make_row: Make) -> None:
    assert "QUICK" in format_table([make_row(1.0, quick=True)])
    assert "QUICK" not in format_table([make_row(1.0)])


def test_emulated_arithmetic_is_said(make_row: Make) -> None:
    assert "emulated" in format_table([make_row(1.0, precision="bf16", emulated=True)])
    assert "emulated" not in format_table([make_row(1.0, precision="bf16")])


def test_both_seasons_are_compared_beside_the_talk(make_row: Make) -> None:
    text = format_table([make_row(2.0, season="year"), make_row(4.2, season="jan-jul")])
    assert "orthopastis AgrUNet inference fp32: 2.10; the talk 1.8" in text
    assert "1.7 to 2.1" in text
    assert "1.7 to 2.1" not in format_table([make_row(4.2)])


def test_memory_is_in_powers_of_ten() -> None:
    assert (memory(999_400_000), memory(1_500_000_000)) == ("999 MB", "1.50 GB")
