"""What a workload consists of, and the step and the forward pass that a library makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def first_example(*batch: Array) -> tuple[Array, ...]:
    """The first example of the first array; the others are targets."""
    return (batch[0][:1],)


@dataclass(frozen=True)
class Workload:
    """A network and how it is trained; ``lib`` is ``groundup`` or ``torch``.

    Attributes:
        name: for the command line.
        title: for the table.
        model: (lib, sizes) -> a module.
        loss: (lib, module, *batch) -> a tensor without dimensions.
        batch: (numbers, sizes) -> the arrays of one batch, random ones among them.
        sizes: as measured.
        small: the same network, quick enough for a test.
        optimizer: its name in ``lib.optim``.
        options: the optimizer's arguments.
        clip: the gradients' greatest norm.
        example: the arrays of a batch -> what the network reads of it, for one example.
        share: of the row in the geometric mean.

    Example:
        >>> from groundup.bench.steps import WORKLOADS
        >>> WORKLOADS["xor"].weights(WORKLOADS["xor"].sizes)["0.weight"].shape
        (8, 2)
    """

    name: str
    title: str
    model: Callable[[Any, Any], Any]
    loss: Callable[..., Any]
    batch: Callable[[np.random.Generator, Any], tuple[Array, ...]]
    sizes: Any
    small: Any
    optimizer: str = "Adam"
    options: dict[str, Any] = field(default_factory=lambda: {"lr": 1e-3})
    clip: float | None = None
    example: Callable[..., tuple[Array, ...]] = first_example
    share: float = 1.0

    def batches(self, count: int, sizes: Any) -> list[tuple[Array, ...]]:
        """The same arrays at every call, each batch different."""
        return [self.batch(np.random.default_rng(1000 + i), sizes) for i in range(count)]

    def examples(self, count: int, sizes: Any) -> list[tuple[Array, ...]]:
        """What a forward pass reads, one example at a time; the same at every call."""
        return [self.example(*batch) for batch in self.batches(count, sizes)]

    def weights(self, sizes: Any) -> dict[str, Array]:
        """Initial parameters and buffers by name, the same at every call."""
        import groundup as gu

        gu.manual_seed(0)
        state = self.model(gu, sizes).state_dict()
        return {name: x.numpy().copy() for name, x in state.items()}


Step = Callable[..., Any]


def training_step(
    lib: Any,
    workload: Workload,
    module: Any,
    *,
    compile_loss: Callable[[Step], Step] | None = None,
    **options: Any,
) -> Step:
    """The whole step: ``zero_grad``, loss, ``backward``, clipping, ``optimizer.step()``.

    Args:
        compile_loss: turns the part before ``backward`` into something faster.
        options: further arguments of the optimizer.

    Returns:
        A function of a batch of tensors that returns the loss.
    """
    make = getattr(lib.optim, workload.optimizer)
    optimizer = make(module.parameters(), **workload.options, **options)
    parameters = list(module.parameters())

    def loss_of(*batch: Any) -> Any:
        return workload.loss(lib, module, *batch)

    forward = loss_of if compile_loss is None else compile_loss(loss_of)

    def step(*batch: Any) -> Any:
        optimizer.zero_grad()
        loss = forward(*batch)
        loss.backward()
        if workload.clip is not None:
            lib.nn.utils.clip_grad_norm_(parameters, workload.clip)
        optimizer.step()
        return loss.detach()

    return step


def forward_pass(
    lib: Any, module: Any, *, compile_forward: Callable[[Any], Any] | None = None
) -> Step:
    """The network as it is used: in evaluation mode, without gradients.

    Args:
        compile_forward: turns the network into something faster.

    Returns:
        A function of what the network reads that returns what it gives.
    """
    module.eval()
    call = module if compile_forward is None else compile_forward(module)
    without_gradients = getattr(lib, "inference_mode", lib.no_grad)

    def forward(*inputs: Any) -> Any:
        with without_gradients():
            return call(*inputs)

    return forward


def loaded(lib: Any, workload: Workload, sizes: Any, weights: dict[str, Array]) -> Any:
    """The network with given weights, moved by name."""
    module = workload.model(lib, sizes)
    module.load_state_dict({name: lib.tensor(x) for name, x in weights.items()})
    return module
