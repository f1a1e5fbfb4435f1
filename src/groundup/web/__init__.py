"""The live dashboard: a local web server that shows runs while they train.

    from groundup import web

    web.serve("runs")  # http://127.0.0.1:8050, until Ctrl-C

`create_app` gives the same as an ASGI application. What it answers is described in `api` and
`live`, what it refuses in `security`; the pages are plain files in `static`.
"""

from .app import create_app
from .server import serve

__all__ = ["create_app", "serve"]
