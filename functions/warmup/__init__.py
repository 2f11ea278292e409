"""Keeps environments of the classifier warm."""

__all__: list[str] = []
