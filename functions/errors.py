"""What can go wrong in a function, and whose fault it is.

FunctionError
├── TransferError     the store did not answer, or broke off; worth another try
│   └── Damaged       what came is not what its hash says
├── Missing           the store has no such object
├── Refused           the store forbids it: the function's role may not, or its credentials are stale
├── CacheFull         /tmp has no room for what is needed now
└── NotThere          no model, or no such binary, is published and active
"""

from __future__ import annotations

__all__ = ["CacheFull", "Damaged", "FunctionError", "Missing", "NotThere", "Refused", "TransferError"]


class FunctionError(Exception):
    """Base of every error that this package raises. Its text is for the log and never for a caller of the API."""


class TransferError(FunctionError):
    """The store did not answer, or broke off. Another try may succeed."""


class Damaged(TransferError):
    """What came is not what its size and hash say."""


class Missing(FunctionError):
    """The store has no such object."""


class Refused(FunctionError):
    """The store forbids it."""


class CacheFull(FunctionError):
    """There is no room for what is needed, even with everything gone that is not in use."""


class NotThere(FunctionError):
    """Nothing is published and active under this name."""
