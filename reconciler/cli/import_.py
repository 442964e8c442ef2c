"""`reconciler import`."""

from __future__ import annotations

import shlex
from typing import Any

import click

from reconciler.cli.composition import chosen_tenants, common_options, for_each_tenant, settings_of, surroundings_of
from reconciler.cli.exits import Exit
from reconciler.desired.writer import GROUPS_FOLDER, USERS_FOLDER
from reconciler.reconcile.declaring import Scope
from reconciler.reconcile.importing import Imported, import_tenant, require_tenant
from reconciler.report.values import in_words, many
from reconciler.semantics.printable import printable
from reconciler.settings import Settings


@click.command("import", short_help="Write YAML for what is live in a tenant. Cannot write to it.")
@click.argument("tenant")
@click.option("--groups-only", is_flag=True, help="Only groups and who is in them; people come from elsewhere.")
@click.option("--configuration", is_flag=True, help="Also the ServiceProviderConfig, with `mode: assert`.")
@common_options
def import_(tenant: str, groups_only: bool, configuration: bool, **options: Any) -> int:
    """Write YAML for what is live in a tenant. Cannot write to it.

    Needs a tenant.yaml and overwrites nothing. Before a file is written it is proven that the files are valid and that
    planning them changes nothing. What git cannot declare is left out and told, with the reason; the exit code is 0 all
    the same. A tenant that cannot be read completely is not imported (exit code 4).
    """
    settings = settings_of(options)
    require_tenant(settings.root, tenant)
    surroundings = surroundings_of(settings)

    def work(name: str) -> Exit:
        scope = Scope.GROUPS_ONLY if groups_only else Scope.ALL
        imported = import_tenant(settings.root, name, surroundings, scope=scope, configuration=configuration)
        for why, items in imported.reasons.items():
            surroundings.listener.left_out(why, items)
        click.echo("\n".join(_summary(imported, settings)))
        return Exit.DONE

    return for_each_tenant(surroundings, chosen_tenants(settings, (tenant,)), work)


def _summary(imported: Imported, settings: Settings) -> list[str]:
    """What was written and what was not, and what to do next."""
    account, tenant = imported.account, imported.tenant
    counts = in_words((many(account.users, "user"), many(account.groups, "group")))
    lines = [f"{tenant}: {counts} in {many(len(imported.files), 'file')}"]
    for folder in (USERS_FOLDER, GROUPS_FOLDER):
        files = sum(1 for name in imported.files if name.startswith(f"{folder}/"))
        lines += [f"  {imported.folder / folder}: {many(files, 'file')}"] if files else []
    lines += [f"  {imported.folder / name}" for name in imported.files if "/" not in name]
    lines += [f"  left out: {text}" for text in _left_out(imported)]
    lines += [f"  note: {printable(note)}" for note in imported.notes]
    if imported.changes:
        lines.append(f"Documents that were there before ask for {many(imported.changes, 'change')}.")
    elif imported.files:
        lines.append("Proven: these files are valid, and planning them changes nothing.")
    add = shlex.join(("git", "add", str(imported.folder)))
    plan = shlex.join(("reconciler", "plan", tenant, *settings.typed))
    lines += [f"Next: {add}, then {plan}"] if imported.files else ["Nothing was written."]
    return lines


def _left_out(imported: Imported) -> list[str]:
    account = imported.account
    told = [f"{many(len(account.left_out), 'thing')} that git cannot declare, told above"] if account.left_out else []
    counted = (
        (account.unmanaged, "under `ownership.unmanaged`"),
        (account.earlier, "declared already"),
        (account.plain, "people without roles and entitlements, who come from elsewhere"),
    )
    return told + [f"{count:,} {why}" for count, why in counted if count]
