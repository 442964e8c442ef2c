"""A sandbox of its own and a desk for every test that wants them: those of the command line."""

from tests.cli.conftest import acme, sandbox, start_sandbox, work

__all__ = ["acme", "sandbox", "start_sandbox", "work"]
