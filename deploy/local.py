"""The whole stack on this machine: a cloud on loopback, the pool that runs its functions, and the app in it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import shutil
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import boto3

from deploy import certificate, coordinator, interpreters, processes, tools
from deploy.doctor import machine
from deploy.doctor.finding import examine, refuse
from deploy.errors import DeployError, ToolFailed
from deploy.loopback import only_loopback
from deploy.processes import Process

HOME = tools.ROOT / "build" / "local"
"""What runs says here what it is; the environments for the cloud and for functions are made once, below it."""
REGION, ACCOUNT = "us-east-1", "000000000000"
SOURCES = (
    *("app.py", "cdk.json", "codec", "constraints.txt", "deploy/cost.py", "deploy/pool", "functions", "infra"),
    *("layers", "mu", "pages", "pipelines", "vision"),
)

PROCESSES = ("cloud", "pool", "coordinator")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """What runs, and what it was made of. Addresses are of loopback."""

    cloud: Process
    pool: Process
    cloud_url: str
    pool_url: str
    deployed: str
    """Fingerprint of the sources and settings that were deployed."""
    outputs: Mapping[str, str]
    """The stack's outputs, by name."""
    trusted: str = ""
    """The file of the certificate to trust, where the cloud speaks TLS and enforces permissions; else empty."""
    coordinator: Process | None = None
    """Where the stack has one."""
    coordinator_port: int = 0
    """Where workers find it; a coordinator that takes its place has the same."""

    @property
    def alive(self) -> bool:
        """Whether the cloud and the pool run."""
        return self.cloud.alive and self.pool.alive

    @property
    def coordinates(self) -> bool:
        """Whether the coordinator runs, if there is to be one."""
        return self.coordinator.alive if self.coordinator else "JobsQueue" not in self.outputs


