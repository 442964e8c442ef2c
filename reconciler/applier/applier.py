"""Carry out the changes of a plan: send steps, turn learned ids into references, one result per change (SPEC 7.4).

A batch is built, sent, and what did not simply succeed is read again and judged; what is left is sent again, at most
three rounds. A batch is finished before the next begins, because later ones rely on its ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, zip_longest
from typing import Protocol

from reconciler.applier.configuration import ConfigurationService, Writing, apply_configuration
from reconciler.applier.conflict import WHOLE_RESOURCE, Conflict, Done, Rebase, judge
from reconciler.applier.jobs import Jobs, named
from reconciler.applier.reading import Reader, Rereader
from reconciler.applier.sending import Answer, Fatal, Reply, Writer, send_all
from reconciler.errors import ReconcilerError, ScimError, ScimMalformed, ScimRejected
from reconciler.messages.codec import other_version
from reconciler.messages.operations import (
    Names,
    Operation,
    Phase,
    Sending,
    Step,
    as_written,
    cut_to,
    id_bytes,
    label_of,
    to_operation,
    to_steps,
)
from reconciler.model.change import Action, Change, MembershipChange, PreconditionKind
from reconciler.model.dialect import Update
from reconciler.model.outcome import ChangeResult, Disagreement, Outcome, VersionUse
from reconciler.model.resource import Kind, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.planner.binding import bind_labels
from reconciler.planner.matching import find_live, index_live
from reconciler.report.ways import WITHOUT_BULK, WITHOUT_PATCH
from reconciler.semantics.canonical import MANAGER_PATH, Equivalences, fold

MAX_ROUNDS = 3
"""How often a batch is sent at most before what still does not settle is reported (SPEC 7.6)."""


_NEVER_AGAIN = frozenset({Answer.ACCEPTED, Answer.ABORTED, Answer.REPEATED})
_IN_DOUBT = frozenset({Answer.UNKNOWN, *_NEVER_AGAIN})
_OTHER_WAY = frozenset({Answer.NO_BULK, Answer.NO_PATCH})


class Service(Reader, Writer, ConfigurationService, Protocol):
    """All that applying needs of a service; `ScimClient` is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What applying needs beside the plan.

    `told` hears of each finished change; `wait(n)` sleeps before what did not succeed is looked at and sent in round n.
    `check_time` is asked before anything is sent, and raises RunExpired once nothing may be sent any more.
    """

    service: Service
    rereader: Rereader
    sending: Sending
    jobs: Jobs
    equivalences: Equivalences
    told: Callable[[ChangeResult], None]
    wait: Callable[[int], None]
    check_time: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Applied:
    """One result per change, in plan order; the ids of what was written; whether the run was interrupted.

    `notes` say in plain words which other way was taken where the service does not have what it announces, and
    `versions` whether it heeds those that it shows.
    """

    results: tuple[ChangeResult, ...]
    ids: Mapping[ResourceKey, str]
    interrupted: bool
    notes: tuple[str, ...] = ()
    versions: VersionUse = VersionUse.NOT_TRIED


@dataclass(slots=True)
class _Track:
    """What is known about one change while it is carried out. `live` None means: read it before the next write."""

    change: Change
    live: LiveUser | LiveGroup | None
    id: str | None
    steps_left: int
    version: str | None = None
    result: ChangeResult | None = None
    lost: str | None = None
    rebased: bool = False
    wrote: bool = False
    in_flight: bool = False
    joins: tuple[Change, ...] = ()
    may_be_ours: bool = False
    tag_is_useless: bool = False
    last: Reply | None = None


@dataclass(slots=True)
class _Run:
    """The running state of one apply.

    `unreadable` are groups of which the plan did not see the members. `created` are the labels of what was created.
    `sending` is the way that works, as found out so far, and `notes` tell what was found out.
    """

    tools: Tools
    sending: Sending
    live: LiveState
    tracks: dict[ResourceKey, _Track]
    ids: dict[str, str]
    unreadable: frozenset[str]
    id_bytes: int
    versions: VersionUse = VersionUse.NOT_TRIED
    created: set[str] = field(default_factory=set)
    created_groups: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def names(self) -> Names:
        """What labels mean by now."""
        return Names(
            self.ids,
            lambda member: member in self.live.groups or member in self.created_groups,
            learned=self.created,
            id_bytes=self.id_bytes,
        )

    def finish(self, track: _Track, outcome: Outcome, cause: str | None, *disagreements: Disagreement) -> None:
        """Give a change its one outcome."""
        if track.result is not None:
            return
        if track.wrote and outcome is not Outcome.APPLIED:
            cause = f"{cause or 'it did not end'}; a part of it was applied before"
        track.result = ChangeResult(
            change=track.change,
            outcome=outcome,
            id=track.id,
            version=track.version,
            cause=cause,
            disagreements=disagreements,
            rebased=track.rebased,
        )
        self.tools.told(track.result)

    def go_another_way(self, reply: Reply) -> None:
        """Remember that the service has no bulk, or no PATCH for one kind of resource."""
        kind = reply.operation.step.change.key.kind
        if reply.answer is Answer.NO_BULK and self.sending.bulk:
            self.sending = replace(self.sending, bulk=False)
            self.notes.append(
                f"bulk requests are announced and not done: {WITHOUT_BULK} ({reply.cause}); "
                "`dialect: {bulk: off}` in tenant.yaml spares the attempt"
            )
        elif reply.answer is Answer.NO_PATCH and self.sending.update(kind) is Update.PATCH:
            self.sending = self.sending.by_put(kind)
            self.notes.append(
                f"PATCH is announced and not done on a {kind.value}: {WITHOUT_PATCH} ({reply.cause}); "
                f"`dialect: {{{kind.value.lower()}Update: put}}` in tenant.yaml spares the attempt"
            )


def apply_changes(changes: Sequence[Change], live: LiveState, tools: Tools) -> Applied:
    """Send everything and settle every outcome. What the service does never raises here: it is in the results."""
    steps = to_steps(changes, tools.sending)
    run = _begin(changes, steps, live, tools)
    interrupted = False
    try:
        for _, batch in groupby(steps, key=lambda step: step.batch):
            _apply_batch(run, list(batch))
    except Fatal as fatal:
        _settle_fatal(run, fatal)
        _abandon(run, f"the run stopped: {fatal.error.message}")
    except ReconcilerError as error:
        _abandon(run, f"the run stopped: {error.message}")
    except KeyboardInterrupt:
        interrupted = True
        _abandon(run, "".join(("the run was interrupted", *_while_waiting(run))))
    results = [run.tracks[change.key].result for change in changes]
    ids = {key: track.id for key, track in run.tracks.items() if track.id is not None}
    ended = tuple(result for result in results if result is not None)
    return Applied(ended, ids, interrupted, tuple(run.notes), run.versions)


def _while_waiting(run: _Run) -> Iterator[str]:
    for noted in run.tools.jobs.left_open():
        yield f"; {named(noted.job)} may still be running, and the next apply asks after it first"


def _begin(changes: Sequence[Change], steps: Sequence[Step], live: LiveState, tools: Tools) -> _Run:
    counts: dict[ResourceKey, int] = {}
    for step in steps:
        counts[step.change.key] = counts.get(step.change.key, 0) + 1
    tracks = {
        change.key: _Track(
            change=change,
            live=live.users.get(change.id or "") or live.groups.get(change.id or ""),
            id=change.id,
            steps_left=counts[change.key],
            version=change.precondition.value,
        )
        for change in changes
    }
    unreadable = frozenset(group.id for group in live.groups.values() if group.members is None)
    return _Run(tools, tools.sending, live, tracks, bind_labels(changes, live).ids, unreadable, id_bytes(live))


def _apply_batch(run: _Run, steps: Sequence[Step]) -> None:
    """Send the steps of one batch; what the service does not do the way it was sent is sent another way."""
    if steps[0].phase is Phase.CONFIGURE:
        _configure(run, run.tracks[steps[0].change.key])
        return
    for part in _parts(run, steps):
        undone = _apply_part(run, part)
        if undone:
            _apply_batch(run, undone)


def _parts(run: _Run, steps: Sequence[Step]) -> Iterator[list[Step]]:
    """The steps as they fit into requests by now; two of one resource are never under way at once."""
    cut = [cut_to(step, run.sending) for step in steps]
    for parts in cut:
        run.tracks[parts[0].change.key].steps_left += len(parts) - 1
    for row in zip_longest(*cut):
        yield [step for step in row if step is not None]


def _apply_part(run: _Run, steps: Sequence[Step]) -> list[Step]:
    """Send steps that do not rely on each other, at most three times; returns what is to be sent another way."""
    todo, unseen, undone = list(steps), list[Reply](), list[Step]()
    for number in range(1, MAX_ROUNDS + 1):
        operations = [operation for step in todo if (operation := _prepare(run, step)) is not None]
        operations, tried = _find_out(run, operations)
        replies = [*unseen, *tried, *_send(run, operations)]
        unsettled = [reply for reply in replies if reply.answer not in _OTHER_WAY]
        undone += [reply.operation.step for reply in replies if reply.answer in _OTHER_WAY]
        if not unsettled:
            return undone
        run.tools.wait(number + 1)  # what is still under way on the service is not looked for too early
        todo, unseen = _settle_all(run, unsettled)
    for step in (*todo, *(reply.operation.step for reply in unseen)):
        _give_up(run, run.tracks[step.change.key])
    return undone


def _configure(run: _Run, track: _Track) -> None:
    tools = run.tools

    def before() -> None:
        tools.check_time()
        track.in_flight = True

    shape = tools.sending.dialect.config_shape
    writing = Writing(shape=shape, rounds=MAX_ROUNDS, before_put=before, wait=tools.wait)
    try:
        track.result = apply_configuration(track.change, tools.service, writing)
    except ScimRejected as error:
        run.finish(track, Outcome.FAILED, error.message)
        raise
    tools.told(track.result)


def _prepare(run: _Run, step: Step) -> Operation | None:
    """The operation for a step, or None where there is nothing (left) to send for it."""
    track = run.tracks[step.change.key]
    if track.result is not None:
        return None
    reachable = _reachable(run, step, track)
    if reachable is None:
        _advance(run, track)
        return None
    sending = run.sending
    if reachable.is_creation:
        open_groups = tuple(group for group in reachable.joins if run.tracks[group.key].result is None)
        return to_operation(replace(reachable, joins=open_groups), None, run.names(), sending, version=None)
    if _would_drop_members(run, reachable):
        cause = "who is in it cannot be read, and a PUT would remove them; `dialect: {groupUpdate: patch}` does not"
        run.finish(track, Outcome.FAILED, cause)
        return None
    compares = _compares(run, track)
    if track.live is None or track.version is None or compares:
        settled = _reread(run, reachable, track)
        if settled is None:
            return None
        reachable = settled
    reachable = reachable.without(_already_in(run, reachable, track))
    if reachable.is_empty:
        _advance(run, track)
        return None
    version = track.version if sending.versions and not track.tag_is_useless else None
    return to_operation(reachable, track.live, run.names(), sending, version=version)


def _compares(run: _Run, track: _Track) -> bool:
    """Whether a write is guarded by a comparison just before it: there is no version, or none that is heeded."""
    guards = {PreconditionKind.VERSION, PreconditionKind.ABSENT}  # ABSENT: a create of this run, which has a version
    return track.change.precondition.kind not in guards or not run.sending.versions or track.tag_is_useless


def _find_out(run: _Run, operations: list[Operation]) -> tuple[list[Operation], list[Reply]]:
    """Try, once a run, whether the service heeds versions (SPEC P3, Q14): what is to be sent, and what is unsettled.

    The first guarded write is compared as if there were no version, and sent with one that cannot match. If that is
    refused, versions are heeded, and it is sent as it should be. If it happens, they are not: it was compared, and so
    is everything after it.
    """
    if not run.sending.versions_in_doubt or run.versions is not VersionUse.NOT_TRIED:
        return operations, []
    before: list[Operation] = []
    for position, operation in enumerate(operations):
        track = run.tracks[operation.step.change.key]
        step = _reread(run, operation.step, track) if operation.version is not None else None
        if step is not None:
            return _tried(run, replace(operation, step=step), before, operations[position + 1 :])
        before += [operation] if operation.version is None else []
    return before, []


def _tried(
    run: _Run, operation: Operation, before: list[Operation], after: list[Operation]
) -> tuple[list[Operation], list[Reply]]:
    """Try with one operation, just compared, of those that are to be sent."""
    track = run.tracks[operation.step.change.key]
    wrong = other_version(track.version or "")
    unsettled: list[Reply] = []
    run.versions = VersionUse.UNCLEAR
    if wrong is None:
        after = [operation, *after]
    else:
        trial = to_operation(operation.step, track.live, run.names(), run.sending, version=wrong)
        [reply] = _exchange(run, [trial])
        if reply.answer in _OTHER_WAY:
            run.versions = VersionUse.NOT_TRIED
            run.go_another_way(reply)
            return [], [reply, *(replace(reply, operation=each) for each in (*before, *after))]
        if reply.answer is Answer.STALE:
            run.versions = VersionUse.HEEDED
            return [*before, replace(trial, version=track.version), *after], []
        if reply.answer is Answer.DONE:
            run.versions = VersionUse.IGNORED
            _note_written(run, track, reply)
        elif reply.answer is Answer.REFUSED:  # maybe for the form of the tag
            after = [operation, *after]
        else:
            unsettled = [reply]
    run.notes.append(_VERSION_NOTES[run.versions])
    run.sending = replace(run.sending, versions=False)
    compared = [each if each.version is None else _prepare(run, each.step) for each in after]
    return [*before, *(each for each in compared if each is not None)], unsettled


_VERSION_NOTES = {
    VersionUse.IGNORED: "the service shows versions and does not heed them: a write with a wrong one went through. It "
    "was read and compared right before, and so was everything else",
    VersionUse.UNCLEAR: "it could not be found out whether the service heeds the versions that it shows: everything "
    "was read and compared right before it was written",
}


def _would_drop_members(run: _Run, step: Step) -> bool:
    """A group PUT needs its members read completely (SPEC 7.5)."""
    return step.change.id in run.unreadable and run.sending.group_update is Update.PUT


def _read_now(run: _Run, track: _Track) -> LiveUser | LiveGroup | None:
    """The resource as it is; one that this run created may show late (scim-rfc.md Q24)."""
    now = run.tools.rereader.now(track.change, track.id, track.live)
    attempt = 1
    while now is None and track.change.action is Action.CREATE and attempt < MAX_ROUNDS:
        attempt += 1
        run.tools.wait(attempt)
        now = run.tools.rereader.now(track.change, track.id, track.live)
    return now


def _reread(run: _Run, step: Step, track: _Track) -> Step | None:
    """What is left of a step on a fresh read; a resource that cannot be read fails alone."""
    try:
        now = _read_now(run, track)
    except (ScimRejected, ScimMalformed) as error:
        if isinstance(error, ScimRejected) and error.status == 401:
            raise
        run.finish(track, Outcome.FAILED, f"it cannot be read before the write: {error.message}")
        return None
    return _settle(run, step, now)


def _already_in(run: _Run, step: Step, track: _Track) -> frozenset[str]:
    """The members that came in with the creates of users (cxone.md D17), as the group was last read."""
    if not step.inlined or not isinstance(track.live, LiveGroup):
        return frozenset()
    members = frozenset(track.live.members or ())
    return frozenset(label for label in step.inlined if run.ids.get(label) in members)


def _reachable(run: _Run, step: Step, track: _Track) -> Step | None:
    """The step without what names a resource whose create failed; None if nothing is left of it."""
    lost = [label for label in step.labels if label not in run.ids]
    if not lost:
        return step
    track.lost = lost[0]
    attributes = tuple(a for a in step.attributes if not (a.path == MANAGER_PATH and a.after in lost))
    rest = replace(step.without(lost), attributes=attributes)
    return None if rest.is_empty else rest


def _send(run: _Run, operations: Sequence[Operation]) -> list[Reply]:
    """Send, and return the replies that leave something to find out."""
    unsettled: list[Reply] = []
    for reply in _exchange(run, operations):
        track = run.tracks[reply.operation.step.change.key]
        if reply.answer is Answer.DONE:
            _note_written(run, track, reply)
        elif reply.answer is Answer.REFUSED:
            run.finish(track, Outcome.FAILED, reply.cause)
        else:
            run.go_another_way(reply)
            unsettled.append(reply)
    return unsettled


def _exchange(run: _Run, operations: Sequence[Operation]) -> Iterator[Reply]:
    """Send, and note what is under way."""

    def before(sent: Sequence[Operation]) -> None:
        run.tools.check_time()
        for operation in sent:
            track = run.tracks[operation.step.change.key]
            track.in_flight, track.joins = True, operation.step.joins

    for replies in send_all(operations, run.tools.service, run.sending, run.tools.jobs, before):
        for reply in replies:
            track = run.tracks[reply.operation.step.change.key]
            track.in_flight = False
            track.last = reply
            yield reply


def _note_written(run: _Run, track: _Track, reply: Reply) -> None:
    operation = reply.operation
    track.wrote = True
    track.version = reply.version
    if operation.method == "POST":
        identifier = reply.id
        if identifier is None or _is_name(run, track, identifier):
            # Created, but the service does not say as what: only reading tells.
            now = run.tools.rereader.created(track.change, run.live)
            identifier = now.id if now is not None else None
        if identifier is None:
            run.finish(track, Outcome.UNKNOWN, "the service did not say its id, and it cannot be found")
            return
        _note_created(run, track, operation.step, identifier)
        track.live = None  # the service may have added to it; what comes after reads it first
    elif track.live is not None:
        track.live = as_written(track.live, operation.step, run.ids)
    _advance(run, track)


def _is_name(run: _Run, track: _Track, told: str) -> bool:
    """Whether what a service told of a new user is its address and not its id (cxone.md D16)."""
    by_name = run.tools.sending.dialect.user_key == "userName" and track.change.key.kind is Kind.USER
    return by_name and fold(told) == fold(track.change.key.name)


def _note_created(run: _Run, track: _Track, step: Step, identifier: str) -> None:
    for group in step.joins:  # they may have changed with the create: what comes after reads them first
        run.tracks[group.key].live = None
        run.tracks[group.key].wrote = True
    track.id = identifier
    label = label_of(track.change.key)
    run.ids[label] = identifier
    run.created.add(label)
    if track.change.key.kind is Kind.GROUP:
        run.created_groups.add(identifier)


def _advance(run: _Run, track: _Track) -> None:
    """One step less; after the last one the change has its outcome."""
    track.steps_left -= 1
    if track.steps_left > 0:
        return
    if track.lost is not None:
        run.finish(track, Outcome.FAILED, f"without {track.lost}, which could not be created")
    else:
        run.finish(track, Outcome.APPLIED, "rebased on a foreign change" if track.rebased else None)


def _settle_all(run: _Run, replies: Sequence[Reply]) -> tuple[list[Step], list[Reply]]:
    """Find out by reading what became of each operation: what is left to send, and what to look for once more."""
    again = [reply.operation.step for reply in replies if reply.answer is Answer.BUSY]
    doubtful = [reply for reply in replies if reply.answer is not Answer.BUSY]
    if not doubtful:
        return again, []
    ids = {key: track.id for key, track in run.tracks.items() if track.id is not None}
    changes = [reply.operation.step.change for reply in doubtful]
    try:
        run.live = run.tools.rereader.refreshed(changes, ids, run.live)
    except (ScimRejected, ScimMalformed) as error:
        if isinstance(error, ScimRejected) and error.status == 401:
            raise
        for reply in doubtful:
            _leave(run, reply, error)
        return again, []
    unseen: list[Reply] = []
    pairs = run.tools.equivalences
    users, groups = index_live(run.live.users.values(), pairs), index_live(run.live.groups.values(), pairs)
    for reply in doubtful:
        change = reply.operation.step.change
        track = run.tracks[change.key]
        known = change if track.id is None else replace(change, id=track.id, action=Action.UPDATE)
        now = find_live(known, users) if change.key.kind is Kind.USER else find_live(known, groups)
        step = _settle_reply(run, track, reply, now)
        if step is None:
            continue
        if reply.answer in _NEVER_AGAIN and not _is_harmless(reply, now):
            unseen.append(reply)
        else:
            again.append(step)
    return again, unseen


def _is_harmless(reply: Reply, now: LiveUser | LiveGroup | None) -> bool:
    """Whether a write can be sent again although it may still be done: its version was stale, and the new one guards.

    Of two writes that want different versions the service does at most one.
    """
    sent, seen = reply.operation.version, now.version if now is not None else None
    return sent is not None and seen is not None and sent != seen


def _leave(run: _Run, reply: Reply, error: ScimError) -> None:
    """What became of an operation cannot be found out, because reading fails."""
    outcome = Outcome.UNKNOWN if reply.answer in _IN_DOUBT else Outcome.FAILED
    cause = f"{reply.cause}; reading it again failed: {error.message}"
    run.finish(run.tracks[reply.operation.step.change.key], outcome, cause)


def _settle_reply(run: _Run, track: _Track, reply: Reply, now: LiveUser | LiveGroup | None) -> Step | None:
    step = reply.operation.step
    if step.is_creation:
        return _settle_creation(run, track, reply, now)
    if reply.answer is Answer.STALE:
        track.rebased = True
        track.tag_is_useless = now is not None and now.version == reply.operation.version
    left = _settle(run, step, now)
    if left is not None and reply.answer in _NEVER_AGAIN and _is_harmless(reply, now):
        track.rebased = True
    return left


def _settle_creation(run: _Run, track: _Track, reply: Reply, now: LiveUser | LiveGroup | None) -> Step | None:
    """This run's own lost create is applied; anybody else's is a conflict and never adopted (cxone.md section 10)."""
    track.may_be_ours = track.may_be_ours or reply.answer in _IN_DOUBT
    if now is None:
        if reply.answer is Answer.EXISTS and not track.may_be_ours:
            run.finish(track, Outcome.CONFLICT, f"{reply.cause}; it cannot be seen which resource stands in the way")
            return None
        return reply.operation.step
    judgement = judge(_part(reply.operation.step), now, run.ids, run.tools.equivalences)
    if isinstance(judgement, Done) and track.may_be_ours:
        track.version = now.version
        track.wrote = True
        _note_created(run, track, reply.operation.step, now.id)
        _advance(run, track)
        return None
    there = Disagreement(WHOLE_RESOURCE, None, str(now.key), "created")
    found = judgement.disagreements if isinstance(judgement, Conflict) else ()
    run.finish(track, Outcome.CONFLICT, "somebody else created it; it is not adopted", there, *found)
    return None


def _settle(run: _Run, step: Step, now: LiveUser | LiveGroup | None) -> Step | None:
    """Judge one step on a fresh read: None where it is done or in conflict, else what is left of it."""
    track = run.tracks[step.change.key]
    track.live = now
    track.version = now.version if now is not None else None
    judgement = judge(_part(step), now, run.ids, run.tools.equivalences)
    if isinstance(judgement, Rebase):
        members = judgement.change.members
        return replace(step, attributes=judgement.change.attributes, added=members.added, removed=members.removed)
    if isinstance(judgement, Conflict):
        cause = "somebody changed it since the plan was made"
        run.finish(track, Outcome.CONFLICT, cause, *judgement.disagreements)
    else:
        _advance(run, track)
    return None


def _part(step: Step) -> Change:
    """The step as a change of its own; what completes a create is an update of what the create made."""
    action = Action.UPDATE if step.change.action is Action.CREATE and not step.is_creation else step.change.action
    members = MembershipChange(step.added, step.removed)
    return replace(step.change, action=action, attributes=step.attributes, members=members)


def _give_up(run: _Run, track: _Track) -> None:
    """After the last round: what the last answer was decides."""
    reply = track.last
    answer = reply.answer if reply is not None else Answer.UNKNOWN
    cause = reply.cause if reply is not None else None
    if answer in {Answer.STALE, Answer.GONE, Answer.EXISTS}:
        run.finish(track, Outcome.CONFLICT, f"it kept changing for {MAX_ROUNDS} rounds; the last answer: {cause}")
    elif answer in {Answer.BUSY, Answer.ABORTED}:
        run.finish(track, Outcome.FAILED, cause)
    elif answer is Answer.ACCEPTED:
        run.finish(track, Outcome.UNKNOWN, f"{cause}; it was looked for, and is not to be seen")
    else:
        run.finish(track, Outcome.UNKNOWN, cause)


def _settle_fatal(run: _Run, fatal: Fatal) -> None:
    for reply in fatal.replies:
        track = run.tracks[reply.operation.step.change.key]
        track.in_flight = False
        touched = reply.answer is Answer.REFUSED or track.wrote
        outcome = Outcome.FAILED if touched else Outcome.NOT_ATTEMPTED
        run.finish(track, outcome, reply.cause)


def _abandon(run: _Run, cause: str) -> None:
    """Every change without an outcome gets one: in flight is unknown, the rest was not attempted.

    Unknown is also what became of a group that a create in doubt names.
    """
    in_doubt = [t for t in run.tracks.values() if t.in_flight or (t.last is not None and t.last.answer in _IN_DOUBT)]
    for track in in_doubt:
        run.finish(track, Outcome.UNKNOWN, cause)
        for group in track.joins:
            run.finish(run.tracks[group.key], Outcome.UNKNOWN, cause)
    for track in run.tracks.values():
        if track.wrote:
            run.finish(track, Outcome.FAILED, cause)
        else:
            run.finish(track, Outcome.NOT_ATTEMPTED, cause)
