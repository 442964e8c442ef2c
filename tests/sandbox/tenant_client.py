"""A plain HTTP client for the tests of the embedded tenant: paths below the base URL, JSON in, the raw response out."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import requests

from reconciler.sandbox.server import SandboxConfig, SandboxServer

USER_URN = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_URN = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_URN = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SEARCH_URN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

Json = dict[str, Any]


class TenantClient:
    """One running tenant and a session to it."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.server = SandboxServer(config)
        self.session = requests.Session()
        self.session.trust_env = False
        if config.token:
            self.session.headers["Authorization"] = f"Bearer {config.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.session.close()
        self.server.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Any = None,
        **query: Any,
    ) -> requests.Response:
        """Send a request; `path` is relative to the base URL, or to the origin when it starts with two slashes."""
        url = self.server.origin + path[1:] if path.startswith("//") else self.server.base_url + path
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        merged = {"Content-Type": "application/scim+json"} if data is not None else {}
        return self.session.request(
            method,
            url,
            data=data,
            params=query,
            headers={**merged, **(headers or {})},
            timeout=30,
            allow_redirects=False,
        )

    def get(self, path: str, *, headers: Any = None, **query: Any) -> requests.Response:
        """GET a path."""
        return self.send("GET", path, headers=headers, **query)

    def post(self, path: str, body: Any) -> requests.Response:
        """POST a body."""
        return self.send("POST", path, body)

    def put(self, path: str, body: Any, version: str | None = None) -> requests.Response:
        """PUT a body, guarded by a version if one is given."""
        return self.send("PUT", path, body, headers=_guard(version))

    def patch(self, path: str, *operations: Json, version: str | None = None) -> requests.Response:
        """PATCH with operations, guarded by a version if one is given."""
        message = {"schemas": [PATCH_URN], "Operations": list(operations)}
        return self.send("PATCH", path, message, headers=_guard(version))

    def delete(self, path: str, version: str | None = None) -> requests.Response:
        """DELETE a path, guarded by a version if one is given."""
        return self.send("DELETE", path, headers=_guard(version))

    def bulk(self, *operations: Json, **envelope: Any) -> requests.Response:
        """POST operations to /Bulk."""
        return self.post("/Bulk", {"schemas": [BULK_URN], "Operations": list(operations), **envelope})

    def results(self, *operations: Json, **envelope: Any) -> list[Json]:
        """The results of a bulk request that is expected to be answered 200."""
        response = self.bulk(*operations, **envelope)
        assert response.status_code == 200, response.text
        found: list[Json] = response.json()["Operations"]
        return found

    def user(self, name: str, /, **attributes: Any) -> Json:
        """A new user, as the answer to its creation shows it."""
        response = self.post("/Users", user_body(name, **attributes))
        assert response.status_code == 201, response.text
        created: Json = response.json()
        return created

    def group(self, name: str, /, *members: Json, **attributes: Any) -> Json:
        """A new group, as the answer to its creation shows it."""
        response = self.post("/Groups", group_body(name, *members, **attributes))
        assert response.status_code == 201, response.text
        created: Json = response.json()
        return created

    def find(self, path: str, **query: Any) -> list[Json]:
        """The resources of a list."""
        response = self.get(path, **query)
        assert response.status_code == 200, response.text
        found: list[Json] = response.json()["Resources"]
        return found


def user_body(name: str, /, **attributes: Any) -> Json:
    """The smallest user that CXone takes, and what the test is about."""
    needed = {"name": {"formatted": "Some One"}, "emails": [{"value": "someone@example.com"}]}
    return {"schemas": [USER_URN], "userName": name, **needed, **attributes}


def group_body(name: str, /, *members: Json, **attributes: Any) -> Json:
    """The smallest group, with resources as members."""
    return {
        "schemas": [GROUP_URN],
        "displayName": name,
        "members": [{"value": member["id"]} for member in members],
        **attributes,
    }


def path_of(resource: Json) -> str:
    """The path of a resource below the base URL."""
    return f"/{resource['meta']['resourceType']}s/{resource['id']}"


def assert_error(response: requests.Response, status: int, scim_type: str | None = None) -> Json:
    """Check that an answer is a SCIM error of the expected kind (RFC 7644 section 3.12) and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/scim+json"
    body: Json = response.json()
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert body["status"] == str(status)
    assert body["detail"]
    if scim_type is not None:
        assert body["scimType"] == scim_type
    return body


def _guard(version: str | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": version}
