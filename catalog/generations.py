"""The models of an installation as generations: what each is scored, what was decided about it, and which maps it made."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.checkpoints import survey
from catalog.delivered_maps import delivered_to
from catalog.guards.json_text import parse_object
from catalog.products import Frozen
from catalog.promotions import Promotion, Promotions
from catalog.registry import Registry
from catalog.scores import Score
from catalog.storage.store import Store


class Generation(Frozen):
    """One model of the store."""

    name: str
    created: AwareDatetime | None = None
    level: str = ""
    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    synthetic: bool = False
    proven: Annotated[bool, Field(description="scored on fields on ground that no model learns from")] = False
    in_use: Annotated[bool, Field(description="what requests on its ground get that name no model")] = False
    scores: tuple[Score, ...] = ()
    decisions: Annotated[tuple[Promotion, ...], Field(description="about it, the oldest first")] = ()
    maps: Annotated[tuple[str, ...], Field(description="folders of the deliveries that it made")] = ()
    problem: Annotated[str, Field(description="why it can't be used; empty where it can")] = ""


class Generations(Frozen):
    """All models of a store, the newest first."""

    models: tuple[Generation, ...]
    removed: Annotated[
        dict[str, tuple[str, ...]], Field(description="models that are gone: the maps that they made")
    ] = {}
    damaged_decisions: Annotated[int, Field(description="lines of the record that can't be read")] = 0


def list_generations(store: Store) -> Generations:
    """List the models of a store; damaged ones are listed with what is wrong, and hide nothing. Raises `StoreError`."""
    registry = Registry(store)
    promotions = registry.promotions()
    usable, broken = survey(store.models)
    maps, in_use = maps_by_model(store), registry.in_use(usable)
    listed = [
        Generation(
            name=entry.name,
            created=entry.created,
            level=entry.level,
            years=entry.years,
            months=entry.months,
            classes=tuple(part.name for part in entry.legend.mapped),
            synthetic=entry.synthetic,
            proven=entry.proven,
            in_use=entry.name in in_use,
            scores=entry.scores,
            decisions=_about(entry.name, promotions),
            maps=maps.get(entry.name, ()),
        )
        for entry in usable
    ]
    listed += [
        Generation(
            name=model.name,
            decisions=_about(model.name, promotions),
            maps=maps.get(model.name, ()),
            problem=model.reason,
        )
        for model in broken
    ]
    names = {generation.name for generation in listed} | {entry.name for entry in registry.shipped_models()}
    gone = {name: folders for name, folders in maps.items() if name not in names}
    return Generations(models=tuple(listed), removed=gone, damaged_decisions=promotions.damaged)


def maps_by_model(store: Store) -> dict[str, tuple[str, ...]]:
    """Folders of the deliveries that are listed and still there, by the name of the model that made them."""
    made: dict[str, list[str]] = {}
    for path in sorted(store.maps.glob("*/*.json")):
        try:
            item = parse_object(path.read_bytes(), ValueError)
            model = str(item["properties"]["cropline:model"]["name"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # made without a model, or no item that this software reads
        if (folder := delivered_to(path)) is not None:
            made.setdefault(model, []).append(str(folder))
    return {model: tuple(folders) for model, folders in made.items()}


def _about(name: str, promotions: Promotions) -> tuple[Promotion, ...]:
    return tuple(entry for entry in promotions.entries if entry.model == name)
