"""Any number of threads may call any method: nothing is lost, torn or credited to the wrong arm."""

import sys
import threading

import numpy as np
import pytest
from checks import run_together

from seedbed.bandits import Bandit, Thompson
from seedbed.bandits._table import FIRST


@pytest.fixture(autouse=True)
def switch_often():
    """Let threads interrupt each other between almost any two bytecodes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_no_update_is_lost_beside_growth_and_selects():
    bandit = Bandit(Thompson(), range(10), seed=1)
    bandit.update(0, 1.0)
    bandit.select()
    singles, batches, size = 4_000, 40, 200

    def single(worker):
        for i in range(singles):
            bandit.update((i + worker) % 10, 1.0 if worker % 2 else 0.0)

    def batch():
        for _ in range(batches):
            bandit.update([i % 10 for i in range(size)], np.ones(size))

    def grow():
        for i in range(40):
            bandit.add_arms(range(1_000 * (i + 1), 1_000 * (i + 1) + 50))

    def select():
        for _ in range(500):
            assert bandit.select().arms
            assert set(bandit.select(range(10), k=3).arms) <= set(range(10))

    run_together(*(lambda w=w: single(w) for w in range(4)), batch, batch, grow, select)
    events = 1 + 4 * singles + 2 * batches * size
    assert bandit.updates == events
    columns = bandit.rows(range(10))
    assert bandit._table[FIRST + 2 : FIRST + 4, columns].sum() == events
    assert bandit._table[FIRST + 2, columns].sum() == 1 + 2 * singles + 2 * batches * size
    assert len(bandit) == 2_010


def test_no_reward_reaches_the_arm_that_took_over_a_column():
    bandit = Bandit(Thompson(), ["keep"], seed=1)
    bandit.update("keep", 1.0)
    stop = threading.Event()

    def churn():
        for i in range(1_500):
            bandit.add_arms([f"old{i}"])
            bandit.retire_arms([f"old{i}"])
            bandit.add_arms([f"new{i}"])
            assert bandit.mean([f"new{i}"])[0] == 0.5  # nobody rewards a new one
            bandit.retire_arms([f"new{i}"])
        stop.set()

    def reward():
        i = 0
        while not stop.is_set():
            try:
                bandit.update(f"old{i}", 1.0)
            except KeyError as error:
                i += "retired" in str(error)

    run_together(churn, reward, reward)
    assert bandit.mean(["keep"])[0] == 2 / 3


def test_a_checkpoint_beside_updates_is_of_one_moment():
    bandit = Bandit(Thompson(), range(20_000), seed=1)
    bandit.update(0, 1.0)
    stop = threading.Event()

    def update():
        i = 0
        while not stop.is_set():
            bandit.update(i % 20_000, 1.0)
            i += 7

    def save():
        try:
            for _ in range(20):
                twin = Bandit.from_bytes(bandit.to_bytes())
                assert twin._table[FIRST + 2 : FIRST + 4, :-1].sum() == twin.updates
        finally:
            stop.set()

    run_together(update, update, save)


def test_select_beside_retirements_never_repeats_an_arm():
    bandit = Bandit(Thompson(), range(300), seed=1)
    stop = threading.Event()

    def churn():
        for i in range(400):
            bandit.retire_arms([bandit.arms[0]])
            bandit.add_arms([f"new{i}"])
        stop.set()

    def select():
        while not stop.is_set():
            arms = bandit.select(k=250).arms
            assert len(set(arms)) == 250

    run_together(churn, select, select)


def test_decisions_are_numbered_once_each():
    bandit = Bandit(Thompson(), range(5), seed=1)
    numbers = []
    run_together(*(lambda: numbers.extend(bandit.select().decision_id[2] for _ in range(500)) for _ in range(4)))
    assert sorted(numbers) == list(range(2_000))
