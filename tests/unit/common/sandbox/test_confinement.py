"""A child that decodes has no secret, no network, no other process and nothing to write to."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.sandbox.limits import ChildLimits
from common.sandbox.process import Beat, Child
from common.settings import VideoSettings
from tests.unit.common.sandbox.test_process import TEXT

pytestmark = pytest.mark.usefixtures("own_interpreters")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel confines on Linux alone")
SECRET = "hunter2-of-the-tests"


def _new_process() -> None:
    if os.fork() == 0:
        os._exit(0)


def _clone_by_number() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    pid = libc.syscall(number, signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")


def _parent(name: str) -> Callable[[], object]:
    return lambda: Path(f"/proc/{os.getppid()}/{name}").read_bytes()


def _thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "socket": lambda path: socket.socket(),
    "pair of sockets": lambda path: socket.socketpair(),
    "fork": lambda path: _new_process(),
    "clone": lambda path: _clone_by_number(),
    "exec": lambda path: os.execv(sys.executable, [sys.executable, "-c", ""]),
    "subprocess": lambda path: subprocess.run([sys.executable, "-c", ""], check=True),
    "signal to the parent": lambda path: os.kill(os.getppid(), 0),
    "signal to all": lambda path: os.kill(-1, 0),
    "environment of the parent": lambda path: _parent("environ")(),
    "memory of the parent": lambda path: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
    "new file": lambda path: Path(path).with_name("new").write_bytes(b""),
    "change": lambda path: os.open(path, os.O_RDWR),
    "append": lambda path: os.open(path, os.O_WRONLY | os.O_APPEND),
    "delete": lambda path: Path(path).unlink(),
    "rename": lambda path: Path(path).rename(Path(path).with_name("other")),
    "cut": lambda path: os.truncate(path, 0),
    "permissions": lambda path: Path(path).chmod(0o777),
    "folder": lambda path: Path(path).with_name("folder").mkdir(),
    "link": lambda path: Path(path).with_name("link").symlink_to(path),
    "higher limit": lambda path: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "limit of the parent": lambda path: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
}
ALLOWED: dict[str, Callable[[str], object]] = {
    "read": lambda path: Path(path).read_bytes(),
    "thread": lambda path: _thread(),
    "signal to itself": lambda path: os.kill(os.getpid(), 0),
}


def work(job: tuple[str, str], beat: Beat) -> Iterator[str]:
    """Attempts something, or tells what is there."""
    name, path = job
    if name == "environment":
        yield repr(sorted(os.environ.items()))
        yield repr(Path("/proc/self/environ").read_bytes())
    elif name == "files":
        with os.scandir("/proc/self/fd") as found:
            targets = {int(one.name): os.readlink(one.path) for one in found}
        yield repr(sorted(targets.items()))
    elif name == "core":
        yield repr(resource.getrlimit(resource.RLIMIT_CORE))
    else:
        try:
            {**ATTEMPTS, **ALLOWED}[name](path)
            yield "done"
        except (OSError, ValueError) as error:
            yield type(error).__name__


@pytest.fixture(scope="module")
def child() -> Iterator[Child[tuple[str, str], str]]:
    os.environ["STORYHASH_QDRANT__API_KEY"] = os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    made: Child[tuple[str, str], str] = Child(work, ChildLimits(60, 60, 256), TEXT)
    try:
        yield made
    finally:
        made.close()
        os.close(inherited)
        del os.environ["STORYHASH_QDRANT__API_KEY"], os.environ["AWS_SECRET_ACCESS_KEY"]


@linux
@pytest.mark.parametrize("name", sorted(ATTEMPTS))
def test_it_may_not(child: Child[tuple[str, str], str], name: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(b"film")
    (answer,) = child.run((name, str(path)))
    assert answer in ("PermissionError", "ValueError"), answer
    assert child.unconfined == ""
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("film", b"film")]


@linux
@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_it_may(child: Child[tuple[str, str], str], name: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(b"film")
    assert list(child.run((name, str(path)))) == ["done"]


def test_it_gets_no_secret(child: Child[tuple[str, str], str]) -> None:
    now, at_start = child.run(("environment", ""))
    assert SECRET not in now + at_start
    assert "STORYHASH" not in now + at_start
    assert "PATH" in now


@linux
def test_it_has_no_open_file_but_its_pipe(child: Child[tuple[str, str], str]) -> None:
    (told,) = child.run(("files", ""))
    targets = [target for _, target in eval(told)]
    assert sorted(target.split(":")[0] for target in targets if "/proc/" not in target) == [
        *("/dev/null", "/dev/null", "/dev/null", "socket")
    ]


def test_it_dumps_no_core(child: Child[tuple[str, str], str]) -> None:
    assert list(child.run(("core", ""))) == ["(0, 0)"]


@linux
def test_one_that_fetches_has_the_network_and_no_processes(tmp_path: Path) -> None:
    limits = ChildLimits(60, 60, 256, network=True, file_bytes=1000)
    child: Child[tuple[str, str], str] = Child(work, limits, TEXT)
    path = tmp_path / "film"
    path.write_bytes(b"film")
    try:
        answers = {
            name: list(child.run((name, str(path))))
            for name in ("socket", "change", "fork", "subprocess", "environment of the parent")
        }
    finally:
        child.close()
    refused = ["PermissionError"]
    assert answers == {
        "socket": ["done"],
        "change": ["done"],
        "fork": refused,
        "subprocess": refused,
        "environment of the parent": refused,
    }


def test_settings_that_reach_a_child_hold_no_secret() -> None:
    names = VideoSettings.model_fields
    assert not any("SecretStr" in str(field.annotation) for field in names.values())
