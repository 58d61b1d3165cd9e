"""From a plan to an executor: which one, with how many workers, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

from bench import datasets
from bench.environment import choose_device
from bench.errors import InvalidValue
from bench.executors import wanted
from bench.executors.devices import masks
from bench.executors.graph import Agenda, Distil, Examine, Node, build, side_by_side, urgencies
from bench.executors.local import Handle, Pool, run_here
from bench.executors.resources import Claim, on_cpu, on_gpu
from bench.store import Store
from bench.worker import Event, Finished, Settings, abandoned, perform

if TYPE_CHECKING:
    from bench.estimates import Estimates, Seconds
    from bench.executors.cluster import Machines
    from bench.failures import Failed
    from bench.runner import Options, Plan


def dispatch(plan: Plan, handle: Handle, estimates: Estimates | None) -> None:
    """Do what is left of ``plan``.

    Args:
        plan: what to do.
        handle: called in this process with all events.
        estimates: how long work takes; without them all work is taken to be alike.

    Raises:
        InvalidValue: options that do not go together, or a device that is not here.
        BenchError: what a worker met and the user must put right.
    """
    options = plan.options
    if options.executor == "ray":
        _on_ray(plan, handle, estimates)
        return
    if options.ray_address is not None:
        raise InvalidValue("--ray-address belongs to --executor ray; add it or leave both out.")
    gpus = _gpus(options)
    workers = options.jobs or len(gpus) or (cores() if _on_cpu(options) else 1)
    # work that may have to be killed gets a process of its own, however little it is
    if min(workers, len(plan.jobs)) == 1 and options.timeout is None and _on_cpu(options):
        run_here(plan.jobs, _settings(plan, threads=_threads(1)), lambda event: handle([event]))
        return
    nodes = nodes_of(plan) if _on_cpu(options) else side_by_side(nodes_of(plan))
    pool = Pool(workers=min(workers, len(nodes)), masks=gpus, timeout=options.timeout)
    settings = _settings(plan, threads=_threads(pool.workers))
    finished: set[str] = set()

    def note(events: Sequence[Event]) -> None:
        finished.update(event.record.id for event in events if isinstance(event, Finished))
        handle(events)

    def lost(node: Node, failure: Failed) -> None:
        if isinstance(node, Examine):
            note(abandoned(node, finished, failure, settings))

    pool.run(Agenda(nodes, expected(nodes, estimates)), settings, perform, note, lost)


def _on_ray(plan: Plan, handle: Handle, estimates: Estimates | None) -> None:
    try:
        from bench.executors import cluster, ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InvalidValue(
            "--executor ray needs Ray; install it: pip install 'distillation-bench[ray]'."
        ) from error
    options, nodes = plan.options, nodes_of(plan)
    if options.ray_address and options.jobs:
        raise InvalidValue("--jobs is for one machine; a Ray cluster knows its own. Leave it out.")
    with cluster.connected(options.ray_address, options.jobs):
        machines = cluster.machines()
        settings = _settings(plan, threads=1, device=device_on(machines, options.device))
        if settings.device != "cpu":
            nodes = side_by_side(nodes)
        urgent = urgencies(nodes, expected(nodes, estimates))
        nodes.sort(key=lambda node: -urgent[node.key])  # stable: what is needed stays before
        claim = _claims(plan, nodes, machines, on_gpus=settings.device == "cuda")
        ray.run(nodes, settings, perform, handle, claim=claim, timeout=options.timeout)


def device_on(machines: Machines, wanted: str) -> str:
    """Where workers of a cluster keep their tensors.

    Raises:
        InvalidValue: the cluster has no such device.
    """
    if wanted == "auto":
        return "cpu" if machines.gpu_bytes is None else "cuda"
    if wanted == "cpu" or (wanted == "cuda" and machines.gpu_bytes is not None):
        return wanted
    raise InvalidValue(
        f"The cluster has no device {wanted!r}; give 'auto' or 'cpu', or 'cuda' where it has GPUs."
    )


def _claims(
    plan: Plan, nodes: Sequence[Node], machines: Machines, *, on_gpus: bool
) -> Callable[[Node], Claim]:
    """What each node claims of a machine, from forecasts that the cluster makes."""
    from bench.executors.cluster import answers
    from bench.expectations import peak_bytes, questions
    from bench.profiling.rules import load_rules

    root = plan.options.data_root
    rules = load_rules("efficiency", plan.rules.tier)
    asked = {node.key: questions(node, rules) for node in nodes}
    every = [question for phases in asked.values() for question in phases]
    found = answers(every, plan.references, root)
    data = {
        name: 4
        * prod(datasets.describe(text, data_root=root).shape)
        * (datasets.facts(text, data_root=root).train_count or 0)
        for name, text in plan.references.items()
    }

    def claim(node: Node) -> Claim:
        phases = asked[node.key]
        peak = peak_bytes([found[question.key] for question in phases])
        if peak is not None and isinstance(node, Examine):
            peak *= len(node.students)
        data_bytes = data[phases[0].plan.dataset]
        if on_gpus and machines.gpu_bytes is not None:
            return on_gpu(peak, data_bytes, machines.gpu_bytes, rules.allowances)
        return on_cpu(peak, data_bytes, machines.memory_bytes)

    return claim


def nodes_of(plan: Plan) -> list[Node]:
    """What is left of a plan as a graph, each node after those that it needs."""
    store, fresh = Store(plan.options.store), plan.options.fresh
    return build(plan.jobs, wanted.for_sources(store, fresh=fresh), wanted.for_student)


def _settings(plan: Plan, *, threads: int, device: str | None = None) -> Settings:
    return Settings(
        store=plan.options.store,
        data_root=plan.options.data_root,
        references=plan.references,
        device=device or plan.options.device,
        threads=threads,
        fresh=plan.options.fresh,
        strategy=plan.options.strategy,
    )


def expected(nodes: Sequence[Node], estimates: Estimates | None) -> dict[str, float]:
    """Seconds that nodes are expected to take, by key.

    Work that was never measured is taken to be as long as the longest that was: if it is long, it
    must not be begun last.
    """
    if estimates is None:
        return {}
    found: dict[str, Seconds] = {}
    for node in nodes:
        if isinstance(node, Distil):
            found[node.key] = estimates.source(node.plan)
        elif isinstance(node, Examine):
            students = [estimates.student(trials[0]) for trials in node.students]
            found[node.key] = sum(students[1:], students[0])
    longest = max((seconds.known for seconds in found.values()), default=0.0)
    return {key: longest if value.unknown else value.known for key, value in found.items()}


def _on_cpu(options: Options) -> bool:
    return choose_device(options.device).type == "cpu"


def _gpus(options: Options) -> tuple[str, ...]:
    """What each worker is shown where all GPUs of this machine may be used; else nothing."""
    import torch

    if choose_device(options.device) != torch.device("cuda"):
        return ()
    return masks(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())


def _threads(workers: int) -> int:
    """Threads of each worker: the cores shared out, but no more than ``OMP_NUM_THREADS`` says."""
    share = max(1, cores() // workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdecimal() and int(asked) else share


def cores() -> int:
    """CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1
