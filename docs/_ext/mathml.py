"""Formulas as MathML, made when the site is built, so that reading them needs no script or network.

TeX goes in as ``$...$`` and ``$$...$$`` in Markdown or as reStructuredText's ``math``. A formula
that math-core cannot read is a warning, with which the build ends.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


@cache
def _converter() -> LatexToMathML:
    return LatexToMathML(annotation=True, fancy_error=False)


def mathml(tex: str, *, block: bool) -> str:
    """A formula as a ``<math>`` element, which also holds the TeX that it was made of.

    Raises:
        LatexError: the formula is wrong.
    """
    return _converter().convert_with_local_state(tex, displaystyle=block)


def _render(node: nodes.Element, *, block: bool) -> str:
    tex = node.astext()
    if block and "\\\\" in tex and "\\begin" not in tex:
        tex = f"\\begin{{aligned}}{tex}\\end{{aligned}}"
    try:
        return mathml(tex, block=block)
    except LatexError as error:
        logger.warning("formula %r: %s", tex, error, location=node, type="math")
        return ""


def inline(self: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(_render(node, block=False))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, in a frame that scrolls sideways where it is too narrow."""
    name = node.get("label")
    self.body.append(self.starttag(node, "div", CLASS="math-block", tabindex="0"))
    number = node.get("number")
    if name and number:
        self.body.append(f'<span class="eqno">({number})</span>')
    self.body.append(_render(node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it Sphinx's way of writing formulas."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
