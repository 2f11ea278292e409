"""Takes jobs, tells what became of them, cancels them."""

__all__: list[str] = []
