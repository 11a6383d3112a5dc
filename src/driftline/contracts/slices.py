"""Which slices of a model's events are watched by themselves, as a configuration says it.

``slices: {carrier: [UA, AA], region: 10}``: of ``carrier`` the values named, of ``region`` the ten most frequent of the reference; all others of
either are one slice more. ``slice_features`` names the features that are watched in each slice beside prediction, score and errors; where it is left
out, these are the five that matter most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from driftline.contracts.errors import SettingsError

#: Slices of one model, those of all other values included; each has slots, terms and intervals of its own for everything watched in it.
MAX_SLICES = 100
#: Columns of slices (what is watched in each, times slices): each is .7 kB of a window's finding, and a Kafka message holds a megabyte.
MAX_SLICE_COLUMNS = 500
#: So many features are watched in slices where nobody names them.
MOST_IMPORTANT = 5
_ALWAYS = 2  # prediction and score
#: A longer value is known by its number.
MAX_VALUE_CHARS = 200


def check_slices(place: str, slices: Mapping[str, tuple[str, ...] | int], crossed: tuple[str, ...] | None, kinds: Mapping[str, str]) -> None:
    """Raise SettingsError where slices are too many, or can't be told."""
    for feature, values in slices.items():
        field = f"{place}.slices.{feature}"
        if kinds.get(feature) == "ignore":
            raise SettingsError(field, "ignore", "a feature that is not ignored: its values tell the slices apart")
        if isinstance(values, int):
            if not 1 <= values < MAX_SLICES:
                raise SettingsError(field, values, f"values by name, or how many of the most frequent ones, from 1 to {MAX_SLICES - 1}")
        elif not values or len(set(values)) < len(values) or any(not v or len(v) > MAX_VALUE_CHARS for v in values):
            raise SettingsError(field, list(values), f"different values, each of 1 to {MAX_VALUE_CHARS} characters")
    total = sum(_sizes(slices))
    if total > MAX_SLICES:
        raise SettingsError(f"{place}.slices", total, f"at most {MAX_SLICES} slices, those of all other values included")
    watched = (MOST_IMPORTANT if crossed is None else len(crossed)) + _ALWAYS
    if total * watched > MAX_SLICE_COLUMNS:
        many = f"{total} slices x {watched} columns"
        raise SettingsError(
            f"{place}.slice_features", many, f"at most {MAX_SLICE_COLUMNS} columns of slices together: fewer slices, or fewer features"
        )


def _sizes(slices: Mapping[str, tuple[str, ...] | int]) -> Iterator[int]:
    for values in slices.values():
        yield (values if isinstance(values, int) else len(values)) + 1
