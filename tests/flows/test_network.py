"""Whole runs over a network that fails: what goes on, what is told, and that no secret is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr
from prefect.states import Failed

from catalog.errors import AccessError, NoProductError, NotEnoughAcquisitionsError, ProductError, Reason, SourceError
from catalog.products import LEVEL_BANDS, LeftOut
from flows.stage import worth_retrying
from flows.stages import done_text, ingest_batch, refuse_nothing, with_reasons
from processors.ingest.acquisition import IngestResult

SECRETS = ("the-aws-key", "the-aws-secret", "the-aws-token")


@pytest.fixture
def run(
    mission_archive: Any,
    file_server: Any,
    parameters: dict[str, Any],
    tmp_path: Path,
    run_command: Callable[..., Any],
    environment_of: Callable[..., dict[str, str]],
) -> Callable[..., Any]:
    """Runs the request from an archive served as a bucket, each file under a name of its own."""
    served = file_server.folder / "bucket"
    shutil.copytree(mission_archive.folder / "products", served)
    for item in served.glob("sentinel-2-l2a/*/*.json"):
        document = json.loads(item.read_text())
        for asset in document["assets"].values():
            file = item.parent / asset["href"]
            file.rename(file.with_name(f"{item.stem}-{file.name}"))
            asset["href"] = f"./{item.stem}-{file.name}"
        item.write_text(json.dumps(document))

    def call() -> Any:
        request = {**parameters, "source": "stac:s3://bucket/catalog.json", "output": "map", "months": [3, 4]}
        request |= {"max_cloud": 100, "min_clear": 0, "min_acquisitions": 1}
        (tmp_path / "aoi.json").write_text(json.dumps(request))
        env = environment_of(
            tmp_path / "store",
            AWS_ENDPOINT_URL_S3=file_server.address,
            AWS_ACCESS_KEY_ID=SECRETS[0],
            AWS_SECRET_ACCESS_KEY=SECRETS[1],
            AWS_SESSION_TOKEN=SECRETS[2],
            CROPLINE_RETRY_DELAY="0.1",
            CROPLINE_DEBUG="1",
        )
        return run_command("cropline", "run", "aoi.json", "--json", cwd=tmp_path, env=env)

    return call


def products(archive: Any) -> list[str]:
    """Those of the request's two months."""
    sensed = {path.stem: path.stem.split("_")[2] for path in archive.products}
    return sorted(name for name, time in sensed.items() if time[:6] in ("201903", "201904"))


def untold(folder: Path, done: Any) -> bool:
    """True where no secret is in what a command printed, nor in anything it left on the disk."""
    written = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert len(written) > 20
    texts = [done.stdout.encode(), done.stderr.encode(), *written]
    return not any(secret.encode() in text for secret in SECRETS for text in texts)


def test_a_run_goes_on_without_what_cannot_be_had(
    run: Callable[..., Any], mission_archive: Any, file_server: Any, tmp_path: Path
) -> None:
    names = products(mission_archive)
    busy, broken, gone, denied, late = names[:5]
    # The first attempt at B04 finds the service busy to the end of its own attempts; a later one finds it well.
    file_server.faults |= {
        f"{busy}-B04.tif": "500",
        f"{broken}-B04.tif": "drop",
        f"{gone}-B04.tif": "404",
        f"{denied}-B04.tif": "403",
    }
    file_server.faults_left[f"{busy}-B04.tif"] = 9
    # As the first search finds it with the description of another product.
    file_server.faults[f"{late}.json"] = "500"
    file_server.faults_left[f"{late}.json"] = 9
    done = run()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["acquisitions"]) == len(names) - 3, "of a band that most have, those without are not used"
    report = (tmp_path / "map" / "report.html").read_text()
    for name, said in ((broken, "it may be truncated"), (gone, "B04"), (denied, "access denied")):
        assert name in report
        assert said in report
    (cell,) = (tmp_path / "store" / "cubes").glob("*/L2A/*.zarr")
    cube = zarr.open_group(cell, mode="r")
    left = {
        str(key): reason for text in cube["left_out"][:] if text for key, (reason, *_) in json.loads(str(text)).items()
    }
    assert set(left) == {f"{gone} B04", f"{denied} B04"}
    assert f"s3://bucket/sentinel-2-l2a/{denied}/{denied}-B04.tif".split("//")[1] in left[f"{denied} B04"]
    assert cube["bands_present"][:][:, LEVEL_BANDS["L2A"].index("B04")].sum() == len(names) - 3
    assert file_server.asked[f"{denied}-B04.tif"] <= 3 * 4, "what is refused is not asked for ever"
    assert file_server.asked[f"{broken}-B04.tif"] <= 3 * 8
    assert file_server.faults_left[f"{late}.json"] <= 0, "the search was made again"
    assert untold(tmp_path, done)


