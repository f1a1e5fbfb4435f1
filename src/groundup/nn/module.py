"""Modules: objects that hold parameters and compute with them.

A ``Module`` is a plain class. Nothing is registered: state is found by walking the attributes, and
the lists, tuples and dictionaries among them, in the order in which they were set. A ``Parameter``
is what an optimizer changes, a ``Buffer`` is what the module itself changes (running statistics),
and a plain ``Tensor`` is neither. Names are PyTorch's: ``layers.0.weight`` is the weight of the
first element of the attribute ``layers``, so a ``state_dict`` fits modules of the same structure in
either library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from ..engine.autograd import no_grad
from ..engine.base import tick
from ..engine.dtypes import as_dtype, bfloat16, float16, float32, float64, is_floating
from ..engine.ops.creation import as_tensor
from ..engine.tensor import Tensor
from .attributes import Attributes
from .hooks import Handle, Hooks
from .parameter import Buffer, Parameter
from .summary import Summary, summarize

T = TypeVar("T")


class IncompatibleKeys(NamedTuple):
    """Names that a state lacked, and names that it had beyond the module's."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Attributes):
    """Base class of layers and models: subclasses set attributes and define ``forward``.

    Calling a module calls its ``forward``. There is no need to call ``super().__init__()``.

    Attributes:
        training: whether the module is in training mode (dropout on, batch statistics); see
            ``train``.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         self.layers = [nn.Linear(2, 3), nn.Linear(3, 1)]
        ...
        ...     def forward(self, x):
        ...         return self.layers[1](self.layers[0](x).relu())
        >>> net = Net()
        >>> net(gu.ones(5, 2)).shape
        (5, 1)
        >>> [name for name, _ in net.named_parameters()]
        ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    """

    training: bool = True
    _hooks: Hooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; subclasses define it.

        Raises:
            NotImplementedError: the subclass did not.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it to call it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.run(self, args, kwargs)

    # Walking

    def _walk(
        self, prefix: str, seen: set[int], remove_duplicate: bool
    ) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in find(Module, vars(self).items()):
            yield from child._walk(_join(prefix, name), seen, remove_duplicate)
        if not remove_duplicate:  # only the modules above are left out: a child may know its parent
            seen.discard(id(self))

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their names; a parent comes before its children.

        Args:
            prefix: put before every name.
            remove_duplicate: give a module that stands in several places only once.

        Example:
            >>> net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
            >>> [name for name, _ in net.named_modules()]
            ['', '0', '1', '1.0']
        """
        return self._walk(prefix, set(), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once.

        Example:
            >>> len(list(nn.Sequential(nn.ReLU(), nn.Tanh()).modules()))
            3
        """
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names, each once.

        Example:
            >>> dict(nn.Sequential(nn.ReLU(), nn.Tanh()).named_children())
            {'0': ReLU(), '1': Tanh()}
        """
        seen: set[int] = set()
        for name, child in find(Module, vars(self).items()):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once.

        Example:
            >>> list(nn.Sequential(nn.ReLU(), nn.Tanh()).children())
            [ReLU(), Tanh()]
        """
        for _, child in self.named_children():
            yield child

    def _named(
        self, kind: type[T], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, T]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for place, module in modules:
            for name, value in find(kind, vars(module).items()):
                if not remove_duplicate:
                    yield _join(place, name), value
                elif id(value) not in seen:
                    seen.add(id(value))
                    yield _join(place, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their names.

        Args:
            prefix: put before every name.
            recurse: go into the modules below.
            remove_duplicate: give a shared parameter only once, under its first name.

        Example:
            >>> [(name, p.shape) for name, p in nn.Linear(2, 3).named_parameters()]
            [('weight', (3, 2)), ('bias', (3,))]
        """
        return self._named(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, a shared one once.

        Args:
            recurse: go into the modules below.

        Example:
            >>> sum(p.numel() for p in nn.Linear(2, 3).parameters())
            9
        """
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """All buffers with their names. Arguments as for ``named_parameters``.

        Example:
            >>> [name for name, _ in nn.BatchNorm1d(3).named_buffers()]
            ['running_mean', 'running_var', 'num_batches_tracked']
        """
        return self._named(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """All buffers, a shared one once.

        Args:
            recurse: go into the modules below.

        Example:
            >>> [b.shape for b in nn.BatchNorm1d(3).buffers()]
            [(3,), (3,), ()]
        """
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # Mode and gradients

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all modules below.

        Example:
            >>> net = nn.Sequential(nn.Dropout()).train(False)
            >>> net[0].training
            False
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode: dropout off, running statistics instead of the batch's.

        Example:
            >>> nn.Dropout().eval()(gu.ones(2)).tolist()
            [1.0, 1.0]
        """
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for the gradients of all parameters, or freeze them.

        Example:
            >>> nn.Linear(2, 3).requires_grad_(False).weight.requires_grad
            False
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: drop them; false fills them with zeros.

        Example:
            >>> layer = nn.Linear(2, 1)
            >>> layer(gu.ones(1, 2)).sum().backward()
            >>> layer.zero_grad()
            >>> layer.weight.grad is None
            True
        """
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach() * 0

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call a function with every module below and then with this one.

        Example:
            >>> def clear(module):
            ...     if isinstance(module, nn.Linear):
            ...         nn.init.zeros_(module.weight)
            >>> nn.Sequential(nn.Linear(2, 1)).apply(clear)[0].weight.tolist()
            [[0.0, 0.0]]
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # Conversion

    def to(self, *args: Any, dtype: Any = None, device: str | None = None) -> Self:
        """Convert all floating parameters and buffers (and their gradients) to a dtype.

        The parameters stay the same objects, so an optimizer that holds them sees the change.

        Args:
            *args: a dtype, "cpu", or both.
            dtype: a floating type.
            device: "cpu", accepted so that scripts written for several devices run.

        Raises:
            ValueError: another device. TypeError: a dtype that is not floating.

        Example:
            >>> nn.Linear(2, 3).to(gu.float64).weight.dtype
            dtype('float64')
        """
        for given in (*args, device):
            if isinstance(given, str) and given.split(":")[0] in ("cpu", "cuda", "mps"):
                if given != "cpu":
                    raise ValueError(f"device {given!r}: groundup computes on the CPU; use 'cpu'")
            elif given is not None:
                dtype = given
        if dtype is None:
            return self
        wanted = as_dtype(dtype)
        if not is_floating(wanted):
            raise TypeError(f"to: {wanted.name} is not a floating dtype; use float32 or float64")
        for x in (*self.parameters(), *self.buffers()):
            if x.is_floating_point() and x.dtype != wanted:
                # The array is exchanged rather than assigned to: its memory has another size.
                x.array = x.detach().to(wanted).array
                x.shared_version().changed = tick()
                if x.grad is not None:
                    x.grad = x.grad.to(wanted)
        return self

    def float(self) -> Self:
        """Convert to float32. See ``to``.

        Example:
            >>> nn.Linear(2, 3).double().float().weight.dtype
            dtype('float32')
        """
        return self.to(float32)

    def half(self) -> Self:
        """Convert to float16. See ``to``.

        Example:
            >>> nn.Linear(2, 3).half().weight.dtype
            dtype('float16')
        """
        return self.to(float16)

    def bfloat16(self) -> Self:
        """Convert to bfloat16. See ``to``.

        Example:
            >>> nn.Linear(2, 3).bfloat16().weight.dtype
            dtype(bfloat16)
        """
        return self.to(bfloat16)

    def double(self) -> Self:
        """Convert to float64. See ``to``.

        Example:
            >>> nn.Linear(2, 3).double().weight.dtype
            dtype('float64')
        """
        return self.to(float64)

    # State

    def _state(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers under all their names."""
        return {
            name: value
            for name, value in self._named(Tensor, "", recurse=True, remove_duplicate=False)
            if isinstance(value, Parameter) or (isinstance(value, Buffer) and value.persistent)
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Names of all parameters and persistent buffers, with tensors that share their memory.

        A shared parameter is there under each of its names. ``clone()`` what must not follow
        further training.

        Example:
            >>> {name: x.shape for name, x in nn.Linear(2, 3).state_dict().items()}
            {'weight': (3, 2), 'bias': (3,)}
        """
        return {name: value.detach() for name, value in self._state().items()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Overwrite parameters and buffers with those of the same names; all of them or none.

        Args:
            state_dict: names to tensors, or to arrays; converted to the dtype that is here.
            strict: refuse names that are missing or unexpected. Wrong shapes are always refused.

        Returns:
            (missing_keys, unexpected_keys), both empty when strict.

        Raises:
            RuntimeError: names or shapes do not fit. The message lists every one of them, and
                nothing was changed.

        Example:
            >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
            >>> a.load_state_dict(b.state_dict())
            IncompatibleKeys(missing_keys=[], unexpected_keys=[])
            >>> gu.equal(a.weight, b.weight)
            True
        """
        own = self._state()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        given = {
            name: as_tensor(state_dict[name], dtype=value.dtype)
            for name, value in own.items()
            if name in state_dict
        }
        wrong = [
            f"{name} has shape {value.shape}, expected {own[name].shape}"
            for name, value in given.items()
            if value.shape != own[name].shape
        ]
        problems = [("wrong shapes", "; ".join(wrong))]
        if strict:
            problems = [
                ("missing", ", ".join(missing)),
                ("unexpected", ", ".join(unexpected)),
                *problems,
            ]
        if any(names for _, names in problems):
            found = "".join(f"\n  {kind}: {names}" for kind, names in problems if names)
            raise RuntimeError(
                f"load_state_dict: the state does not fit {type(self).__name__}; "
                f"nothing was changed{found}"
            )
        with no_grad():
            for name, value in given.items():
                own[name].assign(value)
        return IncompatibleKeys(missing, unexpected)

    # Hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> Handle:
        """Call ``hook(module, args)`` before each ``forward``.

        Args:
            hook: may return other positional arguments (a tuple, or a single one), or None.

        Returns:
            A handle: ``remove()`` it, or use it in a ``with`` statement.

        Example:
            >>> layer = nn.ReLU()
            >>> with layer.register_forward_pre_hook(lambda module, args: -args[0]):
            ...     layer(gu.tensor([-2.0, 3.0])).tolist()
            [2.0, 0.0]
        """
        self._hooks = self._hooks or Hooks()
        return Handle(self, self._hooks.before, hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> Handle:
        """Call ``hook(module, args, output)`` after each ``forward``.

        Args:
            hook: may return another output, or None.

        Returns:
            A handle: ``remove()`` it, or use it in a ``with`` statement.

        Example:
            >>> layer, seen = nn.ReLU(), []
            >>> def note(module, args, output):
            ...     seen.append(output.shape)
            >>> with layer.register_forward_hook(note):
            ...     _ = layer(gu.ones(2))
            >>> seen
            [(2,)]
        """
        self._hooks = self._hooks or Hooks()
        return Handle(self, self._hooks.after, hook)

    # Showing

    def summary(self, *args: Any, **kwargs: Any) -> Summary:
        """Run once with example inputs and list every layer: output shape, parameters, operations.

        Args:
            *args: passed to ``forward``, as are keyword arguments.

        Returns:
            An object that prints as a table; see ``Summary``.

        Example:
            >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU()).summary(gu.ones(1, 2)).parameters
            9
        """
        return summarize(self, args, kwargs)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses; subclasses define it.

        Example:
            >>> nn.Linear(2, 3).extra_repr()
            'in_features=2, out_features=3, bias=True'
        """
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [extra] if extra else []
        lines += [f"({name}): {_indent(repr(child))}" for name, child in self.named_children()]
        if len(lines) == bool(extra):
            return f"{type(self).__name__}({extra})"
        inside = "".join(f"  {line}\n" for line in lines)
        return f"{type(self).__name__}(\n{inside})"


def find(
    kind: type[T], items: Iterable[tuple[Any, Any]], prefix: str = ""
) -> Iterator[tuple[str, T]]:
    """The values of a kind among named items, and in the lists, tuples and dictionaries among them.

    Args:
        kind: a class.
        items: names and values.
        prefix: put before every name.

    Example:
        >>> list(find(int, {"a": 1, "b": [2, "x", {"c": 3}]}.items()))
        [('a', 1), ('b.0', 2), ('b.2.c', 3)]
    """
    for name, value in items:
        if isinstance(value, kind):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict):
            yield from find(kind, value.items(), f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield from find(kind, enumerate(value), f"{prefix}{name}.")


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
