"""From an event of API Gateway to a picture and what is asked of it; every bad input has a refusal of its own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from functions.answers import Problem

__all__ = ["LARGEST_PICTURE", "PICTURES", "Request", "parse"]

LARGEST_PICTURE = 5_000_000
"""Bytes of a picture. Lambda takes 6 MB of event, which as base64 holds some 4.5 MB."""
PICTURES = ("image/jpeg", "image/png", "image/webp")
_TOP = 5

Top = Annotated[int, Meta(ge=1, le=1000)]
Name = Annotated[str, Meta(max_length=64)]


class Request(msgspec.Struct, frozen=True):
    """A picture, how many labels are wanted, and by which model ("" for the one that runs)."""

    image: bytes
    top: int
    model: str


class _Body(msgspec.Struct):
    image: str = ""
    top: Top = _TOP
    model: Name = ""


class _Query(msgspec.Struct):
    top: Top = _TOP
    model: Name = ""


def parse(event: Mapping[str, Any]) -> Request:
    """Read a proxy event; raises Problem."""
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    body = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    if kind in PICTURES:
        if body and not encoded:
            raise Problem(
                400, "not_binary", "the picture did not arrive as binary; send it as it is, or as base64 in JSON"
            )
        asked = _checked(event.get("queryStringParameters") or {}, _Query, strict=False)
        return Request(_picture(body), asked.top, asked.model)
    if kind == "application/json":
        text = _decoded(body) if encoded else body.encode()
        if not text:
            raise Problem(400, "no_image", 'the body is empty; send {"image": "base64 of a picture", "top": 5}')
        try:
            fields = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, "bad_json", "the body is no JSON; send an object with the picture in `image`") from error
        told = _checked(fields, _Body, strict=True)
        return Request(_picture(told.image), told.top, told.model)
    known = ", ".join((*PICTURES, "application/json"))
    raise Problem(415, "wrong_content_type", f"this Content-Type is not read here; send one of {known}")


def _checked(fields: object, kind: type[Any], *, strict: bool) -> Any:
    try:
        return msgspec.convert(fields, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Problem(400, "bad_request", f"{error}; `top` is 1 to 1000, `image` and `model` are strings") from error


def _picture(text: str) -> bytes:
    if not text:
        raise Problem(400, "no_image", "there is no picture; send one as the body, or in `image` as base64")
    if len(text) * 3 // 4 > LARGEST_PICTURE + 3:
        raise _too_large()
    if text.startswith("data:"):
        about, _, text = text.partition(",")
        if not (about.endswith(";base64") and text):
            raise _not_base64()
    data = _decoded(text)
    if len(data) > LARGEST_PICTURE:
        raise _too_large()
    return data


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _not_base64() from error


def _not_base64() -> Problem:
    how = "encode the picture's bytes with + and /, padded with =, without spaces or line breaks"
    return Problem(400, "bad_base64", f"`image` is not base64; {how}")


def _too_large() -> Problem:
    return Problem(413, "too_large", f"the picture has more than {LARGEST_PICTURE:,} bytes; send a smaller one")
