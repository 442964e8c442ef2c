"""No value can become markup: incident "attribute values rendered unescaped into HTML and Markdown" (octodns)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.model.outcome import ApplyResult, ChangeResult, Disagreement, Outcome, Residual
from reconciler.model.plan import Finding, Plan
from reconciler.report.render import Format, render_apply, render_plan
from reconciler.report.view import Subject
from reconciler.semantics.printable import printable
from tests.builders import HOSTILE, NAMES, VALUES, build_change, build_plan, plans, refused

OUR_HTML = re.compile(r"</?details(?: open)?>|<summary>[A-Za-z0-9 ,()]+</summary>")
OUR_HEADING = re.compile(
    r"Plan for|Diff for|Drift of|Apply of|Loses access \(|Reactivates \(|Memberships lost|Findings|Guards overridden"
    r"|[0-9]+ (failed|in conflict|unknown|not attempted|residual|rebased)"
)

OUR_YAML = re.compile(r"equivalences:\n(?:  [^ ].*:\n(?:    - \{sent: .*, stored: .*\}(?:  # .*)?\n)+|  # .*\n)+")


def tokens(markdown: str) -> Iterator[Token]:
    """Every token of the rendered report, as GitHub's dialect reads it: tables and strikethrough on."""
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        yield token
        yield from token.children or ()


def assert_is_only_ours(markdown: str) -> None:
    """Fails if any structure, link, mention or HTML is there that no template wrote."""
    headings = []
    previous = ""
    for token in tokens(markdown):
        assert token.type not in {"link_open", "image", "s_open", "em_open", "table_open", "code_block", "hr"}
        if token.type == "fence":
            assert OUR_YAML.fullmatch(token.content)
        if token.type in {"html_block", "html_inline"}:
            assert not OUR_HTML.sub("", token.content).strip()
        if token.type == "text":
            # Outside code GitHub turns these into mentions, issues, links and e-mail addresses.
            assert not re.search(r"[@#<&]|://|www\.|GH-", token.content)
        if previous == "heading_open":
            headings.append(token.content)
        previous = token.type
    assert all(OUR_HEADING.match(heading) for heading in headings)


@settings(max_examples=100)
@given(plan=plans())
def test_no_value_of_a_plan_becomes_markup(plan: Plan) -> None:
    """INCIDENTS "Attribute values rendered unescaped": octodns plan renderers.

    Names, values, labels, files, findings, guard details: hostile in every place at once.
    """
    for subject in Subject:
        assert_is_only_ours(render_plan(plan, Format.MARKDOWN, subject=subject))


RESULTS = st.lists(
    st.builds(
        ChangeResult,
        change=st.builds(build_change, NAMES.filter(bool).map("User/{}".format)),
        outcome=st.sampled_from(Outcome),
        cause=st.none() | NAMES,
        disagreements=st.lists(st.builds(Disagreement, NAMES, VALUES, VALUES, VALUES), max_size=2).map(tuple),
        rebased=st.booleans(),
    ),
    max_size=4,
).map(tuple)


PAIRS = st.dictionaries(
    st.sampled_from(["title", "emails.value", "apiToken"]),
    st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=2).map(tuple),
    max_size=2,
)


RESULTS_OF_RUNS = st.builds(
    ApplyResult,
    run=NAMES,
    tenant=NAMES.filter(bool),
    target=NAMES,
    commit=st.none() | NAMES,
    digest=NAMES,
    started=NAMES,
    ended=NAMES,
    results=RESULTS,
    residual=st.lists(
        st.builds(
            Residual,
            **dict.fromkeys(("key", "path", "advice"), NAMES),
            **dict.fromkeys(("expected", "found"), VALUES),
            equivalences=PAIRS,
        )
    ).map(tuple),
    equivalences=PAIRS,
    proven=st.booleans(),
    interrupted=st.booleans(),
)


@settings(max_examples=60)
@given(result=RESULTS_OF_RUNS)
def test_no_value_of_a_result_becomes_markup_or_paints_on_the_terminal(result: ApplyResult) -> None:
    """INCIDENTS "Attribute values rendered unescaped": octodns plan renderers.

    Causes quote what a service answered; conflicts show what somebody else wrote.
    """
    assert_is_only_ours(render_apply(result, build_plan(), Format.MARKDOWN))
    text = render_apply(result, build_plan(), Format.TEXT)
    assert all(line.replace("\u3000", "").isprintable() for line in text.split("\n"))


@given(value=NAMES.filter(bool) | HOSTILE.filter(bool))
def test_a_name_is_read_back_from_its_code_span(value: str) -> None:
    """Nothing is lost by escaping: GitHub shows the printable form of the name, whole unless it is very long."""
    assume(len(printable(f"User/{value}")) <= 200)
    report = render_plan(build_plan(build_change(f"User/{value}", attributes=[("title", None, "A")])), Format.MARKDOWN)
    codes = [token.content for token in tokens(report) if token.type == "code_inline"]
    assert printable(f"User/{value}") in codes


@pytest.mark.parametrize(
    "message",
    [
        "ask @everyone to approve",
        "see https://evil.example/ or www.evil.example",
        "closes #1 and GH-1",
        "<b>fine</b> &lt;b&gt;",
        "**approved** ~~refused~~ _x_ [x](y)",
        "mail jane@example.com",
        "1. approved",
        "- [x] approved",
        "# Approved",
        "| a | b |",
        "    code",
    ],
)
def test_a_sentence_keeps_its_words_and_nothing_else(message: str) -> None:
    """Findings and guard details are sentences of ours that quote names of others."""
    plan = build_plan(findings=[Finding(code="x", message=message)], guards=[refused("access-loss", detail=message)])
    report = render_plan(plan, Format.MARKDOWN)
    assert_is_only_ours(report)
    shown = "".join(token.content for token in tokens(report) if token.type in {"text", "code_inline"})
    assert " ".join(message.split()) in shown
