"""Separation of duties (SPEC sections 3 and 8)."""

from reconciler.model.state import Exclusive
from reconciler.semantics.policy import violations

POLICY = Exclusive(name="maker-checker", roles=("Maker", "Checker"), groups=("Auditors",))


def test_more_than_one_of_a_set_is_a_violation_and_names_what_is_held() -> None:
    """Roles and groups count together, folded."""
    ((policy, held),) = violations([POLICY], roles={"maker"}, groups={"auditors", "other"})
    assert policy is POLICY
    assert held == ("group:Auditors", "role:Maker")


def test_one_of_a_set_is_none() -> None:
    """And sets do not mix."""
    other = Exclusive(name="other", roles=("Admin", "Agent"), groups=())
    assert violations([POLICY, other], roles={"maker", "agent"}, groups=set()) == ()
