"""What stops a build.

LayerError
├── TooLarge      a package is over a limit of Lambda; the largest files are named
├── BadWheel      a wheel is not the one that the lock names, or is no wheel
└── Unavailable   a wheel or the compiled codec cannot be had here
"""

from __future__ import annotations


class LayerError(Exception):
    """Base of every error of a build; its text is made for the person at the keyboard."""


class TooLarge(LayerError):
    """A package is over a limit of Lambda."""


class BadWheel(LayerError):
    """A wheel is not the one that the lock names, or its entries are not what a wheel may hold."""


class Unavailable(LayerError):
    """A wheel could not be fetched, or the codec could not be compiled."""
