"""A ranking service with the allocator inside: rooms come and go, viewers are ranked, feedback is learnt from.

    pip install 'seedbed[service]'
    RANKING_STORE=ranking.db uvicorn examples.ranking_service:app         (then see localhost:8000/docs)
    curl localhost:8000/rooms -H 'content-type: application/json' -d '{"room": "room-1", "bucket": "music/zh/cn"}'

One process owns a store's state (`--workers 1`); of two, the second's checkpoints are refused. What was learnt after
the last checkpoint is lost in a crash; operators' orders and rules are kept at once.
"""

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

import seedbed
from seedbed.allocators import ColdStartAllocator, ColdStartConfig, Plan, Stage
from seedbed.allocators.cold_start import read_rules
from seedbed.bandits import UnknownArmError
from seedbed.storage import MemoryStore, SQLiteStore, Store, StoreError

KEY = "ranking/allocator"
CONFIG = ColdStartConfig.live()  # of a new market; one that is resumed keeps its own
EXPOSURES = 5_000  # what the exploration places of a minute hold: measure yours
PLACES = (2, 5, 8)  # of a slate, from 0, that are exploration's; the host's scores fill the others


class Ranking:
    """The allocator, what its last plan asks for, and the store that keeps it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, checkpoint_ticks: int = 5) -> None:
        self.store, self.clock, self.checkpoint_ticks = store, clock, checkpoint_ticks
        self.lock = threading.RLock()  # a `now` that runs backwards is refused: it is read and used under one lock
        self.latest, self.ticks = 0.0, 0
        saved = store.get(KEY)  # if it is damaged this fails: the one before it is `store.get(KEY, previous=True)`
        self.allocator = ColdStartAllocator.from_bytes(saved.blob) if saved else ColdStartAllocator(CONFIG)
        self.version = saved.version if saved else 0
        self.plan: Plan | None = None
        # of each room its multiplier, and its exposures of this minute that are left; none before the first tick
        self.asked: tuple[dict[str, float], dict[str, int]] = ({}, {})

    def now(self) -> float:
        """Seconds; while a clock was put back, they stand still."""
        self.latest = max(self.latest, self.clock())
        return self.latest

    def tick(self) -> None:
        """Plan the next minute; meanwhile the last plan is served."""
        with self.lock:
            self.plan = self.allocator.tick(now=self.now(), exposures=EXPOSURES)
            columns = self.plan.columns()
            multiplier = dict(zip(columns["room"], columns["traffic_multiplier"].tolist(), strict=True))
            self.asked = multiplier, dict(zip(columns["room"], columns["exposures"].tolist(), strict=True))
            self.ticks += 1
            if self.ticks % self.checkpoint_ticks == 0:
                self.save()

    def save(self) -> None:
        """Write a checkpoint, unless someone else did meanwhile."""
        with self.lock:
            self.version = self.store.put(KEY, self.allocator.to_bytes(), expected=self.version)

    def rank(self, candidates: Mapping[str, float], k: int) -> list[dict[str, Any]]:
        """Fill k places from the host's scores and the last plan: nothing is computed, nothing is waited for."""
        multiplier, left = self.asked
        pushed = {
            room: candidates[room] * multiplier[room] for room in candidates if left.get(room) and multiplier[room]
        }
        organic, explored = sorted(candidates, key=candidates.__getitem__), sorted(pushed, key=pushed.__getitem__)
        slate: dict[str, dict[str, Any]] = {}
        while len(slate) < min(k, len(candidates)):
            explores = len(slate) in PLACES and bool(explored)
            room = (explored if explores else organic).pop()  # the best is the last
            if room not in slate:
                score, source = (pushed[room], "exploration") if explores else (candidates[room], "organic")
                slate[room] = {"room": room, "score": score, "source": source}
                if explores:
                    left[room] -= 1
        return list(slate.values())


class Told(BaseModel, extra="forbid"):
    """What the service is told; a misspelt name is refused."""


class NewRoom(Told):
    """A room that opens. An id is never used twice: name rooms by session."""

    room: str
    bucket: str = ""
    tier: Literal["S", "A", "B", "C"] = "B"
    content_score: float = Field(0.0, ge=0.0, le=1.0)
    creator_score: float = Field(0.0, ge=0.0, le=1.0)


class Feedback(Told):
    """A batch, all of it or nothing: a room each and what was counted of it; `source` as it stood in the slate."""

    room: list[str]
    exposures: list[int]
    retained: list[int] | int = 0
    comments: list[int] | int = 0
    follows: list[int] | int = 0
    negative: list[int] | int = 0
    watched: list[float] | float = 0.0
    minutes: list[float] | float = 0.0
    at: list[float] | float | None = None  # seconds; None for now
    source: Literal["exploration", "organic"] = "exploration"


class Candidates(Told):
    """A viewer's rooms with the host's scores, and how many places there are."""

    candidates: dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]]
    k: int = Field(10, ge=1, le=1_000)


class Order(Told):
    """An operator's order; see `ColdStartAllocator.override`."""

    kind: str
    actor: str
    reason: str
    value: float | None = None
    ttl: float = 14_400.0


