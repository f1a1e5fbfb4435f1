"""`python -m groundup.cli` does what `groundup` does."""

from . import app

app(prog_name="groundup")
