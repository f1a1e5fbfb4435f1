"""Nested state as named tensors and JSON, and back.

Whatever is saved hands over a tree: dictionaries, lists, tuples, numbers, strings, None, with
tensors as leaves. A checkpoint file holds named tensors and one JSON value. ``pack`` takes the
tensors out and leaves their names in the tree; ``unpack`` puts them back. What JSON lacks is
spelled with keys that start with a dollar sign: ``{"$tensor": name}``, ``{"$tuple": [...]}``, and
``{"$items": [[key, value], ...]}`` for a dictionary whose keys are not all strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tensor import Tensor


def pack(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Take the tensors out of a tree.

    Args:
        tree: dictionaries, lists, tuples, numbers, strings, None and tensors.
        name: what the names of its tensors begin with; the path in the tree follows.
        tensors: where the tensors go, by name.

    Returns:
        The tree as a JSON value.

    Raises:
        TypeError: something else is in the tree.
        ValueError: two tensors would have the same name.

    Example:
        >>> tensors = {}
        >>> pack({"step": 3, 0: [gu.zeros(2)]}, "adam", tensors)
        {'$items': [['step', 3], [0, [{'$tensor': 'adam/0/0'}]]]}
        >>> list(tensors)
        ['adam/0/0']
    """
    if isinstance(tree, Tensor):
        if name in tensors:
            raise ValueError(
                f"two tensors are called {name!r}; avoid '/' in the names of the state"
            )
        tensors[name] = tree
        return {"$tensor": name}
    if tree is None or type(tree) in (bool, int, float, str):
        return tree
    if isinstance(tree, Mapping):
        inside = [(key, pack(value, f"{name}/{key}", tensors)) for key, value in tree.items()]
        if all(type(key) is str and not key.startswith("$") for key in tree):
            return dict(inside)
        return {"$items": [[pack(key, name, {}), value] for key, value in inside]}
    if isinstance(tree, list | tuple):
        values = [pack(value, f"{name}/{i}", tensors) for i, value in enumerate(tree)]
        return values if isinstance(tree, list) else {"$tuple": values}
    raise TypeError(
        f"{name} is {type(tree).__name__}, which a checkpoint cannot hold; expected tensors, "
        "numbers, strings, None, or lists, tuples and dictionaries of them"
    )


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The tree of which ``pack`` made a JSON value and tensors.

    Args:
        value: the JSON value.
        tensors: the tensors by name.

    Raises:
        KeyError: a tensor that the value names is missing.

    Example:
        >>> tensors = {}
        >>> unpack(pack({"betas": (0.9, 0.99), 1: gu.ones(1)}, "adam", tensors), tensors)
        {'betas': (0.9, 0.99), 1: tensor([1.], shape=(1,), dtype=float32)}
    """
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(unpack(item, tensors) for item in value["$tuple"])
    if "$items" in value:
        return {unpack(key, tensors): unpack(item, tensors) for key, item in value["$items"]}
    return {key: unpack(item, tensors) for key, item in value.items()}
