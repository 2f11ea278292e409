"""Many objects of the store, each asked for before it is needed: a bucket takes its time for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from mu import Context

AT_ONCE = 16
"""How many are on their way at a time."""


def fetched(context: Context, names: Sequence[str]) -> Iterator[tuple[str, memoryview]]:
    """Each object with its name, in this order; no more than 16 are held that have not been given."""
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:
        asked = deque((name, pool.submit(context.fetch, name)) for name in names[:AT_ONCE])
        try:
            for number in range(len(names)):
                name, future = asked.popleft()
                payload = future.result()
                if number + AT_ONCE < len(names):
                    later = names[number + AT_ONCE]
                    asked.append((later, pool.submit(context.fetch, later)))
                yield name, payload
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
