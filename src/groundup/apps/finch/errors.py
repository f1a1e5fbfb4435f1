"""The one error of `groundup.apps.finch`."""


class FinchError(ValueError):
    """What cannot be used; the message says what was given, what was expected, what to do.

    Example:
        >>> raise FinchError("--delta 2: expected a number between 0 and 1")
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: --delta 2: expected a number between 0 and 1
    """
