"""Limits and placement of the Python SDK. The workers are `limits_flows.py`."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from cases import becomes, cancel, case, is_status
from cases import start as start_run
from hatchet_sdk import RateLimitDuration
from hatchet_sdk.types.labels import DesiredWorkerLabel
from limits_flows import (
    STATIC_KEY, Job, constant, debounced, dynamic, dynamic_rate, grow, grown, hatchet, labelled, refused, replaced,
    robin, static_rate, sticky, sticky_parent, zone,
)  # fmt: skip


def start(task: Any, **fields: Any) -> Any:
    return start_run(task, Job(**fields))


def pair(task: Any, key: str) -> Any:
    """Starts two runs of a key, the second while the first is running. The first does not end by itself."""
    first = start(task, key=key, seconds=50)
    becomes(first, "RUNNING")
    return first, start(task, key=key)


@case
def round_robin_queues_the_second_run_of_a_key() -> None:
    first, second = pair(robin, "a")
    start(robin, key="b").result()
    assert is_status(first, "RUNNING") and is_status(second, "QUEUED")
    cancel(first)
    second.result()


@case
def cancel_in_progress_and_cancel_newest() -> None:
    first, second = pair(replaced, "a")
    becomes(first, "CANCELLED")
    becomes(second, "COMPLETED")
    first, second = pair(refused, "a")
    becomes(second, "CANCELLED")
    assert is_status(first, "RUNNING")
    cancel(first)


@case
def only_the_newest_waiting_run_is_kept() -> None:
    first, second = pair(debounced, "a")
    third = start(debounced, key="a")
    becomes(second, "CANCELLED")
    assert is_status(first, "RUNNING")
    cancel(first)
    becomes(third, "COMPLETED")


@case
def limit_as_number_and_as_expression() -> None:
    first, second = pair(constant, "a")
    assert is_status(second, "QUEUED")
    cancel(first)
    second.result()
    one, waiting = pair(dynamic, "one")
    two, beside = pair(dynamic, "two")
    beside.result()
    assert is_status(two, "RUNNING") and is_status(waiting, "QUEUED")
    cancel(one, two)
    waiting.result()


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
    until = datetime.now(timezone.utc) + timedelta(seconds=6)
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


@case
def sticky_child_runs_on_the_worker_of_its_parent() -> None:
    for _ in range(4):
        output = sticky_parent.run(Job())
        assert output["child"] == output["parent"] != ""


@case
def label_of_a_run_selects_the_worker() -> None:
    for value in ("a", "b", "a", "b"):
        wanted = [DesiredWorkerLabel(key="zone", value=value, required=True)]
        assert zone.run(Job(), desired_worker_labels=wanted)["zone"] == value


@case
def changed_label_makes_a_worker_eligible() -> None:
    waiting = start(grown)
    zone.run(Job())
    assert is_status(waiting, "QUEUED")
    wanted = [DesiredWorkerLabel(key="zone", value="a", required=True)]
    grow.run(Job(), desired_worker_labels=wanted)
    assert waiting.result()["zone"] == "a"
