"""The page of results: every claim beside what was measured, as `groundup verify` found it.

Two files: ``results.md`` for people, and ``results.json`` beside it with the same content for
programs, from which the parts that are not measured anew are taken when the page is rewritten.
Figures stand in a folder for each experiment: ``results/digits/learning-1.svg``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engine.files import write_atomically
from ..runs import StorageError, Store
from ..runs.records import jsonable
from . import evidence
from .experiment import Entry, code_version
from .runner import Results
from .tables import metrics_table

FORMAT = 1
VERDICTS = ("holds", "holds in part", "refuted", "undecided")

INTRODUCTION = """\
# Results

Every claim of every experiment, beside what was measured. `groundup verify` writes this page;
nobody edits it. A claim that does not hold stays here; neither thresholds nor settings are moved
until it does.
"""
READING = """\
## How to read it

- **measured** is the median over the seeds and, in parentheses, the 95 % interval: Student's t
  for a mean over seeds (paired where two conditions are compared, of logarithms for a ratio),
  Clopper and Pearson's for counts, order statistics for a median. Seeds are never those on which
  settings were chosen. What does not depend on the seed has no interval.
- A verdict rests on one-sided tests at 5 % for all claims of an experiment together (Holm's
  correction), so an interval that just excludes the claimed figure may not be enough. **holds**:
  the claim's opposite is rejected. **holds in part**: the claimed direction is confirmed, the
  figure is not. **refuted**: the claim is rejected. **undecided**: these seeds neither confirm
  nor exclude it. **not measured**: there are no values.
"""


def figures_folder(path: Path, name: str) -> Path:
    """Where a page keeps the figures of an experiment.

    Example:
        >>> figures_folder(Path("docs/results.md"), "digits").as_posix()
        'docs/results/digits'
    """
    return path.with_suffix("") / name


def record(results: Results, store: Store, path: Path) -> dict[str, Any]:
    """Write the figures of a verification; what the page keeps of it, as JSON values.

    Args:
        results: of the verification.
        store: where its series are.
        path: of the page.

    Raises:
        StorageError: a figure cannot be written.
    """
    experiment = results.experiment
    headers, rows = metrics_table(results)
    ended = [found.info.ended or found.info.created for found in results.outcomes.values()]
    first = next(iter(results.outcomes.values()))
    try:
        text = (first.info.folder / "environment.json").read_text(encoding="utf-8")
        versions = dict(json.loads(text)["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        versions = {}
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "module": experiment.module.__name__,
        "lesson": experiment.entry.lesson,
        "command": f"groundup verify {experiment.name}",
        "code": experiment.code,
        "date": time.strftime("%Y-%m-%d", time.gmtime(max(ended))),
        "versions": {k: versions[k] for k in ("python", "numpy") if k in versions},
        "seeds": list(results.metrics),
        "config": jsonable(results.config),
        "metrics": {"headers": headers, "rows": rows},
        "claims": [finding.to_json() for finding in results.findings],
        "sections": evidence.keep(results, store, figures_folder(path, experiment.name)),
    }


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within it no other process rewrites the page, so that what was read is still there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The records by experiment that a page was made of; none if there is no page yet.

    Raises:
        StorageError: there are some, but damaged; to write the page without them would lose them.
    """
    source = path.with_suffix(".json")
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        found = {str(item["experiment"]): item for item in content["experiments"]}
        if content["format"] > FORMAT:
            raise ValueError(f"format {content['format']}, this groundup knows {FORMAT}")
        return found if content["format"] == FORMAT else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{source} cannot be read ({error}), and the page is made of it. Restore it, or remove "
            "it to begin the page anew"
        ) from error


