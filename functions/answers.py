"""Answers for API Gateway, and refusals that tell the caller what to do and nothing of the inside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Problem", "answer"]


class Problem(Exception):
    """What the caller is told: an HTTP status, a code for programs, and a sentence that says what to do."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def answer(self) -> dict[str, Any]:
        """The problem as an answer."""
        return answer(self.status, {"error": {"code": self.code, "message": self.message}}, self.headers)


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An answer with a JSON body."""
    every = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if origin := os.environ.get("FASTSLOW_CORS_ORIGIN"):
        every["Access-Control-Allow-Origin"] = origin
    return {
        "statusCode": status,
        "headers": {**every, **(headers or {})},
        "body": msgspec.json.encode(body).decode(),
        "isBase64Encoded": False,
    }
