"""Replaying a training: a recording made while it runs, and one HTML page that plays it.

    from groundup.viz.animation import Film, Recorder, Recording, write_animation

    recorder = Recorder("moons.safetensors")
    history = fit(model, F.cross_entropy, optimizer, batches, epochs=200, callbacks=[recorder])
    film = Film("moons", Recording.load("moons.safetensors"))
    write_animation([film], "moons.html", title="Two moons")

`Trial.fit` of the experiments records by itself, and ``groundup animate RUN`` writes the page.

    examples    which inputs are followed, and what the numbers that a model gives stand for
    frame       what is kept of one moment: weights, values, outputs, decision surface
    recorder    the callback that chooses the moments
    recording   the moments as one safetensors file
    scene       the network of a recording: what is drawn once, and where everything else goes
    page        the HTML page; its script and style are the files beside it
"""

from .page import Chart, Film, write_animation
from .recorder import Recorder
from .recording import Recording

__all__ = ["Chart", "Film", "Recorder", "Recording", "write_animation"]
