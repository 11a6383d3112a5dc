from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.cli.logs import JsonLines, TextLines, configure


@pytest.fixture
def restored() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("driftline", "faust", "mode", "aiokafka", "kafka", "asyncio", "alembic", "driftline.streams.transport", "mode.timers"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def line(name: str, message: str, error: Exception | None = None, **fields: object) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "f.py", 1, message, (), None)
    if error is not None:
        try:
            raise error
        except type(error) as raised:
            record.exc_info = (type(raised), raised, raised.__traceback__)
    if fields:
        record.fields = fields
    text = JsonLines(step="join").format(record)
    assert "\n" not in text
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def test_a_record_is_one_line_of_json() -> None:
    said = line("driftline.worker", "join\nruns", pid=7)
    assert (said["level"], said["step"], said["message"], said["pid"]) == ("warning", "join", "join\nruns", 7)


def test_what_others_errors_quote_is_not_logged() -> None:
    said = line("faust.agents", "Crashed\nTraceback: age 41", ValueError("age 41"))
    assert "41" not in json.dumps({k: v for k, v in said.items() if k not in ("time", "trace")})
    assert said["error"] == "ValueError"


def test_our_own_errors_say_why() -> None:
    assert line("driftline.retrain", "no", ValueError("the file is gone"))["reason"] == "the file is gone"


@pytest.mark.usefixtures("restored")
def test_libraries_are_quiet_unless_they_warn(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", step="detect")
    logging.getLogger("faust.worker").info("noise")
    logging.getLogger("aiokafka.consumer").info("noise")
    logging.getLogger("sqlalchemy.engine").info("('age', 41)")
    logging.getLogger("driftline.worker").info("signal")
    logging.getLogger("mode").warning("trouble")
    out, err = capsys.readouterr()
    assert out == ""
    assert [json.loads(text)["message"] for text in err.splitlines()] == ["signal", "trouble"]


@pytest.mark.usefixtures("restored")
def test_statements_and_what_they_were_given_are_never_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug")
    logging.getLogger("sqlalchemy.engine.Engine").info("('age', 41)")
    assert capsys.readouterr().err == ""


@given(password=st.text("abcXYZ019!#$%+", min_size=4, max_size=20))
def test_no_password_is_logged_in_either_form(password: str) -> None:
    record = logging.LogRecord("driftline.worker", logging.WARNING, "f.py", 1, f"no answer from postgresql://u:{password}@db/d", (), None)
    record.fields = {"database": f"postgresql://u:{password}@db/d", "kafka": f"sasl_plain_password='{password}'"}
    for formatter in (JsonLines(step="join"), TextLines(step="join")):
        assert f":{password}@" not in formatter.format(record)
        assert f"'{password}'" not in formatter.format(record)


def test_text_for_a_terminal_is_one_line_that_begins_with_time_level_and_step() -> None:
    record = logging.LogRecord("driftline.worker", logging.WARNING, "f.py", 1, "join\nended", (), None)
    record.created = 1_362_114_900.0
    record.fields = {"model": "m", "partition": 3}
    assert TextLines(step="worker").format(record) == '2013-03-01T05:15:00Z WARNING worker join ended model="m" partition=3'
