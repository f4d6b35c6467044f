"""Expressions: what a workflow asks of its values. Those of Jinja2, in its sandbox.

They see the values they are given and nothing else: no environment, no files, no clock, no
chance. Statements (`{% %}`) do not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from sdqctl.text.suggest import did_you_mean
from sdqctl.workflow.flow import operations
from sdqctl.workflow.flow.names import FUNCTIONS
from sdqctl.workflow.flow.sandbox import ENVIRONMENT, JOIN, SLICE
from sdqctl.workflow.flow.text import Value, too_large

LONGEST = 2_000
"""The most characters of an expression."""
RAW = "raw"
"""The filter at the end of an expression that is put into a shell's command as it is."""
_WRITTEN = (nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Call)
_JOINED = (nodes.BinExpr, nodes.UnaryExpr, nodes.Compare, nodes.Operand, nodes.Concat)
_LOOKED_UP = (nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.CondExpr)
_FOREIGN = {
    "&": "write `and`",
    "|": "write `or`; a single | is a filter",
    "!": "write `not`; unequal is !=",
    "=": "`=` compares nothing; write ==",
    "?": "write `A if CONDITION else B`",
}
"""What other languages have, and how it is written here."""
_OURS = {
    "'end of print statement'": "the end",
    "unexpected 'end of template'": "something is missing at the end",
    "unexpected end of template": "something is missing at the end",
    "expected token": "expected",
}
_WORDS = {"null": "none", "nil": "none", "None": "none", "undefined": "none"}
_AS_FILTERS = {"len": "length", "str": "string", "sorted": "sort", "reversed": "reverse"}


class ExpressionError(ValueError):
    """An expression that does not parse, or that has no value. `column` counts from 1."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class Expression:
    """An expression that parses. `names` are the values that it uses, in the order they stand."""

    def __init__(
        self, text: str, names: tuple[str, ...], raw: bool, compiled: TemplateExpression
    ) -> None:
        self.text = text
        self.names = names
        self.is_raw = raw
        """Whether it ends in `| raw`."""
        self._compiled = compiled

    @staticmethod
    def parse(text: str) -> Expression:
        """Raises ExpressionError with the column and what is wrong there."""
        return _parse(text)

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """What it is with these values. Raises ExpressionError; an unknown name is an error."""
        for name in self.names:
            if name not in values:
                column = self.text.find(name) + 1
                raise ExpressionError(unknown_name(name, values), column)
        operations.begin()
        try:
            found = self._compiled(**{name: values[name] for name in self.names})
            value = _value(found)
        except RecursionError:
            raise ExpressionError(f"`{self.text}` stands too deep in itself") from None
        except MemoryError:
            raise ExpressionError(f"`{self.text}` needs too much memory") from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ExpressionError(f"`{self.text}`: {_words(error)}") from error
        if problem := too_large(value):
            raise ExpressionError(f"`{self.text}`: {problem}")
        return value


def unknown_name(name: str, known: Mapping[str, object] | Iterator[str]) -> str:
    """What is said of a name that no value has."""
    if name in _WORDS:
        return f"there is no {name}; write {_WORDS[name]}"
    return f"there is no value {name}{did_you_mean(name, list(known))}"


@lru_cache(maxsize=1024)
def _parse(text: str) -> Expression:
    if not text.strip():
        raise ExpressionError("an expression is missing")
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression has at most {LONGEST:,} characters")
    reading = _Reading(text)
    try:
        tree = reading.tree()
        raw = isinstance(tree, nodes.Filter) and tree.name == RAW
        tree = tree.node if isinstance(tree, nodes.Filter) and raw and tree.node else tree
        names = dict.fromkeys(_names(tree))
        compiled = _compiled(_bounded(tree, reading.place_of))
    except TemplateSyntaxError as error:
        raise reading.error(error) from None
    except ExpressionError:
        raise
    except (RecursionError, MemoryError, SyntaxError):
        raise ExpressionError("it stands too deep in itself") from None
    except ValueError as error:
        raise ExpressionError(str(error), reading.column) from None
    return Expression(text, tuple(names), raw, compiled)


class _Reading:
    """A text that is read, and how far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = self._end = 0

    @property
    def column(self) -> int:
        """Where the token stands that was read last."""
        return min(self._start, len(self._text.rstrip())) + 1

    def tree(self) -> nodes.Expr:
        """Raises TemplateSyntaxError, ExpressionError."""
        parser = Parser(ENVIRONMENT, "", state="variable")
        parser.stream = TokenStream(ENVIRONMENT.lexer.wrap(self._tokens()), None, None)
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError(f"{parser.stream.current.value!r} is one too many", 1)
        tree.set_environment(ENVIRONMENT)
        return tree

    def _tokens(self) -> Iterator[tuple[int, str, str]]:
        tokens = ENVIRONMENT.lexer.tokeniter(self._text, None, None, "variable")
        while token := self._next(tokens):
            self._start = self._end
            self._end += len(token[2])
            if self._text[self._start - 1 : self._end] == "||":
                raise ExpressionError(_FOREIGN["|"], self._start)
            yield token
        self._start = self._end

    def _next(self, tokens: Iterator[tuple[int, str, str]]) -> tuple[int, str, str] | None:
        """The next token; where there is none, it is told of the place after the last one."""
        try:
            return next(tokens, None)
        except TemplateSyntaxError:
            self._start, self._end = self._end, self._end + 1
            raise

    def place_of(self, word: str) -> int:
        """The column at which a word stands first."""
        return self._text.find(word) + 1 or 1

    def error(self, error: TemplateSyntaxError) -> ExpressionError:
        """What is wrong at the place that was reached."""
        here = self._text[self._start : self._end].strip()
        words = str(error.message).rstrip(".")
        if words.startswith("unexpected char"):
            words = f"{here!r} is not part of an expression"
        for of_jinja, ours in _OURS.items():
            words = words.replace(of_jinja, ours)
        return ExpressionError(f"{words}{_hint(here[:1])}", self.column)


