"""A processor tried on a sample: does it keep to what `processors/thematic/protocol.py` says?

The sample is a square of 32 pixels of the simulated mission, twelve dates from January to July with the clouds that they had
(`sample.npz` beside this module), laid out to whatever size of patch a processor asks for. Beside the patch as it is there
is one whose western half is never clear, and one without any data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.data.patches import Patch
from catalog.errors import CroplineError, RequestError
from catalog.products import LEVEL_BANDS, Frozen
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.protocol import Fields, Job, Processor
from processors.thematic.registry import check_parameters, load_processor, make_processor

LEVEL = "L2A"
BANDS = LEVEL_BANDS[LEVEL]
MONTHS = (1, 7)
YEAR = 2019
ORBIT = "R051"
"""Relative orbit of all dates of the sample: they lie whole repeats of five days apart. Which one it is makes no difference."""

_UNKNOWN = "no_processor_has_a_parameter_of_this_name"
_ODD = (17, 23)
"""Shape of a block that is no patch: at an area's edges blocks are cut."""


class Check(Frozen):
    """One thing that was looked at."""

    name: str
    problem: Annotated[str, Field(description="what is wrong, and what to do; empty: nothing")] = ""


@dataclass(frozen=True)
class Sample:
    """The patches of the sample: as it is, never clear in its western half, and without data. Implements `PatchSource`."""

    bands: tuple[str, ...]
    size: int

    def __len__(self) -> int:
        return 3

    def read(self, index: int) -> Patch:
        """Patch of (T, C, size, size)."""
        values, clear = self._values.copy(), self._clear.copy()
        if index == 1:
            clear[..., : self.size // 2] = False
        if index == 2:
            values[:], clear[:] = 0, False
        values.setflags(write=False)
        clear.setflags(write=False)
        return Patch(values, clear, np.array(days(), np.int32))

    @cached_property
    def _values(self) -> npt.NDArray[np.uint16]:
        return _laid_out(_sample()["values"][:, [BANDS.index(band) for band in self.bands]], self.size)

    @cached_property
    def _clear(self) -> npt.NDArray[np.bool_]:
        return _laid_out(_sample()["clear"], self.size)


def days() -> tuple[int, ...]:
    """Days of the sample's dates since the season's start."""
    return tuple(int(day) for day in _sample()["days"])


def check_processor(name: str, model: Path | None = None) -> list[Check]:
    """Try a processor on the sample. ``model``: the checkpoint that it gets, where it needs one.

    Raises `RequestError` where there is no processor of that name, or it can't be loaded.
    """
    processor = load_processor(name)
    checks = [Check(name="its class has what the protocol asks for"), _parameters(processor)]
    job = Job(
        level=LEVEL,
        year=YEAR,
        months=MONTHS,
        days=days(),
        relative_orbits=(ORBIT,) * len(days()),
        bands=BANDS,
        synthetic=True,
        model=model,
    )
    made: list[Processor] = []

    def make() -> None:
        made.append(make_processor(name, job))

    checks.append(_tried("it is made for a job with default parameters", make))
    if made and not checks[-1].problem:
        checks += _checks_of(made[0])
    return checks


def _checks_of(processor: Processor) -> Iterator[Check]:
    declared = _tried("it declares its grid, bands, fields and variables", lambda: _declared(processor))
    yield declared
    if declared.problem:
        return
    made: dict[int, Fields] = {}

    def run() -> None:
        sample, asked = Sample(processor.bands, processor.grid.size), (2, 0, 1)
        ran = processor.run(sample, iter(asked))
        for number, (index, fields) in enumerate(ran):
            _is(number < len(asked), f"`run` gave more patches than the {len(asked)} that were asked for")
            wanted = asked[number]
            _is(
                index == wanted,
                f"`run` gave patch {index} where {wanted} was asked for: patches come in the order asked for",
            )
            _is_fields(processor, fields, (processor.grid.size,) * 2)
            made[index] = np.array(fields)
        _is(
            len(made) == len(asked),
            f"`run` gave {len(made)} of the {len(asked)} patches that were asked for: it gives each",
        )

    ran = _tried("`run` makes float32 fields (K, H, W) of each patch, in the order asked for", run)
    yield ran
    if ran.problem:
        return
    yield _tried("pixels without any clear date are NaN, and others are not all NaN", lambda: _knows_nothing(made))
    summaries: list[Any] = []

    def summarise() -> None:
        summary = processor.summarise(iter([made[0], made[1], np.full_like(made[0], np.nan)]))
        _is(isinstance(summary, dict), f"`summarise` made {type(summary).__name__}: it makes a dict")
        summaries.append(json.loads(json.dumps(summary, allow_nan=False)))

    summarised = _tried("`summarise` makes a dict that is JSON, whatever is NaN", summarise)
    yield summarised
    if summarised.problem:
        return

    def finish() -> None:
        for fields in (
            made[0],
            made[1],
            np.full_like(made[0], np.nan),
            np.resize(made[0], (len(processor.fields), *_ODD)),
        ):
            before = fields.copy()
            finished = processor.finish(fields, summaries[0])
            _is(np.array_equal(before, fields, equal_nan=True), "`finish` changed its input: make a copy")
            for variable in processor.variables:
                _is_variable(variable, finished, fields.shape[1:])
            others = set(finished) - {variable.name for variable in processor.variables}
            _is(not others, f"`finish` made {', '.join(sorted(others))}, which are no variables that it declares")

    finished = _tried("`finish` makes every variable in its shape and dtype, of blocks of any size", finish)
    yield finished
    if finished.problem:
        return
    yield _tried(
        "where nothing is known variables are no data",
        lambda: _no_data(processor, np.full_like(made[0], np.nan), summaries[0]),
    )


def _parameters(processor: type[Processor]) -> Check:
    def look() -> None:
        check_parameters(processor, {})
        try:
            check_parameters(processor, {_UNKNOWN: 1})
        except RequestError:
            return
        raise _WrongError(
            "`Parameters` takes a parameter that it doesn't have: a user's slip would go unnoticed. Set model_config = "
            'ConfigDict(extra="forbid"), or derive it from catalog.products.Frozen'
        )

    return _tried("its parameters have defaults, and unknown ones are refused", look)


def _declared(processor: Processor) -> None:
    _is(isinstance(processor.grid, PatchGrid), f"`grid` is {type(processor.grid).__name__}: it is a PatchGrid")
    strange = [band for band in processor.bands if band not in BANDS]
    _is(
        bool(processor.bands) and not strange,
        f"`bands` names {', '.join(strange) or 'none'}: there are {', '.join(BANDS)} at {LEVEL}",
    )
    _is(bool(processor.fields), "`fields` is empty: name the K layers that `run` makes")
    _is(
        bool(processor.variables) and all(isinstance(variable, Variable) for variable in processor.variables),
        "`variables` is empty, or holds what is no Variable: name the rasters that `finish` makes",
    )
    _is(all(isinstance(note, str) for note in processor.notes), "`notes` holds what is no text")


def _is_fields(processor: Processor, fields: Any, shape: tuple[int, ...]) -> None:
    expected = (len(processor.fields), *shape)
    _is(isinstance(fields, np.ndarray), f"`run` made {type(fields).__name__}: fields are an array")
    _is(
        fields.shape == expected and fields.dtype == np.float32,
        f"`run` made {fields.dtype} {fields.shape}: fields are float32 {expected}, one layer for each of `fields`",
    )
    _is(not np.isinf(fields).any(), "`run` made infinite values: what says nothing is NaN")


def _knows_nothing(made: dict[int, Fields]) -> None:
    west = slice(0, made[1].shape[2] // 2)
    _is(
        bool(np.isnan(made[2]).all(axis=0).all()),
        "of a patch without data `run` made values: they must be NaN in all fields, not 0",
    )
    _is(
        bool(np.isnan(made[1][..., west]).any(axis=0).all()),
        "where no date is clear `run` made values of all fields: look at `patch.clear`",
    )
    _is(bool(np.isfinite(made[0]).any()), "of the patch as it is `run` made nothing but NaN")


def _is_variable(variable: Variable, finished: Any, shape: tuple[int, ...]) -> None:
    _is(
        isinstance(finished, dict) and variable.name in finished,
        f"`finish` made no {variable.name}, which `variables` declares",
    )
    values = np.asarray(finished[variable.name])
    allowed = [(len(variable.bands), *shape)] + ([shape] if len(variable.bands) == 1 else [])
    _is(
        values.shape in allowed and values.dtype == variable.dtype,
        f"`finish` made {variable.name} as {values.dtype} {values.shape}: it is declared {variable.dtype} {allowed[0]}",
    )


def _no_data(processor: Processor, nothing: Fields, summary: dict[str, Any]) -> None:
    finished = processor.finish(nothing, summary)
    for variable in processor.variables:
        values = np.asarray(finished[variable.name])
        is_none = np.isnan(values) if np.isnan(variable.nodata) else values == variable.nodata
        _is(
            bool(is_none.all()),
            f"`finish` made values of {variable.name} where all fields are NaN: they are {variable.nodata:g} there",
        )


class _WrongError(Exception):
    """A processor breaks the contract; the text says how."""


def _is(right: bool, problem: str) -> None:
    if not right:
        raise _WrongError(problem)


def _tried(name: str, look: Callable[[], None]) -> Check:
    """The outcome of a look. Whatever a processor raises is its fault, and is what its author wants to hear."""
    try:
        look()
    except (_WrongError, CroplineError) as error:
        return Check(name=name, problem=str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of others
        return Check(name=name, problem=f"{type(error).__name__}: {error}")
    return Check(name=name)


def _sample() -> dict[str, npt.NDArray[Any]]:
    with files("processors.thematic").joinpath("sample.npz").open("rb") as file, np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _laid_out(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The sample (…, 32, 32) mirrored, or cut, to (…, size, size)."""
    missing = max(0, size - values.shape[-1])
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, missing)] * 2, mode="symmetric")
    return np.ascontiguousarray(padded[..., :size, :size])
