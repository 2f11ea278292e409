"""Keeps environments of the classifier warm: calls it so often at once that no two calls can share an environment.

A call for warmth is `{"warmup": {"hold_ms": 500}}`. The classifier gets its model ready, stays busy for `hold_ms`, so
that the other calls find it so, and answers `{"environment": "its name", "cold": false}`.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.telemetry import tell

HOLDS_MS = (500, 2000)  # the second one when the first was too short for all calls to overlap


class NothingWarm(Exception):
    """Not one call was answered; the last refusal says why."""


@cache
def client(calls: int) -> Any:
    """A client of Lambda that makes `calls` calls at once, and each of them once."""
    config = Config(max_pool_connections=calls, read_timeout=45, retries={"total_max_attempts": 1})
    return boto3.client("lambda", config=config)


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Warm so many environments of the function as the settings say; how many answered, and how many were cold."""
    function, count = os.environ["FASTSLOW_WARM_FUNCTION"], int(os.environ["FASTSLOW_WARM_COUNT"])
    environments: dict[str, bool] = {}
    refused = ""
    for hold in HOLDS_MS:
        with ThreadPoolExecutor(count) as pool:
            for answer in pool.map(lambda _, hold=hold: warm(function, hold, count), range(count)):
                if isinstance(answer, str):
                    refused = answer
                else:
                    environments.setdefault(answer["environment"], answer["cold"])
        if len(environments) >= count:
            break
    told = {"Environments": len(environments), "ColdEnvironments": sum(environments.values())}
    tell("warmup", told, source=event.get("source", ""), refused=refused)
    if not environments:
        raise NothingWarm(refused)
    return told


def warm(function: str, hold: int, calls: int) -> dict[str, Any] | str:
    """Warm one environment; its answer, or why there is none."""
    payload = json.dumps({"warmup": {"hold_ms": hold}})
    try:
        answer = client(calls).invoke(FunctionName=function, Payload=payload)
        body = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        return str(error)
    return str(body) if "FunctionError" in answer else dict(body)