def _hint(sign: str) -> str:
    return f"; {_FOREIGN[sign]}" if sign in _FOREIGN else ""


def _names(tree: nodes.Node) -> Iterator[str]:
    called = {id(call.node) for call in _all(tree, nodes.Call)}
    for name in _all(tree, nodes.Name):
        if not (id(name) in called and name.name in FUNCTIONS):
            yield name.name


def _all(tree: nodes.Node, kind: type[Any]) -> Iterator[Any]:
    if isinstance(tree, kind):
        yield tree
    yield from tree.find_all(kind)


def _bounded(node: nodes.Node, place_of: Callable[[str], int]) -> Any:  # noqa: ANN401
    """The tree with what the sandbox does not bound replaced. Raises ExpressionError."""
    if not isinstance(node, (*_WRITTEN, *_JOINED, *_LOOKED_UP, nodes.Keyword)):
        raise ExpressionError(f"{type(node).__name__} is not part of an expression")
    if problem := _problem(node):
        raise ExpressionError(problem[0], place_of(problem[1]))
    for field, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            setattr(node, field, _bounded(value, place_of))
        elif isinstance(value, list):
            kept = (_bounded(v, place_of) if isinstance(v, nodes.Node) else v for v in value)
            setattr(node, field, list(kept))
    if isinstance(node, nodes.Concat):
        return _filter(nodes.List(node.nodes), JOIN, [])
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Filter):
        return _sliced(node)
    if isinstance(node, nodes.Slice):
        parts = (part or nodes.Const(None) for part in (node.start, node.stop, node.step))
        return _filter(nodes.Const(None), SLICE, list(parts))
    return node


def _sliced(node: nodes.Getitem) -> nodes.Expr:
    """`value[filter(...)]` where the filter is what became of a slice."""
    if isinstance(node.arg, nodes.Filter) and node.arg.name == SLICE:
        return _filter(node.node, SLICE, node.arg.args)
    return node


def _filter(node: nodes.Expr, name: str, arguments: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(node, name, arguments, [], None, None)


def _problem(node: nodes.Node) -> tuple[str, str] | None:
    """What is wrong with one place of a tree, and the word that it is about."""
    match node:
        case nodes.Filter(name="raw"):
            return "`| raw` stands at the end of an expression", RAW
        case nodes.Filter(name=name) if name not in ENVIRONMENT.filters or name in (JOIN, SLICE):
            return f"there is no filter {name}{did_you_mean(name, ENVIRONMENT.filters)}", name
        case nodes.Test(name=name) if name not in ENVIRONMENT.tests:
            return f"there is no test {name}{did_you_mean(name, ENVIRONMENT.tests)}", name
        case nodes.CondExpr(expr2=None):
            return "`if` wants an `else`", "if"
        case nodes.Const(value=float(number)) if not math.isfinite(number):
            return "a number is too large", ""
        case nodes.Call():
            return _call_problem(node)
    return None


def _call_problem(node: nodes.Call) -> tuple[str, str] | None:
    methods = {name for known in operations.METHODS.values() for name in known}
    match node.node:
        case nodes.Getattr(attr=name) if name not in methods:
            return f"there is no method {name}{did_you_mean(name, methods)}", name
        case nodes.Name(name=name) if name not in FUNCTIONS:
            name = str(name)
            filter_ = _AS_FILTERS.get(name, name)
            hint = f"; write `VALUE | {filter_}`" if filter_ in ENVIRONMENT.filters else ""
            return f"there is no function {name}{hint}", name
        case nodes.Getattr() | nodes.Name():
            plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs)
            return None if plain else ("a method takes its arguments in their order", "(")
    return "only methods of values can be called", "("


def _compiled(tree: nodes.Expr) -> TemplateExpression:
    """As `Environment.compile_expression` does it."""
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)]
    template = ENVIRONMENT.from_string(nodes.Template(body, lineno=1))
    return TemplateExpression(template, undefined_to_none=False)


def _value(found: Any) -> Value:  # noqa: ANN401
    """A result as a JSON value. Raises ValueError, UndefinedError."""
    if isinstance(found, Undefined):
        str(found)  # raises, with its own words
    if found is None or isinstance(found, bool | int | str):
        return found
    if isinstance(found, float):
        if not math.isfinite(found):
            raise ValueError("a number becomes too large")
        return found
    if isinstance(found, dict):
        operations.charge(len(found))
        return {_key(key): _value(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        operations.charge(len(found))
        return [_value(item) for item in found]
    if isinstance(found, operations.Method):
        raise ValueError(f"{found!r} is not called; write () after it")
    raise ValueError("it has no value that can be kept")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r} of an object is not a text")
    return key


def _words(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "a division by zero"
    if isinstance(error, OverflowError):
        return "a number becomes too large"
    return str(error) or type(error).__name__
