"""The products of this installation: trained models and delivered maps, each listed in a STAC catalogue.

The folders are the truth, the catalogues are made of them: ``<store>/models/catalog.json`` and
``<store>/maps/catalog.json`` can be opened by any STAC client. Checkpoints are read as JSON, never loaded.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel

from catalog.area import Area
from catalog.errors import ModelError, StoreError
from catalog.guards.json_text import parse_model, parse_object
from catalog.guards.paths import user_path
from catalog.legend import Legend
from catalog.model_choice import ModelChoice, ModelEntry, best
from catalog.model_fit import Misfit, ModelContract, Need, misfits
from catalog.products import Level
from catalog.quoting import shown
from catalog.scores import checkpoint_scores
from catalog.storage.store import Store, digest, sha256
from catalog.storage.system_errors import refusal
from catalog.storage.whole import folder_aside, write_json

WEIGHTS, CONFIG, ITEM = "weights.safetensors", "config.json", "item.json"
"""Files of a checkpoint."""

SHIPPED = Path(__file__).parent / "shipped"
"""Checkpoints that come with the software. An installation's own models go before them."""

_IS_NAME = re.compile(r"\w[\w.+-]{0,250}")
"""What the name of a model of an installation looks like; anything else is a path."""

_MULTIHASH_SHA256 = "1220"  # code 0x12, 0x20 bytes: the STAC file extension's checksums are multihashes


