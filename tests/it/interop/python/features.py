"""The main features of the Python SDK. The worker is `flows.py`."""

import time
from datetime import datetime, timedelta, timezone

from cases import PROGRAM, case, chunks_of, error_of, eventually, named, wait
from flows import (
    Word, backoff, broken, dag, echo, fatal, flaky, hatchet, late, logs, metadata, on_cron, on_event, once, parent,
    refresh, slow, stream,
)  # fmt: skip
from hatchet_sdk import BulkPushEventWithMetadata
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus
from hatchet_sdk.exceptions import IdempotencyCollisionError


def status(run: str) -> V1TaskStatus:
    return hatchet.runs.get_status(run)


@case
def run_and_typed_result() -> None:
    assert echo.run(Word(word="ä<&>"))["word"] == "ä<&>"
    assert wait(echo.aio_run(Word(word="async")))["word"] == "async"


@case
def run_without_waiting_status_and_details() -> None:
    ref = echo.run(Word(word="later"), wait_for_result=False)
    assert ref.result()["word"] == "later"
    assert status(ref.workflow_run_id) == V1TaskStatus.COMPLETED
    run = hatchet.runs.get(ref.workflow_run_id)
    assert run.run.output["word"] == "later" and run.tasks[0].status == V1TaskStatus.COMPLETED
    details = hatchet.runs.get_details(ref.workflow_run_id)
    assert details.done and details.task_runs["py-echo"].output["word"] == "later"


@case
def bulk() -> None:
    results = echo.run_many([echo.create_bulk_run_item(Word(word=str(n))) for n in range(50)])
    assert [r["word"] for r in results] == [str(n) for n in range(50)]


@case
def metadata_and_priority() -> None:
    output = metadata.run(Word(), additional_metadata={"who": PROGRAM}, priority=3)
    assert output["metadata"]["who"] == PROGRAM and output["priority"] == 3
    listed = lambda: hatchet.runs.list(additional_metadata={"who": PROGRAM}, only_tasks=True).rows  # noqa: E731
    rows = eventually(listed, "the run is listed")
    assert rows[0].additional_metadata["who"] == PROGRAM


@case
def failed_task_is_retried_after_backoff() -> None:
    assert flaky.run()["attempt"] == 2
    start = time.time()
    assert backoff.run()["at"] - start >= 0.9


@case
def fatal_failure_is_not_retried() -> None:
    assert "fatal in attempt 0" in error_of(fatal.run)


@case
def execution_timeout_fails_run_unless_refreshed() -> None:
    assert "exceeded timeout of 1s" in error_of(late.run)
    assert refresh.run()["refreshed"]


@case
def cancel_over_rest() -> None:
    ref = slow.run(wait_for_result=False)
    eventually(lambda: status(ref.workflow_run_id) == V1TaskStatus.RUNNING or None, "the run is running")
    hatchet.runs.cancel(ref.workflow_run_id)
    eventually(lambda: status(ref.workflow_run_id) == V1TaskStatus.CANCELLED or None, "the run is cancelled")


@case
def replay() -> None:
    ref = echo.run(Word(word="again"), wait_for_result=False)
    ref.result()
    hatchet.runs.replay(ref.workflow_run_id)
    task = eventually(
        lambda: (t := hatchet.runs.get_task_run(ref.workflow_run_id)).retry_count == 1
        and t.status == V1TaskStatus.COMPLETED
        and t
        or None,
        "the replay has completed",
    )
    assert task.attempt == 2


@case
def stream_is_complete_and_in_order() -> None:
    chunks, _ = wait(chunks_of(stream, Word))
    assert chunks == [f"chunk {at};" for at in range(20)]


@case
def log_lines() -> None:
    ref = logs.run(wait_for_result=False)
    ref.result()
    lines = eventually(
        lambda: (rows := hatchet.logs.list(ref.workflow_run_id).rows or []) and len(rows) >= 2 and rows or None, "lines"
    )
    assert {"first line", "second line"} <= {line.message for line in lines}


@case
def child_runs_are_created_once() -> None:
    output = parent.run()
    assert output["words"] == ["one", "two", "three"]
    task = output["runs"][0]
    assert hatchet.runs.get(task).run.additional_metadata["hatchet__parent_workflow_run_id"]


@case
def workflow_of_several_tasks_completes() -> None:
    ref = dag.run(Word(word="x"), wait_for_result=False)
    result = ref.result()
    assert result["both"] == {"both": "xx"} and result["left"] == {"left": "x"}, result
    details = hatchet.runs.get_details(ref.workflow_run_id)
    assert details.status.name == "COMPLETED" and len(details.task_runs) == 4
    run = hatchet.runs.get(ref.workflow_run_id)
    assert {t.task_name for t in run.shape} == {"left", "right", "both", "never-on-failure"}, run.shape
    assert wait(dag.aio_run(Word(word="y")))["both"] == {"both": "yy"}
    row = next(r for r in hatchet.runs.list(only_tasks=False).rows if r.metadata.id == ref.workflow_run_id)
    assert row.type == "DAG" and len(row.children) == 4


