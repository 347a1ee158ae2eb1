"""Options of the mask: the settings of an installation, and the record of what a date was masked with.

They belong to the store and not to a request, since requests share cells.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from catalog.products import Frozen, Level

MASK_VERSION = 1
"""Version of the algorithms: raised when the same options give another mask, so that every date is masked again."""

Classes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=11)], ...], AfterValidator(lambda classes: tuple(sorted(set(classes))))
]
"""Classes of Sen2Cor's scene classification, rising: 1 defective, 2 dark, 3 cloud shadow, 4 vegetation, 5 bare soil, 6 water,
7 unclassified, 8 and 9 cloud, 10 cirrus, 11 snow. 0 is no data whatever is asked."""

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Radius = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class L2AMask(Frozen):
    """L2A: by the scene classification."""

    clear: Annotated[Classes, Field(description="classes that are clear")] = (4, 5, 6, 7)
    dilated: Annotated[Classes, Field(description="classes widened: the classification is tight around them")] = (
        3,
        8,
        9,
    )
    dilation: Annotated[Radius, Field(description="by how much they are widened, m")] = 60
    cloud_threshold: Annotated[
        Fraction | None,
        Field(
            description="Sen2Cor's cloud probability above which a pixel is cloud, 0 to 1, and widened; null: not used"
        ),
    ] = None

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        if not self.clear:
            raise ValueError("clear: no class is; nothing would ever be clear")
        if both := sorted(set(self.clear) & set(self.dilated)):
            raise ValueError(f"classes {both} are both clear and dilated")
        return self


class L1CMask(Frozen):
    """L1C: by s2cloudless (Zupanc, 2017), cirrus and shadows cast by both."""

    cloud_threshold: Annotated[Fraction, Field(description="averaged probability above which a pixel is cloud")] = 0.4
    # The authors' 4 and 2 pixels of 60 m.
    average: Annotated[Radius, Field(ge=10, description="radius that the probability is averaged over, m")] = 240
    dilation: Annotated[Radius, Field(description="by how much clouds and cirrus are widened, m")] = 120
    # Sen2Cor: Main-Knorn et al. (2017).
    cirrus: Annotated[Fraction, Field(description="reflectance of B10 above which there is cirrus")] = 0.012
    # Braaten (2020), Sentinel-2 cloud masking with s2cloudless.
    dark_nir: Annotated[Fraction, Field(description="reflectance of B08 under which a pixel may lie in shadow")] = 0.15
    shadow_distance: Annotated[
        float, Field(ge=0, le=20_000, allow_inf_nan=False, description="how far from a cloud its shadow may lie, m")
    ] = 5120
    shadow_dilation: Annotated[Radius, Field(description="by how much shadows are widened, m")] = 60
    # 40 m: a cell takes half a second (8 s at 10 m) and the authors' reference scene gets the native mask for 99.4 % of its
    # pixels (60 m: 98.7 %).
    resolution: Annotated[
        Literal[10, 20, 40, 80, 160], Field(description="pixels that clouds are looked for on, m")
    ] = 40

    @property
    def reach(self) -> float:
        """Greatest distance of what may make a pixel unclear, m."""
        return self.shadow_distance + self.shadow_dilation + self.dilation + self.average


class MaskOptions(Frozen):
    """Options of the mask, by level."""

    l1c: L1CMask = L1CMask()
    l2a: L2AMask = L2AMask()

    def record(self, level: Level) -> str:
        """Record that a date of that level masked with these options carries: version and options, canonical JSON."""
        chosen = self.l2a if level == "L2A" else self.l1c
        return json.dumps({"version": MASK_VERSION, **chosen.model_dump(mode="json")}, sort_keys=True)

    def shares_clouds(self, record: str) -> bool:
        """True where an L1C date with that record holds the cloud probability that these options lead to."""
        told = json.loads(record) if record else {}
        return (told.get("version"), told.get("resolution")) == (MASK_VERSION, self.l1c.resolution)


USUAL_MASK = MaskOptions()
"""Options that are used where nobody says otherwise."""
