"""Sequences: language models, translation, classification, and what happens inside of attention.

`groundup list` has them; `groundup verify sequences` measures all of them.
"""
