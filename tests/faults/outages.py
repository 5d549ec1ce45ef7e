"""What services need goes away in the middle and comes back: the broker, room on the disk, a consumer's
turn. They recover by themselves, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.faults.compare_catalogues import Reference, reference, streamed
from tests.faults.disks import Disk, can_mount
from tests.faults.harness import Trial, run
from tests.faults.stream import Watch, deployment_of, searchable_segments, start_all, unready
from tests.kafka_broker import KafkaBroker
from tests.support.services import Deployment, Service, children, wait_until

_DISK_MEBIBYTES = 320
_SESSION_SECONDS = 6.0
# What a shell, too, calls a command that was interrupted.
_INTERRUPTED = 130


class Outages:
    """The scenario."""

    def __init__(self, trial: Trial, broker: KafkaBroker, wanted: Reference) -> None:
        self.trial = trial
        self.broker = broker
        self.wanted = wanted

    def broker_restarted(self, _: Deployment) -> None:
        self.broker.restart()

    def broker_killed(self, _: Deployment) -> None:
        self.broker.kill()
        self.broker.start()

    def broker_gone(self, deployment: Deployment) -> None:
        self.broker.kill()
        gone = self.trial.size(60, 15)
        self._tells(deployment, "does not respond")
        time.sleep(gone)
        self.broker.start()

    def broker_hangs(self, deployment: Deployment) -> None:
        """Connections stay open and nothing answers."""
        self.broker.pause()
        time.sleep(self.trial.size(40, 20))
        self.broker.resume()

    def embedder_stops_polling(self, deployment: Deployment) -> None:
        embedder = deployment.services["embedder-1"]
        embedder.pause()
        time.sleep(3 * _SESSION_SECONDS)
        embedder.resume()

    def searcher_stands_still(self, deployment: Deployment) -> None:
        searcher = deployment.services["searcher"]
        searcher.pause()
        time.sleep(15)
        searcher.resume()

    def embedders_come_and_go(self, deployment: Deployment) -> None:
        """The group shares its partitions anew, again and again, with batches in work."""
        for turn in range(self.trial.size(4, 2)):
            deployment.embedder(3).ready()
            time.sleep(2)
            leaving = deployment.services[f"embedder-{1 + turn % 2}"]
            self.trial.promise("an embedder leaves in order", leaving.stop() != 0)
            time.sleep(2)
            leaving.start().ready()
            deployment.services["embedder-3"].kill()
        deployment.services["embedder-3"].start()

    def asked_to_end(self, deployment: Deployment) -> None:
        """SIGTERM: each finishes or gives back what it has in hand, and goes on where it was."""
        for name, code in (("embedder-1", 0), ("searcher", 0), ("producer", _INTERRUPTED)):
            service = deployment.services[name]
            running = service.running
            began = time.monotonic()
            ended = service.stop()
            self.trial.figures.setdefault("seconds_to_end", {})[name] = round(
                time.monotonic() - began, 2
            )
            # A producer may have been done before it was asked.
            wrong = running and ended not in (code, 0)
            self.trial.promise(
                "services end in order when they are asked to",
                [f"{name}: {ended}: {service.text()[-300:]}"] if wrong else [],
            )
            service.start()

    def static_members_killed(self, deployment: Deployment) -> None:
        """Partitions wait for a member that comes back under its name, and for no other."""
        one, two = (deployment.services[f"embedder-{number}"] for number in (1, 2))
        one.kill()
        one.start().ready()
        two.kill()
        time.sleep(2 * _SESSION_SECONDS)
        two.start().ready()

    def mirror_killed(self, deployment: Deployment) -> None:
        """The process that keeps the mirror dies, and not the one that answers."""
        searcher = deployment.services["searcher"]
        killed = 0
        while killed < 5:
            for child in children(searcher.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
            time.sleep(1)
        self.trial.promise("the searcher outlives its mirror's process", not searcher.running)

    def full(self, deployment: Deployment, disk: Disk) -> None:
        disk.fill()
        self._tells(deployment, "are free")
        time.sleep(self.trial.size(20, 5))
        disk.empty()

    def full_over_a_restart(self, deployment: Deployment, disk: Disk) -> None:
        disk.fill()
        deployment.services["searcher"].kill()
        deployment.services["searcher"].start()
        self._tells(deployment, "are free")
        time.sleep(self.trial.size(20, 5))
        disk.empty()

    def read_only_at_the_start(self, deployment: Deployment, disk: Disk) -> None:
        deployment.services["searcher"].kill()
        disk.writable(False)
        deployment.services["searcher"].start()
        self._tells(deployment, disk.folder.name)
        time.sleep(self.trial.size(20, 5))
        disk.writable(True)

    def run(
        self, name: str, disturb: Callable[[Deployment], None], *, static: bool = False
    ) -> None:
        """Stream with this disturbance once a quarter is in; `static`: embedders are static members."""
        if not self.trial.wants(name):
            return
        servers = self.broker.bootstrap_servers
        with deployment_of(self.trial.folder, servers, name.replace(" ", "-")) as deployment:
            start_all(deployment, embedders=0 if static else 2)
            for number in (1, 2) if static else ():
                named = {"STORYHASH_KAFKA__INSTANCE_ID": f"embedder-{number}"}
                deployment.embedder(number, **named)
            self._stream(name, deployment, disturb)

    def run_on_disk(
        self, where: str, how: str, disturb: Callable[[Deployment, Disk], None]
    ) -> None:
        """Stream onto a small disk, which is the whole data folder or the mirror's alone."""
        name = f"{where} {how}"
        if not self.trial.wants(name):
            return
        servers = self.broker.bootstrap_servers
        with deployment_of(self.trial.folder, servers, name.replace(" ", "-")) as deployment:
            data = deployment.folder / "data"
            if where == "mirror":
                # A searcher makes its mirror itself, in a folder that holds nothing else yet.
                start_all(deployment)
                deployment.services["searcher"].ready().stop()
                kept = deployment.folder / "kept"
                (data / "mirror").rename(kept)
            with Disk(data / "mirror" if where == "mirror" else data, _DISK_MEBIBYTES) as disk:
                if where == "mirror":
                    shutil.copytree(kept, disk.folder, dirs_exist_ok=True)
                    deployment.services["searcher"].start()
                else:
                    start_all(deployment)
                self._stream(name, deployment, lambda deployment: disturb(deployment, disk))
                deployment.services["searcher"].kill()

    def _tells(self, deployment: Deployment, words: str) -> None:
        """The searcher says at /readyz that it cannot work now, and why."""
        searcher = deployment.services["searcher"]
        told: list[str] = []

        def tells() -> bool:
            told[:] = unready(searcher).values()
            return any(words in reason for reason in told)

        try:
            wait_until(tells, f"readiness to tell {words!r}", 60, 0.2)
        except TimeoutError as error:
            self.trial.promise("what is missing is told at /readyz", [f"{error}; it told {told}"])
        else:
            self.trial.promise("what is missing is told at /readyz", [])
            self.trial.say(f"    {told}")

    def _stream(
        self, name: str, deployment: Deployment, disturb: Callable[[Deployment], None]
    ) -> None:
        searcher = deployment.services["searcher"].ready()
        self.trial.say(name)
        with Watch(searcher) as watch:

            def after_a_quarter() -> None:
                enough = self.wanted.answers.segments // 4
                wait_until(lambda: searchable_segments(searcher) > enough, "a quarter", 600)
                disturb(deployment)

            seconds = streamed(
                deployment, self.wanted.work.path, self.wanted.work.names, after_a_quarter
            )
        self.trial.figures[name] = self._told(watch, seconds, deployment)
        self.wanted.check(self.trial, deployment, name)

    def _told(self, watch: Watch, seconds: float, deployment: Deployment) -> dict[str, Any]:
        return {
            "seconds": round(seconds, 1),
            "longest_interruption_seconds": round(watch.longest_interruption_seconds, 1),
            "readyz": sorted(watch.unready),
            "retries": _retries(deployment.services["searcher"]),
        }