def credentials(url: str, trusted: str = "") -> dict[str, str]:
    """Environment variables with which AWS's own tools talk to the cloud on this machine, and to no other."""
    trust = dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), trusted) if trusted else {}
    return {
        **trust,
        "AWS_ENDPOINT_URL": only_loopback(url),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def running(home: Path = HOME) -> Running | None:
    """What `up` left running, dead or alive; None when nothing was started."""
    try:
        told = dict(json.loads((home / "state.json").read_text()))
        made = {name: Process(**told[name]) for name in PROCESSES if told.get(name)}
        return Running(**{**told, **made})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def up(settings: Mapping[str, str], tell: Tell, home: Path = HOME, *, strict: bool = False) -> Running:
    """Bring the stack up with these settings, or up to date; quick when nothing changed. Raises DeployError.

    `strict`: over TLS, and with every permission enforced.
    """
    settings = {"arch": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64", **settings}
    wanted = fingerprint({**settings, "strict": str(strict)})
    found = running(home)
    if found and found.alive and found.deployed == wanted:
        if not found.coordinates:
            tell("starting the coordinator, which had ended")
            return coordinate(found, home)
        tell("nothing changed since it was deployed")
        return found
    for each in refuse(examine(machine.local_checks())):
        tell(f"{each.check}: {each.found}")
    home.mkdir(parents=True, exist_ok=True)
    template = _prepare(settings, wanted, tell, home)
    names = _functions(template)
    if found and not (found.alive and _names(home) == names and bool(found.trusted) == strict):
        down(home)
        found = None
    state = found or start(names, tell, home, strict=strict)
    try:
        _deploy(state, template.parent, tell, home)
    except DeployError:
        _save(state, home)
        raise
    _reserve(state, template)
    (outputs,) = json.loads((home / "outputs.json").read_text()).values()
    state = replace(state, deployed=wanted, outputs=outputs)
    _save(state, home)
    if "JobsQueue" in outputs:
        tell("starting the coordinator")
        state = coordinate(state, home, anew=True)
    return state


def coordinate(state: Running, home: Path = HOME, *, anew: bool = False) -> Running:
    """Start the coordinator as its machine would, in the place of one that runs; `anew` with what is deployed now."""
    if state.coordinator:
        state.coordinator.end()
    boot = coordinator.boot_of(lambda service: client(service, state), f"{stack_name(state)}-coordinator")
    if anew:
        coordinator.install(client("s3", state), boot, home / "coordinator")
    port = state.coordinator_port or _free_ports(1)[0]
    python = HOME / "functions" / "bin" / "python"
    more = credentials(state.cloud_url, state.trusted)
    if state.trusted:
        more |= coordinator.credentials(boot, lambda service: client(service, state))
    log = home / coordinator.LOG
    made = coordinator.start(boot, home / "coordinator", python=python, port=port, more=more, log=log)
    state = replace(state, coordinator=made, coordinator_port=port)
    _save(state, home)
    return state


def stack_name(state: Running) -> str:
    """What the stack is called, by which its functions are named."""
    return state.outputs["ClassifierAlias"].split(":")[-2].removesuffix("-classify")


def down(home: Path = HOME) -> bool:
    """End what runs; False when nothing did. The cloud has no memory: what was in it is gone."""
    found = running(home)
    if found:
        if found.coordinator:
            found.coordinator.end()
        found.pool.end()
        found.cloud.end()
    (home / "state.json").unlink(missing_ok=True)
    return bool(found)


def frames_url(state: Running) -> str:
    """Where to POST frames: the address that the stack prints, as this cloud spells it."""
    return _url(state, "FramesUrl")


def pages_url(home: Path = HOME) -> str:
    """Where the coordinator shows what jobs do; empty if it does not."""
    told = home / "coordinator" / "state" / "pages"
    return told.read_text().strip() if told.exists() else ""


def jobs_url(state: Running) -> str:
    """Where to POST jobs; empty where the stack takes none."""
    return _url(state, "JobsUrl") if "JobsUrl" in state.outputs else ""


def _url(state: Running, output: str) -> str:
    host, _, path = state.outputs[output].removeprefix("https://").partition("/")
    return f"{state.cloud_url}/_aws/execute-api/{host.partition('.')[0]}/{path}"


def client(service: str, state: Running) -> Any:
    """A client of boto3 for a service of the cloud on this machine."""
    given = credentials(state.cloud_url)
    return boto3.client(
        service,
        endpoint_url=given["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        verify=state.trusted or None,
    )


def api_key(state: Running) -> str:
    """The key that callers need; empty where they sign requests instead."""
    if "ApiKeyId" not in state.outputs:
        return ""
    return str(client("apigateway", state).get_api_key(apiKey=state.outputs["ApiKeyId"], includeValue=True)["value"])


def environments(state: Running) -> dict[str, dict[str, int]]:
    """How many environments of each function are busy and free."""
    with urllib.request.urlopen(only_loopback(state.pool_url), timeout=5) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
    return found


def logs(home: Path = HOME) -> dict[str, Path]:
    """The log of every function that has run, and of the coordinator."""
    paths = [*sorted((home / "pool" / "logs").glob("*.log")), *home.glob(coordinator.LOG)]
    return {path.stem: path for path in paths}


def warm(state: Running, home: Path = HOME) -> str:
    """Call the function that the schedule calls; why it failed, or nothing."""
    name = f"{stack_name(state)}-warmup"
    if name not in _names(home):
        return ""
    answer = client("lambda", state).invoke(FunctionName=name, Payload=b"{}")
    return answer["Payload"].read().decode(errors="replace")[:500] if "FunctionError" in answer else ""


def fingerprint(settings: Mapping[str, str], root: Path = tools.ROOT) -> str:
    """Of all that decides what is deployed: settings and sources."""
    told = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    for source in SOURCES:
        path = root / source
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file() and each.suffix not in (".pyc", ".so"):
                told.update(f"{each.relative_to(root)} {hashlib.sha256(each.read_bytes()).hexdigest()}\n".encode())
    return told.hexdigest()


def _prepare(settings: Mapping[str, str], wanted: str, tell: Tell, home: Path) -> Path:
    """Make the environments and synthesise the app, side by side; the template of its stack.

    What was synthesised of the same sources and settings (`wanted` is their fingerprint) is taken again.
    """
    stamp = home / "synthesised.txt"
    kept = [*(home / "cdk").glob("*.template.json")] if stamp.exists() and stamp.read_text() == wanted else []
    tell("preparing: environments" if kept else "preparing: packages, synthesis, environments")
    with ThreadPoolExecutor(3) as pool:
        made = [pool.submit(interpreters.environment, name, HOME / name) for name in ("cloud", "functions")]
        if not kept:
            stamp.unlink(missing_ok=True)
            kept.append(pool.submit(tools.synthesise, home / "cdk", settings, log=home / "cdk.log").result())
            stamp.write_text(wanted)
        for each in made:
            each.result()
    (template,) = kept
    return template


def _functions(template: Path) -> list[str]:
    """The names of the functions in the synthesised stack."""
    resources = json.loads(template.read_text())["Resources"].values()
    return sorted(each["Properties"]["FunctionName"] for each in resources if each["Type"] == "AWS::Lambda::Function")


def _names(home: Path) -> list[str]:
    try:
        found: list[str] = json.loads((home / "functions.json").read_text())
    except (OSError, ValueError):
        return []
    return found


def start(names: Sequence[str], tell: Tell, home: Path, *, strict: bool = False) -> Running:
    """Start the cloud and the pool, and wait until both answer."""
    tell("starting the cloud and the pool")
    cloud_port, pool_port = _free_ports(2)
    cloud_url, pool_url = f"http{'s' * strict}://127.0.0.1:{cloud_port}", f"http://127.0.0.1:{pool_port}"
    for gone in ("pool", "coordinator"):  # code, logs and jobs of a cloud that is gone
        shutil.rmtree(home / gone, ignore_errors=True)
    walls, trusted = {}, ""
    if strict:
        files = certificate.made(home)
        trusted = str(files.certificate)
        walls = {"AUTH": "true", "USE_SSL": "1", "MINISTACK_SSL_CERT": trusted, "MINISTACK_SSL_KEY": str(files.key)}
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    cloud = processes.start(
        [str(HOME / "cloud" / "bin" / "python"), "-m", "ministack"],
        env={
            **bare,
            **walls,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(cloud_port),
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch / "state"),
            "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
            "LOG_LEVEL": "WARNING",
            # Every call of these functions is handed over to the pool; what is deployed does not know.
            **{f"MINISTACK_LAMBDA_PROXY_{name}": f"{pool_url}/" for name in names},
        },
        folder=scratch,
        log=home / "cloud.log",
    )
    arguments = ["--port", str(pool_port), "--endpoint", cloud_url, "--folder", str(home / "pool")]
    pool = processes.start(
        [sys.executable, "-m", "deploy.pool", *arguments, "--python", str(HOME / "functions" / "bin" / "python")],
        env={**bare, **credentials(cloud_url, trusted)},
        folder=tools.ROOT,
        log=home / "pool.log",
    )
    state = Running(cloud, pool, cloud_url, pool_url, "", {}, trusted)
    _save(state, home)
    (home / "functions.json").write_text(json.dumps(list(names)))
    _wait(f"{cloud_url}/_ministack/health", cloud, home / "cloud.log", trusted)
    _wait(pool_url, pool, home / "pool.log")
    return state


def _deploy(state: Running, assembly: Path, tell: Tell, home: Path) -> None:
    env = tools.environment(**credentials(state.cloud_url, state.trusted))
    app = ["--app", str(assembly)]
    if not state.outputs:
        tell("bootstrapping CDK")
        tools.run_cdk(["bootstrap", *app, f"aws://{ACCOUNT}/{REGION}"], env=env, log=home / "cdk.log")
    tell("deploying")
    outputs = ["--outputs-file", str(home / "outputs.json")]
    tools.run_cdk(["deploy", *app, "--require-approval", "never", *outputs], env=env, log=home / "cdk.log")


def _reserve(state: Running, template: Path) -> None:
    """Reserve environments as the stack says: this cloud takes that from its Lambda API alone."""
    for each in json.loads(template.read_text())["Resources"].values():
        if reserved := each.get("Properties", {}).get("ReservedConcurrentExecutions"):
            name = each["Properties"]["FunctionName"]
            client("lambda", state).put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)


def _wait(url: str, process: Process, log: Path, trusted: str = "", patience: float = 30.0) -> None:
    trust = ssl.create_default_context(cafile=trusted) if trusted else None
    until = time.monotonic() + patience
    while time.monotonic() < until and process.alive:
        try:
            with urllib.request.urlopen(url, timeout=2, context=trust):
                return
        except OSError:
            time.sleep(0.05)
    raise ToolFailed(f"{url} does not answer; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and not among those that the kernel gives to whoever asks for any in the meantime."""
    candidates = random.sample(range(10_000, 30_000), 1000)
    ports: list[int] = []
    while len(ports) < count:
        with suppress(OSError), socket.create_server(("127.0.0.1", candidates.pop())) as server:
            ports.append(server.getsockname()[1])
    return ports


def _save(state: Running, home: Path) -> None:
    beside = home / "state.json.part"
    beside.write_text(json.dumps(asdict(state), indent=2) + "\n")
    beside.replace(home / "state.json")
