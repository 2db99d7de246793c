"""Conditions, children, events and priorities of the Python SDK. The worker is `workflows_flows.py`."""

import time

from cases import PROGRAM, becomes, cancel, case, error_of, eventually, is_status, named, start
from hatchet_sdk.exceptions import BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError
from workflows_flows import (
    Word, echo, family, filtered, graph, hatchet, heavy, once_at_a_time, ordered, releasing, shared_one, shared_two,
    slow_parent, stopped, unserved, whole,
)  # fmt: skip


def states(ref) -> dict[str, str]:  # type: ignore[no-untyped-def]
    details = eventually(lambda: (d := hatchet.runs.get_details(ref.workflow_run_id)).done and d, "the run has ended")
    return {name: task.status.name for name, task in details.task_runs.items()}


@case
def conditions_delay_and_skip_tasks() -> None:
    begin = time.time()
    ref = start(graph, Word(word="longer"))

    def push() -> bool:
        # An event has no effect before the condition is in effect.
        hatchet.event.push("py:go", {"word": "other"})
        hatchet.event.push("py:go", {"word": "go"})
        return hatchet.runs.get_details(ref.workflow_run_id).done

    eventually(push, "the event ends the wait")
    result = ref.result()
    assert result["join"] == {"short": False, "long": True}, result
    assert result["succeeded-on-success"] == {"succeeded": True}, result
    assert result["slept"]["at"] - begin >= 1
    assert result["called"]["at"] - begin < 50


@case
def event_skips_and_output_cancels() -> None:
    ref = start(stopped, Word(word="skip"))
    eventually(
        lambda: hatchet.event.push("py:skip", {}) and hatchet.runs.get_details(ref.workflow_run_id).done,
        "the event skips the task",
    )
    assert states(ref)["stopped_end"] == "COMPLETED", states(ref)
    assert ref.result()["stopped_end"] == {"skipped": True}, ref.result()
    ref = start(stopped, Word(word="cancel"))
    assert states(ref) == {"stopped_begin": "COMPLETED", "stopped_end": "CANCELLED"}
    becomes(ref, "CANCELLED")


@case
def child_with_key_is_created_once_and_inherits_metadata() -> None:
    ref = start(family, Word(), additional_metadata={"who": "family", "own": "parent"})
    result = ref.result()
    first, same = result["first"], result["same"]
    assert first == same and first["word"] == "one" and first["child_key"] == "one" and first["priority"] == 3
    assert first["metadata"]["who"] == "family" and first["metadata"]["own"] == "child", first
    assert first["metadata"]["from"] == "default", first
    task = hatchet.runs.get(ref.workflow_run_id).tasks[0].metadata.id
    eventually(lambda: len(hatchet.runs.list(parent_task_external_id=task).rows) == 1, "the child is listed")


@case
def cancelled_child_ends_the_wait_of_its_parent() -> None:
    ref = start(slow_parent, Word(word=PROGRAM))
    rows = lambda: hatchet.runs.list(additional_metadata={"child_of": PROGRAM}, only_tasks=True).rows  # noqa: E731
    child = eventually(lambda: (found := rows()) and found[0].status == "RUNNING" and found[0], "the child is running")
    hatchet.runs.cancel(child.metadata.id)
    eventually(lambda: not is_status(ref, "RUNNING"), "the parent has ended")
    assert hatchet.runs.get_status(child.metadata.id) == "CANCELLED"


def runs_of(event: str) -> list[str]:
    found = hatchet.event.list(event_ids=[event]).rows or []
    return [run.workflow_run_id for row in found for run in row.triggered_runs or []]


def outcome_of(event) -> dict:  # type: ignore[no-untyped-def, type-arg]
    [run] = eventually(lambda: runs_of(event.event_id), "the event has a run")
    eventually(lambda: hatchet.runs.get_status(run) == "COMPLETED", "the run has completed")
    return hatchet.runs.get(run).run.output


