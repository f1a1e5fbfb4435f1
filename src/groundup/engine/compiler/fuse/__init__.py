"""From a graph to kernels: which operations share a loop, and what that loop looks like.

In: a simplified ``Graph``. Out: steps (groups, products, calls), and a ``Kernel`` for each group.
"""
