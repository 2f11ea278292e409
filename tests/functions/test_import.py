"""A cold start imports little: what the classifier loads before it knows of a model, and how long that takes."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, time
began = time.process_time()
import functions.classify.handler
took = time.process_time() - began
heavy = {"aws_lambda_powertools", "av", "boto3", "botocore", "click", "codec", "pipelines", "requests", "rich"}
print(took, *sorted(heavy & set(sys.modules)))
"""
LIMIT = 1.0  # seconds of a slow, busy processor; bench/startup.py says what it is on a quiet machine


def test_the_classifier_is_imported_quickly() -> None:
    command = [sys.executable, "-c", PROGRAM]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert runs[0][1:] == []
    assert min(float(run[0]) for run in runs) < LIMIT
