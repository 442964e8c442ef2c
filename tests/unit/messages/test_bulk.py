"""Bulk requests and what comes back (RFC 7644 section 3.7; cxone.md section 5 and D8 to D13)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ScimMalformed
from reconciler.messages.bulk import (
    BULK_REQUEST_SCHEMA,
    BulkOperation,
    BulkResult,
    JobState,
    parse_bulk_response,
    parse_job,
    to_bulk_request,
)
from reconciler.model.dialect import PROFILES, Dialect, Profile

CREATE = BulkOperation(bulk_id="op-1", method="POST", path="/Users", data={"userName": "a"})
PATCH = BulkOperation(bulk_id="op-2", method="PATCH", path="/Users/u2", version='W/"1"', data={"schemas": ["PatchOp"]})
DELETE = BulkOperation(bulk_id="op-3", method="DELETE", path="/Groups/g3")
OPERATIONS = (CREATE, PATCH, DELETE)


def _answer(*rows: dict[str, Any], operations: tuple[BulkOperation, ...] = OPERATIONS) -> tuple[BulkResult, ...]:
    return parse_bulk_response({"Operations": list(rows)}, operations)


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_request_follows_the_rfc() -> None:
    """URN, capital `Operations`, a bulkId on each, `version` byte for byte, no `failOnErrors` (D9, D10)."""
    assert to_bulk_request(OPERATIONS, Dialect()) == {
        "schemas": [BULK_REQUEST_SCHEMA],
        "Operations": [
            {"method": "POST", "bulkId": "op-1", "path": "/Users", "data": {"userName": "a"}},
            {
                "method": "PATCH",
                "bulkId": "op-2",
                "path": "/Users/u2",
                "version": 'W/"1"',
                "data": {"schemas": ["PatchOp"]},
            },
            {"method": "DELETE", "bulkId": "op-3", "path": "/Groups/g3"},
        ],
    }


def test_cxone_gets_the_same_value_as_id_and_bulk_id() -> None:
    """D9: strict RFC servers refuse `id`, so only that profile sends it."""
    operations = to_bulk_request(OPERATIONS, PROFILES[Profile.CXONE])["Operations"]
    assert [(row["id"], row["bulkId"]) for row in operations] == [(f"op-{n}", f"op-{n}") for n in (1, 2, 3)]


def test_the_paths_may_have_a_prefix() -> None:
    """D8: `/scim/v2/Users` where the service wants it."""
    operations = to_bulk_request([CREATE], Dialect(bulk_path="/scim/v2"))["Operations"]
    assert operations[0]["path"] == "/scim/v2/Users"


def test_r8_an_empty_version_is_not_sent() -> None:
    """Defect R8, inside bulk."""
    operation = BulkOperation(bulk_id="1", method="PUT", path="/Users/1", version="", data={})
    assert "version" not in to_bulk_request([operation], Dialect())["Operations"][0]


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_full_answer_gives_each_operation_its_result() -> None:
    """In the order of the request, whatever the order of the answer."""
    results = _answer(
        {"method": "DELETE", "bulkId": "op-3", "status": "204", "location": "https://x/Groups/g3"},
        {"method": "POST", "bulkId": "op-1", "status": "201", "location": "https://x/v2/Users/u1", "version": 'W/"9"'},
        {"method": "PATCH", "bulkId": "op-2", "status": "200", "version": 'W/"2"'},
    )
    assert results == (
        BulkResult(bulk_id="op-1", status=201, id="u1", version='W/"9"', location="https://x/v2/Users/u1"),
        BulkResult(bulk_id="op-2", status=200, id="u2", version='W/"2"'),
        BulkResult(bulk_id="op-3", status=204, id="g3", location="https://x/Groups/g3"),
    )


@pytest.mark.parametrize(
    "document", [{}, {"Operations": []}, {"Operations": None}, {"error": "unauthorized"}, {"status": "COMPLETED"}]
)
def test_r1_an_answer_without_results_is_no_success(document: Mapping[str, Any]) -> None:
    """Defect R1: an error body decoded to zero operations and was reported as success."""
    results = parse_bulk_response(document, OPERATIONS)
    assert [result.status for result in results] == [None, None, None]


def test_r2_an_operation_missing_from_the_answer_is_unknown() -> None:
    """Defect R2: it was treated as successful. SPEC P6: nobody guesses."""
    results = _answer({"bulkId": "op-1", "method": "POST", "status": "201", "location": "/Users/u1"})
    assert [result.status for result in results] == [201, None, None]


@pytest.mark.parametrize(
    ("status", "parsed"),
    [
        (201, 201),
        ("201", 201),
        ("201 Created", 201),
        ({"code": 201}, 201),
        ({"Code": "201"}, 201),
        ({"code": "400", "description": "no"}, 400),
        (None, None),
        ("", None),
        ("ok", None),
        (True, None),
        (2000, None),
        (0, None),
        ([201], None),
        ({"code": {"code": 201}}, None),
    ],
    ids=repr,
)
def test_r2_d12_a_status_is_read_as_number_string_or_code(status: object, parsed: int | None) -> None:
    """Defect R2: a string status failed to decode after the service had applied it."""
    [result] = _answer({"bulkId": "op-1", "status": status}, operations=(CREATE,))
    assert result.status == parsed


def test_names_are_read_in_any_case() -> None:
    """scim-rfc.md Q33."""
    rows = [{"BulkID": "op-1", "METHOD": "post", "Status": "201", "Location": "/Users/u1"}]
    [result] = parse_bulk_response({"operations": rows}, (CREATE,))
    assert (result.status, result.id) == (201, "u1")


def test_results_are_matched_by_id_where_the_service_echoes_that() -> None:
    """D9: CXone echoes `id`."""
    [result] = _answer({"id": "op-1", "method": "POST", "status": 201, "location": "/Users/u1"}, operations=(CREATE,))
    assert (result.status, result.id) == (201, "u1")


def test_results_are_matched_by_location_where_there_is_no_bulk_id() -> None:
    """RFC 7644 section 3.7: bulkId is only required of POST."""
    results = _answer(
        {"method": "PATCH", "location": "https://x/scim/v2/Users/u2", "status": "200"},
        {"method": "DELETE", "location": "https://x/scim/v2/Groups/g3/", "status": "404"},
    )
    assert [result.status for result in results] == [None, 200, 404]


def test_results_are_never_matched_by_position() -> None:
    """Three results for three operations, and nothing in them tells which is whose."""
    assert [r.status for r in _answer({"status": "201"}, {"status": "200"}, {"status": "204"})] == [None] * 3


def test_a_location_that_two_operations_share_matches_neither() -> None:
    """Rather unknown than the wrong one."""
    twice = (PATCH, BulkOperation(bulk_id="op-4", method="PATCH", path="/Users/u2", data={}))
    assert [
        r.status for r in _answer({"method": "PATCH", "location": "/Users/u2", "status": 200}, operations=twice)
    ] == [
        None,
        None,
    ]


def test_a_result_for_another_method_is_not_ours() -> None:
    """A service that numbers its rows itself must not be believed."""
    [result] = _answer({"bulkId": "op-1", "method": "DELETE", "status": "204"}, operations=(CREATE,))
    assert result.status is None


def test_two_different_results_for_one_operation_are_none() -> None:
    """SPEC P6: the outcome is unknown, and will be looked up."""
    rows = [{"bulkId": "op-1", "status": "201", "location": "/Users/u1"}, {"bulkId": "op-1", "status": "409"}]
    assert _answer(*rows, operations=(CREATE,))[0].status is None
    assert _answer(rows[0], rows[0], operations=(CREATE,))[0].status == 201


@pytest.mark.parametrize(
    ("row", "detail", "scim_type"),
    [
        ({"response": {"detail": "taken", "scimType": "uniqueness", "status": "409"}}, "taken", "uniqueness"),
        ({"response": '{"detail": "taken", "scimType": "uniqueness"}'}, "taken", "uniqueness"),
        ({"response": "no JSON"}, "no JSON", None),
        ({"response": "{broken"}, "{broken", None),
        ({"detail": "taken", "errors": [{"detail": "userName", "status": 409}]}, "taken; userName", None),
        ({"errors": [{"code": "E1", "message": "boom"}, {"message": "bang"}]}, "boom; bang", None),
        ({"errors": ["boom"]}, "boom", None),
        ({"status": {"code": 409, "description": "conflict"}}, "conflict", None),
        ({"response": None}, None, None),
        ({"response": {"detail": "a\x1b[31m\nb"}}, "a [31m b", None),
    ],
)
def test_d13_details_are_read_in_every_shape(row: dict[str, Any], detail: str | None, scim_type: str | None) -> None:
    """Job errors, operation errors, RFC responses, responses as JSON text (scim-rfc.md Q21)."""
    [result] = _answer({"bulkId": "op-1", "status": 409, **row}, operations=(CREATE,))
    assert (result.status, result.detail, result.scim_type) == (409, detail, scim_type)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_returned_resource_is_handed_on(as_text: bool) -> None:
    """Its version and id count where the row itself has none."""
    resource = {"id": "u1", "meta": {"version": 'W/"3"'}, "userName": "a"}
    response = json.dumps(resource) if as_text else resource
    [result] = _answer({"bulkId": "op-1", "status": "201", "response": response}, operations=(CREATE,))
    assert (result.id, result.version, result.resource) == ("u1", 'W/"3"', resource)


def test_r10_matching_takes_one_look_per_operation() -> None:
    """Defect R10: quadratic matching. Every row is looked at a fixed number of times, however many there are."""

    class Counting(str):
        compared = 0
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    number = 2000
    operations = [BulkOperation(bulk_id=f"op-{n}", method="POST", path="/Users", data={}) for n in range(number)]
    rows = [{"bulkId": Counting(f"op-{n}"), "status": "201"} for n in reversed(range(number))]
    results = parse_bulk_response({"Operations": rows}, operations)
    assert all(result.status == 201 for result in results)
    assert Counting.compared <= 10 * number


_ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["bulkId", "id", "method", "status", "location", "response", "errors", "detail", "version"]),
        st.sampled_from(["op-1", "op-2", "POST", "PATCH", "201", 404, None, "/Users/u2", {"code": 1}, ["x"], {}, True]),
    )
    | st.none()
    | st.text(max_size=3),
    max_size=6,
)


@given(_ROWS)
def test_every_operation_gets_exactly_one_result(rows: list[Any]) -> None:
    """SPEC P6, whatever the service answers."""
    results = parse_bulk_response({"Operations": rows}, OPERATIONS)
    assert [result.bulk_id for result in results] == [operation.bulk_id for operation in OPERATIONS]
    assert all(result.status is None or 100 <= result.status < 600 for result in results)


# --- jobs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["COMPLETED", "completed", " Completed "])
def test_d25_the_words_that_end_a_job_come_in_any_case(word: str) -> None:
    """cxone.md section 5, E6 and D25: COMPLETED and FAILED."""
    assert parse_job({"id": "j", "status": word, "errors": []}).state is JobState.COMPLETED
    assert parse_job({"ID": "j", "STATUS": "failed"}).state is JobState.FAILED


@pytest.mark.parametrize("word", ["IN_PROGRESS", "queued", "ok", "done", "200"])
def test_every_other_word_means_that_a_job_goes_on(word: str) -> None:
    """cxone.md section 5: only two words end it, so that nothing is taken for done by its looks."""
    assert parse_job({"id": "j", "status": word, "Operations": []}).state is JobState.RUNNING


@pytest.mark.parametrize(
    "document", [{}, {"id": "j"}, {"status": None}, {"status": 200}, {"status": ""}, {"errors": []}]
)
def test_a_job_that_says_nothing_of_itself_is_malformed(document: dict[str, Any]) -> None:
    """Neither running nor over: the question is asked again."""
    with pytest.raises(ScimMalformed):
        parse_job(document)


def test_results_alone_say_that_a_job_is_over() -> None:
    """Some services answer the question with the BulkResponse itself."""
    report = parse_job({"operations": [{"bulkId": "op-1", "status": "201", "location": "/Users/u1"}]})
    assert (report.state, report.errors) == (JobState.COMPLETED, None)
    [result] = parse_bulk_response(report.document, [CREATE])
    assert (result.status, result.id) == (201, "u1")


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([], None),
        (None, None),
        ([{"code": "E1", "message": "no such role"}], "E1: no such role"),
        ([{"Code": 17, "detail": "late"}, {"code": "E2"}, "plain"], "17: late; E2; plain"),
        ([{"code": "E", "message": "same"}] * 3, "E: same"),
        ([{}, {"unknown": "shape"}], "not said which"),
        ("out of order", "out of order"),
        (
            [{"code": "E", "message": str(n)} for n in range(12)],
            "; ".join(f"E: {n}" for n in range(10)) + "; and 2 more",
        ),
    ],
)
def test_d13_the_errors_of_a_job_are_read_in_every_shape(errors: object, said: str | None) -> None:
    """cxone.md D13: `{code, message}`, and whatever else is there is still an error."""
    assert parse_job({"status": "COMPLETED", "errors": errors}).errors == said


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_a_job_calls_its_errors_is_one_short_line(errors: object) -> None:
    """It is printed on terminals."""
    said = parse_job({"status": "failed", "errors": errors}).errors
    assert said is None or (len(said) <= 300 and "\n" not in said)


@pytest.mark.parametrize("status", [201, "201", {"code": "201"}], ids=["number", "string", "code"])
@pytest.mark.parametrize(
    "failure",
    [
        {"detail": "taken"},
        {"errors": [{"detail": "taken", "status": 409}]},
        {"response": {"detail": "taken", "scimType": "uniqueness"}},
    ],
    ids=["detail", "errors", "response"],
)
def test_d12_d13_results_inside_a_job_are_read_as_those_of_a_synchronous_answer(
    status: object, failure: dict[str, Any]
) -> None:
    """Three forms of the status, three shapes of an error."""
    rows = [
        {"bulkId": "op-1", "status": status, "location": "/v2/Users/u1"},
        {"bulkId": "op-2", "status": "409", **failure},
    ]
    report = parse_job({"id": "j", "status": "Completed", "Operations": rows})
    created, refused, missing = parse_bulk_response(report.document, OPERATIONS)
    assert (created.status, created.id) == (201, "u1")
    assert (refused.status, refused.detail) == (409, "taken")
    assert missing.status is None
