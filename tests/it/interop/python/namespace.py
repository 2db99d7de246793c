"""Events under the namespace of the environment, for `namespace.rs`.

    namespace.py worker   serves `python-flow`: `python:start` starts it, and its second task waits for `python:go`
    namespace.py push KEY pushes an event
"""

import sys

from hatchet_sdk import Context, EmptyModel, Hatchet, UserEventCondition

hatchet = Hatchet()
flow = hatchet.workflow(name="python-flow", on_events=["python:start"])


@flow.task()
async def first(input: EmptyModel, ctx: Context) -> dict[str, bool]:
    return {"first": True}


@flow.task(parents=[first], wait_for=[UserEventCondition(event_key="python:go")])
async def second(input: EmptyModel, ctx: Context) -> dict[str, bool]:
    return {"second": True}


# The worker's child process imports this file again.
if __name__ == "__main__":
    if sys.argv[1] == "push":
        hatchet.event.push(sys.argv[2], {"n": 1})
    else:
        hatchet.worker("namespace", slots=5, workflows=[flow]).start()
