"""Labels that stay few: a name of its own for the first so many, one name for all others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

OTHER: Final = "__other__"


class Capped:
    """At most ``most`` names besides OTHER: those given first, whether they come or not, then those that come first.

    >>> label = Capped(2, first=["paid"])
    >>> [label(name) for name in ("a", "b", "paid", "a")]
    ['a', '__other__', 'paid', 'a']
    """

    def __init__(self, most: int, first: Iterable[str] = ()) -> None:
        self._most = most
        self._known = dict.fromkeys(list(dict.fromkeys(first))[:most])

    def __call__(self, name: str) -> str:
        """Return the label of a name."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known[name] = None
        return name


class Labels:
    """The labels of one process: of models, and for each model of its columns. Configured ones come first."""

    def __init__(self, models: int = 50, columns: int = 50, configured: dict[str, tuple[str, ...]] | None = None) -> None:
        self._configured = configured or {}
        self._columns_most = columns
        self._columns: dict[str, Capped] = {}
        self.model = Capped(models, self._configured)

    def column(self, model: str, column: str) -> str:
        """Return the label of a model's column; all columns of models without a label are one."""
        label = self.model(model)
        if label == OTHER:
            return OTHER
        if label not in self._columns:
            self._columns[label] = Capped(self._columns_most, self._configured.get(label, ()))
        return self._columns[label](column)
