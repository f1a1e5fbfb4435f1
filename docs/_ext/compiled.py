"""What the compiler makes of an example, put into a page while that is built, so never old.

``{compiled} emitted`` (or ``optimised``, ``assembly``) shows the code of softmax(x + bias) for one
fixed processor, or with ``:loop: N`` one of its innermost loops. ``{compiled-step}`` shows and runs
the Python code inside of it, and shows what ``explain`` says of its function ``step``.
"""

from __future__ import annotations

import functools
import linecache
import re
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from docutils.parsers.rst import directives  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.engine.compiler.report.listing import HASWELL, Listing, function, listing, loops

LANGUAGES = {"emitted": "llvm", "optimised": "llvm", "assembly": "gas"}


@functools.cache
def softmax() -> Listing:
    """The code of the page's example, for a processor with vectors of 256 bits."""

    @gu.compile
    def f(x: gu.Tensor, bias: gu.Tensor) -> gu.Tensor:
        return gu.softmax(x + bias, dim=-1)

    f(gu.zeros(64, 128), gu.zeros(128))
    [[traced]] = f.traces.values()
    [work] = traced.program.work
    return listing(work.done.kernel, "softmax", HASWELL)


def code(room: str, loop: int | None = None, name: str | None = None) -> str:
    """The code of the example.

    Args:
        room: "emitted", "optimised" or "assembly".
        loop: which of its innermost loops, from 1; all of it if None.
        name: of another function of the module.

    Raises:
        ValueError: there is no such loop or function.
    """
    text = str(getattr(softmax(), room))
    if room != "assembly":
        text = function(text, name or "softmax")
        text = re.sub(r" +; preds = .*", "", text)
    if loop is None:
        return text.strip()
    found = list(loops(text))
    if not 1 <= loop <= len(found):
        raise ValueError(f"loop {loop} of {room}: there are {len(found)}")
    return found[loop - 1]


def report(source: str) -> str:
    """What ``explain`` says of the newest program of the function ``step`` of some Python code.

    The number of threads is 1, and times are left out: they belong to a machine.
    """
    linecache.cache["step.py"] = (len(source), None, source.splitlines(keepends=True), "step.py")
    threads = gu.get_num_threads()
    names: dict[str, Any] = {"gu": gu, "nn": nn, "optim": optim, "F": F, "__name__": "step"}
    try:
        gu.set_num_threads(1)
        gu.manual_seed(0)
        exec(compile(source, "step.py", "exec"), names)
        text = str(gu.explain(names["step"]).programs[-1])
    finally:
        gu.set_num_threads(threads)
    return re.sub(r"( made for 1 thread) in .* s$", r"\1", text, flags=re.M)


def _block(text: str, language: str) -> nodes.Node:
    block = nodes.literal_block(text, text)
    block["language"] = language
    block["force"] = True  # LLVM is ahead of the highlighter
    return block


class Compiled(SphinxDirective):
    """``{compiled} ROOM``: code of the example."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "loop": directives.positive_int,
        "function": directives.unchanged,
        "folded": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Make it."""
        room = self.arguments[0]
        try:
            text = code(room, self.options.get("loop"), self.options.get("function"))
        except ValueError as error:
            raise self.error(str(error)) from error
        self.env.note_reread()
        block = _block(text, LANGUAGES[room])
        if "folded" not in self.options:
            return [block]
        lines = len(text.splitlines())
        head = f"<details><summary>{self.options['folded']} ({lines} lines)</summary>"
        end = nodes.raw("", "</details>", format="html")
        return [nodes.raw("", head, format="html"), block, end]


class CompiledStep(SphinxDirective):
    """``{compiled-step}``: a program and what ``explain`` says of it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Run it."""
        source = "\n".join(self.content) + "\n"
        self.env.note_reread()
        wide = nodes.container(classes=["wide-report"])
        wide += _block(report(source), "text")
        return [_block(source, "python"), wide]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("compiled", Compiled)
    app.add_directive("compiled-step", CompiledStep)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
