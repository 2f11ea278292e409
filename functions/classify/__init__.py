"""Says what is in a picture."""

__all__: list[str] = []
