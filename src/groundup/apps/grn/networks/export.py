"""A network in the files that other tools read, best edges first.

- ``tsv``: all that is known of an edge: ``TF target importance`` and, where they were learned,
  ``probability spread sign in_prior``. arboreto and pySCENIC read it, as they go by these names;
- ``arboreto``: the three columns ``TF target importance`` and no more, as GRNBoost2 writes them;
- ``beeline``: ``Gene1 Gene2 EdgeWeight``, BEELINE's ``rankedEdges.csv``, which has tabs;
- ``decoupler``: ``source,target,weight``; the weight has the sign of the regulation, and an edge
  whose sign is not known counts as activation there;
- ``sif``: ``TF activates target`` (or ``represses``, ``regulates``), which Cytoscape reads;
- ``graphml``: nodes and edges with all of their values, which Cytoscape, Gephi and networkx read.

Each file is written whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from ....engine.files import write_atomically
from ..errors import GRNError
from .network import Network, Row

VERBS = {1: "activates", -1: "represses", 0: "regulates", None: "regulates"}
_OPTIONAL = ("probability", "spread", "sign", "in_prior")


def export(
    network: Network, path: str | os.PathLike[str], kind: str = "tsv", count: int | None = None
) -> None:
    """Write the best edges of a network to a file.

    Args:
        network: the network.
        path: the file; an old one is replaced when the new one is complete.
        kind: one of `FORMATS`.
        count: how many edges; all pairs if None.

    Raises:
        GRNError: an unknown kind, a count below 1, or a name that the format cannot hold.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> import tempfile, pathlib
        >>> import numpy as np
        >>> network = Network(["fur"], ["entA", "sodB"], np.array([[0.25, 0.75]], np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(network, f"{folder}/edges.tsv", "arboreto")
        ...     print(pathlib.Path(f"{folder}/edges.tsv").read_text(), end="")
        TF	target	importance
        fur	sodB	0.75
        fur	entA	0.25
    """
    if kind not in FORMATS:
        raise GRNError(f"format {kind!r}, expected one of {', '.join(FORMATS)}")
    lines = FORMATS[kind](network, count)
    write_atomically(path, _joined(lines))


def _joined(lines: Iterator[str], at_once: int = 4096) -> Iterator[bytes]:
    """Lines as bytes, many at a time."""
    some: list[str] = []
    for line in lines:
        some.append(line)
        if len(some) == at_once:
            yield ("\n".join(some) + "\n").encode()
            some.clear()
    if some:
        yield ("\n".join(some) + "\n").encode()


def _present(network: Network) -> list[str]:
    return [name for name in _OPTIONAL if getattr(network, name) is not None]


def _tsv(network: Network, count: int | None) -> Iterator[str]:
    present = _present(network)
    yield "\t".join(["TF", "target", "importance", *present])
    for row in _plain(network, count, '\t"'):
        yield "\t".join(
            [row.tf, row.target, repr(row.importance), *(_word(getattr(row, c)) for c in present)]
        )


def _arboreto(network: Network, count: int | None) -> Iterator[str]:
    yield "TF\ttarget\timportance"
    for row in _plain(network, count, '\t"'):
        yield f"{row.tf}\t{row.target}\t{row.importance!r}"


def _beeline(network: Network, count: int | None) -> Iterator[str]:
    yield "Gene1\tGene2\tEdgeWeight"
    for row in _plain(network, count, '\t"'):
        yield f"{row.tf}\t{row.target}\t{row.importance!r}"


def _decoupler(network: Network, count: int | None) -> Iterator[str]:
    yield "source,target,weight"
    for row in _plain(network, count, ',"'):
        weight = -row.importance if row.sign == -1 else row.importance
        yield f"{row.tf},{row.target},{weight!r}"


def _sif(network: Network, count: int | None) -> Iterator[str]:
    for row in _plain(network, count, "\t"):
        yield f"{row.tf}\t{VERBS[row.sign]}\t{row.target}"


_TYPES = {
    "importance": "double",
    "probability": "double",
    "spread": "double",
    "sign": "int",
    "in_prior": "boolean",
}


def _graphml(network: Network, count: int | None) -> Iterator[str]:
    present = ["importance", *_present(network)]
    rows = list(network.ranked(count))
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    yield '  <key id="is_tf" for="node" attr.name="is_tf" attr.type="boolean"/>'
    for name in present:
        yield f'  <key id="{name}" for="edge" attr.name="{name}" attr.type="{_TYPES[name]}"/>'
    yield '  <graph id="network" edgedefault="directed">'
    tfs = set(network.tf_names)
    for name in dict.fromkeys(name for row in rows for name in row[:2]):
        is_tf = str(name in tfs).lower()
        yield f'    <node id={_quoted(name)}><data key="is_tf">{is_tf}</data></node>'
    for row in rows:
        values = "".join(
            f'<data key="{name}">{escape(_word(getattr(row, name)).lower())}</data>'
            for name in present
        )
        yield f"    <edge source={_quoted(row.tf)} target={_quoted(row.target)}>{values}</edge>"
    yield "  </graph>"
    yield "</graphml>"


def _quoted(name: str) -> str:
    if any(ord(letter) < 32 for letter in name):
        raise GRNError(f"the name {name!r} has a control character, which XML cannot hold")
    return quoteattr(name)


def _word(value: float | int | bool | None) -> str:
    return "" if value is None else repr(value)


def _plain(network: Network, count: int | None, marks: str) -> Iterator[Row]:
    """Rows whose names do not break lines or columns."""
    for name in (*network.tf_names, *network.gene_names):
        if any(mark in name for mark in (*marks, "\n", "\r")) or name != name.strip():
            raise GRNError(
                f"the name {name!r} has a character that parts columns or lines in this format, or "
                "blanks at its ends; rename the gene, or take graphml"
            )
    return network.ranked(count)


FORMATS: Mapping[str, Callable[[Network, int | None], Iterator[str]]] = {
    "tsv": _tsv,
    "arboreto": _arboreto,
    "beeline": _beeline,
    "decoupler": _decoupler,
    "sif": _sif,
    "graphml": _graphml,
}
"""All formats, by name."""
