"""A check, what it found and what to do about it; and checks made side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore import exceptions as aws

from deploy.errors import DeployError, Unready

Grade = Literal["ok", "warning", "failed", "unknown"]
"""`failed`: deploying would fail. `warning`: it would not, yet there is something to know. `unknown`: not looked at."""


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do next where something is to be done."""

    check: str
    grade: Grade
    found: str
    todo: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""


Check = Callable[[], Finding]

# Codes with which AWS's services turn down whoever may not.
_DENIED = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden")
# ... and whoever cannot say who he is.
_NOBODY = re.compile(
    r"ExpiredToken|InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClient|AuthFailure|InvalidToken"
)
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.CredentialRetrievalError,
    aws.SSOError,
    aws.TokenRetrievalError,
)


def examine(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """Make the checks side by side; the findings in their order. A check that cannot be made is one `unknown`."""
    with ThreadPoolExecutor(max(1, len(checks))) as pool:
        made = [pool.submit(_made, name, check) for name, check in checks]
        return [each.result() for each in made]


def failed(findings: Sequence[Finding]) -> list[Finding]:
    """Those because of which deploying would fail."""
    return [each for each in findings if each.grade == "failed"]


def refuse(findings: Sequence[Finding]) -> list[Finding]:
    """Raise Unready if anything would fail, with what and what to do; else the findings to be told."""
    if bad := failed(findings):
        raise Unready("; ".join(f"{each.check}: {each.found} ({each.todo})" for each in bad))
    return [each for each in findings if each.grade != "ok"]


def without_credentials(error: Exception) -> bool:
    """Whether AWS was not told who asks, or does not believe it."""
    return isinstance(error, _NO_CREDENTIALS) or bool(_NOBODY.search(code(error)))


def code(error: Exception) -> str:
    """The code with which a service of AWS refused; empty where none did."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, aws.ClientError) else ""


def _made(name: str, check: Check) -> Finding:
    try:
        return check()
    except (aws.ClientError, aws.BotoCoreError) as error:
        return _not_looked_at(name, error)
    except DeployError as error:
        if isinstance(error.__cause__, aws.ClientError | aws.BotoCoreError):
            return _not_looked_at(name, error.__cause__)
        return Finding(name, "unknown", f"not looked at: {str(error).partition(';')[0]}")


def _not_looked_at(name: str, error: Exception) -> Finding:
    if without_credentials(error):
        return Finding(name, "unknown", "not looked at, for want of credentials")
    if isinstance(error, aws.NoRegionError):
        return Finding(name, "unknown", "not looked at, for want of a region")
    if isinstance(error, aws.ClientError) and _DENIED.search(code(error)):
        told = re.search(r"not authorized to perform: ([\w-]+:\w+)", str(error))
        action = told[1] if told else str(error.operation_name)
        return Finding(name, "unknown", f"you may not look: {action}", f"allow {action}, or go on without")
    return Finding(name, "unknown", f"not looked at: {error}")
