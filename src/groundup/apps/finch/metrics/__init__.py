"""What the server counts, and how it is shown: a live page, a JSON log, Prometheus.

metrics = Metrics(Prices({"large": Price(3, 15)}))
metrics.request("local", model="large", input_tokens=90, output_tokens=3)
app = Starlette(routes=routes(metrics.snapshot, log=lambda wanted: page(home, wanted)))
"""

from .counters import Metrics, TaskFigures
from .page import routes
from .prices import Price, Prices
from .prometheus import text

__all__ = ["Metrics", "Price", "Prices", "TaskFigures", "routes", "text"]
