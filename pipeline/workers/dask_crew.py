"""The workers of a Dask cluster.

At most PER_WORKER jobs a worker are on their way, so that a worker need not wait for the next one
and little is lost with it. A job whose worker dies is sent again; `deaths` says how often. Where
the scheduler is away, or lost what all jobs share, the same is sent anew.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import InputError
from pipeline.process import first_line
from pipeline.provenance import program, versions
from pipeline.workers.crew import Do, Done, Job, Tell
from pipeline.workers.deaths import MOST, Deaths
from pipeline.workers.on_worker import BEGAN, SHARE, Broken, Order, carry_out
from pipeline.workers.packed import Packed
from pipeline.workers.same_program import NO_LARIAT, check_programs, refuse

if TYPE_CHECKING:
    from distributed import Client, Future

PER_WORKER = 2
"""Jobs that are on their way: the one that is done, and the next."""

FAILURES = 3
"""Errors of a job, on whatever workers, after which its error is the study's."""

LOOK_SECONDS = 1.0
"""How often workers are counted while jobs are done."""

FIRST_SECONDS, WAIT_SECONDS, AGAIN_SECONDS = 60.0, 600.0, 2.0
"""How long a scheduler is waited for that never answered, and one that went away; how often it is
tried."""

SAY_SECONDS, SAY_FIRST_SECONDS = 60.0, 10.0
"""That there is no worker is said no more often than this, and not while they may just start."""

RESULT_SECONDS = 300.0
"""How long the result of a job that has ended may take to arrive."""

Say = Callable[[str], None]


class Cluster(Protocol):
    """Where a crew's scheduler is.

    name         as in a sentence: `the scheduler tcp://host:8786`
    may_be_away  whether it is another process, which may come back
    expected     workers that are on their way at least
    """

    name: str
    may_be_away: bool
    expected: int

    def begin(self) -> None:
        """Start what `connect` would start, where that is better done early."""
        ...

    def connect(self) -> Client:
        """A new client of the scheduler; OSError where it does not answer."""
        ...

    def mend(self, workers: int) -> None:
        """So many workers are there: start those that are missing, where that is ours to do."""
        ...

    def close(self) -> None:
        """End what `connect` started; in seconds, whatever is being done."""
        ...


@dataclass(eq=False)
class _Ticket:
    """A job on its way: tried how often, and what became of that."""

    job: Any
    key: str = ""
    future: Future | None = None
    began_on: str | None = None
    share: float = 0.0
    deaths: int = 0
    unseen: int = 0
    failures: int = 0


@dataclass(eq=False)
class _Round:
    """The jobs of one call of `each`."""

    do: Do
    packed: Packed
    topic: str = field(default_factory=lambda: f"lariat-{uuid.uuid4().hex}")
    listens_at: Client | None = None
    flying: dict[str, _Ticket] = field(default_factory=dict)
    again: deque[_Ticket] = field(default_factory=deque)
    ended: SimpleQueue[str] = field(default_factory=SimpleQueue)


