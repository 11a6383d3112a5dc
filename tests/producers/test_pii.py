from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.producers.capture import Captured

from driftline.contracts.errors import SettingsError
from driftline.contracts.events import decode_inference
from driftline.contracts.pii import bucket, check_rules, hidden
from driftline.contracts.settings import build_settings
from driftline.detectors.sample import kept_features

_KEY = b"0123456789abcdef"


def sent(captured: Captured) -> Any:
    (record,) = captured.records
    return msgspec.json.decode(decode_inference(record.value).features)


def test_what_the_rules_hide_never_leaves_the_service() -> None:
    captured = Captured(pii={"email": "drop", "user": "hash", "age": "bucket:10"}, pii_key=_KEY)
    captured.publisher.publish({"email": "ada@example.org", "user": "Ada", "age": np.int64(41), "amount": 7})
    features = sent(captured)
    assert features == {"user": hidden("Ada", "hash", _KEY), "age": 40.0, "amount": 7}
    assert b"Ada" not in captured.records[0].value
    assert b"ada@" not in captured.records[0].value  # an id's hexadecimal digits may spell the rest


def test_the_star_names_the_rule_for_all_others() -> None:
    captured = Captured(pii={"*": "drop", "amount": "keep"})
    captured.publisher.publish({"email": "ada@example.org", "amount": 7})
    assert sent(captured) == {"amount": 7}


_scalars = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.text(st.characters(codec="utf-8"), max_size=8))


@given(
    st.dictionaries(st.sampled_from("abc"), _scalars), st.dictionaries(st.sampled_from("abc*"), st.sampled_from(["keep", "drop", "hash", "bucket:5"]))
)
def test_a_service_hides_what_the_worker_would_hide(features: dict[str, Any], rules: dict[str, str]) -> None:
    captured = Captured(pii=rules, pii_key=_KEY)
    captured.publisher.publish(features)
    assert sent(captured).keys() == kept_features(features, rules, _KEY).keys()
    hides = {name for name in features if rules.get(name, rules.get("*", "keep")) != "keep"}
    kept = kept_features(features, rules, _KEY)
    assert {name: value for name, value in sent(captured).items() if name in hides} == {name: value for name, value in kept.items() if name in hides}


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), st.sampled_from([0.1, 0.5, 1.0, 10.0, 1000.0]))
def test_a_bucket_is_a_multiple_of_its_width_at_most_one_width_below(value: float, width: float) -> None:
    cut = bucket(value, width)
    assert cut is not None
    assert cut <= value + 1e-9 * max(abs(value), width)
    assert value - cut <= width * (1 + 1e-9) + 1e-9 * abs(value)


@pytest.mark.parametrize("value", [None, "41", float("nan"), float("inf"), 10**400, 1e308])
def test_of_what_is_no_number_a_bucket_leaves_nothing(value: object) -> None:
    assert bucket(value, 0.001) is None


@pytest.mark.parametrize("rule", ["hide", "", "bucket", "bucket:", "bucket:0", "bucket:-1", "bucket:nan", "bucket:inf", "bucket:x", "keep:1"])
def test_a_rule_that_is_none_is_refused_by_service_and_settings_alike(rule: str) -> None:
    with pytest.raises(SettingsError, match=r"pii\.age.*bucket:10"):
        Captured(pii={"age": rule})
    with pytest.raises(SettingsError, match=r"defaults\.pii\.age.*bucket:10"):
        build_settings({"defaults": {"pii": {"age": rule}}})
    with pytest.raises(SettingsError):
        check_rules("pii", {"age": rule})


def test_a_hash_needs_a_key_of_some_length(tmp_path: Path) -> None:
    for wrong in ({}, {"pii_key": b"short"}, {"pii_key_file": str(tmp_path / "none")}):
        with pytest.raises(SettingsError, match="key"):
            Captured(pii={"user": "hash"}, **wrong)
    (tmp_path / "key").write_bytes(_KEY + b"\n")
    captured = Captured(pii={"user": "hash"}, pii_key_file=str(tmp_path / "key"))
    captured.publisher.publish({"user": "Ada"})
    assert sent(captured) == {"user": hidden("Ada", "hash", _KEY)}


def test_a_key_that_is_too_short_is_not_shown() -> None:
    with pytest.raises(SettingsError) as refused:
        Captured(pii={"user": "hash"}, pii_key=b"tiny-secret")
    assert "tiny-secret" not in str(refused.value)
