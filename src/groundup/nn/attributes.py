"""What happens when an attribute of a module is set, and PyTorch's names for setting one.

Nothing is registered: state is what is found among the attributes. So a ``Parameter`` must not
disappear because something else took its name, and a ``Buffer`` that is given a new tensor must
stay one.
"""

from __future__ import annotations

from typing import Any

from ..engine.tensor import Tensor
from .parameter import Buffer, Parameter

_STATE = (Parameter, Buffer)


class Attributes:
    """What ``Module`` knows about its attributes."""

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        if isinstance(held, _STATE):
            value = _successor(self, name, held, value)
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set an attribute to a ``Buffer``: the same as ``self.name = nn.Buffer(tensor)``.

        Args:
            name: of the attribute.
            tensor: its memory is shared. None sets the attribute to None: no buffer.
            persistent: whether ``state_dict`` includes it.

        Raises:
            KeyError: the name is empty, has a dot, or is that of another attribute or method.

        Example:
            >>> module = nn.Module()
            >>> module.register_buffer("steps", gu.tensor(0))
            >>> module.state_dict()
            {'steps': tensor(0, shape=(), dtype=int64)}
        """
        _check(self, name, Buffer, "buffer")
        setattr(self, name, None if tensor is None else Buffer(tensor, persistent=persistent))

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set an attribute to a parameter: the same as ``self.name = param``.

        Args:
            name: of the attribute.
            param: None sets the attribute to None: no parameter.

        Raises:
            KeyError: the name is empty, has a dot, or is that of another attribute or method.
            TypeError: it is a tensor, but not a parameter.

        Example:
            >>> module = nn.Module()
            >>> module.register_parameter("scale", nn.Parameter(gu.ones(2)))
            >>> [name for name, _ in module.named_parameters()]
            ['scale']
        """
        _check(self, name, Parameter, "parameter")
        if not isinstance(param, Parameter | None):
            raise TypeError(
                f"register_parameter: {name!r} is {type(param).__name__}, expected nn.Parameter or "
                "None"
            )
        setattr(self, name, param)

    def add_module(self, name: str, module: Attributes | None) -> None:
        """Set an attribute to a module: the same as ``self.name = module``.

        Args:
            name: of the attribute; here it may be one that Python could not spell, such as "0".
            module: None sets the attribute to None.

        Raises:
            KeyError: the name is empty, has a dot, or is that of another attribute or method.
            TypeError: it is not a module.

        Example:
            >>> net = nn.Sequential(nn.Linear(2, 3))
            >>> net.add_module("last", nn.ReLU())
            >>> [name for name, _ in net.named_children()]
            ['0', 'last']
        """
        _check(self, name, Attributes, "module")
        if not isinstance(module, Attributes | None):
            raise TypeError(f"add_module: {name!r} is {type(module).__name__}, expected nn.Module")
        setattr(self, name, module)

    register_module = add_module


def _check(owner: Attributes, name: str, kind: type, word: str) -> None:
    held = vars(owner).get(name)
    taken = hasattr(type(owner), name) or (held is not None and not isinstance(held, kind))
    if not name or "." in name or taken:
        raise KeyError(
            f"{type(owner).__name__}: {name!r} cannot name a {word}: names must not be empty, "
            "contain a dot, or be those of other attributes and methods"
        )


def _successor(owner: Attributes, name: str, held: Parameter | Buffer, value: Any) -> Any:
    """What takes the place of a parameter or buffer when a value is assigned to its attribute."""
    if value is None or isinstance(value, Parameter):
        return value
    if isinstance(held, Buffer):
        if isinstance(value, Buffer | Attributes):
            return value
        if isinstance(value, Tensor):
            return held.followed_by(value)
    kind, place = type(held).__name__, f"{type(owner).__name__}.{name}"
    raise TypeError(
        f"{place} is a {kind} and would be lost; got {type(value).__name__}. Assign nn.{kind}(...) "
        f"to replace it, change its values with `with gu.no_grad(): {name}.copy_(...)`, or del it"
    )
