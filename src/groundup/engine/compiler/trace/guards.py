"""Comparing what a trace has read of Python with what is there now, quickly.

In: places (an entry of a dictionary, an attribute, the contents of a list) with what was there.
Out: whether all of it is as it was, asked before each call, and what is not, for the message.

A model of a few layers has some hundred places, and its step may take only microseconds. So the
places are kept in columns, by how one looks there, and a column is compared by ``map``, which runs
in C: some thirty nanoseconds a place. Only when something differs are the places gone through one
by one, for numbers are compared by value, and the message has to name the place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from operator import eq, getitem, is_
from typing import Any

import numpy as np

from ...base import TensorBase

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, Enum)
"""What is compared by value."""
ABSENT: Any = type("absent", (), {"__repr__": lambda _: "absent"})()
"""Stands for what is not there."""
_LOST = (KeyError, AttributeError, IndexError, ValueError)


@dataclass(slots=True)
class _Column:
    """Places where one looks in the same way: arguments of a function of C, and what it gave."""

    holders: list[Any] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, label: str, holder: Any, key: Any, value: Any) -> None:
        self.holders.append(holder)
        self.keys.append(key)
        self.values.append(value)
        self.labels.append(label)


class Guards:
    """Places and what was there; ``changed`` tells what is not there any more.

    Example:
        >>> from groundup.engine.compiler.trace.guards import Guards
        >>> settings, guards = {"scale": 2.0, "verbose": True}, Guards()
        >>> guards.entry("settings['scale']", settings, "scale", 2.0)
        >>> settings["verbose"] = False
        >>> guards.changed() is None
        True
        >>> settings["scale"] = 3.0
        >>> guards.changed()
        "settings['scale']: 2.0 became 3.0"
    """

    def __init__(self) -> None:
        self._entries, self._attributes, self._inherited = _Column(), _Column(), _Column()
        self._sizes, self._contents = _Column(), _Column()
        self._containers: list[Collection[Any]] = []
        self._conditions: list[tuple[str, Callable[[], bool]]] = []

    # Places

    def entry(self, label: str, holder: Any, key: Any, value: Any) -> None:
        """The entry of a dictionary under a key."""
        self._entries.add(label, holder, key, value)

    def attribute(self, label: str, holder: Any, key: str, value: Any) -> None:
        """An attribute of an object, such as the contents of a cell."""
        self._attributes.add(label, holder, key, value)

    def inherited(self, label: str, holder: dict[str, Any], key: str, default: Any) -> None:
        """A dictionary has no such entry, so that what the class has counts."""
        self._inherited.add(label, holder, key, default)

    def size(self, name: str, items: Collection[Any]) -> None:
        """How many items there are."""
        self._sizes.add(f"the number of entries of {name}", items, None, len(items))

    def contents(self, items: Collection[Any], labels: Iterable[str]) -> None:
        """All items in their order; their number has to be guarded too."""
        self._containers.append(items)
        for label, item in zip(labels, items, strict=True):
            self._contents.add(label, None, None, item)

    def condition(self, label: str, holds: Callable[[], bool]) -> None:
        """Something that has to hold."""
        self._conditions.append((label, holds))

    # Comparing

    def changed(self) -> str | None:
        """What differs from what was there; None if nothing does."""
        return None if self._same() else next(self._differences(), None)

    def _same(self) -> bool:
        """Whether everything is the very object that it was: the quick answer."""
        sizes, entries, own = self._sizes, self._entries, self._attributes
        inherited, contents = self._inherited, self._contents
        found = map(dict.get, inherited.holders, inherited.keys, inherited.values)
        try:
            return (
                all(map(eq, map(len, sizes.holders), sizes.values))
                and all(map(is_, map(getitem, entries.holders, entries.keys), entries.values))
                and all(map(is_, map(getattr, own.holders, own.keys), own.values))
                and all(map(is_, found, inherited.values))
                and all(map(is_, chain.from_iterable(self._containers), contents.values))
                and all(holds() for _, holds in self._conditions)
            )
        except _LOST:
            return False

    def _differences(self) -> Iterator[str]:
        """What is not as it was, in words."""
        sizes = zip(self._sizes.labels, self._sizes.holders, self._sizes.values, strict=True)
        for label, items, many in sizes:
            if len(items) != many:
                yield f"{label}: {many} became {len(items)}"
        looks: list[tuple[_Column, Callable[[Any, Any, Any], Any]]] = [
            (self._entries, lambda holder, key, _: holder[key]),
            (self._attributes, lambda holder, key, _: getattr(holder, key)),
            (self._inherited, dict.get),
        ]
        for column, look in looks:
            places = zip(column.labels, column.holders, column.keys, column.values, strict=True)
            for label, holder, key, old in places:
                try:
                    new = look(holder, key, old)
                except _LOST as error:
                    yield f"{label.rpartition('.')[0] or label} has lost {error}"
                    continue
                if not _same(old, new):
                    yield f"{label}: {short(old)} became {short(new)}"
        now = chain.from_iterable(self._containers)
        for label, old, new in zip(self._contents.labels, self._contents.values, now, strict=False):
            if not _same(old, new):
                yield f"{label}: {short(old)} became {short(new)}"
        for label, holds in self._conditions:
            if not holds():
                yield f"{label} has changed"


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if not isinstance(old, PLAIN) or type(old) is not type(new):
        return False
    return bool(old == new) or bool(old != old and new != new)  # NaN is as it was


def short(value: Any) -> str:
    """A value as messages show it.

    Example:
        >>> from groundup.engine.compiler.trace.guards import short
        >>> short(2.5), short(gu.zeros(2, 3)), short([1, 2])
        ('2.5', 'a tensor of shape (2, 3)', 'a list')
    """
    if isinstance(value, PLAIN) or value is ABSENT:
        return repr(value)
    if isinstance(value, TensorBase):
        return f"a tensor of shape {value.array.shape}"
    return f"a {type(value).__name__}"
