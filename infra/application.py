"""The CDK application: reads the settings, makes the stack, has it checked."""

from __future__ import annotations

from typing import Any

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.packages import Build, Packages
from infra.settings import Settings
from infra.stack import FastslowStack


def application(*, build: Build, **app: Any) -> App:
    """The app with its one stack. `app` goes to `aws_cdk.App`; cdk-nag's findings fail the synthesis.

    Raises SettingError when a setting in the context is wrong.
    """
    made = App(**app)
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    settings = Settings.from_context(made.node.get_all_context())
    FastslowStack(made, settings.name, settings=settings, packages=Packages(arch=settings.arch, build=build))
    return made
