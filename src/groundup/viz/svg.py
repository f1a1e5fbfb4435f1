"""An SVG document as a part of a page.

A page shares one space of names and one style sheet among all its drawings, and takes its colours
from the reader's light or dark theme. So a document that goes into a page loses its prologue and
its metadata; keeps only the identifiers that something refers to, each with a prefix; draws its ink
in the page's text colour, or stands on white; and says in words what it shows (``role="img"`` with
``aria-label``). A document with anything that could run or load something is refused.
"""

from __future__ import annotations

import hashlib
import re
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"

FONTS = "'DejaVu Sans', Verdana, Geneva, Arial, sans-serif"

# Matplotlib states these two in a style sheet, which inside a page would reach every other drawing.
SHEET = "*{stroke-linejoin: round; stroke-linecap: butt}"
SHEET_AS_STYLE = "stroke-linejoin: round; stroke-linecap: butt"

SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image"}
TEXTS = {"text", "tspan", "title", "desc"}
GROUPS = {"svg", "g", "defs", "use", "symbol", "clipPath", "mask", "marker", "pattern"}
COLOURS = {"linearGradient", "radialGradient", "stop"}
DRAWN = SHAPES | TEXTS | GROUPS | COLOURS

REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")
FAMILY = re.compile(r"font-family: 'DejaVu Sans'[^;]*;?\s*")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """Text in which characters that no XML or HTML document may hold are replaced by U+FFFD.

    Args:
        text: any string.

    Returns:
        The same string with control characters and lone surrogates replaced.

    Example:
        >>> legal("a" + chr(0) + "b") == "a" + chr(0xFFFD) + "b"
        True
    """
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def inline(
    document: str, description: str, prefix: str | None = None, ink: str | None = None
) -> str:
    """Turn an SVG document into an element that can stand in an HTML page.

    Args:
        document: the text of an SVG file.
        description: what the drawing shows, for readers who do not see it.
        prefix: begins every identifier, so that two drawings of one page do not clash; by default
            made from the content.
        ink: a colour that becomes the page's text colour, in a document without a background; by
            default the document keeps its colours and stands on white in either theme, unless its
            outermost element has ``fill="currentColor"``, which says that it follows the page.

    Returns:
        One ``<svg>`` element, on one line but for its texts.

    Raises:
        ValueError: the document is not SVG, or it holds a script, a style sheet, an event handler,
            or a reference to another file.

    Example:
        >>> circle = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'
        >>> inline(circle, "A disc")
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" ...><circle r="1" /></svg>'
    """
    document = legal(document)
    if prefix is None:
        prefix = f"g{hashlib.sha256(document.encode()).hexdigest()[:8]}-"
    root = _parsed(document)
    _strip(root)
    used = _check(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        element.attrib = dict(_rewritten(element, used, prefix, ink))

    paper = "" if ink or _follows(root) else "background: white; color: black; "
    kept = {
        key: value
        for key, value in root.attrib.items()
        if key not in ("role", "version") and not key.startswith("aria-")
    }
    kept["style"] = f"{paper}font-family: {FONTS}; {SHEET_AS_STYLE}; {kept.get('style', '')}"
    root.attrib = {"xmlns": SVG, "role": "img", "aria-label": legal(description), **kept}
    return ElementTree.tostring(root, encoding="unicode")


def on_paper(document: str) -> str:
    """A document that can stand alone: white behind it if it follows the colour of a page.

    Args:
        document: the text of an SVG file.

    Raises:
        ValueError: the document is not SVG.

    Example:
        >>> on_paper('<svg xmlns="http://www.w3.org/2000/svg" fill="currentColor"/>')
        '<svg style="background: white; color: black" xmlns=...
    """
    document = legal(document)
    root = _parsed(document)
    if _follows(root) and "style" not in root.attrib:
        return document.replace("<svg", '<svg style="background: white; color: black"', 1)
    return document


def _parsed(document: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise ValueError(f"not an SVG document: {error}") from error
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError(f"not an SVG document: its outermost element is {root.tag!r}")
    return root


def _follows(root: ElementTree.Element) -> bool:
    """Whether a document takes its colour from what stands around it."""
    return root.get("fill") == "currentColor"


def _strip(root: ElementTree.Element) -> None:
    """Remove metadata, Matplotlib's style sheet, and spaces that only indent."""
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.removeprefix(f"{{{SVG}}}")
            matplotlibs = name == "style" and (child.text or "").strip() == SHEET
            emptied = name == "defs" and all(
                (grandchild.text or "").strip() == SHEET for grandchild in child
            )
            # The description speaks for the drawing; a title would also pop up under the mouse.
            titled = parent is root and name in ("title", "desc")
            if name == "metadata" or matplotlibs or emptied or titled:
                parent.remove(child)
    for element in root.iter():
        if element.tag not in (f"{{{SVG}}}text", f"{{{SVG}}}tspan"):
            element.text = (element.text or "").strip() or None
            for child in element:
                child.tail = None


def _check(root: ElementTree.Element) -> set[str]:
    """Refuse what could run or load something; return the identifiers that are referred to."""
    used: set[str] = set()
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{SVG}}}")
        if name not in DRAWN:
            raise ValueError(
                f"SVG holds a <{name}> element, which cannot stand in a page; export it with plain "
                "shapes and style attributes only"
            )
        for key, value in element.attrib.items():
            if key.lower().startswith("on"):
                raise ValueError(f"SVG holds an event handler ({key} of <{name}>); remove it")
            if key in ("href", XLINK_HREF):
                if value.startswith("#"):
                    used.add(value[1:])
                elif name != "image" or not value.startswith("data:image/"):
                    raise ValueError(
                        f"SVG refers to {value[:60]!r} from <{name}>; a page that stands alone may "
                        "hold only parts of itself (#id) and images as data:image/..."
                    )
            used.update(REFERENCE.findall(value))
            if "url(" in REFERENCE.sub("", value).lower():
                raise ValueError(f"SVG loads a file from {key}={value[:60]!r} of <{name}>")
    return used


def _rewritten(
    element: ElementTree.Element, used: set[str], prefix: str, ink: str | None
) -> list[tuple[str, str]]:
    """The attributes of an element as they stand in a page."""
    attributes = []
    for key, value in element.attrib.items():
        if key == "id":
            if value not in used:
                continue
            value = prefix + value
        elif key in ("href", XLINK_HREF):
            key = "href"
            value = f"#{prefix}{value[1:]}" if value.startswith("#") else "".join(value.split())
        elif key == "transform" and value.startswith("rotate(-0 "):
            continue
        elif key == "style" and element.tag == "text":
            value = FAMILY.sub("", value)
        elif key == "d":
            value = " ".join(value.split())
        if key != "href":
            value = REFERENCE.sub(lambda match: f"url(#{prefix}{match[1]})", value)
            value = value.replace(ink, "currentColor") if ink else value
        attributes.append((key, value))
    return attributes
