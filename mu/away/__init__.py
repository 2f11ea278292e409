"""The backend `aws`: jobs of this process, done by a deployed stack.

- `sources` gathers the modules that a job takes along.
- `stack` finds the stack, by the credentials and the region of the environment.
- `run` hands a job in, waits for it and brings what came of it.
"""

__all__: list[str] = []
