"""One library that works on gene regulation, in a process of its own; see `bench_grn.py`.

    python benchmarks/grn_worker.py KIND PEER THREADS WHAT

KIND is "scoring", "training" or "inference"; WHAT is JSON: {"model": ..., "data": a folder or null,
"quick": ...}. Commands are lines of JSON on standard input, answers lines of JSON on standard
output; seconds are those of one call:

    scoring    {"do": "check", "file": PATH}   scores of the first genes, into a file
               {"do": "scores"}                all pairs -> seconds
               {"do": "predict"}               scores and probabilities of all pairs -> seconds
    training   {"do": "check", "file": PATH}   steps without dropout: losses and weights
               {"do": "epoch"}                 drawing and steps -> seconds
               {"do": "steps"}                 the steps of an epoch -> seconds
               {"do": "train"}                 as `groundup grn train` -> seconds, epochs, AUROC
    inference  {"do": "infer", "method": NAME} all pairs -> seconds
               {"do": "count"}                 -> genes
               {"do": "trees", "genes": [...], "file": PATH}  importances into a file
                                               -> seconds, of each gene where they are known, and
                                                  the number of its trees
    all        {"do": "ready"}                 -> nothing, when there is everything to begin with
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from grn_problems import QUICK, WHOLE, problem, scorer

from groundup.apps.grn.training.trained import BLOCK, Trained

CHECKED = 5
"""Steps that are compared."""
SHOWN = 64
"""Genes whose scores are compared."""
SEED = 0
STILL = {"dropout": 0.0}
"""Options of a model without chance."""
DROPOUTS = {"regulon": {"dropout": 0.0, "input_dropout": 0.0, "tf_dropout": 0.0}}


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# Scoring


class Scoring:
    """All pairs of TFs and genes by a model with random weights, as `predict` goes through them."""

    def __init__(self, peer: str, threads: int, what: dict[str, Any]) -> None:
        sizes = QUICK if what["quick"] else WHOLE
        self.trained = scorer(what["model"], sizes)
        self.blocks: Callable[[], Iterator[Any]] = self.ours
        if peer != "groundup":
            torch = importlib.import_module("torch")
            torch.set_num_threads(threads)
            compiled = peer == "torch.compile"
            self.blocks = TorchScoring(torch, self.trained, compiled).blocks

    def ours(self) -> Iterator[Any]:
        """Scores, some genes at a time."""
        from groundup.apps.grn.training.blocks import score_blocks

        return score_blocks(replace(self.trained))  # a copy that has not encoded anything yet

    def scores(self) -> Any:
        """All of them, (TFs, genes)."""
        trained, start = self.trained, 0
        found = np.empty((len(trained.tf_names), len(trained.gene_names)), np.float32)
        for block in self.blocks():
            found[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return found

    def do_scores(self) -> dict[str, Any]:
        """All pairs."""
        return {"seconds": seconds(self.scores)}

    def do_check(self, file: str) -> dict[str, Any]:
        """Some of the scores, from the first and the last block."""
        began = time.perf_counter()
        found = self.scores()
        first = time.perf_counter() - began
        np.savez(file, scores=np.concatenate([found[:, :SHOWN], found[:, -SHOWN:]], axis=1))
        return {"seconds": first}

    def do_predict(self) -> dict[str, Any]:
        """A whole network."""
        from groundup.apps.grn.use.predict import predict

        return {"seconds": seconds(lambda: predict(replace(self.trained)))}


class TorchScoring:
    """The same blocks in PyTorch; compiled, all have the same shape."""

    def __init__(self, torch: Any, trained: Trained, compiled: bool) -> None:
        from grn_twins import Towers, twin_of

        self.torch, self.compiled = torch, compiled
        self.model = twin_of(trained.name, trained.model)
        self.x = torch.tensor(trained.x)
        self.tfs, self.genes = len(trained.tf_names), len(trained.gene_names)
        self.towers = isinstance(self.model, Towers)
        call = self.model.encode_gene if self.towers else self.model
        self.call = torch.compile(call, dynamic=False) if compiled else call

    def blocks(self) -> Iterator[Any]:
        """Scores, some genes at a time."""
        torch = self.torch
        with torch.inference_mode():
            if self.towers:
                numbers = torch.arange(self.tfs)
                of_tf = self.model.encode_tf(numbers, self.x[: self.tfs])
                of_gene = torch.cat([
                    self.call(rows, self.x[rows])[:count]
                    for rows, count in self.rows(BLOCK)
                ])  # fmt: skip
                for rows, count in self.rows(BLOCK):
                    yield (of_gene[rows] @ of_tf.T)[:count].T.numpy()
                return
            numbers = torch.arange(self.tfs)
            for rows, count in self.rows(max(1, BLOCK // self.tfs)):
                tf, gene = numbers.repeat(len(rows)), rows.repeat_interleave(self.tfs)
                found = self.call(tf, self.x[tf], gene, self.x[gene])
                yield found.reshape(-1, self.tfs)[:count].T.numpy()

    def rows(self, size: int) -> Iterator[tuple[Any, int]]:
        """The genes of each block, and how many of them count."""
        for start in range(0, self.genes, size):
            rows = self.torch.arange(start, min(start + size, self.genes))
            count = len(rows)
            if self.compiled and count < size:
                rows = self.torch.arange(size) % count + start
            yield rows, count


# Training


class Training:
    """A model while it is trained on a problem as large as that of E. coli."""

    def __init__(self, peer: str, threads: int, what: dict[str, Any]) -> None:
        from groundup.apps.grn.training.pairs import PairBatches, features
        from groundup.apps.grn.training.recipes import plan_of
        from groundup.apps.grn.use.final import known_for_use, usual_kind

        self.name, self.peer, self.threads = what["model"], peer, threads
        folder = what["data"] and Path(what["data"])
        self.problem = problem(folder, QUICK if what["quick"] else WHOLE)
        known = known_for_use(self.problem, usual_kind(self.problem, self.name), SEED)
        self.recipe, self.known = plan_of(self.name).recipe, known
        x = features(known, self.model().reads_expression, self.recipe.pooled)
        self.pairs = PairBatches(known, self.recipe, SEED, x)
        self.epoch = 0
        self.begin()
        self.prepared = list(self.batches(0))

    def model(self, **options: Any) -> Any:
        """With the initial weights that all libraries have."""
        import groundup as gu
        from groundup.apps.grn.training.recipes import build

        gu.manual_seed(SEED)
        tfs, genes = self.known.edges.shape
        given = {**self.recipe.options, **options}
        return build(self.name, tfs, genes, len(self.known.expression.samples), given)

    def begin(self, **options: Any) -> None:
        """A new model; and its step."""
        self.trained = self.model(**options)
        make = self.begin_ours if self.peer == "groundup" else self.begin_torch
        self.step, self.batches = make()

    def begin_ours(self) -> tuple[Callable[[Any], Any], Callable[[int], Iterator[Any]]]:
        """The compiled step of `fit`."""
        import groundup as gu
        from groundup.nn import functional
        from groundup.training import ClipGradients
        from groundup.training.run import Run
        from groundup.training.step import make_step

        recipe, pairs = self.recipe, self.pairs
        loss: Any = functional.binary_cross_entropy_with_logits
        if recipe.loss == "focal":
            loss = partial(functional.focal_loss, alpha=recipe.alpha, gamma=recipe.gamma)
        clipping = [] if recipe.clip is None else [ClipGradients(max_norm=recipe.clip)]
        optimizer = self.optimizer(gu.optim, self.trained.parameters())
        step = make_step(Run(self.trained.train(), loss, optimizer, pairs, 1, clipping), True)

        def batches(epoch: int) -> Iterator[Any]:
            pairs.epoch = epoch
            return iter(pairs)

        return lambda batch: step([batch]), batches

    def begin_torch(self) -> tuple[Callable[[Any], Any], Callable[[int], Iterator[Any]]]:
        """The step as one writes it in PyTorch; pairs are drawn by the same function."""
        torch = importlib.import_module("torch")
        torch.set_num_threads(self.threads)
        from grn_twins import loss_of, twin_of

        recipe, pairs = self.recipe, self.pairs
        self.trained = twin_of(self.name, self.trained).train()
        parameters = list(self.trained.parameters())
        optimizer = self.optimizer(torch.optim, parameters, fused=True)
        model, loss = self.trained, loss_of(recipe)
        if self.peer == "torch.compile":
            model, loss = torch.compile(model), torch.compile(loss)
        x, rows = torch.tensor(pairs.x), torch.tensor(self.known.tfs)

        def step(batch: Any) -> Any:
            *inputs, labels = batch
            optimizer.zero_grad()
            value = loss(model(*inputs), labels)
            value.backward()
            if recipe.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimizer.step()
            return value.detach()

        def batches(epoch: int) -> Iterator[Any]:
            drawn, labels = map(torch.from_numpy, pairs.drawn(epoch))
            for some, truth in zip(
                drawn.split(pairs.batch), labels.split(pairs.batch), strict=True
            ):
                tf, gene = some.T
                yield tf, x[rows[tf]], gene, x[gene], truth

        return step, batches

    def optimizer(self, optim: Any, parameters: Any, **options: Any) -> Any:
        """Of either library, by the recipe; the learning rate stays as it is at the highest."""
        recipe = self.recipe
        options |= {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
        if recipe.optimizer == "sgd":
            return optim.SGD(parameters, momentum=recipe.momentum, **options)
        return optim.AdamW(parameters, **options)

    def do_check(self, file: str) -> dict[str, Any]:
        """Losses and weights of some steps without dropout, and the weights before them."""
        self.begin(**DROPOUTS.get(self.name, STILL))
        before = self.weights("before ")
        losses = [float(self.step(batch)) for batch in self.prepared[:CHECKED]]
        np.savez(file, losses=np.array(losses), **before, **self.weights(""))
        self.begin()
        return {"seconds": seconds(lambda: self.step(self.prepared[0]))}

    def weights(self, prefix: str) -> dict[str, Any]:
        """As they are now."""
        state = self.trained.state_dict()
        return {prefix + name: np.array(value.detach().numpy()) for name, value in state.items()}

    def do_epoch(self) -> dict[str, Any]:
        """A new one each time."""
        self.epoch += 1

        def run() -> None:
            for batch in self.batches(self.epoch):
                self.step(batch)

        return {"seconds": seconds(run)}

    def do_steps(self) -> dict[str, Any]:
        """On batches that are there already."""

        def run() -> None:
            for batch in self.prepared:
                self.step(batch)

        return {"seconds": seconds(run)}

    def do_train(self) -> dict[str, Any]:
        """From the beginning to the end, with caches as they are."""
        from groundup.apps.grn.use.final import train_for_use

        found: list[Any] = []
        passed = seconds(lambda: found.append(train_for_use(self.problem, self.name)))
        history = found[0].history
        scores = [value for value in history.get("validation_auroc", []) if value == value]
        return {
            "seconds": passed, "epochs": len(history["loss"]), "auroc": max(scores, default=None),
            "edges": int(self.problem.edges.sum()),
        }  # fmt: skip


# Inference without a prior


class Inference:
    """Networks from the expression of the same problem."""

    def __init__(self, peer: str, threads: int, what: dict[str, Any]) -> None:
        folder = what["data"] and Path(what["data"])
        self.problem = problem(folder, QUICK if what["quick"] else WHOLE)
        self.peer, self.threads = peer, threads
        if peer != "groundup":  # processes are there, and have imported what they need
            x = np.random.default_rng(0).normal(size=(20, 3))
            self.grown_by(x, [x[:, 0]] * threads, [None] * threads)

    def do_infer(self, method: str) -> dict[str, Any]:
        """All pairs, by a method of ours."""
        from groundup.apps.grn.unsupervised import infer

        expression, names = self.problem.expression, self.problem.tf_names
        return {"seconds": seconds(lambda: infer(expression, names, method, seed=SEED))}

    def do_count(self) -> dict[str, Any]:
        """How many genes there are."""
        return {"genes": len(self.problem.expression.genes)}

    def do_trees(self, genes: Sequence[int], file: str) -> dict[str, Any]:
        """Importances of all TFs for some genes, (TFs, genes)."""
        from groundup.apps.grn.task.problem import Known
        from groundup.apps.grn.unsupervised import importances

        expression, tfs = self.problem.expression, self.problem.tfs
        began, each = time.perf_counter(), None
        if self.peer == "groundup":
            found = importances(Known.of_all(expression, tfs), SEED, genes)
        else:
            values = expression.values.T.astype(np.float64)
            own = {int(gene): number for number, gene in enumerate(tfs)}
            y = [values[:, gene].copy() for gene in genes]
            found, each = self.grown_by(values[:, tfs], y, [own.get(gene) for gene in genes])
        passed = time.perf_counter() - began
        np.savez(file, importances=found)
        # Importances of a gene add up to the number of its trees.
        return {"seconds": passed, "each": each, "trees": found.sum(axis=0).tolist()}

    def grown_by(
        self, x: Any, y: Sequence[Any], own: Sequence[int | None]
    ) -> tuple[Any, list[float]]:
        """Importances by others, (TFs, genes), and the seconds of each gene."""
        one = grown_by_arboreto if self.peer == "arboreto" else grown
        stop = "published" if self.peer.endswith("published") else "installed"
        jobs = [partial(one, x, *pair, stop) for pair in zip(y, own, strict=True)]
        columns, each = zip(*run_all(jobs, self.threads), strict=True)
        return np.stack(columns, axis=1), list(each)


def run_all(jobs: Sequence[Callable[[], Any]], processes: int) -> list[Any]:
    """Call all, on some processes; scikit-learn boosts one gene on one thread."""
    if processes == 1:
        return [job() for job in jobs]
    joblib = importlib.import_module("joblib")
    found: list[Any] = joblib.Parallel(processes)(joblib.delayed(job)() for job in jobs)
    return found


def grown_by_arboreto(x: Any, y: Any, own: int | None, stop: str) -> tuple[Any, float]:
    """GRNBoost2's own function for one gene.

    Raises:
        RuntimeError: it gave nothing, which it does when it fails.
    """
    core = importlib.import_module("arboreto.core")
    names = [str(number) for number in range(x.shape[1])]
    target = "target" if own is None else str(own)
    began = time.perf_counter()
    links = core.infer_partial_network("GBM", core.SGBM_KWARGS, x, names, target, y, seed=SEED)
    passed = time.perf_counter() - began
    if not len(links):
        raise RuntimeError("arboreto gave no importances")
    found = np.zeros(x.shape[1])
    found[links["TF"].astype(int)] = links["importance"]
    return found, passed


def grown(x: Any, y: Any, own: int | None, stop: str) -> tuple[Any, float]:
    """The same with scikit-learn alone."""
    from groundup.apps.grn.unsupervised import trees

    ensemble = importlib.import_module("sklearn.ensemble")
    others = np.flatnonzero(np.arange(x.shape[1]) != own)
    recent = np.zeros(trees.WINDOW)

    def ends(number: int, regressor: Any, now: Mapping[str, Any]) -> bool:
        """Whether the mean improvement over a window of trees is negative."""
        by_rule = published if stop == "published" else installed
        recent[number % trees.WINDOW] = by_rule(number, regressor, now)
        return bool(number + 1 >= trees.WINDOW and recent.mean() < 0)

    began = time.perf_counter()
    regressor = ensemble.GradientBoostingRegressor(
        learning_rate=trees.RATE,
        n_estimators=trees.TREES,
        max_features=trees.FEATURES,
        subsample=trees.SAMPLES,
        max_depth=trees.DEPTH,
        random_state=SEED,
    ).fit(x[:, others], y, monitor=ends)
    found = np.zeros(x.shape[1])
    found[others] = regressor.feature_importances_ * len(regressor.estimators_)
    return found, time.perf_counter() - began


def installed(number: int, regressor: Any, now: Mapping[str, Any]) -> float:
    """By how much a tree lessened the error, as this scikit-learn says."""
    return float(regressor.oob_improvement_[number])


def published(number: int, regressor: Any, now: Mapping[str, Any]) -> float:
    """By how much a tree lessened the squared error on the samples that it did not see.

    Args:
        number: of the tree.
        regressor: that has it.
        now: variables of scikit-learn's loop, as it hands them to a monitor.
    """
    left = ~now["sample_mask"]
    after = now["y"][left] - now["raw_predictions"][left, 0]
    tree = regressor.estimators_[number, 0].tree_
    before = after + regressor.learning_rate * tree.predict(now["X"][left]).ravel()
    return float(np.mean(before**2 - after**2))


def main() -> None:
    """Answer commands until there are no more."""
    kind, peer, threads, what = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    kinds: dict[str, Any] = {"scoring": Scoring, "training": Training, "inference": Inference}
    work = kinds[kind](peer, int(threads), json.loads(what))
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        answer = {} if do == "ready" else getattr(work, f"do_{do}")(**command)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
