"""The one error of `groundup.apps.grn`."""


class GRNError(ValueError):
    """Data that cannot be used; the message says what was given, what was expected, what to do.

    Example:
        >>> raise GRNError("expression.csv: no gene")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: expression.csv: no gene
    """
