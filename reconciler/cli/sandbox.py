"""`reconciler sandbox`."""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from reconciler.cli.exits import Exit
from reconciler.errors import ConfigurationError
from reconciler.sandbox.authentication import ALL_SCOPES
from reconciler.sandbox.config import AsyncBulk, Client, SandboxConfig
from reconciler.sandbox.faults import FaultPlan, FaultsError, parse_faults
from reconciler.sandbox.server import DataFileError, serve_forever


@click.group(short_help="The embedded tenant, for tests and demos.")
def sandbox() -> None:
    """The embedded tenant, for tests and demos."""


@sandbox.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8990, show_default=True, help="0 picks a free one.")
@click.option("--data", metavar="FILE", help="Keep the data in this SQLite file; without it, in memory.")
@click.option("--token", metavar="TOKEN", help="The bearer token [SCIM_TOKEN, else one is made up and printed].")
@click.option("--profile", type=click.Choice(["cxone", "rfc7644"]), default="cxone", show_default=True)
@click.option(
    "--max-operations", type=click.IntRange(1, 5000), default=1000, show_default=True, help="Of one bulk request."
)
@click.option(
    "--max-payload", type=click.IntRange(1), default=10_485_760, show_default=True, help="Bytes of one bulk request."
)
@click.option("--rate", type=click.IntRange(1), metavar="N", help="Requests a minute; more are answered 429.")
@click.option(
    "--seats", type=click.IntRange(0), default=1_000_000, show_default=True, help="Licences; an active user takes one."
)
@click.option("--roles", metavar="A,B", default="", help="The roles there are [without it, any].")
@click.option("--async-bulk", is_flag=True, help="Answer bulk requests with 202 and a job to poll.")
@click.option("--admin", metavar="TOKEN", help="Switch /_sandbox on; this token opens it.")
@click.option("--faults", metavar="FILE", help="JSON: which requests go wrong, and how (docs/sandbox.md).")
def serve(  # noqa: PLR0917 - one parameter an option
    port: int,
    data: str | None,
    token: str | None,
    profile: Literal["cxone", "rfc7644"],
    max_operations: int,
    max_payload: int,
    rate: int | None,
    seats: int,
    roles: str,
    async_bulk: bool,
    admin: str | None,
    faults: str | None,
) -> int:
    """Serve an embedded SCIM tenant on the loopback interface until it is stopped.

    It takes the bearer token, and tokens for the OAuth client it prints: CXONE_CLIENT_ID and CXONE_CLIENT_SECRET where
    they are set, else one that is made up.
    """
    given = token or os.environ.get("SCIM_TOKEN")
    bearer = given or secrets.token_urlsafe(24)
    given_secret = os.environ.get("CXONE_CLIENT_SECRET")
    client = Client(
        os.environ.get("CXONE_CLIENT_ID") or "reconciler", given_secret or secrets.token_urlsafe(24), ALL_SCOPES
    )
    config = SandboxConfig(
        port=port,
        data=data,
        token=bearer,
        profile=profile,
        max_operations=max_operations,
        max_payload=max_payload,
        rate=rate,
        seats=seats,
        roles=tuple(filter(None, (role.strip() for role in roles.split(",")))),
        async_bulk=AsyncBulk() if async_bulk else None,
        admin=admin,
        faults=FaultPlan() if faults is None else _read_faults(Path(faults)),
        clients=(client,),
    )

    def announce(base_url: str) -> None:
        if given is None:
            click.echo(f"export SCIM_TOKEN={bearer}")
        if given_secret is None:
            click.echo(f"export CXONE_CLIENT_ID={shlex.quote(client.id)} CXONE_CLIENT_SECRET={client.secret}")
        click.echo(f"OAuth client {client.id} with the scopes {' '.join(client.scopes)}")
        click.echo(f"tokens from {urlsplit(base_url)._replace(path='/oauth/token').geturl()}")
        click.echo(f"listening on {base_url} ({profile}); stop with Ctrl-C")

    try:
        serve_forever(config, announce)
    except DataFileError as error:
        raise ConfigurationError(
            f"cannot use {error.path}: {error.reason}",
            hint="name another file with --data; without it data is in memory",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on port {port}: {error.strerror}", hint="choose another one with --port; 0 picks a free one"
        ) from error
    return Exit.DONE


def _read_faults(path: Path) -> FaultPlan:
    try:
        return parse_faults(path.read_text(encoding="utf-8"))
    except FaultsError as error:
        raise ConfigurationError(f"cannot use {path}: {error.place}: {error.problem}", hint=error.remedy) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot read {path}: {reason}", hint="name another file with --faults") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read {path}: it is not UTF-8", hint="save it as UTF-8") from error
