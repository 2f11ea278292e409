#!/usr/bin/env bash
# Runs once, as root, on the coordinator's first boot, in the folder with the files that it needs.
set -euo pipefail

# The log agent comes first, so that what fails further down can be read in CloudWatch.
source /etc/fastslow/environment
dnf install --quiet --assumeyes amazon-cloudwatch-agent python3.13
sed "s|LOG_GROUP|$FASTSLOW_LOG_GROUP|" cloudwatch-agent.json > /opt/aws/amazon-cloudwatch-agent/etc/fastslow.json
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s \
    -c file:/opt/aws/amazon-cloudwatch-agent/etc/fastslow.json

# The layer `code`: what the functions run is what the coordinator runs; and the libraries that it has besides.
python3 -m zipfile -e code.zip /opt/fastslow
python3 -m zipfile -e libraries.zip /opt/fastslow

useradd --system --home-dir /var/lib/fastslow --shell /sbin/nologin fastslow
install -d -o fastslow -g fastslow -m 750 /var/lib/fastslow /var/log/fastslow
install -m 644 fastslow-coordinator.service fastslow-replace.service /etc/systemd/system/
install -m 644 logrotate.conf /etc/logrotate.d/fastslow
systemctl daemon-reload
systemctl enable --now fastslow-coordinator.service
