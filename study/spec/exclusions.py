"""Conditions under which a combination is left out of a study, as text: ``num_views * epochs > 64``.

Text, because a journal has to hold it, and a changed space is refused with a diff: a function could be neither written
down nor compared. A condition is parsed as a Python expression of which little is allowed, and never evaluated as code.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.BinOp, ast.Compare),
    *(ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, *ARITHMETIC, *COMPARISONS),
)


def require_condition(text: str, names: Iterable[str]) -> None:
    """Raises ``ValueError`` unless ``text`` is a condition over ``names``.

    Example:
        >>> require_condition("views * epochs > 64", ["views", "epochs"])
        >>> require_condition("views * epoch > 64", ["views", "epochs"])
        Traceback (most recent call last):
        ValueError: excluded 'views * epoch > 64': unknown name 'epoch'; known are epochs, views
    """
    tree = _parsed(text)
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            raise ValueError(
                f"excluded {text!r}: names, numbers, texts and tuples with arithmetic, comparisons, and, or, not; "
                f"no {type(node).__name__}"
            )
    is_not = isinstance(tree.body, ast.UnaryOp) and isinstance(tree.body.op, ast.Not)
    if not is_not and not isinstance(tree.body, ast.Compare | ast.BoolOp):
        raise ValueError(f"excluded {text!r}: must be a comparison, or comparisons joined by and, or, not")
    known = sorted(set(names))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            raise ValueError(f"excluded {text!r}: unknown name {node.id!r}; known are {', '.join(known)}")


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition that ``require_condition`` accepts is true of ``values``.

    Raises:
        ValueError: if it cannot be computed, such as where a text is multiplied.

    Example:
        >>> holds("views * epochs > 64 and method in ('simclr', 'byol')", {"views": 16, "epochs": 8, "method": "byol"})
        True
    """
    try:
        return bool(_value(_parsed(text).body, values))
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        names = dict.fromkeys(node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name))
        where = ", ".join(f"{name}={values[name]!r}" for name in names)
        raise ValueError(f"excluded {text!r} cannot be computed where {where}: {error}") from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Expression:
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"excluded {text!r}: not a condition: {error}") from None


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [_value(item, values) for item in items]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=op, operand=operand):
            return ARITHMETIC[type(op)](_value(operand, values))
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            numbers = [_value(part, values) for part in (left, *comparators)]
            pairs = zip(ops, numbers[:-1], numbers[1:], strict=True)
            return all(COMPARISONS[type(op)](one, other) for op, one, other in pairs)
    raise AssertionError(node)
