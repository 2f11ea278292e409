"""What would be deployed: packages beside Lambda's limits, and the bill of the idle stack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from deploy import cost
from deploy.assembly import UNZIPPED_LIMIT, ZIPPED_LIMIT
from deploy.doctor.account import Assembled
from deploy.doctor.finding import Check, Finding
from deploy.errors import DeployError


def checks(assembled: Assembled) -> Sequence[tuple[str, Check]]:
    """The checks of what would be deployed."""
    return [("packages", partial(packages, assembled)), ("cost", partial(idle, assembled))]


def packages(assembled: Assembled) -> Finding:
    """Whether the app can be synthesised with its packages built, and how large these are."""
    try:
        assembly = assembled()
    except DeployError as error:
        return Finding("packages", "failed", str(error), "mend what it says: a setting, a package, a tool")
    zipped = {name: size.zipped for name, size in assembly.packages.items()}
    unpacked = assembly.unpacked
    facts = {"zipped": zipped, "unzipped": unpacked, "limits": {"zipped": ZIPPED_LIMIT, "unzipped": UNZIPPED_LIMIT}}
    large = [
        f"layer {name} is {_mb(size)} zipped, Lambda takes {_mb(ZIPPED_LIMIT)}"
        for name, size in zipped.items()
        if size > ZIPPED_LIMIT
    ]
    large += [
        f"{name} is {_mb(size)} with its layers, Lambda takes {_mb(UNZIPPED_LIMIT)}"
        for name, size in unpacked.items()
        if size > UNZIPPED_LIMIT
    ]
    if large:
        return Finding("packages", "failed", "; ".join(large), "leave more out in layers/recipes.py", facts)
    layers = ", ".join(f"{name} {_mb(size)}" for name, size in sorted(zipped.items()))
    largest = max(unpacked, key=lambda name: unpacked[name])
    found = f"built: {layers} zipped (of {_mb(ZIPPED_LIMIT)}); {largest} has {_mb(unpacked[largest])} unpacked"
    return Finding("packages", "ok", f"{found} (of {_mb(UNZIPPED_LIMIT)})", facts=facts)


def idle(assembled: Assembled) -> Finding:
    """What a month costs in which nobody uses the stack, beside the budget."""
    assembly = assembled()
    lines = cost.estimate(assembly.template)
    dollars = sum(line.dollars or 0.0 for line in lines)
    facts = {"dollars": round(dollars, 2), "parts": {line.what: line.dollars for line in lines}, "as_of": cost.AS_OF}
    found = f"{cost.total(lines)} when nobody uses it"
    limits = [each["Budget"]["BudgetLimit"]["Amount"] for each in assembly.of_kind("Budgets::Budget").values()]
    if limits and dollars > min(limits):
        todo = f"-c budget={int(dollars) + 1} at least, or -c coordinator=false"
        return Finding("cost", "warning", f"{found}, which passes the budget of {min(limits)} $", todo, facts)
    return Finding("cost", "ok", found, facts=facts)


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
