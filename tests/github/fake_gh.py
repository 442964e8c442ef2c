"""A `gh api` that knows one repository: its pull requests, comments, reviews, check runs, artifacts and issues.

A program of its own, for PATH. It keeps everything in the JSON file that FAKE_GH names, writes down each request, and
refuses what the permissions of the job, in FAKE_GH_PERMISSIONS, do not cover. Other requests than ours are an error.
"""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = {"id": 41898282, "login": "github-actions[bot]", "type": "Bot"}
REPOSITORY = "example/identity"
ROUTES = [
    ("GET", r"issues/(\d+)/comments", "pull-requests", "comments"),
    ("POST", r"issues/(\d+)/comments", "pull-requests", "add_comment"),
    ("PATCH", r"issues/comments/(\d+)", "pull-requests", "edit_comment"),
    ("GET", r"commits/(\w+)/pulls", "pull-requests", "pulls_of"),
    ("GET", r"pulls/(\d+)", "pull-requests", "pull"),
    ("GET", r"pulls/(\d+)/reviews", "pull-requests", "reviews"),
    ("POST", r"check-runs", "checks", "add_check"),
    ("GET", r"commits/(\w+)/check-runs", "checks", "checks_of"),
    ("GET", r"actions/artifacts", "actions", "artifacts"),
    ("GET", r"actions/artifacts/(\d+)/zip", "actions", "zip"),
    ("GET", r"issues", "issues", "issues"),
    ("POST", r"issues", "issues", "add_issue"),
    ("PATCH", r"issues/(\d+)", "issues", "edit_issue"),
]


class Hub:
    """What GitHub keeps of a repository, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.state: dict[str, Any] = {"now": 0, "requests": [], "pulls": {}}
        for name in ("comments", "reviews", "checks", "artifacts", "issues"):
            self.state[name] = []
        if file.exists():
            self.state = json.loads(file.read_text(encoding="utf-8"))

    def save(self) -> None:
        """Write everything down."""
        self._file.write_text(json.dumps(self.state), encoding="utf-8")

    def tick(self) -> str:
        """A time later than all before."""
        self.state["now"] += 1
        seconds = self.state["now"]
        return f"2026-01-01T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"

    def add(self, kind: str, **values: Any) -> dict[str, Any]:
        """A new row of a kind, with an id."""
        row = {"id": self.state["now"] * 100 + len(self.state[kind]), **values}
        self.state[kind].append(row)
        return row

    def comments(self, number: str) -> Any:
        """Comments of a pull request."""
        return [row for row in self.state["comments"] if row["number"] == int(number)]

    def add_comment(self, number: str, body: dict[str, Any]) -> Any:
        """A comment by the bot."""
        return self.add("comments", number=int(number), user=BOT, body=_short(body["body"]), created_at=self.tick())

    def edit_comment(self, identifier: str, body: dict[str, Any]) -> Any:
        """Other words for a comment."""
        row = self._row("comments", identifier)
        row["body"] = _short(body["body"])
        return row

    def pulls_of(self, commit: str) -> Any:
        """Pull requests that brought a commit to the branch."""
        return [pull for pull in self.state["pulls"].values() if commit in pull["commits"]]

    def pull(self, number: str) -> Any:
        """One pull request."""
        return self.state["pulls"][number]

    def reviews(self, number: str) -> Any:
        """Reviews of a pull request, the oldest first."""
        return [row for row in self.state["reviews"] if row["number"] == int(number)]

    def add_check(self, body: dict[str, Any]) -> Any:
        """A check run of GitHub Actions."""
        assert len(body["output"]["summary"]) <= 65_535
        return self.add("checks", **body, app={"slug": "github-actions"}, completed_at=self.tick())

    def checks_of(self, commit: str, *, check_name: str, filter: str) -> Any:  # noqa: A002 - GitHub's word
        """Check runs of a commit with a name."""
        assert filter == "all"
        rows = [row for row in self.state["checks"] if row["head_sha"] == commit and row["name"] == check_name]
        return {"total_count": len(rows), "check_runs": rows}

    def artifacts(self, *, name: str) -> Any:
        """Artifacts with a name, without their content."""
        rows = [{**row, "zip": None} for row in self.state["artifacts"] if row["name"] == name]
        return {"total_count": len(rows), "artifacts": rows}

    def zip(self, identifier: str) -> bytes:
        """The content of an artifact."""
        return b64decode(self._row("artifacts", identifier)["zip"])

    def issues(self, *, state: str) -> Any:
        """Issues in a state."""
        return [row for row in self.state["issues"] if row["state"] == state]

    def add_issue(self, body: dict[str, Any]) -> Any:
        """An issue by the bot."""
        number = 1000 + len(self.state["issues"])
        return self.add("issues", number=number, user=BOT, state="open", created_at=self.tick(), **body)

    def edit_issue(self, number: str, body: dict[str, Any]) -> Any:
        """Other words, or another state, for an issue."""
        row = next(row for row in self.state["issues"] if row["number"] == int(number))
        row.update(body)
        return row

    def _row(self, kind: str, identifier: str) -> dict[str, Any]:
        return next(row for row in self.state[kind] if row["id"] == int(identifier))


def _short(body: str) -> str:
    assert len(body) <= 65_536, "GitHub refuses a comment of more than 65,536 characters"
    return body


def main(arguments: list[str]) -> None:
    """Answer one `gh api` call on stdout."""
    command, *rest = arguments
    assert command == "api", arguments
    assert os.environ.get("GH_TOKEN"), "gh has no token"
    method, paged, path, body = "GET", False, "", None
    while rest:
        word = rest.pop(0)
        match word:
            case "--method":
                method = rest.pop(0)
            case "--paginate" | "--slurp":
                paged = True
            case "--input":
                assert rest.pop(0) == "-"
                body = json.loads(sys.stdin.read())
            case _:
                assert not word.startswith("-"), word
                path = word
    url = urlsplit(path)
    local = url.path.removeprefix(f"repos/{REPOSITORY}/")
    hub = Hub(Path(os.environ["FAKE_GH"]))
    hub.state["requests"].append({"method": method, "path": path})
    for wanted, pattern, permission, name in ROUTES:  # noqa: B007 - they are used below
        found = re.fullmatch(pattern, local)
        if wanted == method and found is not None:
            break
    else:
        hub.save()
        sys.exit(f"HTTP 404: {method} {path}")
    granted = json.loads(os.environ["FAKE_GH_PERMISSIONS"]).get(permission, "none")
    if granted != "write" and not (granted == "read" and method == "GET"):
        hub.save()
        sys.exit(f"HTTP 403: Resource not accessible by integration: {permission} is {granted}")
    query = {key: values[0] for key, values in parse_qs(url.query).items() if key != "per_page"}
    groups = found.groups()
    answer = getattr(hub, name)(*groups, *([] if body is None else [body]), **query)
    hub.save()
    if isinstance(answer, bytes):
        sys.stdout.buffer.write(answer)
    else:
        sys.stdout.write(json.dumps([answer] if paged else answer))


if __name__ == "__main__":
    main(sys.argv[1:])
