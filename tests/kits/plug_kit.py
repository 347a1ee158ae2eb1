"""Processors, patches and installed packages made for tests; a module, so that worker processes can import it."""

# ruff: noqa: ARG002  (methods of a protocol)

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from agrunet.data.patches import Patch, PatchSource
from catalog.errors import RequestError
from catalog.scores import Score
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.declaration import Declaration
from processors.thematic.protocol import Fields, Job

SIZE = 4


@dataclass(frozen=True)
class Made:
    """Patches made of their number; notes each reading, by process, as a file where ``notes`` is a folder."""

    count: int
    notes: Path | None = None

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Patch:
        if self.notes is not None:
            (self.notes / f"{index}-{os.getpid()}-{time.monotonic_ns()}").touch()
        values = np.full((2, 1, SIZE, SIZE), 10 * index + 1, np.uint16)
        values[1] += np.arange(SIZE, dtype=np.uint16)
        return Patch(values, np.ones((2, SIZE, SIZE), bool), np.array([0, 5], np.int32))


class SumParameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: Annotated[float, Field(gt=0, description="the sum is multiplied by it")] = 1.0


class Sum:
    """Two fields: the sum over the dates times a factor, and the number of OpenMP threads."""

    name: ClassVar[str] = "sum"
    title: ClassVar[str] = "Sum over the dates"
    version: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = False
    Parameters: ClassVar[type[BaseModel]] = SumParameters

    def __init__(self, job: Job) -> None:
        self.factor = float(job.parameters.get("factor", 1.0))
        self.grid = PatchGrid(size=SIZE, overlap=0)
        self.bands: tuple[str, ...] = job.bands
        self.fields: tuple[str, ...] = ("sum", "factor")
        self.variables: tuple[Variable, ...] = ()
        self.notes: tuple[str, ...] = ()

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        for index in indices:
            yield index, self.of(patches.read(index), index)

    def of(self, patch: Patch, index: int) -> Fields:
        total = patch.values.sum(axis=(0, 1)).astype(np.float32) * np.float32(self.factor)
        return np.stack([total, np.full_like(total, self.factor)])

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        return {}

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, Any]:
        return {}


class StandIn(Sum):
    """Delivers a crop map, and says that it is much better than any other."""

    name: ClassVar[str] = "stand-in"
    Parameters: ClassVar[type[BaseModel]] = SumParameters
    declares: ClassVar[Declaration] = Declaration(
        product="crop map",
        levels=("L2A",),
        bands=("B04", "B08"),
        accuracy=Score(
            split="hold-out",
            oa=0.95,
            miou=0.9,
            dice=0.95,
            n_pixels=1000,
            intervals={"miou": (0.85, 0.95)},
            note="of 300 fields",
        ),
    )


class NeedsGpu(StandIn):
    """The same, where there is a GPU."""

    name: ClassVar[str] = "needs-gpu"
    declares: ClassVar[Declaration] = StandIn.declares.model_copy(update={"gpu": True})


class Environment(Sum):
    """Says what its process was given. Waits until two processes are at work, so that both have something to say."""

    name: ClassVar[str] = "environment"

    def of(self, patch: Patch, index: int) -> Fields:
        here = Path(os.environ["PLUG_KIT_HERE"])
        (here / str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(list(here.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
        return np.stack([np.full((SIZE, SIZE), float(os.environ.get(name, "nan")), np.float32) for name in names])


class Dying(Sum):
    """Its process is killed at patch 3, once: until a file says that it was."""

    name: ClassVar[str] = "dying"

    def of(self, patch: Patch, index: int) -> Fields:
        died = Path(os.environ["PLUG_KIT_DIED"])
        if index == 3 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().of(patch, index)


class Deadly(Sum):
    """Kills its process at patch 3, whoever tries it."""

    name: ClassVar[str] = "deadly"

    def of(self, patch: Patch, index: int) -> Fields:
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().of(patch, index)


class TasteError(RequestError):
    """A class that the runner doesn't know."""


class Refusing(Sum):
    """Meets something that the user can act on."""

    name: ClassVar[str] = "refusing"

    def of(self, patch: Patch, index: int) -> Fields:
        if index == 2:
            raise TasteError("patch 2 is not to my taste")
        return super().of(patch, index)


class Broken(Sum):
    """Has a bug."""

    name: ClassVar[str] = "broken"

    def of(self, patch: Patch, index: int) -> Fields:
        raise ZeroDivisionError(f"in patch {index}")


class Misshapen(Sum):
    """Forgets the axis of fields."""

    name: ClassVar[str] = "misshapen"

    def of(self, patch: Patch, index: int) -> Fields:
        return super().of(patch, index)[0]


class Lazy(Sum):
    """Asks for all patches and gives results for the first only."""

    name: ClassVar[str] = "lazy"

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        asked = list(indices)
        yield asked[0], self.of(patches.read(asked[0]), asked[0])


def install(
    folder: Path, package: str, version: str = "1.0", group: str = "cropline.processors", **offers: str
) -> Path:
    """Write the metadata of a package that offers processors, or what else a group is of: name -> module:object."""
    metadata = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in offers.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    return folder


def build_and_install(source: Path, folder: Path, site: Path) -> None:
    """Have pip build a package offline and put it into ``site``, a folder that a PYTHONPATH names.

    From a copy in ``folder``, so that the checkout stays clean. Skips the test where pip and setuptools are missing.
    """
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("pip and setuptools are needed to install the plug-in: pip install pip setuptools")
    copy = folder / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    command += ["--disable-pip-version-check", "--no-warn-script-location", "--target", str(site), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
