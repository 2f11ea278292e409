"""The entry point of `/jobs`: whoever asks twice has asked once, for a job's id is made of the job."""

from __future__ import annotations

import time
from typing import Any

from functions.answers import Problem, answer
from functions.jobs.work import cancel, show, submit
from functions.telemetry import tell


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a proxy event of API Gateway (functions/events.md)."""
    began = time.perf_counter()
    fields: dict[str, Any] = {"request": getattr(context, "aws_request_id", "")}
    try:
        told = _answered(event)
    except Problem as problem:
        fields["code"] = problem.code
        told = problem.answer()
    except Exception as error:  # noqa: BLE001  the caller hears nothing of the inside, the log does
        fields["error"] = f"{type(error).__name__}: {error}"
        told = Problem(500, "failed", "something went wrong here; try again, and tell us if it stays").answer()
    tell("jobs", {}, status=told["statusCode"], ms=round(1000 * (time.perf_counter() - began), 3), **fields)
    return told | {"headers": {**told["headers"], "X-Request-Id": fields["request"]}}


def _answered(event: dict[str, Any]) -> dict[str, Any]:
    job = (event.get("pathParameters") or {}).get("id")
    match event.get("httpMethod"), job:
        case "POST", None:
            return answer(202, submit(event))
        case "GET", str():
            return answer(200, show(job))
        case "DELETE", str():
            return answer(202, cancel(job))
    raise Problem(405, "wrong_method", "POST /jobs, GET /jobs/{id} and DELETE /jobs/{id} are what there is")
