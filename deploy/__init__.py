"""Deploying the stack: the tools for it, and a cloud on this machine to deploy it to."""

__all__: list[str] = []
