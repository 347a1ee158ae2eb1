"""The flow `reprocess`: every subscribed request again where there is news, from the first acquisitions of its season to its final map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from catalog import subscriptions
from catalog.delivered_maps import ITEM
from catalog.errors import CroplineError, NoProductError, NotEnoughAcquisitionsError
from catalog.products import Order
from catalog.season_state import SeasonState
from flows import stages
from flows.checked_request import check_request
from flows.crop_map import crop_map
from flows.gathering import gather
from flows.reporting.artifacts import Artifacts
from flows.reporting.delivery import Delivered, ordered_contents, ordered_products, read_delivered
from flows.reporting.progress import LogLines
from flows.reporting.run_log import make_readable
from flows.reporting.season_news import changes_text
from flows.request import MapRequest
from flows.run import open_run
from flows.run_folder import RunFolder
from flows.settings import Settings, load_settings
from processors.delivery.coming_passes import NO_PROMISE, coming_passes
from processors.thematic.registry import load_processor

SHOWN_PASSES = 3
"""Coming passes that the table of subscriptions names."""


class ReprocessError(CroplineError):
    """Some subscriptions could not be mapped; the others were."""


class OutcomeKind(StrEnum):
    """What became of a subscription."""

    DELIVERED = "delivered"
    NOTHING_NEW = "nothing new"
    WAITING = "waiting"
    """For its season, for acquisitions or for a model: nothing is wrong."""
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a subscription, for people."""

    kind: OutcomeKind
    text: str = ""
    status: str = ""
    """Whether its map is preliminary or final; empty where there is none."""
    changes: str = ""
    passes: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}{self.text}"

    def row(self, name: str) -> dict[str, str]:
        """Row of the table that the Prefect UI shows."""
        return {
            "subscription": name,
            "outcome": str(self),
            "map": self.status,
            "changes": self.changes,
            "coming passes": self.passes,
        }


@flow(name="reprocess", persist_result=False)
def reprocess(everything: bool = False) -> dict[str, str]:
    """Map every subscribed request again where its source has something new. One that fails doesn't stop the others.

    While a season goes on its maps are preliminary. When it is over it is mapped once more, and that map is final: it is made again
    only where products were replaced, clear pixels are told otherwise, or everything is asked for.

    Args:
        everything: Map also those where nothing is new.
    """
    make_readable()
    logger = get_run_logger()
    settings = load_settings()
    outcomes: dict[str, Outcome] = {}
    for name, parameters in subscriptions.subscribed(settings.open_store()).items():
        try:
            outcomes[name] = _renew(
                settings, check_request(parameters, settings.folder, settings, waits=True), everything
            )
        except CroplineError as error:
            outcomes[name] = Outcome(OutcomeKind.FAILED, f": {error}")
        logger.info("%s: %s", name, outcomes[name])
    with Artifacts({}) as artifacts:
        rows = [outcome.row(name) for name, outcome in outcomes.items()]
        artifacts.table("subscriptions", rows, f"What became of each subscription. {NO_PROMISE}")
    _raise_failures(outcomes)
    return {name: str(outcome) for name, outcome in outcomes.items()}


def _raise_failures(outcomes: Mapping[str, Outcome]) -> None:
    failed = [f"{name}{outcome.text}" for name, outcome in outcomes.items() if outcome.kind is OutcomeKind.FAILED]
    if failed:
        raise ReprocessError("\n".join([f"{len(failed)} of {len(outcomes)} subscriptions failed:", *failed]))


def _renew(settings: Settings, request: MapRequest, everything: bool) -> Outcome:
    """Map one subscription again where there is news. Raises `ReprocessError` where that failed, whatever the reason."""
    season = SeasonState.of(request.year, request.season, settings.now)
    ahead = None if season.final else coming_passes(request.polygon, season)
    passes = ", ".join(one.words for one in ahead.passes[:SHOWN_PASSES]) if ahead else ""
    if not season.begun:
        return Outcome(OutcomeKind.WAITING, f" for its season, which begins on {season.start:%Y-%m-%d}", passes=passes)
    # The states instead of the results: also an error that nobody foresaw must not stop the other subscriptions.
    looked = look(quote(settings), quote(request), season, everything, return_state=True)
    if not looked.is_completed():
        raise ReprocessError(looked.message or "the source could not be searched")
    against: Outcome | None = looked.result()
    if against is not None:
        return Outcome(against.kind, against.text, against.status, passes=passes)
    state = crop_map(**request.model_dump(mode="json"), stay=True, return_state=True)  # subscriptions are this store's
    if not state.is_completed():
        raise ReprocessError(state.message or f"its run ended as {state.name}")
    made: Any = state.result()  # what was delivered: a run that stays hands nothing on
    return Outcome(
        OutcomeKind.DELIVERED, f" to {made['delivery']}", made["status"], changes_text(made["files"]), passes
    )


@task(name="look for news", cache_policy=NO_CACHE, persist_result=False)
def look(settings: Settings, request: MapRequest, season: SeasonState, everything: bool) -> Outcome | None:
    """Look whether a request can and must be mapped again. None where it is; else why not.

    While its season goes on, what is new is brought into the cube here: a map isn't begun before there is enough for it.
    """
    try:
        now = stages.order_of(request, settings)
    except NoProductError:
        if season.final:
            raise
        return _waiting(request.min_acquisitions, 0)
    if not season.final and len(now.own) < request.min_acquisitions:
        return _waiting(request.min_acquisitions, len(now.own))
    delivered = read_delivered(RunFolder.of(settings.open_store(), request.digest))
    if delivered is not None and not everything and not _news(settings, request, season, now, delivered):
        text = ": the final map is delivered" if season.final else ""
        return Outcome(OutcomeKind.NOTHING_NEW, text, delivered.status)
    return None if season.final else _lack(settings, request)


def _news(settings: Settings, request: MapRequest, season: SeasonState, now: Order, delivered: Delivered) -> bool:
    """Return whether a delivery isn't there, or wasn't made of what there is now, as it is masked now, in the season's state now."""
    if not (Path(delivered.delivery) / ITEM).is_file() or delivered.status != season.status:
        return True
    if delivered.masked_with != settings.mask.record(request.level) or ordered_products(now) != delivered.ordered:
        return True
    contents = delivered.contents
    return any(content and contents.get(name, content) != content for name, content in ordered_contents(now).items())


def _lack(settings: Settings, request: MapRequest) -> Outcome | None:
    """Gather an unfinished season, and say what is still lacking for a map of it; None where nothing is."""
    lines = LogLines(get_run_logger().info)
    with open_run(request, settings, lines) as run:
        try:
            gathered = gather(run)
        except NotEnoughAcquisitionsError as error:
            return _waiting(request.min_acquisitions, error.usable)
        if not load_processor(request.processor).needs_model:
            return None
        if not stages.must_train(stages.found_maker(run, gathered.order, gathered.season)):
            return None
        return Outcome(
            OutcomeKind.WAITING,
            " for a model: none fits, and one is trained from the labels when the season is complete, "
            f"on {run.season.complete_from:%Y-%m-%d}",
        )


def _waiting(needed: int, there: int) -> Outcome:
    more = needed - there
    return Outcome(
        OutcomeKind.WAITING,
        f" for {more} more acquisition{'s' * (more > 1)}: {there} of {needed} can be used so far",
    )
