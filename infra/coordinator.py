"""The machine that tells the workers what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra import grants
from infra.network import Network
from infra.program import log_group
from infra.settings import Settings

FILES = Path(__file__).with_name("coordinator_files")
# EC2 looks the image up whenever it starts a machine, so that a machine that replaces itself has the newest.
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}"
# What Session Manager does from the machine's side. AWS's policy for it also reads every parameter of the account.
SESSION_MANAGER = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
]


class Coordinator(Construct):
    """A group of exactly one machine: when it dies, another takes its place. Nobody logs in but by Session Manager."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        network: Network,
        code: assets.Asset,
        libraries: assets.Asset,
        environment: dict[str, str],
        alarms: sns.ITopic,
    ) -> None:
        super().__init__(scope, name)
        self.log = log_group(self, "Log", path=f"/{settings.name}/coordinator", days=settings.log_days)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        grants.anything(self.role, SESSION_MANAGER, "Session Manager has no narrower resource")
        self.log.grant(self.role, "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")
        files = assets.Asset(self, "Files", path=str(FILES))
        fetched = {"files": files, "code": code, "libraries": libraries}
        for asset in fetched.values():
            grants.read_asset(self.role, asset)
        grants.anything(self.role, ["lambda:GetAccountSettings"], "what an account may run is no resource's")
        template = ec2.LaunchTemplate(
            self,
            "Template",
            instance_type=ec2.InstanceType(settings.instance_type),
            machine_image=ec2.MachineImage.resolve_ssm_parameter_at_launch(IMAGE.format(arch=settings.arch)),
            role=self.role,
            security_group=network.coordinator,
            associate_public_ip_address=True,  # to call out; the security group lets nobody in from there
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            detailed_monitoring=True,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        settings.coordinator_disk, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3
                    ),
                )
            ],
            user_data=_first_boot(fetched, {**environment, "FASTSLOW_LOG_GROUP": self.log.log_group_name}),
        )
        group = f"{settings.name}-coordinator"
        self.group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=group,  # named here, for the machine's role must know it before it is made
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            launch_template=template,
            min_capacity=1,
            max_capacity=1,
            health_checks=autoscaling.HealthChecks.ec2(grace_period=Duration.minutes(5)),
            update_policy=autoscaling.UpdatePolicy.rolling_update(min_instances_in_service=0),
            notifications=[autoscaling.NotificationConfiguration(topic=alarms)],
            group_metrics=[autoscaling.GroupMetrics(autoscaling.GroupMetric.IN_SERVICE_INSTANCES)],
        )
        self.healthy = cw.Metric(
            namespace="AWS/AutoScaling",
            metric_name="GroupInServiceInstances",
            dimensions_map={"AutoScalingGroupName": group},
            statistic="max",
            period=Duration.minutes(1),
        )
        # A machine on which the coordinator fails again and again says so, and another takes its place.
        grants.replace_itself(self.role, group)


def _first_boot(fetched: Mapping[str, assets.Asset], environment: Mapping[str, str]) -> ec2.UserData:
    script = ec2.UserData.for_linux()
    script.add_commands("set -eu", "install -d -m 755 /opt/fastslow /etc/fastslow")
    for what, asset in fetched.items():
        script.add_s3_download_command(
            bucket=asset.bucket, bucket_key=asset.s3_object_key, local_file=f"/opt/fastslow/{what}.zip"
        )
    lines = [f"{name}={value}" for name, value in environment.items()]
    script.add_commands(
        "cat > /etc/fastslow/environment <<'END'\n" + "\n".join(lines) + "\nEND",
        "cd /opt/fastslow && python3 -m zipfile -e files.zip . && bash install.sh",
    )
    return script
