"""The simulated cluster against closed forms, schedules worked out by hand, and a plain clock."""

import random
import sys
from itertools import pairwise, permutations
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from scale_simulation import Cluster, Job, critical_path, grouped, in_order, simulate


def graph_of(seconds, edges=(), **fields):
    """Jobs 0, 1, ... of these lengths; an edge (a, b) lets b wait for a."""
    return {
        key: Job(f"rule{key}", length, frozenset(a for a, b in edges if b == key), **fields)
        for key, length in enumerate(seconds)
    }


def random_graph(seed, n_jobs=30, cores=(1,)):
    draw = random.Random(seed)
    return {
        key: Job(
            "rule",
            draw.randint(1, 9),
            frozenset(a for a in range(key) if draw.random() < 0.12),
            cores=draw.choice(cores),
        )
        for key in range(n_jobs)
    }


def by_the_clock(graph, n_cores):
    """The makespan of a list schedule on one node, second by second; jobs in order of readiness."""
    now, queue, running, done = 0, [], {}, set()
    while len(done) < len(graph):
        for key in [key for key, end in running.items() if end == now]:
            done.add(key)
            del running[key]
        known = {*queue, *running, *done}
        queue += [key for key in graph if key not in known and graph[key].after <= done]
        for key in list(queue):
            if sum(graph[k].cores for k in running) + graph[key].cores <= n_cores:
                queue.remove(key)
                running[key] = now + graph[key].seconds
        now += 1
    return now - 1


@pytest.mark.parametrize("seed", range(10))
def test_one_core_takes_the_sum(seed):
    graph = random_graph(seed)
    outcome = simulate(graph, Cluster(nodes=1))
    assert outcome.makespan_s == sum(job.seconds for job in graph.values())
    assert outcome.efficiency == 1
    assert outcome.node_hours == outcome.charged_hours == outcome.makespan_s / 3600


@pytest.mark.parametrize("seed", range(10))
def test_endless_nodes_take_the_critical_path(seed):
    graph = random_graph(seed)
    outcome = simulate(graph, Cluster(nodes=len(graph)))
    chain = critical_path(graph)
    assert outcome.makespan_s == sum(graph[key].seconds for key in chain)
    assert all(a in graph[b].after for a, b in pairwise(chain))


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_is_the_plain_clocks(seed):
    graph = random_graph(seed, cores=(1, 2, 3))
    outcome = simulate(graph, Cluster(nodes=1, cores=4))
    assert outcome.makespan_s == by_the_clock(graph, 4)


@pytest.mark.parametrize("seed", range(20))
def test_every_schedule_is_possible(seed):
    graph, cluster = random_graph(seed, cores=(1, 2)), Cluster(nodes=3, cores=2, startup_s=1)
    outcome = simulate(graph, cluster)
    begin = {key: outcome.ended_s[key] - job.seconds - 1 for key, job in graph.items()}
    for key, job in graph.items():
        assert all(outcome.ended_s[before] <= begin[key] for before in job.after)
        at_once = [k for k in graph if begin[k] <= begin[key] < outcome.ended_s[k]]
        assert sum(graph[k].cores for k in at_once) <= cluster.nodes * cluster.cores


@pytest.mark.parametrize("seed", range(15))
def test_grahams_bound_holds(seed):
    """At most 2 - 1/m times the best schedule, which some order of the jobs gives (Graham 1969)."""
    graph = random_graph(seed, n_jobs=6)
    orders = ({key: -place for place, key in enumerate(p)} for p in permutations(graph))
    best = min(greedy(graph, ranks, n_nodes=2) for ranks in orders)
    found = simulate(graph, Cluster(nodes=2)).makespan_s
    assert best <= found <= 1.5 * best


def greedy(graph, ranks, n_nodes):
    """The makespan where the ready job of the highest rank starts on the first idle node."""
    free, ended = [0.0] * n_nodes, {}
    while len(ended) < len(graph):
        ready = [key for key in graph if key not in ended and graph[key].after <= set(ended)]
        soonest = {key: max([min(free), *(ended[a] for a in graph[key].after)]) for key in ready}
        first = min(soonest.values())
        key = max((k for k in ready if soonest[k] == first), key=ranks.get)
        node = free.index(min(free))
        ended[key] = free[node] = first + graph[key].seconds
    return max(ended.values())


