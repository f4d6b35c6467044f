"""How a run ended as JUnit's XML, which CI systems show: a test a step, or a component."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold (XML 1.0, production 2)."""
_MOST = 65_536
"""Characters of one test's output."""


@dataclass(frozen=True)
class Case:
    """One test. `state` is `passed`, `failed`, `error` or `skipped`."""

    name: str
    state: str
    seconds: float = 0.0
    message: str = ""
    output: str = ""


def junit_xml(suite: str, cases: Sequence[Case], begun: datetime | None = None) -> str:
    """The whole document."""
    counts = {state: sum(case.state == state for case in cases) for state in _STATES}
    attributes = _attributes(
        name=suite,
        tests=len(cases),
        failures=counts["failed"],
        errors=counts["error"],
        skipped=counts["skipped"],
        time=_seconds(sum(case.seconds for case in cases)),
    )
    time = (begun or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<testsuites>",
        f"<testsuite{attributes}{_attributes(timestamp=time)}>",
        *(_case(suite, case) for case in cases),
        "</testsuite>",
        "</testsuites>",
        "",
    ]
    return "\n".join(lines)


_STATES = {"failed": "failure", "error": "error", "skipped": "skipped"}
"""A test's state -> the element that says so."""


def _case(suite: str, case: Case) -> str:
    head = _attributes(classname=suite, name=case.name, time=_seconds(case.seconds))
    inside = []
    if (element := _STATES.get(case.state)) is not None:
        message = _attributes(message=case.message.partition("\n")[0])
        inside.append(f"<{element}{message}>{_text(case.message)}</{element}>")
    if case.output:
        inside.append(f"<system-out>{_text(case.output)}</system-out>")
    return f"<testcase{head}>{''.join(inside)}</testcase>"


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(_clean(str(value)))}" for name, value in values.items())


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    cut = text if len(text) <= _MOST else f"{text[:_MOST]}\n[cut]"
    return _NO_CHARACTER.sub("\ufffd", cut)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
