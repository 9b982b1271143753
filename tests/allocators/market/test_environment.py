"""The market as a Gymnasium environment: plain Python plays the same market beside it, minute by minute."""

import math
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from seedbed.allocators.market import METRICS, Market, MarketConfig, MarketEnv, play
from seedbed.allocators.market.environment import FEATURES, NAME, register

SMALL = MarketConfig(rooms_per_day=600, exposures_per_day=300_000)


def naive_features(view, i):
    """The row of the i-th open room, from the words of FEATURES."""
    facts, counts = view.facts, view.counts[:, i].tolist()
    shown = counts[METRICS.index("exposures")]
    return [
        1.0,
        (view.now - float(facts.opened[i])) / 86_400.0,
        math.log(1.0 + shown) / math.log(1.0 + 1e6),
        counts[METRICS.index("retained")] / shown if shown else 0.0,
        counts[METRICS.index("negative")] / shown if shown else 0.0,
        float(facts.content_score[i]),
        float(facts.creator_score[i]),
        int(facts.tier[i]) / 3.0,
        float(facts.is_new[i]),
        math.log(1.0 + view.exposures) / math.log(1.0 + 1e6),
    ]


def naive_seats(slots, view):
    """Slots after rooms came and went: the longest waiting takes the lowest free one."""
    here = view.rooms.tolist()
    slots = [room if room in here else None for room in slots]
    waiting = [room for room in here if room not in slots]
    for i, room in enumerate(slots):
        if room is None and waiting:
            slots[i] = waiting.pop(0)
    return slots, len(waiting)


def check_against(view, slots, waiting, observation, info):
    here = view.rooms.tolist()
    expected = [[0.0] * len(FEATURES) if room is None else naive_features(view, here.index(room)) for room in slots]
    np.testing.assert_allclose(observation, expected, rtol=1e-6, atol=1e-7)
    assert info["rooms"].tolist() == [-1 if room is None else room for room in slots]
    assert (info["open"], info["waiting"]) == (sum(room is not None for room in slots), waiting)
    assert info["now"] == view.now
    for room, counts in zip(slots, info["counts"].T, strict=True):
        np.testing.assert_array_equal(counts, 0.0 if room is None else view.counts[:, here.index(room)])


@pytest.mark.parametrize("slots_too_few", [False, True])
def test_it_is_the_market_itself(slots_too_few):
    minutes = 90
    most = 10 if slots_too_few else 120
    env = MarketEnv(SMALL, max_rooms=most, minutes=minutes, negative_penalty=4.0)
    world = np.random.default_rng(5)
    market = Market(SMALL, 11, 21.0)
    view = market.view()
    slots, waiting = naive_seats([None] * most, view)
    observation, info = env.reset(seed=11, options={"start_hour": 21.0})
    check_against(view, slots, waiting, observation, info)
    waited = moved = 0
    for minute in range(1, minutes + 1):
        action = world.random(most).astype(np.float32) * (world.random(most) < 0.7)
        scores = {room: float(score) for room, score in zip(slots, action, strict=True) if room is not None}
        total = sum(scores.values())
        shares = [scores.get(room, 0.0) / total * view.exposures for room in view.rooms.tolist()]
        observation, reward, terminated, truncated, info = env.step(action)
        report = market.serve(shares)
        told = dict(zip(METRICS, report.counts.sum(1).tolist(), strict=True))
        assert {name: info[name] for name in METRICS} == told
        assert (info["offered"], told["exposures"]) == (view.exposures, view.exposures)
        assert reward == pytest.approx((told["retained"] - 4.0 * told["negative"]) / view.exposures * 1_000.0)
        assert (terminated, truncated) == (False, minute == minutes)
        before, view = slots, market.view()
        slots, waiting = naive_seats(slots, view)
        check_against(view, slots, waiting, observation, info)
        assert observation in env.observation_space
        waited, moved = waited + waiting, moved + (before != slots)
    assert moved > 10
    assert (waited > 0) == slots_too_few


def test_scores_that_are_all_one_are_uniform_exposure():
    env = MarketEnv(SMALL, minutes=20)
    run = play(lambda view: np.full(view.rooms.size, view.exposures / view.rooms.size), SMALL, 3, 20)
    env.reset(seed=3)
    for minute in range(20):
        info = env.step(np.ones(256))[-1]
        assert [info[name] for name in METRICS] == run.by_minute[:, minute].tolist()


