"""What is wrong with a setting, named by its full path: wrong types as msgspec met them, and what types can't say (ranges, durations, rates)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from driftline.contracts.bounds import MAX_NAME
from driftline.contracts.databases import check_database
from driftline.contracts.errors import SettingsError
from driftline.contracts.pii import check_rules
from driftline.contracts.sequential import check_detector
from driftline.contracts.slices import check_slices
from driftline.contracts.times import HOUR_MS, is_duration, parse_duration
from driftline.contracts.windows import check_window

if TYPE_CHECKING:
    from driftline.contracts.settings import ModelSettings, SecuritySettings, Settings

_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*per\s+(\S+)\s*")
#: So much of a name that is too long stands in the error.
_MOST_SHOWN = 60
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")
_SERVERS = re.compile(r"\s*[^\s,:]+(:\d{1,5})?\s*(,\s*[^\s,:]+(:\d{1,5})?\s*)*|\s*\[[0-9a-fA-F:]+\]:\d{1,5}\s*")

#: May be nothing at all; every other duration is longer than zero.
_MAY_BE_ZERO = {"allowed_lateness", "allowed_skew", "version_wait", "join_wait", "drift_persists", "cooldown", "label_wait"}
#: A step that is told to stop, and a group that is shared out anew, wait for the fetch that is under way.
_LONGEST_FETCH_MS = 2_000
#: Words that stand in a duration's place.
_WORDS = {"label_wait": "auto", "train_window": "all"}

#: Field of a model -> least and greatest value.
_RANGES: dict[str, tuple[float, float]] = {
    "tolerance": (1e-6, 10),
    "volume_tolerance": (0.01, 1000),
    "sample_rows_per_pane": (0, 100_000),
    "learning_rows": (100, 10_000_000),
    "max_values": (1, 1000),
    "max_features": (1, 10_000),
    "outcome_sample": (1e-9, 1),
    "policy.performance_tolerance": (0, 1000),
    "policy.drift_importance": (0, 1),
    "policy.min_rows": (1, 1_000_000_000),
    "policy.min_labelled": (1, 1_000_000_000),
    "policy.min_blocks": (1, 100_000),
    "policy.trial_confidence": (0.5, 0.999999),
}


def parse_budget(text: str, field: str) -> float:
    """Return the hours between two false episodes that a rate such as ``1 per 30d`` allows.

    >>> parse_budget("1 per 30d", "alarm_budget")
    720.0
    """
    match = _BUDGET.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise SettingsError(field, text, "a rate such as '1 per 30d'")
    hours = parse_duration(match[2], field) / HOUR_MS / float(match[1])
    if hours <= 0:
        raise SettingsError(field, text, "a rate such as '1 per 30d'")
    return hours


def check(settings: Settings) -> None:
    """Judge what types can't say, field by field; the first that is wrong raises SettingsError."""
    if not _SERVERS.fullmatch(settings.kafka.bootstrap_servers):
        raise SettingsError("kafka.bootstrap_servers", settings.kafka.bootstrap_servers, "host:port, or several with commas between")
    if not _PREFIX.fullmatch(settings.kafka.topic_prefix):
        raise SettingsError("kafka.topic_prefix", settings.kafka.topic_prefix, "at most 200 letters, digits, dots, underscores and hyphens")
    _within("kafka.partitions", settings.kafka.partitions, 1, 100_000)
    _within("kafka.replication_factor", settings.kafka.replication_factor, 1, 100)
    _check_security(settings.kafka.security)
    _within("worker.block_size", settings.worker.block_size, 1, 1 << 24)
    _within("worker.block_bytes", settings.worker.block_bytes, 1 << 16, 1 << 40)
    _within("worker.max_poll_records", settings.worker.max_poll_records, 1, 1 << 24)
    _within("http.port", settings.http.port, 0, 65_531)  # four more follow it
    _within("http.ready_lag", settings.http.ready_lag, 0, 1 << 53)
    _within("http.model_labels", settings.http.model_labels, 1, 10_000)
    _within("http.column_labels", settings.http.column_labels, 1, 10_000)
    _within("limits.models", settings.limits.models, 0, 1_000_000)
    _within("limits.versions", settings.limits.versions, 1, 1_000_000)
    _within("limits.letter_bytes", settings.limits.letter_bytes, 1 << 16, 30 << 20)
    _within("retrain.max_artifact_mb", settings.retrain.max_artifact_mb, 1, 1 << 20)
    _within("retrain.max_rows", settings.retrain.max_rows, 1, 1 << 40)
    for section in ("worker", "retrain", "retention"):
        _check_durations(getattr(settings, section), section)
    if parse_duration(settings.worker.fetch_wait) > _LONGEST_FETCH_MS:
        raise SettingsError("worker.fetch_wait", settings.worker.fetch_wait, "at most 2s")
    check_database("database", settings.database)
    for name in settings.models:
        _check_name(name)
    for name, model in settings.by_place().items():
        _check_model(name, model)
        if "hash" in model.pii.values() and settings.pii_key_file is None:
            raise SettingsError(
                "pii_key_file", None, f"the path of a file with a key, for {name}.pii hashes features: without a key they can be guessed"
            )


