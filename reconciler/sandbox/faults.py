"""Faults on demand: which requests of a tenant go wrong, and how (SPEC section 10).

A plan of faults is a value. What strikes whom follows from the plan, its seed and the requests alone: a share is drawn
for each request by what it asks and how often it was asked, so that requests that arrive in another order change
nothing.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from reconciler.sandbox.errors import ScimError
from reconciler.sandbox.patch import PATCH_URN, read_patch


class Fault(StrEnum):
    """What can go wrong."""

    DROP_BEFORE_SEND = "drop-before-send"
    DROP_AFTER_COMMIT = "drop-after-commit"
    TOO_MANY_REQUESTS = "429"
    SERVER_ERROR = "5xx"
    SLOW = "slow"
    TRUNCATED_PAGE = "truncated-page"
    SHIFTING_PAGES = "shifting-pages"
    WRONG_TOTAL_RESULTS = "wrong-total-results"
    LYING_SUCCESS = "lying-200"
    PARTIAL_BULK = "partial-bulk"
    MISSING_BULK_RESULTS = "missing-bulk-results"
    LATE_ASYNC_COMMIT = "late-async-commit"
    FOREIGN_EDIT = "foreign-edit"


class FaultsError(Exception):
    """A list of faults that cannot be used: where in it, what is wrong there, and what to write instead."""

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        super().__init__(f"{place}: {problem}; {remedy}")
        self.place = place
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers, both ends included; `last` None is without end."""

    first: int
    last: int | None

    def holds(self, number: int) -> bool:
        """Whether a number is in the range."""
        return self.first <= number and (self.last is None or number <= self.last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last or ''}"


