"""Figures and reports from plain numbers.

Everything takes NumPy arrays, lists, or anything with ``__array__`` and knows nothing of networks:

    from groundup import viz

    figure = viz.curves({"CNN": losses}, "Epoch", "Loss (nats)")  # losses: (runs, epochs)
    viz.save(figure, "loss.svg")
    report = viz.Report("Digits", "Two networks on 1,797 images")
    report.section("Training", viz.Plot(figure, "Loss by epoch.")).write("digits.html")
"""

from .confusion import confusion_matrix, count_confusion
from .curves import curves
from .figure import save, style, to_svg
from .images import filters, image_grid
from .report import Block, Code, Plot, Report, Table

__all__ = [
    "Block",
    "Code",
    "Plot",
    "Report",
    "Table",
    "confusion_matrix",
    "count_confusion",
    "curves",
    "filters",
    "image_grid",
    "save",
    "style",
    "to_svg",
]
