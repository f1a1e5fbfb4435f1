"""PyTorch scripts run here when their imports are changed, and train alike.

Each script is executed twice: as it is, and with ``torch`` replaced by ``groundup`` in its import
lines and nowhere else. Initial weights are moved by name, since the libraries' random numbers
differ; for the same reason both get the same masks wherever a script has dropout.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")

torch.set_num_threads(1)
TRAINING = "# Training\n"

MLP = """
import numpy as np
import torch

torch.manual_seed(0)
rng = np.random.default_rng(0)
points = rng.standard_normal((200, 10))
X = torch.tensor(points, dtype=torch.float32)
y = torch.tensor((points @ rng.standard_normal((10, 3))).argmax(1), dtype=torch.long)

class MLP(torch.nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.fc1 = torch.nn.Linear(n_in, n_hidden)
        self.fc2 = torch.nn.Linear(n_hidden, n_hidden, bias=False)
        self.out = torch.nn.Linear(n_hidden, n_out)
        torch.nn.init.xavier_uniform_(self.fc1.weight)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.out(x)

model = MLP(10, 32, 3)
print(model, sum(p.numel() for p in model.parameters() if p.requires_grad))

# Training
criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
batch_size = 40
losses = []
for epoch in range(4):
    model.train()
    for i in range(0, X.shape[0], batch_size):
        xb, yb = X[i : i + batch_size].to("cpu"), y[i : i + batch_size].to("cpu")
        optimizer.zero_grad()
        output = model(xb)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}: loss {loss.item():.4f}")

model.eval()
with torch.no_grad():
    pred = model(X).argmax(dim=1)
    correct = (pred == y).sum().item()
score = correct / len(y)
"""

CNN = """
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(1)
rng = np.random.default_rng(1)
images = torch.from_numpy(rng.random((64, 1, 12, 12)).astype(np.float32))
labels = torch.from_numpy((images.numpy().mean((1, 2, 3)) > 0.5).astype(np.int64))

class Net(nn.Module):
    def __init__(self, num_classes=2):
        super(Net, self).__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, stride=1, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.1, inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
        )
        self.dropout = nn.Dropout(p=0.25)
        self.classifier = nn.Linear(16 * 3 * 3, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        x = self.dropout(x)
        return F.log_softmax(self.classifier(x), dim=1)

model = Net()
model = model.to("cpu")

# Training
optimizer = optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.98))
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.7)
losses = []
for epoch in range(5):
    model.train()
    for data, target in zip(images.split(16), labels.split(16)):
        optimizer.zero_grad(set_to_none=True)
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    scheduler.step()
    print(f"epoch {epoch}: loss {loss:.4f}, lr {scheduler.get_last_lr()[0]:.5f}")

model.eval()
test_loss, correct = 0.0, 0
with torch.no_grad():
    for data, target in zip(torch.split(images, 16), torch.split(labels, 16)):
        output = model(data)
        test_loss += F.nll_loss(output, target, reduction="sum").item()
        pred = output.argmax(dim=1, keepdim=True)
        correct += pred.eq(target.view_as(pred)).sum().item()
score = test_loss / len(images)
"""

LSTM = """
import numpy as np
import torch
from torch import nn, optim

torch.manual_seed(2)
rng = np.random.default_rng(2)
vocab_size, seq_len = 20, 12
tokens = rng.integers(1, vocab_size, (96, seq_len))
tokens[:, 9:] = 0  # padding
inputs = torch.from_numpy(tokens)
targets = torch.tensor((tokens == 3).any(1), dtype=torch.float32).unsqueeze(1)

class Classifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.lstm = nn.LSTM(
            embed_dim, hidden_dim, num_layers=2, batch_first=True, bidirectional=True
        )
        self.fc = nn.Linear(hidden_dim * 2, 1)

    def init_hidden(self, batch_size):
        weight = next(self.parameters())
        shape = (4, batch_size, self.hidden_dim)
        return torch.zeros(shape, dtype=weight.dtype), torch.zeros(shape, dtype=weight.dtype)

    def forward(self, x, hidden=None):
        embedded = self.embedding(x)
        output, (h, c) = self.lstm(embedded, hidden)
        last = torch.cat((h[-2], h[-1]), dim=1)
        return self.fc(last)

model = Classifier(vocab_size, 8, 16)

# Training
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.5]))
optimizer = optim.RMSprop(model.parameters(), lr=0.002)
losses = []
for step in range(20):
    idx = np.arange(32) + 32 * (step % 3)
    batch, target = inputs[idx], targets[idx]
    model.zero_grad()
    logits = model(batch, model.init_hidden(len(batch)))
    loss = criterion(logits, target)
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.5)
    optimizer.step()
    losses += [loss.detach().item()]
    if step % 5 == 0:
        print(f"step {step:3d} | loss {losses[-1]:.3f}")

with torch.no_grad():
    probability = torch.sigmoid(model(inputs))
    score = ((probability > 0.5).float() == targets).float().mean().item()
"""

TRANSFORMER = """
import math

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

torch.manual_seed(3)
rng = np.random.default_rng(3)
vocab, block, dim, heads = 17, 10, 32, 4
text = torch.from_numpy(np.cumsum(rng.integers(0, 3, 500)) % vocab)

