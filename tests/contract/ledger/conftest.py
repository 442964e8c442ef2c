"""Real git, a bare repository as the remote, and a service in memory."""

from pathlib import Path

import pytest

from tests.contract.ledger.machines import Machine, Machines


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """Makes machines."""
    return Machines(tmp_path)


@pytest.fixture
def one(machines: Machines) -> Machine:
    """A machine whose repository has a remote."""
    return machines.first()
