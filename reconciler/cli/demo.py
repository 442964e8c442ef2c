"""`reconciler demo`: the whole story, played with the real commands against a real, if small, SCIM service."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.cli.composition import use_color
from reconciler.cli.demo_stage import DATA, ROOT, TENANT, TOKEN_VARIABLE, DemoFailed, Ran, Stage, staged
from reconciler.cli.exits import Exit
from reconciler.model.resource import Kind

_WIDTH = 96
_QUALITY, _PLANNING = "acme-prod/people/quality.yaml", "acme-prod/people/workforce-management.yaml"
_TIER_1 = "acme-prod/people/support-tier-1.yaml"
_AMARA, _JOMO, _BENCE = "amara.nwosu@example.com", "jomo.kariuki@example.com", "bence.kovacs@example.com"
_HELENA, _LINNEA = "helena.vasquez@example.com", "linnea.sandstrom@example.com"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@click.command(short_help="The whole story in a minute, against the embedded tenant.")
@click.option("--keep", is_flag=True, help="Keep the folder and the tenant's data, and say where they are.")
def demo(keep: bool) -> int:
    """The whole story in a minute, against the embedded tenant.

    Starts a SCIM service on a free port of this machine, takes a contact center of 60 people, and runs the real
    commands on it: validate, plan, apply, drift, a conflict, a refusal. Needs no network, asks nothing, leaves nothing
    behind. Exit code 1 means that something was not as told, which is a defect.
    """
    from reconciler.cli.main import run

    name = _own_name(keep=keep)
    with staged(run, keep=keep) as stage:
        teller = Teller(stage)
        teller.say(
            f"""A SCIM service has started on this machine: an empty tenant, at {stage.base_url}. Beside it lies a
            folder with the desired state of a contact center, ACME: who works there, in which groups, with which roles.
            Every command below is the real one, and so is what it prints; of long outputs the middle is left out."""
        )
        for act in ACTS:
            act(stage, teller)
        teller.title("What you have just seen")
        teller.items(SEEN)
        _tell_next(stage, teller, name, keep=keep)
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a long output: from the first line that starts with `starts` on, `lines` lines, or all the rest."""

    starts: str
    lines: int | None = None


