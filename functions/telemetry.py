"""What a function says of itself: one JSON line a call, which CloudWatch reads as metrics, too.

The format is CloudWatch's embedded metric format. Powertools writes the same and takes 33 ms to import.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping

__all__ = ["tell"]


def tell(service: str, metrics: Mapping[str, float], **fields: object) -> None:
    """Write a line with metrics, by service, and whatever else helps; names that end in Ms are milliseconds."""
    units = [{"Name": name, "Unit": "Milliseconds" if name.endswith("Ms") else "Count"} for name in metrics]
    space = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "fastslow")
    about = {"Namespace": space, "Dimensions": [["service"]], "Metrics": units}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [about] if metrics else []}
    sys.stdout.write(json.dumps({"_aws": aws, "service": service, **metrics, **fields}, default=str) + "\n")
    sys.stdout.flush()
