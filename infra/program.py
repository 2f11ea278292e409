"""A Lambda function with a role and a log of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import grants
from infra.acknowledge import acknowledge

JOIN_A_NETWORK = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]
ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


def log_group(scope: Construct, name: str, *, path: str, days: int) -> logs.LogGroup:
    """A log that goes with the stack and keeps lines for `days`."""
    group = logs.LogGroup(scope, name, log_group_name=path, removal_policy=RemovalPolicy.DESTROY)
    cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = days
    return group


class Program(Construct):
    """A function whose role may write its own log and do what the stack grants, nothing else.

    Sizes are MB, times seconds; `concurrency` is how many environments there may be (None: no cap).
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        function_name: str,
        about: str,
        handler: str,
        code: lambda_.Code,
        layers: Sequence[lambda_.ILayerVersion],
        arch: str,
        memory: int,
        tmp: int,
        timeout: int,
        log_days: int,
        environment: Mapping[str, str],
        concurrency: int | None = None,
        snapstart: bool = False,
        tracing: bool = False,
        vpc: ec2.IVpc | None = None,
        security_group: ec2.ISecurityGroup | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.log = log_group(self, "Log", path=f"/aws/lambda/{function_name}", days=log_days)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log.grant_write(self.role)
        if vpc:
            grants.anything(self.role, JOIN_A_NETWORK, "Lambda makes its interfaces so, and takes no narrower resource")
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name,
            description=about,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=ARCHITECTURES[arch],
            handler=handler,
            code=code,
            layers=list(layers),
            memory_size=memory,
            ephemeral_storage_size=Size.mebibytes(tmp),
            timeout=Duration.seconds(timeout),
            environment=dict(environment),
            role=self.role,
            log_group=self.log,
            reserved_concurrent_executions=concurrency,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snapstart else None,
            tracing=lambda_.Tracing.ACTIVE if tracing else lambda_.Tracing.DISABLED,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED) if vpc else None,
            security_groups=[security_group] if security_group else None,
        )
        if tracing:
            # CDK has added what X-Ray takes.
            acknowledge(self.role, {"IAM5[Resource::*]": "X-Ray has no narrower resource"})
        if snapstart:
            reason = "callers use an alias of a published version"
            acknowledge(self.function, {"Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish": reason})
        acknowledge(self.function, {"L1": "layers are built for 3.13, which Lambda supports until the middle of 2029"})
