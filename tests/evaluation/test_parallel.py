"""Students side by side: how many, in which order, and that none is left behind."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation import evaluate
from bench.evaluation.parallel import Turns, at_once, length
from tests.evaluation.students import PLAIN, hard_set
from tests.fakes import NETWORK, tiny_pair

EPOCHS = 6


@given(students=st.integers(1, 40), cores=st.integers(1, 16))
def test_students_side_by_side_are_done_no_later_than_one_a_core(students: int, cores: int) -> None:
    together = at_once(students, cores)
    assert min(students, cores) <= together <= students
    assert length(students, cores, together) <= math.ceil(students / cores)
    assert length(students, cores, together) >= students / cores - 1e-9


def test_five_students_on_two_cores_go_three_and_two() -> None:
    assert at_once(5, 2) == 3
    assert length(5, 2, 3) == 2.5


def test_torch_keeps_its_threads_while_students_run_side_by_side() -> None:
    before = torch.get_num_threads()
    evaluate(hard_set(), NETWORK, PLAIN, tiny_pair().test, [0, 1], strategy="parallel")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("students", "most"), [(3, 1), (3, 2), (5, 2), (4, 4)])
def test_students_take_turns_and_no_more_run_than_there_are_cores(students: int, most: int) -> None:
    turns, running = Turns(most), 0
    done, seen, lock = [0] * students, list[tuple[int, int]](), threading.Lock()

    def train(student: int) -> None:
        nonlocal running
        with turns.taken():
            for _ in range(EPOCHS):
                with lock:
                    running += 1
                time.sleep(0.001)
                with lock:
                    done[student] += 1
                    seen.append((running, max(done) - min(done)))
                    running -= 1
                turns.give_way()

    with ThreadPoolExecutor(students) as pool:
        with ExitStack() as until_all_are_in_line:
            for _ in range(most):
                until_all_are_in_line.enter_context(turns.taken())
            training = [pool.submit(train, student) for student in range(students)]
            while turns.waiting < students:
                time.sleep(0.001)
        for future in training:
            future.result()
    assert done == [EPOCHS] * students
    assert max(running for running, _ in seen) <= most
    if most == 1:  # of two that run, the machine may let one be slow
        assert max(ahead for _, ahead in seen) == 1


def test_who_fails_leaves_the_turn_to_others() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="diverged"), turns.taken():
        raise ValueError("diverged")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(turns.taken().__enter__).result(timeout=10)