def settings_error(error: msgspec.ValidationError, tree: Mapping[str, Any]) -> SettingsError:
    """Turn msgspec's sentence about a tree into field, value and what is accepted."""
    from driftline.contracts.settings import Settings

    reason, _, place = str(error).partition(" - at `")
    if place.startswith("key"):  # "key` in `$.models`": a name that is no text
        field = place.rpartition("`$")[2].strip("`").lstrip(".")
        mapping = _at(tree, field.split(".")) if field else tree
        odd = next((k for k in mapping if not isinstance(k, str)), None) if isinstance(mapping, Mapping) else None
        return SettingsError(field or "driftline.yaml", odd, "names that are text: put them in quotes")
    steps = list(_resolved(place.rstrip("`").removeprefix("$"), tree, Settings))
    unknown = re.search(r"unknown field `(.+)`", reason)
    if unknown:
        steps.append(unknown[1])
        # Somebody who put a password into the configuration shall not find it in a log as well.
        secret = re.search(r"passw|secret|token", unknown[1], re.IGNORECASE)
        return SettingsError(".".join(steps), "***" if secret else _at(tree, steps), _known(unknown[1], steps, Settings))
    return SettingsError(".".join(steps) or "driftline.yaml", _at(tree, steps), _accepted(reason, steps, Settings))


def _check_name(name: str) -> None:
    """A model's name is the key of its events, stands in every table and sentence, and is typed by people."""
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        shown = name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}... ({len(name):,} characters)"
        raise SettingsError("models", shown, f"a name of 1 to {MAX_NAME} printable characters, without blanks at its ends")


def _check_model(name: str, model: ModelSettings) -> None:
    _check_durations(model, name)
    _check_durations(model.policy, f"{name}.policy")
    check_window(model.window, model.slide, model.pane, name)
    parse_budget(model.alarm_budget, f"{name}.alarm_budget")
    check_rules(f"{name}.pii", model.pii)
    check_slices(name, model.slices, model.slice_features, model.features)
    for field, (least, greatest) in _RANGES.items():
        _within(f"{name}.{field}", _attribute(model, field), least, greatest)
    for column, tolerance in model.tolerances.items():
        _within(f"{name}.tolerances.{column}", tolerance, *_RANGES["tolerance"])
    for column, weight in model.weights.items():
        _within(f"{name}.weights.{column}", weight, 0, 1e6)
    for feature, share in model.importance.items():
        _within(f"{name}.importance.{feature}", share, 0, float("inf"))
    for i, detector in enumerate(model.detectors):
        check_detector(f"{name}.detectors.{i}", detector)
    for field in model.quality.__struct_fields__:
        _within(f"{name}.quality.{field}", getattr(model.quality, field), 0, float("inf"))
    for decider in model.deciders:
        if decider != "adwin":
            raise SettingsError(f"{name}.deciders", decider, "adwin")
    if ":" not in model.trainer:
        raise SettingsError(f"{name}.trainer", model.trainer, "module:name")


def _check_security(security: SecuritySettings) -> None:
    place = "kafka.security"
    if security.protocol.startswith("SASL") and not security.username:
        raise SettingsError(f"{place}.username", security.username, f"a user name, for the protocol is {security.protocol}")
    if security.protocol == "SASL_PLAINTEXT" and not security.allow_sasl_plaintext:
        raise SettingsError(f"{place}.protocol", security.protocol, "SASL_SSL; or set allow_sasl_plaintext to send credentials over an open line")
    if security.key_file and not security.cert_file:
        raise SettingsError(f"{place}.cert_file", security.cert_file, "the certificate that belongs to key_file")


