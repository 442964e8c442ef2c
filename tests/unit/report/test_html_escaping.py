"""Reports as pages: no value becomes markup, nothing is loaded, and losses come first (SPEC 5 and P11; INCIDENTS)."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from reconciler.model.change import Action
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import AccessChange, Plan
from reconciler.report.render import Format, render_apply, render_plan
from reconciler.report.view import Subject
from reconciler.semantics.printable import printable
from tests.builders import HOSTILE, build_change, build_plan, plans
from tests.unit.report.test_markdown_escaping import RESULTS_OF_RUNS

OUR_TAGS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "dl", "dt", "dd", "div"}
    | {"pre", "code", "details", "summary", "span", "strong", "del", "ins"}
)
OUR_ATTRIBUTES = {"class", "lang", "charset", "http-equiv", "content", "name", "open"}
OUR_CLASSES = {"box warn", "box good", "box danger", "danger", "warn", "good", "dim"}
VOID = {"meta"}


class Page(HTMLParser):
    """A page as a browser reads it: elements, their attributes, and text; tags have to close in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.headings: list[str] = []
        self.metas: dict[str, str] = {}
        self.text = ""
        self.style = ""
        self.declarations: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Only what the templates write."""
        assert tag in OUR_TAGS, tag
        values = {name: value or "" for name, value in attrs}
        assert values.keys() <= OUR_ATTRIBUTES, values
        assert values.get("class", "dim") in OUR_CLASSES
        if tag == "meta":
            self.metas[values.get("http-equiv") or values.get("name") or "charset"] = values.get("content", "")
        if tag in {"h1", "h2", "summary"}:
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """In order, or a value closed something."""
        assert self.open.pop() == tag

    def handle_decl(self, decl: str) -> None:
        """`<!doctype html>`, once."""
        self.declarations.append(decl)

    def handle_comment(self, data: str) -> None:
        """The templates write none."""
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        """The templates write none."""
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        """Text, style, headings."""
        if self.open and self.open[-1] == "style":
            self.style += data
            return
        self.text += data
        if self.headings and self.open and self.open[-1] in {"h1", "h2", "summary"}:
            self.headings[-1] += data


def assert_is_only_ours(html: str) -> Page:
    """Fails if there is an element, an attribute or a text on the page that could do anything."""
    page = Page(html)
    assert page.declarations == ["doctype html"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.metas["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import|expression", page.style)
    visible = page.text.replace("\n", "").replace("\u3000", "")
    assert visible.isprintable()
    return page


@settings(max_examples=60)
@given(plan=plans())
def test_no_value_of_a_plan_becomes_an_element(plan: Plan) -> None:
    """INCIDENTS "Attribute values rendered unescaped": octodns plan renderers.

    Hostile in every place at once, whatever the page is about.
    """
    for subject in Subject:
        assert_is_only_ours(render_plan(plan, Format.HTML, subject=subject))


@settings(max_examples=40)
@given(result=RESULTS_OF_RUNS)
def test_no_value_of_a_result_becomes_an_element(result: ApplyResult) -> None:
    """Causes quote what a service answered; conflicts show what somebody else wrote."""
    assert_is_only_ours(render_apply(result, build_plan(), Format.HTML))


@given(value=HOSTILE.filter(bool))
def test_a_name_is_read_back_as_it_is(value: str) -> None:
    """Nothing is lost by escaping."""
    page = assert_is_only_ours(render_plan(build_plan(build_change(f"User/{value}")), Format.HTML))
    assert printable(f"User/{value}") in page.text


def test_losses_come_first_and_are_complete() -> None:
    """However many they are, none of them is folded or hidden in <details>."""
    users = [f"user-{number:04}@x" for number in range(1500)]
    gone = [build_change(f"User/{user}", Action.DEACTIVATE, attributes=[("active", True, False)]) for user in users]
    losses = [AccessChange(user, "Support") for user in users]
    new = build_change("User/new@x", Action.CREATE)
    html = render_plan(build_plan(new, *gone, losses=losses), Format.HTML)
    page = assert_is_only_ours(html)
    assert page.headings[1:] == ["Loses access (1,500)", "Memberships lost, nested groups included", "Creates (1)"]
    before_creates = html[: html.index("<details")]
    assert all(before_creates.count(user) == 2 for user in users)


@pytest.mark.parametrize(("subject", "heading"), [(Subject.DIFF, "Diff for"), (Subject.DRIFT, "Drift of")])
@pytest.mark.parametrize("format_", [Format.TEXT, Format.MARKDOWN, Format.HTML])
def test_what_is_no_plan_does_not_look_like_one(subject: Subject, heading: str, format_: Format) -> None:
    """Neither digest nor command: there is nothing to approve."""
    report = render_plan(build_plan(build_change("User/a@x", Action.CREATE)), format_, subject=subject)
    assert heading in report
    assert not re.search(r"digest|reconciler apply|[Ee]stimate|Plan for", report)
