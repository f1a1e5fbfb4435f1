"""A proxy that learns: how much it saves, how it keeps its word, and what it forgets.

`groundup list` has them; `groundup verify proxy` measures all of them.
"""
