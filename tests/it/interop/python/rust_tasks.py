"""Tasks of a Rust worker, called with the Python SDK. One of them calls the tasks of `flows.py`."""

from typing import Any

from cases import becomes, case, chunks_of, error_of, eventually, hatchet, start, wait
from hatchet_sdk.exceptions import IdempotencyCollisionError
from pydantic import BaseModel


class Word(BaseModel):
    word: str = "w"


class Call(BaseModel):
    task: str
    input: dict[str, object]


def stub(name: str) -> Any:
    return hatchet.stubs.task(name=name, input_validator=Word, output_validator=dict[str, Any])


@case
def rust_task_returns_output_and_metadata() -> None:
    output = stub("rust-echo").run(Word(word="ä<&>"), additional_metadata={"who": "python"})
    assert output["word"] == "ä<&>" and output["metadata"]["who"] == "python" and output["attempt"] == 1
    assert stub("rust-flaky").run(Word())["attempt"] == 2
    assert "fatal in Rust" in error_of(lambda: stub("rust-fatal").run(Word()))


@case
def rust_task_streams_and_logs() -> None:
    chunks, ref = wait(chunks_of(stub("rust-stream"), Word))
    assert chunks == [f"chunk {n};" for n in range(5)]
    lines = lambda: {row.message for row in hatchet.logs.list(ref.workflow_run_id).rows or []}  # noqa: E731
    eventually(lambda: lines() == {"first line", "last line"}, "the lines are listed")


@case
def rust_task_is_cancelled_and_replayed() -> None:
    ref = start(stub("rust-slow"), Word())
    becomes(ref, "RUNNING")
    hatchet.runs.cancel(ref.workflow_run_id)
    becomes(ref, "CANCELLED")
    first = start(stub("rust-replaced"), Word(word="python"))
    becomes(first, "RUNNING")
    second = start(stub("rust-replaced"), Word(word="python"))
    becomes(first, "CANCELLED")
    hatchet.runs.cancel(second.workflow_run_id)
    ref = start(stub("rust-echo"), Word())
    ref.result()
    becomes(ref, "COMPLETED")
    hatchet.runs.replay(ref.workflow_run_id)
    task = lambda: hatchet.runs.get_task_run(ref.workflow_run_id)  # noqa: E731
    eventually(lambda: task().status == "COMPLETED" and task().attempt == 2, "the replay has completed")
    assert task().output["attempt"] == 2


@case
def rust_task_has_one_run_for_an_idempotency_key() -> None:
    first = start(stub("rust-once"), Word(word="python"))
    try:
        start(stub("rust-once"), Word(word="python"))
        raise AssertionError("a second run was created")
    except IdempotencyCollisionError as error:
        assert error.existing_run_external_id == first.workflow_run_id


@case
def events_start_and_continue_rust_workflow() -> None:
    event = hatchet.event.push("rust:start", {"word": "go"})
    rows = lambda: hatchet.event.list(event_ids=[event.event_id]).rows or []  # noqa: E731
    runs = lambda: [run.workflow_run_id for row in rows() for run in row.triggered_runs or []]  # noqa: E731
    [run] = eventually(runs, "the event has a run")
    eventually(
        lambda: hatchet.event.push("rust:go", {"word": "go"}) and hatchet.runs.get_status(run) == "COMPLETED",
        "the workflow has completed",
    )
    assert hatchet.runs.get_details(run).task_runs["second"].output == {"word": "go"}


@case
def rust_task_calls_task_of_this_sdk() -> None:
    caller = hatchet.stubs.task(name="rust-caller", input_validator=Call, output_validator=dict[str, Any])
    call = lambda task: caller.run(  # noqa: E731
        Call(task=task, input={"word": "back"}), additional_metadata={"who": "python"}
    )
    output = call("py-metadata")["output"]
    assert output["metadata"]["by"] == "rust" and output["metadata"]["who"] == "python" and output["priority"] == 3
    assert call("py-echo")["output"]["word"] == "back"
    assert "fatal in attempt 0" in call("py-fatal")["failed"]
