"""`reconciler explain`."""

from __future__ import annotations

from textwrap import shorten

import click

from reconciler.cli.exits import Exit
from reconciler.desired.codes import CODES
from reconciler.errors import UsageError
from reconciler.planner.explanations import FINDING_PAGES, GUARD_PAGES
from reconciler.semantics.nearest import nearest


@click.command(short_help="Explain a code or a guard in plain words.")
@click.argument("code", required=False)
def explain(code: str | None) -> int:
    """Explain a code or a guard in plain words.

    CODE is what a message shows in brackets (V203), the name of a guard (removal-share) or of a finding (no-protected).
    Without CODE: the list of all.
    """
    if code is None:
        _list_all()
        return Exit.DONE
    wanted = code.strip("[]")
    explanation = CODES.get(wanted.upper())
    page = GUARD_PAGES.get(wanted.lower()) or FINDING_PAGES.get(wanted.lower())
    if explanation is not None:
        click.echo(f"{explanation.code.value}: {explanation.title}\n\n{explanation.text}")
        click.echo(f"\nWrong:\n{_indented(explanation.example_bad)}\n\nRight:\n{_indented(explanation.example_good)}")
    elif page is not None:
        what = "guard" if wanted.lower() in GUARD_PAGES else "finding"
        click.echo(f"{wanted.lower()} ({what})\n\nWhen   {page.meaning}\nWhy    {page.why}\nDo     {page.remedy}")
    else:
        close = nearest(wanted, [*CODES, *GUARD_PAGES, *FINDING_PAGES])
        raise UsageError(
            f"nothing is known about {wanted}",
            hint=f"did you mean {close}?" if close else "`reconciler explain` lists everything that can be explained",
        )
    return Exit.DONE


def _list_all() -> None:
    click.echo("Guards, which refuse a plan:")
    for name, page in GUARD_PAGES.items():
        click.echo(f"  {name:22} {shorten(page.meaning.split('. ')[0].rstrip('.'), 90, placeholder=' ...')}")
    click.echo("\nFindings, which a plan reports:")
    for name, page in FINDING_PAGES.items():
        click.echo(f"  {name:22} {shorten(page.meaning.split('. ')[0].rstrip('.'), 90, placeholder=' ...')}")
    click.echo("\nDiagnostics, which make desired state invalid or warn:")
    for name, explanation in CODES.items():
        click.echo(f"  {name:22} {explanation.title}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
