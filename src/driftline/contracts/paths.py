"""Features inside of objects, by their paths: ``{"user": {"age": 3}}`` has the feature ``user.age``.

A name with a dot that stands there as such wins over a path, and what lies less deep over what lies deeper, be it a value or an object (an empty
one too); the order of names in an object never matters. ``None`` in the place of an object stands for all that would be in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

#: Objects within objects that are looked into; deeper ones are values of a wrong type.
MAX_DEPTH = 8


class Walked(NamedTuple):
    """What a walk over one event's features came by: the features wanted, the objects that were null, and how many fields nobody asked for."""

    found: dict[str, object]
    nulls: set[str]
    extra: int


def parents_of(names: Iterable[str]) -> frozenset[str]:
    """Return the paths of the objects that features may lie in.

    >>> sorted(parents_of(["age", "user.address.zip"]))
    ['user', 'user.address']
    """
    return frozenset(parent for name in names for parent in parents(name))


def parents(name: str) -> Iterator[str]:
    """Yield the paths of the objects that a feature may lie in, the nearest first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def levels(fields: Mapping[str, Any], inside: Callable[[str, Any], Iterable[tuple[str, Any]] | None]) -> Iterator[tuple[str, Any]]:
    """Yield each path with what stands there and is no object, level by level; ``inside`` returns the entries of an object, None for all else."""
    level = sorted(fields.items(), key=itemgetter(0))
    for depth in range(MAX_DEPTH + 1):
        deeper: list[tuple[str, Any]] = []
        for path, value in level:
            entries = inside(path, value) if depth < MAX_DEPTH else None
            if entries is None:
                yield path, value
            else:
                deeper += [(f"{path}.{name}", child) for name, child in sorted(entries, key=itemgetter(0))]
        if not deeper:
            return
        level = sorted(deeper, key=itemgetter(0))


def flattened(fields: Mapping[str, object]) -> dict[str, object]:
    """Return all features by their paths.

    >>> flattened({"user": {"age": 3, "address": {"zip": "1"}}, "user.age": 4, "x": None})
    {'user.age': 4, 'x': None, 'user.address.zip': '1'}
    >>> flattened({"user": {"age": 3, "id": 7}, "user.age": {}})
    {'user.id': 7}
    """
    if dict not in set(map(type, fields.values())):
        return dict(fields)
    found: dict[str, object] = {}
    objects: set[str] = set()

    def inside(path: str, value: object) -> Iterable[tuple[str, object]] | None:
        if type(value) is not dict:
            return None
        objects.add(path)
        return value.items()

    for path, value in levels(fields, inside):
        if path not in objects:
            found.setdefault(path, value)
    return found


def walked(fields: Mapping[str, object], wanted: Collection[str], inner: Collection[str]) -> Walked:
    """Return the ``wanted`` features of one event; ``inner`` are ``parents_of`` them. Fields in an object that nobody looks into count as one."""
    found: dict[str, object] = {}
    nulls: set[str] = set()
    extra = 0

    def inside(path: str, value: object) -> Iterable[tuple[str, object]] | None:
        return value.items() if type(value) is dict and path in inner and not (path in wanted and path not in found) else None

    for path, value in levels(fields, inside):
        if path in wanted and path not in found:
            found[path] = value
        elif value is None and path in inner:
            nulls.add(path)
        else:
            extra += 1
    return Walked(found, nulls, extra)


def is_null(name: str, nulls: Collection[str]) -> bool:
    """Say whether one of the objects that a feature may lie in is null."""
    return bool(nulls) and any(parent in nulls for parent in parents(name))
