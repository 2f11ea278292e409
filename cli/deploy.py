"""`fastslow deploy` and `destroy`: AWS's `cdk` with what it needs, and what it costs or deletes said first."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from cli.doctor import checked, named, show
from cli.errors import Failure, told_when_deploying

if TYPE_CHECKING:
    from deploy.account import Account

_settings = click.option(
    "-c", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the stack; see docs/deploy.md."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(short_help="Deploy the stack to an AWS account.")
@_settings
@_yes
@click.option("--estimate", is_flag=True, help="Say what it would cost, and deploy nothing.")
@click.option("--force", is_flag=True, help="Deploy though `fastslow doctor` says that it would fail.")
def deploy(settings: tuple[str, ...], yes: bool, estimate: bool, force: bool) -> None:
    """Deploy the stack to the account that your AWS credentials are for, and bootstrap CDK there if need be.

    Packages are built first; then it says what the idle stack costs a month, looks at the account as `fastslow doctor`
    does, and asks.
    """
    chosen = checked(settings)
    # A folder of its own: another command may synthesise at the same time.
    with told_when_deploying(), TemporaryDirectory(prefix="fastslow-") as folder:
        from deploy import account, cost, tools
        from deploy.assembly import Assembly
        from deploy.doctor import machine
        from deploy.doctor.checks import account_checks
        from deploy.doctor.finding import examine, failed, refuse

        show(refuse(examine(machine.checks())), err=True)
        click.echo("building packages, synthesising", err=True)
        work = tools.ROOT / "build" / "deploy"
        work.mkdir(parents=True, exist_ok=True)
        assembly = Assembly(tools.synthesise(Path(folder, "cdk"), chosen, log=work / "cdk.log"))
        lines = cost.estimate(assembly.template)
        for line in lines:
            price = "unknown" if line.dollars is None else f"{line.dollars:.2f} $"
            click.echo(f"{price:>9}  {line.what}", err=not estimate)
        click.echo(f"idle: {cost.total(lines)}, by us-east-1's prices of {cost.AS_OF}", err=not estimate)
        if estimate:
            return
        region = account.region()
        findings = examine(account_checks(account.clients(), region, lambda: assembly))
        show([each for each in findings if each.grade != "ok"], err=True)
        if (bad := failed(findings)) and not force:
            raise Failure(f"nothing was deployed, for it would fail: {named(bad)}; --force tries all the same")
        number = account.Account().who()
        if not yes:
            click.confirm(f"Deploy {assembly.stack} to account {number}, region {region}?", abort=True, err=True)
        # What `cdk` is told to go by is what was looked at.
        app, environment = ["--app", str(assembly.folder)], tools.environment(AWS_REGION=region)
        if any((each.check, each.grade) == ("bootstrap", "warning") for each in findings):
            _cdk(["bootstrap", *app], environment)
        _cdk(["deploy", *app, "--require-approval", "never"], environment)


@click.command(short_help="Remove the stack from an account.")
@_settings
@_yes
@click.option("--everything", is_flag=True, help="And what deploying left beside it, where nobody else uses it.")
def destroy(settings: tuple[str, ...], yes: bool, everything: bool) -> None:
    """Remove the stack from the account of your AWS credentials: its buckets are emptied, then all of it is deleted.

    What is not the stack's stays: CDK's bootstrap stack, API Gateway's role for logs and the log of its executions.
    --everything removes these too, be the stack still there or gone; what others use stays, and is named.
    """
    with told_when_deploying():
        from deploy.account import Account, clients
        from deploy.remains import remains

        account, name = Account(), checked(settings).get("name", "fastslow")
        number, resources = account.who(), account.resources(name)
        left = remains(clients(), name) if everything else []
        if not resources and not any(not each.used for each in left):
            raise Failure(
                f"account {number} has no stack {name!r} in this region{', nor what one leaves' * everything}"
            )
        click.echo(f"{name} in account {number}: {len(resources)} resources, and for good", err=True)
        for held in account.held(name):
            click.echo(f"{held.objects:9,} objects, {held.bytes / 1e6:,.1f} MB  s3://{held.bucket}", err=True)
        for each in left:
            click.echo(f"{'stays' if each.used else 'goes':>9}  {each.what}{each.used and f'; {each.used}'}", err=True)
        if not yes and click.prompt(f"Type {name} to delete all of it", err=True) != name:
            raise click.Abort
        if resources:
            _remove(account, name, settings)
        for each in left:
            if not each.used:
                click.echo(f"removing {each.what}", err=True)
                each.remove()


def _remove(account: Account, name: str, settings: tuple[str, ...]) -> None:
    from deploy import tools
    from deploy.account import region

    environment = tools.environment(AWS_REGION=region())
    context = [part for each in settings for part in ("-c", each)]
    for last in (False, True):
        for each in account.held(name):
            account.empty(each.bucket)
        try:
            _cdk(["destroy", "--force", *context], environment)
            break
        except Failure:
            if last or not any(each.objects for each in account.held(name)):
                raise
            click.echo("S3 wrote to the log of accesses in the meantime; once more", err=True)


def _cdk(arguments: list[str], environment: dict[str, str]) -> None:
    import subprocess

    from deploy import tools

    done = subprocess.run([*tools.cdk(), *arguments], cwd=tools.ROOT, env=environment, check=False)
    if done.returncode:
        raise Failure(f"cdk {arguments[0]} failed")
