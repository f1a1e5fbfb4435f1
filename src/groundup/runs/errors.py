"""What can go wrong with stored runs, each with a message that says what to do."""

from __future__ import annotations


class RunsError(Exception):
    """Any of the errors below, for a program that shows the message and goes on."""


class StorageError(RunsError, OSError):
    """The disk did not take or give something: full, read-only, failing, or locked for too long."""


class VersionError(RunsError, RuntimeError):
    """The database was written by a newer version of groundup."""


class UnknownRunError(RunsError, LookupError):
    """No run, or more than one, has the name that was given."""


class RunningError(RunsError, RuntimeError):
    """The run belongs to a process that is still at work, so that no other may continue it."""


class DamageWarning(UserWarning):
    """A damaged database was set aside and made again from the folders of the runs."""


class Damaged(Exception):  # noqa: N818 - never leaves the package
    """Something in the database is not what was written."""
