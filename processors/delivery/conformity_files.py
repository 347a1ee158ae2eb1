"""All that a delivery holds of the verdicts on declared parcels: tables, the page of parcels, and a section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from processors.conformity.judge import Conformity
from processors.conformity.verdicts import MIXED, Verdict
from processors.delivery.changes import Earlier
from processors.delivery.conformity_page import PAGE, Looks, write_page
from processors.delivery.conformity_table import PACKAGE, PARQUET, TABLE, Decided, decided, write_tables
from processors.delivery.provenance import DeliveryFacts
from processors.delivery.report_section import with_section
from processors.delivery.templates import page_templates
from processors.rasters import Variable
from processors.views.views import Views

SECTION = "conformity"
"""Name of the section in the report."""

MEANINGS = {
    Verdict.NOT_CONFORM: "the declared crop is less probable than the lower threshold",
    Verdict.MIXED: f"a second crop holds over {100 * MIXED:g} % of the pixels",
    Verdict.INCONCLUSIVE: "too small, no data, too few clear dates, outside of the area, or between the thresholds",
    Verdict.NOT_IN_LEGEND: "the model knows no such crop, or none is declared",
    Verdict.CONFORM: "the declared crop is as probable as the upper threshold, or more",
}


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Verdicts that are about to be delivered to a folder."""

    conformity: Conformity
    decided: Decided

    @classmethod
    def of(cls, conformity: Conformity, folder: Path, earlier: Earlier | None, facts: DeliveryFacts) -> Verdicts:
        """``folder``: what it holds is replaced; ``earlier``: the delivery of the same request in it."""
        same = earlier is not None and earlier.inputs == facts.inputs
        return cls(conformity, decided(conformity, facts, folder, same_pixels=same))

    def write(
        self,
        aside: Path,
        facts: DeliveryFacts,
        classes: Variable | None,
        rasters: Mapping[str, Path],
        views: Views | None,
    ) -> list[Path]:
        """Write tables and page, and return their paths."""
        files = write_tables(aside, self.decided.frame, facts)
        class_map = None if classes is None else (rasters[classes.name], classes)
        looks = Looks(None if views is None else views.true_color, class_map)
        write_page(aside / PAGE, self.conformity, self.decided.frame, looks, facts)
        return [*files, aside / PAGE]

    def write_into(self, report: Path) -> None:
        """Write what is told of all parcels together into the report."""
        section = (
            page_templates()
            .get_template("conformity_section.html")
            .render(
                summary=self.conformity.summary,
                meanings=[(verdict.value, meaning) for verdict, meaning in MEANINGS.items()],
                kept=self.decided.kept,
                unreadable=self.decided.unreadable,
                page=PAGE,
                tables=(PARQUET, PACKAGE, TABLE),
            )
        )
        report.write_text(with_section(report.read_text(encoding="utf-8"), SECTION, section), encoding="utf-8")
