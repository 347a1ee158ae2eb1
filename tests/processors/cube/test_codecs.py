"""Two threads that want different codecs get those that they asked for, and the process keeps its own."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import zarr

from processors.cube.codecs import plain_codecs, rust_codecs


def pipeline(array: zarr.Array[Any]) -> str:
    return type(array._async_array.codec_pipeline).__name__


def made(folder: Path) -> zarr.Array[Any]:
    return zarr.create_array(folder, shape=(4,), dtype="uint8")


def test_who_comes_second_waits_and_gets_its_own_codecs(tmp_path: Path) -> None:
    inside, asked = threading.Event(), threading.Event()

    def first() -> str:
        with plain_codecs():
            inside.set()
            asked.wait(5)
            asked.clear()
            asked.wait(0.3)  # time in which the second one would change the setting
            return pipeline(made(tmp_path / "first"))

    def second() -> str:
        inside.wait(5)
        asked.set()
        with rust_codecs():
            return pipeline(made(tmp_path / "second"))

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(first), pool.submit(second)]
        assert [result.result(10) for result in results] == ["BatchedCodecPipeline", "ZarrsCodecPipeline"]
    assert pipeline(made(tmp_path / "after")) == "ZarrsCodecPipeline", "the setting of the process is what it was"


def test_many_threads_leave_the_setting_as_it_was(tmp_path: Path) -> None:
    def ask(number: int) -> bool:
        with plain_codecs() if number % 2 else rust_codecs():
            wanted = "BatchedCodecPipeline" if number % 2 else "ZarrsCodecPipeline"
            return pipeline(made(tmp_path / str(number))) == wanted

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))
    assert zarr.config.get("codec_pipeline.path") == "zarrs.ZarrsCodecPipeline"


def test_a_block_inside_a_block_of_the_same_thread_does_not_wait(tmp_path: Path) -> None:
    with plain_codecs():
        with rust_codecs():
            assert pipeline(made(tmp_path / "inner")) == "ZarrsCodecPipeline"
        assert pipeline(made(tmp_path / "outer")) == "BatchedCodecPipeline"


def test_the_setting_is_made_in_one_module(repository: Path) -> None:
    setting = re.compile(r"zarr\.config\.set|codec_pipeline\.path")
    modules = [
        path.relative_to(repository).as_posix()
        for room in ("catalog", "processors", "agrunet", "flows")
        for path in (repository / room).rglob("*.py")
        if setting.search(path.read_text(encoding="utf-8"))
    ]
    assert modules == ["processors/cube/codecs.py"]