class Teller:
    """Tells the story: sentences, command lines, and what the commands print. Checks that it goes as told."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._acts = 0

    def act(self, title: str, text: str) -> None:
        """Begin the next act."""
        self._acts += 1
        self.title(f"{self._acts}. {title}")
        self.say(text)

    def title(self, text: str) -> None:
        """A heading."""
        click.echo(f"\n{_styled(text, bold=True)}\n{'-' * len(text)}")

    def say(self, text: str) -> None:
        """A paragraph."""
        click.echo(f"\n{_filled(text)}")

    def items(self, texts: Sequence[str]) -> None:
        """A list."""
        click.echo()
        for text in texts:
            click.echo(_filled(text, first="  * ", rest="    "))

    def run(self, line: str, *, exit_: Exit, says: str, shown: tuple[Part, ...] = ()) -> Ran:
        """Show a command line and what it prints; all of it, or the parts that are to be `shown`.

        Raises:
            DemoFailed: it did not exit with `exit_`, or did not say `says`.

        """
        self.command(line)
        ran = self._stage.run(line)
        lines = ran.output.splitlines()
        for each in excerpt(lines, shown) if shown else lines:
            click.echo(f"    {each}" if each else "")
        if ran.exit != exit_:
            raise _failure(f"exit code {int(ran.exit)}, not {int(exit_)}", ran)
        if says not in click.unstyle(ran.output):
            raise _failure(f"it does not say {says!r}", ran)
        if ran.exit:
            click.echo(f"    {_styled(f'(exit code {int(ran.exit)})', dim=True)}")
        return ran

    def command(self, line: str) -> None:
        """Show what a user would type."""
        click.echo(f"\n  {_styled(f'$ {line}', bold=True)}")

    def expect(self, holds: bool, otherwise: str) -> None:
        """Raise DemoFailed unless what was just told is so."""
        if not holds:
            raise DemoFailed(f"the demo did not go as told: {otherwise}", hint=_REPORT)


def _styled(text: str, *, bold: bool = False, dim: bool = False) -> str:
    return click.style(text, bold=bold or None, dim=dim or None) if use_color() else text


def _filled(text: str, *, first: str = "", rest: str = "") -> str:
    words = " ".join(text.split())
    return textwrap.fill(
        words, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


_REPORT = "this is a bug of reconciler; please report it with what is shown above"


def _failure(what: str, ran: Ran) -> DemoFailed:
    end = "\n".join(click.unstyle(ran.output).splitlines()[-20:])
    return DemoFailed(f"the demo did not go as told: {ran.line}: {what}", context=end or None, hint=_REPORT)


def excerpt(lines: Sequence[str], parts: Sequence[Part]) -> list[str]:
    """The parts of an output, in its order, with a note of how many lines were left out between them.

    A part that is not there is skipped; no gap of fewer than three lines is worth a note.
    """
    plain = [click.unstyle(line) for line in lines]
    wanted = [False] * len(lines)
    for part in parts:
        start = next((n for n, line in enumerate(plain) if line.startswith(part.starts)), len(lines))
        end = len(lines) if part.lines is None else min(start + part.lines, len(lines))
        wanted[start:end] = [True] * (end - start)
    told: list[str] = []
    gap: list[str] = []
    for line, is_wanted in zip(lines, wanted, strict=True):
        if not is_wanted:
            gap.append(line)
            continue
        told += [*_gap(gap, is_first=not told), line]
        gap = []
    return [*told, *_gap(gap, is_first=not told)]


def _gap(left_out: Sequence[str], *, is_first: bool) -> list[str]:
    if len(left_out) < 3:
        return list(left_out)
    note = f"[{len(left_out):,} lines left out]"
    return [note, ""] if is_first else ["", note, ""]


def _command_in(ran: Ran) -> str:
    """The command line that a plan ends with."""
    lines = [line.strip() for line in click.unstyle(ran.output).splitlines() if line.startswith("  reconciler apply ")]
    if len(lines) != 1:
        raise _failure("it does not say what to type next", ran)
    return lines[0]


def _validated(_: Stage, teller: Teller) -> None:
    teller.act(
        "Is the desired state valid?",
        """Everything is YAML in git. `validate` reads all of it, needs no network and no secret, and reports every
        problem in one run, each with file, line and column.""",
    )
    teller.run("reconciler validate", exit_=Exit.DONE, says="60 users and 12 groups")


def _planned_and_applied(_: Stage, teller: Teller) -> None:
    teller.act(
        "What would happen?",
        """`plan` compares git with the tenant and shows what apply would do. It cannot write: its connection lets only
        reads through. This first plan creates everybody, and some of them become administrators.""",
    )
    plan = teller.run(
        f"reconciler plan {TENANT}",
        exit_=Exit.REFUSED,
        says="REFUSED privileged-gain",
        shown=(Part("Two-way plan", 6), Part("Creates", 14), Part("  + 7 users", 6), Part("Guards")),
    )
    teller.say(
        """Refused! tenant.yaml lists the group Administrators and the role Administrator under `protected`, and nobody
        is given those without somebody saying so. That is what guards are for: they are on by default, each has a name,
        and they are let through one at a time, up to a number. Is it meant, here? Yes: these three run the tenant."""
    )
    teller.act(
        "Apply exactly that",
        """The last line of the plan is the command to type. Its digest stands for exactly these changes: had git or the
        tenant changed meanwhile, apply would refuse.""",
    )
    teller.run(_command_in(plan), exit_=Exit.DONE, says="Applied: 60 users and 12 groups created")


def _proven(_: Stage, teller: Teller) -> None:
    teller.act(
        "Is it so?",
        """Apply has read back what it wrote; that was the proof above. A new plan says the same: nothing is left to do.
        (With --detailed-exitcode, changes that are pending would give exit code 2.)""",
    )
    teller.run(f"reconciler plan {TENANT} --detailed-exitcode", exit_=Exit.DONE, says="No changes.")


def _drift_mended(stage: Stage, teller: Teller) -> None:
    teller.act(
        "Somebody changes the tenant behind git's back",
        f"""An administrator is in a hurry and uses the web console: {_AMARA} gets another department, {_JOMO} is put
        into Sales-Inbound as well, and {_BENCE} is taken out of Support-Tier-1. (The demo has just sent these three
        changes to the service, past git.)""",
    )
    jomo, bence = stage.user(_JOMO).id, stage.user(_BENCE).id
    stage.foreign_write(Kind.USER, _AMARA, _operation("replace", f"{_ENTERPRISE}:department", "Sales"))
    stage.foreign_write(Kind.GROUP, "Sales-Inbound", _operation("add", "members", [{"value": jomo, "type": "User"}]))
    stage.foreign_write(Kind.GROUP, "Support-Tier-1", _operation("remove", f'members[value eq "{bence}"]'))
    teller.say(
        """The next plan shows the drift. What takes something away from somebody always comes first, and is never
        shortened. Access is counted through nested groups, too: to be back in Support-Tier-1 is to be back in Support
        and in Contact-Center."""
    )
    plan = teller.run(
        f"reconciler plan {TENANT}",
        exit_=Exit.DONE,
        says='"Sales" -> "Customer Care"',
        shown=(Part("Loses access"),),
    )
    teller.say("Git is right, this time. Apply mends it:")
    teller.run(_command_in(plan), exit_=Exit.DONE, says="0 differences", shown=(Part("Applied:"),))
    teller.expect(jomo not in stage.members("Sales-Inbound"), f"{_JOMO} is still in Sales-Inbound")
    teller.expect(bence in stage.members("Support-Tier-1"), f"{_BENCE} is not back in Support-Tier-1")


def _conflict_met(stage: Stage, teller: Teller) -> None:
    teller.act(
        "Two people change the same thing",
        f"""In git two titles change: that of {_HELENA} and that of {_LINNEA}. The plan is saved to a file, to be
        approved by somebody else. Its seal makes sure that the file is the one that was approved.""",
    )
    stage.edit(_QUALITY, "title: Quality Lead", "title: Head of Quality")
    stage.edit(_PLANNING, "title: WFM Lead", "title: Head of Planning")
    plan = teller.run(
        f"reconciler plan {TENANT} --out plan.json",
        exit_=Exit.DONE,
        says="2 users to update",
        shown=(Part("Updates"),),
    )
    teller.say(
        f"""While the plan waits for its approval, somebody changes two things in the tenant: the title of {_HELENA},
        which is also in the plan, and the nickname of {_LINNEA}, about which git says nothing."""
    )
    stage.foreign_write(Kind.USER, _HELENA, _operation("replace", "title", "Quality Manager"))
    stage.foreign_write(Kind.USER, _LINNEA, _operation("add", "nickName", "Linn"))
    theirs = stage.attributes(_HELENA)
    teller.run(_command_in(plan), exit_=Exit.STALE, says="1 in conflict", shown=(Part("1 in conflict"),))
    linnea = stage.attributes(_LINNEA)
    teller.expect(stage.attributes(_HELENA) == theirs, "what somebody else wrote was overwritten")
    teller.expect(linnea["title"] == "Head of Planning", "the change without a conflict was not applied")
    teller.expect(linnea["nickName"] == "Linn", "an attribute that git does not manage was lost")
    teller.say(
        """Nothing was overwritten: the title that somebody else set is still there, and the report says what was
        approved, what is there now, and what would have been written. The other change went through, and the nickname
        survived it. Now people decide. Here they keep the title of the tenant, and write it into git:"""
    )
    stage.edit(_QUALITY, "title: Head of Quality", "title: Quality Manager")
    teller.run(
        f"reconciler plan {TENANT} --detailed-exitcode",
        exit_=Exit.DONE,
        says="No changes.",
        shown=(Part("No changes."),),
    )


def _mass_deactivation_refused(stage: Stage, teller: Teller) -> None:
    teller.act(
        "A bad day",
        """A merge goes wrong: in people/support-tier-1.yaml `active: true` becomes `active: false`, for the whole team.
        Somebody runs apply, in a hurry, with --yes.""",
    )
    take_back = stage.edit(_TIER_1, "active: true", "active: false")
    before = stage.snapshot()
    teller.run(
        f"reconciler apply {TENANT} --yes",
        exit_=Exit.REFUSED,
        says="REFUSED removal-share",
        shown=(Part("Loses access", 6), Part("Guards")),
    )
    teller.expect(stage.snapshot() == before, "something was written although a guard refused")
    teller.say(
        """Refused, and nothing was sent: every version in the tenant is what it was. Guards judge the whole plan before
        the first write. There is no general force; each guard would have to be let through by its name. What a guard is
        about, it says itself:"""
    )
    teller.run("reconciler explain removal-share", exit_=Exit.DONE, says="removal-share (guard)")
    take_back()
    teller.say("The merge is taken back, and git and the tenant are equal again:")
    teller.run(
        f"reconciler plan {TENANT} --detailed-exitcode",
        exit_=Exit.DONE,
        says="No changes.",
        shown=(Part("No changes."),),
    )


def _operation(op: str, path: str, value: object = None) -> dict[str, object]:
    return {"op": op, "path": path} | ({} if value is None else {"value": value})


ACTS: tuple[Callable[[Stage, Teller], None], ...] = (
    _validated,
    _planned_and_applied,
    _proven,
    _drift_mended,
    _conflict_met,
    _mass_deactivation_refused,
)
"""The story, in order. Each act leaves the stage as the next one expects it."""

SEEN = (
    "60 people and 12 groups, three levels of nesting: validated, planned, applied, and proven by reading back.",
    "A preview that cannot write, and an approval that holds for exactly what was shown.",
    "Drift found and mended. A conflict met, reported, and not overwritten. What git does not state was left alone.",
    "Guards that refused two plans by name, before anything was sent.",
)
"""What the end of the demo sums up."""


def _tell_next(stage: Stage, teller: Teller, name: str, *, keep: bool) -> None:
    if keep:
        port = stage.base_url.removesuffix("/scim/v2").rpartition(":")[2]
        teller.say(f"The folder was kept: {stage.folder} ({ROOT}/, and the tenant's data). To go on with it:")
        teller.command(f"cd {shlex.quote(str(stage.folder))}; export {TOKEN_VARIABLE}={stage.token}")
        teller.command(f"{name} sandbox serve --port {port} --data {DATA} &")
        teller.command(f"{name} plan {TENANT}")
        return
    teller.say(
        """The tenant and the folder are gone again. Next, try it with people of your own: README.md, "Five minutes",
        takes you there, and begins with"""
    )
    teller.command(f"{name} sandbox serve")


def _own_name(*, keep: bool) -> str:
    """How this user starts the command: by its bare name where the shell finds it, else by a path, or with python."""
    if shutil.which("reconciler") is not None:
        return "reconciler"
    script = Path(sys.argv[0]).absolute()
    if script.name == "reconciler":
        return shlex.quote(str(script) if keep else os.path.relpath(script))
    return f"{shlex.quote(sys.executable)} -m reconciler"
