"""The products of this installation: trained models and delivered maps, each listed in a STAC catalogue.

The folders are the truth, the catalogues are made of them: ``<store>/models/catalog.json`` and
``<store>/maps/catalog.json`` can be opened by any STAC client. Checkpoints are read as JSON, never loaded.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from catalog.checkpoints import CONFIG, ITEM, WEIGHTS, copy_whole, read_entry, survey
from catalog.delivered_maps import delivered_to
from catalog.errors import ModelError, StoreError
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path
from catalog.model_choice import ModelEntry, WeighedModel, used_among, why_not_used
from catalog.model_fit import Misfit, Need, misfits, training_ground
from catalog.products import LEVEL_BANDS
from catalog.promotions import Decision, Promotion, Promotions, decided, read_promotions, record
from catalog.quoting import shown
from catalog.storage.store import Store, digest, sha256
from catalog.storage.system_errors import refusal
from catalog.storage.whole import write_json

SHIPPED = Path(__file__).parent / "shipped"
"""Checkpoints that come with the software. An installation's own models go before them."""

_WITHOUT_MODEL = (
    "Give labels, a file of known crops, so that a model is trained from them; or ask for the processor vegetation, which needs "
    "neither."
)
"""The two ways on for a request that no model fits."""

_IS_NAME = re.compile(r"\w[\w.+-]{0,250}")
"""What the name of a model of an installation looks like; anything else is a path."""


_STRUCTURE = ("root", "parent", "self", "collection", "canonical")
"""Relations of links that say where an item stands among others."""


