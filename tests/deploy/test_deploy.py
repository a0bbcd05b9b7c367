"""What deploy/ holds is read by the programs that it is for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from regather.cli import parser_of
from tests.server.process import Serve
from tests.support.nginx import Nginx, needs_nginx
from tests.support.promtool import needs_promtool, promtool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCUMENTED = ROOT / "docs/monitoring.md"
ALERTS = DEPLOY / "prometheus-alerts.yml"
UNITS = sorted(DEPLOY.glob("*.service"))
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing"
)


def metrics_in(text: str) -> set[str]:
    """Names of our metrics; those of a histogram without the end that tells its series."""
    names = set(re.findall(r"\b(regather_[a-z_]+)", text)) - {"regather_token"}
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


@needs_promtool
def test_alerts_are_what_prometheus_reads() -> None:
    promtool("check", "rules", ALERTS)


@needs_promtool
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    shutil.copy(ALERTS, tmp_path)
    promtool("test", "rules", shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path))


def test_every_alert_is_tested() -> None:
    names = re.findall(r"alert: (\w+)", ALERTS.read_text())
    tested = Path(__file__).with_name("alerts_test.yml").read_text()
    assert names
    assert all(f"alertname: {name}\n" in tested for name in names)


@pytest.mark.parametrize("name", ["prometheus-alerts.yml", "grafana-dashboard.json"])
def test_metrics_that_are_asked_for_exist(name: str) -> None:
    used = metrics_in((DEPLOY / name).read_text().replace(r"\"", '"'))
    assert used
    assert used <= metrics_in(DOCUMENTED.read_text())


def test_the_metrics_of_a_server_are_the_documented_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with Serve(tmp_path) as server:
        server.get("/a")
        told = server.get("/-/metrics").body.decode()
    shown = set(re.findall(r"^# TYPE (regather_\w+)", told, re.MULTILINE))
    section = DOCUMENTED.read_text().partition("## Metrics of requests")[2].partition("\n## ")[0]
    assert shown == metrics_in(section)


@needs_promtool
def test_the_queries_of_the_dashboard_are_what_prometheus_reads(tmp_path: Path) -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [
        {"record": f"query{n}", "expr": query.replace("$__rate_interval", "5m")}
        for n, query in enumerate(queries)
    ]
    assert len(rules) > 8
    path = tmp_path / "rules.yml"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    assert "\nType=notify\n" in text
    assert "\nWatchdogSec=" in text
    command = shutil.which("true")
    assert command is not None
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/usr/bin/regather ", f"{command} "))
    for arguments in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(
            ["systemd-analyze", "--no-pager", *arguments, copy],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_call_a_command_that_exists(unit: Path) -> None:
    text = unit.read_text()
    values = dict(re.findall(r'"(OPTIONS)=([^"\n]*)"', text.partition("[Unit]")[2]))
    (line,) = re.findall(r"^ExecStart=/usr/bin/regather (.*)$", text, re.MULTILINE)
    line = line.replace("$TOKENS", "").replace("$OPTIONS", values["OPTIONS"])
    line = line.replace("$SOURCES", "/etc/x/")
    name, *arguments = shlex.split(re.sub(r"%[SC]/", "/var/", line))
    parser_of(name).parse_args([name, *arguments])
    for options in re.findall(r'^#.*"(?:OPTIONS|TOKENS)=(.*)"$', text, re.MULTILINE):
        parser_of(name).parse_args([name, "/var/x", *shlex.split(options.replace("%d", "/run"))])


def test_the_image_runs_a_command_that_exists() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    (line,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    name, *arguments = json.loads(line)
    parser_of(name).parse_args([name, *arguments])
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())


@needs_nginx
def test_behind_nginx(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(range(256)) * 1000)
    with Serve(tmp_path) as server:
        extra = (DEPLOY / "nginx.conf").read_text().replace(":8001", f":{server.port}")
        others = extra.replace("allow 127.0.0.1;", "")
        with Nginx(tmp_path, extra=extra) as inside, Nginx(tmp_path, extra=others) as outside:
            answers = {}
            for name, nginx in (("inside", inside), ("outside", outside)):
                for path in ("a.dat", "-/ready"):
                    done = subprocess.run(
                        ["curl", "-s", "-r", "5-9", "-w", "%{http_code}", f"{nginx.url}{path}"],
                        capture_output=True,
                        check=True,
                    )
                    answers[name, path] = done.stdout
    assert answers["inside", "a.dat"] == answers["outside", "a.dat"] == bytes(range(5, 10)) + b"206"
    assert answers["inside", "-/ready"] == b"ready\n200"
    assert answers["outside", "-/ready"].endswith(b"403")
