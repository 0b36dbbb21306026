"""A run of the workflow on a cluster, simulated: list scheduling over the graph of its jobs.

Snakemake submits a job once it has noticed that all it waits for is done; the batch system starts
it, in the order of arrival, on the first node that has room. Four delays come in between: one
submission after the other, the batch system's own latency, the start-up of a job (an interpreter,
the rules, its imports), and the time until the next look at the queue, for ends are polled for.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Job:
    """One job of the graph."""

    rule: str
    seconds: float  # on `cores` and `gpus`, start-up not included
    after: frozenset[int] = frozenset()  # the jobs that have to be done before
    cores: int = 1
    gpus: int = 0
    priority: int = 0  # of two that are ready, the one with the larger is submitted first


Graph = Mapping[int, Job]  # by an id of the job


@dataclass(frozen=True)
class Cluster:
    """Equal nodes behind a batch system, and its delays; by default there are none."""

    nodes: int
    cores: int = 1  # of a node
    gpus: int = 0  # of a node
    startup_s: float = 0  # of each job, on its node
    latency_s: float = 0  # from the submission to the start on a node that is idle
    submissions_per_s: float = float("inf")
    jobs_at_once: float = float("inf")  # submitted and not known to be done
    cores_at_once: float = float("inf")  # of those
    poll_s: float = 0  # between two looks at the queue; 0: an end is known at once
    poll_step_s: float = 0  # added after a look that finds no end, taken back after one that does
    poll_limit_s: float = float("inf")


@dataclass(frozen=True)
class Outcome:
    """What a simulated run took."""

    makespan_s: float  # until the last end is known
    ended_s: Mapping[int, float]
    busy_core_s: float  # of the jobs' own work, start-up not included
    held_core_s: float  # start-up included
    cluster: Cluster

    @property
    def charged_hours(self) -> float:
        """Hours of nodes of the cores that jobs held, as batch systems charge them."""
        return self.held_core_s / self.cluster.cores / 3600

    @property
    def node_hours(self) -> float:
        """Hours of nodes that are held from the first submission to the end."""
        return self.cluster.nodes * self.makespan_s / 3600

    @property
    def efficiency(self) -> float:
        """Share of the held cores' time that jobs worked."""
        held = self.cluster.nodes * self.cluster.cores * self.makespan_s
        return self.busy_core_s / held if held else 1.0


def critical_path(graph: Graph, startup_s: float = 0) -> list[int]:
    """Give the ids of the longest chain of jobs, first to last; `ValueError` for a circle."""
    length: dict[int, float] = {}
    before: dict[int, int | None] = {}
    for key in in_order(graph):
        last = max(graph[key].after, key=lambda k: (length[k], -k), default=None)
        before[key] = last
        length[key] = graph[key].seconds + startup_s + (0 if last is None else length[last])
    chain: list[int] = []
    at = max(length, key=lambda k: (length[k], -k), default=None)
    while at is not None:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def in_order(graph: Graph) -> list[int]:
    """Give the ids so that each comes after those that it waits for; `ValueError` for a circle."""
    waiting = {key: len(job.after) for key, job in graph.items()}
    followers = _followers(graph)
    ready = [key for key, n in waiting.items() if not n]
    for key in ready:  # grows
        for follower in followers[key]:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if len(ready) < len(graph):
        raise ValueError(f"a circle among the jobs {sorted(set(graph) - set(ready))}")
    return ready


def grouped(graph: Graph, rules: Iterable[str], size: int, cores: int) -> dict[int, Job]:
    """Submit jobs of `rules` that wait for the same together, `size` side by side at most.

    A group has the cores of its jobs, `cores` at most (more go in turns), and ends with the last.
    """
    together: dict[tuple[str, frozenset[int]], list[int]] = defaultdict(list)
    for key, job in graph.items():
        if job.rule in set(rules):
            together[job.rule, job.after].append(key)
    head: dict[int, int] = {}  # job -> the id that its group has
    made = dict(graph)
    for keys in together.values():
        for start in range(0, len(keys), size):
            group = keys[start : start + size]
            jobs = [graph[key] for key in group]
            wide = min(sum(job.cores for job in jobs), cores)
            longest = max(job.seconds for job in jobs)
            work = sum(job.seconds * job.cores for job in jobs)
            for key in group:
                head[key] = group[0]
                del made[key]
            made[group[0]] = replace(jobs[0], seconds=max(longest, work / wide), cores=wide)
    return {
        key: replace(job, after=frozenset(head.get(k, k) for k in job.after))
        for key, job in made.items()
    }


def simulate(graph: Graph, cluster: Cluster) -> Outcome:
    """Run the graph on the cluster.

    Raises:
        ValueError: a circle, or a job that no node has room for.
    """
    in_order(graph)
    for key, job in graph.items():
        if job.cores > cluster.cores or job.gpus > cluster.gpus:
            raise ValueError(f"job {key} ({job.rule}) needs more than a node has: {job}")
    return _Run(graph, cluster).outcome()


