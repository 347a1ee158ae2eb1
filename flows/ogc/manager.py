"""The process manager of pygeoapi whose jobs are Prefect's flow runs: pygeoapi finds it by its name in the configuration."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pygeoapi.process.base import BaseProcessor
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus

from catalog.quoting import shown
from flows.checked_request import check_request
from flows.ogc.descriptions import description
from flows.ogc.filters import LAST_OFFSET, JobFilter
from flows.ogc.inputs import Execution
from flows.ogc.jobs import DOCUMENT, REFERENCE, Jobs
from flows.ogc.offers import OFFERS, Offer, check_names, folder_in_place
from flows.ogc.refusals import RefusedError, invalid
from flows.ogc.results import Result, as_json, results_of
from flows.prefect_process.api import Api
from flows.prefect_process.plugin import MOST_BYTES
from flows.settings import load_settings

NAME = f"{__name__}.PrefectManager"
_log = logging.getLogger("uvicorn.error")


class Offered(BaseProcessor):  # type: ignore[misc] # pygeoapi has no types
    """A process as pygeoapi describes it; it is executed by Prefect's worker, never here."""

    def __init__(self, offer: Offer, metadata: dict[str, Any]) -> None:
        super().__init__({"name": offer.id}, metadata)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and for which jobs."""

    api: Api
    key: str = ""
    jobs: JobFilter = field(default_factory=JobFilter)


class PrefectManager(BaseManager):  # type: ignore[misc] # pygeoapi has no types
    """Processes from deployments, jobs from flow runs. One for all of a process; `scoped` makes that of a request.

    Raises `RefusedError` where pygeoapi's managers raise errors of their own, and `ServiceError` where the server doesn't answer.
    """

    def __init__(self, definition: dict[str, Any]) -> None:
        super().__init__({"name": definition["name"]})
        self.is_async = True
        self._address = str(definition["address"])
        self._asked: Asked | None = definition.get("asked")
        self.processes = OrderedDict((name, {"type": "process"}) for name in OFFERS)

    def scoped(self, asked: Asked) -> PrefectManager:
        """The manager of who asks now."""
        return PrefectManager({"name": self.name, "address": self._address, "asked": asked})

    @property
    def jobs(self) -> Jobs:
        """The jobs of who asks."""
        asked = self._who()
        return Jobs(asked.api, asked.key)

    def _who(self) -> Asked:
        if self._asked is None:
            raise RuntimeError("nobody asks: `scoped` makes the manager of a request")
        return self._asked

    def get_processor(self, process_id: str) -> Offered:
        """The process; its description is made from the deployment's schema as it is now."""
        offer = OFFERS[process_id]
        return Offered(offer, description(offer, self.jobs.deployment(offer)["parameter_openapi_schema"]))

    def get_jobs(self, status: Any = None, limit: int | None = None, offset: int | None = None) -> dict[str, Any]:  # noqa: ARG002
        """A page of the jobs that were asked for, and how many there are."""
        if (offset or 0) > LAST_OFFSET:
            raise invalid(
                f"offset: {shown(offset)} is more than {LAST_OFFSET}. Give a smaller one, or follow the links of a list."
            )
        runs, matched = self.jobs.listed(self._who().jobs, limit or 10, offset or 0)
        return {"jobs": self.jobs.statuses(runs), "numberMatched": matched}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """The status of a job."""
        return self.jobs.statuses([self.jobs.find(job_id)])[0]

    def get_job_result(self, job_id: str) -> tuple[str, Result]:
        """Media type and results of a job."""
        jobs = self.jobs
        result = results_of(jobs.api, jobs.find(job_id), f"{self._address}/jobs/{job_id}/results")
        return result.media_type, result

    def delete_job(self, job_id: str) -> bool:
        """Dismiss a job."""
        self.jobs.dismiss(self.jobs.find(job_id))
        return True

    def order(self, offer: Offer, execution: Execution) -> dict[str, Any]:
        """Check what is ordered, as `cropline run` does, and create its run. Returns the job's status.

        Raises `CroplineError` where it is wrong, and `RefusedError` where the server has a folder of the model's name.
        """
        settings = load_settings()
        check_names(execution.inputs, settings)
        model = execution.inputs.get("model")
        if model is not None and (folder := folder_in_place(model, settings)):
            _log.error("the model %s can't be ordered while there is %s: rename that folder", model, folder)
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"model: {shown(model)} can't be taken at the moment, for something else of the server has that name. "
                "Take another, or tell who runs the server.",
            )
        request = check_request(execution.inputs, settings.folder, settings)
        parameters = {**request.model_dump(mode="json"), **offer.fixed}
        if len(as_json(parameters)) > MOST_BYTES:
            raise invalid(
                f"the request has more than {MOST_BYTES:,} bytes, which the server doesn't take. Give a simpler one."
            )
        tags = [tag for tag, wanted in ((DOCUMENT, execution.document), (REFERENCE, execution.by_reference)) if wanted]
        return self.jobs.statuses([self.jobs.order(offer, parameters, tags)])[0]

    def execute_process(self, process_id: str, data_dict: dict[str, Any], *_: Any, **__: Any) -> tuple[Any, ...]:
        """Order a process as pygeoapi asks for it: always asynchronously."""
        status = self.order(OFFERS[process_id], Execution(data_dict, document=True, by_reference=False))
        return status["jobID"], "application/json", status, JobStatus.accepted, None
