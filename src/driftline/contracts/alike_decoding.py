"""Events of known models, most of them read by how they are written; the others as structs. What fits neither is left for ``decode_inference``.

To read by a template is a bet, as ``typed_events`` is one: what does not have its bytes, or a value that is not read there, is left for the other
ways, and all mean the same. A template is learned from an event that was read as a struct, once there are many of its model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.compiling import Compiling
from driftline.contracts.joined_values import Joined
from driftline.contracts.templates import template_of
from driftline.contracts.typed_events import MOST_MODELS, Shape, TypedDecoder, TypedEvent

if TYPE_CHECKING:
    from driftline.contracts.template_reading import Scanner

#: So many structs of a model are made before its next template is learned, and so few records are not worth a look at templates.
LEARNED_AFTER: Final = 2_048
FEW: Final = 32
#: Templates in use, of all models and all who publish for them; the one that read something longest ago makes room.
_MOST: Final = 16

Ints = NDArray[np.int64]


class AlikeDecoder:
    """Decodes the events of the models whose shapes it was told."""

    def __init__(self, *, learned_after: int = LEARNED_AFTER, few: int = FEW) -> None:
        self._typed = TypedDecoder()
        self._scanners: list[Scanner] = []
        #: How many structs have been made, of each model whose events are to be read by templates, since it was given the last one.
        self._structs: dict[str, int] = {}
        self._learned_after = learned_after
        self._few = few

    def expect(self, model: str, shape: Shape | None, *, by_template: bool = True) -> None:
        """Read the events of a model as ``shape`` says; with None, leave their features unread.

        To learn templates is of use where most events need not be looked at one by one.
        """
        self._typed.expect(model, shape)
        if not by_template:
            self._structs.pop(model, None)
        elif model not in self._structs:
            self._structs[model] = 0
            if len(self._structs) > MOST_MODELS:
                del self._structs[next(iter(self._structs))]
        self._scanners = [scanner for scanner in self._scanners if scanner.template.model != model or scanner.template.shape == shape]

    def decode(self, raws: Sequence[bytes | None]) -> tuple[list[AlikeEvents | TypedEvent | None], list[int]]:
        """Return for each the events that it is one of, the event, or None where it has to be read the other way; and the places of those."""
        contents: list[AlikeEvents | TypedEvent | None] = [None] * len(raws)
        left = self._by_templates(raws, contents)
        if len(left) == len(raws):
            raws = [*raws]
            events, unfit = self._typed.decode(raws)
            self._learn(raws, events)
            return [*events], unfit
        if not len(left):
            return contents, []
        rest = [raws[i] for i in left.tolist()]
        events, unfit = self._typed.decode(rest)
        self._learn(rest, events)
        for i, event in zip(left.tolist(), events, strict=True):
            contents[i] = event
        return contents, left[unfit].tolist()

    def _by_templates(self, raws: Sequence[bytes | None], contents: list[AlikeEvents | TypedEvent | None]) -> Ints:
        """Put the events that have a template into ``contents``; return the places of the others."""
        left = np.arange(len(raws))
        if not self._scanners or len(raws) < self._few:
            return left
        records = Joined.of(raws)
        of_use: list[Scanner] = []
        for scanner in self._scanners:
            found = scanner.read(records, left) if len(left) else None
            if found is None:
                continue
            of_use.append(scanner)
            if len(found) == len(contents):
                contents[:] = [found] * len(found)
                left = left[:0]
                continue
            for i in found.at.tolist():
                contents[i] = found
            left = np.setdiff1d(left, found.at, assume_unique=True)
        if of_use != self._scanners[: len(of_use)]:
            self._scanners = of_use + [scanner for scanner in self._scanners if scanner not in of_use]
        return left

    def _learn(self, raws: Sequence[bytes | None], events: Sequence[TypedEvent | None]) -> None:
        """Learn a template of each model that many events have been read of as structs."""
        for kind, n in Counter(map(type, events)).items():
            if not issubclass(kind, TypedEvent):
                continue
            model = str(kind.__struct_config__.tag)
            if model not in self._structs:
                continue
            self._structs[model] += n
            if self._structs[model] < self._learned_after or not compiling.ready():
                continue
            self._structs[model] = 0
            raw = next(raw for raw, event in zip(raws, events, strict=True) if type(event) is kind)
            template = template_of(raw or b"", model, kind.shape)
            if template is not None and all(scanner.template != template for scanner in self._scanners):
                from driftline.contracts.template_reading import Scanner

                self._scanners = [Scanner(template), *self._scanners[: _MOST - 1]]


def _try() -> None:
    """Read an event by a template, with everything that is compiled for that."""
    from driftline.contracts.template_reading import Scanner

    raw = b'{"event_id":"a","model":"m","version":"1","event_time":1362114900000,"features":{"x":1.5}}'
    template = template_of(raw, "m", Shape(("x",), ()))
    if template is None or Scanner(template).read(Joined.of([raw]), np.zeros(1, np.int64)) is None:
        raise RuntimeError("what was compiled does not read an event")


compiling: Final = Compiling("templates", _try)
"""The compiled code of this process that reads by templates."""
