"""What watches an installation: alarms, their runbook, the dashboard and Prometheus' configuration, each by what reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from monitoring_kit import ALERTS, DASHBOARD, alerts, expressions, metrics_in

from catalog.quoting import shown

REPOSITORY = Path(__file__).resolve().parents[2]
RUNBOOK = REPOSITORY / "docs" / "how-to" / "alarms.md"
TESTS = REPOSITORY / "tests" / "infra" / "alerts.test.yml"


@pytest.fixture
def promtool() -> Callable[..., Any]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool: apt-get install prometheus")

    def call(*words: str | Path) -> Any:
        return subprocess.run([found, *map(str, words)], capture_output=True, text=True, timeout=120)

    return call


def test_prometheus_understands_its_configuration(promtool: Callable[..., Any], tmp_path: Path) -> None:
    folder = shutil.copytree(ALERTS.parent, tmp_path / "monitoring")
    (folder / "cropline-key").write_text("key\n")
    done = promtool("check", "config", folder / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout
    (folder / "alerts.yml").write_text(ALERTS.read_text().replace("== 0", "= 0"))
    assert promtool("check", "config", folder / "prometheus.yml").returncode != 0, "what is wrong is seen"


def test_alarms_ring_for_series_that_they_are_for_and_for_no_others(
    promtool: Callable[..., Any], tmp_path: Path
) -> None:
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load(TESTS.read_text())
    assert {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"]} == set(alerts())
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text().replace("< 20e9", "< 10e9"))
    of_disks = [test for test in tests["tests"] if test["name"].startswith("disks")]
    (tmp_path / "test.yml").write_text(json.dumps({**tests, "rule_files": ["alerts.yml"], "tests": of_disks}))
    assert promtool("test", "rules", tmp_path / "test.yml").returncode != 0, "another threshold is seen"
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    assert promtool("test", "rules", tmp_path / "test.yml").returncode == 0


def test_every_alarm_has_its_part_of_the_runbook() -> None:
    parts = re.split(r"^## ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    by_name = {part.splitlines()[0]: part for part in parts}
    assert set(by_name) == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/alarms.md#{name.lower()}", "as MkDocs makes anchors"
        for question in ("**Means.**", "**See.**", "**Do.**"):
            assert by_name[name].count(question) == 1, f"{name}: {question}"
        assert "```sh\n" in by_name[name], f"{name}: commands"
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_dashboard_is_as_grafana_s_own_types_have_it() -> None:
    """Read and written again by Grafana's library, which passes over what it doesn't know."""
    register_default_plugins()
    ours = json.loads(DASHBOARD.read_text())
    assert list(_lost(ours, _again(ours))) == []
    ours["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    ours["panels"][1]["targets"][0]["expression"] = "up"
    assert len(list(_lost(ours, _again(ours)))) == 2, "what Grafana doesn't know is seen"


def _again(dashboard: Any) -> Any:
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def _lost(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """What isn't the same in both; what Grafana adds where we say nothing is as it likes."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if value is not None:
                yield from _lost(value, theirs.get(name), f"{where}/{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (value, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _lost(value, other, f"{where}/{number}")
    elif ours != theirs:
        yield f"{where}: {shown(str(ours))}"


def test_panels_lie_beside_each_other_and_name_what_they_show() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
                assert x < 24
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def test_prometheus_understands_what_the_dashboard_asks(promtool: Callable[..., Any], tmp_path: Path) -> None:
    """As rules, for which alone it has a check; Grafana fills its variables in before."""
    asked = [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in expressions()]
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    done = promtool("check", "rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_names_of_metrics_are_found_in_what_is_asked() -> None:
    asked = 'sum by (queue) (rate(one_total{state=~"two|three"}[5m])) / on (instance) max_over_time(four[6h]) > 2e9'
    assert metrics_in(asked) == {"one_total", "four"}
    assert {"cropline_runs", "cropline_queue_age_seconds", "cropline_gpu_busy_ratio", "up"} <= {
        name for text in [*expressions(), *(rule["expr"] for rule in alerts().values())] for name in metrics_in(text)
    }
