"""The network of workers and coordinator."""

from __future__ import annotations

from typing import cast

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.program import log_group

ADDRESSES = "10.53.0.0/16"


class Network(Construct):
    """Two kinds of subnets in two zones, without a NAT gateway, which would cost more than all else together.

    Workers are where no route leads out: they reach S3 through its gateway endpoint and the coordinator, nothing else.
    The coordinator has a public address to call out with, for updates, logs and Session Manager. Nothing can call in:
    its security group lets in the workers' alone, on one port.
    """

    def __init__(self, scope: Construct, name: str, *, prefix: str, port: int, flow_logs: bool, log_days: int) -> None:
        super().__init__(scope, name)
        kinds = {"Coordinator": ec2.SubnetType.PUBLIC, "Workers": ec2.SubnetType.PRIVATE_ISOLATED}
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(ADDRESSES),
            max_azs=2,
            nat_gateways=0,
            # A worker's environments share network interfaces, yet thousands of functions' versions may each want some.
            subnet_configuration=[
                ec2.SubnetConfiguration(name=each, subnet_type=kind, cidr_mask=20, map_public_ip_on_launch=False)
                if kind is ec2.SubnetType.PUBLIC
                else ec2.SubnetConfiguration(name=each, subnet_type=kind, cidr_mask=20)
                for each, kind in kinds.items()
            ],
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
            restrict_default_security_group=False,
        )
        self.workers = self._group("WorkersGroup", "Workers call the coordinator and S3")
        self.coordinator = self._group("CoordinatorGroup", "The coordinator hears workers and calls AWS")
        https = ec2.Port.tcp(443)
        self.workers.add_egress_rule(ec2.Peer.any_ipv4(), https, "S3; no route leads elsewhere")
        self.workers.add_egress_rule(ec2.Peer.ipv4(ADDRESSES), ec2.Port.tcp(port), "The coordinator")
        self.coordinator.add_egress_rule(ec2.Peer.any_ipv4(), https, "AWS and its packages")
        cast(ec2.CfnSecurityGroup, self.coordinator.node.default_child).security_group_ingress = [
            # CDK would make this a resource of its own; in the group it is plain that there is no other way in.
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                source_security_group_id=self.workers.security_group_id,
                description="Workers",
            )
        ]
        if flow_logs:
            log = log_group(self, "Refused", path=f"/{prefix}/network", days=log_days)
            self.vpc.add_flow_log(
                "FlowLog",
                destination=ec2.FlowLogDestination.to_cloud_watch_logs(cast(logs.ILogGroup, log)),
                traffic_type=ec2.FlowLogTrafficType.REJECT,
            )
        else:
            acknowledge(self.vpc, {"VPC7": "costs by the gigabyte and is a setting, flow_logs"})

    def _group(self, name: str, about: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, name, vpc=self.vpc, description=about, allow_all_outbound=False)
