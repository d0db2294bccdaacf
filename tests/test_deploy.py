"""What lies in deploy/ is valid, agrees with itself, and holds configs that the gateway takes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from waypost.gateway.settings import ServerSettings, load
from waypost.gateway.storing import address, spool

DEPLOY = Path(__file__).parents[1] / "deploy"
CHART = DEPLOY / "chart"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
ENV = {
    "OPENAI_API_KEY": "sk-1",
    "WAYPOST_STORE": "postgresql://waypost:secret@postgres:5432/waypost",
    "WAYPOST_REDIS": "redis://redis:6379/0",
}
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNIT = (DEPLOY / "waypost.service").read_text()
# After so long the supervisor of several workers kills them, and whoever stops the gateway must wait for longer.
PATIENCE = ServerSettings().shutdown_delay_seconds + ServerSettings().drain_seconds + 20


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's objects by kind; of Helm's language only what the chart uses, and anything else is an error."""
    objects = {}
    for path in sorted((CHART / "templates").glob("*.yaml")):
        document = yaml.safe_load(_render(path.read_text(), values))
        if document is not None:
            objects[document["kind"]] = document
    return objects


def _render(text: str, values: dict[str, Any]) -> str:
    lines, shown = [], [True]
    for line in text.splitlines():
        if found := re.fullmatch(r"\s*\{\{- if (not )?(\S+) \}\}", line):
            shown.append(shown[-1] and bool(_value(found[2], values)) != bool(found[1]))
        elif re.fullmatch(r"\s*\{\{- end \}\}", line):
            shown.pop()
        elif shown[-1] and (found := re.fullmatch(r"\s*\{\{- (toYaml )?(\S+) \| nindent (\d+) \}\}", line)):
            value = _value(found[2], values)
            block = yaml.safe_dump(value) if found[1] else value
            lines += [" " * int(found[3]) + row for row in block.splitlines()]
        elif shown[-1]:
            lines.append(re.sub(r"\{\{ (\S+)( \| quote)? \}\}", lambda m: _scalar(m, values), line))
    assert shown == [True]
    page = "\n".join(lines)
    assert "{{" not in page
    return page


def _scalar(found: re.Match[str], values: dict[str, Any]) -> str:
    value = str(_value(found[1], values))
    return f'"{value}"' if found[2] else value


def _value(name: str, values: dict[str, Any]) -> Any:
    if name == ".Release.Name":
        return "gate"
    value: Any = values
    for part in name.removeprefix(".Values.").split("."):
        value = value[part]
    return value


def check_config(text: str, folder: Path) -> str:
    config = folder / "waypost.yaml"
    config.write_text(text)
    command = [sys.executable, "-m", "waypost", "check-config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**ENV, "PATH": ""})
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_yaml_is_clean(path):
    rules = "{extends: relaxed, rules: {line-length: {max: 140}, commas: disable}}"
    if "templates" in path.parts:
        text = "\n".join(line for line in path.read_text().splitlines() if "{{" not in line)
        assert "\t" not in text
        return
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "-d", rules, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_has_nothing_that_its_linter_complains_of():
    linter = shutil.which("hadolint") or str(Path(sys.executable).with_name("hadolint"))
    done = subprocess.run([linter, str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_and_what_it_copies_is_there():
    final = DOCKERFILE.split("FROM ")[-1]
    assert "USER 10001" in final and "pip install" not in final
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (DEPLOY.parent / source).exists()
            ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
            assert f"!{source}" in ignored, "what is copied must be in the build's context"


def test_the_image_s_config_is_taken(tmp_path):
    check_config((DEPLOY / "waypost.yaml").read_text(), tmp_path)


def test_compose_gives_each_gateway_what_its_config_refers_to():
    gateways = [one for name, one in COMPOSE["services"].items() if name.startswith("gateway")]
    assert len(gateways) == 2
    wanted = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "waypost.yaml").read_text()))
    for gateway in gateways:
        assert wanted <= set(gateway["environment"])
        assert set(gateway["depends_on"]) < set(COMPOSE["services"])
        assert (DEPLOY / gateway["build"]["context"] / gateway["build"]["dockerfile"]).is_file()
        assert {volume.split(":")[0] for volume in gateway["volumes"]} <= set(COMPOSE["volumes"])
        for wants in gateway["configs"]:
            assert (DEPLOY / COMPOSE["configs"][wants["source"]]["file"]).is_file()
            assert wants["target"] in DOCKERFILE, "the path that the image's command reads"
        assert int(gateway["stop_grace_period"].removesuffix("s")) > PATIENCE
        assert all(port.endswith(":8080") for port in gateway["ports"]) and "EXPOSE 8080" in DOCKERFILE


