"""Does a part of a job."""

__all__: list[str] = []
