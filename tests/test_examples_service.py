"""The example of a ranking service: its whole life, asked over HTTP, on a clock that the tests turn."""

import asyncio
import importlib.util
import json
import logging
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from seedbed.allocators import ColdStartAllocator
from seedbed.bandits import CheckpointError
from seedbed.storage import MemoryStore, SQLiteStore, StoreUnavailableError

FILE = Path(__file__).parents[1] / "examples" / "ranking_service.py"


def loaded():
    """The example as a module; it is no part of a package."""
    spec = importlib.util.spec_from_file_location("ranking_service", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


service = loaded()


class Minutes:
    """A clock, and a sleep that ends when it was turned far enough."""

    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        until = self.now + seconds
        while self.now < until:
            await asyncio.sleep(0.001)

    def passes(self, client):
        """Let a minute go by, until its tick is done."""
        before = client.get("/plan").json()["ticks"]
        self.now += 60.0
        for _ in range(30_000):
            if client.get("/plan").json()["ticks"] > before:
                return
            time.sleep(0.001)
        raise AssertionError("no tick came")


async def never(seconds):
    await asyncio.Event().wait()


@contextmanager
def served(store=None, clock=None, sleep=never, **options):
    """A client of a running service, and its ranking; by default tests tick by hand."""
    clock = clock or Minutes()
    with TestClient(service.create_app(store or MemoryStore(), clock, sleep=sleep, **options)) as client:
        yield client, client.app.state.ranking


def opened(client, *rooms, **facts):
    for room in rooms:
        assert client.post("/rooms", json={"room": room, **facts}).status_code == 201


def explored(client, candidates, k=10):
    slate = client.post("/rank", json={"candidates": candidates, "k": k}).json()
    return [place["room"] for place in slate if place["source"] == "exploration"]


def test_its_whole_life(tmp_path):
    store, minutes = SQLiteStore(tmp_path / "ranking.db"), Minutes()
    hosts = {f"big-{i}": 0.9 - 0.1 * i for i in range(8)}
    with served(store, minutes, minutes.sleep, checkpoint_ticks=2) as (client, ranking):
        opened(client, "new-1", "new-2", bucket="music/zh/cn", tier="A", content_score=0.5)
        candidates = {**hosts, "new-1": 0.05, "new-2": 0.04}
        assert explored(client, candidates) == []  # no plan yet
        minutes.passes(client)
        slate = client.post("/rank", json={"candidates": candidates, "k": 7}).json()
        assert [place["room"] for place in slate] == ["big-0", "big-1", "new-1", "big-2", "big-3", "new-2", "big-4"]
        asked = ranking.plan["new-1"]
        assert slate[2] == {
            "room": "new-1",
            "score": pytest.approx(0.05 * asked.traffic_multiplier),
            "source": "exploration",
        }
        told = {"room": ["new-1", "new-2"], "exposures": [50, 40], "retained": [30, 2], "negative": [0, 1]}
        assert client.post("/observe", json=told).status_code == 204
        organic = {"room": ["new-1"], "exposures": [7], "retained": [6], "source": "organic"}
        assert client.post("/observe", json=organic).status_code == 204
        where = client.get("/rooms/new-1/explanation").json()
        assert where["counts"]["exposures"] == 50
        assert where["counts"]["retained"] == 30
        assert where["text"].startswith("Room new-1: SEED, 50 of 60 viewers reported.")
        assert where["because"][0] == "The guarantee of new rooms gave it viewers."
        for _ in range(3):
            minutes.passes(client)
        plan = client.get("/plan").json()
        assert (plan["now"], plan["ticks"], plan["checkpoint"]) == (1_000_240.0, 4, 2)
        assert plan["available"] == 5_000
        assert plan["granted"] == ranking.plan.granted == sum(room.exposures for room in ranking.plan.values())
        assert sum(plan["rooms"].values()) == 2

        order = {"kind": "kill", "actor": "ops", "reason": "complaints", "ttl": 3_600.0}
        opened(client, "new-3")
        minutes.passes(client)
        assert "new-3" in explored(client, {**candidates, "new-3": 0.05})
        assert client.post("/rooms/new-3/override", json=order).status_code == 201
        assert "new-3" not in explored(client, {**candidates, "new-3": 0.05})  # at once
        assert store.get(service.KEY).version == 3  # kept at once
        where = client.get("/rooms/new-3/explanation").json()
        assert [(held["kind"], held["actor"], held["reason"]) for held in where["overrides"]] == [
            ("kill", "ops", "complaints")
        ]
        opened(client, "new-4")
        minutes.passes(client)
        assert "new-4" in explored(client, {**candidates, "new-4": 0.05})
        assert client.delete("/rooms/new-4").status_code == 204
        assert "new-4" not in explored(client, {**candidates, "new-4": 0.05})
        rooms = ("new-1", "new-2", "new-3", "new-4")
        before = [client.get(f"/rooms/{room}/explanation").json() for room in rooms]
        assert before[3]["stage"] == "CLOSED"
        state = ranking.allocator.to_bytes()

    twin = ColdStartAllocator.from_bytes(state)
    with served(store, minutes, minutes.sleep) as (client, ranking):
        assert ranking.allocator.to_bytes() == state == store.get(service.KEY).blob
        assert [client.get(f"/rooms/{room}/explanation").json() for room in rooms] == before
        minutes.passes(client)
        expected = twin.tick(now=minutes.now, exposures=5_000)
        assert dict(ranking.plan) == dict(expected)
        assert ranking.allocator.to_bytes() == twin.to_bytes()


def naive_slate(candidates, k, multipliers, left):
    """Place by place: who may stand there, and who is best of them."""
    slate = []
    while len(slate) < k and len(slate) < len(candidates):
        taken = {room for room, _ in slate}
        free = {room: score for room, score in candidates.items() if room not in taken}
        pushed = {room: free[room] * multipliers[room] for room in free if left.get(room, 0) > 0}
        if len(slate) in (2, 5, 8) and pushed:
            best = max(pushed.values())
            (room,) = [room for room in pushed if pushed[room] == best]
            left[room] -= 1
            slate.append((room, "exploration"))
        else:
            best = max(free.values())
            (room,) = [room for room in free if free[room] == best]
            slate.append((room, "organic"))
    return slate


class Silent:
    """An allocator that can be asked for nothing but the checkpoint at the end: only the last plan is read."""

    def to_bytes(self):
        return b""


def test_slates_against_plain_python():
    """Scores are all distinct; rooms take part in both ways until their exposures are given out, no further."""
    with served() as (client, ranking):
        opened(client, *(f"new-{i}" for i in range(6)))
        ranking.tick()
        ranking.allocator = Silent()
        multipliers = {room: asked.traffic_multiplier for room, asked in ranking.plan.items()}
        left = {room: asked.exposures for room, asked in ranking.plan.items()}
        granted = dict(left)
        given = dict.fromkeys(left, 0)
        for n in range(300):
            names = [f"big-{i}" for i in range(n % 12)] + [f"new-{i}" for i in range(n % 7)]
            candidates = {name: ((i * 37 + n * 11) % 101) / 101.0 for i, name in enumerate(names)}
            k = 1 + n % 10
            slate = client.post("/rank", json={"candidates": candidates, "k": k}).json()
            assert [(place["room"], place["source"]) for place in slate] == naive_slate(
                candidates, k, multipliers, left
            )
            for place in slate:
                given[place["room"]] = given.get(place["room"], 0) + (place["source"] == "exploration")
        assert {room: granted[room] - given[room] for room in granted} == left
        assert min(left.values()) == 0  # some were used up on the way


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/rooms", {"room": "a"}, 409, "room 'a' is already known; nothing was opened"),
        ("POST", "/rooms", {"room": "b", "tier": "Z"}, 422, "Input should be 'S', 'A', 'B' or 'C'"),
        ("POST", "/rooms", {"room": "b", "teir": "S"}, 422, "Extra inputs are not permitted"),
        ("POST", "/rooms", '{"room": "b", "content_score": NaN}', 422, "content_score"),
        ("DELETE", "/rooms/x", None, 404, "unknown room 'x'"),
        ("DELETE", "/rooms/gone", None, 409, "room 'gone' was closed at"),
        ("GET", "/rooms/x/explanation", None, 404, "unknown room 'x'"),
        ("POST", "/observe", {"room": ["a", "x"], "exposures": [1, 1]}, 404, "unknown room 'x'"),
        ("POST", "/observe", {"room": ["a"], "exposures": [-1]}, 422, "exposures = -1 is not a count"),
        ("POST", "/observe", {"room": ["a"], "exposures": [1], "retained": 2}, 422, "is more than its exposures"),
        ("POST", "/observe", {"room": ["a"], "exposures": [1], "at": 1e12}, 422, "pass the new now first"),
        ("POST", "/observe", {"room": ["a"], "exposures": [1, 2]}, 422, "one a room"),
        ("POST", "/observe", '{"room": ["a"], "exposures": [1], "watched": NaN}', 422, "watched"),
        ("POST", "/rank", '{"candidates": {"a": Infinity}}', 422, "finite number"),
        ("POST", "/rank", {"candidates": {"a": -1.0}}, 422, "greater than or equal to 0"),
        ("POST", "/rank", {"candidates": {}, "k": 0}, 422, "greater than or equal to 1"),
        ("POST", "/rooms/x/override", {"kind": "kill", "actor": "o", "reason": "r"}, 404, "unknown room 'x'"),
        ("POST", "/rooms/a/override", {"kind": "kil", "actor": "o", "reason": "r"}, 422, "kind = 'kil' is not one of"),
        ("POST", "/rooms/a/override", {"kind": "kill", "actor": " ", "reason": "r"}, 422, "actor is empty"),
        ("POST", "/rooms/a/override", {"kind": "ban", "reason": "r"}, 422, "Field required"),
        ("POST", "/rules", "{", 422, "rules.json, line 1, column 2: a name in double quotes is needed here"),
        ("POST", "/rules", "", 422, "rules.json, line 1"),
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(method, path, body, status, message):
    with served() as (client, ranking):
        opened(client, "a", "gone")
        client.delete("/rooms/gone")
        before = ranking.allocator.to_bytes()
        content = body if isinstance(body, str) else json.dumps(body)
        answer = client.request(method, path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status
        assert message in answer.text.replace('\\"', '"')
        assert ranking.allocator.to_bytes() == before


def rules_file(ranking, version, **changes):
    rules = ranking.allocator.rules.model_dump(mode="json")
    return json.dumps({**rules, "version": version, **changes}, indent=1)


def test_rules_are_changed_while_it_runs():
    with served() as (client, ranking):
        opened(client, "a")
        assert client.post("/rules", content=rules_file(ranking, "v1")).json() == {"version": "v1"}
        ranking.tick()
        assert client.get("/plan").json()["rules"] == "v1"
        for content, status, message in (
            (rules_file(ranking, "v2").replace('"bar"', '"baar"'), 422, "rules.json, line"),
            (rules_file(ranking, "v2", format=2), 422, "newer than 1, the newest read here; the rules in force stay"),
            (rules_file(ranking, "v1", made_from={"log": "another"}), 409, "'v1'"),
        ):
            answer = client.post("/rules", content=content)
            assert (answer.status_code, message in answer.json()["detail"]) == (status, True), answer.text
            assert "/tmp" not in answer.text
            ranking.tick()
            assert client.get("/plan").json()["rules"] == "v1"
        kept = ColdStartAllocator.from_bytes(ranking.store.get(service.KEY).blob)
        assert kept.tick(now=ranking.now(), exposures=0).rules == "v1"


def test_a_damaged_checkpoint_is_not_overwritten():
    store = MemoryStore()
    store.put(service.KEY, b"half of it")
    with pytest.raises(CheckpointError), served(store):
        pass
    assert store.get(service.KEY) == (b"half of it", 1)


def test_of_two_services_on_one_store_the_second_is_refused():
    store = MemoryStore()
    order = {"kind": "ban", "actor": "ops", "reason": "test"}
    with served(store) as (client, ranking):
        opened(client, "a")
        with TestClient(service.create_app(store, Minutes(), sleep=never)) as other:
            assert other.get("/plan").json() == {"ticks": 0, "checkpoint": 0}
        answer = client.post("/rooms/a/override", json=order)  # the other has written at its end
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("done, but not kept: key 'ranking/allocator' is at version 1, not 0")
        assert [held.kind for held in ranking.allocator.overrides] == ["ban"]
        ranking.version = 1  # so that this one may end in peace


def test_a_tick_that_fails_leaves_the_last_plan(caplog):
    minutes = Minutes()

    class Full(MemoryStore):
        fails = False

        def put(self, key, blob, *, expected=None):
            if self.fails:
                raise StoreUnavailableError("the disk is full; nothing was written")
            return super().put(key, blob, expected=expected)

    store = Full()
    with served(store, minutes, minutes.sleep, checkpoint_ticks=1) as (client, _):
        opened(client, "a")
        minutes.passes(client)
        store.fails = True
        with caplog.at_level(logging.ERROR):
            minutes.passes(client)
            minutes.passes(client)  # the loop goes on
        store.fails = False
        assert "the disk is full" in caplog.text
        minutes.passes(client)
        assert client.get("/plan").json()["checkpoint"] == 2


def test_ticks_do_not_drift():
    """Ticks that take 7 s are a minute apart all the same; one that is late by hours is made up for once."""
    clock, slept, ticked = Minutes(0.0), [], []

    class Ticking:
        allocator = ColdStartAllocator()

        def __init__(self):
            self.clock = clock

        def tick(self):
            ticked.append(clock.now)
            clock.now += 7_200.0 if len(ticked) == 3 else 7.0

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 6:
            raise asyncio.CancelledError
        clock.now += seconds

    async def run():
        with pytest.raises(asyncio.CancelledError):
            await service.keep_ticking(Ticking(), sleep)

    asyncio.run(run())
    assert ticked == [60.0, 120.0, 180.0, 7_380.0, 7_440.0]
    assert slept == [60.0, 53.0, 53.0, 0.0, 53.0, 53.0]


def test_a_clock_that_was_put_back_stands_still():
    clock = Minutes(100.0)
    with served(clock=clock) as (client, ranking):
        opened(client, "a")
        clock.now = 40.0
        opened(client, "b")
        ranking.tick()
        assert client.get("/plan").json()["now"] == 100.0


def test_it_keeps_its_state_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKING_STORE", str(tmp_path / "here.db"))
    with TestClient(service.create_app(sleep=never)) as client:
        opened(client, "a")
    assert SQLiteStore(tmp_path / "here.db").list() == {service.KEY: 1}
