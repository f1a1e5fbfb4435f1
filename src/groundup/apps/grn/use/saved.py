"""A trained model as a folder: ``weights.safetensors`` and ``model.json``, read without running it.

The weights, the known edges and the leanings of the TFs are in the one; names, settings,
preprocessing, the prior's hash and the seed in the other, with the hash of the weights' file, so
that halves of two models do not pass for one. An ensemble has a
folder for each member, a combined model one for its towers; its other evidence is found again from
expression.

Expression is not stored. A model that reads it has weights for each sample that it was trained
with, and is of use only with expression of the same samples; of other genes too, if it has no
vector for each gene. So that other samples which happen to be called the same are noticed, the
profiles of a few genes are kept and compared.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .... import __version__
from ....engine.files import CheckpointError, load, save, write_atomically
from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ..data.expression import Expression, repeats
from ..errors import GRNError
from ..models import Ensemble
from ..models.logistic import Logistic
from ..task.problem import Known
from ..training.pairs import mean_of_groups, seen, standardized_of
from ..training.prevalence import Prevalence
from ..training.recipes import Recipe, build
from ..training.signs import SignHead
from ..training.trained import Trained
from .combined import Combined, tables_of

KIND, FORMAT = "groundup gene-regulatory model", 1
WEIGHTS, TOWERS = "weights.safetensors", "towers"
SKETCH = 32
"""Genes whose profiles are kept."""
ALIKE = 0.8
"""The least mean correlation of kept and given profiles."""
DAMAGE = (
    TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError
)  # fmt: skip
"""What building a model raises of a description that is not one."""
T = TypeVar("T")


def save_trained(
    trained: Trained | Ensemble[Trained] | Combined,
    folder: str | os.PathLike[str],
    *,
    prior_digest: str = "",
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Write a model to a folder.

    Args:
        trained: the model, an ensemble, or a combined model.
        folder: is made if missing; a model that it has is replaced.
        prior_digest: the hash of the prior.
        preprocessing: what was done to expression before training; JSON values.

    Raises:
        OSError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> from groundup.apps.grn.training.train import train
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> trained = train(known, "expression", Recipe(epochs=1, options={"sizes": (8, 4)}))
        >>> pairs = np.array([[0, 1], [3, 5]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_trained(trained, folder, prior_digest=problem.prior_digest)
        ...     again = load_trained(folder, problem.expression)
        >>> bool((again.score(pairs) == trained.score(pairs)).all())
        True
    """
    place = Path(folder)
    about = {"prior": prior_digest, "preprocessing": dict(preprocessing or {})}
    if isinstance(trained, Ensemble):
        for number, member in enumerate(trained.members):
            save_trained(member, place / f"member-{number}", **_options(about))
        _write(place, {**_head(), "members": len(trained.members)})
        return
    if isinstance(trained, Combined):
        save_trained(trained.towers, place / TOWERS, **_options(about))
        evidence = {
            f"evidence/{name}": tensor(getattr(trained, name))
            for name in ("middle", "width", "weights", "votes", "places")
        }
        combined = {
            "names": list(trained.tables),
            "prevalence": _prevalence_kept(trained.prevalence, evidence),
        }
        save(evidence, place / WEIGHTS)
        _write(place, {**_head(), "combined": combined, "weights": _hash(place / WEIGHTS)})
        return
    tensors = {f"model/{name}": value for name, value in trained.model.state_dict().items()}
    tensors["prior/edges"] = tensor(trained.edges)
    content: dict[str, Any] = {
        **_head(),
        "model": trained.name,
        "seed": trained.seed,
        "recipe": asdict(trained.recipe),
        **about,
        "tfs": list(trained.tf_names),
        "genes": list(trained.gene_names),
        "samples": list(trained.samples),
        "prevalence": _prevalence_kept(trained.prevalence, tensors),
        "signs": None,
        "history": {
            name: [None if math.isnan(value) else value for value in column]
            for name, column in trained.history.items()
        },
    }
    if trained.signs is not None:
        tensors["signs/leaning"] = tensor(trained.signs.leaning)
        fitted = trained.signs.fitted
        content["signs"] = {"weights": fitted.weights.tolist(), "bias": fitted.bias}
    if trained.groups is not None:
        tensors["genes/groups"] = tensor(trained.groups)
    if trained.model.reads_expression:
        tensors["sketch/profiles"] = tensor(trained.x[_sketched(len(trained.gene_names))])
    save(tensors, place / WEIGHTS)
    content["weights"] = _hash(place / WEIGHTS)
    _write(place, content)


