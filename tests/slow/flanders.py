"""Accuracy on the real labels of `flanders-2019`, beside a random forest on the same pixels in the same run.

Two figures, never mixed. *within-field*: four folds of 16 x 16 pixel blocks; nearly all labelled pixels lie in fields that touch
several folds, so it measures interpolation inside fields. *field-disjoint*: each field is mapped by a model that never saw it.
One square of 640 m carries no claim of accuracy either way. Run as

    python tests/slow/flanders.py FOLDER {within-field,field-disjoint,simulated} [--preset P] [--seed N] [--model M] [--json FILE]

*simulated* is a third figure: the square mapped by a checkpoint that learnt from simulated land only (``--model``), so that no real
field was seen at all.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.inference import map_classes, predict
from agrunet.metrics import Confusion, Scores, confusion_matrix, score
from agrunet.training.settings import PRESETS, TrainingConfig
from agrunet.training.train import train
from processors.bench.accuracy.square import BANDS, read_square
from processors.bench.accuracy.square import CLASSES as NAMED

LOG = logging.getLogger("flanders")

CLASSES = {code: name for code, (name, _) in NAMED.items()}
SIMULATED = {
    "soft winter wheat": "winter wheat",
    "corn": "maize",
    "winter barley": "barley",
    "spring barley": "barley",
    "potatoes": "potato",
    "beet": "sugar beet",
    "meadow": "grassland",
}
"""Classes of a model of the simulated land, and what they are called here."""

BLOCK = 16
MIN_FIELD = 20
TREES = 300
RECORD = "accuracy-flanders-2019.json"

CAVEAT = (
    "One square of 640 m. within-field measures interpolation inside fields (98 % of the labelled pixels lie in fields that touch "
    "several folds); field-disjoint leaves one field out. Neither carries a claim of accuracy."
)


@dataclass(frozen=True, slots=True, eq=False)
class Flanders:
    """The square, January to July 2019: the dates with over half of the pixels clear."""

    patch: Patch
    label: npt.NDArray[np.int16]


def read(folder: Path) -> Flanders:
    """Read the archive below the folder of the real test data."""
    patch = read_square(folder)
    assert patch.label is not None
    return Flanders(patch, patch.label)


def forest_map(data: Flanders, learnt: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.int16]:
    """The square mapped by a random forest on all bands, interpolated in time to every tenth day."""
    _, C, H, W = data.patch.values.shape
    moments = np.arange(0, 212, 10)
    features = np.zeros((H, W, C * len(moments)), dtype=np.float32)
    for row, column in np.ndindex(H, W):
        seen = data.patch.clear[:, row, column]
        if seen.any():
            series = data.patch.values[seen, :, row, column].T
            days = data.patch.days[seen]
            features[row, column] = np.concatenate([np.interp(moments, days, band) for band in series])
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=-1).fit(features[learnt], data.label[learnt])
    return forest.predict(features.reshape(H * W, -1)).reshape(H, W).astype(np.int16)


def network_map(
    data: Flanders, learnt: npt.NDArray[np.bool_], held_out: npt.NDArray[np.bool_], config: TrainingConfig
) -> npt.NDArray[np.int16]:
    """The square mapped by a network trained on the pixels ``learnt``, through a folder and a checkpoint as users have them."""
    roles = np.full(data.label.shape, SPLITS["none"], dtype=np.uint8)
    roles[learnt], roles[held_out] = SPLITS["train"], SPLITS["hold-out"]
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name) / "patches", Path(name) / "model"
        write_patch(folder, 0, data.patch, roles)
        write_folder_header(folder, _header())
        train(folder, model, config, _log_progress)
        network, checkpoint = load_checkpoint(model)
        ((_, probabilities),) = predict(network, checkpoint, PatchFolder(folder), [0])
    return map_classes(probabilities)


def _header() -> FolderHeader:
    return FolderHeader(
        count=1,
        patch_size=64,
        bands=BANDS,
        classes=tuple(CLASSES.values()),
        level="L2A",
        years=(2019,),
        months=(1, 7),
        synthetic=False,
        min_clear=0.5,
        min_acquisitions=1,
    )


def within_field(
    folder: Path, seed: int, folds: Sequence[int] = (0, 1, 2, 3), preset: str = "standard"
) -> dict[str, Any]:
    """Scores of each block fold, and their mean, of the network and of the forest."""
    data = read(folder)
    rows, columns = np.indices(data.label.shape) // BLOCK
    known = data.label >= 0
    config = PRESETS[preset].model_copy(update={"seed": seed})
    results: list[dict[str, Any]] = []
    for fold in folds:
        held_out = known & ((rows + columns) % 4 == fold)
        learnt = known & ~held_out
        start = time.monotonic()
        mapped = network_map(data, learnt, held_out, config)
        seconds = time.monotonic() - start
        result = {
            "fold": fold,
            "agrunet": _row(_score(_confusion(data, mapped, held_out), "within-field")),
            "forest": _row(_score(_confusion(data, forest_map(data, learnt, seed), held_out), "within-field")),
            "seconds": round(seconds, 1),
        }
        LOG.info("%s", json.dumps(result))
        results.append(result)
    means = {
        name: {
            key: round(float(np.mean([result[name][key] for result in results])), 4) for key in ("oa", "miou", "dice")
        }
        for name in ("agrunet", "forest")
    }
    return {
        "split": "within-field",
        "preset": preset,
        "filters": list(config.filters),
        "steps": config.steps,
        "seed": seed,
        "dates": len(data.patch.days),
        "mean_of_folds": means,
        "folds": results,
    }


def field_disjoint(
    folder: Path, seed: int, fields: Sequence[int] | None = None, preset: str = "standard"
) -> dict[str, Any]:
    """Scores pooled over the fields, each mapped by a network and by a forest that learnt from all the others."""
    data = read(folder)
    masks = eligible_fields(data.label)
    pooled = {name: np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64) for name in ("agrunet", "forest")}
    config = PRESETS[preset].model_copy(update={"seed": seed})
    start = time.monotonic()
    chosen = range(len(masks)) if fields is None else fields
    for number in chosen:
        held_out = masks[number]
        learnt = (data.label >= 0) & ~held_out
        mapped = network_map(data, learnt, held_out, config)
        pooled["agrunet"] += _confusion(data, mapped, held_out)
        pooled["forest"] += _confusion(data, forest_map(data, learnt, seed), held_out)
        LOG.info("field %d of %d", number + 1, len(masks))
    scores = {name: _score(confusion, "field-disjoint") for name, confusion in pooled.items()}
    return {
        "split": "field-disjoint",
        "preset": preset,
        "filters": list(config.filters),
        "steps": config.steps,
        "seed": seed,
        "dates": len(data.patch.days),
        "fields": len(list(chosen)),
        "pooled": {name: _row(entry) for name, entry in scores.items()},
        "iou": {name: {part.name: round(part.iou, 4) for part in entry.per_class} for name, entry in scores.items()},
        "seconds": round(time.monotonic() - start, 1),
    }


def simulated(folder: Path, model: Path) -> dict[str, Any]:
    """Scores of a checkpoint that never saw a real field: as it comes, and with the choice limited to the crops that grow here."""
    data = read(folder)
    network, checkpoint = load_checkpoint(model)
    with tempfile.TemporaryDirectory() as name:
        write_patch(Path(name), 0, data.patch, np.full(data.label.shape, SPLITS["hold-out"], dtype=np.uint8))
        write_folder_header(Path(name), _header())
        ((_, probabilities),) = predict(network, checkpoint, PatchFolder(Path(name)), [0])
    # (6 crops here) x (classes of the checkpoint): which of them say the same.
    same = np.array([[SIMULATED.get(name) == crop for name in checkpoint.classes] for crop in CLASSES.values()])
    grouped = np.einsum("kc,chw->khw", same.astype(np.float32), probabilities)
    chosen = map_classes(probabilities)
    named = np.where(same.any(axis=0), same.argmax(axis=0), len(CLASSES))
    mapped = np.where(chosen >= 0, named[chosen], -1).astype(np.int16)
    limited = np.where(chosen >= 0, grouped.argmax(axis=0), -1).astype(np.int16)
    known, names = data.label >= 0, (*CLASSES.values(), "something else")
    found = {
        "as_it_comes": score(
            confusion_matrix(np.where(known, data.label, -1), mapped, len(names)), "field-disjoint", names
        ),
        "limited_to_the_six": _score(_confusion(data, limited, known), "field-disjoint"),
    }
    return {
        "split": "simulated",
        "preset": model.name,
        "seed": 0,
        "dates": len(data.patch.days),
        "pooled": {name: _row(entry) for name, entry in found.items()},
        "iou": {name: {part.name: round(part.iou, 4) for part in entry.per_class} for name, entry in found.items()},
    }


def eligible_fields(label: npt.NDArray[np.int16]) -> list[npt.NDArray[np.bool_]]:
    """The 4-connected fields of at least `MIN_FIELD` pixels, of classes that have two of them or more."""
    found: list[npt.NDArray[np.bool_]] = []
    for index in range(len(CLASSES)):
        numbered, count = ndimage.label(label == index)
        large = [numbered == field for field in range(1, count + 1) if (numbered == field).sum() >= MIN_FIELD]
        if len(large) >= 2:
            found.extend(large)
    return found


def record(path: Path, result: dict[str, Any]) -> None:
    """Put a result into the JSON file, in place of an older one of the same split, preset and seed."""

    def key(entry: dict[str, Any]) -> tuple[str, str, int]:
        return entry["split"], entry["preset"], entry["seed"]

    known = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
    results = sorted([*(entry for entry in known if key(entry) != key(result)), result], key=key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"caveat": CAVEAT, "results": results}, indent=1) + "\n", encoding="utf-8")


def _confusion(data: Flanders, mapped: npt.NDArray[np.int16], held_out: npt.NDArray[np.bool_]) -> Confusion:
    return confusion_matrix(np.where(held_out, data.label, -1), mapped, len(CLASSES))


def _score(confusion: Confusion, split: str) -> Scores:
    return score(confusion, split, tuple(CLASSES.values()))


def _row(scores: Scores) -> dict[str, float]:
    return {name: round(getattr(scores, name), 4) for name in ("oa", "miou", "dice", "n_pixels")}


def _log_progress(step: int, steps: int, loss: float) -> None:
    if step % 20 == 0:
        LOG.info("step %d of %d, loss %.3f", step, steps, loss)


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy on the real labels of flanders-2019.")
    parser.add_argument("folder", type=Path, help="folder of the real test data")
    parser.add_argument("split", choices=["within-field", "field-disjoint", "simulated"])
    parser.add_argument("--model", type=Path, help="folder of a checkpoint, for simulated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="standard")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3], help="block folds, for within-field")
    parser.add_argument("--fields", type=int, nargs="+", help="numbers of fields, for field-disjoint; all by default")
    parser.add_argument("--json", type=Path, help="file of results to add to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.split == "simulated":
        if options.model is None:
            parser.error("simulated needs --model")
        result = simulated(options.folder, options.model)
    elif options.split == "within-field":
        result = within_field(options.folder, options.seed, options.folds, options.preset)
    else:
        result = field_disjoint(options.folder, options.seed, options.fields, options.preset)
    LOG.info("%s", json.dumps(result, indent=1))
    if options.json:
        record(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
