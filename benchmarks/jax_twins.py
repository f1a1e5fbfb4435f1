"""The same networks and losses for JAX: functions of a dictionary of weights, under their names.

Written as JAX's users write: recurrences by ``scan``, tasks by ``vmap``, the whole step in one
``jit`` that may reuse the memory of the weights it replaces.

Shapes: as in the workloads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from groundup.bench.steps.maml import RATE, STEPS
from groundup.bench.steps.workload import Array, Workload

Weights = dict[str, Any]


# Layers


def linear(p: Weights, name: str, x: Any) -> Any:
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def layer_norm(p: Weights, name: str, x: Any) -> Any:
    x = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}.weight"] + p[f"{name}.bias"]


def group_norm(p: Weights, name: str, x: Any, groups: int) -> Any:
    n, c, *sides = x.shape
    x = x.reshape(n, groups, -1)
    x = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    each = (c, *[1] * len(sides))
    weight, bias = p[f"{name}.weight"].reshape(each), p[f"{name}.bias"].reshape(each)
    return x.reshape(n, c, *sides) * weight + bias


def conv(p: Weights, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    weight = p[f"{name}.weight"]
    around = [(padding, padding)] * 2
    axes = ("NCHW", "OIHW", "NCHW")
    y = lax.conv_general_dilated(x, weight, (stride, stride), around, dimension_numbers=axes)
    return y + p[f"{name}.bias"][:, None, None]


def max_pool(x: Any) -> Any:
    window = (1, 1, 2, 2)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def cross_entropy(scores: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1).mean()


# Networks: the weights, the sizes, what is read -> what is given


def xor(p: Weights, s: Any, x: Any) -> Any:
    return linear(p, "2", jnp.tanh(linear(p, "0", x)))


def mlp(p: Weights, s: Any, x: Any) -> Any:
    return linear(p, "3", jax.nn.relu(linear(p, "1", x.reshape(len(x), -1))))


def cnn(p: Weights, s: Any, x: Any) -> Any:
    x = max_pool(jax.nn.relu(conv(p, "0", x)))
    x = jax.nn.relu(conv(p, "3", x))
    return linear(p, "6", x.reshape(len(x), -1))


def residual(p: Weights, s: Any, x: Any) -> Any:
    for i in range(s.depth):
        x = x + jax.nn.relu(linear(p, f"{i}.linear", layer_norm(p, f"{i}.norm", x)))
    return linear(p, f"{s.depth}", x)


def lstm(p: Weights, s: Any, x: Any) -> Any:
    weight, bias = p["rnn.weight_hh_l0"].T, p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"]
    inputs = x @ p["rnn.weight_ih_l0"].T + bias  # (T, N, 4H)

    def element(state: Any, gates: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ weight, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[1], s.hidden))
    (h, _), _ = lax.scan(element, (zeros, zeros), inputs)
    return linear(p, "head", h)


def gru(p: Weights, s: Any, x: Any) -> Any:
    weight, bias = p["rnn.weight_hh_l0"].T, p["rnn.bias_hh_l0"]
    inputs = x @ p["rnn.weight_ih_l0"].T + p["rnn.bias_ih_l0"]  # (T, N, 3H)

    def element(h: Any, gates: Any) -> Any:
        r, z, n = jnp.split(gates, 3, -1)
        hr, hz, hn = jnp.split(h @ weight + bias, 3, -1)
        z = jax.nn.sigmoid(z + hz)
        n = jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn)
        return (1 - z) * n + z * h, None

    h, _ = lax.scan(element, jnp.zeros((x.shape[1], s.hidden)), inputs)
    return linear(p, "head", h)


def attention(p: Weights, name: str, s: Any, x: Any, mask: Any) -> Any:
    n, t, e = x.shape
    split = linear(p, f"{name}.qkv", x).reshape(n, t, 3, s.heads, e // s.heads)
    q, k, v = (split[:, :, i] for i in range(3))  # 3 * (N, T, H, D)
    scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) / math.sqrt(e // s.heads)
    weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
    y = jnp.einsum("nhqk,nkhd->nqhd", weights, v)
    return linear(p, f"{name}.out", y.reshape(n, t, e))


def feed_forward(p: Weights, name: str, x: Any, approximate: bool) -> Any:
    h = jax.nn.gelu(linear(p, f"{name}.up", x), approximate=approximate)
    return linear(p, f"{name}.down", h)


def gpt(p: Weights, s: Any, tokens: Any) -> Any:
    t = tokens.shape[1]
    mask = jnp.tril(jnp.ones((t, t), bool))
    x = p["token.weight"][tokens] + p["position.weight"][:t]
    for i in range(s.layers):
        block = f"blocks.{i}"
        h = layer_norm(p, f"{block}.norm1", x)
        x = x + attention(p, f"{block}.attention", s, h, mask)
        h = layer_norm(p, f"{block}.norm2", x)
        x = x + feed_forward(p, f"{block}.mlp", h, approximate=True)
    return linear(p, "head", layer_norm(p, "norm", x))


def bert(p: Weights, s: Any, tokens: Any) -> Any:
    mask = (tokens != 0)[:, None, None, :]
    embedded = p["token.weight"][tokens] + p["position.weight"][: tokens.shape[1]]
    x = layer_norm(p, "norm", embedded)
    for i in range(s.layers):
        layer = f"layers.{i}"
        h = attention(p, f"{layer}.attention", s, x, mask)
        x = layer_norm(p, f"{layer}.norm1", x + h)
        h = feed_forward(p, f"{layer}.mlp", x, approximate=False)
        x = layer_norm(p, f"{layer}.norm2", x + h)
    return linear(p, "head", jnp.tanh(linear(p, "pool", x[:, 0])))


def two_tower(p: Weights, s: Any, x: Any, y: Any) -> Any:
    def tower(name: str, h: Any) -> Any:
        last = len(s.layers) - 2
        for i in range(last + 1):
            h = linear(p, f"{name}.{2 * i}", h)
            h = jax.nn.relu(h) if i < last else h
        return h / jnp.maximum(jnp.linalg.norm(h, axis=1, keepdims=True), 1e-12)

    return tower("query", x) @ tower("document", y).T / s.temperature


def vae(p: Weights, s: Any, x: Any, noise: Any) -> Any:
    h = jax.nn.relu(linear(p, "encode", x))
    mean, log_variance = linear(p, "mean", h), linear(p, "log_variance", h)
    z = mean + noise * jnp.exp(0.5 * log_variance)
    return linear(p, "pixels", jax.nn.relu(linear(p, "decode", z))), mean, log_variance


def unet(p: Weights, s: Any, x: Any, time: Any) -> Any:
    def block(name: str, x: Any) -> Any:
        h = jax.nn.silu(group_norm(p, f"{name}.norm1", x, s.groups))
        h = conv(p, f"{name}.conv1", h, padding=1)
        h = h + linear(p, f"{name}.time", embedded)[:, :, None, None]
        h = jax.nn.silu(group_norm(p, f"{name}.norm2", h, s.groups))
        skip = conv(p, f"{name}.skip", x) if f"{name}.skip.weight" in p else x
        return skip + conv(p, f"{name}.conv2", h, padding=1)

    def grow(x: Any) -> Any:
        return x.repeat(2, 2).repeat(2, 3)

    half = s.embedding // 2
    angles = time[:, None] * jnp.exp(jnp.arange(half) * (-math.log(10000) / half))
    table = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], 1)
    embedded = jax.nn.silu(linear(p, "time2", jax.nn.silu(linear(p, "time1", table))))
    a = block("down1", conv(p, "first", x, padding=1))
    b = block("down2", conv(p, "shrink1", a, stride=2, padding=1))
    c = block("middle", conv(p, "shrink2", b, stride=2, padding=1))
    d = block("up2", jnp.concatenate([grow(c), b], 1))
    e = block("up1", jnp.concatenate([grow(d), a], 1))
    return conv(p, "last", jax.nn.silu(group_norm(p, "norm", e, s.groups)), padding=1)


def regressor(p: Weights, s: Any, x: Any) -> Any:
    return linear(p, "4", jnp.tanh(linear(p, "2", jnp.tanh(linear(p, "0", x)))))


NETWORKS: dict[str, Callable[..., Any]] = {
    "xor": xor,
    "mlp": mlp,
    "cnn": cnn,
    "residual": residual,
    "lstm": lstm,
    "gru": gru,
    "gpt": gpt,
    "gpt-wide": gpt,
    "bert": bert,
    "two-tower": two_tower,
    "vae": vae,
    "unet": unet,
    "maml": regressor,
}
"""By the name of the workload."""


# Losses: the weights, the sizes, the batch -> a number


def next_token(p: Weights, s: Any, tokens: Any, targets: Any) -> Any:
    return cross_entropy(gpt(p, s, tokens).reshape(-1, s.vocabulary), targets.reshape(-1))


def info_nce(p: Weights, s: Any, x: Any, y: Any) -> Any:
    return cross_entropy(two_tower(p, s, x, y), jnp.arange(len(x)))


def bound(p: Weights, s: Any, x: Any, noise: Any) -> Any:
    logits, mean, log_variance = vae(p, s, x, noise)
    error = (jnp.logaddexp(0, logits) - x * logits).sum()
    divergence = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum()
    return (error + divergence) / len(x)


def noise_error(p: Weights, s: Any, x: Any, noise: Any, kept: Any, time: Any) -> Any:
    blurred = jnp.sqrt(kept) * x + jnp.sqrt(1 - kept) * noise
    return ((unet(p, s, blurred, time) - noise) ** 2).mean()


def adapted_error(p: Weights, s: Any, x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
    def error(p: Weights, x: Any, y: Any) -> Any:
        return ((regressor(p, s, x) - y) ** 2).mean()

    def task(x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
        adapted = p
        for _ in range(STEPS):
            gradients = jax.grad(error)(adapted, x, y)
            adapted = {name: w - RATE * gradients[name] for name, w in adapted.items()}
        return error(adapted, new_x, new_y)

    return jax.vmap(task)(x, y, new_x, new_y).mean()


LOSSES: dict[str, Callable[..., Any]] = {
    "gpt": next_token,
    "gpt-wide": next_token,
    "two-tower": info_nce,
    "vae": bound,
    "unet": noise_error,
    "maml": adapted_error,
}
"""Of the workloads that do not classify."""


def loss_of(name: str) -> Callable[..., Any]:
    """The loss of a workload."""
    network = NETWORKS[name]

    def classified(p: Weights, s: Any, x: Any, y: Any) -> Any:
        return cross_entropy(network(p, s, x), y)

    return LOSSES.get(name, classified)


# The step and the forward pass


def adam(
    p: Weights,
    gradients: Weights,
    state: Any,
    lr: float,
    weight_decay: float = 0.0,
    eps: float = 1e-8,
) -> tuple[Weights, Any]:
    """Adam with decoupled weight decay, as ``torch.optim.AdamW``; betas 0.9 and 0.999."""
    count, means, squares = state
    count = count + 1
    means = {k: 0.9 * m + 0.1 * gradients[k] for k, m in means.items()}
    squares = {k: 0.999 * v + 0.001 * gradients[k] ** 2 for k, v in squares.items()}
    rate, root = lr / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)

    def moved(k: str, w: Any) -> Any:
        return w * (1 - lr * weight_decay) - rate * means[k] / (jnp.sqrt(squares[k]) / root + eps)

    return {k: moved(k, w) for k, w in p.items()}, (count, means, squares)


def clipped(gradients: Weights, norm: float) -> Weights:
    total = jnp.sqrt(sum((g**2).sum() for g in gradients.values()))
    factor = jnp.minimum(norm / (total + 1e-6), 1.0)
    return {k: g * factor for k, g in gradients.items()}


class Trained:
    """The weights and the optimizer's state, and the compiled step that replaces both.

    Attributes:
        weights: by name.
    """

    def __init__(self, workload: Workload, sizes: Any, weights: dict[str, Array]) -> None:
        loss = loss_of(workload.name)
        options = dict(workload.options)
        if workload.optimizer == "AdamW":
            options.setdefault("weight_decay", 0.01)

        def step(p: Weights, state: Any, *batch: Any) -> tuple[Any, Weights, Any]:
            value, gradients = jax.value_and_grad(lambda p: loss(p, sizes, *batch))(p)
            if workload.clip is not None:
                gradients = clipped(gradients, workload.clip)
            return value, *adam(p, gradients, state, **options)

        self.weights: Weights = {name: jnp.array(x) for name, x in weights.items()}
        zeros = {name: jnp.zeros_like(x) for name, x in self.weights.items()}
        self._state: Any = (jnp.zeros(()), zeros, jax.tree.map(jnp.copy, zeros))
        self._step = jax.jit(step, donate_argnums=(0, 1))

    def __call__(self, *batch: Any) -> Any:
        """One step; it is done when this returns."""
        loss, self.weights, self._state = self._step(self.weights, self._state, *batch)
        return jax.block_until_ready(loss)


class Applied:
    """The weights and the compiled network, for use without training.

    Attributes:
        weights: by name.
    """

    def __init__(self, workload: Workload, sizes: Any, weights: dict[str, Array]) -> None:
        network = NETWORKS[workload.name]
        self.weights: Weights = {name: jnp.array(x) for name, x in weights.items()}
        self._forward = jax.jit(lambda p, *inputs: network(p, sizes, *inputs))

    def __call__(self, *inputs: Any) -> Any:
        """What the network gives; it is done when this returns."""
        return jax.block_until_ready(self._forward(self.weights, *inputs))
