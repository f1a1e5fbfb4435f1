"""What random programs are made of: each function adds a line or two to a draft, or nothing.

The expressions mean the same in groundup and in PyTorch, but for those of ``ONLY_OURS`` (random
numbers are drawn in other ways there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .fuzzing import Draft

OPERATIONS: dict[str, Callable[[Draft], Any]] = {}
ONLY_OURS = ("dropout", "noise")


def operation(function: Callable[[Draft], Any]) -> Callable[[Draft], Any]:
    """Register an operation under its name."""
    OPERATIONS[function.__name__.strip("_")] = function
    return function


# Of each element

SMOOTH = (
    "{x}.sin()", "{x}.cos()", "{x}.exp()", "{x}.tanh()", "{x}.sigmoid()", "gu.erf({x})",
    "-{x}", "{x}.square()", "{x}.expm1()", "({x} * {x}).log1p()", "({x} * {x} + 0.5).log()",
    "({x} * {x} + 0.5).sqrt()", "({x} * {x} + 0.5).rsqrt()", "F.gelu({x})", "F.silu({x})",
    "F.softplus({x})", "F.gelu({x}, approximate='tanh')", "F.logsigmoid({x})", "F.mish({x})",
    "{x} ** 3", "({x} * {x} + 0.5) ** -1.5", "1 / ({x} * {x} + 1)", "({x} * {x} + 1).reciprocal()",
    "{x} * 2.5", "{x} + 1", "0.5 - {x}", "{x} * 1", "{x} + 0", "{x} / 4", "{x} / 3", "-(-{x})",
    "{x} - {x}", "{x} * 0 + 1", "{x}.clone()", "{x}.detach()", "{x} * {x}", "{x} ** 2",
    "{x}.contiguous()", "{x}.to(gu.float64).sin().to(gu.float32)", "{x}.masked_fill({x} > 9, 0.0)",
)  # fmt: skip
KINKED = {
    "{x}.abs()": (0,), "{x}.relu()": (0,), "F.leaky_relu({x}, 0.1)": (0,), "F.elu({x})": (0,),
    "{x}.clamp(-0.5, 0.75)": (-0.5, 0.75), "{x}.clamp(min=0.25)": (0.25,), "{x}.sign()": (0,),
    "gu.where({x} > 0.1, {x}, {x} * 0.5)": (0.1,), "{x}.masked_fill({x} < 0, 0.5)": (0,),
    "({x} >= 0).to(gu.float32)": (0,), "({x} > 0).logical_not().to(gu.float32)": (0,),
    "{x}.floor()": (-2, -1, 0, 1, 2), "({x} / 5).round()": (-2.5, 2.5),
    "{x}.ceil() * 0.5": (-2, -1, 0, 1, 2),
    "(({x} > 0) & ({x} < 0.5)).to(gu.float32)": (0, 0.5),
}  # fmt: skip
PAIRS = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / ({b} * {b} + 0.7)", "gu.lerp({a}, {b}, 0.3)",
    "gu.addcdiv({a}, {b}, {b} * {b} + 1, value=0.5)", "{a} * {b} + {a}",
    "gu.add({a}, {b}, alpha=2)",
)  # fmt: skip


@operation
def smooth(d: Draft) -> Any:
    if x := d.pick():
        return d.add(d.rng.choice(SMOOTH).format(x=x), x)


@operation
def chain(d: Draft) -> Any:
    if x := d.pick():
        first = "(" + d.rng.choice(SMOOTH).format(x=x) + ")"
        return d.add(d.rng.choice(SMOOTH[:6]).format(x=first), x)


@operation
def kinked(d: Draft) -> Any:
    text, points = d.rng.choice(list(KINKED.items()))
    if (x := d.pick()) and d.apart(x, *points):
        return d.add(text.format(x=x), x)


def _partner(d: Draft, a: str) -> str | None:
    """What broadcasts with a tensor: another one, or a new argument."""

    def fits(x: Any) -> bool:
        try:
            return len(np.broadcast_shapes(x.shape, d.shape(a))) <= 4
        except ValueError:
            return False

    if d.rng.random() < 0.7:
        return d.pick(fits)
    shape = [n if d.rng.random() < 0.7 else 1 for n in d.shape(a)][d.rng.randrange(2) :]
    return d.numbers(*shape)


@operation
def pair(d: Draft) -> Any:
    if (a := d.pick()) and (b := _partner(d, a)):
        return d.add(d.rng.choice(PAIRS).format(a=a, b=b), a, b)


@operation
def extremes(d: Draft) -> Any:
    if (a := d.pick()) and (b := _partner(d, a)):
        gap = d.values[a].numpy() - d.values[b].numpy()
        if np.abs(gap).min(initial=1) > 1e-3:
            texts = ["gu.maximum({a}, {b})", "gu.minimum({a}, {b})"]
            texts.append("gu.where({a} < {b}, {a}, {b} * 2)")
            return d.add(d.rng.choice(texts).format(a=a, b=b), a, b)


# Views and shapes


@operation
def reshape(d: Draft) -> Any:
    if x := d.pick():
        size, shape = d.values[x].numel(), []
        while size > 1 and len(shape) < 3:
            divisors = [n for n in range(1, size + 1) if size % n == 0]
            shape.append(d.rng.choice(divisors))
            size //= shape[-1]
        shape = [*shape, size] if size > 1 or d.rng.random() < 0.5 else shape
        return d.add(f"{x}.reshape({', '.join(map(str, shape)) or '()'})", x)


@operation
def rearrange(d: Draft) -> Any:
    if x := d.pick(lambda x: x.ndim > 0):
        n = len(d.shape(x))
        i, j = d.dim(x), d.dim(x)
        order = d.rng.sample(range(n), n)
        texts = [
            f"{x}.permute({', '.join(map(str, order))})",
            f"{x}.transpose({i}, {j})",
            f"{x}.flip({i})",
            f"{x}.flip(({', '.join(map(str, range(n)))},))",
            f"{x}.roll({d.rng.randint(-2, 2)}, {i})",
            f"{x}.movedim({i}, {j})",
        ]
        return d.add(d.rng.choice(texts), x)


@operation
def resize(d: Draft) -> Any:
    if (x := d.pick(lambda x: 0 < x.ndim < 4)) is None:
        return None
    shape, i = d.shape(x), d.dim(x)
    wide = [d.size(), *[n if n > 1 else d.size() for n in shape]]
    texts = [
        f"{x}.unsqueeze({i})",
        f"{x}.unsqueeze(-1)",
        f"{x}.squeeze()",
        f"{x}.flatten()",
        f"{x}.expand({', '.join(map(str, wide))})",
        f"{x}.repeat({', '.join(['2', *['1'] * (len(shape) - 1)])})",
        f"{x}.repeat_interleave(2, {i})",
        f"F.pad({x}, ({d.rng.randint(0, 2)}, {d.rng.randint(0, 2)}))",
        f"{x}.cumsum({i})",
    ]
    if len(shape) > 1:
        texts += [f"F.pad({x}, (1, 0, 0, 2), value=0.5)", f"{x}.tril()", f"{x}.triu(1)"]
        texts += [f"{x}.diagonal()", f"{x}.flatten(0, 1)"]
    return d.add(d.rng.choice(texts), x)


@operation
def slices(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0 and x.numel() > 1)) is None:
        return None
    keys = []
    for n in d.shape(x)[: d.rng.randint(1, 3)]:
        start = d.rng.randrange(n)
        stop = d.rng.randint(start + 1, n)
        step = d.rng.choice((1, 1, 2))
        keys.append(d.rng.choice((":", f"{start}:{stop}:{step}", str(start), f"{start - n}")))
    return d.add(f"{x}[{', '.join(keys)}]", x)


@operation
def together(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    i = d.dim(x)
    rest = lambda shape: (*shape[:i], *shape[i + 1 :])  # noqa: E731
    y = d.pick(lambda y: y.ndim == len(d.shape(x)) and rest(y.shape) == rest(d.shape(x))) or x
    texts = [f"gu.cat([{x}, {y}], {i})", f"gu.cat([{x}, {y}.exp(), {x}], {i})"]
    if d.shape(x) == d.shape(y):
        texts.append(f"gu.stack([{x}, {y}], {i})")
    if d.shape(x)[i] > 1:
        texts.append(f"gu.cat({x}.chunk(2, {i})[::-1], {i})")
        texts.append(f"{x}.split(1, {i})[1] * {x}.split(1, {i})[0]")
    return d.add(d.rng.choice(texts), x, y)


# Reductions


@operation
def reduction(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    dims, keep, i = d.dims(x), d.rng.random() < 0.5, d.dim(x)
    many = f"dim={dims}, keepdim={keep}"
    texts = [f"{x}.sum({many})", f"{x}.mean({many})", f"{x}.logsumexp({many})", f"{x}.sum()"]
    texts += [f"{x}.mean()", f"{x}.var({many}, correction=0)", f"{x}.sum({i})", f"{x}.mean({i})"]
    texts += [f"{x} - {x}.mean({i}, keepdim=True)", f"({x} * {x} + 0.1).sum({many}).sqrt()"]
    texts += [f"{x}.prod({i})", f"{x}.norm(dim={i})", f"({x} > 9).any({i}).to(gu.float32)"]
    return d.add(d.rng.choice(texts), x)


@operation
def extreme_of(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    array, i = d.values[x].numpy(), d.dim(x)
    ordered = np.sort(array, axis=i)
    if array.shape[i] > 1 and np.diff(ordered, axis=i).min(initial=1) < 1e-3:
        return None
    texts = ["{x}.amax({i})", "{x}.amin({i}, keepdim=True)", "{x}.max({i})[0]", "{x}.argmax({i})"]
    texts += ["{x} - {x}.amax({i}, keepdim=True)", "{x}.argmin({i})", "{x}.topk(1, {i})[0]"]
    texts += ["{x}.sort({i})[0]", "{x}.argsort({i})", "({x} == {x}.amax({i}, keepdim=True)) * {x}"]
    return d.add(d.rng.choice(texts).format(x=x, i=i), x)


@operation
def normalized(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    i, last = d.dim(x), d.shape(x)[-1]
    if d.rng.random() < 0.6 or last < 2:
        texts = ["{x}.softmax({i})", "{x}.log_softmax({i})", "F.log_softmax({x} * 2, {i}).exp()"]
        return d.add(d.rng.choice(texts).format(x=x, i=i), x)
    w, b = d.numbers(last), d.numbers(last)
    texts = [f"F.layer_norm({x}, ({last},), {w}, {b}, eps=0.01)"]
    texts += [
        f"F.layer_norm({x}, ({last},), eps=0.1)",
        f"F.rms_norm({x}, ({last},), {w}, eps=0.01)",
    ]
    return d.add(d.rng.choice(texts), x, w, b)


@operation
def masked_softmax(d: Draft) -> Any:
    x = d.pick(lambda x: x.ndim > 1 and x.shape[-1] > 1)
    if x is not None:
        n, m = d.shape(x)[-2:]
        mask = np.tril(np.ones((n, m), bool))
        name = d.argument(mask, "input")
        return d.add(f"{x}.masked_fill({name}.logical_not(), float('-inf')).softmax(-1)", x, name)


# Products


@operation
def product(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    shape, m = d.shape(x), d.size()
    k = shape[-1]
    known = d.pick(lambda y: y.ndim == 2 and y.shape[0] == k)
    way = d.rng.randrange(7)
    if way == 0 and known:
        return d.add(f"{x} @ {known}", x, known)
    if way == 1:
        w, b = d.numbers(m, k), d.numbers(m)
        return d.add(f"F.linear({x}, {w}, {b})", x, w, b)
    if way == 2 and len(shape) > 1:
        return d.add(f"{x} @ {x}.transpose(-1, -2)", x)
    if way == 3 and len(shape) > 1:
        return d.add(f"{x}.transpose(-1, -2) @ {x}", x)
    if way == 4 and len(shape) > 1:
        y = d.numbers(*[n if d.rng.random() < 0.7 else 1 for n in shape[:-2]], k, m)
        return d.add(f"{x} @ {y}", x, y)
    if way == 5 and len(shape) == 3:
        y = d.numbers(shape[0], shape[1], m)
        return d.add(f"gu.einsum('bij,bik->bjk', {x}, {y})", x, y)
    if way == 6:
        y = d.numbers(k)
        return d.add(f"{x} @ {y}", x, y)
    w = d.numbers(k, m)
    return d.add(f"{x} @ {w}", x, w)


@operation
def attention(d: Draft) -> Any:
    if x := d.pick(lambda x: x.ndim in (3, 4) and x.shape[-1] > 1):
        causal = d.rng.random() < 0.5
        return d.add(f"F.scaled_dot_product_attention({x}, {x}, {x}.sin(), is_causal={causal})", x)


@operation
def convolution(d: Draft) -> Any:
    if x := d.pick(lambda x: x.ndim == 3):
        w = d.numbers(2, d.shape(x)[1], 2)
        return d.add(f"F.conv1d({x}, {w}, padding={d.rng.randint(1, 2)})", x, w)
    if x := d.pick(lambda x: x.ndim == 4):
        w = d.numbers(2, d.shape(x)[1], 2, 2)
        return d.add(f"F.conv2d({x}, {w}, padding=1, stride={d.rng.randint(1, 2)})", x, w)


# Positions


@operation
def positions(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    shape, i = d.shape(x), d.dim(x)
    way = d.rng.randrange(9)
    if way == 6 and len(shape) > 1:
        at = d.integers(-shape[1], shape[1], d.size())
        return d.add(f"{x}[:, {at}]", x, at)
    if way == 7 and len(shape) > 2:
        a, b = d.integers(-shape[0], shape[0], 3), d.integers(0, shape[-1], 1)
        return d.add(f"{x}[{a}, ..., {b}]", x, a, b)
    if way == 8:
        at = d.integers(0, shape[0], d.size())
        return d.add(f"{x}[({at} * 3 + 1) % {shape[0]}] * 2", x, at)
    if way == 0:
        at = d.integers(0, shape[i], d.size())
        return d.add(f"{x}.index_select({i}, {at})", x, at)
    if way == 1:
        at = d.integers(-shape[0], shape[0], d.size(), d.size())
        return d.add(f"{x}[{at}]", x, at)
    wide = [n if e != i else d.size() for e, n in enumerate(shape)]
    at = d.integers(0, shape[i], *wide)
    if way == 2:
        return d.add(f"{x}.gather({i}, {at})", x, at)
    if way == 3:
        y = d.numbers(*wide)
        return d.add(f"{x}.scatter_add({i}, {at}, {y})", x, at, y)
    if way == 4 and len(shape) == 2:
        at = d.integers(0, shape[0], d.size(), 2)
        return d.add(f"F.embedding({at}, {x})", x, at)
    if way == 5 and len(shape) > 1:
        a, b = d.integers(0, shape[0], 3), d.integers(0, shape[1], 3)
        return d.add(f"{x}[{a}, {b}]", x, a, b)
    return d.add(f"gu.take_along_dim({x}, {at}, {i})", x, at)


@operation
def losses(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 1 and x.shape[1] > 1)) is None:
        return None
    shape = d.shape(x)
    labels = d.integers(0, shape[1], shape[0], *shape[2:])
    texts = [f"F.cross_entropy({x}, {labels})", f"F.cross_entropy({x}, {labels}, reduction='none')"]
    texts += [f"F.cross_entropy({x}, {labels}, ignore_index=1, reduction='sum')"]
    texts += [f"F.nll_loss(F.log_softmax({x}, 1), {labels})"]
    target = f"{labels}.unsqueeze(1).expand({', '.join(map(str, shape))})"
    texts += [f"F.mse_loss({x}, {target}.to(gu.float32))"]
    texts += [f"F.binary_cross_entropy_with_logits({x}, {x}.detach().sigmoid())"]
    return d.add(d.rng.choice(texts), x, labels)


# Changes in place


@operation
def inplace(d: Draft) -> Any:
    if x := d.pick(lambda x: x.ndim > 0):
        texts = ["({x} * 1).add_({x}.sin())", "{x}.clone().mul_(0.5)", "({x} + 1).sub_({x})"]
        texts += ["gu.zeros({s}).copy_({x})", "({x} * 2).div_({x} * {x} + 1)"]
        texts += ["gu.ones({s}).add_({x})"]
        shape = ", ".join(map(str, d.shape(x)))
        return d.add(d.rng.choice(texts).format(x=x, s=shape), x)


@operation
def state(d: Draft) -> Any:
    """A tensor that was there before is changed, and read before or after."""
    if (x := d.pick(lambda x: x.ndim > 0)) is None:
        return None
    shape = d.shape(x)
    known = [n for n in d.values if n.startswith("s") and d.shape(n) == shape]
    s = known[0] if known and d.rng.random() < 0.7 else d.numbers(*shape, kind="state")
    copy = d.add(f"{s}.clone()", s) if d.rng.random() < 0.5 else None
    if d.rng.random() < 0.2:
        at = d.integers(-shape[0], shape[0], d.size())
        d.add(f"{s}[{at}] = {x}.detach()[{at}]", s, x, at, statement=True)
        return d.add(f"{s}.clone() * {copy or x}", s, copy or x)
    texts = ["{s}.add_({x}.detach())", "{s}.mul_(0.5)", "{s}.copy_({x}.detach())"]
    texts += ["{s}.fill_(0.25)"]
    texts += ["{s}[0].mul_(0.5)", "{s}[:1].add_({x}.detach()[:1])", "{s}.add_({s}.flip(0))"]
    texts += ["{s}.mul_(0.9).add_({x}.detach() * 0.1)", "{s}.copy_({s}.roll(1, 0))"]
    if len(shape) == 2:
        texts.append("{s}.t()[0].copy_({x}.detach()[:, 0])")
    d.add(d.rng.choice(texts).format(s=s, x=x), s, x, statement=True)
    return d.add(f"{s}.clone() * {copy or x}", s, copy or x)


# Random numbers, and nothing at all


@operation
def dropout(d: Draft) -> Any:
    if x := d.pick():
        return d.add(f"F.dropout({x}, {d.rng.choice((0.2, 0.5))})", x)


@operation
def noise(d: Draft) -> Any:
    if x := d.pick():
        return d.add(f"{x} + gu.{d.rng.choice(('rand', 'randn'))}_like({x}.detach()) * 0.1", x)


@operation
def empty(d: Draft) -> Any:
    if (x := d.pick(lambda x: x.ndim > 1)) and d.rng.random() < 0.2:
        texts = ["{x}[:0].sum()", "{x}[:, :0].sum(1)", "gu.cat([{x}, {x}[:0]], 0)"]
        texts += ["{x}[:, :0] * 2"]
        return d.add(d.rng.choice(texts).format(x=x), x)
