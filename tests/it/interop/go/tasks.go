package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
)

func into(result *hatchet.TaskResult) object {
	output := object{}
	check(result.Into(&output))
	return output
}

func output(result *hatchet.WorkflowResult, task string) object {
	return into(result.TaskOutput(task))
}

func start(task *hatchet.StandaloneTask, input any, options ...hatchet.RunOptFunc) *hatchet.WorkflowRunRef {
	return must(task.RunNoWait(ctx, input, options...))
}

func errorOf[T any](_ T, err error) string {
	expect(err != nil, "succeeded")
	return err.Error()
}

func contains(text, part string) {
	expect(strings.Contains(text, part), "%q does not contain %q", text, part)
}

// A real engine may not find a new run for up to a second.
func isStatus(run string, status rest.V1TaskStatus) bool {
	current, err := client.Runs().GetStatus(ctx, run)
	return err == nil && *current == status
}

func becomes(run string, status rest.V1TaskStatus) {
	eventually(fmt.Sprintf("run %s is %s", run, status), func() bool { return isStatus(run, status) })
}

func ids(runs ...string) *[]uuid.UUID {
	parsed := []uuid.UUID{}
	for _, run := range runs {
		parsed = append(parsed, uuid.MustParse(run))
	}
	return &parsed
}

func cancel(runs ...string) {
	must(client.Runs().Cancel(ctx, rest.V1CancelTaskRequest{ExternalIds: ids(runs...)}))
}

func listed(params rest.V1WorkflowRunListParams) []rest.V1TaskSummary {
	params.Since = time.Now().Add(-time.Hour)
	params.IncludePayloads = pointer(true)
	return must(client.Runs().List(ctx, params)).Rows
}

// Lists the runs with a pair of metadata.
func withMetadata(pair string) []rest.V1TaskSummary {
	return listed(rest.V1WorkflowRunListParams{AdditionalMetadata: &[]string{pair}})
}

// Runs a task that repeats a chunk until the file of its input exists. Returns the other chunks and the run. The file contains
// the latest chunk.
func readStream(task string) (string, *hatchet.WorkflowRunRef) {
	folder := must(os.MkdirTemp("", "stream"))
	defer func() { check(os.RemoveAll(folder)) }()
	received := filepath.Join(folder, "received")
	ref := must(client.RunNoWait(ctx, task, word{received}))
	reading, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	text := ""
	for chunk := range client.Runs().SubscribeToStream(reading, ref.RunId) {
		check(os.WriteFile(received, []byte(chunk), 0o600))
		if chunk != "repeated;" {
			text += chunk
		}
	}
	return text, ref
}

func logLines(run string) []string {
	lines := []string{}
	details := must(client.Runs().Get(ctx, run))
	for _, line := range *must(client.Logs().List(ctx, details.Tasks[0].TaskExternalId, nil)).Rows {
		lines = append(lines, line.Message)
	}
	slices.Sort(lines)
	return lines
}