_Parsed = TypeVar("_Parsed", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BrokenModel:
    """A folder among the models that is no checkpoint."""

    name: str
    reason: str


class _ItemProperties(BaseModel):
    created: AwareDatetime


class _Item(BaseModel):
    """The part of a checkpoint's ``item.json`` that is read here."""

    properties: _ItemProperties


class Registry:
    """The models and maps of a store."""

    def __init__(self, store: Store, shipped: Path = SHIPPED) -> None:
        self._store = store
        self._shipped = shipped

    def models(self) -> list[ModelEntry]:
        """Every usable checkpoint of the store, newest first."""
        return _survey(self._store.models)[0]

    def shipped_models(self) -> list[ModelEntry]:
        """The checkpoints that come with the software, newest first."""
        return _survey(self._shipped)[0]

    def add_model(self, folder: Path) -> Path:
        """Copy a checkpoint into the store and return where it lies there; one that is there already stays.

        Copied aside and renamed, so that a model is whole or absent. Raises `ModelError` when the folder is no checkpoint or
        its weights are not those that its item describes, `StoreError` when the store can't be written.
        """
        entry = _read_entry(folder)
        fingerprint = hashlib.sha256(f"{sha256(folder / WEIGHTS)} {sha256(folder / CONFIG)}".encode()).hexdigest()[:8]
        target = self._store.models / f"{entry.created:%Y-%m-%d}-{entry.level}-{fingerprint}"
        try:
            if not target.exists():
                _copy_whole(folder, target)
        except OSError as error:
            raise StoreError(f"can't copy the model to {target}: {refusal(error, target)}.") from error
        self._list_models()
        return target

    def choose(
        self,
        level: Level,
        bands: Iterable[str],
        synthetic: bool,
        area: Area,
        legend: Legend | None,
        name: str | None = None,
        *,
        months: tuple[int, int] | None = None,
        dates: int | None = None,
    ) -> ModelChoice:
        """The model that a request gets, and those that it was compared with.

        The newest that does no worse than those before it (`catalog.model_choice.best`), of the same level, whose bands are among
        ``bands``, trained on the same kind of data (``synthetic``), on the same ``months`` where given, in a footprint that meets the
        area, with the classes of ``legend`` where given, that takes a series of ``dates`` where given.

        ``name`` (of a model of this installation, or the path of a checkpoint) asks for one model: it has to fit as well,
        but where it was trained is the user's business. Raises `ModelError`, which says of every candidate why not.
        """
        need = Need(level, frozenset(bands), synthetic, months, dates, legend, area)
        if name is not None:
            return ModelChoice(self._named(name, replace(need, area=None)))
        usable, broken = _survey(self._store.models)
        refused = [(model.name, model.reason) for model in broken]
        for entries in (usable, self.shipped_models()):  # an installation's own first, whatever the others score
            reasons = {entry.name: misfits(entry, need) for entry in entries}
            fitting = [entry for entry in entries if not reasons[entry.name]]
            if fitting:
                return best(fitting)
            refused += [(name, _listed(against)) for name, against in reasons.items()]
        asked = f"{level}, bands {', '.join(sorted(need.bands))}, {'synthetic' if synthetic else 'real'} data"
        if not refused:
            raise ModelError(
                f"this installation has no model yet (asked for: {asked}). Give labels, so that one is trained from them."
            )
        listed = "\n".join(f"  {model}: {reasons}" for model, reasons in refused)
        raise ModelError(
            f"no model fits the request ({asked}):\n{listed}\nGive labels, so that one is trained from them, or change the "
            "request to what a model was trained for."
        )

    def named(self, name: str) -> ModelEntry:
        """The model of this installation of that name, else the checkpoint in that folder. Raises `ModelError` where it is none."""
        return _read_entry(self._folder(name))

    def add_map(self, item_path: Path) -> Path:
        """List a delivered map; its files stay where they were delivered. Returns the listed item.

        Raises `StoreError` when the item can't be read or the store can't be written.
        """
        item_path = item_path.resolve()
        try:
            item = parse_object(item_path.read_bytes(), ValueError)
            name = str(item["id"])
            assets = {
                key: {**asset, "href": _absolute(item_path, asset["href"])} for key, asset in item["assets"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{item_path} is not the STAC item of a map ({error}). Deliver the map again.") from error
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            name = f"map-{digest(name)}"
        links = [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            {"rel": "canonical", "href": str(item_path), "type": "application/geo+json"},
        ]
        listed = self._store.maps / name / f"{name}.json"
        with _locked(self._store.maps):
            write_json(listed, {**item, "assets": assets, "links": links})
            items = [path for path in sorted(self._store.maps.glob("*/*.json")) if _still_delivered(path)]
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

    def _named(self, name: str, need: Need) -> Path:
        folder = self._folder(name)
        reasons = misfits(_read_entry(folder), need)
        if reasons:
            raise ModelError(
                f"model {name!r} doesn't fit the request: {_listed(reasons)}. Name another, or none so that one is chosen."
            )
        return folder

    def _list_models(self) -> None:
        with _locked(self._store.models):
            items = [entry.folder / ITEM for entry in self.models()]
            _write_catalog(self._store.models, "models", "Models trained by this installation.", items)


def _listed(reasons: Iterable[Misfit]) -> str:
    return "; ".join(reason.text for reason in reasons)


def _survey(models: Path) -> tuple[list[ModelEntry], list[BrokenModel]]:
    usable: list[ModelEntry] = []
    broken: list[BrokenModel] = []
    folders = sorted(models.iterdir()) if models.is_dir() else []
    for folder in folders:
        if not folder.is_dir() or folder.name.startswith("."):  # being copied, or left by a copy that was killed
            continue
        try:
            usable.append(_read_entry(folder))
        except ModelError as error:
            broken.append(BrokenModel(folder.name, str(error)))
    return sorted(usable, key=lambda entry: (entry.created, entry.name), reverse=True), broken


def _read_entry(folder: Path) -> ModelEntry:
    missing = [name for name in (WEIGHTS, CONFIG, ITEM) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} is not a checkpoint: no {', '.join(missing)}. Train the model again.")
    contract = _parsed(ModelContract, folder / CONFIG)
    try:
        scores = checkpoint_scores(parse_object((folder / CONFIG).read_bytes(), ValueError))
    except (ValueError, KeyError, TypeError) as error:  # pydantic's own is a ValueError
        raise ModelError(f"{folder / CONFIG} can't be understood: its scores. Train the model again.") from error
    return ModelEntry(
        name=folder.name,
        folder=folder,
        created=_parsed(_Item, folder / ITEM).properties.created,
        scores=scores,
        **{field: getattr(contract, field) for field in ModelContract.model_fields},
    )


def _parsed(kind: type[_Parsed], path: Path) -> _Parsed:
    def refuse(why: str) -> ModelError:
        return ModelError(f"{path} can't be understood: {why}. Train the model again.")

    return parse_model(kind, path.read_bytes(), refuse)


def _copy_whole(folder: Path, target: Path) -> None:
    with folder_aside(target, "keep") as aside:  # kept: somebody else just added the same one
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        _check_weights(aside, folder)
        for path in aside.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def _check_weights(copy: Path, original: Path) -> None:
    """The copied weights have to be those that the item describes."""
    try:
        assets = parse_object((copy / ITEM).read_bytes(), ValueError)["assets"].values()
        recorded = next(str(asset["file:checksum"]) for asset in assets if Path(asset["href"]).name == WEIGHTS)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ModelError(
            f"{original / ITEM} doesn't give {WEIGHTS} with its file:checksum. Train the model again."
        ) from error
    found = sha256(copy / WEIGHTS)
    if recorded != _MULTIHASH_SHA256 + found:
        raise ModelError(
            f"{original / WEIGHTS} is not what its item describes: sha256 {found}, expected "
            f"{recorded.removeprefix(_MULTIHASH_SHA256)}. It was cut short or changed; copy it again or train the model again."
        )


def _absolute(item: Path, href: str) -> str:
    return href if re.match(r"[a-z0-9]+://", href) else os.path.normpath(item.parent / href)


def _still_delivered(listed: Path) -> bool:
    try:
        links = parse_object(listed.read_bytes(), ValueError)["links"]
        return any(link["rel"] == "canonical" and Path(link["href"]).is_file() for link in links)
    except (ValueError, KeyError, TypeError):
        return False


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
    catalog = {"type": "Catalog", "id": f"cropline-{name}", "stac_version": "1.1.0", "description": description}
    write_json(folder / "catalog.json", {**catalog, "links": links})