def test_a_run_from_which_everything_is_kept_fails_with_the_remedy(
    run: Callable[..., Any], file_server: Any, tmp_path: Path
) -> None:
    file_server.faults["*"] = "expired"
    done = run()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "stac:s3://bucket/catalog.json: nothing of it may be read" in last
    assert "The provided token has expired" in last
    assert "Set AWS_ACCESS_KEY_ID" in last
    assert not (tmp_path / "map").exists()
    assert untold(tmp_path, done)


def result(*dropped: tuple[str, str, Reason], written: tuple[str, ...] = ()) -> IngestResult:
    left = tuple(LeftOut(product=product, reason=reason, kind=kind) for product, reason, kind in dropped)
    return IngestResult(acquisition="one", written=written, dropped=left)


def test_a_source_of_which_nothing_can_be_had_is_an_error() -> None:
    denied = ("p", "s3://b/B04.jp2: access denied: expired. Set AWS_ACCESS_KEY_ID.", Reason.ACCESS_DENIED)
    passing = ("q", "s3://b/B04.jp2: not reachable now: busy", Reason.NOT_REACHABLE)
    gone = ("r", "HTTP response code: 404", Reason.NOT_THERE)
    with pytest.raises(
        AccessError, match=r"^source stac:x: .*p and 1 more: s3://b/B04\.jp2: .*Set AWS_ACCESS_KEY_ID\.$"
    ):
        refuse_nothing([result(denied), result(denied)], "stac:x")
    with pytest.raises(SourceError, match=r"can be reached\. p and 1 more: .*Try again later"):
        refuse_nothing([result(denied), result(passing)], "stac:x")
    refuse_nothing([result(denied), result(passing, written=("a cell",))], "stac:x")
    refuse_nothing([result(denied), result(gone)], "stac:x")  # the season says then that too little is left
    refuse_nothing([], "stac:x")


def test_the_line_of_the_stage_says_what_is_left_out() -> None:
    denied = ("p", "s3://b/B04.jp2: no", Reason.ACCESS_DENIED)
    assert done_text([result(), result()]) == "2 acquisitions"
    assert done_text([result(denied), result(denied)]) == "2 acquisitions; left out: p and 1 more: s3://b/B04.jp2: no."


def test_what_cannot_be_had_is_tried_again_and_a_refusal_is_not() -> None:
    def again(error: Exception) -> bool:
        return worth_retrying(ingest_batch, None, Failed(data=error))  # type: ignore[arg-type]

    assert again(SourceError("busy"))
    assert again(ConnectionResetError())
    assert not again(AccessError("no"))
    assert not again(NoProductError("it answers, and holds nothing"))
    assert not again(ProductError("broken"))


def test_too_few_acquisitions_say_what_could_not_be_read() -> None:
    error = with_reasons(NotEnoughAcquisitionsError("too few"), [LeftOut(product="p B04", reason="404.")])
    assert str(error) == "too few\nNot all could be read: p B04: 404."
    error = NotEnoughAcquisitionsError("none", without_data=True)
    lines = str(with_reasons(error, [LeftOut(product="p", reason="cut off.")])).splitlines()
    assert lines == ["Nothing could be read: p: cut off.", "none"]
    assert str(with_reasons(NotEnoughAcquisitionsError("too few"), [])) == "too few"
