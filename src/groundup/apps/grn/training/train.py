"""Training a model on what is known, so that it can be stopped at any moment.

Early stopping looks at the AUROC of validation edges among as many unlabelled pairs of the
validation part, drawn as those of training. Matched in degree, a score that only counts edges gains
nothing there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....engine.compiler.run import compile
from ....engine.files import CheckpointError, write_atomically
from ....engine.random import default_generator, manual_seed
from ....engine.tensor import Tensor
from ....nn import Module, functional as F
from ....optim import SGD, Adam, AdamW, Optimizer
from ....optim.lr_scheduler import WarmupCosineLR
from ....training import Callback, Checkpoint, ClipGradients, EarlyStopping, Schedule, fit
from ....training.run import Run
from ..errors import GRNError
from ..models import Ensemble, InBatch, PairModel, TowerModel, info_nce
from ..progress import Progress, listener, part_of
from ..task.metrics import auroc
from ..task.problem import Known, Pairs
from .pairs import PairBatches, features, validation_pairs
from .prevalence import fit_prevalence
from .recipes import Recipe, build, plan_of
from .signs import fit_signs
from .trained import Trained, score_pairs

WORTH = 100
"""Steps that are worth compiling for."""
MEMBERS = 5


def train(
    known: Known,
    name: str = "regulon",
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Trained:
    """Train a model.

    Args:
        known: what it may learn from.
        name: of the model, as in `PLANS`.
        recipe: the settings; the model's own if None.
        seed: of initial weights and of everything that is drawn; the same seed gives the same bits.
        progress: told of steps done, of steps at most, and of what is done.
        folder: gets a checkpoint after every epoch. If it has one of the same training, that one is
            gone on with, and the result has the same bits.

    Raises:
        GRNError: no edge to learn from, an unknown model, settings that do not fit it, or a folder
            with another training.
        KeyboardInterrupt: Ctrl-C; with a folder, a checkpoint is written.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> trained = train(known, "expression", Recipe(epochs=2, options={"sizes": (8, 4)}))
        >>> trained.score(np.array([[0, 1], [0, 2]])).shape
        (2,)
    """
    recipe = plan_of(name).recipe if recipe is None else recipe
    tfs, genes = known.edges.shape
    with _own_randomness(seed):
        model = build(name, tfs, genes, len(known.expression.samples), recipe.options)
        x = features(known, model.reads_expression, recipe.pooled)
        batches = PairBatches(known, recipe, seed, x)
        held = validation_pairs(known, seed, recipe)
        tell = progress or listener()
        history = _fitted(model, name, recipe, seed, batches, held, tell, folder)
    model.eval()
    trained = Trained(
        model,
        name,
        recipe,
        seed,
        tuple(known.expression.genes[row] for row in known.tfs),
        tuple(known.expression.genes),
        tuple(known.expression.samples),
        known.tfs,
        x,
        known.standardized,
        np.argwhere(known.edges | known.validation_edges),
        None,
        fit_signs(known),
        known.groups if recipe.pooled and model.reads_expression else None,
        history,
    )
    return replace(trained, prevalence=fit_prevalence(trained, known, seed))


def train_ensemble(
    known: Known,
    name: str = "regulon",
    recipe: Recipe | None = None,
    seed: int = 0,
    members: int = MEMBERS,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Ensemble[Trained]:
    """Train members that differ by their seed.

    Args:
        known: what they may learn from.
        name: of their model.
        recipe: the settings; the model's own if None.
        seed: the members have the seeds ``members * seed`` and those that follow.
        members: how many, at least two.
        progress: told of each member's steps.
        folder: gets a folder for each member, as `train` uses it.

    Raises:
        GRNError: as `train`, or fewer than two members.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> recipe = Recipe(epochs=1, options={"sizes": (8, 4)})
        >>> both = train_ensemble(known, "expression", recipe, members=2)
        >>> bool(both.spread(np.array([[0, 1]]))[0] > 0)
        True
    """
    found = []
    progress = progress or listener()
    for number in range(members):
        own = None if folder is None else Path(folder) / f"member-{number}"
        tell = progress and part_of(progress, number, members)
        found.append(train(known, name, recipe, members * seed + number, tell, own))
    return Ensemble(found)


class _Stopping(EarlyStopping):
    """The AUROC on validation pairs after each epoch; the best weights are kept."""

    def __init__(
        self,
        patience: int,
        model: PairModel,
        held: tuple[Pairs, NDArray[np.bool_]],
        tfs: NDArray[np.int64],
        x: NDArray[np.float32],
        often: bool,
    ) -> None:
        super().__init__(patience, mode="max", monitor="validation_auroc")
        self.model, self.held, self.tfs, self.x = model, held, tfs, x
        self.call = compile(model) if often else model

    def on_epoch_end(self, run: Run) -> None:
        """Score, record, compare."""
        pairs, truth = self.held
        scores = score_pairs(self.model, pairs, self.tfs, self.x, self.call)
        value = auroc(truth, scores) if np.isfinite(scores).all() else math.nan
        columns = run.history.epochs
        columns.setdefault(self.monitor, [math.nan] * len(columns["loss"]))[-1] = value
        super().on_epoch_end(run)


class _Watch(Callback):
    """Tells of progress."""

    def __init__(self, tell: Progress, name: str) -> None:
        self.tell, self.name = tell, name

    def on_step_end(self, run: Run) -> None:
        """A step is done."""
        steps = run.steps_per_epoch or 1
        what = f"training {self.name}, epoch {run.epoch + 1} of at most {run.epochs}"
        if found := run.history.epochs.get("validation_auroc"):
            what += f", validation AUROC {found[-1]:.3f}"
        self.tell(run.step, steps * run.epochs, what)


def _fitted(
    model: PairModel,
    name: str,
    recipe: Recipe,
    seed: int,
    batches: PairBatches,
    held: tuple[Pairs, NDArray[np.bool_]] | None,
    progress: Progress | None,
    folder: str | os.PathLike[str] | None,
) -> Mapping[str, list[float]]:
    """Train, and leave the best weights in the model."""
    whole: Module = model
    if recipe.loss == "infonce":
        if not isinstance(model, TowerModel):
            raise GRNError(f"model {name!r} encodes no gene apart, which infonce needs; take bce")
        whole = InBatch(model)
    optimizer = _optimizer(whole, recipe)
    callbacks: list[Callback] = []
    if recipe.clip is not None:
        callbacks.append(ClipGradients(max_norm=recipe.clip))
    steps = len(batches) * recipe.epochs
    if recipe.schedule == "cosine":
        schedule = WarmupCosineLR(optimizer, recipe.warm_up * len(batches), steps)
        callbacks.append(Schedule(schedule, per="step"))
    if held is not None and recipe.patience is not None:
        tfs, often = batches.known.tfs, steps >= WORTH
        callbacks.append(_Stopping(recipe.patience, model, held, tfs, batches.x, often))
    if progress is not None:
        callbacks.append(_Watch(progress, name))
    resume = None
    if folder is not None:
        place = Path(folder)
        _same_training(place / "run.json", name, recipe, seed, batches.known)
        checkpoint = place / "checkpoint.safetensors"
        callbacks.append(Checkpoint(checkpoint))
        resume = checkpoint if checkpoint.exists() else None
    try:
        history = fit(
            whole,
            _loss(recipe),
            optimizer,
            batches,
            epochs=recipe.epochs,
            callbacks=callbacks,
            compile=steps >= WORTH,
            resume=resume,
        )
    except CheckpointError as error:
        raise GRNError(f"{error}; remove it to begin anew") from error
    if not all(np.isfinite(p.detach().numpy()).all() for p in model.parameters()):
        raise GRNError(
            f"model {name!r}: training went to NaN or infinity; take a smaller learning rate than "
            f"{recipe.learning_rate:g}, or clip gradients"
        )
    return {column: list(values) for column, values in history.epochs.items()}


def _optimizer(model: Module, recipe: Recipe) -> Optimizer:
    parameters = list(model.parameters())
    if recipe.optimizer == "sgd":
        return SGD(
            parameters, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
    kind = AdamW if recipe.optimizer == "adamw" else Adam
    return kind(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def _loss(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    if recipe.loss == "infonce":
        return info_nce
    if recipe.loss == "focal":
        return partial(F.focal_loss, alpha=recipe.alpha, gamma=recipe.gamma)
    return F.binary_cross_entropy_with_logits


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """The default generator seeded, and afterwards as it was."""
    before = default_generator.get_state()
    manual_seed(seed)
    try:
        yield
    finally:
        default_generator.set_state(before)


def _same_training(path: Path, name: str, recipe: Recipe, seed: int, known: Known) -> None:
    """Write down what is trained, and refuse to go on with something else."""
    content = {"model": name, "seed": seed, "recipe": asdict(recipe), "data": digest(known)}
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = recipe.differences(before["recipe"])
            changed += [
                f"{key} was {before[key]}, now {content[key]}"
                for key in ("model", "seed")
                if before[key] != content[key]
            ]
            if before["data"] != content["data"]:
                changed.append("expression, prior or split are others")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GRNError(f"{path}: cannot be read: {error}; remove it to begin anew") from error
        if changed:
            raise GRNError(
                f"{path.parent} has another training ({'; '.join(changed)}); go on with the same "
                "one, choose another folder, or remove it"
            )
        return
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def digest(known: Known) -> str:
    """A hash of all that training depends on.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> len(digest(known))
        64
    """
    found = hashlib.sha256()
    for names in (known.expression.genes, known.expression.samples):
        found.update(json.dumps(list(names)).encode())
    for array in (
        known.expression.values,
        known.tfs,
        known.edges,
        known.signs,
        known.allowed,
        known.validation_edges,
        known.validation_allowed,
        known.groups,
        known.places,
    ):
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
