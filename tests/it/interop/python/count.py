"""A worker with the task `count`, whose recovery times are compared."""

from datetime import timedelta

from hatchet_sdk import Context, EmptyModel, Hatchet

hatchet = Hatchet()


@hatchet.task(name="count", execution_timeout=timedelta(seconds=15), retries=10)
async def count(input: EmptyModel, ctx: Context) -> dict[str, int]:
    return {"attempt": ctx.retry_count}


if __name__ == "__main__":
    hatchet.worker("count", slots=100, workflows=[count]).start()
