"""Methods that are made of functions keep their documentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def documented(method: Method, make: Callable[..., Any], first: str = "") -> Method:
    """The method, with the name, text and signature of the function that makes its calls. first: put
    before the text."""
    method.__name__ = make.__name__
    method.__qualname__ = make.__name__
    method.__doc__ = f"{first} {make.__doc__}".strip()
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *signature.parameters.values()]
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=inspect.Signature.empty
    )
    return method
