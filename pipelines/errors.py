"""What may go wrong in a pipeline, and whose fault it is.

PipelineError
├── SettingsError        the caller asked for something that cannot be
├── InputError           the input cannot be read, or is not a video
│   └── TruncatedInput   the input ends before it says it does, or is damaged
├── OutputError          the output exists already, or cannot be written
├── EncoderError         libvpx is missing, too different, or refused
└── WorkerFailed         a worker process died, or its program raised
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of every error that this package raises; its text is one line made for the person at the keyboard."""


class SettingsError(PipelineError):
    """The caller asked for something that cannot be done."""


class InputError(PipelineError):
    """The input cannot be read, or holds no video."""


class TruncatedInput(InputError):
    """The input ends before it says it does, or a part of it is damaged."""


class OutputError(PipelineError):
    """The output exists already, or cannot be written."""


class EncoderError(PipelineError):
    """libvpx was not found, does not look as expected, or refused a call."""


class WorkerFailed(PipelineError):
    """A worker process died, or the program that it ran raised."""
