"""The gate of a new model: it is in use from then on where it beats the model in use on the same fields, which neither learnt from."""

from __future__ import annotations

import sys
from pathlib import Path

from agrunet.comparison import Comparison, compare
from agrunet.errors import AgrunetError
from agrunet.evidence import FieldEvidence, load_evidence, read_evidence
from catalog.checkpoints import check_weights
from catalog.errors import ModelError
from catalog.hold_out import reaching
from catalog.model_choice import ModelEntry
from catalog.model_fit import training_ground
from catalog.promotions import Compared, Decision, Figure, Promotion, Promotions, decided
from catalog.registry import Registry
from flows.agrunet_process import run_apart
from flows.reporting.progress import Advance
from flows.request import Promote
from flows.run import Run
from flows.run_folder import TrainingFolder
from flows.stage import stage
from processors.patches.label_split import ENOUGH

_ATTEMPTS = 5
"""Times that a decision is made anew since another one was recorded meanwhile."""


@stage("promote", waits_for="the model in use, on the same fields", outcome=lambda decision: outcome_text(decision))
def decide(run: Run, model: Path, folder: TrainingFolder, dates: int, promote: Promote) -> Promotion:
    """Decide whether a model of the store, trained on the patches of ``folder``, is in use from now on, and record it.

    ``dates``: of the season that it was trained on. What was decided before about the same model stays, unless ``promote`` is "always".
    Raises `ModelError` where the model in use can't be compared for a reason of its own.
    """
    registry = Registry(run.store)
    candidate = registry.named(model.name)
    for _ in range(_ATTEMPTS):
        promotions = registry.promotions()
        last = promotions.of(candidate.name)
        in_use = registry.in_use_beside(candidate, dates=dates)
        if last is not None and _stays(last, in_use, promotions, promote):
            return last
        decision = judge(candidate, in_use, folder, promote, run.reporter.advance)
        if registry.decide(decision, len(promotions.entries)):
            return decision
    raise ModelError(f"model {candidate.name}: others are being promoted all the time. Run again.")


def _stays(last: Promotion, in_use: ModelEntry | None, promotions: Promotions, promote: Promote) -> bool:
    """True where the same model was trained before and is in use, or a person took its promotion back."""
    if last.decision is Decision.ROLLED_BACK:
        return promote != "always"
    names = [last.model] if in_use is None else [last.model, in_use.name]
    return last.promoted and promotions.in_use(names) == last.model


def judge(
    candidate: ModelEntry, in_use: ModelEntry | None, folder: TrainingFolder, promote: Promote, advance: Advance
) -> Promotion:
    """Compare a model with the one in use, and say what follows."""
    if in_use is None:
        reason = "the first of its kind: no model in use fits what it was trained for"
        return decided(candidate.name, Decision.FIRST, reason, None, candidate.evidence)

    def verdict(kind: Decision, reason: str, compared: Compared | None = None) -> Promotion:
        return decided(candidate.name, kind, reason, in_use.name, candidate.evidence, compared)

    try:
        check_weights(in_use.folder, in_use.folder)
    except (ModelError, OSError) as error:
        return verdict(Decision.IN_USE_DAMAGED, f"the model in use is damaged: {error}")
    compared = _compared(candidate, in_use, folder, advance)
    figures = "" if compared is None else f"; {_figures(compared, in_use)}"
    if promote == "always":
        return verdict(Decision.ALWAYS, f"promoted whatever it scores, as the training asked{figures}", compared)
    if in_use.proven and not candidate.proven:
        reason = f"it is unproven, {in_use.name} is proven: it takes over only where a person says so{figures}"
        return verdict(Decision.UNPROVEN, reason, compared)
    if compared is None or compared.miou.low is None:
        few = "none" if compared is None else ", ".join(f"{count} of {name}" for name, count in compared.fields.items())
        reason = (
            f"too few fields to tell it from {in_use.name}: {few}, at least {ENOUGH} of each class are needed{figures}"
        )
        return verdict(Decision.TOO_FEW_FIELDS, reason, compared)
    better = compared.miou.low > 0
    return verdict(Decision.BETTER if better else Decision.NOT_BETTER, _figures(compared, in_use), compared)