@case
def failed_task_cancels_dependents_and_runs_on_failure_task() -> None:
    ref = broken.run(wait_for_result=False)
    assert "boom" in error_of(ref.result)
    details = eventually(lambda: (d := hatchet.runs.get_details(ref.workflow_run_id)).done and d or None, "the run has finished")
    states = {name: task.status.name for name, task in details.task_runs.items()}
    assert states == {"boom": "FAILED", "unreached": "CANCELLED", "rescue-on-failure": "COMPLETED"}, states
    assert details.task_runs["rescue-on-failure"].output == {"failed": ["boom"]}
    assert status(ref.workflow_run_id) == V1TaskStatus.FAILED


def runs_of(event: str) -> list[str]:
    found = hatchet.event.list(event_ids=[event]).rows or []
    return [run.workflow_run_id for row in found for run in row.triggered_runs or []]


@case
def event_triggers_run() -> None:
    event = hatchet.event.push("py:exact", {"word": "pushed"}, additional_metadata={"m": "1"})
    [run] = eventually(lambda: runs_of(event.event_id) or None, "a run")
    eventually(lambda: status(run) == V1TaskStatus.COMPLETED or None, "the run has completed")
    details = hatchet.runs.get(run).run
    assert details.output["word"] == "pushed" and details.additional_metadata["m"] == "1"
    assert details.additional_metadata["hatchet__event_id"] == event.event_id
    assert hatchet.event.get(event.event_id).key == named("py:exact")
    events = hatchet.event.bulk_push(
        [BulkPushEventWithMetadata(key=f"py:wildcard:{n}", payload={"word": str(n)}) for n in range(3)]
    )
    for pushed in events:
        eventually(lambda pushed=pushed: len(runs_of(pushed.event_id)) == 1, "an event has a run")
    assert runs_of(hatchet.event.push("py:other", {"word": "no"}).event_id) == []


@case
def schedules() -> None:
    soon = datetime.now(tz=timezone.utc) + timedelta(seconds=1)
    version = echo.schedule(soon, Word(word="scheduled"))
    [scheduled] = version.scheduled_workflows
    outputs = lambda: [r.output.get("word") for r in hatchet.runs.list(workflow_ids=[echo.id], only_tasks=True).rows]  # noqa: E731
    eventually(lambda: "scheduled" in outputs() or None, "the scheduled run has completed")
    assert scheduled.id not in [r.metadata.id for r in hatchet.scheduled.list().rows or []]
    later = datetime.now(tz=timezone.utc) + timedelta(days=1)
    created = hatchet.scheduled.create("py-echo", later, {"word": "never"}, {"schedule": PROGRAM})
    listed = hatchet.scheduled.list(additional_metadata={"schedule": PROGRAM}).rows
    assert [r.metadata.id for r in listed] == [created.metadata.id]
    updated = hatchet.scheduled.update(created.metadata.id, trigger_at=later + timedelta(days=1))
    assert updated.trigger_at > later
    hatchet.scheduled.delete(created.metadata.id)
    deleted = hatchet.scheduled.bulk_delete(scheduled_ids=[created.metadata.id])
    assert not deleted.deleted_ids and deleted.errors[0].error == "Failed to delete scheduled workflow."
    assert not hatchet.scheduled.list(additional_metadata={"schedule": PROGRAM}).rows


@case
def crons() -> None:
    rows = eventually(
        lambda: [
            r for r in hatchet.runs.list(workflow_ids=[on_cron.id], only_tasks=True).rows
            if r.status == V1TaskStatus.COMPLETED
        ] or None,
        "a run by cron",
    )  # fmt: skip
    assert rows[0].output["word"] == "cron" and rows[0].additional_metadata["hatchet__cron_expression"] == "*/1 * * * * *"
    created = hatchet.cron.create("py-echo", "interop", "0 0 1 1 *", {"word": "new year"}, {"a": "b"})
    assert hatchet.cron.get(created.metadata.id).cron == "0 0 1 1 *"
    assert created.metadata.id in [r.metadata.id for r in hatchet.cron.list(cron_name="interop").rows]
    hatchet.cron.delete(created.metadata.id)
    assert not hatchet.cron.list(cron_name="interop").rows
    [declared] = hatchet.cron.list(workflow_id=on_cron.id).rows
    hatchet.cron.delete(declared.metadata.id)
    assert not hatchet.cron.list(workflow_id=on_cron.id).rows


@case
def idempotency() -> None:
    first = once.run(Word(word="key"), wait_for_result=False)
    try:
        once.run(Word(word="key"), wait_for_result=False)
        raise AssertionError("a second run was created")
    except IdempotencyCollisionError as error:
        assert error.existing_run_external_id == first.workflow_run_id


@case
def trigger_and_cancel_by_filter_over_rest() -> None:
    created = hatchet.runs.create("py-slow", {}, {"filter": PROGRAM})
    run = created.run.metadata.id
    hatchet.runs.bulk_cancel_by_filters_with_pagination(additional_metadata={"filter": PROGRAM})
    eventually(lambda: status(run) == V1TaskStatus.CANCELLED or None, "the run is cancelled")


@case
def workers_and_workflows_are_listed() -> None:
    active = lambda: any(  # noqa: E731
        w.name == named("py-worker") and w.status == "ACTIVE" for w in hatchet.workers.list().rows
    )
    eventually(active, "the worker is active", 30)
    assert on_event.id and hatchet.workflows.get(on_event.id).name == named("py-on-event")

