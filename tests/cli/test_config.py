from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from driftline.cli.config import TEMPLATE, load_settings
from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_five_lines_are_enough_for_a_model(here: Path) -> None:
    (here / "driftline.yaml").write_text("models:\n  flights:\n    task: classification\n    alarm_budget: 2 per 30d\n    pane: 1h\n")
    model = load_settings(None, {}).model("flights")
    assert (model.task, model.alarm_budget, model.pane) == ("classification", "2 per 30d", "1h")


@pytest.mark.usefixtures("here")
def test_without_a_file_the_defaults_and_the_environment_hold() -> None:
    assert load_settings(None, {}) == Settings()
    assert load_settings(None, {"DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS": "kafka:9092"}).kafka.bootstrap_servers == "kafka:9092"


def test_the_environment_lies_over_the_file(here: Path) -> None:
    (here / "other.yaml").write_text("kafka: {bootstrap_servers: 'a:1', partitions: 2}")
    settings = load_settings(here / "other.yaml", {"DRIFTLINE__KAFKA__PARTITIONS": "8"})
    assert (settings.kafka.bootstrap_servers, settings.kafka.partitions) == ("a:1", 8)


def test_a_file_that_was_named_has_to_be_there(here: Path) -> None:
    for path in (here / "missing.yaml", here):
        with pytest.raises(SettingsError, match="can be read"):
            load_settings(path, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"kafka:\n  partitions: 4\n   replicas: [1\n", "line 3"),
        (b"kafka:\n\tpartitions: 4\n", "line 2"),
        (b"kafka: {}\nmodels:\n  a: {}\nkafka: {}\n", "line 4.*given twice"),
        (b"models:\n  a:\n    pane: 1h\n    pane: 2h\n", "line 4.*given twice"),
        (b"kafka: !!python/object/apply:os.system ['true']\n", "line 1"),
        (b"kafka: *nowhere\n", "line 1"),
        (b"- kafka\n", "a mapping"),
        (b"\xff\xfe", "UTF-8"),
        (b"kafka: \x00\n", "YAML"),
        (b"[" * 5000, "YAML"),
        (b"kafka: 2013-02-31\n", "YAML"),
        (b"kafka:\n  partitions: many\n", "kafka.partitions: 'many' .* a whole number"),
        (b"models:\n  flights:\n    panee: 1h\n", "models.flights.panee.*did you mean pane"),
        (b"models:\n  flights:\n    pane: 5\n", "models.flights.pane: 5 .* text"),
        (b"models: {12: {}}\n", "in quotes"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_with_its_place(here: Path, text: bytes, says: str) -> None:
    (here / "driftline.yaml").write_bytes(text)
    with pytest.raises(SettingsError, match=says):
        load_settings(None, {})


@pytest.mark.parametrize("text", ["", "# only a comment\n", "kafka:\nmodels:\n", "---\n...\n", "defaults: &d {pane: 1m}\nmodels: {a: {<<: *d}}\n"])
def test_empty_sections_are_as_good_as_none(here: Path, text: str) -> None:
    (here / "driftline.yaml").write_text(text)
    assert load_settings(None, {}).kafka == Settings().kafka


def test_the_template_loads_and_so_does_what_it_comments_out(here: Path) -> None:
    (here / "driftline.yaml").write_text(TEMPLATE)
    settings = load_settings(None, {})
    assert settings.kafka == Settings().kafka
    assert list(settings.models) == ["my-model"]
    # Every commented line is a setting or a remark; the settings, brought in, are accepted.
    live = "\n".join(re.sub(r"^(\s*)# (\s*[\w\"*]+: ?|  +)", r"\1\2", line) for line in TEMPLATE.splitlines() if not re.match(r"# [A-Z]", line))
    assert yaml.safe_load(live)["kafka"]["security"]["username"] == "driftline"
    (here / "driftline.yaml").write_text(live)
    full = load_settings(None, {})
    assert full.model("my-model").features == {"amount": "numeric", "account_id": "ignore"}
    assert full.defaults == Settings().defaults
    assert full.database == Settings().database


@pytest.mark.parametrize("text", ["models: &m\n  a: *m\n", 'models: {"\\uD800": {}}\n'], ids=["holds itself", "half a surrogate pair"])
def test_what_yaml_can_hold_and_nobody_can_print_is_refused(here: Path, text: str) -> None:
    (here / "driftline.yaml").write_text(text)
    with pytest.raises(SettingsError, match="plain text that does not hold itself"):
        load_settings(None, {})
