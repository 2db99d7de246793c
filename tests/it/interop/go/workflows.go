package main

import (
	"time"

	"github.com/google/uuid"

	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
)

// The status of each task of a finished run.
func statuses(run string) map[string]rest.V1TaskStatus {
	found := map[string]rest.V1TaskStatus{}
	eventually("the run has finished", func() bool {
		details := must(client.Runs().GetDetails(ctx, uuid.MustParse(run)))
		for name, task := range details.TaskRuns {
			found[name] = task.Status
		}
		return details.Done
	})
	return found
}

var workflowCases = []testCase{
	{"tasks_receive_the_outputs_of_their_parents", func() {
		result := must(dagFlow.Run(ctx, word{"x"}))
		equal(output(result, "both")["both"], "xx")
		equal(output(result, "left")["word"], "x")
		shape := must(client.Runs().Get(ctx, result.RunId)).Shape
		equal(len(shape), 4)
	}},
	{"failed_task_cancels_dependents_and_runs_on_failure_task", func() {
		ref := must(brokenFlow.RunNoWait(ctx, word{}))
		contains(errorOf(ref.Result()), "boom")
		equal(statuses(ref.RunId), map[string]string{
			"boom": "FAILED", "on-failure": "COMPLETED", "unreached": "CANCELLED",
		})
		details := must(client.Runs().GetDetails(ctx, uuid.MustParse(ref.RunId)))
		contains(string(details.TaskRuns["on-failure"].Output), "boom")
		becomes(ref.RunId, rest.V1TaskStatusFAILED)
	}},
	{"conditions_delay_and_skip_tasks", func() {
		begin := time.Now()
		ref := must(graphFlow.RunNoWait(ctx, word{"longer"}))
		// An event has no effect before the condition is in effect.
		eventually("the event ends the wait", func() bool {
			check(client.Events().Push(ctx, "go:go", word{"other"}))
			check(client.Events().Push(ctx, "go:go", word{"go"}))
			return must(client.Runs().GetDetails(ctx, uuid.MustParse(ref.RunId))).Done
		})
		equal(output(must(ref.Result()), "join"), object{"long": true, "short": false})
		expect(time.Since(begin) >= time.Second, "the task did not sleep")
		expect(time.Since(begin) < 50*time.Second, "the task slept for a minute")
	}},
	{"event_triggers_runs", func() {
		check(client.Events().Push(ctx, "go:exact", word{"pushed"}, eventMetadata("exact", program)))
		runs := func(pair string) []rest.V1TaskSummary { return withMetadata(pair) }
		eventually("a run has completed", func() bool {
			found := runs("exact:" + program)
			return len(found) == 1 && found[0].Status == rest.V1TaskStatusCOMPLETED
		})
		result := runs("exact:" + program)[0].Output
		equal(result["word"], "pushed")
		equal(result["key"], "go:exact")
		check(client.Events().BulkPush(ctx, []eventWithMetadata{
			{Key: "go:wildcard:1", Event: word{"1"}, AdditionalMetadata: map[string]string{"bulk": program}},
			{Key: "go:wildcard:2", Event: word{"2"}, AdditionalMetadata: map[string]string{"bulk": program}},
			{Key: "go:none", Event: word{"3"}, AdditionalMetadata: map[string]string{"bulk": program}},
		}))
		eventually("two runs were made", func() bool { return len(runs("bulk:"+program)) == 2 })
	}},
	{"filter_selects_events_of_its_scope", func() {
		workflow := must(client.Workflows().GetId(ctx, "go-filtered"))
		filter := must(client.Filters().Create(ctx, rest.V1CreateFilterRequest{
			WorkflowId: workflow, Expression: "input.word == 'wanted'", Scope: "go",
			Payload: &object{"from": "filter"},
		}))
		push := func(word_ string, scope *string) {
			check(client.Events().Push(ctx, "go:filtered", word{word_}, eventMetadata("filtered", program),
				eventScope(scope)))
		}
		push("unwanted", pointer("go"))
		push("wanted", pointer("other"))
		push("wanted", pointer("go"))
		eventually("a run has completed", func() bool {
			found := withMetadata("filtered:" + program)
			return len(found) > 0 && found[0].Status == rest.V1TaskStatusCOMPLETED
		})
		found := withMetadata("filtered:" + program)
		equal(len(found), 1)
		equal(found[0].Output["filter"], object{"from": "filter"})

		update := rest.V1UpdateFilterRequest{Expression: pointer("input.word == 'other'")}
		equal(must(client.Filters().Update(ctx, filter.Metadata.Id, update)).Expression, "input.word == 'other'")
		equal(must(client.Filters().Get(ctx, filter.Metadata.Id)).Scope, "go")
		params := rest.V1FilterListParams{WorkflowIds: &[]uuid.UUID{workflow}, Scopes: &[]string{"go"}}
		equal(len(*must(client.Filters().List(ctx, &params)).Rows), 1)
		must(client.Filters().Delete(ctx, filter.Metadata.Id))
		equal(len(*must(client.Filters().List(ctx, &params)).Rows), 0)
	}},
	{"expression_is_evaluated_for_debugging", func() {
		evaluated := must(client.CEL().Debug(ctx, "input.word == 'a'", object{"word": "a"}, nil, nil))
		equal(evaluated.Status, "SUCCESS")
		equal(*evaluated.Output, true)
		refused := must(client.CEL().Debug(ctx, "input.word ==", object{}, nil, nil))
		equal(refused.Status, "ERROR")
		expect(*refused.Error != "", "no error")
	}},
	{"desired_label_of_a_run_chooses_its_worker", func() {
		labels := hatchet.WithDesiredWorkerLabels(map[string]*hatchet.DesiredWorkerLabel{
			"zone": {Value: "go-b", Required: true},
		})
		for range 4 {
			id := into(must(echo.Run(ctx, word{}, labels)))["worker"].(string)
			contains(must(client.Workers().Get(ctx, id)).Name, "go-b")
		}
	}},
	{"tasks_of_a_sticky_workflow_share_a_worker", func() {
		for range 4 {
			result := must(stickyFlow.Run(ctx, job{}))
			equal(output(result, "first")["worker"], output(result, "second")["worker"])
		}
	}},
}
