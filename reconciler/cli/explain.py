"""`reconciler explain`."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten

import click

from reconciler.cli.exits import Exit
from reconciler.desired.codes import CODES
from reconciler.errors import UsageError
from reconciler.planner.explanations import FINDING_PAGES, GUARD_PAGES, RESIDUAL_PAGES, Page
from reconciler.semantics.nearest import nearest

_PAGES: Mapping[str, Mapping[str, Page]] = {
    "guard": GUARD_PAGES,
    "finding": FINDING_PAGES,
    "residual": RESIDUAL_PAGES,
}
_HEADINGS = {
    "guard": "Guards, which refuse a plan:",
    "finding": "Findings, which a plan reports:",
    "residual": "Residuals, which an apply finds when it reads back:",
}


@click.command(short_help="Explain a code or a guard in plain words.")
@click.argument("code", required=False)
def explain(code: str | None) -> int:
    """Explain a code or a guard in plain words.

    CODE is what a message shows in brackets (V203), the name of a guard (removal-share), of a finding (no-protected),
    or of a residual (not-stored). Without CODE: the list of all.
    """
    if code is None:
        _list_all()
        return Exit.DONE
    wanted = code.strip("[]")
    explanation = CODES.get(wanted.upper())
    found = [(what, pages[wanted.lower()]) for what, pages in _PAGES.items() if wanted.lower() in pages]
    if explanation is not None:
        click.echo(f"{explanation.code.value}: {explanation.title}\n\n{explanation.text}")
        click.echo(f"\nWrong:\n{_indented(explanation.example_bad)}\n\nRight:\n{_indented(explanation.example_good)}")
    elif found:
        what, page = found[0]
        click.echo(f"{wanted.lower()} ({what})\n\nWhen   {page.meaning}\nWhy    {page.why}\nDo     {page.remedy}")
    else:
        close = nearest(wanted, [*CODES, *(name for pages in _PAGES.values() for name in pages)])
        raise UsageError(
            f"nothing is known about {wanted}",
            hint=f"did you mean {close}?" if close else "`reconciler explain` lists everything that can be explained",
        )
    return Exit.DONE


def _list_all() -> None:
    for what, pages in _PAGES.items():
        click.echo(_HEADINGS[what])
        for name, page in pages.items():
            click.echo(f"  {name:22} {shorten(page.meaning.split('. ')[0].rstrip('.'), 90, placeholder=' ...')}")
        click.echo()
    click.echo("Diagnostics, which make desired state invalid or warn:")
    for name, explanation in CODES.items():
        click.echo(f"  {name:22} {explanation.title}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
