"""An optimizer's state as named tensors and JSON, which is what a checkpoint file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.tensor import Tensor


def flatten_state(state_dict: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split what ``Optimizer.state_dict`` gave into tensors and a JSON value.

    Returns:
        (tensors under names like "0.exp_avg": the parameter's position and the state's name,
        {"param_groups": [...]}).

    Example:
        >>> x = gu.ones(2, requires_grad=True)
        >>> optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
        >>> x.sum().backward()
        >>> optimizer.step()
        >>> tensors, metadata = flatten_state(optimizer.state_dict())
        >>> tensors
        {'0.momentum_buffer': tensor([1., 1.], shape=(2,), dtype=float32)}
        >>> metadata["param_groups"][0]["momentum"]
        0.9
    """
    tensors = {
        f"{i}.{name}": value
        for i, state in state_dict["state"].items()
        for name, value in state.items()
    }
    groups = [
        {key: list(value) if isinstance(value, tuple) else value for key, value in group.items()}
        for group in state_dict["param_groups"]
    ]
    return tensors, {"param_groups": groups}


def unflatten_state(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``flatten_state``: what ``Optimizer.load_state_dict`` takes.

    Raises:
        ValueError: a name is not a position and a name with a dot between them, or the metadata has
            no groups.

    Example:
        >>> unflatten_state({"0.exp_avg": gu.zeros(1)}, {"param_groups": []})
        {'state': {0: {'exp_avg': tensor([0.], shape=(1,), dtype=float32)}}, 'param_groups': []}
    """
    if "param_groups" not in metadata:
        raise ValueError(f'no optimizer state: expected "param_groups", got {sorted(metadata)}')
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, _, name = key.partition(".")
        if not (position.isdecimal() and name):
            raise ValueError(f"no optimizer state: {key!r}, expected a name like '0.exp_avg'")
        state.setdefault(int(position), {})[name] = value
    return {"state": state, "param_groups": list(metadata["param_groups"])}
