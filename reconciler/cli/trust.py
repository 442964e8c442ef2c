"""`reconciler trust`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.composition import chosen_tenants, common_options, settings_of
from reconciler.cli.exits import Exit
from reconciler.desired.parser import load_desired_state
from reconciler.errors import ConfigurationError, DesiredStateError
from reconciler.model.tenant import Tenant
from reconciler.transport.hosts import is_loopback, origin_of, write_binding


@click.command(short_help="Bind a tenant's hosts, so that credentials may go there.")
@click.argument("tenant")
@common_options
def trust(tenant: str, **options: Any) -> int:
    """Bind a tenant's hosts, so that credentials may go there.

    Shows every origin that tenant.yaml names and asks. The answer is kept outside git, in your own configuration
    folder: a pull request that changes an address cannot take your credentials along. In pipelines set
    RECONCILER_BINDINGS.
    """
    settings = settings_of(options)
    (name,) = chosen_tenants(settings, (tenant,))
    loaded = load_desired_state(settings.root, name, documents=False, environ=settings.environ)
    if loaded.tenant is None:
        raise DesiredStateError(loaded.diagnostics, root=str(settings.root))
    if settings.user_bindings is None:
        raise ConfigurationError("there is no home folder to keep bindings in", hint="set RECONCILER_BINDINGS instead")
    origins = sorted(origins_of(loaded.tenant))
    remote = [origin for origin in origins if not is_loopback(origin)]
    click.echo(f"{name} sends credentials to:")
    for origin in origins:
        click.echo(f"  {origin}{'' if origin in remote else '  (loopback, always bound)'}")
    if not remote:
        click.echo("Nothing to bind.")
        return Exit.DONE
    if not click.confirm("Are these the hosts of your tenant?"):
        click.echo("Nothing was bound.")
        return Exit.ERROR
    write_binding(settings.user_bindings, name, remote)
    click.echo(f"Bound. Next: reconciler plan {name}")
    return Exit.DONE


def origins_of(tenant: Tenant) -> set[str]:
    """Every origin that a tenant's requests go to."""
    endpoints = tenant.endpoints
    urls = (endpoints.base_url, endpoints.service_provider_config_url, endpoints.platform_url, endpoints.token_url)
    return {origin_of(url) for url in urls if url is not None}
