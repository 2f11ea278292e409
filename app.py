"""What `cdk` runs: the application with the real packages."""

import sys

from deploy import cost
from infra.application import application
from infra.settings import SettingError
from layers.build import build

try:
    application(build=build, prices=lambda *fleet: cost.prices(cost.Fleet(*fleet))).synth()
except SettingError as error:
    sys.exit(f"fastslow: {error}")