class DaskCrew:
    """A `Crew` of Dask workers; a context manager that ends them."""

    def __init__(self, cluster: Cluster, say: Say):
        """say(sentence) tells the user what happens to workers."""
        self._cluster, self._say = cluster, say
        self._client: Client | None = None
        self._workers: dict[str, int] = {}
        self._asked: set[str] = set()  # whether they have this program
        self._counted = self._said = 0.0
        self._was_connected = False
        self._deaths = Deaths()
        self._shared: object = None
        self._packed: Packed | None = None
        self._scattered: Future | None = None

    def __enter__(self) -> DaskCrew:
        return self

    def __exit__(self, *error: object) -> None:
        self.rest()

    def begin(self) -> None:
        """Processes of this machine start: call it while there is something else to do."""
        self._cluster.begin()

    def rest(self) -> None:
        """As `Crew.rest`."""
        self._disconnect()
        self._cluster.close()

    @property
    def size(self) -> int:
        """Workers as they were counted last, and those of this machine that are still to come."""
        return max(len(self._workers), self._cluster.expected)

    @property
    def cores(self) -> int:
        """Of the least worker."""
        return min(self._workers.values(), default=1)

    # The connection

    def _connected(self) -> Client:
        """The client, a new one where the scheduler was away; waits for it."""
        if self._client is not None and self._client.status == "running":
            return self._client
        self._disconnect()
        patience = WAIT_SECONDS if self._was_connected else FIRST_SECONDS
        until, is_announced = time.monotonic() + patience, False
        while True:
            try:
                self._client = self._cluster.connect()
                self._counted, self._was_connected = 0.0, True
                self._said = time.monotonic() - max(SAY_SECONDS - SAY_FIRST_SECONDS, 0.0)
                return self._client
            except OSError as error:
                trouble = first_line(error)
            if not self._cluster.may_be_away or time.monotonic() > until:
                raise InputError(
                    f"{self._cluster.name} must answer, but: {trouble}; what was finished is kept, "
                    "and the same command goes on from here"
                )
            if not is_announced:
                self._say(f"waiting for {self._cluster.name}: {trouble}")
                is_announced = True
            time.sleep(AGAIN_SECONDS)

    def _disconnect(self) -> None:
        if self._client is not None:
            with suppress(Exception):
                self._client.close(timeout=2)
        self._client, self._workers, self._scattered = None, {}, None
        self._asked = set()

    def _count(self, client: Client) -> None:
        """Look which workers there are, now and then."""
        now = time.monotonic()
        if now - self._counted < LOOK_SECONDS:
            return
        self._counted = now
        workers = client.nthreads()
        if new := workers.keys() - self._asked:
            check_programs(client, new, of_scheduler=not self._asked)
        self._asked = set(workers)
        self._workers = dict(client.sync(client.scheduler.ncores_running))  # without paused ones
        self._cluster.mend(len(workers))
        if not self._workers and now > self._said + SAY_SECONDS:
            self._said = now
            why = "there is none"
            if workers:
                why = (
                    f"Dask has paused all {len(workers)}, which have used most of the memory that "
                    "they may; give them more (`--memory-limit`)"
                )
            self._say(f"waiting for workers of {self._cluster.name}: {why}")

    # The jobs

    def each(
        self, do: Do, shared: object, jobs: Iterable[Job], on_progress: Tell | None = None
    ) -> Iterator[Done]:
        """As `Crew.each`.

        Raises InputError where the scheduler stays away, or where workers have another program; a
        job's own error after its third.
        """
        source = iter(jobs)
        if self._packed is None or shared is not self._shared:
            self._shared, self._packed, self._scattered = shared, Packed.of(shared), None
        round_ = _Round(do, self._packed)
        try:
            more = True
            while more or round_.flying or round_.again:
                try:
                    client = self._connected()
                    self._count(client)
                    more = self._fill(round_, source, client) and more
                    ticket = self._ended(round_)
                    done = self._done(round_, ticket) if ticket else None
                except OSError:
                    self._lost(round_)
                    continue
                if done is not None:
                    yield done
                if on_progress is not None and round_.flying:
                    on_progress(sum(ticket.share for ticket in round_.flying.values()))
        finally:
            self._drop(round_)

    def _fill(self, round_: _Round, source: Iterator, client: Client) -> bool:
        """Send jobs until every worker has its own and the next; False where there are no more."""
        there = len(self._workers)
        each = PER_WORKER if there >= self._cluster.expected else 1  # those to come find some
        while len(round_.flying) < each * there:
            if round_.again:
                ticket = round_.again.popleft()
            else:
                try:
                    ticket = _Ticket(next(source))
                except StopIteration:
                    return False
            round_.again.appendleft(ticket)  # until it is on its way
            self._send(round_, ticket, client)
            round_.again.remove(ticket)
        return True

    def _everywhere(self, packed: Packed, client: Client) -> Future:
        """What all jobs share, on the workers: sent once, and again where all who had it died."""
        gone = ("cancelled", "lost", "error")
        if self._scattered is None or self._scattered.status in gone:
            key = f"lariat-{packed.fingerprint}"
            try:
                self._scattered = client.scatter({key: packed}, broadcast=True)[key]
            except ValueError as error:  # all were paused since they were counted, or left
                raise TimeoutError("no worker to send to") from error
        return self._scattered

    def _send(self, round_: _Round, ticket: _Ticket, client: Client) -> None:
        if round_.listens_at is not client:
            client.subscribe_topic(round_.topic, lambda event: _heard(round_, event))
            round_.listens_at = client
        shared = self._everywhere(round_.packed, client)
        ticket.key, ticket.began_on, ticket.share = f"lariat-{uuid.uuid4().hex}", None, 0.0
        work = pickle.dumps((round_.do, ticket.job), protocol=5)
        order = Order(ticket.key, round_.topic, program(), versions(), work)
        ticket.future = client.submit(
            carry_out,
            order,
            shared,
            key=ticket.key,
            pure=False,
            priority=ticket.deaths + ticket.failures,
        )
        round_.flying[ticket.key] = ticket
        ticket.future.add_done_callback(lambda future: round_.ended.put(future.key))

    def _ended(self, round_: _Round) -> _Ticket | None:
        """A job that has ended in whatever way, taken from those on their way; None in between."""
        try:
            key = round_.ended.get(timeout=LOOK_SECONDS)
        except Empty:
            key = next((k for k, t in round_.flying.items() if t.future and t.future.done()), "")
        return round_.flying.pop(key, None)

    def _done(self, round_: _Round, ticket: _Ticket) -> Done | None:
        """What became of a job; None where it is sent again."""
        assert ticket.future is not None
        try:
            done = ticket.future.result(timeout=RESULT_SECONDS)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "FutureCancelledError":
                raise  # asked to stop
            return self._failed(round_, ticket, error)
        finally:
            ticket.future = None
        self._deaths.ended()
        if isinstance(done, Broken):
            return self._broken(round_, ticket, pickle.loads(done.error))
        result, processor = done
        return Done(ticket.job, result, processor=processor)

    def _failed(self, round_: _Round, ticket: _Ticket, error: BaseException) -> Done | None:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        if isinstance(error, KilledWorker):
            return self._died(round_, ticket, error.allowed_failures + 1)
        if isinstance(error, (FutureCancelledError, TimeoutError, OSError)):
            if self._is_gone(ticket.began_on):  # the last worker, and with it what all share
                return self._died(round_, ticket, 1)
            round_.again.append(ticket)  # its result, or what it needs, went with a worker
            return None
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("pipeline"):
            refuse("one worker", NO_LARIAT + first_line(error))  # it joined a moment ago
        return self._broken(round_, ticket, error)

    def _broken(self, round_: _Round, ticket: _Ticket, error: BaseException) -> Done | None:
        """A job's own error: sent again, for what is wrong with one worker; raised at last."""
        if isinstance(error, InputError):
            raise error
        ticket.failures += 1
        if ticket.failures >= FAILURES:
            if isinstance(error, OSError):
                raise InputError(
                    f"workers must be able to read and write their files, but {ticket.began_on} "
                    f"says: {first_line(error)}; mend it there, and the same command goes on"
                ) from error
            raise error
        self._say(f"an error on a worker, {first_line(error)}: the job is sent again")
        round_.again.append(ticket)
        return None

    def _is_gone(self, worker: str | None) -> bool:
        """Whether a job began on a worker that the scheduler, which answers, does not have now."""
        if worker is None or self._client is None:
            return False
        try:
            return worker not in self._client.nthreads()
        except OSError:
            return False

    def _died(self, round_: _Round, ticket: _Ticket, times: int) -> Done | None:
        """Its worker died; a job that had not begun has no part in that."""
        if ticket.began_on is None and ticket.unseen < MOST:  # else it dies before it tells
            ticket.unseen += 1
            round_.again.append(ticket)
            return None
        for _ in range(times):
            ticket.deaths += 1
            self._deaths.died()
        if self._deaths.nobody_lives(ticket.deaths):
            raise InputError(
                f"workers must live through their work, but they died {MOST} times and finished "
                "none, as those do whose memory is too small: give them more; the same command "
                "goes on from here"
            )
        if ticket.deaths < self._deaths.allowed(ticket.deaths):
            self._say(f"the worker {ticket.began_on or ''} died; what it was doing is done again")
            round_.again.appendleft(ticket)
            return None
        reason = (
            f"its worker died {ticket.deaths} times while it trained, as one does whose memory is "
            "too small; the same command trains it again"
        )
        return Done(ticket.job, None, given_up=reason)

    def _lost(self, round_: _Round) -> None:
        """The scheduler does not answer: everything on its way is sent anew."""
        self._disconnect()
        round_.again.extendleft(reversed(round_.flying.values()))
        round_.flying.clear()

    def _drop(self, round_: _Round) -> None:
        """Nothing of this round is wanted any more."""
        futures = [ticket.future for ticket in round_.flying.values() if ticket.future is not None]
        if self._client is not None and futures:
            with suppress(Exception):
                self._client.cancel(futures, force=True)
        if self._client is not None and round_.listens_at is self._client:
            with suppress(Exception):
                self._client.unsubscribe_topic(round_.topic)
        round_.flying.clear()


def _heard(round_: _Round, event: tuple[float, Any]) -> None:
    """A worker tells that it begins a job, or how far it is; in Dask's own thread."""
    told = event[1]
    if isinstance(told, dict) and (ticket := round_.flying.get(told.get("key", ""))) is not None:
        ticket.began_on = told.get(BEGAN, ticket.began_on)
        ticket.share = float(told.get(SHARE, ticket.share))
