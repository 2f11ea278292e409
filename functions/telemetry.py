"""What a function says of itself: one JSON line a call, which CloudWatch reads as metrics, too.

The format is CloudWatch's embedded metric format. Powertools writes the same and takes 33 ms to import.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping

__all__ = ["METRICS", "tell"]

METRICS: Mapping[str, Mapping[str, str]] = {
    "classify": {
        "Requests": "Count",
        "WarmUps": "Count",
        "LatencyMs": "Milliseconds",
        "ColdStart": "Count",
        "CacheHit": "Count",
        "CacheMiss": "Count",
        "NoModel": "Count",
        "SwitchFailed": "Count",
    },
    "warmup": {"Environments": "Count", "ColdEnvironments": "Count"},
}
"""Units of all metrics, by service and name. CloudWatch bills each of them (deploy/cost.py)."""


def tell(service: str, metrics: Mapping[str, float], **fields: object) -> None:
    """Write a line with metrics of METRICS, and whatever else helps."""
    units = [{"Name": name, "Unit": METRICS[service][name]} for name in metrics]
    space = os.environ.get("FASTSLOW_METRICS", "fastslow")
    about = {"Namespace": space, "Dimensions": [["service"]], "Metrics": units}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [about] if metrics else []}
    sys.stdout.write(json.dumps({"_aws": aws, "service": service, **metrics, **fields}, default=str) + "\n")
    sys.stdout.flush()
