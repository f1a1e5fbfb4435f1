"""Calling a module with other parameters than its own.

The tensors given may be the result of operations, so gradients flow through them to whatever they
were computed from: the initial weights of a learner that took some steps (Finn et al., 2017), or a
network that produces the weights of another (Ha et al., 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from ..engine.tensor import Tensor
from .module import Module

Place = tuple[Any, Any, Any]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a module with some of its parameters and buffers replaced.

    What is not named keeps its own value. The module is as before when the call ends, also by an
    error. A shared parameter is replaced in all its places, by whichever of its names it is given.

    Args:
        module: the module to call.
        parameter_and_buffer_dicts: names, as in ``state_dict``, to tensors.
        args: a tuple of arguments, or a single one.
        kwargs: arguments by name.

    Returns:
        What the module returns.

    Raises:
        KeyError: the module has no parameter or buffer of a name.
        ValueError: two names of one shared parameter are given different tensors.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> new = {"weight": gu.tensor([[2.0]], requires_grad=True), "bias": gu.tensor([1.0])}
        >>> y = gu.functional_call(layer, new, gu.tensor([3.0]))
        >>> y.backward()
        >>> y.item(), new["weight"].grad.item()
        (7.0, 3.0)
    """
    own = dict(
        chain(
            module.named_parameters(remove_duplicate=False),
            module.named_buffers(remove_duplicate=False),
        )
    )
    new: dict[int, Tensor] = {}
    for name, value in parameter_and_buffer_dicts.items():
        if name not in own:
            raise KeyError(
                f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}; "
                f"it has {', '.join(own)}"
            )
        if new.setdefault(id(own[name]), value) is not value:
            raise ValueError(
                f"functional_call: {name!r} is another name of a parameter that is already given; "
                "give one of the names, or the same tensor for each"
            )
    replaced: list[Place] = []
    try:
        for part in module.modules():
            _replace(vars(part), new, replaced)
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for holder, key, value in reversed(replaced):
            holder[key] = value


def _replace(
    holder: dict[Any, Any] | list[Any], new: dict[int, Tensor], replaced: list[Place]
) -> None:
    """Exchange tensors in a dictionary or list and below; note what stood where."""
    places = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
    for key, value in places:
        if id(value) in new:
            other: Any = new[id(value)]
        elif isinstance(value, dict | list):
            _replace(value, new, replaced)
            continue
        elif isinstance(value, tuple):
            parts = list(value)
            _replace(parts, new, replaced)
            if all(a is b for a, b in zip(parts, value, strict=True)):
                continue
            other = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        else:
            continue
        replaced.append((holder, key, value))
        holder[key] = other
