"""Each command against a small database: what it prints, the shape of its JSON, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sqlalchemy import Engine, text
from tests.retrain import world
from tests.store import builders
from typer.testing import CliRunner, Result

from driftline.cli.main import app
from driftline.cli.ports import free_port
from driftline.contracts.findings import Change, ColumnFinding, Distance, Multivariate, SincePrevious
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.detectors.slicing import Slicing
from driftline.producers.features import hide_features
from driftline.store import detection, references, reports, triggers, versions
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import PaneRow
from driftline.store.reports import Report
from driftline.streams.detect.state import ModelState, Track, encode_state

T0 = 1_700_000_000_000 // (24 * HOUR_MS) * (24 * HOUR_MS)
Invoke = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_CONFIG", raising=False)
    tree = {
        "kafka": {"bootstrap_servers": f"127.0.0.1:{free_port()}", "partitions": 2},
        "models": {"m": {"task": "regression", "pane": "1h", "window": "1d"}},
    }
    (tmp_path / "driftline.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


@pytest.fixture
def run(here: Path) -> Invoke:
    assert here == Path.cwd()

    def invoke(*arguments: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == exits, (result.stdout, result.stderr, result.exception)
        return result

    return invoke


def data(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture
def engine(here: Path) -> Iterator[Engine]:
    assert here == Path.cwd()

    engine = open_database("sqlite:///.driftline/driftline.db")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def filled(engine: Engine) -> Engine:
    causes = (builders.cause(column="temp"),)
    alerts = [
        builders.alert("e1aaaa", 1, "opened", causes=causes, sentence="temp is higher"),
        builders.alert("e1aaaa", 2, "resolved", causes=causes, sentence="temp is back"),
        builders.alert("e2bbbb", 1, "opened", sentence="x is lower [bold]"),
    ]
    decisions = [builders.decision(f"d{i}", at=T0 + i, rule="none" if i < 5 else "cooldown") for i in range(8)]
    decisions.append(builders.decision("d8", at=T0 + 8, rule="drift", retrain=True, trigger_id="t1", sentence="it lasts"))
    change = builders.change(None, 9, alerts=alerts, decisions=decisions, triggers=[builders.trigger("t1"), builders.trigger("t2")])
    detection.commit(engine, change)
    triggers.settle(engine, "t1", "refused", 1)
    reports.put(engine, Report(episode_id="e1aaaa", status="ready", html="r/e1.html", json="r/e1.json", made_at=1))
    references.put(engine, builders.reference(effective_from=T0))
    versions.register_first(engine, builders.version(1))
    versions.promote(engine, builders.version(2, "refused", version="1", challenger="2", sentence="no better"), 1)
    return engine


# ---- the root


def test_help_waits_for_no_library_that_only_a_command_needs() -> None:
    probe = "import sys; from driftline.cli.main import app; app(['--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "explain" in done.stdout
    heavy = {"numpy", "scipy", "sklearn", "pandas", "pyarrow", "river", "evidently", "faust", "kafka", "sqlalchemy", "alembic", "aiohttp"}
    assert not heavy & set(done.stderr.split())


def test_no_command_s_help_needs_a_configuration(run: Invoke) -> None:
    for command in (
        "init",
        "config check",
        "topics create",
        "db upgrade",
        "worker",
        "retrain",
        "status",
        "alerts list",
        "models history",
        "decisions",
    ):
        assert "Usage:" in run(*command.split(), "--help").stdout
    for command in ("explain", "reference build", "broker", "broker up"):
        assert "Usage:" in run(*command.split(), "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--config", "gone.yaml", "config", "check"), "error: gone.yaml"),
        (("topics", "check"), "error: no broker answers at 127.0.0.1:"),
        (("db", "check"), "error: there is no database yet at sqlite:///.driftline/driftline.db: run `driftline db upgrade`"),
        (("status",), "error: there is no database yet"),
        (("worker",), "error: no broker answers"),
        (("retrain",), "error: no broker answers"),
    ],
)
def test_what_is_wrong_is_one_plain_line_and_exit_code_2(run: Invoke, here: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments, exits=2)
    assert result.stderr.startswith(says)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (here / ".driftline").exists()  # looking makes nothing


def test_a_wrong_setting_is_named_with_what_is_accepted(run: Invoke, here: Path) -> None:
    (here / "driftline.yaml").write_text("kafka: {partitions: many}")
    assert run("config", "check", exits=2).stderr == "error: kafka.partitions: 'many' is not accepted; expected a whole number\n"


def test_config_check_loads_trainers_as_a_run_does_and_names_one_that_it_can_t(run: Invoke, here: Path) -> None:
    (here / "mine.py").write_text("print('imported')\nclass Fine:\n    def train(self, champion, rows): ...\n")
    (here / "gone.py").write_text("raise SystemExit(3)\n")
    for path, says in {
        "nope:Nope": "(ModuleNotFoundError: No module named 'nope')",
        "mine:Nope": "(AttributeError: ",
        "gone:X": "exit code 3)",
    }.items():
        (here / "driftline.yaml").write_text(yaml.safe_dump({"models": {"a": {"trainer": "mine:Fine"}, "b": {"trainer": path}}}))
        told = run("config", "check", exits=2).stderr
        assert told.startswith(
            f"error: models.b.trainer: '{path}' is not accepted; expected package.module:Class, a class with train(champion, rows)"
        )
        assert says in told
    (here / "driftline.yaml").write_text(yaml.safe_dump({"defaults": {"trainer": "mine:Fine"}, "models": {"a": {}}}))
    assert run("config", "check").stdout == "The settings are fine. Models: a.\n"


# ---- setting up


def test_init_writes_a_file_that_loads_and_never_over_one(run: Invoke) -> None:
    run("init", "new.yaml")
    assert run("--config", "new.yaml", "config", "check").stdout.startswith("The settings are fine. Models: my-model")
    assert "new.yaml is there already; --force writes over it" in run("init", "new.yaml", exits=2).stderr
    assert data(run("init", "new.yaml", "--force", "--json")) == {"path": "new.yaml"}


def test_config_check_in_json_and_its_schema(run: Invoke) -> None:
    assert data(run("config", "check", "--json")) == {"ok": True, "models": ["m"]}
    assert data(run("config", "check", "--schema"))["$defs"]["KafkaSettings"]


def test_config_show_leaves_passwords_out(run: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE__DATABASE", "postgresql+psycopg://ann:secret@db/d")
    for arguments in (("config", "show"), ("config", "show", "--redacted"), ("config", "show", "--json")):
        shown = run(*arguments).stdout
        assert "ann:***@db" in shown
        assert "secret" not in shown
    assert yaml.safe_load(run("config", "show").stdout)["models"]["m"]["pane"] == "1h"
    assert "ann:secret@db" in run("config", "show", "--with-secrets").stdout


def test_a_database_is_made_by_upgrade_only(run: Invoke) -> None:
    assert data(run("db", "upgrade", "--json")) == {"ok": True, "database": "sqlite:///.driftline/driftline.db"}
    assert run("db", "check").stdout == "The database sqlite:///.driftline/driftline.db is up to date.\n"


def test_a_database_that_can_t_be_reached_is_one_line(run: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE__DATABASE", f"postgresql+psycopg://ann:secret@127.0.0.1:{free_port()}/d")
    said = run("db", "check", exits=2).stderr
    assert "the database postgresql+psycopg://ann:***@127.0.0.1:" in said
    assert "secret" not in said


def test_topics_are_shown_made_and_checked(run: Invoke, bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("DRIFTLINE__KAFKA__TOPIC_PREFIX", topic_prefix)
    dry = data(run("topics", "create", "--dry-run", "--json"))
    assert (dry["dry_run"], len(dry["created"])) == (True, 9)
    assert f"topic {topic_prefix}alerts is missing, expected with 2 partitions" in run("topics", "check", exits=2).stderr
    assert f"{topic_prefix}model-versions" in run("topics", "create").stdout
    assert run("topics", "create").stdout == "All topics are there already.\n"
    assert data(run("topics", "check", "--json")) == {"ok": True, "flaws": []}
    monkeypatch.setenv("DRIFTLINE__KAFKA__PARTITIONS", "5")
    assert f"topic {topic_prefix}summaries: the number of partitions is 2, expected 5" in run("topics", "check", exits=2).stderr


# ---- looking


@pytest.mark.usefixtures("filled")
def test_status_tells_what_it_can_without_a_broker_and_exits_1(run: Invoke) -> None:
    result = run("status", exits=1)
    assert "error: no broker answers" in result.stderr
    assert "x is lower [bold]" in result.stdout
    shown = data(run("status", "--json", exits=1))
    assert shown["lag"] is None
    assert [(m["model"], m["version"], m["open_episodes"], m["open_triggers"]) for m in shown["models"]] == [("m", "1", 1, 1)]
    assert [e["episode_id"] for e in shown["open_episodes"]] == ["e2bbbb"]
    assert [t["trigger_id"] for t in shown["open_triggers"]] == ["t2"]


@pytest.mark.usefixtures("filled")
def test_status_with_a_broker_tells_the_lag(run: Invoke, bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("DRIFTLINE__KAFKA__TOPIC_PREFIX", topic_prefix)
    run("topics", "create")
    shown = data(run("status", "--json"))
    assert shown["caught_up"] is False  # a trigger is open
    assert shown["lag"]["steps"]["join"] == {"behind": 0, "watermark": None}
    assert {(p["step"], p["topic"]) for p in shown["lag"]["partitions"]} == {
        ("summarise", "inference-events"),
        ("join", "inference-events"),
        ("join", "label-events"),
        ("detect", "summaries"),
    }
    assert "Behind by 0 records, 2 to publish, 1 open triggers." in run("status").stdout


@pytest.mark.usefixtures("filled")
def test_alerts_are_listed_and_shown(run: Invoke) -> None:
    assert {e["episode_id"] for e in data(run("alerts", "list", "--json"))} == {"e1aaaa", "e2bbbb"}
    assert [e["episode_id"] for e in data(run("alerts", "list", "--open", "--json"))] == ["e2bbbb"]
    assert data(run("alerts", "list", "--since", "2100-01-01", "--json")) == []
    assert "--since: 'soon' is not accepted" in run("alerts", "list", "--since", "soon", exits=2).stderr
    assert "no model is called 'n'; known are: m" in run("alerts", "list", "--model", "n", exits=2).stderr
    shown = run("alerts", "show", "e1a").stdout
    assert "temp is higher" in shown
    assert "Report: r/e1.html" in shown
    told = data(run("alerts", "show", "e1aaaa", "--json"))
    assert [a["status"] for a in told["alerts"]] == ["opened", "resolved"]
    assert (told["episode"]["status"], told["report"]["html"]) == ("resolved", "r/e1.html")
    assert "2 episodes begin with 'e'" in run("alerts", "show", "e", exits=2).stderr
    assert "no episodes begin with 'zz'" in run("alerts", "show", "zz", exits=2).stderr


@pytest.mark.usefixtures("filled")
def test_models_and_their_turns(run: Invoke) -> None:
    (listed,) = data(run("models", "list", "--json"))
    assert (listed["model"], listed["champion"]["version"], listed["champion"]["sequence"]) == ("m", "1", 2)
    assert [t["status"] for t in data(run("models", "history", "m", "--json"))] == ["champion", "refused"]
    assert "no better" in run("models", "history", "m").stdout
    assert "no registered model is called 'mm'; did you mean m?" in run("models", "history", "mm", exits=2).stderr


@pytest.mark.usefixtures("filled")
def test_each_decision_has_its_reason_and_its_outcome(run: Invoke) -> None:
    told = data(run("decisions", "m", "--json"))
    assert [d["retrain"] for d in told] == [True] + 8 * [False]
    assert (told[0]["outcome"], told[1]["outcome"]) == ("refused", None)
    assert [d["rule"] for d in data(run("decisions", "m", "--changes", "--json"))] == ["drift", "cooldown", "none"]
    assert [d["decision_id"] for d in data(run("decisions", "m", "--limit", "1", "--json"))] == ["d8"]
    assert "it lasts" in run("decisions", "m").stdout


@pytest.mark.usefixtures("filled")
def test_tables_in_a_pipe_have_no_colours_and_cut_nothing(run: Invoke) -> None:
    shown = run("alerts", "list").stdout
    assert "\x1b" not in shown
    assert "…" not in shown


# ---- references


def csv(folder: Path, rows: int = 3_000) -> Path:
    random = np.random.default_rng(0)
    lines = ["when,temp,kind,flag,late"]
    for i in range(rows):
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(T0 / 1000 + i * 600))
        late = random.integers(0, 2)
        lines.append(f"{moment},{random.normal():.3f},{random.choice(['a', 'b', ''])},{'true' if i % 2 else 'False'},{late}")
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.usefixtures("engine")
def test_a_reference_is_built_from_a_file_and_listed(run: Invoke, here: Path) -> None:
    path = str(csv(here))
    arguments = ("reference", "build", path, "--model", "trees", "--task", "classification", "--time-column", "when", "--label-column", "late")
    built = data(run(*arguments, "--json"))
    assert built["new"]
    assert (built["columns"], built["rows"], built["labelled_rows"]) == (["temp", "kind", "flag"], 3_000, 3_000)
    assert built["effective_from"] == T0 + 2_999 * 600_000 + 1
    assert "It was there already" in run(*arguments).stdout
    (listed,) = data(run("reference", "list", "--model", "trees", "--json"))
    assert listed["reference_id"] == built["reference_id"]
    assert "trees" in run("reference", "list").stdout


@pytest.mark.usefixtures("engine")
def test_a_reference_is_shown_and_verified(run: Invoke, here: Path, engine: Engine) -> None:
    (here / "past.csv").write_text("at,x\n" + "\n".join(f"2024-01-01T00:{i % 60:02}:00,{i}" for i in range(300)))
    built = json.loads(run("reference", "build", "past.csv", "--model", "m", "--time-column", "at", "--task", "regression", "--json").stdout)
    shown = json.loads(run("reference", "show", built["reference_id"][:8], "--json").stdout)
    assert shown["hash"] == shown["reference_id"] == built["reference_id"]
    assert shown["origin"] == "built"
    assert "1 of 1" in run("reference", "verify", "-m", "m").stdout
    with engine.begin() as conn:
        [raw] = conn.scalars(text("SELECT payload FROM model_references WHERE model = 'm'"))
        conn.execute(text("UPDATE model_references SET payload = :raw WHERE model = 'm'"), {"raw": raw.replace(b"built", b"moved")})
    wrong = run("reference", "verify", exits=1)
    assert "0 of 1" in wrong.stdout


def test_a_reference_keeps_nothing_that_is_to_be_dropped(run: Invoke, here: Path, engine: Engine) -> None:
    (here / "key").write_bytes(b"0123456789abcdef")
    (here / "driftline.yaml").write_text("pii_key_file: key\nmodels: {m: {task: classification, pii: {temp: drop, kind: hash}}}")
    built = data(run("reference", "build", str(csv(here)), "-m", "m", "--time-column", "when", "--label-column", "late", "--json"))
    rows = references.sample_rows(engine, built["reference_id"])
    assert len(rows) == 2_000
    assert {name for row in rows for name in row.features} == {"kind", "flag"}
    assert not {row.features["kind"] for row in rows} & {"a", "b"}


@pytest.mark.usefixtures("engine")
def test_a_reference_of_a_file_holds_personal_features_as_published_or_not_at_all(run: Invoke, here: Path) -> None:
    key = b"0123456789abcdef"
    (here / "key").write_bytes(key)
    (here / "driftline.yaml").write_text("pii_key_file: key\nmodels: {m: {task: classification, pii: {temp: 'bucket:2', kind: hash, flag: drop}}}")
    build = ["reference", "build", str(csv(here)), "-m", "m", "--time-column", "when", "--label-column", "late", "--json"]
    bare = run(*build)
    assert "note: temp, kind, flag left out" in bare.stderr
    assert data(bare)["columns"] == []
    named = run(*build, "--feature", "temp", "--feature", "kind", "--feature", "flag")
    assert "note: flag left out" in named.stderr
    assert data(named)["columns"] == ["temp", "kind"]
    # It is the reference of what a Publisher with the same rules sends.
    lines = (here / "rows.csv").read_text().splitlines()
    sent = [lines[0]]
    for when, temp, kind, flag, late in (line.split(",") for line in lines[1:]):
        row = hide_features({"temp": float(temp), "kind": kind or None}, {"temp": "bucket:2", "kind": "hash"}, key)
        sent.append(f"{when},{row['temp']},{row['kind'] or ''},{flag},{late}")
    (here / "rows.csv").write_text("\n".join(sent))
    (here / "driftline.yaml").write_text("models: {m: {task: classification}}")
    assert data(run(*build, "--feature", "temp", "--feature", "kind"))["reference_id"] == data(named)["reference_id"]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("when,x\nyesterday,1\n", "line 2: 'yesterday' is no time"),
        ("when,x\n1700000000,1\n", "line 2: '1700000000' is no time"),
        ("when,x\n2024-01-01,1,2\n", "line 2: 3 cells, the header has 2"),
        ("when,x\n", "has no rows"),
        ("x,y\n1,2\n", "has no column when; it has x, y"),
        ("when,when\n1,2\n", "a column name is there twice"),
    ],
)
def test_a_file_that_is_no_reference_data_is_refused_with_its_line(run: Invoke, here: Path, text: str, says: str) -> None:
    (here / "rows.csv").write_text(text)
    assert says in run("reference", "build", "rows.csv", "-m", "m", "--time-column", "when", exits=2).stderr


def test_an_accepted_drift_is_a_turn_with_a_new_reference(run: Invoke, here: Path, engine: Engine) -> None:
    settings = world.settings_of(here, "sqlite:///.driftline/driftline.db", bootstrap=f"127.0.0.1:{free_port()}")
    tree = {"kafka": {"bootstrap_servers": settings.kafka.bootstrap_servers}, "artifacts": settings.artifacts}
    (here / "driftline.yaml").write_text(yaml.safe_dump({**tree, "models": {"m": {"pane": "1h", "window": "1d"}}}))
    first = world.register(engine, settings)
    assert "has 0 ripe outcomes" in run("reference", "accept", "m", exits=2).stderr
    trigger = world.live(engine, settings, "moved")
    detection.commit(engine, builders.change(None, 1, watermark=trigger.at))
    result = run("reference", "accept", "m", "--json")
    turn = data(result)
    assert (turn["status"], turn["sequence"], turn["version"]) == ("drift_accepted", 2, first.version)
    assert "it is not published yet" in result.stderr
    reference = references.get(engine, turn["reference_id"])
    assert reference is not None
    assert (reference.origin, reference.effective_from > trigger.at) == ("accepted", True)
    champion = versions.current(engine, "m")
    assert champion is not None
    assert (champion.sequence, champion.reference_id, champion.artifact) == (2, reference.reference_id, first.artifact)
    assert "n has no registered champion" in run("reference", "accept", "n", exits=2).stderr


# ---- explain


def observe(engine: Engine, shift: float, days: int = 7, per_hour: int = 60, slicing: Slicing | None = None, *, whole: bool = False) -> None:
    """A reference of 20 days, and closed windows of some days after it in which x has moved. A ``whole`` one has a sample and all events."""
    random = np.random.default_rng(0)
    n = 20 * 24 * per_hour
    times = T0 - 20 * 24 * HOUR_MS + np.arange(n) * (HOUR_MS // per_hour)
    features: dict[str, Any] = {"x": random.normal(size=n), "kind": random.choice(["a", "b"], n).tolist()}
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=T0, origin="built", times=times,
        features=features, slicing=slicing or Slicing(), all_events=whole,
    )  # fmt: skip
    sample = [SampleRow(i, f"r{i}", int(times[i]), "1", {"x": float(features["x"][i]), "kind": features["kind"][i]}) for i in range(0, n, 14)]
    references.put(engine, reference, sample if whole else [])
    layout = layout_of(reference, "features")
    panes = []
    for day in range(days):
        m = 24 * per_hour
        start = T0 + day * 24 * HOUR_MS
        builder = PartBuilder(24 * HOUR_MS, 10, 10, {})
        rows = Rows(
            event_ids=[f"{day}-{i}" for i in range(m)], places=np.arange(m), times=start + np.arange(m) * (HOUR_MS // per_hour),
            late=np.zeros(m, np.bool_),
            versions=["1"] * m, features={"x": random.normal(size=m) + shift, "kind": random.choice(["a", "b"], m).tolist()},
            predictions=[None] * m, scores=[None] * m,
        )  # fmt: skip
        builder.add(reference, rows)
        pane = Pane(layout)
        for part in builder.parts():
            pane.add(part)
        key: dict[str, Any] = {"model": "m", "reference_id": reference.reference_id, "kind": "features", "width": 24 * HOUR_MS, "start": start}
        panes.append(PaneRow(**key, late=False, payload=pane.encode(), offsets=b"\x80", closed=True, revision=1))
    detection.commit(engine, builders.change(None, 9, panes=panes))


def test_explain_says_why_nothing_alarmed(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0)
    told = data(run("explain", "m", "x", "--json"))
    assert (told["model"], told["column"], told["kind"], told["state"], told["n"]) == ("m", "x", "features", "ok", 7 * 24 * 60)
    assert (told["budget"], told["alarm_budget"], told["rate"]) == (720.0, "1 per 30d", 60.0)
    level = next(t for t in told["terms"] if t["term"] == "location")
    assert level["low"] < level["effect"] < level["high"]
    assert level["tolerance"] == level["tolerance_set"] == 0.2 > level["tolerance_reference"] > 0
    visible = [level["visible"][name]["up"] for name in ("hour", "day", "week")]
    assert visible[1] > visible[2] > 0.2
    assert told["why"].startswith("It did not alarm: its ")
    assert "surely within tolerance" in told["why"]
    shown = run("explain", "m", "x").stdout
    assert told["why"] in shown.replace("\n", " ")
    assert "An alarm wants evidence of 720 h" in shown


def test_explain_names_an_effect_that_the_evidence_has_not_caught_up_with(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.6)
    told = data(run("explain", "m", "x", "--json"))
    assert told["state"] == "drift"
    assert "surely beyond tolerance, but an alarm takes about" in told["why"]
    kind = data(run("explain", "m", "kind", "--json"))
    share = next(t for t in kind["terms"] if t["term"] == "value:a")
    assert abs(share["share_now"] - share["share_then"]) < 0.03
    assert abs(share["share_then"] - 0.5) < 0.02
    assert 0.5 < share["visible"]["day"]["up_share"] < 1


def test_explain_shows_a_column_in_its_slices(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.6, slicing=Slicing({"kind": ("a", "never")}))
    told = data(run("explain", "m", "x", "--json"))
    slices = {s["where"]: s for s in told["slices"]}
    assert list(slices) == ["kind=a", "kind=never", "kind: all others"]
    assert [s["state"] for s in slices.values()] == ["drift", "insufficient_data", "drift"]
    assert sum(s["n"] for s in slices.values()) == told["n"]
    assert slices["kind=a"]["low"] < slices["kind=a"]["effect"] < slices["kind=a"]["high"]
    assert "kind: all others" in run("explain", "m", "x").stdout
    assert data(run("explain", "m", "x @ kind=a", "--json"))["n"] == slices["kind=a"]["n"]


def test_explain_tells_what_sequential_detectors_saw_newest_first(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0, days=1)
    [reference] = references.for_model(engine, "m")
    seen = [Change(column=column, detector="adwin", series="means", at=T0 + at) for at, column in ((1_000, "x"), (2_000, "kind"), (3_000, "x"))]
    track = Track(reference_id=reference.reference_id, effective_from=T0, changes=seen)
    state = ModelState(tracks={reference.reference_id: track})
    detection.commit(engine, builders.change(9, 10, model_states={"m": encode_state(state)}))
    assert [c["at"] for c in data(run("explain", "m", "x", "--json"))["changes"]] == [T0 + 3_000, T0 + 1_000]
    shown = run("explain", "m", "x").stdout.replace("\n", " ")
    assert shown.count("adwin saw a change in the means of x at ") == 2


def test_what_describes_is_shown_beside_what_decides(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0, days=1)
    [reference] = references.for_model(engine, "m")
    own: dict[str, Any] = {"state": "ok", "n": 900, "null_share": 0.0, "unseen_share": 0.0}
    columns = (ColumnFinding(column="x", since_previous=SincePrevious(800, 0.5, 0.04, 0.2), **own), ColumnFinding(column="kind", **own))
    told = [
        builders.finding("f1", reference_id=reference.reference_id, columns=columns),
        builders.finding("f2", reference_id="another", window_end=T0 + 99),
    ]
    shown = Multivariate(n=900, reference_n=2_000, auc=Distance(0.61, 0.58, 0.64, 0.53), columns=("x", "kind"))
    older = Multivariate(n=0, reference_n=2_000, reason="too few rows")
    track = Track(reference_id=reference.reference_id, effective_from=T0, multivariate={T0: shown, T0 - 5: older})
    states = {"m": encode_state(ModelState(tracks={reference.reference_id: track}))}
    alert = builders.alert("e1aaaa", 1, "opened", causes=(builders.cause(column="x"),), reference_id=reference.reference_id, at=T0 + 50)
    detection.commit(engine, builders.change(9, 10, model_states=states, findings=told, alerts=[alert]))
    explained = data(run("explain", "m", "x", "--json"))
    assert explained["last"] | {"window_start": 0, "window_end": 0} == {
        "finding_id": "f1", "window_start": 0, "window_end": 0, "n": 900,
        "since_previous": {"n": 800, "psi": 0.5, "psi_chance": 0.04, "jensen_shannon": 0.2},
    }  # fmt: skip
    assert explained["together"]["shown"]["auc"]["value"] == 0.61
    text_of = " ".join(run("explain", "m", "x").stdout.split())
    assert "(n = 900) PSI to the window before it (n = 800) is 0.500, and chance stays below 0.040." in text_of
    assert "900 sampled rows against 2,000: AUC 0.61 (0.58 to 0.64, chance below 0.53), by x and kind." in text_of
    assert "window before" not in run("explain", "m", "kind").stdout
    episode = data(run("alerts", "show", "e1aaaa", "--json"))
    assert episode["window"]["x"]["since_previous"]["psi"] == 0.5
    assert "0.500 (chance 0.040)" in " ".join(run("alerts", "show", "e1aaaa").stdout.split())
    # There is no broker: what is known is told all the same.
    assert data(run("status", "--json", exits=1))["models"][0]["together"]["window_start"] == T0
    assert "m: All columns together" in run("status", exits=1).stdout


def test_explain_answers_for_the_number_of_events(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0, whole=True)
    told = data(run("explain", "m", "volume", "--json"))
    assert (told["column"], told["kind"], told["state"], told["n"], told["budget"]) == ("volume", "features", "ok", 7 * 24 * 60, 720.0)
    [term] = told["terms"]
    assert abs(term["effect"]) < 0.01
    assert term["low"] < term["effect"] < term["high"]
    assert term["tolerance"] == term["tolerance_set"] == pytest.approx(np.log(2))
    shown = " ".join(run("explain", "m", "volume").stdout.split())
    assert "events are 1.00 times as many (95 % interval 0." in shown
    assert "From 0.50 to 2.00 times as many count as no change: that is the tolerance set (volume_tolerance: 1)." in shown
    assert "An alarm wants evidence of 720 h over all columns together" in shown
    assert "It did not alarm: it is surely within tolerance." in shown


def test_explain_says_why_the_number_of_events_can_t_alarm(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0)
    told = data(run("explain", "m", "volume", "--json"))
    assert told["why"].startswith("It can't alarm: the reference does not hold all events of its time")
    assert told["terms"][0]["effect"] is None


def test_explain_answers_for_a_pair_of_columns_in_either_order(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0, whole=True)
    [reference] = references.for_model(engine, "m")
    random = np.random.default_rng(1)
    panes = []
    for hour in range(48):
        start, m = T0 + hour * HOUR_MS, 60
        kinds = random.choice(["a", "b"], m)
        x = np.abs(random.normal(size=m)) * np.where(kinds == "a", 1, -1)  # each column for itself is as it was
        builder = PartBuilder(HOUR_MS, 64, 10, {})
        builder.add(
            reference,
            Rows(
                event_ids=[f"{hour}-{i}" for i in range(m)], places=np.arange(m), times=start + np.arange(m) * 60_000, late=np.zeros(m, np.bool_),
                versions=["1"] * m, features={"x": x, "kind": kinds.tolist()}, predictions=[None] * m, scores=[None] * m,
            ),
        )  # fmt: skip
        pane = Pane(layout_of(reference, "features"))
        for part in builder.parts():
            pane.add(part)
        key: dict[str, Any] = {"model": "m", "reference_id": reference.reference_id, "kind": "features", "width": HOUR_MS, "start": start}
        panes.append(PaneRow(**key, late=False, payload=pane.encode(), offsets=b"\x80", closed=True, revision=1))
    detection.commit(engine, builders.change(9, 10, panes=panes))
    told = data(run("explain", "m", "x x kind", "--json"))
    assert told["column"] == "x x kind"
    assert (told["state"], told["n"], told["since"], told["until"]) == ("drift", 48 * 60, T0, T0 + 48 * HOUR_MS)
    [term] = told["terms"]
    assert abs(term["effect"]) > 0.5
    assert min(abs(term["low"]), abs(term["high"])) > term["tolerance"] >= 0.2
    assert told["why"] == "It did not alarm: it is surely beyond tolerance, but the evidence has not come that far."
    assert data(run("explain", "m", "kind x x", "--json")) == told
    assert data(run("explain", "m", "x x kind", "--over", "1d", "--json"))["n"] == 24 * 60
    shown = " ".join(run("explain", "m", "x x kind").stdout.split())
    assert "(n = 2,880 sampled rows) the product of their ranks is off by" in shown
    assert "An alarm wants evidence of 720 h over all columns together" in shown
    assert "known are: x, kind, volume, pairs of columns such as 'x x kind'" in run("explain", "m", "y", exits=2).stderr


def test_explain_without_windows_or_reference_says_so(run: Invoke, engine: Engine) -> None:
    observe(engine, 0.0, days=0)
    assert "no closed window has held a value of x yet" in run("explain", "m", "x").stdout
    assert "no column of m is called 'y'; known are: x, kind, volume" in run("explain", "m", "y", exits=2).stderr
    assert "no model is called 'other'" in run("explain", "other", "x", exits=2).stderr
    assert "--over: 'a while' is not accepted" in run("explain", "m", "x", "--over", "a while", exits=2).stderr
