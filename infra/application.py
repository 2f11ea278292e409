"""The CDK application: reads the settings, makes the stack, has it checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.packages import Build, Packages
from infra.settings import Settings
from infra.stack import FastslowStack

Prices = Callable[[int, str, str], str]
"""Of a worker's memory in MB, the processor, and the coordinator's instance type."""


def application(*, build: Build, prices: Prices, **app: Any) -> App:
    """The app with its one stack. `app` goes to `aws_cdk.App`; cdk-nag's findings fail the synthesis.

    `prices` gives what the coordinator is told of what jobs cost.

    Raises SettingError when a setting in the context is wrong.
    """
    made = App(**app)
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    settings = Settings.from_context(made.node.get_all_context())
    FastslowStack(
        made,
        settings.name,
        settings=settings,
        packages=Packages(arch=settings.arch, build=build),
        prices=prices(settings.worker_memory, settings.arch, settings.instance_type),
    )
    return made
