package main

import (
	"slices"

	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
)

func startRust(task string, input any, options ...hatchet.RunOptFunc) *hatchet.WorkflowRunRef {
	return must(client.RunNoWait(ctx, task, input, options...))
}

// Lets a Rust task call a task of this worker.
func callBack(task, word_ string) object {
	call := object{"task": task, "input": word{word_}}
	metadata := hatchet.WithRunMetadata(map[string]string{"who": "go"})
	return output(must(client.Run(ctx, "rust-caller", call, metadata)), "rust-caller")
}

// Tasks of a Rust worker.
var rustCases = []testCase{
	{"rust_task_returns_output_and_metadata", func() {
		metadata := hatchet.WithRunMetadata(map[string]string{"who": "go"})
		result := output(must(client.Run(ctx, "rust-echo", word{"ä<&>"}, metadata)), "rust-echo")
		equal(result["word"], "ä<&>")
		equal(result["metadata"].(object)["who"], "go")
		equal(output(must(client.Run(ctx, "rust-flaky", word{})), "rust-flaky")["attempt"], 2)
		contains(errorOf(client.Run(ctx, "rust-fatal", word{})), "fatal in Rust")
	}},
	{"rust_task_streams_and_logs", func() {
		text, ref := readStream("rust-stream")
		equal(text, "chunk 0;chunk 1;chunk 2;chunk 3;chunk 4;")
		must(ref.Result())
		eventually("the lines are listed", func() bool {
			return slices.Equal(logLines(ref.RunId), []string{"first line", "last line"})
		})
	}},
	{"rust_task_is_cancelled", func() {
		ref := startRust("rust-slow", word{})
		becomes(ref.RunId, rest.V1TaskStatusRUNNING)
		cancel(ref.RunId)
		becomes(ref.RunId, rest.V1TaskStatusCANCELLED)
		first := startRust("rust-replaced", word{"go"})
		becomes(first.RunId, rest.V1TaskStatusRUNNING)
		second := startRust("rust-replaced", word{"go"})
		becomes(first.RunId, rest.V1TaskStatusCANCELLED)
		cancel(second.RunId)
	}},
	{"events_start_and_continue_rust_workflow", func() {
		check(client.Events().Push(ctx, "rust:start", word{"go"}, eventMetadata("rust", program)))
		eventually("the workflow has completed", func() bool {
			check(client.Events().Push(ctx, "rust:go", word{"go"}))
			runs := withMetadata("rust:" + program)
			return len(runs) == 1 && runs[0].Status == rest.V1TaskStatusCOMPLETED
		})
	}},
	{"rust_task_calls_task_of_this_worker", func() {
		result := callBack("go-echo", "back")["output"].(object)
		equal(result["word"], "back")
		equal(result["priority"], 3)
		equal(result["metadata"].(object)["by"], "rust")
		equal(result["metadata"].(object)["who"], "go")
		contains(callBack("go-fatal", "back")["failed"].(string), "fatal in attempt 0")
	}},
}