def _options(about: Mapping[str, Any]) -> dict[str, Any]:
    return {"prior_digest": about["prior"], "preprocessing": about["preprocessing"]}


def _head() -> dict[str, Any]:
    return {"kind": KIND, "format": FORMAT, "version": __version__}


def _write(place: Path, content: Mapping[str, Any]) -> None:
    write_atomically(place / "model.json", (json.dumps(content, indent=1) + "\n").encode())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sketched(genes: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, genes - 1, min(genes, SKETCH)).astype(np.int64))


def load_trained(
    folder: str | os.PathLike[str], expression: Expression | None = None
) -> Trained | Ensemble[Trained] | Combined:
    """Read a model that `save_trained` wrote.

    Args:
        folder: with the model.
        expression: of the samples that the model was trained with, prepared in the same way; in any
            order of genes and samples. A model that reads no expression needs it for signs alone.

    Raises:
        GRNError: nothing is there, it is damaged, halves of two models, or of a newer format; or
            the expression is missing, of other samples, or of genes that the model cannot know.

    Example:
        >>> load_trained("no such folder")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: no such folder: there is no model.json, ...
    """
    place = Path(folder)
    content = _content(place)
    if "members" in content:
        count = _field(place, content, "members", int)
        found = [load_trained(place / f"member-{number}", expression) for number in range(count)]
        return Ensemble([member for member in found if isinstance(member, Trained)])
    if "combined" in content:
        return _combined(place, content, expression)
    name, seed = _field(place, content, "model", str), _field(place, content, "seed", int)
    tf_names, genes, samples = (_names(place, content, key) for key in ("tfs", "genes", "samples"))
    try:
        recipe = Recipe(**_recipe(_field(place, content, "recipe", dict)))
        model = build(name, len(tf_names), len(genes), len(samples), recipe.options)
        tensors = _tensors(place, content)
        model.load_state_dict(
            {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
        )
        model.eval()
        edges = _edges(tensors["prior/edges"], len(tf_names), len(genes))
        signs = _signs(content.get("signs"), tensors, len(tf_names))
        prevalence = _prevalence(content.get("prevalence"), tensors, len(tf_names), len(genes))
        pooled = recipe.pooled and model.reads_expression
        groups = _numbered(tensors, "genes/groups", len(genes)) if pooled else None
        history = {
            column: [math.nan if value is None else float(value) for value in values]
            for column, values in content.get("history", {}).items()
        }
    except DAMAGE as error:
        if isinstance(error, GRNError) and str(place) in str(error):
            raise
        raise GRNError(f"{place}: damaged: {error}") from error
    if expression is None and model.reads_expression:
        raise GRNError(
            f"{place}: model {name!r} reads expression; give that of the {len(samples):,} samples "
            "that it was trained with"
        )
    names, z, x = genes, None, None
    if expression is not None:
        expression = _arranged(place, expression, tf_names, genes, samples, model)
        names, z = list(expression.genes), standardized_of(expression)
        if model.reads_expression:
            x = seen(z)
            if groups is not None:
                of = dict(zip(genes, groups.tolist(), strict=True))
                groups = np.array([of.get(gene, -1) for gene in names], np.int64)
                x = mean_of_groups(x, groups)
            _same_samples(place, tensors["sketch/profiles"].numpy(), genes, expression, x)
    row = {gene: number for number, gene in enumerate(names)}
    kept = [(tf, row[genes[gene]]) for tf, gene in edges.tolist() if genes[gene] in row]
    return Trained(
        model,
        name,
        recipe,
        seed,
        tuple(tf_names),
        tuple(names),
        tuple(samples),
        np.array([row[tf] for tf in tf_names], np.int64),
        np.zeros((len(names), 0), np.float32) if x is None else x,
        z,
        np.array(kept, np.int64).reshape(-1, 2),
        _of_names(prevalence, genes, names),
        signs,
        groups,
        history,
    )


def _combined(place: Path, content: Mapping[str, Any], expression: Expression | None) -> Combined:
    towers = load_trained(place / TOWERS, expression)
    if not isinstance(towers, Ensemble) or expression is None:
        raise GRNError(f"{place}: damaged: its towers are no ensemble")
    one, kept = towers.members[0], _content(place / TOWERS / "member-0")
    genes = _names(place, kept, "genes")
    try:
        combined = _field(place, content, "combined", dict)
        tensors = _tensors(place, content)
        numbers = {
            name: tensors[f"evidence/{name}"].numpy().astype(np.float64)
            for name in ("middle", "width", "weights")
        }
        votes = _edges(tensors["evidence/votes"], len(one.tf_names), len(genes))
        places = _numbered(tensors, "evidence/places", len(genes))
        prevalence = _prevalence(combined.get("prevalence"), tensors, len(one.tf_names), len(genes))
    except DAMAGE as error:
        if isinstance(error, GRNError) and str(place) in str(error):
            raise
        raise GRNError(f"{place}: damaged: {error}") from error
    arranged = _arranged(place, expression, one.tf_names, genes, one.samples, one.model)
    row = arranged.index()
    of = dict(zip(genes, places.tolist(), strict=True))
    known = Known.of_all(arranged, one.tfs)
    known = replace(known, places=np.array([of.get(gene, -1) for gene in arranged.genes], np.int64))
    here = [(tf, row[genes[gene]]) for tf, gene in votes.tolist() if genes[gene] in row]
    voting = np.array(here, np.int64).reshape(-1, 2)
    known.edges[tuple(voting.T)] = True
    tables = tables_of(known, one.seed)
    if list(tables) != combined.get("names") or {n.shape for n in numbers.values()} != {
        (1 + len(tables),)
    }:
        raise GRNError(f"{place}: its evidence is not {', '.join(tables)}; train it again")
    return Combined(
        towers,
        tables,
        **numbers,
        votes=voting,
        places=known.places,
        prevalence=_of_names(prevalence, genes, arranged.genes),
    )


def _content(place: Path) -> dict[str, Any]:
    path = place / "model.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GRNError(f"{place}: there is no model.json, so no model was saved here") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GRNError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise GRNError(f"{path}: this is not of a gene-regulatory model")
    if (version := _field(place, content, "format", int)) > FORMAT:
        raise GRNError(
            f"{path}: format {version}, but this version of groundup reads up to {FORMAT}; upgrade "
            "groundup to read it"
        )
    return content


def _field(place: Path, content: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = content.get(name)
    if not isinstance(value, kind):
        raise GRNError(f"{place / 'model.json'}: {name} is {value!r}, expected {kind.__name__}")
    return value


def _names(place: Path, content: Mapping[str, Any], key: str) -> list[str]:
    names = _field(place, content, key, list)
    if not names or not all(isinstance(name, str) for name in names) or repeats(names):
        raise GRNError(f"{place / 'model.json'}: {key}: expected different names, at least one")
    return names


def _recipe(content: Mapping[str, Any]) -> dict[str, Any]:
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.get("options", {}).items()
    }
    return {**content, "options": options}


def _tensors(place: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    path = place / WEIGHTS
    try:
        tensors, _ = load(path)
    except CheckpointError as error:
        raise GRNError(str(error)) from error
    if _hash(path) != content.get("weights"):
        raise GRNError(f"{path}: not the weights that {place / 'model.json'} was written with")
    for name, value in tensors.items():
        if not np.isfinite(value.numpy()).all():
            raise GRNError(f"{path}: {name} has NaN or infinite values")
    return tensors


def _edges(given: Tensor, tfs: int, genes: int) -> NDArray[np.int64]:
    edges = given.numpy()
    inside = edges.ndim == 2 and edges.shape[1] == 2 and edges.dtype.kind == "i"
    if not inside or (edges < 0).any() or (edges >= (tfs, genes)).any():
        raise GRNError("the known edges are not pairs of a TF and a gene")
    return edges.astype(np.int64)


def _numbered(tensors: Mapping[str, Tensor], name: str, count: int) -> NDArray[np.int64]:
    """A whole number for each TF or gene."""
    numbers = tensors[name].numpy()
    if numbers.shape != (count,) or numbers.dtype.kind != "i":
        raise GRNError(f"{name}: expected {count:,} whole numbers")
    return numbers.astype(np.int64)


def _signs(
    content: Mapping[str, Any] | None, tensors: Mapping[str, Tensor], tfs: int
) -> SignHead | None:
    if content is None:
        return None
    weights = np.array(content["weights"], np.float64)
    bias, leaning = float(content["bias"]), tensors["signs/leaning"].numpy().astype(np.float64)
    if weights.shape != (2,) or leaning.shape != (tfs,) or not np.isfinite([*weights, bias]).all():
        raise GRNError("the head for signs is not two weights, a bias and a number for each TF")
    return SignHead(Logistic(weights, bias), leaning)


def _prevalence_kept(
    prevalence: Prevalence | None, tensors: dict[str, Tensor]
) -> list[float] | None:
    """The three numbers; those of TFs and genes go to the tensors."""
    if prevalence is None:
        return None
    tensors["prevalence/of_tf"] = tensor(prevalence.of_tf)
    tensors["prevalence/of_gene"] = tensor(prevalence.of_gene)
    return [prevalence.slope, prevalence.degree, prevalence.bias]


def _prevalence(
    content: Any, tensors: Mapping[str, Tensor], tfs: int, genes: int
) -> Prevalence | None:
    if content is None:
        return None
    slope, degree, bias = map(float, content)
    if not (math.isfinite(slope + degree + bias) and slope >= 0 and degree >= 0):
        raise GRNError(f"{slope}, {degree} and {bias} make no log-odds")
    of_tf = _numbered(tensors, "prevalence/of_tf", tfs)
    of_gene = _numbered(tensors, "prevalence/of_gene", genes)
    if min(of_tf.min(), of_gene.min()) < 0:
        raise GRNError("prevalence/of_tf and of_gene have numbers below 0")
    return Prevalence(slope, degree, bias, of_tf, of_gene)


def _of_names(
    prevalence: Prevalence | None, genes: Sequence[str], names: Sequence[str]
) -> Prevalence | None:
    """With the genes in another order; genes that were not there have no edge."""
    if prevalence is None:
        return None
    of = dict(zip(genes, prevalence.of_gene.tolist(), strict=True))
    return replace(prevalence, of_gene=np.array([of.get(name, 0) for name in names], np.int64))


def _arranged(
    place: Path,
    expression: Expression,
    tfs: Sequence[str],
    genes: Sequence[str],
    samples: Sequence[str],
    model: Any,
) -> Expression:
    """Genes and samples as the model has them."""
    given, trained_on = set(expression.genes), set(genes)
    if missing := [tf for tf in tfs if tf not in given]:
        raise GRNError(
            f"{place}: {len(missing):,} of its {len(tfs):,} TFs are not in the expression, such as "
            f"{', '.join(missing[:3])}"
        )
    if model.knows_genes:
        lacking, unknown = sorted(trained_on - given), sorted(given - trained_on)
        if lacking or unknown:
            raise GRNError(
                f"{place}: the model has a vector for each of the {len(genes):,} genes that it was "
                f"trained with, and for no other; the expression lacks {len(lacking):,} "
                f"({_some(lacking)}) and has {len(unknown):,} others ({_some(unknown)})"
            )
        row = expression.index()
        expression = expression.only([row[gene] for gene in genes])
    if not model.reads_expression:
        return expression
    here = {sample: column for column, sample in enumerate(expression.samples)}
    lacking, unknown = sorted(set(samples) - set(here)), sorted(set(here) - set(samples))
    if lacking or unknown or len(here) != len(expression.samples):
        raise GRNError(
            f"{place}: the model has weights for each of the {len(samples):,} samples that it was "
            "trained with, and what it learned of one means nothing for another: the expression "
            f"lacks {len(lacking):,} of them ({_some(lacking)}) and has {len(unknown):,} others "
            f"({_some(unknown)}). Train a model with these samples"
        )
    order = [here[sample] for sample in samples]
    return Expression(expression.values[:, order], expression.genes, list(samples))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"


def _same_samples(
    place: Path,
    kept: NDArray[np.float32],
    genes: Sequence[str],
    expression: Expression,
    x: NDArray[np.float32],
) -> None:
    """Refuse samples that have the names of others."""
    row = expression.index()
    pairs = [
        (profile, x[row[genes[gene]]])
        for profile, gene in zip(kept, _sketched(len(genes)), strict=True)
        if genes[gene] in row
    ]
    alike = [
        float(np.corrcoef(one, other)[0, 1])
        for one, other in pairs
        if one.std() > 0 and other.std() > 0
    ]
    if alike and np.mean(alike) < ALIKE:
        raise GRNError(
            f"{place}: the samples are called as those that the model was trained with, but genes "
            f"behave otherwise in them (mean correlation {np.mean(alike):.2f} over {len(alike)} "
            "genes). Are they other samples, or was the expression prepared in another way?"
        )
