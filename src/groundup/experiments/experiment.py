'''What an experiment is, and how experiments are found.

An experiment is a module of this package, in a folder for each chapter or beside this file. It
reads from top to bottom and needs no call that registers it:

    """Optimizers: how many steps does each need?          <- the first line is the title

    The lesson, in Markdown with formulas.
    """

    from groundup.experiments import Claim, Trial

    LESSON = 4                                   # place in the course; those without come last
    SEEDS = range(10)                            # what is reported
    LOOK = 3                                     # how many of them `groundup run` takes
    TUNING_SEEDS = (100, 101, 102)               # what settings were chosen on; no seed is in both

    @dataclass
    class Config:                                # what `--set` changes
        steps: int = 500

    def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
        ...                                      # trains with run.fit, draws with run.figure
        return {"SGD/steps": 310.0, "Adam/steps": 74.0}

    CLAIMS = [Claim("adam", "Adam needs 4.2 times fewer", "the document, part 4", 4.2,
                    metric="SGD/steps", over="Adam/steps", digits=1)]

A metric is called ``condition/measure``; tables have a row for each condition and a column for each
measure. Also understood, if the module has them: ``LABELS`` (words for conditions and measures),
``RANGES`` (the least and the greatest value that a measure or metric can have, such as
``{"test_accuracy": (0, 100)}``; intervals are cut to it), ``TUNED`` (how settings were chosen),
``OBJECTIVE`` and ``GOAL`` (what a sweep optimises, and whether to "maximize" or "minimize" it), and
a function ``sections(results)`` that adds to the report.

Other packages offer experiments through the entry points of the group ``groundup.experiments``,
each a name and a module.
'''

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from .claims import Claim
from .statistics import ANY, Interval

PACKAGE = "groundup.experiments"
GROUP = "groundup.experiments"


class ExperimentError(ValueError):
    """There is no such experiment, or a module lacks what makes it one.

    Example:
        >>> load("digit")
        Traceback (most recent call last):
        ...
        groundup.experiments.experiment.ExperimentError: there is no experiment 'digit'; did you...
    """


@dataclass(frozen=True)
class Entry:
    """An experiment in the list: what its file tells without being run.

    Attributes:
        name: what it is called on the command line: the last part of the module's name.
        title: the first line of its docstring.
        module: where it is.
        chapter: the folder; empty for an experiment beside this file.
        lesson: place in the course, or None.
    """

    name: str
    title: str
    module: str
    chapter: str = ""
    lesson: int | None = None


