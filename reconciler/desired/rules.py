"""What a schema cannot say: identities, references, cycles and depth of nesting, policies. Pure functions of a draft."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.desired.documents import Draft
from reconciler.desired.places import Finding


def check_rules(draft: Draft) -> Iterator[Finding]:
    """Every problem between documents, in no particular order."""
    yield from ()
