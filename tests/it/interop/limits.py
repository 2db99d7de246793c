"""Uses limits and placement through the Python SDK and prints the results. The workers are `limits_flows.py`."""

import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from hatchet_sdk import RateLimitDuration
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus
from limits_flows import (
    STATIC_KEY, Job, constant, debounced, dynamic, dynamic_rate, hatchet, labelled, refused, replaced, robin,
    static_rate, sticky,
)  # fmt: skip

CASES: list[Callable[[], None]] = []


def case(body: Callable[[], None]) -> Callable[[], None]:
    CASES.append(body)
    return body


def eventually(condition: Callable[[], object], what: str, timeout: float = 15) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"timed out: {what}")


def start(task, **fields):  # type: ignore[no-untyped-def]
    return task.run(Job(**fields), wait_for_result=False)


def is_status(ref, status: str) -> bool:  # type: ignore[no-untyped-def]
    return hatchet.runs.get_status(ref.workflow_run_id) == V1TaskStatus(status)


def becomes(ref, status: str) -> None:  # type: ignore[no-untyped-def]
    eventually(lambda: is_status(ref, status), f"{ref.workflow_run_id} is {status}")


def pair(task, key: str):  # type: ignore[no-untyped-def]
    first = start(task, key=key, seconds=1.5)
    becomes(first, "RUNNING")
    return first, start(task, key=key, seconds=0.1)


@case
def round_robin_queues_the_second_run_of_a_key() -> None:
    first, second = pair(robin, "a")
    other = start(robin, key="b")
    other.result()
    assert is_status(first, "RUNNING") and is_status(second, "QUEUED")
    second.result()
    assert is_status(first, "COMPLETED")


@case
def cancel_in_progress_and_cancel_newest() -> None:
    first, second = pair(replaced, "a")
    becomes(first, "CANCELLED")
    becomes(second, "COMPLETED")
    first, second = pair(refused, "a")
    becomes(second, "CANCELLED")
    becomes(first, "COMPLETED")


@case
def only_the_newest_waiting_run_is_kept() -> None:
    first, second = pair(debounced, "a")
    third = start(debounced, key="a")
    becomes(second, "CANCELLED")
    becomes(third, "COMPLETED")
    assert is_status(first, "COMPLETED")


@case
def limit_as_number_and_as_expression() -> None:
    first, second = pair(constant, "a")
    assert is_status(second, "QUEUED")
    second.result()
    one, waiting = pair(dynamic, "one")
    two, beside = pair(dynamic, "two")
    beside.result()
    assert is_status(two, "RUNNING") and is_status(waiting, "QUEUED")
    for ref in (first, one, waiting, two):
        ref.result()


@case
def static_rate_limit_spreads_runs_over_windows() -> None:
    begin = time.monotonic()
    for ref in [start(static_rate) for _ in range(5)]:
        ref.result()
    assert time.monotonic() - begin > 0.9
    row = next(row for row in hatchet.rate_limits.list(search=STATIC_KEY).rows if row.key == STATIC_KEY)
    assert (row.limit_value, row.window) == (2, "1 SECOND")


@case
def dynamic_rate_limit_has_a_key_for_each_user() -> None:
    start(dynamic_rate, key="x", units=2).result()
    waiting = start(dynamic_rate, key="x", units=2)
    start(dynamic_rate, key="y", units=3).result()
    time.sleep(0.5)
    assert is_status(waiting, "QUEUED")
    hatchet.runs.cancel(waiting.workflow_run_id)
    values = {row.key: row.value for row in hatchet.rate_limits.list(search="py-user-").rows}
    assert values == {"py-user-x": 1, "py-user-y": 0}, values


@case
def pause_holds_runs_of_a_key() -> None:
    hatchet.rate_limits.put(STATIC_KEY, 2, RateLimitDuration.SECOND)
    until = datetime.now(timezone.utc) + timedelta(seconds=2)
    assert abs(hatchet.rate_limits.pause(STATIC_KEY, until) - until) < timedelta(seconds=1)
    ref = start(static_rate)
    time.sleep(0.5)
    assert is_status(ref, "QUEUED")
    ref.result()
    assert datetime.now(timezone.utc) > until - timedelta(seconds=0.5)


@case
def label_selects_the_worker() -> None:
    for _ in range(4):
        assert labelled.run(Job())["zone"] == "b"


@case
def tasks_of_a_sticky_workflow_share_a_worker() -> None:
    for _ in range(4):
        output = sticky.run(Job())
        assert output["py-sticky-a"]["zone"] == output["py-sticky-b"]["zone"] != ""


def main() -> int:
    failed = 0
    names = ("py-zone-a", "py-zone-b")
    active = lambda: {w.name for w in hatchet.workers.list().rows or [] if w.status == "ACTIVE"}  # noqa: E731
    eventually(lambda: all(any(w.endswith(name) for w in active()) for name in names), "both workers", 60)
    for body in CASES:
        begin = time.monotonic()
        try:
            body()
            print(f"ok   {body.__name__} {time.monotonic() - begin:.1f}s", flush=True)
        except Exception:  # noqa: BLE001
            failed += 1
            print(f"FAIL {body.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(CASES) - failed} of {len(CASES)} passed", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
