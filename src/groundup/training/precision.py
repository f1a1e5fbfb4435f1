"""Loss scaling, the other half of mixed precision: small gradients kept from becoming zero.

Below 6e-8 float16 has nothing but zero, and many gradients are smaller (Micikevicius et al., 2018,
section 3.2). The loss is multiplied by a large number before the backward pass, so all gradients
are too; before the optimizer uses them they are divided by it, in float32. If the number was too
large, some gradient is infinite or NaN: that step is left out and the number made smaller. After
many steps without such an accident it is made larger.

    with gu.autocast():
        loss = F.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)  # only if gradients are looked at or clipped before the step
    scaler.step(optimizer)
    scaler.update()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.autograd import no_grad
from ..engine.dtypes import float16, float32, float64, int64
from ..engine.ops.arithmetic import isfinite, logical_and, logical_or, where
from ..engine.ops.creation import tensor
from ..engine.tensor import Tensor
from ..optim import Optimizer


class GradScaler:
    """Scales losses up and gradients down, and finds the scale that fits.

    Args:
        device: "cpu", accepted so that scripts written for several devices run.
        init_scale: what the loss is multiplied with at first.
        growth_factor: what the scale is multiplied with after ``growth_interval`` steps in a row
            without an infinite or NaN gradient, > 1.
        backoff_factor: what the scale is multiplied with after a step with one, between 0 and 1.
        growth_interval: see ``growth_factor``.
        enabled: false makes every method do what a script without scaling would do.

    Raises:
        ValueError: another device, or a factor out of range.

    Example:
        >>> w = nn.Parameter(gu.tensor([2.0]))
        >>> optimizer, scaler = optim.SGD([w], lr=0.5), GradScaler(init_scale=1024.0)
        >>> scaler.scale((w * 3).sum()).backward()
        >>> w.grad.item()
        3072.0
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.item(), scaler.get_scale()
        (0.5, 1024.0)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if device != "cpu":
            raise ValueError(f"GradScaler: device {device!r}: groundup computes on the 'cpu'")
        if init_scale <= 0 or growth_factor <= 1 or not 0 < backoff_factor < 1:
            raise ValueError(
                f"GradScaler: init_scale {init_scale}, growth_factor {growth_factor}, "
                f"backoff_factor {backoff_factor}; expected > 0, > 1, and between 0 and 1"
            )
        if growth_interval < 1:
            raise ValueError(f"GradScaler: growth_interval {growth_interval}, expected at least 1")
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self._enabled = enabled
        self._scale = tensor(init_scale, dtype=float32)
        self._growth_tracker = tensor(0, dtype=int64)
        self._found: dict[
            Optimizer, Tensor
        ] = {}  # since the last update: was a gradient not finite?
        self._stepped: set[Optimizer] = set()

    def is_enabled(self) -> bool:
        """Whether it scales at all.

        Example:
            >>> GradScaler(enabled=False).is_enabled()
            False
        """
        return self._enabled

    def get_scale(self) -> float:
        """What losses are multiplied with; 1 if scaling is off.

        Example:
            >>> GradScaler().get_scale()
            65536.0
        """
        return float(self._scale) if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss times the scale, or a list or tuple of losses.

        Example:
            >>> GradScaler(init_scale=8.0).scale([gu.tensor(0.5), gu.tensor(2.0)])[0].item()
            4.0
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, list | tuple):
            return type(outputs)(self.scale(x) for x in outputs)
        raise TypeError(f"scale: got {type(outputs).__name__}, expected a tensor, list or tuple")

    @no_grad()
    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide an optimizer's gradients by the scale, in place, and note whether all are finite.

        ``step`` does it if it was not done. Call it before, to clip or look at gradients.

        Raises:
            RuntimeError: a second call since ``update``, or after ``step``.
            ValueError: a gradient is float16; parameters must be float32.

        Example:
            >>> w = nn.Parameter(gu.ones(2))
            >>> scaler = GradScaler(init_scale=4.0)
            >>> scaler.scale(w.sum()).backward()
            >>> scaler.unscale_(optim.SGD([w], lr=0.1))
            >>> w.grad.tolist()
            [1.0, 1.0]
        """
        if not self._enabled:
            return
        if optimizer in self._stepped:
            raise RuntimeError("unscale_: this optimizer made its step; call update() first")
        if optimizer in self._found:
            raise RuntimeError(
                "unscale_: this optimizer's gradients are unscaled already; call it once between "
                "two update()s, after all backward passes"
            )
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        found, inverse = tensor(False), (1 / self._scale.to(float64)).to(float32)
        for grad in grads:
            if grad is None:
                continue
            if grad.dtype == float16:
                raise ValueError(
                    "unscale_: a gradient is float16, so its parameter is; keep parameters in "
                    "float32 and let autocast convert them"
                )
            found = logical_or(found, ~isfinite(grad).all())
            grad.assign(grad * inverse)
        if any(grad is not None for grad in grads):
            self._found[optimizer] = found

    def step(self, optimizer: Optimizer) -> None:
        """``optimizer.step()``, unless a gradient is infinite or NaN.

        Raises:
            RuntimeError: a second call since ``update``, or no parameter has a gradient.

        Example:
            >>> w = nn.Parameter(gu.ones(1))
            >>> optimizer, scaler = optim.SGD([w], lr=0.1), GradScaler()
            >>> scaler.scale((w * float("inf")).sum()).backward()
            >>> scaler.step(optimizer)
            >>> w.item()
            1.0
        """
        if not self._enabled:
            optimizer.step()
            return
        if optimizer in self._stepped:
            raise RuntimeError("step: this optimizer made its step; call update() first")
        if optimizer not in self._found:
            self.unscale_(optimizer)
        if optimizer not in self._found:
            raise RuntimeError("step: no parameter of this optimizer has a gradient")
        self._stepped.add(optimizer)
        if not self._found[optimizer].item():
            optimizer.step()

    @no_grad()
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Make the scale smaller or larger, as the gradients since the last call ask for.

        Args:
            new_scale: set the scale to this instead.

        Raises:
            RuntimeError: no optimizer made a step since the last call.

        Example:
            >>> scaler = GradScaler()
            >>> scaler.update(new_scale=8.0)
            >>> scaler.get_scale()
            8.0
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale.assign(new_scale)
        elif not self._found:
            raise RuntimeError("update: no gradients were unscaled since the last call; step first")
        else:
            found = tensor(False)
            for one in self._found.values():
                found = logical_or(found, one)
            self._grow_or_back_off(found)
        self._found, self._stepped = {}, set()

    def _grow_or_back_off(self, found: Tensor) -> None:
        scale = self._scale.to(float64)  # the product is rounded once, as in PyTorch
        larger = (scale * self.growth_factor).to(float32)
        good = self._growth_tracker + 1
        due = good >= self.growth_interval
        kept = where(logical_and(due, isfinite(larger)), larger, self._scale)
        smaller = (scale * self.backoff_factor).to(float32)
        self._scale.assign(where(found, smaller, kept))
        self._growth_tracker.assign(where(logical_or(found, due), 0, good))

    def state_dict(self) -> dict[str, Any]:
        """The scale, the factors, and the good steps since the scale last changed.

        Empty if scaling is off.

        Example:
            >>> GradScaler().state_dict()["scale"]
            65536.0
        """
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": int(self._growth_tracker),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave; nothing happens if scaling is off.

        Raises:
            RuntimeError: the state is that of a scaler that was off.

        Example:
            >>> a, b = GradScaler(init_scale=8.0), GradScaler()
            >>> b.load_state_dict(a.state_dict())
            >>> b.get_scale()
            8.0
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "load_state_dict: the state is empty, of a GradScaler(enabled=False)"
            )
        self._scale.assign(state_dict["scale"])
        self._growth_tracker.assign(state_dict["_growth_tracker"])
        self.growth_factor = state_dict["growth_factor"]
        self.backoff_factor = state_dict["backoff_factor"]
        self.growth_interval = state_dict["growth_interval"]