var taskCases = []testCase{
	{"run_by_task_and_by_name", func() {
		equal(into(must(echo.Run(ctx, word{"ä<&>"})))["word"], "ä<&>")
		equal(output(must(client.Run(ctx, "go-echo", word{"name"})), "go-echo")["word"], "name")
	}},
	{"run_without_waiting_status_and_details", func() {
		ref := start(echo, word{"later"})
		equal(output(must(ref.Result()), "go-echo")["word"], "later")
		becomes(ref.RunId, rest.V1TaskStatusCOMPLETED)
		details := must(client.Runs().GetDetails(ctx, uuid.MustParse(ref.RunId)))
		expect(details.Done, "not done")
		contains(string(details.TaskRuns["go-echo"].Output), "later")
		equal(must(client.Runs().Get(ctx, ref.RunId)).Tasks[0].Status, "COMPLETED")
	}},
	{"run_many", func() {
		inputs := []hatchet.RunManyOpt{}
		for n := range 50 {
			inputs = append(inputs, hatchet.RunManyOpt{Input: word{fmt.Sprint(n)}})
		}
		words := map[any]bool{}
		for _, ref := range must(echo.RunMany(ctx, inputs)) {
			words[output(must(ref.Result()), "go-echo")["word"]] = true
		}
		equal(len(words), 50)
	}},
	{"metadata_and_priority", func() {
		metadata := hatchet.WithRunMetadata(map[string]string{"who": program})
		result := into(must(echo.Run(ctx, word{}, metadata, hatchet.WithRunPriority(3))))
		equal(result["metadata"].(object)["who"], program)
		equal(result["priority"], 3)
		eventually("the run is listed", func() bool { return len(withMetadata("who:"+program)) == 1 })
	}},
	{"failed_task_is_retried_after_backoff", func() {
		begin := time.Now().UnixMilli()
		result := into(must(flaky.Run(ctx, word{})))
		equal(result["attempt"], 2)
		expect(result["at"].(float64)-float64(begin) >= 1_800, "no backoff")
		contains(errorOf(failing.Run(ctx, word{})), "failed in attempt 1")
	}},
	{"fatal_failure_is_not_retried", func() { contains(errorOf(fatal.Run(ctx, word{})), "fatal in attempt 0") }},
	{"execution_timeout_fails_run_unless_refreshed", func() {
		contains(errorOf(late.Run(ctx, word{})), "exceeded timeout of 1s")
		equal(into(must(refresh.Run(ctx, word{})))["refreshed"], true)
	}},
	{"cancel_by_id_and_by_filter", func() {
		ref := start(slow, word{})
		becomes(ref.RunId, rest.V1TaskStatusRUNNING)
		cancel(ref.RunId)
		becomes(ref.RunId, rest.V1TaskStatusCANCELLED)
		ref = start(slow, word{}, hatchet.WithRunMetadata(map[string]string{"filter": program}))
		becomes(ref.RunId, rest.V1TaskStatusRUNNING)
		eventually("the run is listed", func() bool { return len(withMetadata("filter:"+program)) == 1 })
		filter := rest.V1TaskFilter{Since: time.Now().Add(-time.Hour), AdditionalMetadata: &[]string{"filter:" + program}}
		must(client.Runs().Cancel(ctx, rest.V1CancelTaskRequest{Filter: &filter}))
		becomes(ref.RunId, rest.V1TaskStatusCANCELLED)
	}},
	{"replay", func() {
		ref := start(echo, word{"again"})
		must(ref.Result())
		becomes(ref.RunId, rest.V1TaskStatusCOMPLETED)
		replayed := must(client.Runs().Replay(ctx, rest.V1ReplayTaskRequest{ExternalIds: ids(ref.RunId)}))
		equal(len(*replayed.Ids), 1)
		eventually("the replay has completed", func() bool {
			task := must(client.Runs().Get(ctx, ref.RunId)).Tasks[0]
			return *task.Attempt == 2 && task.Status == rest.V1TaskStatusCOMPLETED
		})
	}},
	{"stream_is_complete_and_in_order", func() {
		expected := ""
		for n := range 20 {
			expected += fmt.Sprintf("chunk %d;", n)
		}
		text, _ := readStream("go-stream")
		equal(text, expected)
	}},
	{"log_lines", func() {
		ref := start(logs, word{})
		must(ref.Result())
		eventually("the lines are listed", func() bool {
			return slices.Equal(logLines(ref.RunId), []string{"first line", "second line"})
		})
	}},
	{"child_runs_are_created_once_and_inherit_metadata", func() {
		ref := start(parent, word{}, hatchet.WithRunMetadata(map[string]string{"who": "go-parent"}))
		runs := output(must(ref.Result()), "go-parent")["runs"].([]any)
		task := must(client.Runs().Get(ctx, ref.RunId)).Tasks[0].TaskExternalId
		eventually("the children are listed", func() bool {
			return len(listed(rest.V1WorkflowRunListParams{ParentTaskExternalId: &task})) == 2
		})
		for _, run := range runs {
			metadata := *must(client.Runs().Get(ctx, run.(string))).Run.AdditionalMetadata
			equal(metadata["hatchet__parent_workflow_run_id"], ref.RunId)
			equal(metadata["who"], "go-parent")
		}
	}},
	{"sticky_child_runs_on_the_worker_of_its_parent", func() {
		for range 3 {
			equal(into(must(stickyParent.Run(ctx, word{})))["same"], true)
		}
	}},
	{"cancelled_child_ends_the_wait_of_its_parent", func() {
		ref := start(slowParent, word{})
		eventually("the child is listed", func() bool { return len(withMetadata("child-of:"+program)) == 1 })
		child := withMetadata("child-of:" + program)[0].Metadata.Id
		becomes(child, rest.V1TaskStatusRUNNING)
		cancel(child)
		becomes(child, rest.V1TaskStatusCANCELLED)
		eventually("the parent has ended", func() bool { return !isStatus(ref.RunId, rest.V1TaskStatusRUNNING) })
	}},
	{"idempotency_key_refuses_a_second_run", func() {
		first := start(once, word{"key"})
		_, err := once.RunNoWait(ctx, word{"key"})
		collision, is := hatchet.IsIdempotencyCollisionError(err)
		expect(is, "%v", err)
		equal(collision.ExistingRunExternalId, first.RunId)
		_, err = once.RunMany(ctx, []hatchet.RunManyOpt{{Input: word{"key"}}, {Input: word{"other"}}})
		collisions, is := hatchet.IsBulkTriggerIdempotencyCollisionError(err)
		expect(is, "%v", err)
		equal(len(collisions.Collisions), 1)
		equal(len(collisions.SuccessfulRunExternalIds), 1)
		must(start(onceAtATime, word{"key"}).Result())
		eventually("the key is released with the end of the run", func() bool {
			_, err := onceAtATime.RunNoWait(ctx, word{"key"})
			return err == nil
		})
	}},
}