def test_delays_add_up_along_a_chain():
    graph = graph_of([5, 7], [(0, 1)])
    assert simulate(graph, Cluster(nodes=9, startup_s=3, latency_s=2)).makespan_s == 22
    # Ends at 10 and 32 (2 + 3 + 5; seen at 20; 2 + 3 + 7) are seen at 20 and 40.
    assert simulate(graph, Cluster(9, startup_s=3, latency_s=2, poll_s=20)).makespan_s == 40


def test_looks_at_the_queue_become_rarer_while_nothing_ends():
    """Looks at 10, 25, 45 and 70 s see an end at 50 s at 70 s; the next is 10 s later again."""
    cluster = Cluster(nodes=1, poll_s=10, poll_step_s=5)
    assert simulate(graph_of([50, 1], [(0, 1)]), cluster).makespan_s == 80
    capped = Cluster(nodes=1, poll_s=10, poll_step_s=5, poll_limit_s=10)
    assert simulate(graph_of([50, 1], [(0, 1)]), capped).makespan_s == 60


def test_what_is_charged_is_what_jobs_hold():
    graph = {0: Job("a", 3500, cores=2), 1: Job("b", 1700, cores=4)}
    outcome = simulate(graph, Cluster(nodes=3, cores=4, startup_s=100))
    assert outcome.charged_hours == (3600 * 2 + 1800 * 4) / 4 / 3600
    assert outcome.node_hours == 3
    assert outcome.efficiency == (3500 * 2 + 1700 * 4) / (3 * 4 * 3600)


def test_submissions_come_one_after_the_other():
    outcome = simulate(graph_of([10] * 5), Cluster(nodes=5, submissions_per_s=0.5))
    assert sorted(outcome.ended_s.values()) == [10, 12, 14, 16, 18]


def test_no_more_jobs_in_the_queue_than_allowed():
    outcome = simulate(graph_of([10] * 5), Cluster(nodes=5, jobs_at_once=2))
    assert sorted(outcome.ended_s.values()) == [10, 10, 20, 20, 30]
    of_two = graph_of([10] * 5, cores=2)
    outcome = simulate(of_two, Cluster(nodes=5, cores=2, cores_at_once=6))
    assert sorted(outcome.ended_s.values()) == [10, 10, 10, 20, 20]


def test_the_important_job_goes_first():
    graph = {0: Job("short", 1), 1: Job("long", 9, priority=1), 2: Job("short", 1)}
    assert simulate(graph, Cluster(nodes=1)).ended_s == {1: 9, 0: 10, 2: 11}


def test_a_small_job_fills_the_gap_beside_a_large_one():
    graph = {0: Job("a", 4, cores=2), 1: Job("b", 4, cores=3), 2: Job("c", 4, cores=1)}
    assert simulate(graph, Cluster(nodes=1, cores=3)).ended_s == {0: 4, 2: 4, 1: 8}


def test_gpus_are_counted():
    graph = graph_of([5, 5, 5], gpus=1)
    assert simulate(graph, Cluster(nodes=1, cores=8, gpus=2)).makespan_s == 10


def test_a_group_runs_side_by_side_and_is_waited_for_as_one():
    graph = {key: Job("shard", 10 + key) for key in range(5)}
    graph[5] = Job("merge", 1, frozenset(range(5)))
    made = grouped(graph, ["shard"], size=4, cores=8)
    assert made == {
        0: Job("shard", 13, cores=4),
        4: Job("shard", 14),
        5: Job("merge", 1, frozenset({0, 4})),
    }
    narrow = grouped(graph, ["shard"], size=4, cores=2)
    assert narrow[0] == Job("shard", (10 + 11 + 12 + 13) / 2, cores=2)


def test_what_cannot_run_is_named():
    with pytest.raises(ValueError, match=r"job 0 \(rule0\) needs more"):
        simulate(graph_of([1], cores=2), Cluster(nodes=9))
    with pytest.raises(ValueError, match=r"a circle among the jobs \[0, 1\]"):
        in_order(graph_of([1, 1, 1], [(0, 1), (1, 0)]))
