"""A request whose stages run on a scheduler's workers, with the cubes in a bucket: the same delivery as without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine_kit
import rasterio
from pydantic import SecretStr

from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import S3Access


def test_a_request_on_a_scheduler_delivers_the_same_map(
    parameters: dict[str, Any],
    bucket: BucketPath,
    s3_server: S3Access,
    tmp_path: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
) -> None:
    request = {**parameters, "months": [5, 5], "min_acquisitions": 2}
    key_of_workers = s3_server.model_copy(update={"key": SecretStr("key-of-the-workers")})
    found = []
    with engine_kit.cluster(tmp_path, 2, engine_kit.environment_with(key_of_workers)) as cluster:
        elsewhere = {
            "CROPLINE_DASK": cluster.address,
            "CROPLINE_CUBES": str(bucket),
            "CROPLINE_SHARED_STORE": "false",
            **engine_kit.environment_with(s3_server),
            **engine_kit.variables_for(tmp_path / "tls"),
        }
        for name, more in (("here", {}), ("there", elsewhere)):
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps({**request, "output": name}))
            done = run_command(
                "cropline",
                "run",
                file.name,
                "--json",
                cwd=tmp_path,
                env=environment_of(tmp_path / f"store-{name}", **more),
            )
            assert done.returncode == 0, done.stderr
            with rasterio.open(tmp_path / name / "ndvi.tif") as raster:
                found.append(raster.read().tobytes())
    assert found[0] == found[1]
    assert bucket.folders()
    assert (bucket / "runs").folders() == []  # nothing of the run is left
    assert not list((tmp_path / "store-there").rglob("results.zarr"))
