"""What became of a compiled function: steps, costs, reasons for a new trace, listings.

In: a compiled function. Out: what ``explain`` prints.
"""
