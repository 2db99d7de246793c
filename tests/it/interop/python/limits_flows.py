"""Workflows of the Python SDK with limits and placement. As a program, this file starts their worker."""

import asyncio
import sys
from datetime import timedelta

from hatchet_sdk import (
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    Context,
    Hatchet,
    RateLimit,
    RateLimitDuration,
    StickyStrategy,
)
from hatchet_sdk.types.labels import DesiredWorkerLabel, WorkerLabelComparator
from pydantic import BaseModel

hatchet = Hatchet()

STATIC_KEY = "py-static"
# The zone of the worker that runs this file.
ZONE = sys.argv[1] if len(sys.argv) > 1 else ""


class Job(BaseModel):
    key: str = "k"
    seconds: float = 0.0
    units: int = 1


async def work(input: Job, ctx: Context) -> dict[str, str]:
    await asyncio.sleep(input.seconds)
    return {"zone": ZONE}


def by_key(strategy: ConcurrencyLimitStrategy, max_runs: int | str = 1) -> ConcurrencyExpression:
    return ConcurrencyExpression(expression="input.key", max_runs=max_runs, limit_strategy=strategy)


def task(name: str, **options: object):  # type: ignore[no-untyped-def]
    declare = hatchet.task(name=name, input_validator=Job, schedule_timeout=timedelta(minutes=2), **options)
    return declare(work)


robin = task("py-robin", concurrency=by_key(ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN))
replaced = task("py-replaced", concurrency=by_key(ConcurrencyLimitStrategy.CANCEL_IN_PROGRESS))
refused = task("py-refused", concurrency=by_key(ConcurrencyLimitStrategy.CANCEL_NEWEST))
debounced = task("py-debounced", concurrency=by_key(ConcurrencyLimitStrategy.CANCEL_QUEUED_EXCEPT_NEWEST))
constant = task("py-constant", concurrency=1)
dynamic = task("py-dynamic", concurrency=by_key(ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN, "input.key == 'two' ? 2 : 1"))
static_rate = task("py-static-rate", rate_limits=[RateLimit(static_key=STATIC_KEY, units=1)])
dynamic_rate = task(
    "py-dynamic-rate",
    rate_limits=[
        RateLimit(
            dynamic_key="'py-user-' + input.key", units="input.units", limit="3", duration=RateLimitDuration.HOUR
        )
    ],
)
labelled = task("py-labelled", desired_worker_labels=[DesiredWorkerLabel(key="zone", value="b", required=True)])
zone = task("py-zone")
# Only a worker whose label has been changed to 2 or more can execute this.
grown = task(
    "py-grown",
    desired_worker_labels=[
        DesiredWorkerLabel(
            key="size", value=2, required=True, comparator=WorkerLabelComparator.GREATER_THAN_OR_EQUAL
        )
    ],
)


@hatchet.task(name="py-grow", input_validator=Job)
async def grow(input: Job, ctx: Context) -> dict[str, str]:
    await ctx.aio_upsert_worker_labels({"size": 2})
    return {"zone": ZONE}


sticky_child = task("py-sticky-child", sticky=StickyStrategy.HARD)


@hatchet.task(name="py-sticky-parent", input_validator=Job, sticky=StickyStrategy.HARD)
async def sticky_parent(input: Job, ctx: Context) -> dict[str, object]:
    return {"parent": ZONE, "child": (await sticky_child.aio_run(Job(), sticky=True))["zone"]}


sticky = hatchet.workflow(name="py-sticky", input_validator=Job, sticky=StickyStrategy.HARD)


@sticky.task(name="py-sticky-a")
async def sticky_a(input: Job, ctx: Context) -> dict[str, str]:
    return {"zone": ZONE}


@sticky.task(name="py-sticky-b", parents=[sticky_a])
async def sticky_b(input: Job, ctx: Context) -> dict[str, str]:
    return {"zone": ZONE}


ALL = [
    robin, replaced, refused, debounced, constant, dynamic, static_rate, dynamic_rate, labelled, sticky, zone, grown,
    grow, sticky_child, sticky_parent,
]  # fmt: skip


if __name__ == "__main__":
    hatchet.rate_limits.put(STATIC_KEY, 2, RateLimitDuration.SECOND)
    hatchet.worker(f"py-zone-{ZONE}", slots=20, workflows=ALL, labels={"zone": ZONE, "size": 1}).start()