def write(path: Path, records: Mapping[str, Mapping[str, Any]], entries: Iterable[Entry]) -> None:
    """Rewrite the page, and remove the figures that it no longer speaks of.

    Args:
        path: of the Markdown file.
        records: by experiment: those measured now, and what `read` gave for the others.
        entries: the experiments that there are, in order. One without a record is named as not
            measured; a record without an experiment is dropped.

    Raises:
        StorageError: a file cannot be written.
    """
    known = list(entries)
    kept = [records[entry.name] for entry in known if entry.name in records]
    named = {item["experiment"]: set(evidence.files(item)) for item in kept}
    before = read(path)
    content = {"format": FORMAT, "experiments": kept}
    try:
        write_atomically(path, markdown(records, known).encode())
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(path.with_suffix(".json"), (text + "\n").encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
    for name in before | named:
        evidence.prune(figures_folder(path, name), named.get(name, set()))


def markdown(records: Mapping[str, Mapping[str, Any]], entries: Iterable[Entry]) -> str:
    """The page as Markdown.

    Example:
        >>> page = markdown({}, [Entry("xor", "Exclusive or", "groundup.experiments.xor")])
        >>> "Exclusive or" in page.splitlines()[-1]
        True
    """
    known = list(entries)
    measured = [(entry, records[entry.name]) for entry in known if entry.name in records]
    missing = [entry for entry in known if entry.name not in records]
    counts = Counter(claim["verdict"] for _, item in measured for claim in item["claims"])
    parts = [INTRODUCTION]
    if counts:
        words = ", ".join(f"{verdict} {counts[verdict]}" for verdict in sorted(counts))
        parts.append(
            f"{counts.total()} claims of {len(measured)} "
            f"experiment{'' if len(measured) == 1 else 's'}: {words}.\n"
        )
        parts.append(_overview([item for _, item in measured]))
    parts.append(READING)
    parts += [_experiment(entry, item) for entry, item in measured]
    if missing:
        parts.append("## Not measured yet\n")
        parts.append("\n".join(f"- `{entry.name}`: {entry.title}" for entry in missing) + "\n")
    return "\n".join(parts)


def _overview(items: Iterable[Mapping[str, Any]]) -> str:
    """A row for each experiment: how many of its claims have each verdict."""
    rows = []
    for item in items:
        counts = Counter(claim["verdict"] for claim in item["claims"])
        found = [str(counts[verdict] or "") for verdict in VERDICTS]
        name = item["title"].partition(":")[0]
        rows.append([f"[{name}](#{_anchor(item['title'])})", *found, f"`{item['command']}`"])
    return table(["experiment", *VERDICTS, "command"], rows, "l" + "r" * len(VERDICTS) + "l")


def _anchor(title: str) -> str:
    """The name that Markdown gives to a heading.

    Example:
        >>> _anchor("Depth: 6 to 64, why?")
        'depth-6-to-64-why'
    """
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _numbers(seeds: Sequence[int]) -> str:
    """Numbers, those that follow each other shortened.

    Example:
        >>> _numbers([0, 1, 2, 3, 7]), _numbers([4, 5])
        ('0 to 3, 7', '4, 5')
    """
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )


def _experiment(entry: Entry, item: Mapping[str, Any]) -> str:
    parts = [f"## {item['title']}\n", how(entry, item), claims(item), metrics(item)]
    if names := evidence.files(item):
        links = ", ".join(f"[{Path(n).stem}](results/{entry.name}/{n})" for n in names)
        parts.append(f"Figures: {links}.\n")
    return "\n".join(filter(None, parts))


def how(entry: Entry, item: Mapping[str, Any]) -> str:
    """The command that measured it, with its seeds, date and versions, as a paragraph."""
    seeds = item["seeds"]
    versions = ", ".join(f"{name} {version}" for name, version in item["versions"].items())
    old = ""
    if item["code"] != code_version(entry.module):
        old = " The code has changed since; the next verification measures it again."
    return (
        f"`{item['command']}` ({len(seeds)} seeds: {_numbers(seeds)}; {item['date']}; "
        f"version of the code {item['code']}{'; ' if versions else ''}{versions}).{old}\n"
    )


def claims(item: Mapping[str, Any]) -> str:
    """The claims of a record as a table, and what is to be said of their verdicts.

    A source that all of them share stands above; others have a column.

    Example:
        >>> claims({"claims": []})
        ''
    """
    found = item["claims"]
    if not found:
        return ""
    sources = dict.fromkeys(claim["source"] for claim in found)
    shared = len(sources) == 1
    headers = ["claim", *([] if shared else ["source"]), "claimed", "measured", "verdict"]
    rows = []
    for claim in found:
        verdict = f"**{claim['verdict']}**"
        source = [] if shared else [claim["source"]]
        rows.append(
            [claim["text"], *source, claim["claimed_text"], claim["measured_text"], verdict]
        )
    parts = [f"Claims of: {next(iter(sources))}.\n"] if shared else []
    parts.append(table(headers, rows, "l" * (len(headers) - 3) + "rrl"))
    notes = [f"- {c['text']}: {c['verdict']}, {c['note']}." for c in found if c["note"]]
    if notes:
        parts.append("\n".join(notes) + "\n")
    return "\n".join(parts)


def metrics(item: Mapping[str, Any]) -> str:
    """The metrics of a record as a table, a row for each condition; empty if there are none."""
    headers, rows = item["metrics"]["headers"], item["metrics"]["rows"]
    if not rows:
        return ""
    caption = "What was measured, median and interval over the seeds:\n"
    return f"{caption}\n{table(headers, rows, 'l' + 'r' * (len(headers) - 1))}"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    r"""A table in Markdown.

    Args:
        headers: of the columns.
        rows: cells.
        align: a letter for each column, ``l`` or ``r``; by default all are set left.

    Example:
        >>> print(table(["model", "weights"], [["a|b", "650"]], "lr"), end="")
        | model | weights |
        | --- | ---: |
        | a\|b | 650 |
    """
    rule = ["---:" if side == "r" else "---" for side in align or "l" * len(headers)]
    lines = [headers, rule, *rows]
    cells = (" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in r) for r in lines)
    return "\n".join(f"| {line} |" for line in cells) + "\n"
