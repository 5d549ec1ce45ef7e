"""Confinement of a process before it reads untrusted input: rights, files, network, processes.

The kernel enforces it, so code injected by a file cannot undo it. This module imports only the standard
library, because the first step must come before any thread starts.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys

from common.sandbox.syscalls import ARCHITECTURES, Architecture

_MAX_OPEN_FILES = 64
# <linux/sched.h>, <linux/prctl.h>, <linux/seccomp.h>, <linux/capability.h>
_NEW_IPC, _NEW_USER, _NEW_NET, _THREAD = 0x08000000, 0x10000000, 0x40000000, 0x00010000
_NO_NEW_PRIVILEGES = 38
_SET_FILTER, _ALL_THREADS = 1, 1
_CAPABILITIES_VERSION = 0x20080522
# The right to read other users' files, which a service that runs as root in a container needs.
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
# <linux/bpf_common.h>: load a word, jump if equal, greater or equal, any bit set; return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
# Where `struct seccomp_data` has the number, the architecture and the low half of an argument.
_NUMBER, _ARCHITECTURE = 0, 4
_X32_CALLS = 0x40000000
# Any way to open a file but for reading: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC.
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000


def give_up_rights(*, network: bool) -> None:
    """The first step, while there is only one thread. Steps that the system does not allow are skipped.

    Afterwards the process cannot read the memory and the environment of the parent: root drops all
    capabilities except reading files; other users enter a new user namespace. Without `network` the
    process also enters an empty network namespace.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    namespaces = 0 if network else _NEW_NET | _NEW_IPC
    if _capabilities(libc):
        if namespaces:
            libc.unshare(namespaces)
        _keep_capabilities(libc)
    elif libc.unshare(_NEW_USER | namespaces) and namespaces:
        libc.unshare(_NEW_USER)


def confine(keep: int, *, network: bool, file_bytes: int) -> str:
    """The second step, after the imports. Returns what the system did not allow, or an empty string.

    keep: the only file descriptor that stays open besides stdin, stdout and stderr. file_bytes: the
    largest new file; with 0 the process cannot write, change or delete any file. It cannot dump core, or
    start, signal or inspect other processes; without `network` it cannot open sockets.
    """
    for number in _open_files():
        if number > 2 and number != keep:
            os.close(number)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    if sys.platform != "linux":
        return f"{sys.platform} has no system-call filter"
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return f"no system-call filter is known for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    program = _filter(architecture, network=network, writing=file_bytes > 0)
    enabled, unused = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if libc.prctl(_NO_NEW_PRIVILEGES, enabled, unused, unused, unused):
        return f"the kernel does not allow it ({os.strerror(ctypes.get_errno())})"
    count = len(program) // 8
    buffer = ctypes.create_string_buffer(program, len(program))
    program_header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    )
    if libc.syscall(
        *map(ctypes.c_long, (architecture.seccomp, _SET_FILTER, _ALL_THREADS)), program_header
    ):
        return f"the kernel does not allow a system-call filter ({os.strerror(ctypes.get_errno())})"
    if _can_read_parent():
        return (
            "user namespaces are disabled, so the decoder can read the environment of its "
            "parent process"
        )
    return ""


def _can_read_parent() -> bool:
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _bound(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bound, bound))


def _open_files() -> list[int]:
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    descriptors = []
    for name in os.listdir(folder):
        try:
            os.fstat(int(name))
        except OSError:
            # The descriptor of /proc/self/fd itself.
            continue
        descriptors.append(int(name))
    return descriptors


def _capabilities(libc: ctypes.CDLL) -> int:
    """The permitted ones, as bits."""
    header, data = _capability_buffers()
    if libc.capget(header, data):
        return 0
    _, low, _, _, high, _ = struct.unpack("6I", data.raw)
    return int(low | high << 32)


def _keep_capabilities(libc: ctypes.CDLL) -> None:
    capabilities = _capabilities(libc) & _KEPT_CAPABILITIES
    header, _ = _capability_buffers()
    libc.capset(
        header,
        ctypes.create_string_buffer(struct.pack("6I", capabilities, capabilities, 0, 0, 0, 0)),
    )


def _capability_buffers() -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITIES_VERSION, 0))
    return header, ctypes.create_string_buffer(24)


def _filter(machine: Architecture, *, network: bool, writing: bool) -> bytes:
    """The filter as `struct sock_filter[]`, 8 bytes per instruction."""
    denied = machine.processes + machine.system
    if not network:
        denied += machine.network
    if not writing:
        denied += machine.writing
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, machine.audit, 1, 0),
        _line(_RETURN, _REFUSE | _EPERM),
        _line(_LOAD, _NUMBER),
        # 64-bit processes on x86 have a second set of numbers for the same calls.
        _line(_AT_LEAST, _X32_CALLS, 0, 1),
        _line(_RETURN, _REFUSE | _EPERM),
    ]
    for number in denied:
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _REFUSE | _EPERM)]
    # The C library then uses the older calls, whose arguments the filter can read.
    for number in (machine.clone3, machine.openat2):
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _REFUSE | _ENOSYS)]
    # Threads are allowed, new processes are not.
    lines += _only(machine.clone, 0, _line(_ANY_BIT, _THREAD, 0, 1))
    for number in machine.signalling:
        lines += _only(number, 0, _line(_EQUAL, os.getpid(), 0, 1))
    # Limits of this process.
    lines += _only(machine.prlimit64, 0, _line(_EQUAL, 0, 0, 1))
    if not writing:
        for number, argument in machine.opening:
            lines += _only(number, argument, _line(_ANY_BIT, _WRITING, 1, 0))
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _only(number: int, argument: int, test: bytes) -> list[bytes]:
    """Instructions that allow a call if the test of an argument continues to the next one, else reject
    it."""
    return [
        _line(_EQUAL, number, 0, 4),
        _line(_LOAD, 16 + 8 * argument),
        test,
        _line(_RETURN, _ALLOW),
        _line(_RETURN, _REFUSE | _EPERM),
    ]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