def _compared(candidate: ModelEntry, in_use: ModelEntry, folder: TrainingFolder, advance: Advance) -> Compared | None:
    """Compare by the fields that the candidate was scored on; None where it has none."""
    try:
        mine = load_evidence(candidate.folder)
        if mine is None or not mine.fields:
            return None
        folder.in_use.unlink(missing_ok=True)
        run_apart(mapping_command(folder.patches, in_use.folder, folder.in_use), folder.in_use, advance)
        other = read_evidence(folder.in_use)
        return compare_fields(mine, other, candidate, in_use)
    except AgrunetError as error:
        raise ModelError(str(error)) from error


def compare_fields(mine: FieldEvidence, other: FieldEvidence, candidate: ModelEntry, in_use: ModelEntry) -> Compared:
    """Compare two models by the same fields.

    Fields that the model in use may have learnt from are left out, if enough of each class remain; else they are kept and told: they
    flatter the model in use, never the candidate. Raises `AgrunetError` where the fields aren't the same.
    """
    learnt = _may_have_learnt(mine, candidate, in_use)
    others = [field.name for field in mine.fields if field.name not in learnt]
    left_out = 0
    if learnt and _enough(mine.of(others), mine):
        mine, other, left_out, learnt = mine.of(others), other.of(others), len(learnt), set()
    found = compare(mine, other)
    known = _enough(mine, mine)
    return Compared(
        miou=_figure(found, "miou", known),
        oa=_figure(found, "oa", known),
        fields=found.fields,
        left_out=left_out,
        learnt=len(learnt),
        resamples=found.resamples,
        seed=found.seed,
    )


def _may_have_learnt(mine: FieldEvidence, candidate: ModelEntry, in_use: ModelEntry) -> set[str]:
    """Names of the fields on which the model in use may have been trained: none on ground that both left alone."""
    if candidate.proven and in_use.proven:
        return set()
    ground = training_ground(in_use)
    names = [field.name for field in mine.fields]
    return set(names) if ground is None else reaching(names, ground)


def _enough(fields: FieldEvidence, among: FieldEvidence) -> bool:
    """True where there are enough fields of each class to tell models apart."""
    counts = dict.fromkeys((field.label for field in among.fields), 0)
    for field in fields.fields:
        counts[field.label] += 1
    return min(counts.values(), default=0) >= ENOUGH


def _figure(found: Comparison, name: str, known: bool) -> Figure:
    candidate, in_use = getattr(found, name)
    difference = getattr(found, f"{name}_difference")
    interval = {"low": difference.low, "high": difference.high} if known else {}
    return Figure(candidate=candidate, in_use=in_use, difference=difference.value, **interval)


def _figures(compared: Compared, in_use: ModelEntry) -> str:
    """Both figures, and what they show, in words."""
    miou, fields = compared.miou, sum(compared.fields.values())
    text = f"mIoU {miou.candidate:.3f} against {miou.in_use:.3f} of {in_use.name} on the same {fields} fields"
    if miou.low is not None and miou.high is not None:
        text += f": {miou.difference:+.3f}, 95 % interval {miou.low:+.3f} to {miou.high:+.3f}"
    if compared.left_out:
        text += f"; {compared.left_out} more are left out, from which {in_use.name} may have learnt"
    if compared.learnt:
        text += f"; {in_use.name} may have learnt from {compared.learnt} of them, which flatters it"
    return text


def outcome_text(decision: Promotion) -> str:
    """What became of a model, in one line."""
    return f"{decision.model} is {'in use' if decision.promoted else 'not promoted'}: {decision.reason}"


def mapping_command(patches: Path, model: Path, output: Path) -> list[str]:
    """The command line that maps the fields of patches by a model."""
    options = ["--data", str(patches), "--model", str(model), "--output", str(output), "--end-with-input"]
    return [sys.executable, "-m", "agrunet", "map-fields", *options]
