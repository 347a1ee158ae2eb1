"""How well wrong declarations are found, against false alarms: on simulated fields that the shipped model saw nothing of.

Half of the simulated patches fit the thresholds, the other half tests them: each field declared as it is, and as one other crop. Run as

    python tests/slow/conformity_curve.py simulated FOLDER [--count N] [--seed N] [--json FILE] [--evidence FILE]
    python tests/slow/conformity_curve.py flanders DATA --evidence FILE [--json FILE]

*simulated* writes the patches into FOLDER first, where they aren't there yet, and the fields of the first half to the file of
evidence. *flanders* takes the thresholds of that file to the 14 real fields of `flanders-2019`, in the folder DATA of the test data.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS
from agrunet.data.public.pastis import Pastis
from agrunet.evidence import FieldEvidence, FieldTally, read_evidence, write_evidence
from agrunet.inference import map_classes, predict
from processors.conformity.thresholds import Rate, Thresholds, detection_curve, fit_thresholds, rate
from processors.simulation.training_patches import PatchSettings, write_patches

LOG = logging.getLogger("conformity_curve")

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "catalog" / "shipped" / "simulated-18-crops"
BACKGROUND = "background"
LEAST_PIXELS = 8
ASKED = (0.01, 0.02, 0.05, 0.1)
CAVEAT = (
    "Simulated land of which the model saw no field: it says how thresholds hold on new fields of the same kind, and nothing of real ones. "
    "A wrong declaration is any of the model's other crops, all alike; that of a similar crop is found less often. "
    "Intervals take fields for independent, though those of one patch share a sky and a land; by_patch draws whole patches of both halves."
)


def simulated(folder: Path, count: int, seed: int) -> tuple[FieldEvidence, FieldEvidence]:
    """Fields of simulated patches as the shipped model maps them: those of one half of the patches, and of the other half."""
    write_patches(
        folder, PatchSettings(count=count, seed=seed, months=(1, 7), min_clear=0.5), processes=2, progress=_tell
    )
    source = Pastis(folder, months=(1, 7))
    network, config = load_checkpoint(MODEL)
    halves: tuple[list[Any], list[Any]] = [], []
    for index, probabilities in predict(network, config, source, range(len(source))):
        crop, field = np.load(folder / "ANNOTATIONS" / f"TARGET_{index}.npy")[:2]
        halves[index % 2].extend(_fields(f"{index}", crop, field, probabilities))
        LOG.info("patch %d of %d mapped", index + 1, len(source))
    first, second = (
        FieldEvidence(kind="hold-out", classes=tuple(config.classes), fields=tuple(half)) for half in halves
    )
    return first, second


def _fields(
    patch: str,
    crop: npt.NDArray[np.uint8],
    field: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.float32],
) -> list[Any]:
    """Fields of one patch, over the pixels whose neighbours are all of the field: 10 m and more inside."""
    numbers = [int(number) for number in np.unique(field) if 0 < number < 255]
    named, labels, inner = [], [], np.full(field.shape, -1, np.int32)
    for number in numbers:
        whole = field == number
        label = int(np.bincount(crop[whole]).argmax())
        inside = ndimage.binary_erosion(whole, np.ones((3, 3), bool))
        if label == 0 or inside.sum() < LEAST_PIXELS:
            continue
        inner[inside] = len(named)
        named.append(f"{patch}_{number}")
        labels.append(label)
    tally = FieldTally(len(named), len(probabilities))
    tally.add(inner, map_classes(probabilities), probabilities)
    return list(tally.mapped(list(zip(named, labels, strict=True))))


def tested(fitted: Thresholds, evidence: FieldEvidence) -> dict[str, Any]:
    """What thresholds do to fields that they were not fitted to."""
    known = [field for field in evidence.fields if field.probabilities is not None]
    scores = np.array([field.probabilities for field in known])
    return _at(fitted, scores, np.array([field.label for field in known]), first=1)  # class 0 is no crop


def by_patch(first: FieldEvidence, second: FieldEvidence, asked: float, draws: int = 1000) -> list[float]:
    """Interval of the false alarms over draws, with replacement, of the patches that are fitted to and of those that test: 95 % for all
    of `ASKED` together.

    The fields of one patch share a sky and a land, and the threshold hangs on those that it was fitted to.
    """
    rng, tail = np.random.default_rng(0), 0.025 / len(ASKED)
    shares = []
    for _ in range(draws):
        fitted = fit_thresholds(_drawn(first, rng), asked, LEAST_PIXELS, BACKGROUND)
        fields = _drawn(second, rng).fields
        own = np.array([field.probabilities[field.label] for field in fields if field.probabilities is not None])
        shares.append(float((own < fitted.not_conform_below).mean()))
    return [round(float(bound), 4) for bound in np.quantile(shares, (tail, 1 - tail))]


def _drawn(evidence: FieldEvidence, rng: np.random.Generator) -> FieldEvidence:
    """As many patches as there are, with replacement."""
    patches: dict[str, list[Any]] = {}
    for field in evidence.fields:
        patches.setdefault(field.name.split("_")[0], []).append(field)
    names = list(patches)
    drawn = [field for number in rng.integers(0, len(names), len(names)) for field in patches[names[number]]]
    return evidence.model_copy(update={"fields": tuple(drawn)})


def _at(
    fitted: Thresholds, scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], first: int
) -> dict[str, Any]:
    """Rates of fields with p (F, K), each declared as it is, and as one other crop, drawn; crops are the classes from ``first`` on."""
    crops = scores.shape[1] - first
    step = np.random.default_rng(1).integers(1, crops, len(labels))
    swapped = (labels - first + step) % crops + first
    true, wrong = (scores[np.arange(len(labels)), chosen] for chosen in (labels, swapped))
    below, above = fitted.not_conform_below, fitted.conform_from
    return {
        "asked": fitted.asked,
        "not_conform_below": round(below, 5),
        "conform_from": round(above, 5),
        "false_alarms": _figure(rate(int((true < below).sum()), len(true))),
        "wrong_found": _figure(rate(int((wrong < below).sum()), len(wrong))),
        "right_called_conform": _figure(rate(int((true >= above).sum()), len(true))),
        "wrong_called_conform": _figure(rate(int((wrong >= above).sum()), len(wrong))),
    }


def _figure(found: Rate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    interval = [round(found.low, 4), round(found.high, 4)]
    return {"count": found.count, "of": found.of, "share": round(found.value, 4), "interval": interval}


def simulated_record(first: FieldEvidence, second: FieldEvidence, seed: int) -> dict[str, Any]:
    """The record of the benchmark."""
    curve = detection_curve(second, least_pixels=LEAST_PIXELS, background=BACKGROUND)
    return {
        "caveat": CAVEAT,
        "model": MODEL.name,
        "seed": seed,
        "fields_fitted": len(first.fields),
        "fields_tested": len(second.fields),
        "by_rate": [
            {
                **tested(fit_thresholds(first, asked, LEAST_PIXELS, BACKGROUND), second),
                "false_alarms_by_patch": by_patch(first, second, asked),
            }
            for asked in ASKED
        ],
        "curve": [
            {
                "threshold": round(point.threshold, 5),
                "false_alarms": round(point.false_alarms.value, 4),
                "detected": round(point.detected.value, 4),
            }
            for point in curve
        ],
    }


def draw(record: dict[str, Any], path: Path) -> None:
    """Draw detection against false alarms, with the exact intervals at the rates asked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [100 * point["false_alarms"] for point in record["curve"]],
        [100 * point["detected"] for point in record["curve"]],
        color="#2f7d4f",
        label=f"{record['fields_tested']} fields, all thresholds",
    )
    for row in record["by_rate"]:
        x, y = 100 * row["false_alarms"]["share"], 100 * row["wrong_found"]["share"]
        spread = [
            [[abs(100 * bound - value)] for bound in row[name]["interval"]]
            for name, value in (("false_alarms", x), ("wrong_found", y))
        ]
        axes.errorbar(x, y, xerr=spread[0], yerr=spread[1], fmt="o", color="#1f2a24", capsize=3)
        axes.annotate(
            f"asked {100 * row['asked']:g} %", (x, y), xytext=(8, -14), textcoords="offset points", fontsize=8
        )
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 1, 2, 5, 10, 20, 50, 100], ["0", "1", "2", "5", "10", "20", "50", "100"])
    axes.set_xlabel("false alarms: right declarations called not conform, %")
    axes.set_ylabel("wrong declarations called not conform, %")
    axes.set_title(f"SYNTHETIC DATA: simulated fields, model {record['model']}", fontsize=10)
    axes.grid(color="#dfe5e0")
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _tell(done: int, total: int) -> None:
    LOG.info("patch %d of %d simulated", done, total)


