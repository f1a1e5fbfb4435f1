"""Gene-regulatory networks: what documents claim of models, and what is left of it held out.

`groundup list` has them; `groundup verify regulation` measures all of them.
"""