def test_nothing_is_shown_where_no_room_has_a_score():
    env = MarketEnv(SMALL, minutes=3)
    _, info = env.reset(seed=1)
    nobody = np.zeros(256, np.float32)
    _, reward, *_, info = env.step(nobody)
    assert (reward, info["exposures"], info["retained"]) == (0.0, 0.0, 0.0)
    assert info["offered"] > 0
    empty = np.where(info["rooms"] == -1, 1.0, 0.0)
    assert empty.any()
    assert env.step(empty)[-1]["exposures"] == 0.0
    one = np.where(np.arange(256) == 0, 5e-324, 0.0)  # the smallest score there is, alone, has it all
    info = env.step(one)[-1]
    assert info["exposures"] == info["offered"]


def test_minutes_without_exposures():
    env = MarketEnv(MarketConfig(rooms_per_day=600, exposures_per_day=100), minutes=30)
    env.reset(seed=1)
    steps = [env.step(np.ones(256)) for _ in range(30)]
    assert {step[-1]["offered"] for step in steps} == {0, 1}
    assert all(step[1] == 0.0 for step in steps if step[-1]["offered"] == 0)


def test_gymnasium_finds_nothing_wrong():
    register()
    register()
    check_env(gymnasium.make(NAME, max_rooms=32).unwrapped)


def test_what_follows_from_the_seed():
    first, second = MarketEnv(SMALL), MarketEnv(SMALL)
    for env in (first, second):
        env.reset(seed=4)
        env.step(np.ones(256))
    a, told = first.reset()
    b, told_too = second.reset()
    np.testing.assert_array_equal(a, b)
    assert told["seed"] == told_too["seed"] != 4
    assert not np.array_equal(a, first.reset()[0])
    assert not np.array_equal(first.reset(seed=4)[0], first.reset(seed=5)[0])
    np.testing.assert_array_equal(first.reset(seed=5)[0], second.reset(seed=5)[0])


def test_nothing_is_left_of_the_episode_before():
    env = MarketEnv(SMALL, max_rooms=20)
    env.reset(seed=1)
    for _ in range(60):
        env.step(np.ones(20))
    told, fresh = env.reset(seed=2), MarketEnv(SMALL, max_rooms=20).reset(seed=2)
    np.testing.assert_array_equal(told[0], fresh[0])
    np.testing.assert_array_equal(told[1]["rooms"], fresh[1]["rooms"])


def test_the_hour_of_an_episode():
    env = MarketEnv(SMALL, start_hour=20.0)
    evening, _ = env.reset(seed=1)
    night, _ = env.reset(seed=1, options={"start_hour": 4.0})
    again, _ = env.reset(seed=1)
    assert not np.array_equal(evening, night)
    np.testing.assert_array_equal(evening, again)
    offered = Market(SMALL, 1, 20.0).view().exposures
    assert env.step(np.ones(256))[-1]["offered"] == offered != Market(SMALL, 1, 4.0).view().exposures


def test_an_episode_is_over():
    env = MarketEnv(SMALL, minutes=2)
    with pytest.raises(gymnasium.error.ResetNeeded, match="call `reset` first"):
        env.step(np.ones(256))
    env.reset(seed=1)
    assert [env.step(np.ones(256))[3] for _ in range(2)] == [False, True]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.ones(256))
    assert env.reset()[1]["now"] == 0.0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.ones(255), r"shape \(256,\); got float64, shape \(255,\)"),
        (np.ones((256, 1)), r"shape \(256, 1\)"),
        (np.full(256, "a"), "a number a slot"),
        (np.where(np.arange(256) == 7, np.nan, 0.5), r"action\[7\] = nan is not in \[0, 1\]"),
        (np.where(np.arange(256) == 2, 1.01, 0.5), r"action\[2\] = 1.01 is not in \[0, 1\]"),
        (np.where(np.arange(256) == 2, -0.01, 0.5), r"action\[2\] = -0.01 is not in \[0, 1\]"),
    ],
)
def test_actions_that_are_refused(action, message):
    env, twin = MarketEnv(SMALL), MarketEnv(SMALL)
    env.reset(seed=1)
    twin.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        env.step(action)
    np.testing.assert_array_equal(env.step(np.ones(256))[0], twin.step(np.ones(256))[0])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"max_rooms": 0}, "max_rooms"),
        ({"minutes": 0}, "minutes"),
        ({"start_hour": 24.0}, r"start_hour must be in \[0, 24\); got 24.0"),
        ({"negative_penalty": -1.0}, "negative_penalty"),
        ({"negative_penalty": math.inf}, "negative_penalty"),
        ({"render_mode": "human"}, "nothing to be seen"),
    ],
)
def test_numbers_that_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        MarketEnv(SMALL, **numbers)


