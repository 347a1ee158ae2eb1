"""Values of the charts: what they put into pods is what Kubernetes takes, and the image's programs take its words.

The charts and their schemas are in no package; what the values say to them was compared with them by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_kit import takes

HELM = Path(__file__).resolve().parents[2] / "infra" / "helm"
VALUES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((HELM / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("prefect-server", "prefect-worker", "dask")
}
KUBERNETES = "1.33"
"""Version whose schema is asked."""


def check(manifest: dict[str, Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate brings the schemas")
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def pod(name: str, containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers, "volumes": volumes}},
        },
    }


def pods() -> dict[str, dict[str, Any]]:
    """The pods as the charts make them, as far as the values say."""
    server, worker = VALUES["prefect-server"]["server"], VALUES["prefect-worker"]["worker"]
    scratch = {"name": "scratch", "emptyDir": {}}
    first = {"name": "prefect-server", "image": "cropline", "args": server["args"], "resources": server["resources"]}
    first["volumeMounts"] = server["extraVolumeMounts"]
    other = {"name": "prefect-worker", "image": "cropline", "env": worker["extraEnvVars"]}
    other |= {"resources": worker["resources"], "volumeMounts": worker["extraVolumeMounts"]}
    dask = {
        role: pod(
            f"dask-{role}",
            [{"name": role, "image": "cropline"} | {k: VALUES["dask"][role][k] for k in ("env", "resources")}],
            [],
        )
        for role in ("scheduler", "worker")
    }
    return {
        "server": pod("server", [first, *server["extraContainers"]], [scratch, *server["extraVolumes"]]),
        "worker": pod("worker", [other], worker["extraVolumes"]),
        **dask,
    }


@pytest.mark.parametrize("name", ["server", "worker", "scheduler"])
def test_kubernetes_takes_the_pods(name: str) -> None:
    made = pods()[name]
    check(made)
    spec = made["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
    assert mounted <= volumes


def test_a_wrong_pod_is_refused() -> None:
    wrong = pods()["worker"]
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(Exception, match="volumeMount"):
        check(wrong)


@pytest.mark.parametrize("file", ["store.yaml", "network-policy.yaml"])
def test_kubernetes_takes_the_manifests(file: str) -> None:
    for manifest in yaml.safe_load_all((HELM / file).read_text(encoding="utf-8")):
        check(manifest)


def test_programs_take_the_commands() -> None:
    server = VALUES["prefect-server"]["server"]
    commands = [server["args"], *(container["args"] for container in server["extraContainers"])]
    assert [command[3] for command in commands] == ["server", "services", "worker"]
    assert all(takes(command) for command in commands)


def test_secrets_are_made_by_a_command_that_the_file_tells() -> None:
    """No value is a secret: pods name secrets, and each is made from files, with the keys that are asked for."""
    told = "".join((HELM / f"{name}.yaml").read_text(encoding="utf-8") for name in VALUES)
    made = {
        name: set(re.findall(r"--from-file=(\w+)", words))
        for name, words in re.findall(r"kubectl create secret generic ([\w-]+)((?: --from-file=\w+)+)", told)
    }
    made["cropline-dask"] = {"cert.pem", "key.pem"}  # a folder of two files
    named = set(re.findall(r"secretName: ([\w-]+)", told))
    keys = re.findall(r"secretKeyRef: \{name: ([\w-]+), key: ([\w.]+)\}", told)
    assert named | {name for name, _ in keys} == set(made)
    assert all(key in made[name] for name, key in keys)
    assert made["cropline-server"] == {"CROPLINE_DATABASE", "CROPLINE_REDIS", "PREFECT_API_AUTH_STRING"}


def test_the_ports_and_names_of_the_parts_fit() -> None:
    worker, server = VALUES["prefect-worker"]["worker"], VALUES["prefect-server"]["server"]
    variables = {item["name"]: item.get("value") for item in worker["extraEnvVars"]}
    assert worker["selfHostedServerApiConfig"]["apiUrl"] == variables["CROPLINE_API_INSECURE"]
    dask = f"{VALUES['dask']['fullnameOverride']}-scheduler"
    assert variables["CROPLINE_DASK"] == VALUES["dask"]["worker"]["custom_scheduler_url"] == f"tls://{dask}:8786"
    assert server["podLabels"] == worker["podLabels"], "the network policy lets these in"