class _Run:
    """The state of a simulated run: what Snakemake knows, the queue, the nodes, the events."""

    def __init__(self, graph: Graph, cluster: Cluster):
        self.graph, self.cluster = graph, cluster
        self.followers = _followers(graph)
        self.waiting = {key: len(job.after) for key, job in graph.items()}
        self.ready: list[tuple[int, int]] = []  # (-priority, id), a heap
        self.next_submission_s = 0.0
        self.in_flight = self.cores_in_flight = 0
        self.queue: dict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
        self.n_arrived = 0
        self.free = [(cluster.cores, cluster.gpus)] * cluster.nodes
        self.place: dict[int, int] = {}
        self.ended_s: dict[int, float] = {}
        self.unnoticed: list[int] = []
        self.interval_s = cluster.poll_s
        self.polling = False
        self.events: list[tuple[float, int, str, int]] = []  # time, order of making, what, job
        self.n_events = 0

    def outcome(self) -> Outcome:
        for key, n in self.waiting.items():
            if not n:
                self._get_ready(key)
        self._submit(0.0)
        now = 0.0
        while self.events:
            now = self.events[0][0]
            while self.events and self.events[0][0] == now:
                _, _, what, key = heapq.heappop(self.events)
                getattr(self, f"_{what}")(now, key)
                at_once = not self.events or self.events[0][0] > now
                if at_once and self.unnoticed and not self.cluster.poll_s:
                    self._notice(now)
            self._start(now)
        work = sum(job.seconds * job.cores for job in self.graph.values())
        startups = self.cluster.startup_s * sum(job.cores for job in self.graph.values())
        return Outcome(now, self.ended_s, work, work + startups, self.cluster)

    def _at(self, time_s: float, what: str, key: int = -1) -> None:
        heapq.heappush(self.events, (time_s, self.n_events, what, key))
        self.n_events += 1

    def _get_ready(self, key: int) -> None:
        heapq.heappush(self.ready, (-self.graph[key].priority, key))

    def _submit(self, now: float) -> None:
        while self.ready and self.in_flight < self.cluster.jobs_at_once:
            cores = self.graph[self.ready[0][1]].cores
            if self.in_flight and self.cores_in_flight + cores > self.cluster.cores_at_once:
                break
            _, key = heapq.heappop(self.ready)
            submitted_s = max(now, self.next_submission_s)
            self.next_submission_s = submitted_s + 1 / self.cluster.submissions_per_s
            self.in_flight += 1
            self.cores_in_flight += cores
            self._at(submitted_s + self.cluster.latency_s, "arrive", key)
        if self.in_flight and self.cluster.poll_s and not self.polling:
            self.polling = True
            self._at(now + self.interval_s, "poll")

    def _arrive(self, now: float, key: int) -> None:
        job = self.graph[key]
        self.queue[job.cores, job.gpus].append((self.n_arrived, key))
        self.n_arrived += 1

    def _start(self, now: float) -> None:
        """Start what fits, first come first served; a later job may fill what an earlier cannot."""
        nodes = dict.fromkeys(self.queue, 0)  # the first that may have room for the shape
        while nodes:
            shape = min(nodes, key=lambda s: self.queue[s][0])
            node = nodes[shape]
            while node < len(self.free) and not _fits(shape, self.free[node]):
                node += 1
            nodes[shape] = node
            if node == len(self.free):
                del nodes[shape]
                continue
            _, key = self.queue[shape].popleft()
            if not self.queue[shape]:
                del nodes[shape], self.queue[shape]
            cores, gpus = self.free[node]
            self.free[node] = cores - shape[0], gpus - shape[1]
            self.place[key] = node
            self._at(now + self.cluster.startup_s + self.graph[key].seconds, "end", key)

    def _end(self, now: float, key: int) -> None:
        job, (cores, gpus) = self.graph[key], self.free[self.place[key]]
        self.free[self.place[key]] = cores + job.cores, gpus + job.gpus
        self.ended_s[key] = now
        self.unnoticed.append(key)

    def _poll(self, now: float, _: int) -> None:
        self.polling = False
        if self.unnoticed:
            self.interval_s = self.cluster.poll_s
        else:
            step = self.interval_s + self.cluster.poll_step_s
            self.interval_s = min(step, self.cluster.poll_limit_s)
        self._notice(now)

    def _notice(self, now: float) -> None:
        self.in_flight -= len(self.unnoticed)
        for key in self.unnoticed:
            self.cores_in_flight -= self.graph[key].cores
            for follower in self.followers[key]:
                self.waiting[follower] -= 1
                if not self.waiting[follower]:
                    self._get_ready(follower)
        self.unnoticed = []
        self._submit(now)


def _fits(shape: tuple[int, int], free: tuple[int, int]) -> bool:
    return shape[0] <= free[0] and shape[1] <= free[1]


def _followers(graph: Graph) -> dict[int, Sequence[int]]:
    followers: dict[int, list[int]] = {key: [] for key in graph}
    for key, job in graph.items():
        for before in job.after:
            followers[before].append(key)
    return followers  # type: ignore[return-value]