def _retries(searcher: Service) -> int:
    return int(searcher.metric("storyhash_retries_total"))


def outages(trial: Trial) -> None:
    """The scenario."""
    with KafkaBroker(trial.folder / "kafka") as broker:
        wanted = reference(trial, broker.bootstrap_servers, trial.size(300, 100))
        tried = Outages(trial, broker, wanted)
        tried.run("broker restarted", tried.broker_restarted)
        tried.run("broker killed", tried.broker_killed)
        tried.run("broker gone", tried.broker_gone)
        tried.run("broker hangs", tried.broker_hangs)
        tried.run("embedder stops polling", tried.embedder_stops_polling)
        tried.run("embedders come and go", tried.embedders_come_and_go)
        tried.run("static members killed", tried.static_members_killed, static=True)
        tried.run("asked to end", tried.asked_to_end)
        tried.run("mirror killed", tried.mirror_killed)
        tried.run("searcher stands still", tried.searcher_stands_still)
        if not can_mount(trial.folder / "mounted"):
            trial.promise("disks can be mounted", ["run as root, or leave disks out"])
            return
        for where in ("mirror", "data"):
            tried.run_on_disk(where, "full", tried.full)
            tried.run_on_disk(where, "full over a restart", tried.full_over_a_restart)
            tried.run_on_disk(where, "read-only at the start", tried.read_only_at_the_start)


if __name__ == "__main__":
    run("outages", __doc__, outages)
