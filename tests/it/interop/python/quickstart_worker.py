"""A worker with the quickstart's three tasks in Python, under the same names as in Rust."""

import asyncio

from hatchet_sdk import Context, Hatchet
from pydantic import BaseModel

hatchet = Hatchet()


class Name(BaseModel):
    name: str = "World"


class Seconds(BaseModel):
    seconds: float = 2


class Limit(BaseModel):
    limit: int = 1000


@hatchet.task(name="externally-triggered-task", input_validator=Name)
async def externally_triggered(input: Name, ctx: Context) -> dict[str, str]:
    return {"message": f"Hello, {input.name}!"}


@hatchet.task(name="sync-sleep-task", input_validator=Seconds)
async def sync_sleep(input: Seconds, ctx: Context) -> dict[str, object]:
    await asyncio.sleep(input.seconds)
    return {"slept_seconds": input.seconds, "thread": "python"}


@hatchet.task(name="cpu-heavy-task", input_validator=Limit)
def cpu_heavy(input: Limit, ctx: Context) -> dict[str, object]:
    primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, input.limit))
    return {"primes": primes, "threads": 1, "seconds": 0.0}


if __name__ == "__main__":
    hatchet.worker("quickstart", slots=5, workflows=[externally_triggered, sync_sleep, cpu_heavy]).start()
