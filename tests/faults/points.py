"""Every service dies exactly between two steps that belong together, at one point after another; what is
searchable afterwards is what it is where nobody died. Videos are replaced and deleted meanwhile."""

from __future__ import annotations

import contextlib
from typing import Any

from common.types import Float32Array
from tests.faults.die_at_point import EMBEDDER, PRODUCER, SEARCHER
from tests.faults.harness import Trial, run
from tests.faults.history import SECONDS, History
from tests.faults.kill_processes import Chain, cut, dies
from tests.faults.stream import Topics, all_ready, delete, deployment_of, mended, rows, start_all
from tests.kafka_broker import KafkaBroker
from tests.support.searcher import Answers
from tests.support.services import Deployment, Service, wait_until

_SETTINGS: dict[str, Any] = {
    "STORYHASH_SERVICE__BATCH_MESSAGES": "20",
    "STORYHASH_SERVICE__SNAPSHOT_SECONDS": "1",
    "STORYHASH_SEARCHER__DELTA_ROWS": "50",
}
# Those of which more is left to come to when they come early.
_SENDING = (
    "mirror-flushed",
    "match-published",
    "rows-committed",
    "snapshot-in-place",
    "offsets-noted",
)
# A short log is read before there is a second snapshot.
_ONCE = ("snapshot-written", "snapshot-in-place", "deletions-purged")
_DELETING = ("mirror-flushed", "rows-committed", "index-changed", "deletions-purged")


def points(trial: Trial) -> None:
    """The scenario."""
    history = History(trial, trial.size(150, 60))
    with KafkaBroker(trial.folder / "kafka") as broker:
        servers = broker.bootstrap_servers
        with deployment_of(trial.folder, servers, "calm", **_SETTINGS) as calm:
            start_all(calm, embedders=1)
            vectors = history.live_through(calm)
            trial.promise("no answer mixes two versions of a video", history.mixed)
            expected = history.answers(calm.services["searcher"], vectors)
        trial.figures |= {"videos": len(history.left), "segments": expected.segments}
        with deployment_of(trial.folder, servers, "cut", **_SETTINGS) as deployment:
            deployment.create_topics()
            _send(trial, deployment, history)
            _replace(trial, deployment, history)
            _delete(trial, deployment, history)
            searcher = deployment.services["searcher"]
            _check(trial, deployment, searcher, history, expected, vectors, "lived through it all")
            searcher.kill()
            for number, point in enumerate(sorted(SEARCHER)):
                later = (3,) if trial.quick and number % 2 else (1,) if trial.quick else (1, 3)
                for count in (1,) if point in _ONCE else later:
                    again = _from_the_log(trial, deployment, point, count, history)
                    about = f"died at {point} ({count}) over the log"
                    _check(trial, deployment, again, history, expected, vectors, about)
                    again.kill()


def _send(trial: Trial, deployment: Deployment, history: History) -> None:
    """The first edition, while all three die at one point after another."""
    data = deployment.folder / "data"
    chains = [
        Chain(
            deployment,
            "producer",
            ("ingest", history.first, "--data", deployment.folder / "producer", "--json"),
            [*((point, 1) for point in PRODUCER), ("sent-in-part", 9), ("noted", 2)],
        ),
        Chain(deployment, "embedder-1", ("embed",), [(p, n) for n in (1, 2) for p in EMBEDDER]),
        Chain(
            deployment, "searcher", ("search", "--data", data), [(point, 1) for point in _SENDING]
        ),
    ]
    _through(trial, chains)
    producer = deployment.services["producer"]
    trial.promise("the producer ends in order", producer.wait(SECONDS) != 0)
    searcher = deployment.services["searcher"]
    wait_until(lambda: all_ready(searcher, history.names), "every video", SECONDS, 0.5)


def _replace(trial: Trial, deployment: Deployment, history: History) -> None:
    """The second edition, the same way."""
    searcher = deployment.services["searcher"]
    before = history.versions(searcher)
    searcher.kill()
    chains = [
        Chain(
            deployment,
            "producer-2",
            ("ingest", history.second, "--data", deployment.folder / "producer", "--json"),
            [("sent-in-part", 3), ("acknowledged", 1)],
        ),
        Chain(
            deployment,
            "searcher",
            ("search", "--data", deployment.folder / "data"),
            [
                (p, 1)
                for p in ("mirror-written", "mirror-flushed", "rows-committed", "index-changed")
            ],
        ),
    ]
    _through(trial, chains)
    searcher = deployment.services["searcher"]
    wait_until(lambda: history.is_replaced(searcher, before), "replacements", SECONDS, 0.5)


def _through(trial: Trial, chains: list[Chain]) -> None:
    for chain in chains:
        chain.start()
    for chain in chains:
        chain.join()
        trial.figures.setdefault("died", []).extend(chain.died)
        trial.promise("services die at every point they should", chain.lived)


def _delete(trial: Trial, deployment: Deployment, history: History) -> None:
    """Delete through a searcher that dies over it; whoever asked asks again."""
    deployment.services["searcher"].kill()
    arguments = ("search", "--data", deployment.folder / "data")
    for number, name in enumerate(history.deleted):
        point = _DELETING[number % len(_DELETING)]
        searcher = cut(deployment, "searcher", arguments, point, 1)
        # One that finds an unfinished deletion as it starts dies over that.
        with contextlib.suppress(RuntimeError):
            delete(searcher.ready(), name)
        # Purging snapshots goes on in the background.
        trial.promise("services die at every point they should", [] if dies(searcher) else [point])
        searcher.start().ready()
        status = delete(searcher, name)
        trial.promise(
            "a deletion that is asked for again is done",
            [] if status in (204, 404) and name not in rows(searcher) else [f"{point}: {status}"],
        )
        searcher.kill()
    deployment.searcher().ready()


def _from_the_log(
    trial: Trial, deployment: Deployment, point: str, count: int, history: History
) -> Service:
    """A searcher that begins with nothing but the log, dies at a point, and begins again."""
    topics = Topics(deployment)
    before = topics.matches()
    data = f"data-{point}-{count}"
    searcher = cut(deployment, data, ("search", "--data", deployment.folder / data), point, count)
    trial.promise("services die at every point they should", [] if dies(searcher) else [data])
    searcher.start().ready()
    wait_until(lambda: all_ready(searcher, history.left), "every video", SECONDS, 0.5)

    def unannounced() -> list[str]:
        now = topics.matches()
        return [f"{data}: {name}" for name in history.left if now[name] <= before[name]]

    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not unannounced(), "matches", 30, 0.5)
    trial.promise("every video that becomes searchable is announced", unannounced())
    return searcher


def _check(
    trial: Trial,
    deployment: Deployment,
    searcher: Service,
    history: History,
    expected: Answers,
    vectors: Float32Array,
    about: str,
) -> None:
    differences = expected.differences(history.answers(searcher, vectors))
    trial.promise(
        "answers are those of the undisturbed run", [f"{about}: {d}" for d in differences]
    )
    trial.promise("the index never differs from its mirror", mended(searcher))
    wrong = history.not_once(deployment, searcher)
    trial.promise("every segment is searchable exactly once", [f"{about}: {w}" for w in wrong])


if __name__ == "__main__":
    run("points", __doc__, points)
