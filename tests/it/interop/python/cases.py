"""Runs cases and prints their results: `cases.py FILE…` runs the cases that the files declare with `case`.

A variable CASES with names, separated by spaces, selects cases.
"""

import asyncio
import importlib
import os
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hatchet_sdk import Hatchet
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus

T = TypeVar("T")
CASES: list[Callable[[], None]] = []
hatchet = Hatchet()

# Selects the runs of this program in lists: an engine may have runs of earlier programs.
PROGRAM = uuid.uuid4().hex

# The SDK has one listener per process, in the event loop of its first use.
LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def case(body: Callable[[], None]) -> Callable[[], None]:
    CASES.append(body)
    return body


def wait(call: Coroutine[None, None, T]) -> T:
    return asyncio.run_coroutine_threadsafe(call, LOOP).result(60)


def eventually(condition: Callable[[], T | None], what: str, timeout: float = 20) -> T:
    """Waits until the condition returns a value that is true."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"timed out: {what}")


def named(name: str) -> str:
    """The name with the namespace of the environment, as the REST API shows it."""
    return hatchet.config.apply_namespace(name)


def error_of(call: Callable[[], object]) -> str:
    try:
        outcome = call()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"succeeded with {outcome}")


def start(task: Any, input: Any = None, **options: Any) -> Any:
    return task.run(*([] if input is None else [input]), wait_for_result=False, **options)


async def chunks_of(task: Any, input: type[Any]) -> tuple[list[str], Any]:
    """Runs a task that repeats a chunk until the file of its input exists, and returns the other chunks and the run."""
    with tempfile.TemporaryDirectory() as folder:
        received = Path(folder) / "received"
        ref = await task.aio_run(input(word=str(received)), wait_for_result=False)
        chunks = []
        async for chunk in hatchet.runs.subscribe_to_stream(ref.workflow_run_id):
            received.touch()
            chunks.append(chunk)
        return [chunk for chunk in chunks if chunk != "repeated;"], ref


def is_status(ref: Any, status: str) -> bool:
    return hatchet.runs.get_status(ref.workflow_run_id) == V1TaskStatus(status)


def becomes(ref: Any, status: str) -> None:
    eventually(lambda: is_status(ref, status), f"{ref.workflow_run_id} is {status}")


def cancel(*refs: Any) -> None:
    for ref in refs:
        hatchet.runs.cancel(ref.workflow_run_id)


def await_workers(names: list[str]) -> None:
    """Waits until workers with these names are active."""
    active = lambda: [w.name for w in hatchet.workers.list().rows or [] if w.status == "ACTIVE"]  # noqa: E731
    missing = lambda: [name for name in names if named(name) not in active()]  # noqa: E731
    eventually(lambda: not missing(), f"workers {names}", 60)


def main() -> int:
    workers = {"limits": ["py-zone-a", "py-zone-b"], "workflows": ["py-workflows"], "features": ["py-worker"]}
    files, selected = sys.argv[1:], os.environ.get("CASES", "").split()
    for file in files:
        importlib.import_module(file)
        await_workers(workers.get(file, []))
    bodies = [body for body in CASES if not selected or body.__name__ in selected]
    failed = 0
    for body in bodies:
        begin = time.monotonic()
        try:
            body()
            print(f"ok   {body.__name__} {time.monotonic() - begin:.1f}s", flush=True)
        except Exception:  # noqa: BLE001
            failed += 1
            print(f"FAIL {body.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(bodies) - failed} of {len(bodies)} passed", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    # The case files import this module by its name.
    sys.modules["cases"] = sys.modules["__main__"]
    sys.exit(main())