def main() -> int:
    parser = argparse.ArgumentParser(description="Detection of wrong declarations against false alarms.")
    parser.add_argument("what", choices=["simulated", "flanders"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40, help="patches, for simulated")
    parser.add_argument("--seed", type=int, default=2013)
    parser.add_argument("--json", type=Path, help="file of the record; the picture lies beside it")
    parser.add_argument("--evidence", type=Path, help="file of the fields to fit to, as a checkpoint keeps them")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.what == "flanders":
        if options.evidence is None:
            parser.error("flanders needs --evidence")
        record = flanders_record(options.folder, read_evidence(options.evidence))
    else:
        first, second = simulated(options.folder, options.count, options.seed)
        record = simulated_record(first, second, options.seed)
        if options.evidence:
            write_evidence(options.evidence, first)
    LOG.info("%s", json.dumps({name: value for name, value in record.items() if name != "curve"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if "curve" in record:
            draw(record, options.json.with_suffix(".png"))
    return 0


def flanders_record(data: Path, evidence: FieldEvidence) -> dict[str, Any]:
    """The 14 fields of the real square by the model that saw no real field, with thresholds from simulated ones.

    p(declared) of a crop that the model tells apart further (barley) is the sum over its classes.
    """
    import flanders

    square = flanders.read(data)
    network, config = load_checkpoint(MODEL)
    with tempfile.TemporaryDirectory() as name:
        write_patch(Path(name), 0, square.patch, np.full(square.label.shape, SPLITS["hold-out"], dtype=np.uint8))
        write_folder_header(Path(name), flanders._header())
        ((_, probabilities),) = predict(network, config, PatchFolder(Path(name)), [0])
    crops = tuple(flanders.CLASSES.values())
    same = np.array([[flanders.SIMULATED.get(name) == crop for name in config.classes] for crop in crops])
    by_crop = np.einsum("kc,chw->khw", same.astype(np.float32), probabilities)
    masks = flanders.eligible_fields(square.label)
    scores, labels = [], []
    for whole in masks:
        inner = ndimage.binary_erosion(whole, np.ones((3, 3), bool))
        pixels = (inner if inner.sum() >= LEAST_PIXELS else whole) & np.isfinite(by_crop[0])
        scores.append(by_crop[:, pixels].mean(axis=1))
        labels.append(int(square.label[whole][0]))
    return {
        "caveat": "One square of 640 m, 14 fields, thresholds from simulated fields: no rate is verified, and the intervals say how little "
        "so few fields tell.",
        "model": MODEL.name,
        "crops": sorted({crops[label] for label in labels}),
        "fields": len(masks),
        "by_rate": [
            _at(fit_thresholds(evidence, asked, LEAST_PIXELS, BACKGROUND), np.array(scores), np.array(labels), first=0)
            for asked in ASKED
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