def _check_durations(section: msgspec.Struct, place: str) -> None:
    for field in duration_fields(type(section)):
        text = getattr(section, field)
        word = _WORDS.get(field)
        if text == word:
            continue
        try:
            millis = parse_duration(text, f"{place}.{field}")
        except SettingsError as error:
            raise SettingsError(error.field, text, f"{error.accepted}, or {word}" if word else error.accepted) from None
        if millis == 0 and field not in _MAY_BE_ZERO:
            raise SettingsError(f"{place}.{field}", text, "a duration longer than zero")


@cache
def duration_fields(section: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields whose default is a duration, or a word in a duration's place."""
    return tuple(f.name for f in msgspec.structs.fields(section) if f.name != "window" and (f.name in _WORDS or is_duration(f.default)))


def _within(field: str, number: float, least: float, greatest: float) -> None:
    if not (least <= number <= greatest and isfinite(number)):  # in this order: an integer may be too large for a float
        kind = "a whole number" if isinstance(number, int) else "a number"
        bound = f"from {least:.16g} to {greatest:.16g}" if isfinite(greatest) else f"of at least {least:.16g}"
        raise SettingsError(field, number, f"{kind} {bound}")


def _attribute(model: object, path: str) -> float:
    for step in path.split("."):
        model = getattr(model, step)
    return model  # type: ignore[return-value]  # every path of _RANGES leads to a number


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text (put it in quotes)",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
}


def _accepted(reason: str, steps: list[str], root: type) -> str:
    expected = re.search(r"Expected `([^`]+)`", reason)
    if expected:
        return " or ".join(_KINDS.get(kind, kind) for kind in expected[1].split(" | ") if kind != "null")
    if reason.startswith("Invalid enum value"):
        return "one of " + ", ".join(str(choice) for choice in _choices(_kind_at(root, steps)))
    return reason


def _known(name: str, steps: list[str], root: type) -> str:
    """Say which keys a section has, the likeliest first where one is near."""
    keys = [f.encode_name for f in msgspec.structs.fields(_kind_at(root, steps[:-1]))]
    near = get_close_matches(name, keys, n=1)
    return f"a known key ({f'did you mean {near[0]}? ' if near else ''}known are {', '.join(keys)})"


def _kind_at(kind: Any, steps: list[str]) -> Any:
    for step in steps:
        if hasattr(kind, "__struct_fields__"):
            kind = next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == step)
        else:
            kind = [arg for arg in get_args(kind) if arg is not Ellipsis][-1]  # of a mapping of names to structs, or of a list of them, the structs
    return kind


def _choices(kind: Any) -> list[object]:
    """Return the values of a Literal, also of one that stands in a union."""
    return [choice for arg in get_args(kind) for choice in (_choices(arg) if get_args(arg) else [arg]) if choice is not NoneType]


def _resolved(path: str, tree: Mapping[str, Any], root: type) -> Iterator[str]:
    """Yield the steps of msgspec's path, with the name of the entry that is wrong where msgspec says ``[...]`` only."""
    node: Any = tree
    done: list[str] = []
    for step in re.findall(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+", path):
        name = step
        if step == "[...]":
            name = next((k for k in node if _alone_fails(tree, done, k, root)), "?") if isinstance(node, Mapping) else "?"
        elif step.startswith("["):
            name = step.strip("[]")
        node = node.get(name) if isinstance(node, Mapping) else node[int(name)] if isinstance(node, list | tuple) else None
        done.append(name)
        yield name


def _alone_fails(tree: Mapping[str, Any], steps: list[str], key: Any, root: type) -> bool:
    """Say whether the tree is wrong if of one of its mappings this entry alone is there."""
    alone: Any = {key: _at(tree, steps)[key]}
    for step in reversed(steps):
        alone = {step: alone}
    try:
        msgspec.convert(alone, root, strict=False)
    except msgspec.ValidationError:
        return True
    return False


def _at(tree: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(tree, list | tuple) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree
