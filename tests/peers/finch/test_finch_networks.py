"""Finch's encoder and decoder against the same models written with PyTorch's layers."""  # R14.2

import math

import numpy as np
import pytest

import groundup as gu
from groundup.apps.finch.models.encoders import judging_loss
from groundup.apps.finch.models.generator import answer_loss
from groundup.apps.finch.models.network import Decoder, Encoder, Sizes
from groundup.apps.finch.models.tokenizer import BOUNDARY, END, PAD, SUMMARY

torch = pytest.importorskip("torch")
nnf = torch.nn.functional

SIZES = Sizes(300, 64, 8, 16, 2, 2, 32, query=16, answer=4, dropout=0.0)
N, T = 3, 10


def queries() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    tokens, features = rng.integers(4, 300, (N, T)), rng.integers(0, 64, (N, T, 24))
    for row in range(N):
        tokens[row, 6 + row :], features[row, 6 + row :] = PAD, 0
    return tokens, features


def weights(net):  # type: ignore[no-untyped-def]
    return {
        name: torch.tensor(p.detach().numpy().copy(), requires_grad=True)
        for name, p in net.named_parameters()
    }


def embedded(w: dict, tokens, features, after):  # type: ignore[no-untyped-def]
    vectors = nnf.embedding(features, w["embedding.feature.weight"])
    there = (features != 0).float().unsqueeze(-1)
    words = (vectors * there).sum(2) / there.sum(2).clamp(min=1).sqrt()
    table = w["embedding.token.weight"]
    x = table[tokens] + words @ w["embedding.spread.weight"].T + w["embedding.query_position"][:T]
    real = (tokens != PAD).float().unsqueeze(-1)
    bag = (x * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).sqrt()
    y = table[after] + w["embedding.answer_position"][: after.shape[1]] + bag
    return torch.cat([x, y], 1)


def layer(x, w: dict, name: str):  # type: ignore[no-untyped-def]
    return nnf.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def normed(x, w: dict, name: str, eps: float = 1e-5):  # type: ignore[no-untyped-def]
    return nnf.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def attended(h, mask):  # type: ignore[no-untyped-def]
    """Several heads, written out: softmax over what may be read."""
    heads = SIZES.heads
    q, k, v = (p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in h.chunk(3, -1))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    share = scores.masked_fill(~mask.unsqueeze(1), -math.inf).softmax(-1)
    return (share @ v).transpose(1, 2).flatten(2)


def allowed(tokens, after, rule):  # type: ignore[no-untyped-def]
    size = T + after.shape[1]
    mask = torch.tensor([[rule(i, j) for j in range(size)] for i in range(size)])
    return mask.unsqueeze(0) & torch.cat([tokens != PAD, after != PAD], 1).unsqueeze(1)


def same_gradients(net, w):  # type: ignore[no-untyped-def]
    for name, p in net.named_parameters():
        theirs = w[name].grad
        ours = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        theirs = np.zeros(p.shape) if theirs is None else theirs.numpy()
        np.testing.assert_allclose(ours, theirs, atol=3e-6, err_msg=name)


def test_the_decoder_and_its_gradient() -> None:
    net = Decoder(SIZES, 1)
    net.allow(280)
    w = weights(net)
    tokens, features = queries()
    shown = np.array([[BOUNDARY, 70, 71], [BOUNDARY, 72, 73], [BOUNDARY, 74, 75]])
    wanted = np.array([[70, 71, END], [72, 73, END], [74, 75, END]])
    weight = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
    batch = [gu.tensor(x) for x in (tokens, features, shown, wanted, weight)]
    loss = answer_loss(net, *batch)
    loss.backward()

    q, f, a, y, m = (torch.tensor(x) for x in (tokens, features, shown, wanted, weight))
    mask = allowed(q, a, lambda i, j: j < T or j <= i)
    x = embedded(w, q, f, a)
    for i in range(SIZES.layers):
        b = f"blocks.{i}"
        h = layer(normed(x, w, f"{b}.norm1"), w, f"{b}.attention.qkv")
        x = x + layer(attended(h, mask), w, f"{b}.attention.out")
        h = nnf.gelu(layer(normed(x, w, f"{b}.norm2"), w, f"{b}.up"), approximate="tanh")
        x = x + layer(h, w, f"{b}.down")
    logits = normed(x[:, T:], w, "norm") @ w["embedding.token.weight"].T
    logits = logits + torch.tensor(net.bar.numpy())
    each = nnf.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
    theirs = (each * m.flatten()).sum() / m.sum()
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)
    same_gradients(net, w)


def test_the_encoder_and_its_gradient() -> None:
    net = Encoder(SIZES, 1)
    net.allow(300)
    w = weights(net)
    tokens, features = queries()
    after = np.array([[SUMMARY, BOUNDARY, 70], [SUMMARY, BOUNDARY, 71], [SUMMARY, BOUNDARY, PAD]])
    first, right = np.array([70, 80, 90]), np.array([1, 0, 1], np.float32)
    weight = np.array([1, 0.5, 0], np.float32)
    loss = judging_loss(net, *map(gu.tensor, (tokens, features, after, first, right, weight)))
    loss.backward()

    q, f, a = (torch.tensor(x) for x in (tokens, features, after))
    mask = allowed(q, a, lambda i, j: j <= T or i > T)
    x = normed(embedded(w, q, f, a), w, "norm")
    for i in range(SIZES.layers):
        b = f"blocks.{i}"
        parts = [layer(x, w, f"{b}.{part}") for part in ("query", "key", "value")]
        h = attended(torch.cat(parts, -1), mask)
        x = normed(x + layer(h, w, f"{b}.out"), w, f"{b}.norm1", 1e-12)
        h = layer(nnf.gelu(layer(x, w, f"{b}.up")), w, f"{b}.down")
        x = normed(x + h, w, f"{b}.norm2", 1e-12)
    guess = (x[:, T] @ w["embedding.token.weight"].T + torch.tensor(net.bar.numpy())).log_softmax(
        -1
    )
    fixed = guess.detach()
    shown = torch.tensor([fixed[0, 70], fixed[1, 71], 0.0])
    doubt = -(fixed.exp() * fixed.clamp(min=-30)).sum(1)
    facts = torch.stack([shown, fixed.amax(1), doubt], 1).clamp(min=-15)
    logit = (layer(x[:, T + 1], w, "head") + layer(facts, w, "known")).squeeze(1)
    wrong = nnf.binary_cross_entropy_with_logits(logit, torch.tensor(right), reduction="none")
    theirs = nnf.nll_loss(guess, torch.tensor(first)) + (wrong * torch.tensor(weight)).mean()
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)
    same_gradients(net, w)
