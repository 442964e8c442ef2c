"""docs/guards.md from the words of `reconciler explain`. `python -m tests.docs.guard_pages` writes it anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.planner.explanations import FINDING_PAGES, GUARD_PAGES, Page

PATH = Path(__file__).parents[2] / "docs" / "guards.md"
START = "<!-- from here on written by: python -m tests.docs.guard_pages -->"


def rendered() -> str:
    """The part of the document that tells every guard and every finding."""
    return f"{START}\n\n## Every guard\n\n{_sections(GUARD_PAGES)}\n\n## Every finding\n\n{_sections(FINDING_PAGES)}\n"


def _sections(pages: Mapping[str, Page]) -> str:
    return "\n\n".join(
        f"### {name}\n\n{page.meaning}\n\n- Why: {page.why}\n- What to do: {page.remedy}"
        for name, page in pages.items()
    )


def main() -> None:
    """Write the document anew, keeping what stands before the marker."""
    head = PATH.read_text(encoding="utf-8").partition(START)[0]
    PATH.write_text(head + rendered(), encoding="utf-8")


if __name__ == "__main__":
    main()
