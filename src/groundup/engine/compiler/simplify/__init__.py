"""From a graph to a smaller one: what is known, equal or unused goes, what is fused comes apart.

In: a ``Graph`` as it was traced. Out: one that computes the same with fewer and plainer operations,
in the order in which they will run.
"""
