"""deploy/'s configuration, rules and panels, put to a real Prometheus that scrapes all that our processes can export."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.deploy.prometheus import RULES, NotInstalledError, adapted, checked, program, running
from tests.deploy.test_compose_file import expressions
from tests.health.live import free_ports

from driftline.health.catalogue import CATALOGUE, PROCESSES, Process
from driftline.health.endpoint import Endpoint
from driftline.health.process import exposition
from driftline.health.samples import Samples
from driftline.health.telemetry import Telemetry
from driftline.health.timing import Timing

pytestmark = pytest.mark.timeout(120)

#: What PromQL has in place of names: operators and what goes with them.
_WORDS = {"and", "or", "unless", "on", "ignoring", "by", "without", "bool", "offset", "inf", "nan"}
#: What Prometheus itself says of a target.
_OWN = {"up"}


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        program("promtool"), program("prometheus")
    except NotInstalledError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


class _Well:
    def trouble(self) -> None:
        return None

    def unready(self) -> None:
        return None


def everything(process: Process) -> Telemetry:
    """Return a telemetry that has something to say of each metric of the catalogue that the process has."""
    telemetry = Telemetry()

    def show(samples: Samples) -> None:
        for metric in CATALOGUE:
            if process in metric.of:
                labels = ["psi" if name == "distance" else process if name == "process" else "some" for name in metric.labels]
                if metric.kind == "histogram":
                    timing = Timing()
                    timing.add(0.01)
                    samples.add_timing(metric.name, timing, *labels)
                else:
                    samples.add(metric.name, 1, *labels)

    telemetry.views.append(show)
    return telemetry


def names(expression: str) -> set[str]:
    """Return the metrics that an expression asks for: whatever is a name there, and no function, label, length of time or word of PromQL's.

    >>> sorted(names('sum by (model) (rate(a_total{job=~"b|c"}[5m])) / on (model) d unless up == 0'))
    ['a_total', 'd', 'up']
    """
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    return {name for name in re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*\b(?!\s*\()", bare) if name.lower() not in _WORDS}


def test_promtool_finds_nothing_wrong_with_the_configuration(tmp_path: Path) -> None:
    assert "SUCCESS" in checked("check", "config", str(adapted(tmp_path)))


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    rules = RULES.read_text().count("- alert:")
    assert f"SUCCESS: {rules} rules found" in checked("check", "rules", str(RULES))


def test_promtool_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "alerts.yml"
    broken.write_text(RULES.read_text().replace("sum by (model) (driftline_open_episodes) > 0", "sum by (model (driftline_open_episodes) > 0"))
    with pytest.raises(AssertionError, match="parse error"):
        checked("check", "rules", str(broken))


@pytest.mark.parametrize(
    ("alert", "series", "labels"),
    [
        ("DriftlineDeadLetters", 'driftline_dead_letters_total{job="summarise",instance="a",code="not_json"}', {"code": "not_json"}),
        ("DriftlineRetrainFailed", 'driftline_retrain_runs_total{job="retrain",instance="a",model="m",status="failed"}', {"model": "m"}),
    ],
)
def test_what_is_counted_for_the_first_time_is_told_once(tmp_path: Path, alert: str, series: str, labels: dict[str, str]) -> None:
    """A counter begins with what it counts: Prometheus knows no 0 before it."""
    up = [{"series": f'up{{job="{job}",instance="a"}}', "values": "1x400"} for job in ("detect", "retrain")]
    told = {"exp_labels": {"severity": "warning", **labels}, "exp_annotations": {"summary": "told"}}
    expected = [("80m", []), ("82m", [told]), ("190m", [])]
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["annotations"] = {"summary": "told"}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    asked = [{"eval_time": at, "alertname": alert, "exp_alerts": there} for at, there in expected]
    case = {"interval": "30s", "input_series": [*up, {"series": series, "values": "_x161 7x240"}], "alert_rule_test": asked}
    path = tmp_path / "first.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "30s", "tests": [case]}))
    assert "SUCCESS" in checked("test", "rules", str(path))


@pytest.fixture
def ports() -> Callable[[Process], int]:
    """The five processes' endpoints, at their ports."""
    first = free_ports(len(PROCESSES))
    for i, process in enumerate(PROCESSES):
        Endpoint("127.0.0.1", first + i, process=process, vitals=_Well(), metrics=exposition(everything(process))).start()
    return lambda process: first + PROCESSES.index(process)


def test_a_real_prometheus_scrapes_every_process_and_has_what_rules_and_panels_ask_for(tmp_path: Path, ports: Callable[[Process], int]) -> None:
    config = adapted(tmp_path, {process: ports(process) for process in PROCESSES})
    with running(tmp_path, config, free_ports(1)) as prometheus:
        prometheus.until("targets", lambda found: [t["health"] for t in found["activeTargets"]] == ["up"] * len(PROCESSES))
        groups = prometheus.until("rules", lambda found: found["groups"] and all(r["health"] == "ok" for r in found["groups"][0]["rules"]))["groups"]
        assert {(rule["health"], rule.get("lastError")) for rule in groups[0]["rules"]} == {("ok", None)}
        # An alert that goes off: `driftline_open_episodes` is 1, and its rule waits for nothing.
        prometheus.until(
            "alerts", lambda found: "DriftlineEpisodeOpen" in {a["labels"]["alertname"] for a in found["alerts"] if a["state"] == "firing"}
        )
        there = set(prometheus.ask("label/__name__/values"))
        up = prometheus.ask("query", query="up")["result"]
        assert {(one["metric"]["job"], one["value"][1]) for one in up} == {(process, "1") for process in PROCESSES}
        for expression in expressions():
            assert names(expression), expression
            assert names(expression) <= there | _OWN, expression
            prometheus.ask("query", query=expression)  # its parser and its types, not ours
    assert {m.name for m in CATALOGUE if m.kind != "histogram"} <= there, "what the catalogue has comes through under its own name"
