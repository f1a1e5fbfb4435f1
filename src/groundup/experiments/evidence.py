"""What a verification leaves to look at beside its numbers, kept in files that can be committed.

Each section of a report (curves, figures, what the experiment itself adds) becomes a JSON value: a
title and blocks of text, tables, listings and figures. A figure is an SVG file of its own, on
white, so that it can be read wherever it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import viz
from ..runs import StorageError, Store
from .report import sections
from .runner import Results

LARGEST = 150_000
"""Bytes of a figure. They are committed, so a larger one stays in the report of its run."""


def keep(results: Results, store: Store, folder: Path) -> list[dict[str, Any]]:
    """Write the figures of a verification and describe everything that its report shows.

    Args:
        results: of the verification.
        store: where its series are.
        folder: for the figures; made if there are any.

    Returns:
        For each section ``{"title": ..., "blocks": [...]}``. A block has a ``kind``: ``text``
        (with ``text``), ``table`` (``headers``, ``rows``, ``caption``), ``code`` (``text``,
        ``caption``) or ``figure`` (``file``, its name in the folder, and ``caption``).

    Raises:
        StorageError: a file cannot be written.
    """
    found = []
    for title, blocks in sections(results, store):
        name = re.sub(r"\W+", "-", title.lower()).strip("-")
        kept, number = [], 0
        for block in blocks:
            if isinstance(block, viz.Plot):
                number += 1
                kept.append(_figure(block, folder / f"{name}-{number}.svg"))
            else:
                kept.append(_plain(block))
        found.append({"title": title, "blocks": kept})
    return found


def _figure(plot: viz.Plot, path: Path) -> dict[str, Any]:
    try:
        size = viz.save(plot.figure, path).stat().st_size
        if size <= LARGEST:
            return {"kind": "figure", "file": path.name, "caption": plot.caption}
        path.unlink()
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
    text = f"{plot.caption} (A figure of {size // 1000:,} kB; the report of the run shows it.)"
    return {"kind": "text", "text": text}


def _plain(block: viz.Block) -> dict[str, Any]:
    if isinstance(block, viz.Table):
        rows = [["" if cell is None else str(cell) for cell in row] for row in block.rows]
        headers = [str(header) for header in block.headers]
        return {"kind": "table", "headers": headers, "rows": rows, "caption": block.caption}
    if isinstance(block, viz.Code):
        return {"kind": "code", "text": block.text, "caption": block.caption}
    if isinstance(block, viz.Formula):
        return {"kind": "text", "text": f"$${block.tex}$$"}
    return {"kind": "text", "text": str(block)}


def files(record: Mapping[str, Any]) -> list[str]:
    """The names of the figures that a record of the page of results speaks of.

    Example:
        >>> files({"sections": [{"blocks": [{"kind": "figure", "file": "loss-1.svg"}]}]})
        ['loss-1.svg']
    """
    return [
        str(block["file"])
        for section in record.get("sections", [])
        for block in section["blocks"]
        if block["kind"] == "figure"
    ]


def prune(folder: Path, kept: set[str]) -> None:
    """Remove the figures of an experiment that nothing speaks of any more, and an empty folder.

    Args:
        folder: of the experiment.
        kept: names of the figures that stay.

    Raises:
        StorageError: one cannot be removed.
    """
    try:
        for path in folder.glob("*.svg"):
            if path.name not in kept:
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}; remove old figures") from error
