"""What comes through each layer on the way forward, and what arrives there on the way back.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
(2010), looked at activations and back-propagated gradients layer by layer: where either shrinks or
grows by a factor at every layer, the layers far from the loss learn too slowly or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..engine.autograd import enable_grad, grad, no_grad
from ..engine.dtypes import float64
from ..engine.random import Generator, default_generator
from ..engine.tensor import Tensor
from ..nn.module import Module, find
from .evaluate import Batch, checked

ACTIVATIONS = (
    nn.ELU,
    nn.GELU,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.LogSoftmax,
    nn.Mish,
    nn.ReLU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softmax,
    nn.Softplus,
    nn.Tanh,
)


@dataclass(frozen=True)
class LayerFlow:
    """What one layer gives and gets on one batch; see ``gradient_flow``.

    Attributes:
        activation: root mean square of the layer's output.
        gradient: root mean square of B times the gradient of the loss with respect to that output.
        weight: norm of the gradient of the loss with respect to the layer's parameters.

    Example:
        >>> LayerFlow(activation=0.5, gradient=0.25, weight=0.0).gradient
        0.25
    """

    activation: float
    gradient: float
    weight: float


def gradient_flow(
    model: Module,
    loss: Callable[..., Tensor],
    batch: Batch,
    layers: Sequence[str] | None = None,
) -> dict[str, LayerFlow]:
    """Size of activations and gradients at each layer, by one pass forward and one back.

    Root mean squares are over all elements of the output: examples, units, positions. The loss is a
    mean over the B examples of the batch, so that the gradient with respect to what the layer gives
    for one example holds a factor 1/B. It is multiplied by B: ``gradient`` then is the size of the
    gradient of one example's own loss, whatever the size of the batch (as long as the examples do
    not meet in the model, as they do in batch normalisation). ``weight`` has no such factor: it is
    what the optimizer sees.

    Everything is summed up in float64, so gradients too small to be squared in float32 are no
    zeros. The model runs in the mode in which it is. Parameters' gradients, buffers (the running
    statistics of batch normalisation) and generators (of dropout) are afterwards as before.

    Args:
        model: any module that is called with the batch's inputs.
        loss: function of (output, target) with one number as result, a mean over the examples.
        batch: (*inputs, target); B is the target's length.
        layers: names as in ``named_modules``, "" for the model itself. Default: the modules without
            children that have parameters or are activations of ``nn``, as far as they are called.

    Returns:
        For each layer's name what was measured, in the order in which the layers are called first.
        The outputs of a layer that is called several times, or that returns several tensors, count
        as one large output. ``gradient`` is 0 where the loss does not depend on the output, and
        ``weight`` includes the modules below and is 0 without parameters that require a gradient.

    Raises:
        KeyError: the model has no module of a name.
        TypeError: the batch is not (*inputs, target).
        ValueError: a layer that was named is not called, or there is no layer at all.

    Example:
        >>> from groundup.training import gradient_flow
        >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Sigmoid())
        >>> _ = nn.init.zeros_(model[0].weight)
        >>> batch = (gu.ones(4, 1), gu.zeros(4, 1))
        >>> flow = gradient_flow(model, nn.functional.mse_loss, batch)
        >>> flow["1"]  # of (y - 0)**2 at y = 0.5
        LayerFlow(activation=0.5, gradient=1.0, weight=0.0)
        >>> flow["0"].gradient  # times sigmoid'(0) = 1/4
        0.25
    """
    *inputs, target = checked(batch)
    watched = _watched(model, layers)
    outputs: dict[str, list[Tensor]] = {}
    squares: dict[str, list[float]] = {}
    with ExitStack() as stack:
        stack.enter_context(_state_kept(model))
        stack.enter_context(enable_grad())
        for name, module in watched.items():
            stack.enter_context(module.register_forward_hook(_noted(name, outputs, squares)))
        total = loss(model(*inputs), target)
        if layers is not None and (silent := [name for name in watched if name not in outputs]):
            raise ValueError(
                f"gradient_flow: not called in the forward pass: {', '.join(silent)}; name layers "
                "that are, or leave layers= out"
            )
        if not outputs:
            raise ValueError(
                f"gradient_flow: {type(model).__name__} calls no module with parameters and no "
                "activation; name some with layers="
            )
        parameters = {name: _parameters(watched[name]) for name in outputs}
        seen = [x for group in (outputs, parameters) for some in group.values() for x in some]
        gradients = iter(grad(total, seen, allow_unused=True))
        of_outputs = {name: [next(gradients) for _ in some] for name, some in outputs.items()}
        of_weights = {name: [next(gradients) for _ in some] for name, some in parameters.items()}
    flow = {}
    for name, some in outputs.items():
        count = max(1, sum(x.numel() for x in some))
        arrived = sum(_sum_of_squares(g) for g in of_outputs[name])
        flow[name] = LayerFlow(
            activation=math.sqrt(sum(squares[name]) / count),
            gradient=len(target) * math.sqrt(arrived / count),
            weight=math.sqrt(sum(_sum_of_squares(g) for g in of_weights[name])),
        )
    return flow


def _watched(model: Module, layers: Sequence[str] | None) -> dict[str, Module]:
    if layers is None:
        return {
            name: module
            for name, module in model.named_modules()
            if not any(module.children())
            and (isinstance(module, ACTIVATIONS) or any(True for _ in module.parameters()))
        }
    named = dict(model.named_modules(remove_duplicate=False))
    if unknown := [name for name in layers if name not in named]:
        raise KeyError(
            f"gradient_flow: {type(model).__name__} has no module {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(map(repr, named))}"
        )
    return {name: named[name] for name in layers}


def _parameters(module: Module) -> list[Tensor]:
    return [p for p in module.parameters() if p.requires_grad]


def _noted(
    name: str, outputs: dict[str, list[Tensor]], squares: dict[str, list[float]]
) -> Callable[[Module, Any, Any], Any]:
    """A hook that keeps what a layer gives, and sees to it that it can be differentiated by."""

    def keep(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            if not value.requires_grad:
                value = value.detach().requires_grad_()
            outputs[name].append(value)
            squares[name].append(_sum_of_squares(value))
        elif isinstance(value, Mapping):
            return {key: keep(part) for key, part in value.items()}
        elif isinstance(value, list | tuple):
            parts = [keep(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def hook(_module: Module, _args: Any, output: Any) -> Any:
        outputs.setdefault(name, [])
        squares.setdefault(name, [])
        return keep(output)

    return hook


@no_grad()
def _sum_of_squares(x: Tensor | None) -> float:
    return 0.0 if x is None else x.detach().to(float64).square().sum().item()


@contextmanager
def _state_kept(model: Module) -> Iterator[None]:
    """Buffers and generators are given back what they held, also after an error."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    inside = [g for module in model.modules() for _, g in find(Generator, vars(module).items())]
    states = [(generator, generator.get_state()) for generator in (default_generator, *inside)]
    try:
        yield
    finally:
        with no_grad():
            for buffer, value in buffers:
                buffer.assign(value)
        for generator, state in states:
            generator.set_state(state)