def test_options_that_are_refused():
    env = MarketEnv(SMALL)
    with pytest.raises(ValueError, match="unknown option 'hour'"):
        env.reset(seed=1, options={"hour": 3})
    with pytest.raises(ValueError, match="start_hour"):
        env.reset(seed=1, options={"start_hour": -1.0})


def test_two_plays_at_once():
    register()
    envs = gymnasium.make_vec(NAME, 2, vectorization_mode="sync", max_rooms=40, config=SMALL, minutes=5)
    alone = [MarketEnv(SMALL, max_rooms=40, minutes=5) for _ in range(2)]
    observations, infos = envs.reset(seed=[8, 9])
    for i, env in enumerate(alone):
        np.testing.assert_array_equal(observations[i], env.reset(seed=8 + i)[0])
    for minute in range(1, 6):
        observations, rewards, terminated, truncated, infos = envs.step(np.full((2, 40), 0.5, np.float32))
        for i, env in enumerate(alone):
            observation, reward, *_, info = env.step(np.full(40, 0.5))
            np.testing.assert_array_equal(observations[i], observation)
            assert rewards[i] == pytest.approx(reward)
            assert infos["retained"][i] == info["retained"]
            np.testing.assert_array_equal(infos["counts"][i], info["counts"])
        assert truncated.all() == (minute == 5)
        assert not terminated.any()
    envs.step(np.full((2, 40), 0.5, np.float32))  # the next step opens the next episode of each
    envs.close()


def rewards_of(env, seed, act):
    observation, _ = env.reset(seed=seed, options={"start_hour": 20.0})
    total, truncated = 0.0, False
    while not truncated:
        observation, reward, _, truncated, _ = env.step(act(observation))
        total += reward
    return total / env.minutes


def test_greed_beats_chance():
    """Greed serves the tenth with the best rates, those of few viewers taken for average ones; paired over seeds."""
    column = {name: i for i, name in enumerate(FEATURES)}
    env = MarketEnv(minutes=60)

    def greedy(observation):
        shown = np.expm1(observation[:, column["exposures"]] * np.log1p(1e6))
        rate = (observation[:, column["retained"]] * shown + 0.05 * 40.0) / (shown + 40.0)
        harm = (observation[:, column["negative"]] * shown + 0.001 * 40.0) / (shown + 40.0)
        worth = np.where(observation[:, column["open"]] > 0.0, rate - 10.0 * harm, -np.inf)
        score = np.zeros(env.max_rooms, np.float32)
        score[np.argsort(-worth, kind="stable")[: env.max_rooms // 10]] = 1.0
        return score

    gains = []
    for seed in range(6):
        chance = np.random.default_rng(seed)
        by_chance = rewards_of(env, seed, lambda _: chance.random(env.max_rooms, dtype=np.float32))  # noqa: B023
        gains.append(rewards_of(env, seed, greedy) - by_chance)
    error = np.std(gains, ddof=1) / math.sqrt(len(gains))
    assert np.mean(gains) > 5.0 * error, gains


def test_without_gymnasium():
    """The market needs it not, and who asks for the environment is told what to install."""
    script = """
import sys
sys.modules["gymnasium"] = None
from seedbed.allocators.market import *
import seedbed.allocators.market as market
try:
    market.MarketEnv
except ImportError as error:
    print(error)
try:
    market.MarketEnvironment
except AttributeError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        "gymnasium is not installed, which MarketEnv needs: pip install 'seedbed[gym]'",
        "module 'seedbed.allocators.market' has no attribute 'MarketEnvironment'",
    ]


def test_gymnasium_is_imported_only_when_asked_for():
    script = "import sys, seedbed.allocators.market; print('gymnasium' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"
