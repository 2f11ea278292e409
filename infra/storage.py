"""The buckets: models, media that comes in, results that go out, and the log of who touched them."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.acknowledge import acknowledge


class Storage(Construct):
    """Private, encrypted buckets that speak TLS alone and clean up after jobs.

    Deleting the stack deletes a bucket only when it is empty, which CloudFormation itself insists on.
    """

    def __init__(self, scope: Construct, name: str, *, media_days: int, results_days: int, log_days: int) -> None:
        super().__init__(scope, name)
        self._log = self._bucket("AccessLog", days=log_days)
        acknowledge(self._log, {"S1": "this is where access is logged; a log of it would log itself"})
        logged: dict[str, Any] = {"server_access_logs_bucket": self._log}
        self.models = self._bucket("Models", versioned=True, server_access_logs_prefix="models/", **logged)
        self.media = self._bucket("Media", days=media_days, server_access_logs_prefix="media/", **logged)
        self.results = self._bucket("Results", days=results_days, server_access_logs_prefix="results/", **logged)

    def _bucket(self, name: str, *, days: int | None = None, **more: Any) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            name,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.DESTROY,
            **more,
        )
        bucket.add_lifecycle_rule(id="halves", abort_incomplete_multipart_upload_after=Duration.days(1))
        if days is not None:
            bucket.add_lifecycle_rule(id="leftovers", expiration=Duration.days(days))
        else:
            bucket.add_lifecycle_rule(id="replaced", noncurrent_version_expiration=Duration.days(90))
        return bucket
