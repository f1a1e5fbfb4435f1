"""Nested structures: what is in lists, tuples and dictionaries, taken apart and put together.

Named tuples and dataclasses are taken apart too. Objects of other classes are leaves, also those
that behave like a list or a dictionary, such as a list of modules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ...tensor import Tensor

_COMMON = frozenset({Tensor, bool, int, float, str, type(None)})
"""Leaves, told at once."""


def leaves(tree: Any, into: list[Any]) -> Any:
    """Take the leaves out of a tree.

    Args:
        tree: lists, tuples, named tuples, dictionaries and dataclasses, with anything else as
            leaves.
        into: where the leaves go, in order.

    Returns:
        The structure, hashable; two trees that differ in their leaves alone have equal ones.

    Example:
        >>> found = []
        >>> leaves({"a": [1, 2], "b": (3,)}, found) == leaves({"a": [5, 6], "b": (7,)}, [])
        True
        >>> found
        [1, 2, 3]
    """
    cls = type(tree)
    if cls in _COMMON:
        into.append(tree)
        return None
    if cls is tuple or cls is list or _named(tree):
        return (cls, *[leaves(item, into) for item in tree])
    if cls is dict:
        return (cls, *[(key, leaves(item, into)) for key, item in tree.items()])
    if _fields(tree):
        return (cls, *[leaves(getattr(tree, name), into) for name in _fields(tree)])
    into.append(tree)
    return None


def filled(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same structure with a function of each leaf in its place.

    Example:
        >>> filled({"a": [1, 2]}, lambda x: x + 1)
        {'a': [2, 3]}
    """
    cls = type(tree)
    if cls is tuple or cls is list:
        return cls([filled(item, leaf) for item in tree])
    if cls is dict:
        return {key: filled(item, leaf) for key, item in tree.items()}
    if _named(tree):
        return cls(*[filled(item, leaf) for item in tree])
    if _fields(tree):
        return dataclasses.replace(
            tree, **{name: filled(getattr(tree, name), leaf) for name in _fields(tree)}
        )
    return leaf(tree)


def _named(tree: Any) -> bool:
    """Whether it is a named tuple."""
    return isinstance(tree, tuple) and hasattr(tree, "_fields")


def _fields(tree: Any) -> list[str]:
    """The names of a dataclass's fields; none if it cannot be made of them."""
    if not hasattr(tree, "__dataclass_fields__") or isinstance(tree, type):
        return []
    fields = dataclasses.fields(tree)
    return [f.name for f in fields] if all(f.init for f in fields) else []
