"""Jinja2's sandbox, narrowed to JSON values: what stands in `operations` can be called, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.filters import FILTERS as _OF_JINJA
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as _TESTS_OF_JINJA

from sdqctl.workflow.flow import operations
from sdqctl.workflow.flow.text import kind_of

JOIN, SLICE = "~", "[:]"
"""Filters that no expression can name: what `a ~ b` and `a[1:2]` become."""
_OVER_ITEMS = ("map", "select", "reject", "selectattr", "rejectattr")
_TESTS = (
    *("boolean", "defined", "undefined", "divisibleby", "even", "odd", "false", "true", "float"),
    *("integer", "number", "none", "string", "mapping", "sequence", "lower", "upper"),
    *("==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", "ge", ">=", "<", "lt"),
    *("lessthan", "<=", "le"),
)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        return operations.operate(operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401
        """A key of an object comes before its methods: data may have keys of any name."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if attribute in operations.METHODS.get(type(obj), ()):
            return operations.Method(obj, attribute)
        return self._missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401
        if isinstance(obj, dict | list | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self._missing(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, N805
        if isinstance(__obj, Undefined):
            str(__obj)  # raises, with its own words
        if not isinstance(__obj, operations.Method) and __obj is not operations.numbers:
            raise ValueError("it cannot be called")
        return __obj(*args)

    def _missing(self, obj: Any, name: object) -> Undefined:  # noqa: ANN401
        if isinstance(obj, Undefined):
            str(obj)  # raises, with its own words
        return self.undefined(hint=operations.missing(obj, name))


def _whole(apply: Callable[..., Iterator[Any]]) -> Callable[..., list[Any]]:
    """A filter of Jinja2 that goes over items, done at once and counted."""

    @pass_context
    def whole(context: Context, value: Any, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ANN401
        if not isinstance(value, list):
            raise ValueError(f"a list is wanted, and this is {kind_of(value)}")
        found = []
        for item in apply(context, value, *args, **kwargs):
            operations.charge(1)
            found.append(item)
        return found

    return whole


def _is_in(value: Any, container: Any) -> bool:  # noqa: ANN401
    operations.charge(len(container))
    return value in container


def _environment() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, optimized=False, autoescape=False, cache_size=0)
    made.globals = {"range": operations.numbers}
    made.filters = {
        **operations.FILTERS,
        **{name: _whole(_OF_JINJA[name]) for name in _OVER_ITEMS},
        JOIN: operations.concatenated,
        SLICE: operations.sliced,
    }
    made.tests = {**{name: _TESTS_OF_JINJA[name] for name in _TESTS}, "in": _is_in}
    return made


ENVIRONMENT = _environment()
