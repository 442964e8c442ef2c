"""What holds for every test: an environment of its own, and how hypothesis looks for counterexamples."""

import os

from hypothesis import HealthCheck, settings

_PREFIXES = ("cxone_", "reconciler_", "scim_", "git_author_", "git_committer_")
_NAMES = {
    "all_proxy",
    "ci",
    "force_color",
    "git_dir",
    "git_index_file",
    "git_work_tree",
    "github_actions",
    "github_output",
    "github_step_summary",
    "http_proxy",
    "https_proxy",
    "no_color",
}

# A deadline fails tests on a busy machine, not wrong code. In CI the same examples run every time, so that a pull
# request never fails over somebody else's defect; on a laptop they are new ones each time.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("laptop"), derandomize=True, database=None)
# The choice is kept in the environment for the processes of pytest-xdist, which no longer see CI.
settings.load_profile(os.environ.setdefault("TESTS_HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "laptop"))


def pytest_configure() -> None:
    """Take out of the environment what changes how the reconciler behaves: a test that needs it sets it itself."""
    for name in list(os.environ):
        if name.lower() in _NAMES or name.lower().startswith(_PREFIXES):
            del os.environ[name]
