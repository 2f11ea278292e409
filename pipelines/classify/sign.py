"""Signatures (SigV4) for deployments that let in IAM principals alone, with the credentials that boto3 would find."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pipelines.classify.api import Sign
from pipelines.errors import SettingsError

__all__ = ["signer"]

_REGION = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")
_SERVICE = "execute-api"


def signer(url: str, given: Mapping[str, str] | None = None) -> Sign:
    """Signs requests to the API at `url`; raises SettingsError where there are no credentials, or no region.

    `given` are credentials as environment variables have them, instead of the environment's own.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session()
        if given is None:
            credentials: Any = session.get_credentials()
        else:
            credentials = Credentials(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
        found = _REGION.search(url)
        named = (given or os.environ).get("AWS_REGION")
        region = found[1] if found else named or session.get_config_variable("region")
    except BotoCoreError as error:
        raise SettingsError(f"no credentials to sign with: {error}") from error
    if credentials is None:
        raise SettingsError("no credentials to sign with; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")
    if not region:
        raise SettingsError("no region to sign for: the address names none; set AWS_REGION")

    def sign(method: str, address: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        request = AWSRequest(method, address, dict(headers), body)
        SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, region).add_auth(request)
        return dict(request.headers.items())

    return sign
