"""Every link of the built site leads somewhere: checked after each build, without a network.

Sphinx checks what it resolves itself. This also sees what it copies: HTML in Markdown, links to
anchors, pictures, style sheets, and the pages of other extensions. A dead link is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

BACK = re.compile(
    r'(?P<start><a class="viewcode-back" href=")(?P<page>[^"#]*)\.html#(?P<name>[^"]+)"'
)


class Page(HTMLParser):
    """The anchors of a page and what it refers to.

    Attributes:
        anchors: identifiers.
        references: addresses, each with its line.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.references: list[tuple[int, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note identifiers and addresses."""
        for key, value in attrs:
            if value is None:
                continue
            if key == "id" or (key == "name" and tag == "a"):
                self.anchors.add(value)
            elif key in ("href", "src"):
                self.references.append((self.getpos()[0], value))


def dead(folder: Path) -> Iterator[str]:
    """The links of a site that lead nowhere, each with its place.

    Args:
        folder: of the built site.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
    }
    for path, page in pages.items():
        place = path.relative_to(folder.resolve())
        for line, address in page.references:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_relative_to(folder.resolve()):
                yield f"{place}:{line}: {address} leads out of the site"
            elif not target.is_file():
                yield f"{place}:{line}: {address}: there is no such file"
            elif parts.fragment and target in pages:
                fragment = unquote(parts.fragment)
                # An empty fragment and "top" are the beginning of any page.
                if fragment != "top" and fragment not in pages[target].anchors:
                    yield f"{place}:{line}: {address}: there is no such anchor"


def check(app: Sphinx, exception: Exception | None) -> None:
    """Warn of every dead link."""
    if exception is None and app.builder.format == "html":
        for text in dead(Path(app.outdir)):
            logger.warning("dead link: %s", text, type="links")


def mend_backlinks(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Lead from a listing back to where a name is documented.

    viewcode supposes one module for all names of a file; ours come from the engine, and several
    packages offer them.
    """
    if not pagename.startswith("_modules/") or "body" not in context:
        return
    documented = {
        name: found.docname for name, found in app.env.domains.python_domain.objects.items()
    }

    def mended(match: re.Match[str]) -> str:
        module = match["page"].rpartition("/")[2]
        words = match["name"].split(".")
        names = [match["name"], *(".".join([module, *words[i:]]) for i in range(1, len(words)))]
        right = [name for name in names if documented.get(name, "").endswith(f"/{module}")]
        return f'{match["start"]}{match["page"]}.html#{(right or names)[0]}"'

    context["body"] = BACK.sub(mended, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Check after each build, and mend what viewcode is known to get wrong."""
    app.connect("html-page-context", mend_backlinks)
    app.connect("build-finished", check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
