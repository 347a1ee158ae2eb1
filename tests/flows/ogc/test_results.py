"""Results: a STAC item whose assets can be had here, the files themselves, and nothing else of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac
import pytest
from ogc_kit import ADDRESS, Partner, Prefect, write_delivery

from catalog.storage.whole import write_json
from flows.reporting.markdown import markdown_text
from flows.request import MapRequest


def _delivered(partner: Partner, prefect: Prefect, inputs: dict[str, Any], **more: Any) -> tuple[str, Path]:
    """A job that is done, and its folder."""
    job = partner.order(inputs, **more).json()["jobID"]
    run = prefect.runs[job]
    request = MapRequest.model_validate({name: value for name, value in run["parameters"].items() if name != "dry_run"})
    write_delivery(request.delivery_folder, request.digest)
    run |= {"state_type": "COMPLETED", "start_time": run["created"], "end_time": run["created"]}
    return job, request.delivery_folder


@pytest.mark.parametrize(
    ("more", "status", "kind"),
    [
        ({}, 200, "application/geo+json"),
        ({"response": "document"}, 200, "application/json"),
        ({"outputs": {"delivery": {"transmissionMode": "reference"}}}, 204, None),
        (
            {"outputs": {"delivery": {"transmissionMode": "reference"}}, "response": "document"},
            200,
            "application/json",
        ),
    ],
    ids=["raw value", "document of values", "raw reference", "document of references"],
)
def test_results_come_in_the_form_that_was_ordered(
    more: dict[str, Any], status: int, kind: str | None, partner: Partner, prefect: Prefect, inputs: dict[str, Any]
) -> None:
    job, _ = _delivered(partner, prefect, inputs, **more)
    answer = partner.get(f"/jobs/{job}/results")
    assert (answer.status_code, answer.headers.get("content-type")) == (status, kind)
    link = f"{ADDRESS}/jobs/{job}/results/item.json"
    if status == 204:
        assert answer.headers["link"] == f'<{link}>; rel="delivery"; type="application/geo+json"'
    elif "outputs" in more:
        assert answer.json()["delivery"]["href"] == link
    else:
        given = answer.json() if not more else answer.json()["delivery"]["value"]
        assert given == partner.get(link.removeprefix(ADDRESS)).json()
    item = pystac.Item.from_dict(
        partner.get(f"/jobs/{job}/results/item.json").json() | {"stac_version": "1.1.0"} | GROUND
    )
    assert {asset.href for asset in item.assets.values()} == {
        f"{ADDRESS}/jobs/{job}/results/report.html",
        f"{ADDRESS}/jobs/{job}/results/crop_map.tif",
    }
    assert {link.rel for link in item.links} == {"self", "license"}, "no path of this machine"
    shown = partner.get(f"/jobs/{job}/results?f=html").text
    assert all(f'<a href="{asset.href}">' in shown for asset in item.assets.values()), "whatever form was ordered"


GROUND = {
    "geometry": None,
    "properties": {"datetime": "2019-07-01T00:00:00Z"},
}


def test_files_are_handed_out_as_their_links_say(partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> None:
    job, folder = _delivered(partner, prefect, inputs)
    report = partner.get(f"/jobs/{job}/results/report.html")
    assert report.text == "report.html"
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    part = partner.get(f"/jobs/{job}/results/crop_map.tif", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.text) == (206, "crop")
    (folder.parent / "outside.txt").write_text("private")
    for path in (
        "notes.txt",
        "../outside.txt",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        "/etc/passwd",
        "none.tif",
        "",
    ):
        answer = partner.get(f"/jobs/{job}/results/{path}")
        assert (answer.status_code, "private" in answer.text) == (404, False), path


def test_a_delivery_that_is_gone_or_another_one_is_said(
    partner: Partner, prefect: Prefect, inputs: dict[str, Any]
) -> None:
    job, folder = _delivered(partner, prefect, inputs)
    item = json.loads((folder / "item.json").read_text())
    write_json(folder / "item.json", {**item, "properties": {"cropline:request_digest": "of-another"}})
    for path in ("results", "results/item.json", "results/crop_map.tif"):
        answer = partner.get(f"/jobs/{job}/{path}")
        assert (answer.status_code, answer.json()["detail"][:23]) == (410, "The delivery isn't here")


def test_an_estimate_is_what_the_run_showed(partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> None:
    job = partner.order(inputs, "estimate", response="document").json()["jobID"]
    prefect.runs[job] |= {"state_type": "COMPLETED"}
    assert partner.get(f"/jobs/{job}/results").status_code == 410
    rows = [{"what": markdown_text("disk, cubes"), "about": markdown_text("5 GB*"), "from": "`x`"}]
    prefect.report(job, "estimate", json.dumps(rows), markdown_text("What a run would take. *All*."))
    value = partner.get(f"/jobs/{job}/results").json()["estimate"]["value"]
    assert value["remarks"] == "What a run would take. *All*."
    assert value["estimate"] == [{"what": "disk, cubes", "about": "5 GB*", "from": "`x`"}]
    assert value["acquisitions"] == value["left_out"] == []
    assert partner.get(f"/jobs/{job}/results/estimate.json").json() == value
    assert "<td>disk, cubes</td>" in partner.get(f"/jobs/{job}/results?f=html").text
    assert partner.get(f"/jobs/{job}/results/item.json").status_code == 404
