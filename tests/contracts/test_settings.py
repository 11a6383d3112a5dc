from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, make_url
from tests.contracts.test_events import json_values, texts

from driftline.contracts.databases import check_database
from driftline.contracts.errors import SettingsError
from driftline.contracts.schemas import message_schema, settings_schema
from driftline.contracts.sequential import parameters_of
from driftline.contracts.settings import ModelSettings, PolicySettings, Settings, build_settings, config_hash
from driftline.contracts.settings_checks import _RANGES, _WORDS, duration_fields
from driftline.contracts.times import format_duration, parse_duration


def detected(asked: dict[str, Any]) -> dict[str, Any]:
    return {"models": {"a": {"detectors": [asked]}}}


@pytest.mark.parametrize(
    ("tree", "field", "value", "accepted"),
    [
        ({"kaffka": {}}, "kaffka", {}, "did you mean kafka"),
        ({"kafka": {"partition": 8}}, "kafka.partition", 8, "did you mean partitions"),
        ({"models": {"a": {"panee": "1h"}, "b": {}}}, "models.a.panee", "1h", "did you mean pane"),
        ({"models": {"a": {"policy": {"colour": 1}}}}, "models.a.policy.colour", 1, "cooldown"),
        ({"kafka": {"security": {"password": "hunter2"}}}, "kafka.security.password", "***", "password_file"),
        ({"kafka": []}, "kafka", [], "a mapping"),
        ({"models": "flights"}, "models", "flights", "a mapping"),
        ({"models": {"a": ["pane"]}}, "models.a", ["pane"], "a mapping"),
        ({"models": {3: {}}}, "models", 3, "in quotes"),
        ({3: {}}, "driftline.yaml", 3, "in quotes"),
        ({"kafka": {"partitions": "many"}}, "kafka.partitions", "many", "a whole number"),
        ({"kafka": {"partitions": 0}}, "kafka.partitions", 0, "from 1 to"),
        ({"kafka": {"bootstrap_servers": "a b"}}, "kafka.bootstrap_servers", "a b", "host:port"),
        ({"kafka": {"topic_prefix": "a b"}}, "kafka.topic_prefix", "a b", "letters"),
        ({"kafka": {"security": {"protocol": "TLS"}}}, "kafka.security.protocol", "TLS", "SASL_SSL"),
        ({"kafka": {"security": {"protocol": "SASL_SSL"}}}, "kafka.security.username", None, "user name"),
        ({"kafka": {"security": {"protocol": "SASL_PLAINTEXT", "username": "u"}}}, "kafka.security.protocol", "SASL_PLAINTEXT", "SASL_SSL"),
        ({"kafka": {"security": {"key_file": "k"}}}, "kafka.security.cert_file", None, "key_file"),
        ({"worker": {"flush_interval": "soon"}}, "worker.flush_interval", "soon", "a duration such as"),
        ({"worker": {"fetch_wait": "3s"}}, "worker.fetch_wait", "3s", "at most 2s"),
        ({"worker": {"flush_interval": "0s"}}, "worker.flush_interval", "0s", "longer than zero"),
        ({"worker": {"flush_interval": 5}}, "worker.flush_interval", 5, "text"),
        ({"retention": {"panes": "99999999999999999999d"}}, "retention.panes", "99999999999999999999d", "at most"),
        ({"defaults": {"tolerance": float("nan")}}, "defaults.tolerance", None, "from"),
        ({"models": {"b": {}, "a": {"pane": 5}}}, "models.a.pane", 5, "text"),
        ({"models": {"a.b": {"pane": "7"}}}, "models.a.b.pane", "7", "a duration such as"),
        ({"models": {"a": {"window": "7s"}}}, "models.a.window", "7s", "a multiple of the pane (5s)"),
        ({"models": {"a": {"pane": "1h", "window": "60m"}}}, "models.a.window", "60m", "a multiple of the pane (1h), twice as long at least"),
        ({"models": {"a": {"window": "0s"}}}, "models.a.window", "0s", "longer than zero"),
        ({"models": {"a": {"window": "0 events"}}}, "models.a.window", "0 events", "from 1 to 1000000000 events"),
        ({"models": {"a": {"window": "1h or 2h"}}}, "models.a.window", "1h or 2h", "both: 1h or 10000 events"),
        ({"models": {"a": {"window": "7s or 10 events"}}}, "models.a.window", "7s or 10 events", "a multiple of the pane (5s)"),
        ({"models": {"a": {"window": "1h", "slide": "25m"}}}, "models.a.slide", "25m", "a step shorter than the window (1h) that divides it"),
        ({"models": {"a": {"window": "1m", "slide": "4s"}}}, "models.a.slide", "4s", "a multiple of the pane (5s)"),
        ({"models": {"a": {"window": "1h", "slide": "10 events"}}}, "models.a.slide", "10 events", "a step shorter than the window (1h)"),
        ({"models": {"a": {"window": "9 events", "slide": "5m"}}}, "models.a.slide", "5m", "a number of events that divides the window's"),
        ({"models": {"a": {"window": "9 events", "slide": "4 events"}}}, "models.a.slide", "4 events", "a number of events that divides"),
        ({"models": {"a": {"window": "9 events", "slide": "9 events"}}}, "models.a.slide", "9 events", "from a thousandth to half of it"),
        ({"models": {"a": {"window": "9 events", "slide": "0 events"}}}, "models.a.slide", "0 events", "from a thousandth to half of it"),
        ({"models": {"a": {"window": "1h or 2002 events", "slide": "2 events"}}}, "models.a.slide", "2 events", "(1h or 2002 events) ends by count"),
        ({"models": {"a": {"alarm_budget": "often"}}}, "models.a.alarm_budget", "often", "1 per 30d"),
        ({"models": {"a": {"alarm_budget": "0 per 30d"}}}, "models.a.alarm_budget", "0 per 30d", "1 per 30d"),
        ({"models": {"a": {"alarm_budget": "1 per 0d"}}}, "models.a.alarm_budget", "1 per 0d", "1 per 30d"),
        ({"models": {"a": {"alarm_budget": "1 per month"}}}, "models.a.alarm_budget", "month", "a duration such as"),
        (
            {"models": {"a": {"features": {"x": "numeric", "y": "number"}}}},
            "models.a.features.y",
            "number",
            "one of numeric, integer, boolean, categorical, text, timestamp, ignore",
        ),
        ({"models": {"a": {"task": "guess"}}}, "models.a.task", "guess", "classification, multiclass, regression"),
        ({"models": {"a": {"importance": {"x": -1}}}}, "models.a.importance.x", -1.0, "at least 0"),
        ({"models": {"a": {"tolerances": {"x": 0.3, "y": 0.0}}}}, "models.a.tolerances.y", 0.0, "from 1e-06 to 10"),
        ({"models": {"a": {"tolerances": {"x": "much"}}}}, "models.a.tolerances.x", "much", "a number"),
        ({"models": {"a": {"weights": {"x": float("inf")}}}}, "models.a.weights.x", float("inf"), "from 0 to 1000000"),
        ({"models": {"a": {"weights": {"x": -0.5}}}}, "models.a.weights.x", -0.5, "from 0 to 1000000"),
        ({"models": {"a": {"weighting": "fair"}}}, "models.a.weighting", "fair", "one of equal, importance"),
        ({"models": {"a": {"volume_tolerance": 0}}}, "models.a.volume_tolerance", 0.0, "from 0.01 to 1000"),
        ({"models": {"a": {"reference_calendar": "moon"}}}, "models.a.reference_calendar", "moon", "one of none, hour_of_day, hour_of_week, auto"),
        ({"models": {"a": {"deciders": ["adwin", 3]}}}, "models.a.deciders.1", 3, "text"),
        ({"models": {"a": {"deciders": ["kswin"]}}}, "models.a.deciders", "kswin", "adwin"),
        (detected({"name": "cusum"}), "models.a.detectors.0.name", "cusum", "one of adwin, page_hinkley, kswin"),
        (detected({"names": "adwin"}), "models.a.detectors.0.names", "adwin", "did you mean name?"),
        (detected({"name": "ddm", "role": "shout"}), "models.a.detectors.0.role", "shout", "one of describe, decide"),
        (detected({"name": "adwin", "series": "raw"}), "models.a.detectors.0.series", "raw", "one of"),
        (detected({"name": "adwin", "parameters": {"threshold": 1}}), "models.a.detectors.0.parameters.threshold", 1, "a parameter of adwin: delta,"),
        (detected({"name": "adwin", "parameters": {"delta": 2}}), "models.a.detectors.0.parameters.delta", 2, "a number from 1e-300 to 1"),
        (detected({"name": "adwin", "parameters": {"clock": 1.5}}), "models.a.detectors.0.parameters.clock", 1.5, "a whole number from 1"),
        (detected({"name": "adwin", "parameters": {"delta": float("nan")}}), "models.a.detectors.0.parameters.delta", None, "a number from"),
        (detected({"name": "page_hinkley", "parameters": {"mode": "side"}}), "models.a.detectors.0.parameters.mode", "side", "up or down or both"),
        (detected({"name": "hddma", "parameters": {"two_sided_test": 1}}), "models.a.detectors.0.parameters.two_sided_test", 1, "true or false"),
        (
            detected({"name": "kswin", "parameters": {"stat_size": 60}}),
            "models.a.detectors.0.parameters.stat_size",
            60,
            "at most half of window_size",
        ),
        (detected({"name": "eddm", "parameters": {"beta": 0.97}}), "models.a.detectors.0.parameters.beta", 0.97, "at most alpha (0.95)"),
        (detected({"name": "ddm", "reads": ["temp"]}), "models.a.detectors.0.reads", "temp", "errors"),
        (detected({"name": "adwin", "reads": ["x", "x"]}), "models.a.detectors.0.reads", None, "each column once"),
        ({"models": {"a": {"label_wait": "never"}}}, "models.a.label_wait", "never", "or auto"),
        ({"models": {"a": {"policy": {"train_window": "most"}}}}, "models.a.policy.train_window", "most", "or all"),
        ({"models": {"a": {"policy": {"min_rows": 0}}}}, "models.a.policy.min_rows", 0, "from 1"),
        ({"models": {"a": {"trainer": "mine"}}}, "models.a.trainer", "mine", "module:name"),
        ({"models": {"": {}}}, "models", "", "a name of 1 to 256 printable characters"),
        ({"models": {"a": {}, " b": {}}}, "models", " b", "without blanks"),
        ({"models": {"a\nb": {}}}, "models", "a\nb", "printable"),
        ({"models": {"a\x00": {}}}, "models", "a\x00", "printable"),
        ({"models": {"m" * 10_000: {}}}, "models", "m" * 60 + "... (10,000 characters)", "1 to 256"),
        ({"database": "banana"}, "database", "banana", "sqlite:///file or postgresql+psycopg://"),
        ({"database": ""}, "database", "", "sqlite:///file"),
        ({"database": "sqlite:///:memory:"}, "database", "sqlite:///:memory:", "sqlite:///file"),
        ({"database": "sqlite://"}, "database", "sqlite://", "sqlite:///file"),
        ({"database": "mysql://ann:hunter2@db/drift"}, "database", "mysql://ann:***@db/drift", "postgresql+psycopg://"),
        ({"database": "postgresql:/ann:hunter2@db/drift"}, "database", "postgresql:***@db/drift", "postgresql+psycopg://"),
        ({"database": "postgresql://db:port/drift"}, "database", None, "postgresql+psycopg://"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_accepted(tree: dict[str, Any], field: str, value: object, accepted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build_settings(tree)
    assert caught.value.field == field
    assert caught.value.value == value or value is None
    assert accepted in caught.value.accepted
    assert field in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_written_means_the_defaults() -> None:
    assert build_settings({}) == Settings() == build_settings({"kafka": None, "models": None, "worker": {"instance_id": None}})


def test_a_model_starts_from_the_defaults_and_says_only_what_differs() -> None:
    settings = build_settings(
        {
            "defaults": {"pane": "1m", "policy": {"cooldown": "1d"}, "features": {"x": "ignore"}},
            "models": {"a": {"policy": {"min_rows": 7}}, "b": None},
        }
    )
    assert settings.model("a").pane == settings.model("b").pane == settings.model("nobody").pane == "1m"
    assert (settings.model("a").policy.cooldown, settings.model("a").policy.min_rows) == ("1d", 7)
    assert settings.model("b") == settings.defaults


def test_the_environment_lies_over_the_file() -> None:
    environment = {"DRIFTLINE__KAFKA__PARTITIONS": "8", "DRIFTLINE__MODELS__FLIGHTS__PANE": "1h", "PATH": "/bin", "DRIFTLINE_KAFKA_PASSWORD": "x"}
    settings = build_settings({"kafka": {"partitions": 2, "topic_prefix": "p-"}, "models": {"flights": {"window": "2h"}}}, environment)
    assert (settings.kafka.partitions, settings.kafka.topic_prefix) == (8, "p-")
    assert (settings.model("flights").pane, settings.model("flights").window) == ("1h", "2h")
    with pytest.raises(SettingsError, match=r"kafka\.colour"):
        build_settings({}, {"DRIFTLINE__KAFKA__COLOUR": "red"})


def test_the_hash_of_a_model_follows_its_settings_and_nothing_else() -> None:
    assert config_hash(ModelSettings()) == config_hash(build_settings({"kafka": {"partitions": 9}}).model("m"))
    assert config_hash(ModelSettings()) != config_hash(ModelSettings(tolerance=0.3))
    assert config_hash(ModelSettings(features={"a": "numeric", "b": "ignore"})) == config_hash(
        ModelSettings(features={"b": "ignore", "a": "numeric"})
    )


@given(
    st.dictionaries(
        st.sampled_from(Settings.__struct_fields__) | texts,
        json_values
        | st.dictionaries(st.sampled_from(["partitions", "security", "flights", "pane", "policy"]) | texts, json_values, max_size=3)
        | st.dictionaries(texts, st.dictionaries(st.sampled_from(ModelSettings.__struct_fields__), json_values, max_size=2), max_size=2),
        max_size=3,
    )
)
def test_any_tree_is_settings_or_a_settings_error(tree: dict[str, Any]) -> None:
    with suppress(SettingsError):  # any other error fails
        settings = build_settings(tree)
        assert build_settings(msgspec.to_builtins(settings)) == settings


@pytest.mark.parametrize("name", ["flights", "credit-risk v2", "a.b/c", "d\u00e9lais", "m" * 256])
def test_a_model_may_be_called_what_people_call_it(name: str) -> None:
    assert name in build_settings({"models": {name: {}}}).models


@given(
    drivername=st.sampled_from(["postgresql", "postgresql+psycopg"]),
    username=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5),
    password=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=5),
    host=st.sampled_from([None, "db", "10.0.0.1", "::1", "db.example"]),
    port=st.none() | st.integers(1, 65535),
    database=st.none() | st.sampled_from(["drift", "a b", "x/y"]),
    query=st.sampled_from([{}, {"host": "/run/postgresql"}, {"sslmode": "require"}]),
)
def test_every_address_of_a_postgresql_is_accepted(**parts: Any) -> None:
    if parts["username"] is None:
        parts["password"] = None
    check_database("database", URL.create(**parts).render_as_string(hide_password=False))


@given(st.text("sqlitepogr+:/@?[]a1.%", max_size=12) | st.builds("postgresql://{}".format, st.text(":/@?[]a1.%", max_size=12)))
def test_an_address_that_is_accepted_can_be_read(url: str) -> None:
    with suppress(SettingsError):
        check_database("database", url)
        parsed = make_url(url)
        assert parsed.get_backend_name() in {"postgresql", "postgres"} or parsed.database


def test_the_tables_of_checks_name_fields_that_exist_and_miss_no_number() -> None:
    checked = {name.removeprefix("policy.") for name in _RANGES}
    numbers = {
        field.name
        for section in (ModelSettings, PolicySettings)
        for field in msgspec.structs.fields(section)
        if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    }
    assert checked == numbers
    words = {f for section in (ModelSettings, PolicySettings) for f in duration_fields(section) if f in _WORDS}
    assert words == set(_WORDS)
    assert {"pane", "allowed_lateness", "label_wait"} <= set(duration_fields(ModelSettings))


def test_the_schema_names_every_setting() -> None:
    schema = settings_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["$defs"]["ModelSettings"]["properties"]) == set(ModelSettings.__struct_fields__)
    assert schema["$defs"]["ModelSettings"]["additionalProperties"] is False
    assert message_schema(ModelSettings)["$ref"].endswith("ModelSettings")


@given(st.integers(1, 36_500 * 86_400_000))
def test_a_duration_survives_being_written(millis: int) -> None:
    assert parse_duration(format_duration(millis)) == millis


def test_a_detector_named_alone_reads_what_it_is_made_for() -> None:
    one, other, third = build_settings(
        {
            "defaults": {
                "detectors": [{"name": "adwin"}, {"name": "ddm"}, {"name": "kswin", "reads": ["temp"], "parameters": {"stride": 1, "alpha": 1}}]
            }
        }
    ).defaults.detectors
    assert (one.columns, one.series, one.role) == (("features",), "means", "describe")
    assert other.columns == ("errors",)
    assert third.columns == ("temp",)
    assert parameters_of("kswin", third.parameters) == {"alpha": 1.0, "window_size": 100, "stat_size": 30, "stride": 1, "seed": 0}
    assert type(parameters_of("kswin", third.parameters)["stride"]) is int
