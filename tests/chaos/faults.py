"""The faults, and who injects them: one after another within a room, the rooms side by side.

Which fault comes when is decided by the seed alone. What it hits depends on the moment.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import psycopg

from pgqueue import Job
from tests.chaos.fleet import Fleet, Life
from tests.chaos.producers import Producers
from tests.chaos.proxy import Network
from tests.worker.server import Server

PATIENCE_SECONDS: Final = 5
"""After which our operator gives up a worker that looks alive but is silent, instead of the leader's two minutes."""


class Fault(NamedTuple):
    """at: seconds since the epoch when it struck; until: when its cause was lifted."""

    kind: str
    at: float
    until: float


class World:
    """All that faults may touch. dsn: of the server itself, past the proxy."""

    def __init__(self, dsn: str, server: Server, network: Network, fleet: Fleet, producers: Producers) -> None:
        self.dsn = dsn
        self.server = server
        self.network = network
        self.fleet = fleet
        self.producers = producers
        self.over = threading.Event()

    def pause(self, seconds: float) -> None:
        """Of a fault; cut short when the chaos is over."""
        self.over.wait(seconds)

    def do(self, work: Callable[[psycopg.Connection[Any]], object]) -> None:
        """Something on a connection of the operator's; again if the server goes away meanwhile."""
        while True:
            try:
                with psycopg.connect(self.dsn, autocommit=True) as db:
                    work(db)
                    return
            except psycopg.OperationalError:
                time.sleep(0.1)


class Room(threading.Thread):
    """Injects faults of some kinds until the chaos is over. kinds: name → how often, and what it does."""

    def __init__(self, world: World, seed: str, name: str, every: float, kinds: dict[str, tuple[int, Any]]) -> None:
        """every: seconds between two faults, on average."""
        super().__init__(name=f"chaos-{name}", daemon=True)
        self.faults: list[Fault] = []
        self.error: BaseException | None = None
        self._world = world
        self._rng = random.Random(f"{seed}/{name}")
        self._every = every
        self._kinds = kinds

    def run(self) -> None:
        try:
            while not self._world.over.wait(self._rng.expovariate(1 / self._every)):
                kind = self._rng.choices(list(self._kinds), [weight for weight, _ in self._kinds.values()])[0]
                at = time.time()
                chances = random.Random(self._rng.random())  # of its own: what it hits must not move what comes next
                self._kinds[kind][1](self._world, chances)
                self.faults.append(Fault(kind, at, time.time()))
        except BaseException as error:
            self.error = error


def rooms(world: World, seed: str, only: str | None = None) -> list[Room]:
    """All who inject faults, not started yet. only: the one kind to inject; None for all."""
    processes = {"SIGKILL": (5, kill), "SIGSTOP": (2, freeze), "SIGTERM": (2, stop), "killed by a job": (1, poison)}
    network = {"delay": (3, delay), "reset": (3, reset), "silence": (2, silence)}
    sessions = {f"{role} terminated": (1, terminate(role)) for role in ("lane", "bell", "steward", "handler")}
    restarts = {"immediate restart": (1, restart("immediate")), "fast restart": (1, restart("fast"))}
    plan = {
        "processes": (3.0, processes),
        "network": (2.0, network),
        "sessions": (1.5, sessions),
        "restarts": (12.0, restarts),
    }
    if only is not None:
        plan = {name: (every, {only: kinds[only]}) for name, (every, kinds) in plan.items() if only in kinds}
        assert plan, f"no fault is called {only}"
    return [Room(world, seed, name, every, kinds) for name, (every, kinds) in plan.items()]


def kill(world: World, rng: random.Random) -> None:
    if life := _one(world, rng):
        world.fleet.kill(life)


def stop(world: World, rng: random.Random) -> None:
    """A deploy: SIGTERM, and its successor starts at once."""
    if life := _one(world, rng):
        world.fleet.stop(life)


def freeze(world: World, rng: random.Random) -> None:
    """SIGSTOP for longer than patience; meanwhile an operator has it declared dead."""
    if not (life := _one(world, rng)):
        return
    life.frozen = True
    life.signal(signal.SIGSTOP)
    world.pause(PATIENCE_SECONDS + 0.5)
    world.do(lambda db: _give_up(db, life))
    world.pause(rng.uniform(0, 3))
    life.signal(signal.SIGCONT)
    life.frozen = False


def _give_up(db: psycopg.Connection[Any], life: Life) -> None:
    """Its last beat is made older than the longest patience; for the others, and for later looks, all is as ever."""
    db.execute(
        """update pgqueue.worker set heartbeat_at = heartbeat_at - interval '1 hour'
           where name = %s and heartbeat_at < clock_timestamp() - %s * interval '1 second'
               and died_at is null and stopped_at is null""",
        [life.name, PATIENCE_SECONDS - 1],
    )
    db.execute("select pgqueue.rescue()")


def poison(world: World, rng: random.Random) -> None:
    """A job whose handler ends its own process; after its attempts that must be over."""
    kind = rng.choice(["exits", "crashes"])

    def send(db: psycopg.Connection[Any]) -> None:
        db.autocommit = False
        world.producers.send(db, lambda batch: [Job(kind, {"batch": batch}, max_attempts=2)])

    world.do(send)


def delay(world: World, rng: random.Random) -> None:
    line = rng.choice(world.network.lines)
    line.delay = rng.uniform(0.02, 0.4)
    world.pause(rng.uniform(1, 4))
    line.heal()


def reset(world: World, rng: random.Random) -> None:
    for line in rng.choice([[rng.choice(world.network.lines)], world.network.lines]):
        line.reset()


def silence(world: World, rng: random.Random) -> None:
    """Nothing passes and nothing is refused, at times for longer than patience; then it passes, or breaks."""
    line = rng.choice(world.network.lines)
    line.silent = True
    world.pause(rng.choice([rng.uniform(0.5, 3), rng.uniform(4, 9)]))
    if rng.random() < 0.5:
        line.reset()
    line.heal()


def terminate(role: str) -> Callable[[World, random.Random], None]:
    """Ends one server process of that role, or all."""

    def strike(world: World, rng: random.Random) -> None:
        limit = rng.choice([1, 1, 100])
        world.do(
            lambda db: db.execute(
                """select pg_terminate_backend(s.pid) from (
                       select pid from pg_stat_activity where application_name = %s order by random() limit %s
                   ) s""",
                [f"pgqueue {role}", limit],
            )
        )

    return strike


def restart(how: str) -> Callable[[World, random.Random], None]:
    def strike(world: World, rng: random.Random) -> None:
        world.server.stop(how)
        time.sleep(rng.choice([0, 0, 1, 3]))
        world.server.start()

    return strike


def _one(world: World, rng: random.Random) -> Life | None:
    working = world.fleet.working()
    return rng.choice(working) if working else None
