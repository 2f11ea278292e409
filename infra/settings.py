"""Every setting of the stack: its type, its default, its bounds and what it is for.

A setting comes from CDK's context, `cdk deploy -c warm=8` or the `context` of cdk.json, and is checked here alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

# The days that CloudWatch Logs can keep a log for.
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


Arch = Literal["arm64", "x86_64"]


class SettingError(ValueError):
    """A setting has a value that the stack cannot be built with, or there is no such setting."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"setting {name}: {problem}")
        self.name = name


def _number(text: object) -> int:
    if isinstance(text, bool) or not re.fullmatch(r"-?[0-9]{1,9}", str(text)):
        raise ValueError(f"wants a whole number, not {text!r}")
    return int(str(text))


def _setting(default: Any, about: str, read: Callable[[object], Any]) -> Any:
    return field(default=default, metadata={"about": about, "read": read})


def _count(default: int, low: int, high: int, about: str) -> Any:
    def read(text: object) -> int:
        number = _number(text)
        if not low <= number <= high:
            raise ValueError(f"wants {low} to {high}, not {number}")
        return number

    return _setting(default, f"{about} ({low} to {high})", read)


def _one_of(default: str, choices: tuple[str, ...], about: str) -> Any:
    def read(text: object) -> str:
        if text not in choices:
            raise ValueError(f"wants {' or '.join(choices)}, not {text!r}")
        return str(text)

    return _setting(default, f"{about} ({', '.join(choices)})", read)


def _switch(default: bool, about: str) -> Any:
    def read(text: object) -> bool:
        word = str(text).lower()
        if word not in ("true", "false"):
            raise ValueError(f"wants true or false, not {text!r}")
        return word == "true"

    return _setting(default, f"{about} (true, false)", read)


def _text(default: str, pattern: str, wanted: str, about: str) -> Any:
    def read(text: object) -> str:
        if not isinstance(text, str) or not re.fullmatch(pattern, text):
            raise ValueError(f"wants {wanted}, not {text!r}")
        return text

    return _setting(default, about, read)


def _log_days(text: object) -> int:
    days = _number(text)
    if days not in LOG_DAYS:
        raise ValueError(f"wants one of {', '.join(map(str, LOG_DAYS))}, not {days}")
    return days


