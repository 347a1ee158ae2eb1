"""Checkpoints as folders of files: looked at as JSON, never loaded, and copied whole."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel

from catalog.errors import ModelError
from catalog.guards.json_text import parse_model, parse_object
from catalog.model_choice import ModelEntry
from catalog.model_fit import ModelContract
from catalog.scores import checkpoint_scores, early_curve
from catalog.storage.store import sha256
from catalog.storage.whole import folder_aside

WEIGHTS, CONFIG, ITEM = "weights.safetensors", "config.json", "item.json"
"""Files of a checkpoint."""

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


def survey(models: Path) -> tuple[list[ModelEntry], list[BrokenModel]]:
    """The checkpoints in a folder, newest first, and the folders that are none."""
    usable: list[ModelEntry] = []
    broken: list[BrokenModel] = []
    folders = sorted(models.iterdir()) if models.is_dir() else []
    for folder in folders:
        if not folder.is_dir() or folder.name.startswith("."):  # being copied, or left by a copy that was killed
            continue
        try:
            usable.append(read_entry(folder))
        except ModelError as error:
            broken.append(BrokenModel(folder.name, str(error)))
        except OSError as error:  # removed while it was read, or closed to this user
            broken.append(BrokenModel(folder.name, f"{folder} can't be read: {error.strerror or error}."))
    return sorted(usable, key=lambda entry: (entry.created, entry.name), reverse=True), broken


def read_entry(folder: Path) -> ModelEntry:
    """A checkpoint by what decides about its use. Raises `ModelError` where the folder is none."""
    missing = [name for name in (WEIGHTS, CONFIG, ITEM) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} is not a checkpoint: no {', '.join(missing)}. Train the model again.")
    contract = _parsed(ModelContract, folder / CONFIG)
    try:
        config = parse_object((folder / CONFIG).read_bytes(), ValueError)
        scores = checkpoint_scores(config)
        early_curve(config)
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


def copy_whole(folder: Path, target: Path) -> None:
    """Copy a checkpoint, whole or not at all. Raises `ModelError` where its weights aren't those that its item describes, and `OSError`."""
    with folder_aside(target, "keep") as aside:  # kept: somebody else just added the same one
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        check_weights(aside, folder)
        for path in aside.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def check_weights(copy: Path, original: Path) -> None:
    """Raise `ModelError` where the weights of a copy aren't those that its item describes; ``original`` is named."""
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
