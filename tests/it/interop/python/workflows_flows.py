"""Workflows with conditions, filters, priorities and children. As a program, this file starts their worker."""

import asyncio
import time
from datetime import timedelta

from hatchet_sdk import (
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    Context,
    DefaultFilter,
    EmptyModel,
    Hatchet,
    ParentCondition,
    SleepCondition,
    StatusBasedIdempotencyConfig,
    UserEventCondition,
    or_,
)
from pydantic import BaseModel

hatchet = Hatchet()


class Word(BaseModel):
    word: str = "w"
    seconds: float = 0.0


async def echo_body(input: Word, ctx: Context) -> dict[str, object]:
    await asyncio.sleep(input.seconds)
    return {
        "word": input.word,
        "metadata": ctx.additional_metadata,
        "filter": ctx.filter_payload,
        "key": ctx.triggering_event_key,
        "priority": ctx.priority,
        "child_key": ctx.child_key,
        "at": time.time(),
    }


def task(name: str, **options: object):  # type: ignore[no-untyped-def]
    return hatchet.task(name=name, input_validator=Word, **options)(echo_body)


echo = task("py-flow-echo", default_additional_metadata={"from": "default"})

graph = hatchet.workflow(name="py-graph", input_validator=Word)


@graph.task()
async def begin(input: Word, ctx: Context) -> dict[str, int]:
    return {"length": len(input.word)}


@graph.task(parents=[begin], wait_for=[SleepCondition(timedelta(seconds=1))])
async def slept(input: Word, ctx: Context) -> dict[str, float]:
    return {"at": time.time()}


@graph.task(
    parents=[begin],
    wait_for=[or_(SleepCondition(timedelta(minutes=1)), UserEventCondition("py:go", "input.word == 'go'"))],
)
async def called(input: Word, ctx: Context) -> dict[str, float]:
    return {"at": time.time()}


@graph.task(parents=[begin], skip_if=[ParentCondition(begin, "output.length > 3")])
async def short(input: Word, ctx: Context) -> dict[str, bool]:
    return {"ran": True}


@graph.task(parents=[begin], skip_if=[ParentCondition(begin, "output.length <= 3")])
async def long(input: Word, ctx: Context) -> dict[str, bool]:
    return {"ran": True}


@graph.task(parents=[slept, called, short, long])
async def join(input: Word, ctx: Context) -> dict[str, bool]:
    return {"short": not ctx.was_skipped(short), "long": not ctx.was_skipped(long)}


@graph.on_success_task()
async def succeeded(input: Word, ctx: Context) -> dict[str, bool]:
    return {"succeeded": True}


stopped = hatchet.workflow(name="py-stopped", input_validator=Word)


@stopped.task()
async def stopped_begin(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word}


@stopped.task(
    parents=[stopped_begin],
    wait_for=[SleepCondition(timedelta(minutes=1))],
    skip_if=[UserEventCondition("py:skip")],
    cancel_if=[ParentCondition(stopped_begin, "output.word == 'cancel'")],
)
async def stopped_end(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word}


@hatchet.task(name="py-family", input_validator=Word)
async def family(input: Word, ctx: Context) -> dict[str, object]:
    first = await echo.aio_run(Word(word="one"), child_key="one", priority=3, additional_metadata={"own": "child"})
    same = await echo.aio_run(Word(word="two"), child_key="one")
    return {"first": first, "same": same}


@hatchet.task(name="py-slow-parent", input_validator=Word)
async def slow_parent(input: Word, ctx: Context) -> None:
    await echo.aio_run(Word(word="slow", seconds=50), additional_metadata={"child_of": input.word})


# The filter of the declaration and those that the cases create select the events of their scopes.
filtered = task(
    "py-filtered",
    on_events=["py:filtered"],
    default_filters=[DefaultFilter(expression="input.word == 'default'", scope="declared", payload={"from": "default"})],
)

once_at_a_time = task(
    "py-once-at-a-time",
    idempotency=StatusBasedIdempotencyConfig(
        key_expression="'py-once-at-a-time:' + input.word", fallback_ttl=timedelta(minutes=1)
    ),
)

# A limit of whole runs, and one that two tasks share.
whole = hatchet.workflow(
    name="py-whole",
    input_validator=Word,
    concurrency=ConcurrencyExpression(
        expression="input.word", max_runs=1, limit_strategy=ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
    ),
)
whole_first = whole.task(name="whole_first")(echo_body)
whole_second = whole.task(name="whole_second", parents=[whole_first])(echo_body)


def shared_limit() -> ConcurrencyExpression:
    return ConcurrencyExpression(
        expression="input.word",
        max_runs=1,
        limit_strategy=ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN,
        name="py-shared",
        is_tenant_scoped=True,
    )


shared_one = task("py-shared-one", concurrency=[shared_limit()])
shared_two = task("py-shared-two", concurrency=[shared_limit()])

# One of these at a time, in the order of their priorities.
ordered = task("py-ordered", concurrency=1)

# The worker has no slots for two of these.
heavy = task("py-heavy", slot_cost=12)


@hatchet.task(name="py-releasing", input_validator=Word, slot_cost=12)
async def releasing(input: Word, ctx: Context) -> None:
    await ctx.aio_release_slot()
    await asyncio.sleep(input.seconds)


# No worker has the slots for this.
unserved = task("py-unserved", schedule_timeout=timedelta(seconds=1), slot_cost=50)

paused = task("py-paused")

deleted = task("py-deleted", version="1", description="is deleted")


@hatchet.task(name="py-flow-failing")
async def failing(input: EmptyModel, ctx: Context) -> None:
    raise ValueError("failed")


ALL = [
    echo, graph, stopped, family, slow_parent, filtered, once_at_a_time, whole, shared_one, shared_two, ordered, heavy,
    releasing, unserved, paused, deleted, failing,
]  # fmt: skip

if __name__ == "__main__":
    hatchet.worker("py-workflows", slots=20, workflows=ALL).start()
