"""From steps to a program: where everything lies in memory, and what runs one after the other.

In: a ``Graph`` and its steps. Out: a ``Program`` with machine code, an arena and a tape.
"""
