"""A River detector's state as plain data, and back into a fresh detector of the same kind. No pickle: the bytes name no class, build no object.

The fresh detector decides what is accepted. Its attributes are filled one by one: numbers, texts and truth values as they are, deques as lists,
River's own small statistics by their attributes, the generator of KSWIN by its words, and what is compiled (ADWIN's buckets, an exponential mean) by
the bytes that River makes of it, which a compiled decoder reads. That decoder panics on bytes that are not its own, so a checksum and River's version
stand before everything and are looked at first.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from river.__version__ import __version__ as river_version

#: Changes of this file's own rules.
_FORMAT = 1
_CHECK = 16
_SCALARS = (bool, int, float, str, type(None))
#: Longest window that any detector may have, by its parameters' ranges.
_LONGEST = 100_000

Tree = dict[str, Any]


class _Packed(msgspec.Struct, array_like=True):
    format: int
    river: str
    owner: str
    tree: Tree


def encode_state(detector: Any, owner: str, extra: Tree) -> bytes:
    """Return the bytes of a detector that belongs to ``owner`` (its name and parameters), with a few values of its wrapper's."""
    body = msgspec.msgpack.encode(_Packed(_FORMAT, river_version, owner, {"river": _tree(detector), "own": extra}))
    return _checksum(body) + body


def restore(raw: bytes, detector: Any, owner: str) -> Tree:
    """Fill a fresh detector from its bytes and return the wrapper's values; ValueError where they are damaged, another's, or of another River."""
    check, body = raw[:_CHECK], raw[_CHECK:]
    if check != _checksum(body):
        raise ValueError("not the state of a sequential detector, or a damaged one")
    try:
        packed = msgspec.msgpack.decode(body, type=_Packed)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not the state of a sequential detector: {error}") from error
    if (packed.format, packed.river, packed.owner) != (_FORMAT, river_version, owner):
        raise ValueError("the state belongs to another detector, other parameters or another River")
    _fill(detector, packed.tree["river"])
    own = packed.tree["own"]
    return own if isinstance(own, dict) else {}


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK).digest()


def _tree(thing: Any) -> Tree:
    return {name: _value(value) for name, value in vars(thing).items() if not callable(value)}


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):  # before the scalars: NumPy's float64 is a float, and MessagePack refuses it
        return value.item()
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, deque):
        return [float(one) for one in value]
    if isinstance(value, random.Random):
        version, words, gauss = value.getstate()
        return [version, list(words), gauss]
    if hasattr(value, "__dict__"):
        return _tree(value)
    raw = value.__getstate__()
    if not isinstance(raw, bytes):
        raise TypeError(f"no plain state: {type(value).__name__}")
    return raw


def _fill(thing: Any, tree: Mapping[str, Any]) -> None:
    """Give each attribute of the fresh ``thing`` its stored value; ValueError where the two do not fit."""
    known = {name for name, value in vars(thing).items() if not callable(value)}
    if not isinstance(tree, dict) or known != tree.keys():
        raise ValueError("the state does not fit its detector")
    for name in known:
        setattr(thing, name, _filled(getattr(thing, name), tree[name]))


def _filled(fresh: Any, stored: Any) -> Any:
    if isinstance(fresh, _SCALARS):
        return stored
    if isinstance(fresh, deque):
        if len(stored) > _LONGEST:
            raise ValueError("the state does not fit its detector")
        return deque(stored, maxlen=fresh.maxlen)
    if isinstance(fresh, random.Random):
        version, words, gauss = stored
        fresh.setstate((version, tuple(words), gauss))
    elif hasattr(fresh, "__dict__"):
        _fill(fresh, stored)
    else:
        fresh.__setstate__(stored)
    return fresh
