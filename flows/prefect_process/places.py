"""Work pools of other places on the server of `cropline up`, and the deployments that send requests there."""

from __future__ import annotations

from flows.handing_on import deployment_for
from flows.own_server import REQUEST, RETRAIN
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.work_pool import INTERACTIVE, POOL, put_place_right
from flows.settings import Settings
from flows.work_places import load_places

DEPLOYMENTS = (REQUEST, RETRAIN)
"""Deployments that each place has one of."""

_COPIED = (
    "flow_id", "version", "description", "tags", "parameters", "parameter_openapi_schema", "enforce_parameter_schema", "path",
    "pull_steps", "entrypoint",
)  # fmt: skip
"""Fields of a deployment that are the same in all places."""


def elsewhere(settings: Settings) -> tuple[str, ...]:
    """Places other than the server's own.

    Raises `RequestError` where they can't be read, and `ServiceError` where the own one has another name.
    """
    if settings.place != POOL:
        raise ServiceError(
            f"CROPLINE_PLACE is {settings.place}, and the place of a server is {POOL}. Unset it, or start a worker for another machine's "
            "server: `cropline up --api ADDRESS`."
        )
    return tuple(place for place in load_places(settings).places if place != POOL)


def put_right(api: Api, places: tuple[str, ...]) -> None:
    """Make a pool and deployments for each place; those of places that are gone are removed. Raises `ServiceError`."""
    made = {f"{deployment['name']}": deployment for deployment in api.ask("deployments/filter", {}) or []}
    wanted: set[str] = set()
    for place in places:
        put_place_right(api, place)
        for deployment in DEPLOYMENTS:
            own = made[deployment.partition("/")[2]]
            name = deployment_for(place, deployment).partition("/")[2]
            wanted.add(name)
            copied = {field: own[field] for field in _COPIED}
            api.ask("deployments/", {**copied, "name": name, "work_pool_name": place, "work_queue_name": INTERACTIVE})
    own_prefixes = tuple(f"{deployment.partition('/')[2]}-" for deployment in DEPLOYMENTS)
    for name, deployment in made.items():
        if name.startswith(own_prefixes) and name not in wanted:
            api.ask(f"deployments/{deployment['id']}", method="DELETE")
