"""The life of a worker that calls out: connect, run one task after the other, end when nothing is left.

A program computes in the thread that calls `work`, and the line's thread talks meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

import msgspec

from mu import programs
from mu.job import Task
from mu.store.names import Store
from mu.wire import Done, Failed, Invitation
from mu.worker.code import JobCode
from mu.worker.context import RemoteContext
from mu.worker.failure import failed
from mu.worker.line import Line, Stopped

__all__ = ["Worked", "work"]

_SIGNAL = signal.SIGUSR1
_LAST_SPANS = 10_000
_RESERVE = 0.1
"""A worker takes no new task when it has only this share of its time left."""


class Worked(msgspec.Struct, frozen=True):
    """What a worker did."""

    done: int
    """Tasks whose programs came to their ends."""
    failed: int
    """Tasks whose programs raised."""
    reason: str
    """Why it ended."""


def work(
    invitation: Invitation,
    store: Store,
    *,
    about: str = "",
    time_s: float | None = None,
    prepare: Callable[[], object] = lambda: None,
    kill: Callable[[int], object] = os._exit,
    reconnect_s: float = 60.0,
    grace_s: float = 2.0,
) -> Worked:
    """Do what the coordinator says until it has nothing more to do, or `time_s` seconds are over.

    The worker says that it is alive whatever its program does, unless that keeps Python's lock in one call of C for so
    long that the coordinator takes it for dead.

    Before they are over the worker says so, and its task goes to another. `prepare` is called once, before the first
    program is imported, while the connection is made. A program that is not wanted any more is interrupted; if it has
    not ended `grace_s` seconds later, `kill` ends the process: call this from the main thread, since others cannot be
    interrupted in a call. Raises Unreachable if there is no coordinator, ProtocolError if it makes no sense.
    """
    leave_at = None if time_s is None else time.monotonic() + time_s
    last_start = None if leave_at is None or time_s is None else leave_at - time_s * _RESERVE
    interrupter = _Interrupter()
    counts = {Done: 0, Failed: 0}
    with interrupter, JobCode(invitation.code) as code:
        line = Line(
            invitation,
            about=about or f"{socket.gethostname()}, process {os.getpid()}",
            reconnect_s=reconnect_s,
            leave_at=leave_at,
            interrupt=interrupter.interrupt,
            kill=lambda: kill(1),
            grace_s=grace_s,
        )
        try:
            while (task := line.next_task()) is not None:
                if not any(counts.values()):
                    with interrupter.computing():
                        prepare()
                word = _run(
                    task, line, store, interrupter, code, shared=bool(invitation.store), first=not any(counts.values())
                )
                line.over(word)
                counts[type(word)] += 1
                if last_start is not None and time.monotonic() >= last_start:
                    line.leave("its time is almost over")
        except Stopped:
            pass
        except BaseException as error:
            line.leave(f"{type(error).__name__} in the worker", in_haste=True)
            raise
        finally:
            ended = line.close()
    if ended.error is not None:
        raise ended.error
    return Worked(counts[Done], counts[Failed], ended.reason)


def _run(
    task: Task, line: Line, store: Store, interrupter: _Interrupter, code: JobCode, *, shared: bool, first: bool
) -> Done | Failed:
    """Run a task's program; how that ended. Raises Stopped, or KeyboardInterrupt."""
    context = RemoteContext(line, task, store, shared=shared)
    try:
        with interrupter.computing():
            code.use()
            programs.call(task.program, context, task.argument)
            context.settle()
    except (Stopped, KeyboardInterrupt):
        raise
    except MemoryError as error:
        context.end()
        return failed(error, again=not first)  # what ran before it may have left less
    except BaseException as error:  # noqa: BLE001  SystemExit, too: a program ends neither its worker nor its job
        context.end()  # raises Stopped if it is: what a program raises while it is interrupted means nothing
        line.check()
        return failed(error)
    finally:
        context.leave()
    return Done(context.end()[-_LAST_SPANS:])


class _Interrupter:
    """Ends a program from another thread, by a signal that interrupts what it waits for, too."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._computing = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._thread = threading.get_ident()
            self._before = signal.signal(_SIGNAL, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread = None
            signal.signal(_SIGNAL, self._before)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """What is done here may be interrupted by Stopped."""
        self._computing = True
        try:
            yield
        finally:
            self._computing = False

    def interrupt(self) -> None:
        """Raise Stopped where the program is."""
        if self._thread is not None and self._computing:
            signal.pthread_kill(self._thread, _SIGNAL)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        if self._computing:
            raise Stopped("interrupted")