_ALL = Span(1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault and the requests it strikes.

    `method` and `path` say which requests count; `path` is that of the whole URL, with `*` for anything. Of those the
    ones of a number in `nth` are struck, and of these a `share` between 0 and 1. `args` holds every argument of the
    fault.
    """

    fault: Fault
    method: str = "*"
    path: str = "*"
    nth: tuple[Span, ...] = (_ALL,)
    share: float = 1.0
    args: Mapping[str, Any] = field(default_factory=dict)

    def counts(self, method: str, path: str) -> bool:
        """Whether a request is one of those that are counted."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def to_json(self) -> dict[str, Any]:
        """The rule as a list of faults writes it, with nothing left out."""
        nth = [str(span) for span in self.nth]
        match = {"method": self.method, "path": self.path, "nth": nth, "share": self.share}
        return {"match": match, "fault": self.fault.value, "args": dict(self.args)}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """A list of faults and the seed of their chance."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that strikes one request; `chance` decides what the arguments leave open."""

    fault: Fault
    args: Mapping[str, Any]
    chance: random.Random


class Faults:
    """The faults of a running tenant and what they met so far. Safe to use from several threads."""

    def __init__(self, plan: FaultPlan) -> None:
        self._lock = threading.Lock()
        self.replace(plan)

    def replace(self, plan: FaultPlan) -> None:
        """Have these faults instead, and begin to count."""
        with self._lock:
            self._plan = plan
            self._start_over()

    def restart(self) -> None:
        """Begin to count again."""
        with self._lock:
            self._start_over()

    def strike(self, method: str, path: str, query: str) -> Strike | None:
        """What becomes of a request: the first rule that is due decides, every rule that matches counts."""
        struck = None
        with self._lock:
            for index, rule in enumerate(self._plan.rules):
                if rule.counts(method, path):
                    hit = self._hit(index, rule, f"{method} {path}?{query}")
                    if hit and struck is None:
                        self._struck[index] += 1
                        struck = hit
        return struck

    def to_json(self) -> dict[str, Any]:
        """The plan, and for each fault how many requests it counted and struck."""
        with self._lock:
            shown = [
                {**rule.to_json(), "counted": self._counted[index], "struck": self._struck[index]}
                for index, rule in enumerate(self._plan.rules)
            ]
            return {"seed": self._plan.seed, "faults": shown}

    def _start_over(self) -> None:
        self._counted: Counter[int] = Counter()
        self._struck: Counter[int] = Counter()
        self._asked: Counter[tuple[int, str]] = Counter()

    def _hit(self, index: int, rule: Rule, request: str) -> Strike | None:
        self._counted[index] += 1
        self._asked[index, request] += 1
        if not any(span.holds(self._counted[index]) for span in rule.nth):
            return None
        seed = f"{self._plan.seed}/{index}/{request}/{self._asked[index, request]}"
        chance = random.Random(seed)  # noqa: S311 - the same chance every time is what it is for
        return Strike(rule.fault, rule.args, chance) if chance.random() < rule.share else None


def parse_faults(text: str) -> FaultPlan:
    """The plan in the text of a faults file. Raises `FaultsError`."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise FaultsError(place, f"this is not JSON: {error.msg}", "correct it there") from None
    except (RecursionError, ValueError):
        raise FaultsError("the list", "it is nested too deep, or holds a number that is too long", _SHAPE) from None
    return read_faults(document)


def read_faults(document: Any) -> FaultPlan:
    """The plan in a JSON value: a list of faults, or an object with `faults` and a `seed`. Raises `FaultsError`."""
    if isinstance(document, list):
        document = {"faults": document}
    _check_names("the list", document, ("seed", "faults"), _SHAPE)
    seed, raw = document.get("seed", 0), document.get("faults")
    _require(type(seed) is int, "seed", "it is no integer", "write a number such as 1")
    _require(isinstance(raw, list), "faults", "it is no list", _SHAPE)
    return FaultPlan(tuple(_read_rule(f"faults[{index}]", item) for index, item in enumerate(raw)), seed)


_SPAN = re.compile(r"(?P<first>[1-9][0-9]{0,8})((?P<dash>-)(?P<last>[1-9][0-9]{0,8})?)?", re.ASCII)
_SHAPE = 'write {"seed": 1, "faults": [{"match": {...}, "fault": "...", "args": {...}}]}'
_NTH = 'write a number, a range such as "3-5" or "3-", or a list of these; the first request has number 1'


@dataclass(frozen=True, slots=True)
class _Argument:
    default: Any
    fits: Callable[[Any], bool]
    remedy: str


def _integer(default: int | None, least: int, most: int | None = None) -> _Argument:
    """An integer within bounds; where the default is None, also null."""

    def fits(value: Any) -> bool:
        if value is None:
            return default is None
        return type(value) is int and value >= least and (most is None or value <= most)

    upper = "" if most is None else f" and at most {most}"
    return _Argument(default, fits, f"write an integer, at least {least}{upper}")


def _flag() -> _Argument:
    return _Argument(default=False, fits=lambda value: isinstance(value, bool), remedy="write true or false")


def _name(what: str) -> _Argument:
    return _Argument(None, lambda value: value is None or isinstance(value, str), f"write the {what} as a string")


def _is_retry_after(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _LONGEST_SECONDS)


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _LONGEST_SECONDS


def _is_shift(value: Any) -> bool:
    return value is None or (type(value) is int and value != 0)


def _is_patch(value: Any) -> bool:
    try:
        return value is None or bool(read_patch({"schemas": [PATCH_URN], "Operations": value}, lenient=False))
    except ScimError:
        return False


_LONGEST_SECONDS = 3600
_RETRY_AFTER = _Argument(
    1, _is_retry_after, f"write seconds as an integer, at most {_LONGEST_SECONDS}, or null for none"
)
_SECONDS = _Argument(1, _is_seconds, f"write a number of seconds, at most {_LONGEST_SECONDS}")
_SHIFT = _Argument(None, _is_shift, "write a number of rows that is not 0")
_TOTAL = _Argument(1, lambda value: type(value) is int and value != 0, "write a number that is not 0")
_PATCH = _Argument(None, _is_patch, "write the Operations of a PATCH, each with op, path and value")

_ARGUMENTS: Mapping[Fault, Mapping[str, _Argument]] = {
    Fault.DROP_BEFORE_SEND: {},
    Fault.DROP_AFTER_COMMIT: {},
    Fault.TOO_MANY_REQUESTS: {"retryAfter": _RETRY_AFTER, "asDate": _flag()},
    Fault.SERVER_ERROR: {"status": _integer(503, 500, 599), "committed": _flag(), "html": _flag()},
    Fault.SLOW: {"seconds": _SECONDS},
    Fault.TRUNCATED_PAGE: {"rows": _integer(None, 0), "bytes": _integer(None, 0)},
    Fault.SHIFTING_PAGES: {"by": _SHIFT},
    Fault.WRONG_TOTAL_RESULTS: {"by": _TOTAL},
    Fault.LYING_SUCCESS: {},
    Fault.PARTIAL_BULK: {"operations": _integer(None, 0), "status": _integer(None, 400, 599)},
    Fault.MISSING_BULK_RESULTS: {"count": _integer(1, 1)},
    Fault.LATE_ASYNC_COMMIT: {"requests": _integer(3, 1)},
    Fault.FOREIGN_EDIT: {"user": _name("userName"), "group": _name("displayName"), "operations": _PATCH},
}


def _read_rule(place: str, raw: Any) -> Rule:
    _check_names(place, raw, ("match", "fault", "args"), 'write {"match": {...}, "fault": "...", "args": {...}}')
    fault = {fault.value: fault for fault in Fault}.get(str(raw.get("fault")))
    if fault is None:
        problem = f"there is no fault {raw.get('fault')!r}"
        raise FaultsError(f"{place}.fault", problem, f"write one of {', '.join(Fault)}")
    match = raw.get("match", {})
    _check_names(f"{place}.match", match, ("method", "path", "nth", "share"), "write an object with some of these")
    method, path, share = match.get("method", "*"), match.get("path", "*"), match.get("share", 1)
    for name, value in (("method", method), ("path", path)):
        _require(isinstance(value, str), f"{place}.match.{name}", "it is no string", 'write text such as "GET" or "*"')
    fits = type(share) in (int, float) and 0 <= share <= 1
    _require(fits, f"{place}.match.share", "it is no share", "write a number from 0 to 1")
    return Rule(
        fault=fault,
        method=method.upper(),
        path=path,
        nth=_read_nth(f"{place}.match.nth", match.get("nth", "1-")),
        share=share,
        args=_read_arguments(f"{place}.args", fault, raw.get("args", {})),
    )


def _read_nth(place: str, raw: Any) -> tuple[Span, ...]:
    _require(raw != [], place, "it is empty", _NTH)
    return tuple(_read_span(place, item) for item in (raw if isinstance(raw, list) else [raw]))


def _read_span(place: str, raw: Any) -> Span:
    found = _SPAN.fullmatch(str(raw)) if type(raw) in (int, str) else None
    if found is None:
        raise FaultsError(place, f"{str(raw)[:100]!r} is no number of a request", _NTH)
    first = int(found["first"])
    last = int(found["last"]) if found["last"] else None if found["dash"] else first
    _require(last is None or last >= first, place, f"{raw!r} ends before it begins", _NTH)
    return Span(first, last)


def _read_arguments(place: str, fault: Fault, raw: Any) -> dict[str, Any]:
    wanted = _ARGUMENTS[fault]
    _check_names(place, raw, tuple(wanted), f"leave out what {fault} does not have")
    for name, value in raw.items():
        _require(wanted[name].fits(value), f"{place}.{name}", f"{value!r} does not fit", wanted[name].remedy)
    return {name: raw.get(name, argument.default) for name, argument in wanted.items()}


def _check_names(place: str, raw: Any, names: tuple[str, ...], remedy: str) -> None:
    known = ", ".join(names) or "nothing"
    _require(isinstance(raw, dict), place, "it is no object", remedy)
    for name in raw:
        _require(name in names, f"{place}.{name}", f"there is no such name; known here: {known}", remedy)


def _require(holds: bool, place: str, problem: str, remedy: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise FaultsError(place, problem[:300], remedy)
