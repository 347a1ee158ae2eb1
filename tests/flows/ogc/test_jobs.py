"""Jobs are flow runs: states, progress, causes and times as Prefect has them, and lists by what is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ogc_kit import ADDRESS, START, Partner, Prefect

from catalog.storage.store import Store
from flows.ogc.app import application
from flows.ogc.filters import JobFilter
from flows.ogc.jobs import Jobs
from flows.ogc.keys import KEYS_FILE, Keys
from flows.ogc.refusals import INVALID_VALUE, NO_SUCH_JOB, RESULT_NOT_READY
from flows.reporting.markdown import markdown_text

TAGS = ["ogc", "ogc-key:partner", "ogc-process:crop-map"]


def _run(prefect: Prefect, state: str, message: str = "", process: str = "crop-map") -> str:
    return str(prefect.add(state, {}, [*TAGS[:2], f"ogc-process:{process}"], message)["id"])


@pytest.mark.parametrize(
    ("state", "status", "progress", "message"),
    [
        ("SCHEDULED", "accepted", 0, "Waits in the queue."),
        ("PENDING", "accepted", 0, "Is being started."),
        ("PAUSED", "accepted", 0, "Is paused."),
        ("RUNNING", "running", 42, "ingest: 3/27, waiting for A*B"),
        ("COMPLETED", "successful", 100, "Done."),
        ("FAILED", "failed", 0, "source: no such archive. Give another."),
        ("CANCELLING", "dismissed", 0, "Dismissed."),
        ("CANCELLED", "dismissed", 0, "Dismissed."),
    ],
)
def test_a_status_is_that_of_the_run(
    state: str, status: str, progress: int, message: str, partner: Partner, prefect: Prefect
) -> None:
    why = "Flow run encountered an exception: RequestError: source: no such archive. Give another."
    job = _run(prefect, state, why)
    prefect.report(job, "progress", 42.7, markdown_text("ingest: 3/27, waiting for A*B"))
    found = partner.get(f"/jobs/{job}").json()
    assert (found["status"], found["progress"], found["message"]) == (status, progress, message)
    assert (found["jobID"], found["processID"], found["type"]) == (job, "crop-map", "process")
    assert datetime.fromisoformat(found["created"]) == START
    assert ("started" in found) == (state not in ("SCHEDULED", "PENDING", "PAUSED", "CANCELLING"))
    assert ("finished" in found) == (state in ("COMPLETED", "FAILED", "CANCELLED"))
    relations = {link["rel"].rsplit("/", 1)[-1] for link in found["links"]}
    assert ("results" in relations, "exceptions" in relations) == (status == "successful", status == "failed")


def test_a_run_that_crashed_is_taken_up_again_and_so_no_failure_yet(partner: Partner, prefect: Prefect) -> None:
    job = _run(prefect, "CRASHED", "Its process is gone.")
    assert partner.get(f"/jobs/{job}").json()["status"] == "failed", "long ago: it isn't taken up any more"
    prefect.runs[job]["end_time"] = datetime.now(UTC).isoformat()
    found = partner.get(f"/jobs/{job}").json()
    assert (found["status"], found["message"]) == ("accepted", "Its process ended; it is taken up again.")
    assert "finished" not in found


def test_dismissing_cancels_a_run_and_takes_one_that_is_over_from_the_list(partner: Partner, prefect: Prefect) -> None:
    waits, over = _run(prefect, "RUNNING"), _run(prefect, "COMPLETED")
    for job in (waits, over):
        answer = partner.ask("DELETE", f"/jobs/{job}")
        assert (answer.status_code, answer.json()["status"], answer.json()["jobID"]) == (200, "dismissed", job)
    assert prefect.runs[waits]["state_type"] == "CANCELLING"
    assert partner.get(f"/jobs/{waits}").json()["status"] == "dismissed"
    assert partner.ask("DELETE", f"/jobs/{waits}").status_code == 200
    assert (prefect.runs[over]["state_type"], "ogc" in prefect.runs[over]["tags"]) == ("COMPLETED", False)
    assert partner.get(f"/jobs/{over}").json()["type"] == NO_SUCH_JOB


@pytest.fixture
def five(prefect: Prefect) -> list[str]:
    """One job of each kind, an hour apart; those that are over took ten minutes."""
    states = ("SCHEDULED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
    jobs = [_run(prefect, state, process="estimate" if state == "COMPLETED" else "crop-map") for state in states]
    started = datetime.now(UTC) - timedelta(seconds=30)
    prefect.runs[jobs[1]]["start_time"] = started.isoformat()
    return jobs


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [4, 3, 2, 1, 0]),
        ("?limit=2", [4, 3]),
        ("?limit=2&offset=2", [2, 1]),
        ("?status=running", [1]),
        ("?status=successful,failed", [3, 2]),
        ("?type=process", [4, 3, 2, 1, 0]),
        ("?processID=estimate", [2]),
        ("?processID=estimate,crop-map&status=failed", [3]),
        ("?processID=other", []),
        ("?processID=other,estimate,estimate&status=successful,successful", [2]),
        ("?limit=1000", [4, 3, 2, 1, 0]),
        ("?offset=1000000000", []),
        ("?datetime=2026-05-01T13:00:00Z/2026-05-01T14:00:00Z", [2, 1]),
        ("?datetime=2026-05-01T15:00:00Z/..", [4, 3]),
        ("?datetime=../2026-05-01T12:30:00Z", [0]),
        ("?datetime=2026-05-01", [4, 3, 2, 1, 0]),
        ("?datetime=2026-05-02/..", []),
        ("?minDuration=600", [4, 3, 2]),
        ("?maxDuration=300", [1]),
        ("?minDuration=10&maxDuration=600&limit=1&offset=1", [3]),
        ("?minDuration=601", []),
        ("?minDuration=0&status=accepted", []),
    ],
)
def test_a_list_holds_what_is_asked_for(query: str, wanted: list[int], five: list[str], partner: Partner) -> None:
    answer = partner.get(f"/jobs{query}")
    assert answer.status_code == 200, answer.text
    assert [job["jobID"] for job in answer.json()["jobs"]] == [five[number] for number in wanted]


def test_a_list_leads_on_to_its_next_page(five: list[str], partner: Partner) -> None:
    links = {
        link["rel"]: link["href"]
        for link in partner.get("/jobs?limit=3&status=failed,successful,dismissed,running").json()["links"]
    }
    assert links["next"].startswith(f"{ADDRESS}/jobs?")
    rest = partner.get(links["next"].removeprefix(ADDRESS)).json()
    assert [job["jobID"] for job in rest["jobs"]] == [five[1]]
    assert "next" not in {link["rel"] for link in rest["links"]}


class Paging(Prefect):
    """Gives at most 200 entries at once, as Prefect does; where it grows, a run is ordered before each page of runs."""

    grows = False

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        if path == "flow_runs/filter" and body is not None:
            assert 0 < body["limit"] <= 200
            if self.grows:
                _run(self, "SCHEDULED")
        found = super().ask(path, body, method)
        return found[:200] if path == "artifacts/filter" else found


@pytest.mark.parametrize("limit", [200, 201, 250, 400, 1000])
def test_a_list_is_as_long_as_is_asked_for(limit: int, store: Store) -> None:
    prefect = Paging({})
    jobs = [_run(prefect, "RUNNING") for _ in range(410)]
    for job in jobs:
        prefect.report(job, "progress", 42)
    asker = Partner(application(ADDRESS, Keys(store.prefect / KEYS_FILE, print), prefect))  # type: ignore[arg-type]
    answer = asker.get(f"/jobs?limit={limit}&offset=5").json()
    assert [job["jobID"] for job in answer["jobs"]] == jobs[::-1][5 : 5 + limit]
    assert {job["progress"] for job in answer["jobs"]} == {42}
    assert ("next" in {link["rel"] for link in answer["links"]}) == (limit < 405)


def test_a_list_that_grows_meanwhile_names_each_job_once() -> None:
    prefect = Paging({})
    for _ in range(410):
        _run(prefect, "SCHEDULED")
    prefect.grows = True
    for wanted in (JobFilter(), JobFilter(since=START)):
        runs, _ = Jobs(prefect, "partner").listed(wanted, 1000, 0)  # type: ignore[arg-type]
        assert len({run["id"] for run in runs}) == len(runs) > 410


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("status=done", "status: 'done' is none of accepted, running"),
        ("type=thing", "type: 'thing' is not here"),
        ("datetime=yesterday", "datetime: 'yesterday' is no time"),
        ("datetime=../..", "datetime: '../..' has no end"),
        ("minDuration=-1", "minDuration: '-1' is no number of seconds"),
        ("maxDuration=nan", "maxDuration: 'nan' is no number of seconds"),
        ("limit=0", "limit value should be strictly positive"),
        ("limit=many", "limit value should be an integer"),
        ("offset=-1", "offset value should be positive or zero"),
        ("offset=1000000001", "offset: 1000000001 is more than 1000000000. Give a smaller one"),
        ("offset=9223372036854775808", "offset: 9223372036854775808 is more than 1000000000"),
        (f"processID={'a,' * 3000}", "processID: 3,000 names, more than 100. List each that is wanted once."),
        (f"status={'failed,' * 101}", "status: 101 names, more than 100"),
        ("f=xml", "f: neither json nor html"),
    ],
)
def test_a_query_that_cannot_be_understood_is_refused(query: str, detail: str, partner: Partner) -> None:
    answer = partner.get(f"/jobs?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, INVALID_VALUE)
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("state", "message", "status", "kind"),
    [
        ("SCHEDULED", "", 404, RESULT_NOT_READY),
        ("RUNNING", "", 404, RESULT_NOT_READY),
        ("CANCELLED", "", 410, "about:blank"),
        ("FAILED", "Flow run encountered an exception: NotEnoughAcquisitionsError: 2 of 5", 400, INVALID_VALUE),
        ("FAILED", "Flow run encountered an exception: StoreError: the disk is full", 500, "about:blank"),
        ("FAILED", "Its process ended 3 times before the run did", 500, "about:blank"),
    ],
)
@pytest.mark.parametrize("path", ["results", "results/item.json"])
def test_a_job_without_results_says_why(
    state: str, message: str, status: int, kind: str, path: str, partner: Partner, prefect: Prefect
) -> None:
    answer = partner.get(f"/jobs/{_run(prefect, state, message)}/{path}")
    assert (answer.status_code, answer.json()["type"], answer.json()["status"]) == (status, kind, status)
    assert state != "FAILED" or answer.json()["detail"] == message.split("Error: ")[-1]


def test_what_a_table_s_text_was_made_of_is_found_again() -> None:
    for text in (
        "1. first",
        "- not a list",
        "a_b *c* <d> https://e.f www.g.h #1 ~x~ `y` \\z [i](j)",
        "= 3 | 4 & 5!",
        "",
    ):
        from flows.reporting.markdown import plain_text

        assert plain_text(markdown_text(text)) == text


def test_a_list_of_accepted_jobs_has_no_times_that_nobody_knows(five: list[str], partner: Partner) -> None:
    (job,) = partner.get("/jobs?status=accepted").json()["jobs"]
    assert {"started", "finished"}.isdisjoint(job)
    assert all(value is not None for value in job.values())
