"""Start workers in Lambda, as fast as it lets us: asynchronous calls, spread over copies of one function.

A function grows by 1,000 environments in 10 s; a budget of calls a function holds us to that. What Lambda refuses for
the moment is tried again after pauses that double and are cut by chance; then the coordinator is told.

boto3's credentials, endpoint and signature are used here, over kept connections, for its client takes three times the
processor time a call (`python -m bench mu_launch`), and a coordinator starts thousands.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from mu.errors import BackendError
from mu.server import LaunchRefused
from mu.wire import Invitation

__all__ = ["Answer", "ForJob", "Invoke", "Lambda", "invoker"]

BURST = 1000
"""Environments that a function may gain at once,"""
RATE = 100.0
"""and how many more a second."""
_AT_ONCE = 32
"""Calls on their way at a time."""
_ATTEMPTS = 4
_PAUSE_S = 0.2
_PATIENCE_S = 10.0
_REFUSED_S = 30.0
"""When a call that is forbidden, or has no function, may be worth another try: somebody has to mend it."""


class Answer(NamedTuple):
    """What Lambda said: an HTTP status, and its reason where it refused."""

    status: int
    reason: str


Invoke = Callable[[str, bytes], Answer]
"""Call a function (name, event) without waiting for what it does. Raises OSError where nothing answered."""


class Lambda:
    """Starts workers for all jobs of a service. `functions` are the copies, by name."""

    def __init__(
        self,
        functions: Sequence[str],
        invoke: Invoke,
        *,
        rate: float = RATE,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not functions:
            raise BackendError("there is no worker function: FASTSLOW_WORKERS names them, with commas between")
        self._invoke, self._clock, self._sleep, self._chance = invoke, clock, sleep, chance
        self._rate, self._burst = rate, burst
        self._budgets = {name: (float(burst), clock()) for name in functions}
        """Calls that a function may take, and when that was so."""
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="launch")
        self.launched = 0
        self.refused = 0

    async def launch(self, invitation: Invitation) -> None:
        """Start a worker; returns when Lambda has taken the call. Raises LaunchRefused."""
        event = msgspec.json.encode(invitation)
        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._sleep(self._chance(0.5, 1.0) * _PAUSE_S * 2**attempt)
            function = await self._turn()
            try:
                loop = asyncio.get_running_loop()
                status, reason = await loop.run_in_executor(self._pool, self._invoke, function, event)
            except OSError as error:
                status, reason = 0, f"no answer: {error}"
            if status == 202:
                self.launched += 1
                return
            self.refused += 1
            reason = f"{function}: {status or ''} {reason}".replace("  ", " ")
            if 400 <= status < 500 and status != 429:
                raise LaunchRefused(reason, _REFUSED_S)
        raise LaunchRefused(f"{reason}; tried {_ATTEMPTS} times", _PAUSE_S * 2**_ATTEMPTS)

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _turn(self) -> str:
        """The function that has the most calls left, once it has one."""
        while True:
            now = self._clock()
            for name, (left, since) in self._budgets.items():
                self._budgets[name] = (min(float(self._burst), left + (now - since) * self._rate), now)
            name, (left, _) = max(self._budgets.items(), key=lambda each: each[1][0])
            if left >= 1:
                self._budgets[name] = (left - 1, now)
                return name
            await self._sleep(max(0.001, (1 - left) / self._rate))


class ForJob:
    """`mu.server.Launcher` for one job. Lambda cannot end a call: a worker that is not wanted hears so and leaves."""

    def __init__(self, workers: Lambda) -> None:
        self._workers = workers
        self.launched = 0

    async def launch(self, invitation: Invitation, ended: Callable[[str], None]) -> None:
        """Start a worker; `ended` is never called, for Lambda does not say. Raises LaunchRefused."""
        await self._workers.launch(invitation)
        self.launched += 1

    async def cancel(self, worker: int) -> None:
        """Nothing but what the worker hears from its connection."""

    async def close(self) -> None:
        """Nothing is held."""


def invoker(session: Session | None = None) -> Invoke:
    """`Invoke` for the account that the environment's credentials are for. Raises BackendError without any."""
    session = session or Session()
    credentials = session.get_credentials()
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or "us-east-1"
    if credentials is None:
        raise BackendError("there are no credentials to start workers with")
    client = session.create_client("lambda", region_name=region)
    endpoint = client.meta.endpoint_url.rstrip("/")
    client.close()
    pool = urllib3.PoolManager(
        maxsize=_AT_ONCE,
        block=True,
        retries=False,
        timeout=_PATIENCE_S,
        ca_certs=os.environ.get("AWS_CA_BUNDLE"),
        cert_reqs="CERT_REQUIRED",
    )
    lock = threading.Lock()

    def invoke(function: str, event: bytes) -> Answer:
        url = f"{endpoint}/2015-03-31/functions/{function}/invocations"
        request = AWSRequest("POST", url, {"X-Amz-Invocation-Type": "Event"}, event)
        with lock:  # they may be fetched anew, once
            frozen = credentials.get_frozen_credentials()
        SigV4Auth(frozen, "lambda", region).add_auth(request)
        try:
            answer = pool.request("POST", url, body=event, headers=dict(request.headers.items()))
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        return Answer(answer.status, "" if answer.status == 202 else answer.data[:300].decode(errors="replace"))

    return invoke
