"""Which reference an event meets: decided by its model, its version and its event time, never by when it is processed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from driftline.contracts.reference import ANY_VERSION, Reference


class ReferenceBook:
    """The references of all models, as stored so far.

    A version meets its own references; a version without any meets those of ``*``, and failing these the model's whatever their version, so that a
    service which deploys before it registers stays watched. Among several the one with the greatest ``effective_from`` not after the event holds;
    before the first of them, the first.
    """

    def __init__(self) -> None:
        self._references: dict[str, dict[str, Reference]] = {}
        self._timelines: dict[tuple[str, str], tuple[list[int], list[Reference]]] = {}

    def add(self, references: Iterable[Reference]) -> None:
        """Take references in; one known already changes nothing."""
        for reference in references:
            self._references.setdefault(reference.model, {})[reference.reference_id] = reference
            self._timelines = {key: line for key, line in self._timelines.items() if key[0] != reference.model}

    def has(self, model: str) -> bool:
        """Say whether the model has any reference."""
        return model in self._references

    def knows(self, model: str, version: str) -> bool:
        """Say whether the version has a reference of its own, or one that serves every version."""
        return any(r.version in (version, ANY_VERSION) for r in self._references.get(model, {}).values())

    def of(self, model: str) -> list[Reference]:
        """Return a model's references."""
        return list(self._references.get(model, {}).values())

    def registered(self, model: str, version: str) -> bool:
        """Say whether the version has a reference of its own."""
        return any(r.version == version for r in self._references.get(model, {}).values())

    def get(self, model: str, reference_id: str) -> Reference | None:
        """Return a reference by its id."""
        return self._references.get(model, {}).get(reference_id)

    def timeline(self, model: str, version: str) -> tuple[list[int], list[Reference]]:
        """Return the references that a version meets and the event times from which each but the first holds; both empty for a model without any."""
        key = (model, version)
        line = self._timelines.get(key)
        if line is None:
            line = self._timelines[key] = self._drawn(model, version)
        return line

    def at(self, model: str, version: str, event_time: int) -> Reference | None:
        """Return the reference that holds for an event, None while the model is learning."""
        turns, references = self.timeline(model, version)
        return references[bisect_right(turns, event_time)] if references else None

    def _drawn(self, model: str, version: str) -> tuple[list[int], list[Reference]]:
        everything = self._references.get(model, {}).values()
        for wanted in (version, ANY_VERSION):
            own = [r for r in everything if r.version == wanted]
            if own:
                break
        else:
            own = list(everything)
        own.sort(key=lambda r: (r.effective_from, r.reference_id))
        return [r.effective_from for r in own[1:]], own
