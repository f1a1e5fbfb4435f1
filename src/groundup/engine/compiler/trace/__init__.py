"""From a call to a graph: the function runs once with stand-ins for its tensors.

In: a Python function and its arguments. Out: a ``Graph`` of operations, what Python held that the
graph rests on, and what becomes of arguments and results at each call.
"""
