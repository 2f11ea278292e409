"""What is sent by way of the store, while the program that sends it computes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Aside"]


class Aside:
    """Does what takes a while, and no processor, in threads beside a program.

    `most` is how many bytes may be on their way at a time; what is larger goes alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._error: BaseException | None = None
        self._over = False
        self._lock = threading.Condition()

    def do(self, size: int, work: Callable[[], object], say: Callable[[], object]) -> None:
        """Begin to work on so many bytes, once there is room for them; when that is done, say so.

        Raises what earlier work did.
        """
        with self._lock:
            self._wait(lambda: not self._held or self._held + size <= self._most)
            threading.Thread(target=self._do, args=(size, work, say), name="mu aside", daemon=True).start()
            self._held += size

    def settle(self) -> bool:
        """Wait until all is done and said; whether there was something to wait for. Raises what went wrong."""
        with self._lock:
            waits = self._held > 0
            self._wait(lambda: not self._held)
            return waits

    def leave(self) -> None:
        """Nothing that is still on its way is said any more."""
        with self._lock:
            self._over = True

    def _wait(self, ready: Callable[[], bool]) -> None:
        self._lock.wait_for(lambda: self._error is not None or ready())
        if self._error is not None:
            raise self._error

    def _do(self, size: int, work: Callable[[], object], say: Callable[[], object]) -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as other:  # noqa: BLE001  the program's thread has to know
            error = other
        with self._lock:
            try:
                if error is None and not self._over:
                    say()
            except BaseException as other:  # noqa: BLE001  such as Stopped
                error = other
            self._error = self._error or error
            self._held -= size
            self._lock.notify_all()
