"""What all optimizers share: groups of parameters, state, the step around the update rule, saving.

An optimizer is an update rule (``update``) and the tensors it remembers of each parameter
(``initial_state``). This file does the rest. A rule is written with tensor operations under
``no_grad`` and changes tensors with ``assign`` only, also the count of steps, so that a whole
training step can be traced and compiled; what differs from group to group are plain numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..engine.autograd import enable_grad, no_grad
from ..engine.dtypes import DType
from ..engine.ops.creation import zeros_like
from ..engine.tensor import Tensor

Group = dict[str, Any]
State = dict[str, Tensor]
Params = Tensor | Iterable[Tensor | tuple[str, Tensor] | Group]


class Optimizer(ABC):
    """Base class of optimizers.

    A subclass defines ``update``, and where it needs them ``initial_state`` and ``check``.

    Args:
        params: what to optimize: tensors, ``(name, tensor)`` pairs, or groups, which are
            dictionaries with such a collection under "params" and hyper-parameters of their own.
        defaults: hyper-parameters of groups that do not set them.

    Attributes:
        param_groups: the groups: "params" is a list of tensors, the rest are hyper-parameters,
            which may be changed between steps.
        state: for each parameter that has made a step, tensors by name.

    Raises:
        TypeError: a parameter is not a floating tensor, or the collection has no order.
        ValueError: there are no parameters, one is there twice or is not a leaf, or a
            hyper-parameter is out of range.

    Example:
        >>> class SignDescent(Optimizer):
        ...     def update(self, params, group):
        ...         for param in params:
        ...             param.assign(param - group["lr"] * param.grad.sign())
        >>> x = gu.tensor([2.0, -3.0], requires_grad=True)
        >>> optimizer = SignDescent([x], {"lr": 0.5})
        >>> x.square().sum().backward()
        >>> optimizer.step()
        >>> x.tolist()
        [1.5, -2.5]
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: dict[Tensor, State] = {}
        self.param_groups: list[Group] = []
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError(
                f"{type(self).__name__}: there are no parameters; was an iterator used up before?"
            )
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + "("]
        for i, group in enumerate(self.param_groups):
            numbers = [f"{key}={value}" for key, value in group.items() if key not in _PARAMS]
            lines.append(f"  group {i}: {len(group['params'])} tensors, {', '.join(numbers)}")
        return "\n".join([*lines, ")"])

    # What a subclass defines

    @abstractmethod
    def update(self, params: list[Tensor], group: Group) -> None:
        """Change the parameters of one group that have a gradient; called under ``no_grad``."""

    def initial_state(self, param: Tensor, group: Group) -> State:
        """What is remembered of a parameter before its first step; a counter is named "step"."""
        return {}

    def check(self, group: Group) -> None:
        """Refuse hyper-parameters that are out of range; every rule has a learning rate."""
        check_range(self, "lr", group["lr"])

    # What a user calls

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize more parameters, with hyper-parameters of their own.

        Args:
            param_group: "params" (a tensor, tensors, or ``(name, tensor)`` pairs) and the
                hyper-parameters that differ from the defaults.

        Raises:
            TypeError, ValueError: as for the class; nothing was added.

        Example:
            >>> a, b = gu.ones(2, requires_grad=True), gu.ones(3, requires_grad=True)
            >>> optimizer = optim.SGD([a], lr=0.1)
            >>> optimizer.add_param_group({"params": b, "lr": 0.01})
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.1, 0.01]
        """
        owner = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f'{owner}: a group is a dictionary with "params", got {param_group!r}')
        names, params = _names_and_tensors(owner, param_group["params"])
        held = {param for group in self.param_groups for param in group["params"]}
        for param in params:
            if param in held:
                raise ValueError(f"{owner}: a parameter of shape {param.shape} is there twice")
            held.add(param)
        group = {**self.defaults, **param_group, "params": params}
        if names:
            group["param_names"] = names
        if self.param_groups and ("param_names" in group) != (
            "param_names" in self.param_groups[0]
        ):
            raise ValueError(f"{owner}: name the parameters of all groups or of none")
        self.check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: drop them; false fills them with zeros, so that parameters without a new
                gradient still take part in the next step (momentum, weight decay).

        Example:
            >>> x = gu.ones(1, requires_grad=True)
            >>> optimizer = optim.SGD([x], lr=0.1)
            >>> x.sum().backward()
            >>> optimizer.zero_grad()
            >>> x.grad is None
            True
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none or param.grad is None:
                    param.grad = None
                elif param.grad.requires_grad:  # it has a history, which must not be zeroed
                    param.grad = zeros_like(param)
                else:
                    param.grad.assign(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew; it is called first.

        Returns:
            What the closure returned, or None.

        Example:
            >>> x = gu.tensor([1.0], requires_grad=True)
            >>> optimizer = optim.SGD([x], lr=0.1)
            >>> x.square().sum().backward()
            >>> optimizer.step()
            >>> x.tolist()
            [0.800000011920929]
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                params = [param for param in group["params"] if param.grad is not None]
                if params:
                    self.update(params, group)
        return loss

    # What update rules use

    def gradient(self, param: Tensor, group: Group) -> Tensor:
        """The direction to descend: negated to maximize, plus the slope of an L2 penalty.

        The penalty is ``weight_decay / 2 * sum(param**2)``, with slope ``weight_decay * param``.
        """
        assert param.grad is not None
        g = -param.grad if group["maximize"] else param.grad
        return g + param * group["weight_decay"] if group["weight_decay"] else g

    def state_of(self, param: Tensor, group: Group) -> State:
        """The state of a parameter, made at its first step."""
        state = self.state.get(param)
        if state is None:
            state = self.state[param] = self.initial_state(param, group)
        return state

    def count(self, params: list[Tensor], group: Group) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Add one to the step counters of some parameters of a group.

        Parameters that always step together share one counter tensor, so what depends on the count
        alone (the bias corrections of Adam) is computed once for all of them. Where some of them
        have no gradient this time, the others go on with a counter of their own.

        Yields:
            Pairs of a counter, already advanced, and the parameters of one dtype that share it.
        """
        fresh: dict[DType, Tensor] = {}
        together: dict[Tensor, list[Tensor]] = {}
        for param in params:
            if param not in self.state:
                step = self.state_of(param, group)["step"]
                self.state[param]["step"] = fresh.setdefault(param.dtype, step)
            together.setdefault(self.state[param]["step"], []).append(param)
        waiting = {
            self.state[param]["step"]
            for param in group["params"]
            if param.grad is None and param in self.state
        }
        for step, members in together.items():
            if step in waiting:
                step = step.clone()
                for param in members:
                    self.state[param]["step"] = step
            step.assign(step + 1)
            yield step, members

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """State and hyper-parameters, with parameters replaced by their positions.

        Returns:
            {"state": {position: {name: tensor}}, "param_groups": [groups]}, PyTorch's layout. The
            tensors are the optimizer's own: ``clone()`` what must not follow further steps, or
            write it to a file with ``groundup.engine.state.pack``.

        Example:
            >>> x = gu.ones(2, requires_grad=True)
            >>> optim.SGD([x], lr=0.1).state_dict()["param_groups"][0]["params"]
            [0]
        """
        position = {param: i for i, param in enumerate(self._all_params())}
        return {
            "state": {
                i: dict(self.state[param]) for param, i in position.items() if param in self.state
            },
            "param_groups": [
                {**group, "params": [position[param] for param in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and hyper-parameters; all of it or nothing.

        Parameters are matched by their order. Tensors are copied, and converted to the parameter's
        dtype.

        Args:
            state_dict: what ``state_dict`` gave, of the same kind of optimizer over parameters of
                the same shapes.

        Raises:
            ValueError: groups, state or shapes do not fit, or a hyper-parameter is out of range.
                The message lists what does not fit, and nothing was changed.

        Example:
            >>> x = gu.ones(2, requires_grad=True)
            >>> saved = optim.SGD([x], lr=0.1).state_dict()
            >>> optimizer = optim.SGD([x], lr=0.5)
            >>> optimizer.load_state_dict(saved)
            >>> optimizer.param_groups[0]["lr"]
            0.1
        """
        groups = self._fitting_groups(state_dict)
        place = {
            i: (param, group)
            for own, saved, group in zip(
                self.param_groups, state_dict["param_groups"], groups, strict=True
            )
            for i, param in zip(saved["params"], own["params"], strict=True)
        }
        state: dict[Tensor, State] = {}
        problems = []
        for i, saved in state_dict["state"].items():
            if i not in place:
                problems.append(f"parameter {i!r} has state but is in no group")
                continue
            param, group = place[i]
            state[param] = self.initial_state(param, group)
            problems += [f"parameter {i}: {text}" for text in _take_over(state[param], saved)]
        if problems:
            raise ValueError(self._refusal(problems))
        self.state = state
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update(group)
            self._share_counters(own)

    def _fitting_groups(self, state_dict: Mapping[str, Any]) -> list[Group]:
        """The saved hyper-parameters of each group, checked."""
        if not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(
                self._refusal([f'expected "state" and "param_groups", got {sorted(state_dict)}'])
            )
        saved = state_dict["param_groups"]
        sizes = [len(group.get("params", ())) for group in saved]
        own_sizes = [len(group["params"]) for group in self.param_groups]
        if sizes != own_sizes:
            raise ValueError(
                self._refusal([f"it has groups of {sizes} parameters, expected {own_sizes}"])
            )
        groups = []
        for own, given in zip(self.param_groups, saved, strict=True):
            group = {
                key: tuple(value) if isinstance(own.get(key), tuple) else value
                for key, value in given.items()
                if key not in _PARAMS
            }
            self.check({**own, **group})
            groups.append({**own, **group})
        return groups

    def _share_counters(self, group: Group) -> None:
        """Let parameters of a group that have made the same number of steps share the counter."""
        seen: dict[tuple[DType, float], Tensor] = {}
        for param in group["params"]:
            state = self.state.get(param)
            if state is not None and "step" in state:
                key = param.dtype, state["step"].item()
                state["step"] = seen.setdefault(key, state["step"])

    def _all_params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def _refusal(self, problems: list[str]) -> str:
        listed = "".join(f"\n  {problem}" for problem in problems)
        name = type(self).__name__
        return f"load_state_dict: the state does not fit this {name}; nothing was changed{listed}"


_PARAMS = ("params", "param_names")


def _names_and_tensors(owner: str, given: Any) -> tuple[list[str], list[Tensor]]:
    """Split ``(name, tensor)`` pairs, and refuse what cannot be optimized."""
    if isinstance(given, set | frozenset):
        raise TypeError(f"{owner}: a set of parameters has no order to save them in; use a list")
    items: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    pairs = [item for item in items if isinstance(item, tuple) and len(item) == 2]
    if pairs and len(pairs) != len(items):
        raise ValueError(f"{owner}: name the parameters of a group all or none")
    names, params = [name for name, _ in pairs], [x for _, x in pairs] if pairs else items
    for param in params:
        if not isinstance(param, Tensor):
            raise TypeError(f"{owner}: a parameter is a tensor, got {type(param).__name__}")
        if not param.is_floating_point():
            raise TypeError(
                f"{owner}: a parameter is floating, got {param.shape} {param.dtype.name}"
            )
        if not param.is_leaf:
            raise ValueError(
                f"{owner}: a parameter of shape {param.shape} was computed from other tensors; "
                "give the tensors that it was computed from, or detach() it first"
            )
    return names, params


def _take_over(state: State, saved: Mapping[str, Any]) -> list[str]:
    """Copy saved tensors into a parameter's new state; the reasons why they do not fit."""
    problems = [f"{name} is missing" for name in state if name not in saved]
    problems += [f"{name} is not known here" for name in saved if name not in state]
    for name in state.keys() & saved.keys():
        value = saved[name]
        if not isinstance(value, Tensor):
            problems.append(f"{name} is {type(value).__name__}, expected a tensor")
        elif value.shape != state[name].shape:
            problems.append(f"{name} has shape {value.shape}, expected {state[name].shape}")
        else:
            state[name].assign(value.detach())
    return problems


def check_range(owner: Optimizer, name: str, value: object, below: float = math.inf) -> None:
    """Refuse a hyper-parameter that is not a number from 0 up to a limit, itself left out.

    Raises:
        TypeError: it is not a plain number. ValueError: it is out of range.
    """
    label = f"{type(owner).__name__}: {name}"
    if not isinstance(value, int | float):
        raise TypeError(f"{label} is {type(value).__name__}, expected a plain number")
    if not 0 <= value < below:
        limits = "0 or more, and finite" if below == math.inf else f"in [0, {below:g})"
        raise ValueError(f"{label} is {value}, expected a number {limits}")
