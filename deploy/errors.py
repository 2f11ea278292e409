"""What can go wrong when the stack is deployed.

DeployError
├── ToolMissing     a program is not on this machine and could not be brought here
├── ToolFailed      a program ran and failed
├── Unready         this machine lacks what running the stack takes
├── CloudRefused    the account refused, or there are no credentials for one
└── NotLoopback     an endpoint is not this machine: local commands touch no other
"""

from __future__ import annotations


class DeployError(Exception):
    """The base; the message says what is wrong and what to do."""


class ToolMissing(DeployError):
    """A program that is needed is not on this machine and could not be brought here."""


class ToolFailed(DeployError):
    """A program ran and failed; the message has the end of what it said."""


class Unready(DeployError):
    """This machine lacks what running the stack takes; the message says what, and what to do."""


class CloudRefused(DeployError):
    """The account refused what was asked of it, or there are no credentials for one."""


class NotLoopback(DeployError):
    """An endpoint that is not on this machine; what is local touches no other."""
