"""Starts the Python interpreter of a child process, without the secrets of its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Protocol

# What a child runs. Its arguments: the number of its socket, the process id of its parent, `network` or
# `apart`, and the folders that modules are imported from, the same as in the parent.
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[4:]\n"
    "from common.sandbox.confinement import give_up_rights\n"
    "give_up_rights(network=sys.argv[3] == 'network')\n"
    "from common.sandbox.main import main; main()"
)
# The environment variables that a child gets: those that Python and its libraries need to start.
_KEPT_VARIABLES = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "COVERAGE_PROCESS_START"}
    | {"PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONMALLOC"}
    | {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
)
_KEPT_PREFIXES = ("LC_", "DYLD_", "OMP_", "OPENBLAS_", "MKL_", "MALLOC_")


class ChildProcess(Protocol):
    """A process that was started, with the methods of `subprocess.Popen` that its parent needs."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


def start(pipe: socket.socket, *, network: bool) -> ChildProcess:
    """Start `PROGRAM` in a new interpreter. pipe: the child's end; the caller closes its own copy."""
    return subprocess.Popen(
        [
            sys.executable,
            *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
            "-P",
            "-c",
            PROGRAM,
            str(pipe.fileno()),
            *arguments(network=network),
        ],
        stdin=subprocess.DEVNULL,
        # Our own standard output stays free of what libraries print.
        stdout=subprocess.DEVNULL,
        env=environment(os.environ),
        pass_fds=[pipe.fileno()],
        # Ctrl-C reaches the whole terminal group; the parent decides about its children.
        start_new_session=True,
    )


def arguments(*, network: bool) -> list[str]:
    """The arguments of `PROGRAM` after the first, for a child of this process."""
    folders = (path or os.getcwd() for path in sys.path)
    return [str(os.getpid()), "network" if network else "apart", *folders]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child, without secrets."""
    inherited = {
        name: value
        for name, value in variables.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    # Pydantic looks for plug-ins in all installed packages, which takes a tenth of the start.
    return {**inherited, "PYDANTIC_DISABLE_PLUGINS": "__all__"}