def _tags(text: object) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in str(text).split(",") if part.strip()]
    for key, equals, value in pairs:
        good = re.fullmatch(r"[\w .:/+@-]{1,128}", key.strip()) and re.fullmatch(r"[\w .:/+@-]{0,256}", value.strip())
        if not equals or not good or key.strip().lower().startswith("aws:"):
            raise ValueError(f"wants key=value with commas between, not {key + equals + value!r}")
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings, each checked by itself and all together. Sizes are MB and times seconds, or the name says other."""

    name: str = _text(
        "fastslow",
        r"[a-z][a-z0-9-]{1,18}[a-z0-9]",
        "3 to 20 of a-z, 0-9 and -",
        "what the stack and its functions are called",
    )
    arch: Arch = _one_of("arm64", ("arm64", "x86_64"), "processor of functions and coordinator")  # noqa: RUF009

    auth: str = _one_of(
        "key", ("key", "iam"), "who may call the API: whoever has the key, or IAM principals that sign (SigV4)"
    )
    cors: str = _text(
        "",
        r"|\*|https?://[A-Za-z0-9.-]+(:[0-9]+)?",
        "an origin such as https://example.com, or *",
        "origin whose pages may call the API; `*` is any, empty is none",
    )
    rate: int = _count(100, 1, 10_000, "requests a second that the API takes")
    burst: int = _count(200, 1, 5_000, "requests at once that the API takes")
    daily: int = _count(0, 0, 100_000_000, "requests a day for the API key; 0 is no limit")

    # An animated WebP of as many pixels as are decoded takes 850 MB.
    memory: int = _count(1769, 1024, 10_240, "memory of the classifier; 1769 is one processor")
    timeout: int = _count(28, 5, 28, "time for one picture; the API answers within 29 s")
    tmp: int = _count(512, 512, 10_240, "`/tmp` of the classifier, where models are kept")
    concurrency: int = _count(200, 0, 10_000, "environments of the classifier at most; 0 is no cap but the account's")
    snapstart: bool = _switch(False, "start the classifier from a snapshot")
    tracing: bool = _switch(False, "X-Ray traces of API and functions")

    warm: int = _count(4, 0, 200, "environments kept warm; 0 is none")
    warm_minutes: int = _count(5, 1, 60, "minutes between warm-ups")

    workers: int = _count(4, 1, 50, "worker functions; each grows by 1,000 environments in 10 s")
    worker_memory: int = _count(1769, 512, 10_240, "memory of a worker")
    worker_timeout: int = _count(900, 30, 900, "time for one worker")
    worker_tmp: int = _count(2048, 512, 10_240, "`/tmp` of a worker")

    programs: str = _text(
        "pipelines.",
        r"[a-z_][a-z0-9_.]*(,[a-z_][a-z0-9_.]*)*",
        "beginnings of modules with commas between",
        "what the names of the programs begin with that a job may run, with commas between",
    )

    coordinator: bool = _switch(True, "run the coordinator, and take jobs")
    coordinator_type: str = _text(
        "",
        r"|[a-z0-9-]+\.[a-z0-9-]+",
        "an EC2 instance type",
        "instance type; empty is t4g.small, or t3.small on x86_64",
    )
    coordinator_port: int = _count(8443, 1024, 65_535, "port on which the coordinator hears its workers")
    coordinator_disk: int = _count(20, 8, 1000, "GB of the coordinator's volume")

    media_days: int = _count(7, 1, 3650, "days that media stays")
    results_days: int = _count(30, 1, 3650, "days that results stay")
    log_days: int = _setting(30, "days that logs stay (what CloudWatch offers)", _log_days)
    flow_logs: bool = _switch(False, "log what the network refuses")

    email: str = _text("", r"|[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address", "who hears of alarms")
    budget: int = _count(0, 0, 1_000_000, "US dollars a month above which the budget alarms; 0 is no budget")
    tags: tuple[tuple[str, str], ...] = _setting((), "tags for everything, key=value with commas between", _tags)

    def __post_init__(self) -> None:
        if self.snapstart and self.tmp != 512:
            raise SettingError("tmp", f"SnapStart works with 512 MB of /tmp only, not {self.tmp}: set snapstart or tmp")
        if self.concurrency and self.warm > self.concurrency:
            raise SettingError(
                "warm", f"cannot keep {self.warm} environments warm when concurrency is {self.concurrency}"
            )
        if self.budget and not self.email:
            raise SettingError("email", "a budget needs the address that hears of it")
        if self.coordinator_type and (self.arch == "arm64") != _is_arm(self.coordinator_type):
            raise SettingError("coordinator_type", f"{self.coordinator_type} is not a machine of arch {self.arch}")

    @property
    def instance_type(self) -> str:
        """The coordinator's EC2 instance type."""
        return self.coordinator_type or ("t4g.small" if self.arch == "arm64" else "t3.small")

    @classmethod
    def from_context(cls, context: Mapping[str, object]) -> Settings:
        """Read the settings out of CDK's context; names with `:`, `/` or `@` are CDK's own.

        Raises SettingError, which names the setting and says what it wants.
        """
        known = {each.name: each.metadata["read"] for each in fields(cls)}
        chosen: dict[str, Any] = {}
        for name, value in context.items():
            if re.search(r"[:/@]", name):
                continue
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise SettingError(name, f"there is none of that name{f'; did you mean {near[0]}?' if near else ''}")
            try:
                chosen[name] = known[name](value)
            except ValueError as error:
                raise SettingError(name, str(error)) from None
        return cls(**chosen)

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Name, default and meaning of every setting, for the documents."""
        return [(each.name, _shown(each.default), each.metadata["about"]) for each in fields(cls)]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value in ("", ()) else str(value)


def _is_arm(instance: str) -> bool:
    # A family's letters after the generation tell: c7g, t4g, m8gd and x2gd are Graviton; g5 is a GPU family.
    return bool(re.match(r"a1\.|[a-z-]+[0-9]+[a-z]*g[a-z-]*\.", instance)) or instance.startswith("g5g.")
