"""The stack that does jobs: where it takes them, and where their objects are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mu.errors import BackendError, JobError, Refused
from mu.store.signing import Credentials, Wallet

if TYPE_CHECKING:
    from botocore.session import Session

    from mu.service.cloud import Cloud
    from mu.store import Store

__all__ = ["Stack", "find_stack"]


class Stack:
    """A stack that takes jobs: its bucket and its queue, and the store with what is below a prefix of the bucket."""

    def __init__(self, cloud: Cloud, store: Callable[[str], Store]) -> None:
        self.cloud, self.store = cloud, store


def find_stack(name: str = "") -> Stack:
    """The stack of this name, else of FASTSLOW_STACK, else `fastslow`, in the account and region of the environment.

    Raises BackendError if there is none that takes jobs, or nobody to ask; JobError without the packages it takes.
    """
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session
    except ModuleNotFoundError as error:
        raise JobError("the backend aws needs boto3, which is not installed: pip install 'fastslow[aws]'") from error
    from mu.service.cloud import Cloud
    from mu.store.bucket import Bucket
    from mu.store.s3 import ATTEMPTS, S3Store

    name = name or os.environ.get("FASTSLOW_STACK") or "fastslow"
    try:
        session = Session()
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region")  # botocore knows no AWS_REGION
        config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=30)

        def client(service: str) -> object:
            return session.create_client(service, region_name=region, config=config)

        told = session.create_client("cloudformation", region_name=region, config=config)
        (found,) = told.describe_stacks(StackName=name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        if "JobsQueue" not in outputs:
            raise BackendError(f"the stack {name} takes no jobs: it was deployed without its coordinator")
        cloud = Cloud(outputs["ResultsBucket"], outputs["JobsQueue"], client=client)
    except (ClientError, BotoCoreError, ValueError) as error:
        raise BackendError(
            f"the stack {name} cannot be asked (FASTSLOW_STACK names another; the credentials and the region are those "
            f"of the environment): {error}"
        ) from error
    bucket = Bucket(outputs["ResultsBucket"], attempts=ATTEMPTS, wallet=_SessionWallet(session), region=region or "")
    return Stack(cloud, lambda prefix: S3Store(bucket, prefix))


class _SessionWallet(Wallet):
    """The credentials that botocore finds: those of a profile, of a single sign-on, of a machine."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def __call__(self) -> Credentials:
        """Who asks now. Raises Refused where there are none."""
        found = self._session.get_credentials()
        if found is None:
            raise Refused("there are no credentials for S3: `aws configure`, or AWS_ACCESS_KEY_ID and its like")
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
