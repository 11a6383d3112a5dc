"""Every decoder alone under more than a hundred thousand bad inputs: what comes out is a message or a DecodeError, and it comes out soon.

``DRIFTLINE_POISON=long`` (``make poison``) tries ten times as many.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.poison import good
from tests.poison.mutations import bad_inputs, spoilt

from driftline.cli.config import read_yaml
from driftline.contracts.bounds import out_of_bounds
from driftline.contracts.errors import DecodeError, SettingsError
from driftline.contracts.events import decode_inference, decode_label, encode_event
from driftline.contracts.findings import ModelVersion, RetrainTrigger, decode_json, encode_json
from driftline.contracts.json_values import FeatureDecoder, decode_features
from driftline.contracts.reference import decode_reference
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import decode_summary, encode_summary
from driftline.contracts.typed_events import Shape, TypedDecoder

LONG = os.environ.get("DRIFTLINE_POISON") == "long"
#: Each example is a seed, and a seed is so many inputs.
BATCH = 500
EXAMPLES = 500 if LONG else 50

STRUCTURED = [("content-type", b"application/cloudevents+json")]
BINARY: list[tuple[str, bytes | None]] = [("ce_id", b"\xff"), ("ce_time", b"soon"), ("CE_ID", None)]
PLAIN = ("event_id", "model", "version", "event_time", "prediction", "score", "probabilities", "slice")
#: One input may cost so much of a core: half a second for a hostile megabyte and all decoders, never minutes.
SOON_S = 2.0

seeds = st.integers(0, 2**32)
fuzzed = settings(max_examples=EXAMPLES, deadline=None)


def test_the_seeds_make_more_than_a_hundred_thousand_inputs() -> None:
    assert BATCH * EXAMPLES * 5 > 100_000


@given(seeds)
@fuzzed
def test_an_inference_event_is_read_or_refused(seed: int) -> None:
    decoder = FeatureDecoder(["x", "n"], ["c", "b"])
    fine = []
    for raw in bad_inputs(seed, BATCH, good.inference):
        try:
            event = decode_inference(raw, BINARY if seed % 2 else ())
        except DecodeError as error:
            assert_keeps(error, raw)
            continue
        assert encode_event(event)
        assert out_of_bounds(event.event_id) is None
        fine.append(event.features)
    batch = decoder.decode(fine)
    assert {len(column) for column in batch.columns.values()} <= {len(fine) - len(batch.bad)}
    for i, features in enumerate(fine):
        # Of what is no column of the model's only the form is looked at.
        assert i not in batch.bad or refused_features(features) is not None


def refused_features(raw: msgspec.Raw) -> DecodeError | None:
    try:
        decode_features(raw)
    except DecodeError as error:
        return error
    return None


@given(seeds, st.booleans())
@fuzzed
def test_what_is_read_the_fast_way_is_what_is_read_the_slow_way(seed: int, alone: bool) -> None:
    fast = TypedDecoder()
    fast.expect("m", Shape(("x", "n"), ("c", "b", "z")))
    if not alone:
        fast.expect("other", None)
    raws: list[bytes | None] = [
        raw.replace(b'"m"', b'"other"') if i % 3 == 0 else raw for i, raw in enumerate(bad_inputs(seed, BATCH, good.inference))
    ]
    events, unfit = fast.decode(raws)
    assert [i for i, event in enumerate(events) if event is None] == unfit
    for raw, event in zip(raws, events, strict=True):
        if event is not None:
            slow = decode_inference(raw)
            assert [getattr(event, name) for name in PLAIN] == [getattr(slow, name) for name in PLAIN], raw
            if event.shape is not None:
                read = FeatureDecoder(["x", "n"], ["c", "b", "z"]).decode([slow.features])
                assert not read.bad
                assert repr(list(msgspec.structs.astuple(event.features))) == repr([column[0] for column in read.columns.values()]), raw


@given(seeds)
@fuzzed
def test_an_enveloped_event_is_read_or_refused(seed: int) -> None:
    for raw in bad_inputs(seed, BATCH, good.enveloped):
        refused_or(lambda raw: encode_event(decode_inference(raw, STRUCTURED)), raw)


@given(seeds)
@fuzzed
def test_a_label_is_read_or_refused(seed: int) -> None:
    for raw in bad_inputs(seed, BATCH, good.label):
        refused_or(lambda raw: encode_event(decode_label(raw)), raw)


@given(seeds)
@fuzzed
def test_a_summary_is_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(BATCH):
        refused_or(lambda raw: encode_summary(decode_summary(raw)), spoilt(rng, good.summary(rng)))


@given(seeds)
@fuzzed
def test_a_trigger_and_a_turn_are_read_or_refused(seed: int) -> None:
    for raw in bad_inputs(seed, BATCH // 2, good.trigger):
        refused_or(lambda raw: encode_json(decode_json(raw, RetrainTrigger)), raw)
    for raw in bad_inputs(seed, BATCH // 2, good.turn):
        refused_or(lambda raw: encode_json(decode_json(raw, ModelVersion)), raw)


@given(seeds)
@settings(max_examples=EXAMPLES // 5, deadline=None)
def test_settings_are_read_or_refused(seed: int) -> None:
    for raw in bad_inputs(seed, BATCH // 5, good.settings):
        with suppress(ValueError, RecursionError):  # what is no JSON is YAML's to refuse, below
            tree = json.loads(raw)
            if isinstance(tree, dict):
                with suppress(SettingsError):
                    build_settings(tree)


@given(seeds)
@settings(max_examples=max(5, EXAMPLES // 10), deadline=None)
def test_a_settings_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "driftline.yaml"
    for raw in bad_inputs(seed, 20, good.settings):
        if len(raw) > 2_000:  # PyYAML takes minutes for ten thousand brackets; the file is the operator's own
            continue
        path.write_bytes(raw)
        with suppress(SettingsError):
            build_settings(read_yaml(path))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_every_decoder(raw: bytes) -> None:
    for decode in (decode_inference, decode_label, decode_summary, decode_features, decode_reference):
        with suppress(DecodeError):
            decode(raw)


MEGABYTE = 1 << 20
HOSTILE_MEGABYTES: dict[str, bytes] = {
    "deep arrays": b"[" * (MEGABYTE - 1),
    "deep objects": b'{"a":' * (MEGABYTE // 5),
    "a long number": b'{"x":' + b"9" * (MEGABYTE - 10) + b"}",
    "a long fraction": b'{"x":0.' + b"9" * (MEGABYTE - 10) + b"}",
    "a long exponent": b'{"x":1e' + b"9" * (MEGABYTE - 10) + b"}",
    "many numbers": b"[" + b"1," * (MEGABYTE // 2 - 2) + b"1]",
    "many empty arrays": b"[" + b"[]," * (MEGABYTE // 3 - 2) + b"[]]",
    "many keys": b"{" + b",".join(b'"%d":1' % i for i in range(MEGABYTE // 12)) + b"}",
    "the same key": b"{" + b'"a":1,' * (MEGABYTE // 6 - 2) + b'"a":1}',
    "escapes": b'"' + b"\\u00e9" * (MEGABYTE // 6 - 2) + b'"',
    "backslashes": b'"' + b"\\\\" * (MEGABYTE // 2 - 2) + b'"',
    "blanks": b" " * MEGABYTE,
    "zeros": bytes(MEGABYTE),
    "NaN among deep arrays": b'{"x":NaN,"y":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
}


@pytest.mark.parametrize("name", HOSTILE_MEGABYTES)
def test_a_hostile_megabyte_takes_no_longer_than_a_megabyte_has_to(name: str) -> None:
    raw = HOSTILE_MEGABYTES[name]
    began = time.process_time()
    for decode in (decode_inference, decode_label, decode_summary, decode_features):
        with suppress(DecodeError):
            decode(raw)
    event = b'{"event_id":"a","model":"m","event_time":1704067200000,"features":' + raw[: MEGABYTE - 200]
    for wrapped in (event, event + b"}"):
        with suppress(DecodeError):
            decode_inference(wrapped)
    assert time.process_time() - began < SOON_S


def refused_or(decode: Callable[[bytes], Any], raw: bytes) -> None:
    """Decode (and encode again) what may be bad: any error but a DecodeError that keeps the bytes fails the test."""
    try:
        decode(raw)
    except DecodeError as error:
        assert_keeps(error, raw)


def assert_keeps(error: DecodeError, raw: bytes) -> None:
    """Assert that a refusal holds the bytes, a sentence and a code for programs."""
    assert error.raw == raw
    assert error.reason
    assert error.code.isidentifier()
    assert error.code != "unreadable", error.reason
