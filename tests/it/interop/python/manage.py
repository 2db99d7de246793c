"""Management over REST with the Python SDK. The worker is `workflows_flows.py`."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from cases import PROGRAM, becomes, cancel, case, eventually, is_status, named, start
from hatchet_sdk import Priority
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus
from hatchet_sdk.features.runs import BulkCancelReplayOpts, RunFilter
from workflows_flows import Word, deleted, echo, failing, graph, hatchet, paused


@case
def paused_workflow_queues_its_runs() -> None:
    workflow = paused.pause(timedelta(minutes=1))
    assert workflow.is_paused and hatchet.workflows.get(paused.id).is_paused
    ref = start(paused, Word())
    echo.run(Word())
    assert is_status(ref, "QUEUED")
    assert not paused.unpause().is_paused
    ref.result()


@case
def runs_of_a_paused_workflow_expire() -> None:
    paused.pause(timedelta(seconds=1), "DROP", "DROP")
    ref = start(paused, Word())
    becomes(ref, "CANCELLED")
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    paused.schedule(soon, Word(), additional_metadata={"scheduled": PROGRAM})
    scheduled = lambda: hatchet.runs.list(additional_metadata={"scheduled": PROGRAM}).rows  # noqa: E731
    time.sleep(2)
    assert not scheduled()
    paused.unpause()
    eventually(scheduled, "the schedule starts its run when the workflow is resumed")


@case
def runs_are_listed_with_filters_and_pages() -> None:
    for _ in range(3):
        echo.run(Word(), additional_metadata={"page": PROGRAM})
    find = lambda **by: hatchet.runs.list(additional_metadata={"page": PROGRAM}, **by)  # noqa: E731
    eventually(lambda: len(find(statuses=[V1TaskStatus.COMPLETED]).rows) == 3, "the runs are listed")
    page = find(limit=2, workflow_ids=[echo.id], statuses=[V1TaskStatus.COMPLETED], only_tasks=True)
    assert len(page.rows) == 2 and page.pagination.num_pages == 2
    assert len(find(limit=2, offset=2).rows) == 1
    assert not find(statuses=[V1TaskStatus.FAILED]).rows and not find(workflow_ids=[graph.id]).rows
    assert len(echo.list_runs(additional_metadata={"page": PROGRAM})) == 3


@case
def many_runs_are_cancelled_and_replayed() -> None:
    refs = [start(echo, Word(seconds=30), additional_metadata={"bulk": PROGRAM}) for _ in range(3)]
    ids = [ref.workflow_run_id for ref in refs]
    hatchet.runs.bulk_cancel(BulkCancelReplayOpts(ids=ids[:1]))
    becomes(refs[0], "CANCELLED")
    eventually(
        lambda: len(hatchet.runs.list(additional_metadata={"bulk": PROGRAM}).rows) == 3, "the runs are listed"
    )
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    pairs = {"bulk": PROGRAM}
    hatchet.runs.bulk_cancel(BulkCancelReplayOpts(filters=RunFilter(since=since, additional_metadata=pairs)))
    for ref in refs:
        becomes(ref, "CANCELLED")
    failed = [failing.run(wait_for_result=False, additional_metadata={"failing": PROGRAM}) for _ in range(2)]
    for ref in failed:
        becomes(ref, "FAILED")
    eventually(
        lambda: len(hatchet.runs.list(additional_metadata={"failing": PROGRAM}).rows) == 2, "the runs are listed"
    )
    hatchet.runs.bulk_replay_by_filters_with_pagination(
        statuses=[V1TaskStatus.FAILED], additional_metadata={"failing": PROGRAM}
    )
    for ref in failed:
        eventually(
            lambda ref=ref: hatchet.runs.get(ref.workflow_run_id).tasks[0].attempt == 2, "the run is executed again"
        )


@case
def tasks_and_queues_are_counted() -> None:
    before = hatchet.metrics.get_task_metrics(workflow_ids=[echo.id])
    echo.run(Word())
    eventually(
        lambda: hatchet.metrics.get_task_metrics(workflow_ids=[echo.id]).completed == before.completed + 1,
        "the run is counted",
    )
    assert isinstance(hatchet.metrics.get_queue_metrics(), dict)
    ref = start(echo, Word(seconds=50))
    becomes(ref, "RUNNING")
    stats = lambda: hatchet.metrics.get_task_stats().get("py-flow-echo")  # noqa: E731
    eventually(lambda: (shown := stats()) and shown.running, "the running task is counted")
    cancel(ref)


@case
def expression_is_evaluated_for_debugging() -> None:
    debug = hatchet.cel.debug
    assert debug("input.word == 'a'", {"word": "a"}).result.output is True
    metadata, payload = {"team": "a"}, {"min": 1}
    expression = "additional_metadata.team == 'a' && payload.min > 1"
    assert debug(expression, {}, metadata, payload).result.output is False
    assert debug("input.word ==", {}).result.status == "failure"


@case
def workflow_has_versions_and_is_deleted() -> None:
    [row] = [row for row in hatchet.workflows.list(named("py-deleted")).rows if row.name == named("py-deleted")]
    assert row.description == "is deleted"
    version = hatchet.workflows.get_version(row.metadata.id)
    assert version.workflow.metadata.id == row.metadata.id
    deleted.delete()
    assert not hatchet.workflows.list(named("py-deleted")).rows


@case
def cron_and_schedules_have_priority_and_metadata() -> None:
    cron = echo.create_cron(
        "py-flow-cron", "0 0 1 1 *", Word(word="cron"), additional_metadata={"c": PROGRAM}, priority=Priority.HIGH
    )
    assert cron.priority == 3 and cron.enabled and cron.additional_metadata["c"] == PROGRAM, cron
    [listed] = hatchet.cron.list(additional_metadata={"c": PROGRAM}).rows
    assert listed.metadata.id == cron.metadata.id and listed.workflow_name == named("py-flow-echo")
    hatchet.cron.delete(cron.metadata.id)

    later = datetime.now(timezone.utc) + timedelta(days=1)
    created = [
        hatchet.scheduled.create("py-flow-echo", later, {"word": str(n)}, {"s": PROGRAM}).metadata.id for n in range(3)
    ]
    response = hatchet.scheduled.bulk_update([(created[0], later + timedelta(days=1))])
    assert response.updated_ids == [created[0]] and not response.errors, response
    assert hatchet.scheduled.get(created[0]).trigger_at > later
    listed = hatchet.scheduled.list(workflow_id=echo.id, additional_metadata={"s": PROGRAM}, limit=2)
    assert len(listed.rows) == 2 and listed.pagination.num_pages == 2
    response = hatchet.scheduled.bulk_delete(scheduled_ids=created[:1])
    assert response.deleted_ids == created[:1], response
    hatchet.scheduled.bulk_delete(workflow_id=echo.id, additional_metadata={"s": PROGRAM})
    assert not hatchet.scheduled.list(workflow_id=echo.id, additional_metadata={"s": PROGRAM}).rows


@case
def paused_worker_gets_no_run() -> None:
    active = lambda: [  # noqa: E731
        w for w in hatchet.workers.list().rows if w.name == named("py-workflows") and w.status == "ACTIVE"
    ]
    [worker] = eventually(active, "the worker is active", 30)
    # Without a heartbeat in the last seconds, the worker is inactive.
    status = lambda: hatchet.workers.get(worker.metadata.id).status  # noqa: E731
    hatchet.workers.pause(worker.metadata.id)
    eventually(lambda: status() == "PAUSED", "the worker is paused", 30)


    def waiting() -> Any:
        # A real engine may assign runs to the worker for some seconds after the pause.
        ref = start(echo, Word())
        time.sleep(1)
        return ref if is_status(ref, "QUEUED") else None

    ref = eventually(waiting, "a run waits")
    hatchet.workers.unpause(worker.metadata.id)
    eventually(lambda: status() == "ACTIVE", "the worker is active again", 30)
    ref.result()
    shown = hatchet.workers.get(worker.metadata.id)
    assert shown.runtime_info.language == "PYTHON" and shown.slot_config["default"].limit == 20, shown