@pytest.mark.parametrize("autoscaled", [False, True])
def test_every_object_of_the_chart_is_valid(autoscaled):
    objects = rendered({**VALUES, "autoscaling": {**VALUES["autoscaling"], "enabled": autoscaled}})
    assert ("HorizontalPodAutoscaler" in objects) == autoscaled
    assert ("replicas" in objects["Deployment"]["spec"]) != autoscaled
    for document in objects.values():
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_the_chart_s_objects_refer_to_each_other():
    objects = rendered(VALUES)
    pod = objects["Deployment"]["spec"]["template"]
    labels, [container] = pod["metadata"]["labels"], pod["spec"]["containers"]
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] in ports
    probes = [container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["port"] for probe in probes} <= set(ports)
    assert str(ports["http"]) == container["args"][-1]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} <= set(volumes)
    config = mounts[str(Path(container["args"][2]).parent)]
    assert "subPath" not in config, "the file would never change in a running pod"
    assert volumes[config["name"]]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]


def test_the_chart_s_config_is_taken_and_the_disruption_budget_leaves_room(tmp_path):
    text = rendered(VALUES)["ConfigMap"]["data"]["waypost.yaml"]
    assert text.rstrip() == VALUES["config"].rstrip()
    check_config(text, tmp_path)
    (tmp_path / "waypost.yaml").write_text(text)
    assert load(tmp_path / "waypost.yaml", ENV).server.port == VALUES["port"]
    assert VALUES["minAvailable"] < VALUES["replicas"]
    waits = rendered(VALUES)["Deployment"]["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]
    [seconds] = re.findall(r"sleep\((\d+)\)", str(waits))
    assert VALUES["gracePeriod"] >= PATIENCE + int(seconds)


def test_the_unit_is_hardened_reloads_and_stops_within_the_gateways_grace():
    lines = [line for line in UNIT.splitlines() if "=" in line and line[0] != "#"]
    unit = dict(line.split("=", 1) for line in lines)
    assert (unit["NoNewPrivileges"], unit["ProtectSystem"], unit["CapabilityBoundingSet"]) == ("yes", "strict", "")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}", "the only folder that it can write to"
    assert int(unit["TimeoutStopSec"]) > PATIENCE


def unit_configs() -> list[str]:
    """The lines of a config that the unit tells its reader to write."""
    return re.findall(r"^#     (\w+: .+)$", UNIT, re.MULTILINE)


def writable(place: str) -> list[str]:
    """The folders that the gateway may write to where the configs are shipped for."""
    if place == "unit":
        [folder] = re.findall(r"^StateDirectory=(.+)$", UNIT, re.MULTILINE)
        return [f"/var/lib/{folder}"]
    if place == "compose":
        return [
            volume.split(":")[1]
            for name in ("gateway-1", "gateway-2")
            for volume in COMPOSE["services"][name]["volumes"]
        ]
    [container] = rendered(VALUES)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]


@pytest.mark.parametrize("place", ["compose", "chart", "unit"])
def test_what_the_gateway_writes_lies_where_it_may_write(place, tmp_path):
    pool = "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\n"
    unit = [pool + line + ("" if "store" in line else "\nstore: ${WAYPOST_STORE}") for line in unit_configs()]
    shipped = {"compose": [(DEPLOY / "waypost.yaml").read_text()], "chart": [VALUES["config"]], "unit": unit}
    folders, config = writable(place), tmp_path / "waypost.yaml"
    for text in shipped[place]:
        config.write_text(text)
        settings = load(config, ENV)
        paths = [path for path in (address(settings), spool(settings)) if isinstance(path, Path)]
        assert paths
        assert all(any(path.is_relative_to(folder) for folder in folders) for path in paths), paths


def test_the_image_looks_after_itself_at_the_port_that_it_listens_on():
    assert "os.environ.get('PORT', '8080')" in DOCKERFILE
