"""A formula of a report: TeX as a drawing in the text's colour, set by Matplotlib.

Nothing is loaded and no TeX is needed; the shapes of the letters are in the page. A reader who does
not see them has the TeX itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextToPath

from .figure import style
from .svg import legal

_SIZE = 17.0  # of the letters, in pixels
_MARGIN = 3.0
_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@dataclass(frozen=True)
class Formula:
    r"""A formula on a line of its own.

    Args:
        tex: without dollar signs, on one line or several, in the part of TeX that
            Matplotlib knows: no environments and no packages.

    Raises:
        ValueError: Matplotlib cannot set it; the message has the place.

    Example:
        >>> Formula(r"y = \sum_k w_k x_k").to_html()[:70]
        '<p class="formula"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
    """

    tex: str

    def __post_init__(self) -> None:
        self._drawn()

    def to_html(self) -> str:
        """The formula as HTML with inline SVG.

        Example:
            >>> 'aria-label="a &lt; b"' in Formula("a < b").to_html()
            True
        """
        commands, (left, bottom, right, top) = self._drawn()
        left, bottom, right, top = left - _MARGIN, bottom - _MARGIN, right + _MARGIN, top + _MARGIN
        width, height = f"{right - left:.1f}", f"{top - bottom:.1f}"
        return (
            f'<p class="formula"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-label="{escape(legal(self.tex))}" width="{width}" height="{height}" '
            f'viewBox="{left:.1f} {-top:.1f} {width} {height}">'
            f'<path fill="currentColor" transform="scale(1 -1)" d="{commands}"/></svg></p>'
        )

    def _drawn(self) -> tuple[str, tuple[float, float, float, float]]:
        """The outlines as commands of an SVG path, and left, bottom, right, top; y goes up."""
        text = " ".join(self.tex.split())
        if not text:
            raise ValueError("the formula is empty, expected TeX")
        try:
            with style():
                font = FontProperties(size=_SIZE)
                points, codes = TextToPath().get_text_path(font, f"${text}$", ismath=True)
        except ValueError as error:
            where = str(error).strip().rpartition("\n")[2]
            raise ValueError(f"formula {text!r} cannot be set: {where}") from error
        path = Path(points, codes)
        box = path.get_extents()
        # TextToPath sets letters in a size of its own.
        scale = _SIZE / TextToPath.FONT_SCALE
        parts = []
        for vertices, code in path.iter_segments(simplify=False, curves=True):
            if code == Path.CLOSEPOLY:
                parts.append("Z")
            else:
                parts.append(_COMMANDS[code] + " ".join(f"{v * scale:.2f}" for v in vertices))
        ends = (box.x0, box.y0, box.x1, box.y1)
        left, bottom, right, top = (float(end) * scale for end in ends)
        return "".join(parts), (left, bottom, right, top)
