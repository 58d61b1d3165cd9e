"""Worker processes with work of the tests' own: what is late, lost, or seen by which worker."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import pytest

from bench.errors import MissingData
from bench.executors.devices import masks
from bench.executors.graph import Agenda, Node
from bench.executors.local import Perform, Pool
from bench.failures import Failed

LATE = "TimeoutError: not done after 0.5 s (--timeout)"


def by_name(
    node: Node, settings: object, emit: object, failures: Mapping[str, Failed]
) -> Failed | None:
    """Do what the node's key says; tell its key and the GPU that is seen."""
    assert callable(emit)
    emit((node.key, os.environ.get("CUDA_VISIBLE_DEVICES")))
    kind = node.key.partition(" ")[0]
    if kind == "hangs":
        while True:
            time.sleep(0.05)
            emit((node.key, "still there"))
    if kind == "lasts":
        time.sleep(1)
    if kind == "dies":
        os._exit(3)
    if kind == "faults":
        raise MissingData("Get it.")
    return Failed("diverged", "nan") if kind == "fails" else next(iter(failures.values()), None)


def work(*keys: str, **needs: tuple[str, ...]) -> list[Node]:
    return [Node(key=key, job="job", needs=needs.get(key, ())) for key in keys]


def run(
    pool: Pool, nodes: list[Node], perform: Perform = by_name
) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    """What was told, and which nodes were lost why."""
    told: list[tuple[str, str | None]] = []
    lost: dict[str, str] = {}

    def note(node: Node, failure: Failed) -> None:
        lost[node.key] = failure.reason

    settings: object = None
    pool.run(Agenda(nodes, {}), settings, perform, told.extend, note)  # type: ignore[arg-type]
    return told, lost


class Several(Node):
    """A node of so many pieces that its time is ample."""

    @property
    def pieces(self) -> int:
        return 1000


def test_a_node_of_several_pieces_has_the_time_of_all() -> None:
    nodes: list[Node] = [Several(key="lasts", job="job")]
    _, lost = run(Pool(workers=1, timeout=0.5), nodes)
    assert lost == {}


def test_what_hangs_is_given_up_and_the_rest_is_done() -> None:
    told, lost = run(Pool(workers=1, timeout=0.5), work("hangs", "works", "hangs too", "is last"))
    assert lost == {"hangs": LATE, "hangs too": LATE}
    assert {key for key, _ in told} == {"hangs", "works", "hangs too", "is last"}


def test_a_process_that_dies_takes_its_own_work_along() -> None:
    told, lost = run(Pool(workers=2), work("dies", "works", "dies again", "is last"))
    reason = "ChildProcessError: the worker process ended with exit code 3"
    assert lost == {"dies": reason, "dies again": reason}
    assert {"works", "is last"} < {key for key, _ in told}


def test_what_waits_for_lost_or_failed_work_learns_how_it_went() -> None:
    learnt: list[tuple[str, str | None]] = []
    needs = {"after": ("dies",), "later": ("fails",), "apart": ("works",)}
    nodes = work("dies", "fails", "works", "after", "later", "apart", **needs)
    agenda = Agenda(nodes, {})
    settings: object = None
    Pool(workers=1).run(
        agenda,
        settings,  # type: ignore[arg-type]
        by_name,
        lambda events: None,
        lambda node, failure: learnt.append((node.key, failure.reason)),
    )
    before = {node.key: agenda.failures_before(node) for node in nodes[3:]}
    assert {
        key: [failure.status for failure in found.values()] for key, found in before.items()
    } == {
        "after": ["failed"],
        "later": ["diverged"],
        "apart": [],
    }
    assert [key for key, _ in learnt] == ["dies"]


def test_what_the_user_must_put_right_ends_the_run() -> None:
    with pytest.raises(MissingData, match="Get it"):
        run(Pool(workers=2), work("hangs", "faults"))


def test_every_worker_sees_one_gpu_in_turn() -> None:
    told, _ = run(Pool(workers=2, masks=("5", "7")), work(*(f"works {i}" for i in range(40))))
    assert {gpu for _, gpu in told} <= {"5", "7"}
    told, _ = run(Pool(workers=1, masks=("5", "7")), work("works"))
    assert told == [("works", "5")]


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [
        (None, 3, ("0", "1", "2")),
        (None, 0, ()),
        ("2,5", 2, ("2", "5")),
        ("GPU-8932f937, 3", 2, ("GPU-8932f937", "3")),
        ("4,6,7", 2, ("4", "6")),  # the last is none that can be used
        ("", 0, ()),
    ],
)
def test_masks_follow_what_is_visible(
    visible: str | None, count: int, expected: tuple[str, ...]
) -> None:
    assert masks(visible, count) == expected
