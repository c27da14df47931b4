"""What is in `deploy/` is well formed: image, systemd unit and Helm chart, by linters that a package registry has."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from gotpl.exts.helm import HelmTemplateEngine

from keepwell.settings import ServeSection

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm/keepwell"
BIN = Path(sys.executable).parent
# This linter takes every mask for one that lets the world write, and wants control groups delegated to a service that makes none.
MISTAKEN = ("Security.UMaskOW", "Security.Delegate")
VALUES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "everything": {
        "secret": "keepwell",
        "env": {"KEEPWELL_STORE__TABLES": "s3://bucket/tables"},
        "servers": 3,
        "storage": {"storageClassName": "fast"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
        "project": {"keepwell.toml": '[model]\nfile = "model.py"\n', "model.py": 'X = "a: {{ b }}"\n'},
    },
}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The chart's resources, as the given values make them."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    merged = {
        name: {**value, **values[name]} if isinstance(value, dict) and name in values else values.get(name, value)
        for name, value in defaults.items()
    }
    context = {
        "Values": merged,
        "Release": {"Name": "rain", "Service": "Helm", "Namespace": "default"},
        "Chart": {"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
    }
    sources = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}
    engine = HelmTemplateEngine.from_sources(sources)
    texts = [engine.render_template(name, context) for name in sorted(sources) if name.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_makes_resources_that_kubernetes_accepts(values: dict[str, Any]) -> None:
    found = rendered(values)
    for resource in found:
        kubernetes_validate.validate(resource, "1.30", strict=True)
    sets = [one for one in found if one["kind"] == "StatefulSet"]
    assert [one["metadata"]["name"] for one in sets] == (["rain-serve", "rain-up"] if values.get("servers") else ["rain-up"])
    service = next(one for one in found if one["kind"] == "Service")
    for one in sets:
        pod = one["spec"]["template"]
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert one["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] and container["resources"]["limits"]["memory"]
        keepwell = pod["spec"]["containers"][0]
        assert {"livenessProbe", "readinessProbe", "startupProbe"} <= keepwell.keys()
        assert keepwell["ports"][0]["containerPort"] == ServeSection().port


def test_a_project_reaches_the_pod_as_it_was_written() -> None:
    given = VALUES["everything"]["project"]
    found = next(one for one in rendered(VALUES["everything"]) if one["kind"] == "ConfigMap")
    assert found["data"] == given


def test_the_chart_is_of_this_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version("keepwell")


def test_the_image_passes_its_linter() -> None:
    found = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE) and "HEALTHCHECK" in text and f"EXPOSE {ServeSection().port}" in text


def test_the_unit_passes_its_linter() -> None:
    unit = DEPLOY / "keepwell@.service"
    found = subprocess.run([BIN / "systemdlint", "--norootfs", unit], capture_output=True, text=True, check=False)
    told = [line for line in (found.stdout + found.stderr).splitlines() if line and not any(name in line for name in MISTAKEN)]
    assert told == []
