"""GitHub, as far as the loop needs it: requests by way of `gh api`, and what a job tells GitHub through files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

GITHUB_ACTIONS_BOT = 41898282
"""The user id of github-actions[bot], as whom the token of a workflow writes. It cannot ask who it is."""

GITHUB_ACTIONS_APP = "github-actions"
_SECONDS = 300


class StepFailed(Exception):
    """A step cannot do what it is there for; the message is for the log."""


class GitHub:
    """One repository. `gh` takes its token from the environment."""

    def __init__(self, repository: str) -> None:
        self.repository = repository

    def get(self, path: str) -> Any:
        """The JSON of one request; `path` is relative to the repository."""
        return json.loads(self.download(path))

    def get_all(self, path: str, member: str | None = None) -> list[dict[str, Any]]:
        """All rows of all pages; `member` names the list where a page is an object."""
        pages = json.loads(self._run("--paginate", "--slurp", self._url(path)))
        return [row for page in pages for row in (page if member is None else page[member])]

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Write something; the JSON of the answer."""
        data = json.dumps(body).encode()
        return json.loads(self._run("--method", method, self._url(path), "--input", "-", data=data))

    def download(self, path: str) -> bytes:
        """The body of one request as it is."""
        return self._run(self._url(path))

    def put_comment(self, number: int, marker: str, text: str) -> None:
        """The one comment with this marker that a workflow wrote: updated in place, or made."""
        body = {"body": f"{marker}\n{text}"}
        for comment in self.get_all(f"issues/{number}/comments?per_page=100"):
            if comment["user"]["id"] == GITHUB_ACTIONS_BOT and comment["body"].startswith(marker):
                self.send("PATCH", f"issues/comments/{comment['id']}", body)
                return
        self.send("POST", f"issues/{number}/comments", body)

    def _url(self, path: str) -> str:
        return f"repos/{self.repository}/{path}"

    def _run(self, *arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(["gh", "api", *arguments], input=data, capture_output=True, check=False, timeout=_SECONDS)
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise StepFailed(f"GitHub does not do it: {said}")
        return done.stdout


def quoted(value: str) -> str:
    """A value as a part of a path or query."""
    return quote(value, safe="")


def tell(environ: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Outputs of the step. None of them holds a line break."""
    with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs.items())


def summarize(environ: Mapping[str, str], text: str) -> None:
    """Add to the summary of the job."""
    with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n\n")


def run_link(environ: Mapping[str, str]) -> str:
    """The run of the workflow, as a link."""
    url = f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ['GITHUB_RUN_ID']}"
    return f"[run {environ['GITHUB_RUN_ID']}]({url})"
