"""The alarms and the dashboard, and which metrics they ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).resolve().parents[2] / "infra" / "monitoring"
ALERTS, DASHBOARD = MONITORING / "alerts.yml", MONITORING / "cropline-dashboard.json"

OF_PROMETHEUS = {"up"}
"""Made by Prometheus itself for what it asks."""

OF_GPUS = {"cropline_gpu_busy_ratio", "cropline_gpu_memory_used_bytes", "cropline_gpu_memory_bytes"}
"""Those that a machine without a GPU lacks."""

_WORDS = {"by", "on", "and", "or", "unless", "without", "ignoring", "bool", "offset"}


def alerts() -> dict[str, Any]:
    """The rules by their alarms' names."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def expressions() -> list[str]:
    """What the dashboard's panels ask Prometheus."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics that an expression asks for: words that are neither labels nor functions nor numbers."""
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expression)
    text = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", " ", text)
    words = re.findall(r"(?<![\w.])[a-zA-Z_]\w*\b(?!\s*\()", text)
    return set(words) - _WORDS


def asked_metrics() -> set[str]:
    """All that alarms and dashboard ask for, but for what Prometheus makes itself."""
    asked = [*expressions(), *(rule["expr"] for rule in alerts().values())]
    return set().union(*map(metrics_in, asked)) - OF_PROMETHEUS
