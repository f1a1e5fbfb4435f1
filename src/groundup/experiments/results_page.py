"""The page of results: every claim beside what was measured, as `groundup verify` found it.

Two files: ``results.md`` for people, and ``results.json`` beside it with the same content for
programs, from which the parts that are not measured anew are taken when the page is rewritten.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..engine.files import write_atomically
from ..runs import StorageError
from ..runs.records import jsonable
from .experiment import Entry, code_version
from .runner import Results
from .tables import metrics_table

FORMAT = 1

INTRODUCTION = """\
# Results

Every claim of every experiment, beside what was measured. `groundup verify` writes this page;
nobody edits it.

- **measured** is the median over the seeds and, in parentheses, the 95 % interval: Student's t
  for a mean over seeds (paired where two conditions are compared, of logarithms for a ratio),
  Clopper and Pearson's for counts, order statistics for a median. Seeds are never those on which
  settings were chosen. What does not depend on the seed has no interval.
- A verdict rests on one-sided tests at 5 % for all claims of an experiment together (Holm's
  correction), so an interval that just excludes the claimed figure may not be enough. **holds**:
  the claim's opposite is rejected. **holds in part**: the claimed direction is confirmed, the
  figure is not. **refuted**: the claim is rejected. **undecided**: these seeds neither confirm
  nor exclude it. **not measured**: there are no values.
- A claim that does not hold stays here; neither thresholds nor settings are moved until it does.
"""


def record(results: Results) -> dict[str, Any]:
    """What the page keeps of a verification, as JSON values."""
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
    }


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The records by experiment that a page was made of; none if there is no page yet."""
    try:
        content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        found = {str(item["experiment"]): item for item in content["experiments"]}
        return found if content["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(path: Path, records: Mapping[str, Mapping[str, Any]], entries: Iterable[Entry]) -> None:
    """Rewrite the page.

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
    content = {"format": FORMAT, "experiments": kept}
    try:
        write_atomically(path, markdown(records, known).encode())
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(path.with_suffix(".json"), (text + "\n").encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


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
    parts += [_experiment(entry, item) for entry, item in measured]
    if missing:
        parts.append("## Not measured yet\n")
        parts.append("\n".join(f"- `{entry.name}`: {entry.title}" for entry in missing) + "\n")
    return "\n".join(parts)


def _experiment(entry: Entry, item: Mapping[str, Any]) -> str:
    claims = [
        [
            claim["text"],
            claim["source"],
            claim["claimed_text"],
            claim["measured_text"],
            f"**{claim['verdict']}**",
        ]
        for claim in item["claims"]
    ]
    seeds = item["seeds"]
    versions = ", ".join(f"{name} {version}" for name, version in item["versions"].items())
    old = ""
    if item["code"] != code_version(entry.module):
        old = " The code has changed since; the next verification measures it again."
    lines = [
        f"## {item['title']}\n",
        f"`{item['command']}` ({len(seeds)} seeds: {', '.join(map(str, seeds))}; {item['date']}; "
        f"version of the code {item['code']}{'; ' if versions else ''}{versions}).{old}\n",
        _table(["claim", "source", "claimed", "measured", "verdict"], claims) if claims else "",
    ]
    notes = [f"- {c['text']}: {c['verdict']}, {c['note']}." for c in item["claims"] if c["note"]]
    if notes:
        lines.append("\n".join(notes) + "\n")
    metrics = item["metrics"]
    if metrics["rows"]:
        lines.append("What was measured, median and interval over the seeds:\n")
        lines.append(_table(metrics["headers"], metrics["rows"]))
    return "\n".join(filter(None, lines))


def _table(headers: list[str], rows: Iterable[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    cells = (" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in r) for r in lines)
    return "\n".join(f"| {line} |" for line in cells) + "\n"