@contextmanager
def in_its_words(refused: int = 422) -> Iterator[None]:
    """Answer seedbed's errors with its own messages: what is wrong, which, where, and what was left as it was."""
    try:
        yield
    except UnknownArmError as error:
        raise HTTPException(404, str(error)) from None
    except ValueError as error:
        raise HTTPException(refused, str(error)) from None
    except StoreError as error:
        raise HTTPException(503, f"done, but not kept: {error}") from None


async def ranking_of(request: Request) -> Ranking:
    """The app's."""
    return request.app.state.ranking


async def body_of(request: Request) -> bytes:
    """As it came."""
    return await request.body()


Mine = Annotated[Ranking, Depends(ranking_of)]
router = APIRouter()


@router.post("/rooms", status_code=201)
def open_room(new: NewRoom, ranking: Mine) -> None:
    """Let a room in."""
    with in_its_words(409), ranking.lock:
        ranking.allocator.open(**new.model_dump(), now=ranking.now())


@router.delete("/rooms/{room}", status_code=204)
def close_room(room: str, ranking: Mine) -> None:
    """Let a room go."""
    with in_its_words(409), ranking.lock:
        ranking.allocator.close(room, now=ranking.now())
        ranking.asked[0][room] = 0.0


@router.post("/observe", status_code=204)
def observe(told: Feedback, ranking: Mine) -> None:
    """Learn what happened in rooms."""
    with in_its_words():
        at = ranking.clock() if told.at is None else told.at
        ranking.allocator.observe(**{**told.model_dump(), "at": at})


@router.post("/rank")
async def rank(told: Candidates, ranking: Mine) -> list[dict[str, Any]]:
    """Rank a viewer's rooms; on the event loop, one request at a time, so that no exposure is given out twice."""
    return ranking.rank(told.candidates, told.k)


@router.get("/rooms/{room}/explanation")
def explain(room: str, ranking: Mine) -> dict[str, Any]:
    """Say where a room stands and why, in numbers and in words."""
    with in_its_words():
        explanation = ranking.allocator.explain(room)
    return {**explanation.as_dict(), "text": str(explanation)}


@router.post("/rooms/{room}/override", status_code=201)
def override(room: str, order: Order, ranking: Mine) -> None:
    """Take an operator's order."""
    with in_its_words(), ranking.lock:
        ranking.allocator.override(room, now=ranking.now(), **order.model_dump())
        if order.kind in ("kill", "ban"):
            ranking.asked[0][room] = 0.0  # at once, not at the next tick
        ranking.save()


@router.post("/rules")
def use_rules(body: Annotated[bytes, Depends(body_of)], ranking: Mine) -> dict[str, str]:
    """Put a rules file, the body, into use from the next tick on; the rules in force stay if it is a bad one."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "rules.json")
        file.write_bytes(body)
        try:
            rules = read_rules(file)
        except ValueError as error:
            raise HTTPException(422, str(error).replace(str(file), file.name)) from None
    with in_its_words(409), ranking.lock:
        ranking.allocator.use_rules(rules)
        ranking.save()
    return {"version": rules.version}


@router.get("/plan")
def summary(ranking: Mine) -> dict[str, Any]:
    """Sum up the last plan."""
    with ranking.lock:
        plan, counts = ranking.plan, {"ticks": ranking.ticks, "checkpoint": ranking.version}
    if plan is None:
        return counts
    stages = Counter(plan.columns()["stage"].tolist())
    told = {name: getattr(plan, name) for name in ("now", "granted", "available", "floor_unmet", "rules")}
    rooms, changes = {stage.name: stages[stage] for stage in Stage}, Counter(change.reason for change in plan.changes)
    return {**counts, **told, "rooms": rooms, "changes": changes}


async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
    """Say what is wrong with a body; FastAPI's own answer echoes it, and fails to where it holds NaN."""
    return JSONResponse({"detail": [{"loc": each["loc"], "msg": each["msg"]} for each in error.errors()]}, 422)


async def keep_ticking(ranking: Ranking, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Tick minute by minute, whatever happens."""
    due = ranking.clock()
    while True:
        due = max(due + ranking.allocator.config.tick_seconds, ranking.clock())
        await sleep(due - ranking.clock())
        try:
            await asyncio.to_thread(ranking.tick)
        except Exception:
            logging.exception("a tick failed; the last plan stays")


def create_app(store: Store | None = None, clock: Callable[[], float] = time.time, **options: Any) -> FastAPI:
    """Make the service; tests pass a store, a clock, `sleep` and `checkpoint_ticks`."""
    sleep = options.pop("sleep", asyncio.sleep)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        kept = store or SQLiteStore(os.environ.get("RANKING_STORE", "ranking.db"))
        ranking = app.state.ranking = Ranking(kept, clock, **options)
        seedbed.warmup(ranking.allocator.config)  # compile before serving, not at the first request
        ticking = asyncio.create_task(keep_ticking(ranking, sleep))
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        ranking.save()

    app = FastAPI(lifespan=life, exception_handlers={RequestValidationError: refuse})
    app.include_router(router)
    return app


app = create_app()

if __name__ == "__main__":  # a minute of its life, without a network
    ranking = Ranking(MemoryStore(), clock=lambda: 60.0)
    ranking.allocator.open(["new-1", "new-2"], now=0.0, content_score=[0.2, 0.9])
    ranking.tick()
    for place in ranking.rank({"big-1": 0.9, "big-2": 0.8, "big-3": 0.7, "new-1": 0.2, "new-2": 0.1}, k=4):
        print(place)
