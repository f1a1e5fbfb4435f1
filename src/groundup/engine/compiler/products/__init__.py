"""What is no loop over elements: matrix products, sums over windows, adding at positions.

In: sizes, strides and dtypes. Out: the text of a function, or a call of BLAS, whichever is quicker.
"""
