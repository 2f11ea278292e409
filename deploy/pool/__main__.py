"""`python -m deploy.pool`: serve ministack's calls until ended by a signal.

ministack hands a call over as a POST whose body is the event and whose headers name function, version and request.
What functions write, and Lambda's lines about each call, go to logs/FUNCTION.log in the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.loopback import only_loopback
from deploy.pool import sandbox
from deploy.pool.deployed import Deployed, Function
from deploy.pool.environment import Call
from deploy.pool.http import Request, Response, listen
from deploy.pool.pool import Place, Pool, Throttled, TooLarge

CREDENTIALS_S = 1800.0
TOO_LARGE = ("too_large", "the request is too large; send less than 4.5 MB")
THROTTLED = ("throttled", "too many requests at once; try again in a moment")


class Service:
    """Answers ministack: looks the function up, has the pool run the call."""

    def __init__(self, place: Place, endpoint: str, region: str) -> None:
        config = Config(max_pool_connections=50, retries={"total_max_attempts": 2})
        session = boto3.Session(region_name=region)
        self._sts = session.client("sts", endpoint_url=endpoint, config=config)
        self._endpoint, self._region = endpoint, region
        self._credentials: dict[str, tuple[float, dict[str, str]]] = {}
        self._lock = Lock()
        self._logs = place.folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        functions = session.client("lambda", endpoint_url=endpoint, config=config)
        self._deployed = Deployed(functions, place.folder / "code", endpoint)
        self.pool = Pool(place, self._variables, self._say)

    async def answer(self, request: Request) -> Response:
        """A call, or `GET /`, which tells how many environments there are."""
        if request.method == "GET":
            return Response(200, json.dumps(self.pool.counts()).encode())
        headers = request.headers
        call = Call(headers.get("x-amzn-lambda-request-id", ""), request.body, headers.get("x-amzn-trace-id", ""))
        try:
            name, version = headers["x-amzn-lambda-function-name"], headers["x-amzn-lambda-function-version"]
            function = await self._deployed.get(name, version)
            result = await self.pool.call(function, call)
        except KeyError as error:
            return _refused(400, "InvalidRequest", f"the header {error} is missing")
        except TooLarge as error:
            if _from_api(request.body):
                return _gateway(413, *TOO_LARGE)
            return _refused(413, "RequestEntityTooLargeException", str(error))
        except Throttled as error:
            if _from_api(request.body):
                return _gateway(429, *THROTTLED, {"Retry-After": "1"})
            return _refused(429, "TooManyRequestsException", str(error))
        except (ClientError, BotoCoreError, OSError) as error:
            return _refused(502, "ServiceException", f"the function could not be fetched: {error}")
        if result.failed and _from_api(request.body):
            return _gateway(502, "failed", "Internal server error")
        return Response(500 if result.failed else 200, result.body)

    async def reap(self) -> None:
        """End idle environments, forever."""
        while True:
            await asyncio.sleep(5)
            await self.pool.reap()

    def _variables(self, function: Function) -> Mapping[str, str]:
        """What AWS adds: the role's credentials, the region, and where this cloud is."""
        with self._lock:
            made, credentials = self._credentials.get(function.role, (0.0, {}))
            if not credentials or time.monotonic() - made > CREDENTIALS_S:
                found = self._sts.assume_role(RoleArn=function.role, RoleSessionName=function.name[:64])["Credentials"]
                credentials = {
                    "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
                    "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
                    "AWS_SESSION_TOKEN": found["SessionToken"],
                }
                self._credentials[function.role] = (time.monotonic(), credentials)
        regions = {"AWS_REGION": self._region, "AWS_DEFAULT_REGION": self._region}
        return {**credentials, **regions, "AWS_ENDPOINT_URL": self._endpoint}

    def _say(self, function: Function, line: str) -> None:
        with (self._logs / f"{function.name}.log").open("a") as out:
            out.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _from_api(event: bytes) -> bool:
    return b'"requestContext"' in event


def _gateway(status: int, code: str, message: str, more: Mapping[str, str] | None = None) -> Response:
    """What API Gateway says when a call is too large, throttled or fails, in its words (infra/api.py).

    ministack would tell callers what is inside instead, unless it gets this as the function's own answer.
    """
    body = json.dumps({"error": {"code": code, "message": message}})
    headers = {"Content-Type": "application/json", **(more or {})}
    return Response(200, json.dumps({"statusCode": status, "headers": headers, "body": body}).encode())


def _refused(status: int, kind: str, message: str) -> Response:
    return Response(status, json.dumps({"errorType": kind, "errorMessage": message}).encode())


async def serve(place: Place, *, port: int, endpoint: str, region: str) -> None:
    """Serve until SIGTERM or SIGINT, then end every environment."""
    service = Service(place, endpoint, region)
    server = await listen(service.answer, port=port)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    reaper = asyncio.create_task(service.reap())
    how = (
        "namespaces of their own"
        if place.isolated
        else "no namespaces: this machine refuses them, so /tmp is unbounded"
    )
    sys.stdout.write(f"listening on {server.sockets[0].getsockname()[1]}; environments have {how}\n")
    sys.stdout.flush()
    await over.wait()
    reaper.cancel()
    server.close()
    await service.pool.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m deploy.pool", description="Lambda's environments on this machine.")
    parser.add_argument("--port", type=int, default=4567)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4566", help="the cloud on this machine")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--python", type=Path, required=True, help="the functions' Python, with awslambdaric and boto3")
    parser.add_argument("--folder", type=Path, required=True, help="for code, logs and what environments need")
    parser.add_argument("--limit", type=int, default=1000, help="environments that may be busy at once")
    parser.add_argument("--idle", type=float, default=600.0, help="seconds that a free environment is kept")
    parser.add_argument("--plain", action="store_true", help="no namespaces even if they work")
    given = parser.parse_args()
    only_loopback(given.endpoint)
    trusted = os.environ.get("AWS_CA_BUNDLE")
    place = Place(
        python=given.python.absolute(),
        folder=given.folder.absolute(),
        isolated=not given.plain and sandbox.namespaces_work(),
        limit=given.limit,
        idle_s=given.idle,
        trusted=os.path.abspath(trusted) if trusted else "",
    )
    asyncio.run(serve(place, port=given.port, endpoint=given.endpoint, region=given.region))


if __name__ == "__main__":
    main()
