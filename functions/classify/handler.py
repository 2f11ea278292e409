"""The classifier's entry point: tells warm-ups from requests, answers, and writes one line about the call."""

from __future__ import annotations

import time
from typing import Any

from functions import environment
from functions.answers import Problem, answer
from functions.classify.request import parse
from functions.classify.work import classify, warm
from functions.telemetry import tell

_first = environment.First()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a proxy event of API Gateway, or get ready for `{"warmup": {"hold_ms": N}}` (functions/events.md)."""
    began, cold, before = time.perf_counter(), _first(), environment.tmp().counts().misses
    fields: dict[str, Any] = {"environment": environment.name(), "request": getattr(context, "aws_request_id", "")}
    if "warmup" in event:
        told = warm(event["warmup"], cold)
        metrics: dict[str, float] = {"WarmUps": 1}
    else:
        told = _answered(event, cold, fields)
        metrics = {"Requests": 1, "LatencyMs": round(1000 * (time.perf_counter() - began), 3)}
    fetched = environment.tmp().counts().misses - before
    metrics |= {"CacheHit": int(not fetched), "CacheMiss": fetched, "ColdStart": int(cold)}
    tell("classify", metrics, **fields)
    return told


def _answered(event: dict[str, Any], cold: bool, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        told = answer(200, classify(parse(event), cold))
    except Problem as problem:
        fields["code"] = problem.code
        told = problem.answer()
    except Exception as error:  # noqa: BLE001  the caller hears nothing of the inside, the log does
        fields["error"] = f"{type(error).__name__}: {error}"
        told = Problem(500, "failed", "something went wrong here; try again, and tell us if it stays").answer()
    return told | {"headers": {**told["headers"], "X-Request-Id": fields["request"]}}
