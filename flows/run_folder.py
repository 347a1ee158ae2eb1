"""Files that a run leaves in the store, `<store>/runs/DIGEST/`: the only module that spells these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from catalog.products import Order
from catalog.storage.store import Store


@dataclass(frozen=True)
class RunFolder:
    """The folder of one request, whichever run of it is the latest."""

    path: Path

    @classmethod
    def of(cls, store: Store, digest: str) -> RunFolder:
        """The folder of the request that a digest names; it may not be there yet."""
        return cls(store.runs / digest)

    @property
    def lock(self) -> Path:
        """Lock that is held while the request runs."""
        return self.path / ".lock"

    @property
    def request(self) -> Path:
        """`MapRequest`, complete; written before the first stage."""
        return self.path / "request.json"

    @property
    def order(self) -> Path:
        """`catalog.products.Order`, by the stage order."""
        return self.path / "order.json"

    @property
    def season(self) -> Path:
        """`processors.season.Season`, by the stage season."""
        return self.path / "season.json"

    @property
    def job(self) -> Path:
        """`processors.thematic.protocol.Job`, by the stage patch."""
        return self.path / "job.json"

    @property
    def results(self) -> Path:
        """Results of the patches, unblended, by the stage thematic."""
        return self.path / "results.zarr"

    @property
    def shared_results(self) -> Path:
        """Name of the results in the cubes' bucket, where a scheduler's workers share nothing else; goes with them."""
        return self.path / "shared-results.txt"

    @property
    def mosaic(self) -> Path:
        """Folder of one GeoTIFF per variable, by the stage mosaic."""
        return self.path / "mosaic"

    @property
    def views(self) -> Path:
        """Folder of what the season looked like over the area, by the stage views."""
        return self.path / "views"

    @property
    def delivered(self) -> Path:
        """Record of what was delivered last and what that was made from, after the stage deliver; `reprocess` reads it."""
        return self.path / "delivered.json"

    def simulated_model(self, digest: str) -> Path:
        """Name of the model that was simulated for the request on certain dates."""
        return self.path / f"simulated-{digest}.txt"

    def training(self, digest: str) -> TrainingFolder:
        """Folder of a training on certain products; it goes when the model is in the store."""
        return TrainingFolder(self.path / "training" / digest)

    def read_order(self) -> Order:
        """The order that the last run made. Raises `FileNotFoundError` where there is none."""
        return Order.model_validate_json(self.order.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class TrainingFolder:
    """Folder of what a training reads and writes."""

    path: Path

    @property
    def patches(self) -> Path:
        return self.path / "patches"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def in_use(self) -> Path:
        """How the model in use maps the fields that the new one was scored on."""
        return self.path / "in-use.json"
