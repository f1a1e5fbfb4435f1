"""Figures and reports from plain numbers, and diagrams of networks.

Everything but `network` and `before_and_after` takes NumPy arrays, lists, or anything with
``__array__`` and knows nothing of networks::

    from groundup import viz

    figure = viz.curves({"CNN": losses}, "Epoch", "Loss (nats)")  # losses: (runs, epochs)
    viz.save(figure, "loss.svg")
    report = viz.Report("Digits", "Two networks on 1,797 images")
    report.section("Training", viz.Plot(figure, "Loss by epoch.")).write("digits.html")
"""

from .confusion import confusion_matrix, count_confusion
from .contour import contours
from .curves import curves
from .figure import save, style, to_svg
from .formula import Formula
from .heatmap import heatmaps
from .images import filters, image_grid
from .network import before_and_after, network
from .report import Block, Code, Plot, Report, Table
from .scatter import scatter

__all__ = [
    "Block",
    "Code",
    "Formula",
    "Plot",
    "Report",
    "Table",
    "before_and_after",
    "confusion_matrix",
    "contours",
    "count_confusion",
    "curves",
    "filters",
    "heatmaps",
    "image_grid",
    "network",
    "save",
    "scatter",
    "style",
    "to_svg",
]
