"""What every test may ask for."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import certifi
import hypothesis
import numpy as np
import pytest

from common.kafka.kafka_python_patch import patch_connections
from common.settings import Sam2Settings
from common.types import UInt8Array
from tests.kafka_broker import can_run
from tests.kafka_broker.container import kafka_container
from tests.kafka_broker.shared import shared_broker
from tests.support import (
    forked_children,
    forked_worker,
    preloaded,
    priorities,
    state_schema,
    temporary_files,
)
from tests.support.first_collection import first_alone
from tests.support.forgotten_apps import forget_endpoints
from tests.support.qdrant_cluster import QdrantCluster
from tests.support.scheduling import Scheduling

if TYPE_CHECKING:
    from common.state.state import State

# The user's own data folder is not for tests; commands that tests start inherit this.
_user_data = tempfile.mkdtemp(prefix="storyhash-tests-user-data-")
os.environ["XDG_DATA_HOME"] = _user_data
atexit.register(shutil.rmtree, _user_data, ignore_errors=True)
# An HTTP client reads the certificates of all authorities when it is made: 60 ms of CPU time, hundreds of
# times. No test connects to the internet, so one certificate is enough.
_authority = Path(_user_data) / "authority.pem"
_authority.write_text(
    Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0]
    + "-----END CERTIFICATE-----\n"
)
os.environ["SSL_CERT_FILE"] = str(_authority)
# Tests start hundreds of processes: where none keeps its bytecode, each compiles all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No example fails because the machine is busy. Every run has other examples.
hypothesis.settings.register_profile(
    "storyhash",
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("storyhash")

# Child processes are forks; see the fixture `own_interpreters`.
forked_children.install(preloaded.template)
# See the fixture `own_migrations`.
state_schema.install()
priorities.install()
temporary_files.install()

QDRANT_IMAGE = "qdrant/qdrant:v1.18.3"
_QDRANT_HOW = (
    "start Docker, set STORYHASH_TEST_QDRANT to the URL of a server, or STORYHASH_TEST_QDRANT_SERVER to "
    "the path of its executable"
)
_QDRANT_CLUSTER_HOW = (
    "set STORYHASH_TEST_QDRANT to the URLs of its nodes, separated by commas, or "
    "STORYHASH_TEST_QDRANT_SERVER to the path of the server's executable"
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Gives the tests to the processes of pytest-xdist."""
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: Sequence[Any]) -> None:
    """The processes of pytest-xdist are forks of one template, so all imports are done once."""
    for spec in specs:
        spec.python = forked_worker.python()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives as long as the run, so the garbage collector never looks for it."""
    gc.disable()
    try:
        with first_alone():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """What a test has made does not outlive it."""
    forget_endpoints()


REQUIRED = frozenset(
    need
    for name in ("STORYHASH_REQUIRE", "STORYHASH_TEST_REQUIRE")
    for need in os.environ.get(name, "").split(",")
    if need
)


def skip_or_fail(need: str, how: str) -> NoReturn:
    """Skip because `need` is missing, saying how to have it; fail where it is required."""
    message = f"needs {need}: {how}"
    if need in REQUIRED:
        pytest.fail(f"{message} (STORYHASH_REQUIRE names it)")
    pytest.skip(message)


@pytest.fixture
def own_interpreters() -> Iterator[None]:
    """Children of `common.sandbox.process` and of multiprocessing get interpreters of their own in this
    test."""
    with forked_children.own_interpreters():
        yield


@pytest.fixture
def own_migrations() -> Iterator[None]:
    """New state databases are made by Alembic in this test."""
    with state_schema.own_migrations():
        yield


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A folder of real videos, from STORYHASH_TEST_CORPUS."""
    folder = os.environ.get("STORYHASH_TEST_CORPUS")
    if not folder:
        skip_or_fail("corpus", "set STORYHASH_TEST_CORPUS to a folder of real videos")
    return Path(str(folder))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clip` and `sam2` of random weights, so small that they run in milliseconds."""
    if (
        importlib.util.find_spec("torch") is None
        or importlib.util.find_spec("transformers") is None
    ):
        skip_or_fail("models", "pip install -e '.[models]'")
    from scripts.random_weights import write

    folder = tmp_path_factory.mktemp("models")
    write(folder, tiny=True)
    return folder


@pytest.fixture(scope="session")
def random_sam2(models: Path) -> Sam2Settings:
    """The tiny SAM 2; what random weights propose is taken however little they trust it."""
    return Sam2Settings(model=str(models / "sam2"), min_predicted_iou=0, min_stability=0)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """The state database of the data folder `data`."""
    from tests.support.keys import opened_state

    with opened_state(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty schema of the PostgreSQL server that STORYHASH_TEST_POSTGRES names."""
    named = os.environ.get("STORYHASH_TEST_POSTGRES")
    if not named:
        skip_or_fail("postgres", "set STORYHASH_TEST_POSTGRES to postgresql://user@host/database")
    import psycopg

    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(named, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            yield f"{named}{'&' if '?' in named else '?'}options=-csearch_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture(scope="module")
def qdrant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Qdrant server: the one STORYHASH_TEST_QDRANT names, else a process of the executable that
    STORYHASH_TEST_QDRANT_SERVER names, else a container."""
    if named := os.environ.get("STORYHASH_TEST_QDRANT"):
        yield named.split(",")[0]
    elif executable := os.environ.get("STORYHASH_TEST_QDRANT_SERVER"):
        with QdrantCluster(Path(executable), tmp_path_factory.mktemp("qdrant")) as server:
            yield server.url
    elif docker_runs():
        from testcontainers.community.qdrant import QdrantContainer

        with QdrantContainer(QDRANT_IMAGE) as container:
            yield f"http://{container.rest_host_address}"
    else:
        skip_or_fail("qdrant", _QDRANT_HOW)


@pytest.fixture(scope="module")
def qdrant_cluster_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The nodes of a Qdrant cluster, separated by commas: those that STORYHASH_TEST_QDRANT names, else
    three processes of the executable that STORYHASH_TEST_QDRANT_SERVER names."""
    named = os.environ.get("STORYHASH_TEST_QDRANT", "")
    if "," in named:
        yield named
    elif executable := os.environ.get("STORYHASH_TEST_QDRANT_SERVER"):
        with QdrantCluster(Path(executable), tmp_path_factory.mktemp("qdrant-3"), 3) as cluster:
            yield cluster.url
    else:
        skip_or_fail("qdrant-cluster", _QDRANT_CLUSTER_HOW)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """Bootstrap servers of a Kafka broker: the one STORYHASH_TEST_KAFKA names, else a container, else a
    process of this machine that all test processes share. Each test has a topic prefix of its own."""
    # Tests open clients of their own, too.
    patch_connections()
    named = os.environ.get("STORYHASH_TEST_KAFKA")
    if named:
        yield named
    elif docker_runs():
        with kafka_container() as servers:
            yield servers
    elif can_run():
        own = tmp_path_factory.getbasetemp()
        with shared_broker((own if worker_id == "master" else own.parent) / "kafka") as servers:
            yield servers
    else:
        skip_or_fail(
            "kafka",
            "set STORYHASH_TEST_KAFKA to HOST:PORT, start Docker, or install Java 17 and Maven",
        )


def docker_runs() -> bool:
    """Is there a container engine that answers?"""
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


def checkerboard(width: int = 64, height: int = 48, cell: int = 8) -> UInt8Array:
    """A black and white board, uint8 (height, width, 3): a picture that shows something."""
    y, x = np.mgrid[:height, :width]
    board = ((x // cell + y // cell) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


def quadrants(width: int = 64, height: int = 48) -> UInt8Array:
    """Red top left, green top right, blue bottom left, white bottom right: every turn shows."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (235, 235, 235)
    return picture


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)
