"""The flow `reprocess`: every subscribed request again, where its source has something new."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from catalog import subscriptions
from catalog.errors import CroplineError
from catalog.order import make_order
from catalog.sources.registry import open_source
from flows.credentials import load_credentials
from flows.crop_map import crop_map
from flows.reporting.artifacts import Artifacts
from flows.reporting.delivery import ordered_contents, ordered_products, read_delivered
from flows.reporting.run_log import make_readable
from flows.request import MapRequest, check_request
from flows.run_folder import RunFolder
from flows.settings import Settings, load_settings
from processors.delivery.folder_swap import ITEM


class ReprocessError(CroplineError):
    """Some subscriptions could not be mapped; the others were."""


@flow(name="reprocess", persist_result=False)
def reprocess(everything: bool = False) -> dict[str, str]:
    """Map every subscribed request again where its source has something new. One that fails doesn't stop the others.

    Args:
        everything: Map also those where nothing is new.
    """
    make_readable()
    logger = get_run_logger()
    settings = load_settings()
    outcomes: dict[str, str] = {}
    failed: list[str] = []
    for name, parameters in subscriptions.subscribed(settings.open_store()).items():
        try:
            request = check_request(parameters, settings.folder, settings)
            outcomes[name] = _map_again(settings, request, everything)
        except CroplineError as error:
            failed.append(f"{name}: {error}")
            outcomes[name] = f"failed: {error}"
        logger.info("%s: %s", name, outcomes[name])
    rows = [{"subscription": name, "outcome": outcome} for name, outcome in outcomes.items()]
    with Artifacts({}) as artifacts:
        artifacts.table("subscriptions", rows, "What became of each subscription.")
    if failed:
        raise ReprocessError("\n".join([f"{len(failed)} of {len(outcomes)} subscriptions failed:", *failed]))
    return outcomes


def _map_again(settings: Settings, request: MapRequest, everything: bool) -> str:
    """Map one subscription again, and say what became of it. Raises `ReprocessError` where it failed, whatever the reason."""
    if not everything:
        looked = news(quote(settings), quote(request), return_state=True)
        if not looked.is_completed():
            raise ReprocessError(looked.message or "the source could not be searched")
        if not looked.result():
            return "nothing new"
    # The state instead of the result: also an error that nobody foresaw must not stop the other subscriptions.
    state = crop_map(**request.model_dump(mode="json"), return_state=True)
    if not state.is_completed():
        raise ReprocessError(state.message or f"its run ended as {state.name}")
    return f"delivered to {state.result()['delivery']}"


@task(name="look for news", cache_policy=NO_CACHE, persist_result=False)
def news(settings: Settings, request: MapRequest) -> bool:
    """Return whether the source offers what the last delivery of a request was not made from, clear pixels are told otherwise since, or
    there is no delivery."""
    delivered = read_delivered(RunFolder.of(settings.open_store(), request.digest))
    if delivered is None or not (Path(delivered.delivery) / ITEM).is_file():
        return True
    if delivered.masked_with != settings.mask.record(request.level):
        return True
    source = open_source(str(request.source), load_credentials())
    now = make_order(
        source, request.polygon, request.year, request.season, request.level, request.max_cloud, request.offset
    )
    if ordered_products(now) != delivered.ordered:
        return True
    contents = delivered.contents
    return any(content and contents.get(name, content) != content for name, content in ordered_contents(now).items())
