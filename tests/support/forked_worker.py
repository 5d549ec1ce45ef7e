"""The processes of pytest-xdist as forks of the template of `preloaded`.

xdist appends `-u -c CODE` to the command that `python` returns. A fork runs the code with the streams of
the process of that command, which waits for it.
"""

from __future__ import annotations

import os
import shlex
import sys

from tests.support import preloaded
from tests.support.template import Request, send_request

# What test modules import, beside what the template needs.
_MODULES = (
    "scripts.dashboards",
    "hypothesis",
    "jsonschema",
    "qdrant_client",
    "trustme",
    "xdist.remote",
)


def python() -> str:
    """A command that xdist may take for a Python interpreter."""
    program = (
        f"import sys; sys.path.insert(0, {str(preloaded.ROOT)!r});"
        f" from {__name__} import run; sys.exit(run(*sys.argv[1:]))"
    )
    return shlex.join([sys.executable, "-c", program, preloaded.template(modules=_MODULES)])


def run(template: str, *arguments: str) -> int:
    """Have a fork run the code, wait for it, and return its exit code. template: the path of its socket.
    arguments: of Python."""
    request = Request([*arguments[1:]], {**os.environ}, os.getcwd(), new_session=False)
    return preloaded.Process(send_request(template, request, [0, 1, 2])).wait()
