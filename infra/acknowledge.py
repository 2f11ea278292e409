"""Findings of cdk-nag, and warnings of CDK, that are meant, each with its reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(scope: IConstruct, reasons: dict[str, str]) -> None:
    """Take the findings of the AwsSolutions rules `reasons` on `scope` and what is in it as meant.

    A rule is its short name, `APIG3`, or that and the finding, `IAM5[Resource::*]`; a warning of CDK itself has its
    whole id, `Annotation::@aws-cdk/...`.
    """
    ids = {rule: rule if rule.startswith("Annotation::") else f"AwsSolutions-{rule}" for rule in reasons}
    Validations.of(scope).acknowledge(
        *(Acknowledgment(id=ids[rule], reason=reason) for rule, reason in reasons.items())
    )
