"""What `cdk` runs: the application with the real packages."""

import sys

from infra.application import application
from infra.settings import SettingError
from layers.build import build

try:
    application(build=build).synth()
except SettingError as error:
    sys.exit(f"fastslow: {error}")