@dataclass(frozen=True)
class Tuned:
    """How a setting was chosen: each value tried on the tuning seeds, the best kept.

    Attributes:
        setting: the field of the config, such as "lr.CNN".
        values: what was tried.
        metric: what was compared, a metric that ``run`` returns, never one of test data.
        goal: "maximize" or "minimize".
        given: other settings while this one is tried.

    Example:
        >>> Tuned("lr.CNN", (0.001, 0.01), "CNN/validation_accuracy").goal
        'maximize'
    """

    setting: str
    values: Sequence[Any]
    metric: str
    goal: Literal["maximize", "minimize"] = "maximize"
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An experiment, loaded.

    Attributes:
        entry: its place in the list.
        lesson: the docstring.
        config: the dataclass of its settings.
        run: function of (config, seed, trial) that gives metrics by name.
        claims: what it tests.
        seeds: what is reported.
        look: how many of them a first look takes; all by default.
        tuning_seeds: what settings were chosen on.
        tuned: how they were chosen.
        labels: words for the parts of metrics' names.
        ranges: the least and the greatest possible value by measure or metric.
        objective: metric that a sweep optimises.
        goal: "maximize" or "minimize".
        sections: function of results that gives further sections of the report.
        module: the module.

    Example:
        >>> digits = load("digits")
        >>> digits.config(epochs=3).epochs, digits.seeds
        (3, (0, 1, 2, 3, 4))
    """

    entry: Entry
    lesson: str
    config: type[Any]
    run: Callable[..., Mapping[str, float]]
    claims: tuple[Claim, ...]
    seeds: tuple[int, ...]
    look: int
    tuning_seeds: tuple[int, ...]
    tuned: tuple[Tuned, ...]
    labels: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    objective: str | None
    goal: str
    sections: Callable[..., Any] | None
    module: ModuleType

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.entry.name

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        return self.entry.title

    @property
    def code(self) -> str:
        """The version of its code, see `code_version`."""
        return code_version(self.module.__name__)

    def label(self, name: str) -> str:
        """Words for a condition or a measure.

        Example:
            >>> load("digits").label("test_accuracy")
            'test accuracy (%)'
        """
        return self.labels.get(name, name.replace("_", " "))

    def possible(self, metric: str) -> Interval:
        """The values that a metric can have, as far as the experiment says.

        Example:
            >>> load("digits").possible("CNN/test_accuracy")
            Interval(low=0, high=100)
        """
        found = self.ranges.get(metric, self.ranges.get(metric.rpartition("/")[2]))
        return ANY if found is None else Interval(*found)


def entries() -> list[Entry]:
    """All experiments in the order of the course, without importing any of them.

    Example:
        >>> [entry.title for entry in entries() if entry.name == "digits"]
        ['Convolution: does a CNN read handwritten digits better than an MLP, with fewer...']
    """
    found = [*_own(), *_foreign()]
    seen: dict[str, str] = {}
    for entry in found:
        if entry.name in seen:
            raise ExperimentError(
                f"two experiments are called {entry.name!r}: {seen[entry.name]} and "
                f"{entry.module}; rename one"
            )
        seen[entry.name] = entry.module
    return sorted(found, key=lambda e: (e.lesson is None, e.lesson, e.name))


def _own() -> list[Entry]:
    package = importlib.import_module(PACKAGE)
    found = []
    for info in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if info.ispkg:
            continue
        name = info.name.removeprefix(f"{PACKAGE}.")
        path = Path(*package.__path__, *name.split(".")).with_suffix(".py")
        if (entry := _entry(path, info.name)) is not None:
            found.append(entry)
    return found


def _foreign() -> list[Entry]:
    found = []
    for point in entry_points(group=GROUP):
        try:
            spec = find_spec(point.value)
        except ImportError:
            spec = None
        entry = None
        if spec is not None and spec.origin is not None:
            entry = _entry(Path(spec.origin), point.value)
        title = entry.title if entry else "is announced by an installed package, but not there"
        lesson = entry.lesson if entry else None
        found.append(Entry(point.name, title, point.value, "elsewhere", lesson))
    return found


def _entry(path: Path, module: str) -> Entry | None:
    """What the text of a module tells; None if it is no experiment."""
    told = _told(path.read_text(encoding="utf-8"))
    if told is None:
        return None
    *chapter, name = module.removeprefix(f"{PACKAGE}.").split(".")
    return Entry(name, told[0], module, ".".join(chapter), told[1])


@functools.lru_cache(maxsize=256)
def _told(text: str) -> tuple[str, int | None] | None:
    """(title, lesson), if it is the text of an experiment."""
    tree = ast.parse(text)
    names: dict[str, ast.expr | None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.Assign):
            names |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node.value
    if "run" not in names or "CLAIMS" not in names:
        return None
    lesson = names.get("LESSON")
    number = lesson.value if isinstance(lesson, ast.Constant) else None
    title = (ast.get_docstring(tree) or "").partition("\n")[0] or "(without a title)"
    return title, number if isinstance(number, int) else None


def find(name: str) -> Entry:
    """The entry of an experiment.

    Raises:
        ExperimentError: there is none of that name; the message has the nearest right one.

    Example:
        >>> find("digits").module
        'groundup.experiments.foundations.digits'
    """
    known = {entry.name: entry for entry in entries()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ExperimentError(
        f"there is no experiment {name!r}; {meant}`groundup list` shows all {len(known)}"
    )


def load(name: str) -> Experiment:
    """Import an experiment.

    Raises:
        ExperimentError: there is none of that name, or its module lacks something.

    Example:
        >>> len(load("digits").claims)
        6
    """
    entry = find(name)
    return from_module(importlib.import_module(entry.module), entry)


def from_module(module: ModuleType, entry: Entry | None = None) -> Experiment:
    """The experiment that a module is.

    Args:
        module: with a docstring, ``Config``, ``run``, ``CLAIMS`` and ``SEEDS``.
        entry: its place in the list; by default made from the module.

    Raises:
        ExperimentError: what is missing or wrong in the module.

    Example:
        >>> from groundup.experiments.foundations import digits
        >>> from_module(digits).name
        'digits'
    """
    where = module.__name__
    lesson = inspect.cleandoc(module.__doc__ or "")
    if entry is None:
        entry = Entry(where.rpartition(".")[2], lesson.partition("\n")[0], where)
    given = {name: getattr(module, name, None) for name in ("Config", "run", "CLAIMS", "SEEDS")}
    missing = [name for name, value in given.items() if value is None]
    if missing or not lesson:
        parts = ", ".join([*missing, *([] if lesson else ["a docstring"])])
        raise ExperimentError(f"{where} lacks {parts}; see groundup.experiments.experiment")
    config: type[Any] = module.Config
    if not dataclasses.is_dataclass(config):
        raise ExperimentError(f"{where}.Config: expected a dataclass")
    if len(inspect.signature(module.run).parameters) != 3:
        raise ExperimentError(f"{where}.run: expected the arguments (config, seed, run)")
    claims = tuple(module.CLAIMS)
    twice = {claim.id for claim in claims if sum(c.id == claim.id for c in claims) > 1}
    if twice:
        raise ExperimentError(f"{where}.CLAIMS: two claims are called {', '.join(sorted(twice))}")
    seeds, tuning = tuple(module.SEEDS), tuple(getattr(module, "TUNING_SEEDS", ()))
    if not seeds or set(seeds) & set(tuning) or len(set(seeds)) < len(seeds):
        raise ExperimentError(
            f"{where}: SEEDS {seeds} and TUNING_SEEDS {tuning}; expected different seeds, at least "
            "one to report, and none in both, since settings must not be judged on what chose them"
        )
    look = getattr(module, "LOOK", len(seeds))
    if look not in range(1, len(seeds) + 1):
        raise ExperimentError(f"{where}.LOOK is {look}; expected 1 to {len(seeds)}, as SEEDS has")
    ranges: Mapping[str, tuple[float, float]] = getattr(module, "RANGES", {})
    for metric, pair in ranges.items():
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise ExperimentError(
                f"{where}.RANGES: {metric!r} is {pair}, expected the least and the greatest value"
            )
    tuned = tuple(getattr(module, "TUNED", ()))
    objective = getattr(module, "OBJECTIVE", None)
    for metric in [*(t.metric for t in tuned), *([objective] if objective else [])]:
        not_of_test(metric)
    return Experiment(
        entry=entry,
        lesson=lesson,
        config=config,
        run=module.run,
        claims=claims,
        seeds=seeds,
        look=look,
        tuning_seeds=tuning,
        tuned=tuned,
        labels=getattr(module, "LABELS", {}),
        ranges=ranges,
        objective=objective,
        goal=getattr(module, "GOAL", "maximize"),
        sections=getattr(module, "sections", None),
        module=module,
    )


def not_of_test(metric: str) -> None:
    """Refuse to choose settings by test data.

    Raises:
        ExperimentError: the metric's name says "test".

    Example:
        >>> not_of_test("CNN/validation_accuracy")
    """
    if "test" in metric.lower():
        raise ExperimentError(
            f"metric {metric!r} is of test data; settings are chosen by a validation metric, or "
            "the test would no longer tell how well unseen data is done"
        )


# What records and shows computes nothing; claims are judged anew from what was measured. Of this
# package only experiments, what they share, and the trial that trains for them compute.
_SHOWING = ("groundup.runs", "groundup.viz")
_AROUND = {
    f"{PACKAGE}{name}"
    for name in (
        "",
        ".animation",
        ".claims",
        ".config",
        ".evidence",
        ".experiment",
        ".lesson",
        ".report",
        ".results_page",
        ".runner",
        ".statistics",
        ".sweep",
        ".tables",
        ".tuning",
    )
}
_BEGUN = time.time_ns()


@cache
def code_version(module: str) -> str:
    """A short hash of a module's text and of all of this package that it imports.

    Results of one version need not be computed again; those of another say nothing of this one. A
    file that was written after this program began may not be what the program runs, so no other
    program takes over what it computes.

    Example:
        >>> len(code_version("groundup.experiments.foundations.digits"))
        12
    """
    seen: dict[str, str] = {}
    wanted = [module, f"{PACKAGE}.trial"]
    while wanted:
        name = wanted.pop()
        if name in seen or name in _AROUND or name.startswith(_SHOWING):
            continue
        seen[name], imported = _read(name)
        wanted += imported
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(seen.items()))
    return sha256(text.encode()).hexdigest()[:12]


@cache
def _read(module: str) -> tuple[str, list[str]]:
    """The hash of a module's text, and what it imports of groundup and of its own package."""
    path = _file(module)
    if path is None:
        return "", []
    text = path.read_bytes()
    late = f"{os.getpid()} {_BEGUN}" if path.stat().st_mtime_ns > _BEGUN else ""
    inside = ("groundup", module.partition(".")[0])
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + (path.name == "__init__.py")]
                base = ".".join([*kept, *([base] if base else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    names = [n for n in found if n.partition(".")[0] in inside and _file(n) is not None]
    return sha256(text + late.encode()).hexdigest(), names


@cache
def _file(module: str) -> Path | None:
    """Where the text of a module or package is; None for what is neither."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    path = Path(spec.origin).parent.joinpath(*rest)
    options = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((option for option in options if option.is_file()), None)
