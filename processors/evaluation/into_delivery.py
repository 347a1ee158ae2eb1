"""An evaluation laid into the delivery that it is of: record, picture, report and item change together, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from catalog.errors import DeliveryError
from catalog.storage.whole import write_json
from processors.delivery.confusion_picture import draw_confusion
from processors.delivery.delivered_map import DeliveredMap
from processors.delivery.evaluation_section import write_into, write_item
from processors.delivery.evaluations import FOLDER, PICTURE, RECORD, Evaluation
from processors.delivery.folder_swap import swapped_in, unwritable


def add_evaluation(delivered: DeliveredMap, evaluation: Evaluation) -> list[Path]:
    """Add an evaluation to its delivery and return its files: record and picture.

    The delivery is swapped in whole, as it was when it was made; its rasters are the same files, not copies, where the disk allows it.
    Raises `DeliveryError` where it was delivered anew meanwhile, or can't be written.
    """
    folder, item = delivered.item.folder, delivered.item
    with swapped_in(folder, item.request_digest) as aside:
        try:
            shutil.copytree(folder, aside, dirs_exist_ok=True, copy_function=_shared)
            own = _own_folder(aside, evaluation)
            write_json(own / RECORD, evaluation.model_dump(mode="json"))
            draw_confusion(own / PICTURE, evaluation)
            write_item(aside, write_into(aside, delivered.checksum, item.content))
        except (OSError, shutil.Error) as error:
            raise unwritable(folder, error) from error
        if not item.still_there():
            raise DeliveryError(
                f"{folder} was delivered or evaluated anew while this evaluation was made. Run it again for what is there now."
            )
    return [folder / FOLDER / own.name / name for name in (RECORD, PICTURE)]


def _own_folder(delivery: Path, evaluation: Evaluation) -> Path:
    name = f"{evaluation.created:%Y-%m-%dT%H-%M-%S}Z"
    number, folder = 1, delivery / FOLDER / name
    while folder.exists():  # two within a second
        number += 1
        folder = delivery / FOLDER / f"{name}-{number}"
    folder.mkdir(parents=True)
    return folder


def _shared(source: str, target: str) -> str:
    """A file under a second name, or a copy where the disk knows no second names."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target