def get_batch(size):
    ix = rng.integers(0, len(text) - block - 1, size)
    x = torch.stack([text[i : i + block] for i in ix.tolist()])
    y = torch.stack([text[i + 1 : i + block + 1] for i in ix.tolist()])
    return x, y

class Block(nn.Module):
    def __init__(self, dim, heads, block):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        mask = torch.triu(torch.ones(block, block), diagonal=1).bool()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        T = x.shape[1]
        h = self.ln_1(x)
        a, _ = self.attn(h, h, h, attn_mask=self.mask[:T, :T], need_weights=False)
        x = x + a
        return x + self.mlp(self.ln_2(x))

class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim)
        self.pos = nn.Parameter(torch.zeros(1, block, dim))
        self.blocks = nn.ModuleList([Block(dim, heads, block) for _ in range(2)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.tok.weight  # shared
        self.apply(self._init)

    def _init(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx, targets=None):
        B, T = idx.shape
        x = self.tok(idx) * math.sqrt(dim) + self.pos[:, :T]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(B * T, -1), targets.view(-1), ignore_index=-1)

model = GPT()

# Training
decay = [p for p in model.parameters() if p.dim() >= 2]
no_decay = [p for p in model.parameters() if p.dim() < 2]
optimizer = AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}], lr=3e-3
)
scheduler = CosineAnnealingLR(optimizer, T_max=20, eta_min=1e-4)
losses = []
for step in range(20):
    xb, yb = get_batch(16)
    logits, loss = model(xb, yb)
    optimizer.zero_grad()
    loss.backward()
    norm = clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    scheduler.step()
    losses.append(loss.item())
    print(f"{step} {loss.item():.4f} {norm.item():.3f} {optimizer.param_groups[0]['lr']:.2e}")

model.eval()
with torch.no_grad():
    logits, _ = model(xb)
    score = F.softmax(logits[:, -1, :], dim=-1).max(dim=-1)[0].mean().item()
"""

SCRIPTS = {"MLP": MLP, "CNN": CNN, "LSTM": LSTM, "transformer": TRANSFORMER}


def ported(script: str) -> str:
    """The script with ``torch`` replaced by ``groundup`` in its import lines."""
    script = re.sub(r"(?m)^import torch$", "import groundup as torch", script)
    return re.sub(r"(?m)^((?:import|from) )torch\b", r"\1groundup", script)


def same_masks(model: Any, from_numpy: Any) -> None:
    """Let the dropout layers of a model draw from a generator that both libraries share."""
    rng = np.random.default_rng(7)

    def masked(module: Any, args: Any, output: Any) -> Any:
        if not module.training:
            return output
        kept = rng.random(tuple(args[0].shape)) >= module.p
        return args[0] * from_numpy((kept / (1 - module.p)).astype(np.float32))

    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.register_forward_hook(masked)


def execute(script: str, initial: dict[str, np.ndarray] | None) -> tuple[dict[str, Any], Any]:
    """What the script's names stand for at its end, and the weights before training."""
    names: dict[str, Any] = {}
    setup, training = script.split(TRAINING)
    exec(setup, names)
    model = names["model"]
    if initial is not None:
        model.load_state_dict(initial)
    before = {name: x.detach().numpy().copy() for name, x in model.state_dict().items()}
    same_masks(model, names["torch"].from_numpy)
    exec(training, names)
    return names, before


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_with_its_imports_changed_trains_alike(name: str) -> None:
    script = SCRIPTS[name]
    changed = [
        (a, b)
        for a, b in zip(script.splitlines(), ported(script).splitlines(), strict=True)
        if a != b
    ]
    assert changed
    assert all(a.startswith(("import torch", "from torch")) for a, _ in changed)
    theirs, initial = execute(script, None)
    ours, moved = execute(ported(script), initial)
    assert type(ours["loss"]).__module__.startswith("groundup.")
    assert list(moved) == list(initial)
    assert len(ours["losses"]) == 20
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=0, atol=1e-4)
    assert theirs["losses"][-1] < theirs["losses"][0] - 0.01, "nothing was learnt, nothing compared"
    assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
    final = theirs["model"].state_dict()
    for key, value in ours["model"].state_dict().items():
        np.testing.assert_allclose(value.numpy(), final[key].numpy(), atol=1e-3, err_msg=key)


ASSIGNMENTS = {
    "parameter": lambda m: m.nn.Parameter(m.ones(2)),
    "buffer": lambda m: m.nn.Buffer(m.ones(2)),
    "tensor": lambda m: m.ones(2),
    "None": lambda _m: None,
    "number": lambda _m: 1.5,
    "module": lambda m: m.nn.ReLU(),
}


@pytest.mark.parametrize("held", ["parameter", "buffer"])
@pytest.mark.parametrize("given", ASSIGNMENTS)
def test_assigning_over_state_keeps_or_refuses_what_pytorch_does(held: str, given: str) -> None:
    found = []
    for m in (gu, torch):
        module = m.nn.Module()
        module.x = ASSIGNMENTS[held](m)
        try:
            module.x = ASSIGNMENTS[given](m)
        except TypeError:
            found.append("refused")
            continue
        found.append(
            [
                [name for name, _ in part()]
                for part in (module.named_parameters, module.named_buffers, module.named_children)
            ]
        )
    assert found[0] == found[1]
