"""Playing: what is noted, and stopping and resuming."""

import numpy as np
import pytest
from allocators.market.policies_for_tests import SMALL, Climber, uniform

from seedbed.allocators.market import METRICS, Market, Playing, play
from seedbed.bandits.checkpoint import pack, unpack
from seedbed.bandits.errors import CheckpointError


def same(one, two):
    for name in ("counts", "seen", "closes", "reached", "by_minute", "offered", "n_open", "low", "harmful"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    np.testing.assert_array_equal(one.facts.creator, two.facts.creator)
    np.testing.assert_array_equal(one.truth.retained, two.truth.retained)
    assert (one.config, one.seed, one.start_hour, one.milestones) == (
        two.config,
        two.seed,
        two.start_hour,
        two.milestones,
    )


def test_a_run_is_what_the_market_reports():
    """Against a plain loop with dictionaries."""
    run = play(uniform, SMALL, 5, 90, start_hour=20.0, milestones=(1, 60, 200))
    market = Market(SMALL, 5, 20.0)
    truth = Market(SMALL, 5, 20.0)
    seen, had, reached, low, harmful, n_open = {}, {}, {}, [], [], []
    for minute in range(90):
        view = market.view()
        n_open.append(view.rooms.size)
        for room in view.rooms.tolist():
            seen.setdefault(room, 60.0 * minute)
        report = market.serve(uniform(view))
        truth = market.truth()
        low.append(0)
        harmful.append(0)
        for room, n in zip(report.rooms.tolist(), report.counts[0].tolist(), strict=True):
            low[-1] += int(n) * bool(truth.is_low[room])
            harmful[-1] += int(n) * bool(truth.is_harmful[room])
            for milestone in (1, 60, 200):
                if had.get(room, 0) < milestone <= had.get(room, 0) + n:
                    reached[milestone, room] = 60.0 * (minute + 1) - seen[room]
            had[room] = had.get(room, 0) + n
    n = len(seen)
    assert run.counts.shape == (len(METRICS), n)
    np.testing.assert_array_equal(run.counts, market.counts[:, :n])
    np.testing.assert_array_equal(run.seen, [seen[room] for room in range(n)])
    expected = [[reached.get((m, room), np.nan) for room in range(n)] for m in (1, 60, 200)]
    np.testing.assert_array_equal(run.reached, expected)
    assert np.isfinite(run.reached).all(1).tolist() == [True, False, False]
    assert (run.low.tolist(), run.harmful.tolist(), run.n_open.tolist()) == (low, harmful, n_open)
    np.testing.assert_allclose(run.by_minute.sum(1), run.counts.sum(1))
    assert sum(low) > 0


def test_a_policy_is_told_and_resumes_to_the_identical_rest():
    playing = Playing(Climber(), SMALL, 6, 12.0)
    for _ in range(50):
        playing.step()
    blob = playing.to_bytes()
    twin = Playing.from_bytes(blob, Climber.from_bytes)
    assert twin.to_bytes() == blob
    for _ in range(50):
        one, two = playing.step(), twin.step()
        np.testing.assert_array_equal(one.rooms, two.rooms)
        np.testing.assert_array_equal(one.counts, two.counts)
    same(playing.run(), twin.run())
    assert playing.policy.totals.sum() > 0
    same(playing.run(), play(Climber(), SMALL, 6, 100, start_hour=12.0))
    # the learner hears: it has another run than one who knows nothing
    assert not np.array_equal(playing.run().by_minute, play(uniform, SMALL, 6, 100, start_hour=12.0).by_minute)


def test_functions_resume_too():
    blobs, minutes = [], []
    run = play(uniform, SMALL, 7, 30, checkpoint=blobs.append, checkpoint_minutes=12,
               progress=lambda steps: (minutes.append(step) or step for step in steps))  # fmt: skip
    assert len(blobs) == 2
    assert minutes == list(range(30))
    twin = Playing.from_bytes(blobs[-1], lambda _: uniform)
    assert twin.market.minutes == 24
    for _ in range(6):
        twin.step()
    same(run, twin.run())
    fresh = Playing.from_bytes(Playing(uniform, SMALL, 7).to_bytes(), lambda _: uniform)
    for _ in range(30):
        fresh.step()
    same(run, fresh.run())


def test_what_is_refused():
    with pytest.raises(ValueError, match="milestones must rise"):
        Playing(uniform, SMALL, 1, milestones=(5, 5))
    with pytest.raises(ValueError, match="must have `allocate`"):
        Playing(3, SMALL, 1)
    with pytest.raises(ValueError, match="minutes must be at least 1"):
        play(uniform, SMALL, 1, 0)
    playing = Playing(lambda view: np.full(view.rooms.size, view.exposures), SMALL, 1)
    with pytest.raises(ValueError, match="above the"):
        playing.step()
    assert playing.market.minutes == 0


def test_broken_checkpoints_are_refused():
    playing = Playing(uniform, SMALL, 1)
    for _ in range(3):
        playing.step()
    whole = playing.to_bytes()
    for change, message in (
        (lambda c: c.values.pop("market"), "market is missing"),
        (lambda c: c.values.update(market=b"nothing"), "truncated"),
        (lambda c: c.values.update(milestones=[3, 2]), "a rising list"),
        (lambda c: c.values.update(milestones=[3]), "'reached' is of another play"),
        (lambda c: c.arrays.update(offered=c.arrays["offered"][1:]), "'offered' is of another play"),
        (lambda c: c.arrays.pop("by_minute"), "'by_minute' is of another play"),
    ):
        checkpoint = unpack(whole, "market_play")
        change(checkpoint)
        with pytest.raises(CheckpointError, match=message):
            Playing.from_bytes(pack(checkpoint), lambda _: uniform)
    with pytest.raises(CheckpointError):
        Playing.from_bytes(playing.market.to_bytes(), lambda _: uniform)
