"""Asynchronous bulk (cxone.md section 5, E5 and E6): jobs that are worked off while the client polls them.

Nothing sleeps: a job goes on when somebody asks for it, so that the same requests always meet the same states. A job
is one value in the store, and so survives a restart on the same file.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from reconciler.sandbox.bulk import BreakOff, BulkRun, is_failure, read_bulk
from reconciler.sandbox.config import AsyncBulk, SandboxConfig
from reconciler.sandbox.directory import Directory
from reconciler.sandbox.errors import not_found
from reconciler.sandbox.store import Store
from reconciler.sandbox.wire import encode_json

_PREFIX = "bulk-job-"
_LATE = "late-jobs"


class Status(StrEnum):
    """How far a job is, in the words of CXone."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Jobs:
    """The jobs of one tenant; safe to use from several threads."""

    def __init__(self, store: Store, directory: Directory, config: SandboxConfig) -> None:
        self._store = store
        self._directory = directory
        self._config = config
        self._late = self._read_late()

    def reload(self) -> None:
        """Look again, after the store was cleared."""
        self._late = self._read_late()

    def submit(self, message: Mapping[str, Any], base_url: str, way: AsyncBulk, break_off: BreakOff | None) -> str:
        """Take on a bulk request that passed the checks on its envelope; the answer is the id of its job.

        One that is to break off ends as FAILED, with an error that says so.
        """
        identifier = f"{_PREFIX}{uuid.uuid4()}"
        job = {
            "message": message,
            "baseUrl": base_url,
            "polls": way.polls,
            "lateBy": way.late_by,
            "showsResults": way.shows_results,
            "breakOff": None if break_off is None else [break_off.after, break_off.status],
            "polled": 0,
            "results": {},
        }
        with self._store.transaction():
            self._store.write_state(identifier, encode_json(job))
        return identifier

    def poll(self, identifier: str) -> dict[str, Any]:
        """The job as a client sees it, after its next share of work is done. Raises 404 for an unknown one."""
        with self._store.transaction():
            job = self._read(identifier)
            job["polled"] += 1
            finished = job["polled"] >= job["polls"]
            if not job["lateBy"]:
                self._work(job)
            elif finished and identifier not in self._late and not job["results"]:
                self._write_late({**self._late, identifier: job["lateBy"]})
            self._store.write_state(identifier, encode_json(job))
        return _shown(identifier, job, finished=finished)

    def tick(self) -> None:
        """Count one request for the jobs that commit late, before it is answered; what is due is committed."""
        if not self._late:
            return
        with self._store.transaction():
            for identifier in [name for name, left in self._late.items() if not left]:
                job = self._read(identifier)
                self._work(job)
                self._store.write_state(identifier, encode_json(job))
            self._write_late({name: left - 1 for name, left in self._late.items() if left})

    def _work(self, job: dict[str, Any]) -> None:
        """Commit what is due at this poll: an equal share of the operations, everything at the last one."""
        count = len(job["message"]["Operations"])
        request = read_bulk(job["message"], count, lenient=self._config.is_cxone)
        results = {int(index): result for index, result in job["results"].items()}
        run = BulkRun(self._directory, self._config, request, job["baseUrl"], results, break_off=_break_off(job))
        run.execute(self._store, -(-count * min(job["polled"], job["polls"]) // job["polls"]) if job["polls"] else None)
        job["results"] = run.results

    def _read(self, identifier: str) -> dict[str, Any]:
        text = self._store.read_state(identifier) if identifier.startswith(_PREFIX) else None
        if text is None:
            raise not_found(f"There is no job {identifier[:100]!r}")
        job: dict[str, Any] = json.loads(text)
        return job

    def _read_late(self) -> dict[str, int]:
        late: dict[str, int] = json.loads(self._store.read_state(_LATE) or "{}")
        return late

    def _write_late(self, late: dict[str, int]) -> None:
        self._store.write_state(_LATE, encode_json(late))
        self._late = late


def _break_off(job: Mapping[str, Any]) -> BreakOff | None:
    return None if job["breakOff"] is None else BreakOff(*job["breakOff"])


def _shown(identifier: str, job: Mapping[str, Any], *, finished: bool) -> dict[str, Any]:
    """E6: `errors` has one entry for each operation that failed; a job that did nothing, or broke off, has failed."""
    results = list(job["results"].values())
    failures = [result["response"] for result in results if is_failure(result)]
    shown: dict[str, Any] = {"id": identifier, "status": Status.IN_PROGRESS, "errors": []}
    if finished:
        nothing_done = bool(results) and len(failures) == len(results)
        shown["status"] = Status.FAILED if nothing_done or job["breakOff"] else Status.COMPLETED
        shown["errors"] = [
            {"code": response.get("scimType", response["status"]), "message": response["detail"]}
            for response in failures
        ]
        if job["breakOff"]:
            shown["errors"].append({"code": "500", "message": "The job broke off"})
        if job["showsResults"] and results:
            shown["Operations"] = results
    return shown
