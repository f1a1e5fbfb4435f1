"""A training run with everything in it that has a state, to be killed and resumed by the tests.

python killable.py CHECKPOINT RESULT EVERY

Continues from the checkpoint if there is one, writes it every EVERY steps, prints the number of
each step as it is done, and at the end writes the weights and the history to RESULT.
"""

import sys
from pathlib import Path

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, Noise, TensorDataset
from groundup.training import (
    Average,
    Callback,
    Checkpoint,
    ClipGradients,
    EarlyStopping,
    GradientStatistics,
    Run,
    Schedule,
    accuracy,
    fit,
)

EPOCHS = 18
STEPS = EPOCHS * 23  # 68 batches, three for a step, two for the last one


class Report(Callback):
    def on_fit_start(self, run: Run) -> None:
        print("from", run.step, flush=True)

    def on_step_end(self, run: Run) -> None:
        print("step", run.step, flush=True)


def main(checkpoint: Path, result: Path, every: int) -> None:
    data = gu.Generator(1)
    x = gu.randn(340, 12, generator=data)
    y = (x[:, :4].sum(1) > 0).long() + (x[:, 4:].sum(1) > 1).long()

    # What is not restored would show: a run that is resumed starts from other weights and numbers.
    gu.manual_seed(len(list(checkpoint.parent.iterdir())) if checkpoint.exists() else 0)
    model = nn.Sequential(
        nn.Linear(12, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2, generator=gu.Generator(7)),
        nn.Linear(16, 16),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(16, 3),
    )
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.WarmupCosineLR(optimizer, warmup_steps=20, total_steps=STEPS)
    noise = gu.Generator(11)
    augment = Noise(0.1, noise)
    loader = DataLoader(
        TensorDataset(x[:270], y[:270]),
        batch_size=4,
        shuffle=True,
        generator=gu.Generator(3),
        transform=lambda x, y: (augment(x), y),
    )
    statistics = GradientStatistics(every=7)
    history = fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        loader,
        epochs=EPOCHS,
        validation=DataLoader(TensorDataset(x[270:], y[270:]), batch_size=16, shuffle=True),
        metrics={"accuracy": accuracy},
        callbacks=[
            Checkpoint(checkpoint, every=every, per="step", keep=2),
            statistics,
            ClipGradients(max_norm=1.0),
            Schedule(schedule),
            Average(optim.EMA(model, decay=0.9)),
            EarlyStopping(patience=EPOCHS),
            Report(),
        ],
        accumulate=3,
        generators=[noise],
        resume=checkpoint if checkpoint.exists() else None,
    )
    columns = {
        **{f"steps {name}": column for name, column in history.steps.items()},
        **{f"epochs {name}": column for name, column in history.epochs.items()},
        **{f"norm of {name}": columns["norm"] for name, columns in statistics.gradients.items()},
    }
    tensors = {name: gu.tensor(column, dtype=gu.float64) for name, column in columns.items()}
    gu.save({**model.state_dict(), **tensors, "next numbers": gu.rand(5)}, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
