"""The live page of a server, its log as JSON, and its figures for Prometheus."""

from .routes import routes

__all__ = ["routes"]