class Registry:
    """The models and maps of a store."""

    def __init__(self, store: Store, shipped: Path = SHIPPED) -> None:
        self._store = store
        self._shipped = shipped

    def models(self) -> list[ModelEntry]:
        """Every usable checkpoint of the store, newest first."""
        return survey(self._store.models)[0]

    def shipped_models(self) -> list[ModelEntry]:
        """The checkpoints that come with the software, newest first."""
        return survey(self._shipped)[0]

    def add_model(self, folder: Path) -> Path:
        """Copy a checkpoint into the store and return where it lies there; one that is there already stays.

        Copied aside and renamed, so that a model is whole or absent. Raises `ModelError` when the folder is no checkpoint or
        its weights are not those that its item describes, `StoreError` when the store can't be written.
        """
        entry = read_entry(folder)
        fingerprint = hashlib.sha256(f"{sha256(folder / WEIGHTS)} {sha256(folder / CONFIG)}".encode()).hexdigest()[:8]
        target = self._store.models / f"{entry.created:%Y-%m-%d}-{entry.level}-{fingerprint}"
        try:
            if not target.exists():
                copy_whole(folder, target)
        except OSError as error:
            raise StoreError(f"can't copy the model to {target}: {refusal(error, target)}.") from error
        self._list_models()
        return target

    def weigh(self, need: Need, name: str | None = None) -> list[WeighedModel]:
        """Every checkpoint beside what a request needs: the one in use that fits, the others that fit, and what can't serve.

        In use is one of the installation's own, whatever the others score, else one that comes with the software. Where none of those that
        fit may be used without being named, all are refused.

        ``name`` (of a model of this installation, or the path of a checkpoint) asks for one model alone: it has to fit as well, but where
        it was trained is the user's business, and one that learnt from simulated land may serve real products then. Raises `ModelError`
        where it doesn't fit.
        """
        if name is not None:
            entry = self._named(name, replace(need, area=None, named=True))
            return [WeighedModel(entry.name, entry)]
        usable, broken = survey(self._store.models)
        used: ModelEntry | None = None
        fit: list[WeighedModel] = []
        unfit = [WeighedModel(model.name, None, refusal=model.reason) for model in broken]
        # An installation's own first; about those of the software nothing is decided.
        for entries, promotions in ((usable, self.promotions()), (self.shipped_models(), Promotions())):
            reasons = {entry.name: _listed(misfits(entry, need)) for entry in entries}
            fitting = [entry for entry in entries if not reasons[entry.name]]
            first = used_among(fitting, promotions) if used is None else None
            used = first or used
            for entry in fitting:
                why = "" if used is None or entry is used else why_not_used(entry.name, promotions, used.name)
                if used is None:
                    unfit.append(WeighedModel(entry.name, entry, refusal=why_not_used(entry.name, promotions)))
                else:
                    fit.append(WeighedModel(entry.name, entry, unused=why))
            unfit += [
                WeighedModel(entry.name, entry, refusal=reasons[entry.name]) for entry in entries if reasons[entry.name]
            ]
        return sorted(fit, key=lambda model: bool(model.unused)) + unfit

    def named(self, name: str) -> ModelEntry:
        """The model of this installation of that name, else the checkpoint in that folder. Raises `ModelError` where it is none."""
        return read_entry(self._folder(name))

    def promotions(self) -> Promotions:
        """All decisions about the store's models. Raises `StoreError` where they can't be read."""
        return read_promotions(self._store.models)

    def in_use_beside(
        self, model: ModelEntry, bands: Iterable[str] | None = None, dates: int | None = None
    ) -> ModelEntry | None:
        """The model in use, other than this one, on this one's ground: of its level, season, kind of data and classes.

        ``bands``: what there is to feed it; by default those of this model. ``dates``: length of the series that it has to take.
        """
        others = self._serving(model, bands, dates, [entry for entry in self.models() if entry.name != model.name])
        return used_among(others, self.promotions())

    def in_use(self, models: Sequence[ModelEntry]) -> set[str]:
        """Names of those of the store's models that requests on their own ground get, with all bands of their level."""
        promotions = self.promotions()
        used = set()
        for model in models:
            chosen = used_among(self._serving(model, LEVEL_BANDS[model.level], None, models), promotions)
            if chosen is not None and chosen.folder == model.folder:
                used.add(model.name)
        return used

    @staticmethod
    def _serving(
        model: ModelEntry, bands: Iterable[str] | None, dates: int | None, models: Sequence[ModelEntry]
    ) -> list[ModelEntry]:
        """Those of the models that serve on the ground of one; on its own ground a model without any serves alone."""
        area = training_ground(model)
        available = frozenset(model.bands if bands is None else bands)
        need = Need(
            model.level, available, model.synthetic, months=model.months, dates=dates, legend=model.legend, area=area
        )
        return [
            entry for entry in models if (area is not None or entry.name == model.name) and not misfits(entry, need)
        ]

    def decide(self, entry: Promotion, known: int | None = None) -> bool:
        """Add a decision to the record; see `catalog.promotions.record`."""
        return record(self._store.models, entry, known)

    def promote(self, name: str) -> Promotion:
        """Put a model of this installation in use, by the user's word. Raises `ModelError` where it is none, or is in use."""
        model = self._own(name)
        in_use = self.in_use_beside(model)
        names = [model.name, *([in_use.name] if in_use else [])]
        if self.promotions().in_use(names) == model.name:
            raise ModelError(f"model {model.name} is in use already. `cropline models` lists which are.")
        reason = f"promoted by the user{f', in place of {in_use.name}' if in_use else ''}"
        entry = decided(model.name, Decision.USER, reason, in_use.name if in_use else None, model.evidence)
        self.decide(entry)
        return entry

    def roll_back(self, name: str | None = None) -> Promotion:
        """Take a promotion back, the last one or a model's last one: the model that was in use before is in use again.

        Raises `ModelError` where nothing was promoted, or no other model would be left in use.
        """
        promotions = self.promotions()
        if name is None:
            if not promotions.standing:
                raise ModelError("no model was promoted yet: there is nothing to roll back.")
            name = promotions.standing[-1].model
        if not any(entry.model == name for entry in promotions.standing):
            raise ModelError(
                f"model {shown(name)}: it was not promoted, or was rolled back. `cropline models` lists what was."
            )
        model = self._own(name)
        before = self.in_use_beside(model, LEVEL_BANDS[model.level])
        if before is None:
            raise ModelError(
                f"model {name}: no other model that was promoted serves where it does, so there is none to go back to. "
                "Promote another one (`cropline models promote NAME`), or train one."
            )
        entry = decided(name, Decision.ROLLED_BACK, f"rolled back by the user, to {before.name}", before.name)
        self.decide(entry)
        return entry

    def _own(self, name: str) -> ModelEntry:
        """A usable model of the store. Raises `ModelError`."""
        models = {entry.name: entry for entry in self.models()}
        if name not in models:
            raise ModelError(
                f"model {shown(name)}: no usable model of this installation ({', '.join(models) or 'none yet'})."
            )
        return models[name]

    def add_map(self, item_path: Path) -> Path:
        """List a delivered map; its files stay where they were delivered, and are named from there. Returns the listed item.

        Raises `StoreError` when the item can't be read or the store can't be written.
        """
        item_path = item_path.resolve()
        try:
            item = parse_object(item_path.read_bytes(), ValueError)
            name = str(item["id"])
            hrefs = {key: str(asset["href"]) for key, asset in item["assets"].items()}
            others = [link for link in item.get("links", ()) if link["rel"] not in _STRUCTURE]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{item_path} is not the STAC item of a map ({error}). Deliver the map again.") from error
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            name = f"map-{digest(name)}"
        listed = self._store.maps / name / f"{name}.json"
        assets = {
            key: {**item["assets"][key], "href": _from(listed.parent, item_path, href)} for key, href in hrefs.items()
        }
        links = [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            {"rel": "canonical", "href": str(item_path), "type": "application/geo+json"},
            *others,
        ]
        with _locked(self._store.maps):
            write_json(listed, {**item, "assets": assets, "links": links})
            items = [path for path in sorted(self._store.maps.glob("*/*.json")) if delivered_to(path) is not None]
            _write_catalog(self._store.maps, "maps", "Maps made by this installation.", items)
        return listed

    def _folder(self, name: str) -> Path:
        known = (self._store.models / name, self._shipped / name) if _IS_NAME.fullmatch(name) else ()
        folder = next(
            (path for path in known if path.is_dir()), user_path(name, lambda why: ModelError(f"model: {why}."))
        )
        if not folder.is_dir():
            names = ", ".join(entry.name for entry in [*self.models(), *self.shipped_models()]) or "none yet"
            raise ModelError(f"model {shown(name)}: neither a model of this installation ({names}) nor a folder.")
        return folder

    def _named(self, name: str, need: Need) -> ModelEntry:
        entry = read_entry(self._folder(name))
        reasons = misfits(entry, need)
        if reasons:
            raise ModelError(
                f"model {name!r} doesn't fit the request: {_listed(reasons)}. Name another, or none so that one is chosen."
            )
        return entry

    def _list_models(self) -> None:
        with _locked(self._store.models):
            items = [entry.folder / ITEM for entry in self.models()]
            _write_catalog(self._store.models, "models", "Models trained by this installation.", items)


