"""Containers: modules and parameters in sequence or under keys.

A module finds its state in plain lists and dictionaries too; these classes are for a chain that is
called as one layer (``Sequential``), and for code that expects PyTorch's. Their elements are
attributes named ``0``, ``1``, ... or by key, so that names in a ``state_dict`` are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..engine.tensor import Tensor
from .module import Module, Parameter


def _module(owner: object, name: object, value: Any) -> Module:
    if not isinstance(value, Module):
        raise TypeError(
            f"{type(owner).__name__}: element {name!r} is {type(value).__name__}, expected a Module"
        )
    return value


def _parameter(owner: object, name: object, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{type(owner).__name__}: element {name!r} is {type(value).__name__}, "
            "expected a Parameter or a tensor"
        )
    return Parameter(value)


class _Container(Module):
    """Elements kept as attributes, in the order in which they were set."""

    _kind: type[Module] | type[Parameter] = Module

    def _set(self, name: str, value: Any) -> None:
        if not name or "." in name or (name not in self._elements() and hasattr(self, name)):
            raise KeyError(
                f"{type(self).__name__}: {name!r} cannot name an element: names must not be empty, "
                "contain a dot, or be those of attributes and methods"
            )
        check = _module if self._kind is Module else _parameter
        setattr(self, name, check(self, name, value))

    def _elements(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, self._kind)}

    def __len__(self) -> int:
        return len(self._elements())


class _Sequence(_Container):
    """Elements named by their position."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.extend(values)

    def _renew(self, values: Iterable[Any]) -> None:
        values = list(values)
        for name in self._elements():
            delattr(self, name)
        self.extend(values)

    def _name(self, index: int) -> str:
        names = list(self._elements())
        if not -len(names) <= index < len(names):
            raise IndexError(
                f"index {index} is out of range for a {type(self).__name__} of {len(names)}"
            )
        return names[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._elements().values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Any) -> None:
        self._set(self._name(index), value)

    def __delitem__(self, index: int | slice) -> None:
        values = list(self)
        del values[index]
        self._renew(values)

    def append(self, value: Any) -> Self:
        """Add an element at the end.

        Example:
            >>> len(nn.ModuleList([nn.ReLU()]).append(nn.Tanh()))
            2
        """
        self._set(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add elements at the end.

        Example:
            >>> len(nn.ModuleList().extend([nn.ReLU(), nn.Tanh()]))
            2
        """
        for value in values:
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> None:
        """Add an element before position ``index``; those after it are renamed.

        Example:
            >>> layers = nn.ModuleList([nn.ReLU()])
            >>> layers.insert(0, nn.Tanh())
            >>> layers[0]
            Tanh()
        """
        values = list(self)
        values.insert(index, value)
        self._renew(values)

    def pop(self, index: int = -1) -> Any:
        """Remove an element and return it; those after it are renamed.

        Example:
            >>> nn.ModuleList([nn.ReLU(), nn.Tanh()]).pop(0)
            ReLU()
        """
        value = self[index]
        del self[index]
        return value


class Sequential(_Sequence):
    """Modules called one after the other, each with the output of the one before.

    Args:
        *modules: the modules, or one dictionary that names them.

    Raises:
        TypeError: an element is not a module. KeyError: a name cannot be used.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> net(gu.ones(5, 2)).shape
        (5, 1)
        >>> net[:2]
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): ReLU()
        )
        >>> nn.Sequential({"first": nn.ReLU()}).first
        ReLU()
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self._set(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        for module in vars(self).values():
            if isinstance(module, Module):
                input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):  # names are kept
            return type(self)(dict(list(self._elements().items())[index]))
        return super().__getitem__(index)


class ModuleList(_Sequence):
    """A list of modules. It cannot be called: loop over it.

    Args:
        modules: the modules.

    Raises:
        TypeError: an element is not a module.

    Example:
        >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__(modules or ())


class ParameterList(_Sequence):
    """A list of parameters.

    Args:
        values: parameters, or tensors that become parameters.

    Raises:
        TypeError: an element is not a tensor.

    Example:
        >>> [name for name, _ in nn.ParameterList([gu.zeros(2), gu.zeros(3)]).named_parameters()]
        ['0', '1']
    """

    _kind = Parameter

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__(values or ())

    def extra_repr(self) -> str:
        return _list_parameters(self._elements())


class _Dictionary(_Container):
    """Elements named by key."""

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> None:
        self.update(values or {})

    def __getitem__(self, key: str) -> Any:
        return self._elements()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set(key, value)

    def __delitem__(self, key: str) -> None:
        del vars(self)[key]

    def __contains__(self, key: object) -> bool:
        return key in self._elements()

    def __iter__(self) -> Iterator[str]:
        return iter(self._elements())

    def keys(self) -> Iterable[str]:
        """The keys, in the order in which they were set.

        Example:
            >>> list(nn.ModuleDict({"a": nn.ReLU()}).keys())
            ['a']
        """
        return self._elements().keys()

    def values(self) -> Iterable[Any]:
        """The elements.

        Example:
            >>> list(nn.ModuleDict({"a": nn.ReLU()}).values())
            [ReLU()]
        """
        return self._elements().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Keys with elements.

        Example:
            >>> list(nn.ModuleDict({"a": nn.ReLU()}).items())
            [('a', ReLU())]
        """
        return self._elements().items()

    def pop(self, key: str) -> Any:
        """Remove an element and return it.

        Example:
            >>> nn.ModuleDict({"a": nn.ReLU()}).pop("a")
            ReLU()
        """
        value = self[key]
        del self[key]
        return value

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set several elements.

        Example:
            >>> layers = nn.ModuleDict()
            >>> layers.update({"a": nn.ReLU(), "b": nn.Tanh()})
            >>> len(layers)
            2
        """
        for key, value in values.items() if isinstance(values, Mapping) else values:
            self[key] = value


class ModuleDict(_Dictionary):
    """Modules under keys. It cannot be called.

    Args:
        modules: keys to modules.

    Raises:
        TypeError: an element is not a module. KeyError: a key is empty, holds a dot, or is the name
            of a method.

    Example:
        >>> heads = nn.ModuleDict({"value": nn.Linear(4, 1), "policy": nn.Linear(4, 2)})
        >>> heads["policy"](gu.ones(3, 4)).shape
        (3, 2)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__(modules)


class ParameterDict(_Dictionary):
    """Parameters under keys.

    Args:
        parameters: keys to parameters, or to tensors that become parameters.

    Raises:
        TypeError: an element is not a tensor. KeyError: a key is empty, holds a dot, or is the name
            of a method.

    Example:
        >>> nn.ParameterDict({"scale": gu.ones(2)})["scale"].requires_grad
        True
    """

    _kind = Parameter

    def __init__(self, parameters: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(parameters)

    def extra_repr(self) -> str:
        return _list_parameters(self._elements())


def _list_parameters(elements: dict[str, Parameter]) -> str:
    return ", ".join(f"{name}: {p.shape} {p.dtype.name}" for name, p in elements.items())
