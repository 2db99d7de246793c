"""Workflows of the Python SDK. As a program, this file starts their worker."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from hatchet_sdk import (
    Context,
    EmptyModel,
    Hatchet,
    NonRetryableException,
    TTLBasedIdempotencyConfig,
)
from pydantic import BaseModel

hatchet = Hatchet()


class Word(BaseModel):
    word: str = "w"


@hatchet.task(name="py-echo", input_validator=Word)
async def echo(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word, "run": ctx.workflow_run_id}


@hatchet.task(name="py-metadata", input_validator=Word)
def metadata(input: Word, ctx: Context) -> dict[str, object]:
    return {"metadata": dict(ctx.additional_metadata), "priority": ctx.priority}


@hatchet.task(name="py-flaky", retries=3)
def flaky(input: EmptyModel, ctx: Context) -> dict[str, int]:
    if ctx.retry_count < 2:
        raise ValueError(f"attempt {ctx.retry_count}")
    return {"attempt": ctx.retry_count}


@hatchet.task(name="py-backoff", retries=1, backoff_factor=2.0, backoff_max_seconds=1)
def backoff(input: EmptyModel, ctx: Context) -> dict[str, float]:
    if ctx.retry_count == 0:
        raise ValueError("once")
    return {"at": time.time()}


@hatchet.task(name="py-fatal", retries=3)
def fatal(input: EmptyModel, ctx: Context) -> None:
    raise NonRetryableException(f"fatal in attempt {ctx.retry_count}")


@hatchet.task(name="py-late", execution_timeout=timedelta(seconds=1))
async def late(input: EmptyModel, ctx: Context) -> None:
    await asyncio.sleep(30)


@hatchet.task(name="py-refresh", execution_timeout=timedelta(seconds=2))
async def refresh(input: EmptyModel, ctx: Context) -> dict[str, bool]:
    await ctx.aio_refresh_timeout(timedelta(seconds=20))
    await asyncio.sleep(3)
    return {"refreshed": True}


@hatchet.task(name="py-slow", execution_timeout=timedelta(seconds=60))
async def slow(input: EmptyModel, ctx: Context) -> None:
    await asyncio.sleep(50)


# Chunks are sent to present subscribers only, and a subscription is not confirmed. So the task repeats a chunk until the
# reader has created the file.
@hatchet.task(name="py-stream", input_validator=Word)
async def stream(input: Word, ctx: Context) -> dict[str, int]:
    while not Path(input.word).exists():
        await ctx.aio_put_stream("repeated;")
        await asyncio.sleep(0.05)
    for at in range(20):
        await ctx.aio_put_stream(f"chunk {at};")
    return {"chunks": 20}


@hatchet.task(name="py-logs")
async def logs(input: EmptyModel, ctx: Context) -> None:
    ctx.log("first line")
    ctx.log("second line")
    await asyncio.sleep(0.3)


@hatchet.task(name="py-parent", retries=1)
async def parent(input: EmptyModel, ctx: Context) -> dict[str, object]:
    first = await echo.aio_run(Word(word="one"))
    others = await echo.aio_run_many([echo.create_bulk_run_item(Word(word=w)) for w in ("two", "three")])
    if ctx.retry_count == 0:
        raise ValueError("the children are created once although the parent is retried")
    return {"words": [first["word"], *[r["word"] for r in others]], "runs": [first["run"], *[r["run"] for r in others]]}


dag = hatchet.workflow(name="py-dag", input_validator=Word)


@dag.task()
async def left(input: Word, ctx: Context) -> dict[str, str]:
    return {"left": input.word}


@dag.task()
def right(input: Word, ctx: Context) -> dict[str, str]:
    return {"right": input.word}


@dag.task(parents=[left, right])
async def both(input: Word, ctx: Context) -> dict[str, str]:
    return {"both": ctx.task_output(left)["left"] + ctx.task_output(right)["right"]}


@dag.on_failure_task()
def never(input: Word, ctx: Context) -> dict[str, str]:
    return {"never": "run"}


broken = hatchet.workflow(name="py-broken")


@broken.task()
def boom(input: EmptyModel, ctx: Context) -> None:
    raise RuntimeError("boom")


@broken.task(parents=[boom])
def unreached(input: EmptyModel, ctx: Context) -> None:
    raise RuntimeError("unreached")


@broken.on_failure_task()
def rescue(input: EmptyModel, ctx: Context) -> dict[str, list[str]]:
    return {"failed": sorted(ctx.task_run_errors.keys())}


@hatchet.task(name="py-on-event", input_validator=Word, on_events=["py:exact", "py:wildcard:*"])
async def on_event(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word}


@hatchet.task(name="py-on-cron", input_validator=Word, on_crons=["*/1 * * * * *"], cron_input=Word(word="cron"))
async def on_cron(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word}


@hatchet.task(
    name="py-once",
    input_validator=Word,
    idempotency=TTLBasedIdempotencyConfig(key_expression="'py-once:' + input.word", ttl=timedelta(minutes=1)),
)
async def once(input: Word, ctx: Context) -> dict[str, str]:
    return {"word": input.word}


ALL = [
    echo, metadata, flaky, backoff, fatal, late, refresh, slow, stream, logs, parent, dag, broken, on_event, on_cron, once,
]  # fmt: skip

if __name__ == "__main__":
    hatchet.worker("py-worker", slots=20, workflows=ALL).start()