def no_model(weighed: Iterable[WeighedModel], need: Need) -> ModelError:
    """The error that says of every checkpoint why it can't serve, and what to do."""
    kind = "synthetic" if need.synthetic else "real"
    asked = f"{need.level}, bands {', '.join(sorted(need.bands))}, {kind} data"
    listed = "\n".join(f"  {model.name}: {model.refusal or model.unused}" for model in weighed)
    if not listed:
        return ModelError(f"this installation has no model yet (asked for: {asked}). {_WITHOUT_MODEL}")
    return ModelError(
        f"no model fits the request ({asked}):\n{listed}\n{_WITHOUT_MODEL} Or change the request to what a model was trained for."
    )


def _listed(reasons: Iterable[Misfit]) -> str:
    return "; ".join(reason.text for reason in reasons)


def _from(folder: Path, item: Path, href: str) -> str:
    """The address of a file of an item as seen from a folder: relative, so that whoever serves both can hand it out."""
    if re.match(r"[a-z0-9]+://", href):
        return href
    return Path(os.path.relpath(item.parent / href, folder.resolve())).as_posix()


def _locked(folder: Path) -> FileLock:
    """Lock to hold while a catalogue is made of its folder, or the slower of two writers would drop the other's entry."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".catalog.lock")


def _write_catalog(folder: Path, name: str, description: str, items: list[Path]) -> None:
    links = [{"rel": "root", "href": "./catalog.json", "type": "application/json"}]
    links += [
        {"rel": "item", "href": f"./{item.relative_to(folder).as_posix()}", "type": "application/geo+json"}
        for item in items
    ]
    about = {"id": f"cropline-{name}", "title": f"Cropline: {name}", "description": description}
    catalog = {"type": "Catalog", "stac_version": "1.1.0", "stac_extensions": [], **about}
    write_json(folder / "catalog.json", {**catalog, "links": links})
