"""The foundations: a course of worked examples, from one neuron to attention, each claim measured.

`groundup list` has them in order; `groundup verify foundations` measures all of them.
"""