@case
def filters_select_events_of_their_scope() -> None:
    created = filtered.create_filter("input.word == payload.wanted", "created", {"wanted": "this"})
    push = lambda word, scope: hatchet.event.push("py:filtered", {"word": word}, scope=scope)  # noqa: E731
    unmatched = [push(*event) for event in (("other", "declared"), ("other", "created"), ("default", None))]
    output = outcome_of(push("default", "declared"))
    assert output["filter"] == {"from": "default"} and output["key"] == named("py:filtered"), output
    assert outcome_of(push("this", "created"))["filter"] == {"wanted": "this"}
    assert [runs_of(event.event_id) for event in unmatched] == [[], [], []]
    listed = hatchet.filters.list(workflow_ids=[filtered.id], scopes=["created"]).rows
    assert [row.metadata.id for row in listed] == [created.metadata.id]
    assert hatchet.filters.get(created.metadata.id).payload == {"wanted": "this"}
    hatchet.filters.delete(created.metadata.id)
    assert not hatchet.filters.list(workflow_ids=[filtered.id], scopes=["created"]).rows
    assert len(hatchet.filters.list(workflow_ids=[filtered.id]).rows) == 1


@case
def events_are_listed_by_key_scope_and_metadata() -> None:
    event = hatchet.event.push("py:listed", {"word": "listed"}, additional_metadata={"list": PROGRAM}, scope=PROGRAM)
    ids = lambda **by: [row.metadata.id for row in hatchet.event.list(**by).rows or []]  # noqa: E731
    for by in ({"keys": [named("py:listed")]}, {"scopes": [PROGRAM]}, {"additional_metadata": {"list": PROGRAM}}):
        eventually(lambda by=by: ids(**by) == [event.event_id], f"the event is listed by {by}")
    assert ids(keys=[named("py:listed")], scopes=["other"]) == []


@case
def idempotency_key_of_a_running_run_is_refused() -> None:
    first = start(once_at_a_time, Word(word="a", seconds=50))
    assert "IdempotencyCollisionError" in error_of(lambda: start(once_at_a_time, Word(word="a")))
    try:
        once_at_a_time.run_many([once_at_a_time.create_bulk_run_item(Word(word=word)) for word in ("a", "b")])
        raise AssertionError("no collision")
    except BulkTriggerIdempotencyCollisionError as error:
        [collision] = error.collisions
        assert collision.existing_run_external_id == first.workflow_run_id
        assert len(error.successful_workflow_run_external_ids) == 1
    cancel(first)

    def starts() -> bool:
        try:
            return bool(start(once_at_a_time, Word(word="a")))
        except IdempotencyCollisionError:
            return False

    eventually(starts, "the key is released with the end of the run")


@case
def workflow_limit_applies_to_whole_runs() -> None:
    first = start(whole, Word(word="a", seconds=1.5))
    becomes(first, "RUNNING")
    second = start(whole, Word(word="a"))
    result = first.result()
    assert second.result()["whole_first"]["at"] > result["whole_second"]["at"]


@case
def tasks_share_a_limit_of_the_tenant() -> None:
    first = start(shared_one, Word(word="a", seconds=50))
    becomes(first, "RUNNING")
    second = start(shared_two, Word(word="a"))
    start(shared_two, Word(word="b")).result()
    assert is_status(first, "RUNNING") and is_status(second, "QUEUED")
    cancel(first)
    second.result()


@case
def higher_priority_runs_first() -> None:
    first = start(ordered, Word(seconds=50))
    becomes(first, "RUNNING")
    low, high = start(ordered, Word(), priority=1), start(ordered, Word(), priority=3)
    cancel(first)
    assert high.result()["at"] < low.result()["at"]


@case
def slots_are_counted_and_released() -> None:
    first = start(heavy, Word(seconds=50))
    becomes(first, "RUNNING")
    second = start(heavy, Word())
    unserved_run = start(unserved, Word())
    echo.run(Word())
    assert is_status(second, "QUEUED")
    cancel(first)
    second.result()
    # The REST API shows a schedule timeout as a failure.
    becomes(unserved_run, "FAILED")
    released = start(releasing, Word(seconds=50))
    becomes(released, "RUNNING")
    heavy.run(Word())
    assert is_status(released, "RUNNING")
    cancel(released)
