package main

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
	"github.com/hatchet-dev/hatchet/sdks/go/features"
)

// The SDK reports an error for every deletion, since it does not accept the status 204 of the response.
func deletion(err error) {
	expect(err != nil && strings.Contains(err.Error(), "status 204"), "%v", err)
}

var manageCases = []testCase{
	{"runs_are_listed_with_filters_and_pages", func() {
		for range 3 {
			must(echo.Run(ctx, word{"page"}, hatchet.WithRunMetadata(map[string]string{"page": program})))
		}
		eventually("the runs are listed as completed", func() bool {
			runs := withMetadata("page:" + program)
			running := func(run rest.V1TaskSummary) bool { return run.Status != rest.V1TaskStatusCOMPLETED }
			return len(runs) == 3 && !slices.ContainsFunc(runs, running)
		})
		workflows := &[]uuid.UUID{must(client.Workflows().GetId(ctx, "go-echo"))}
		statuses := &[]rest.V1TaskStatus{rest.V1TaskStatusCOMPLETED}
		page := rest.V1WorkflowRunListParams{
			WorkflowIds: workflows, Statuses: statuses, AdditionalMetadata: &[]string{"page:" + program},
			Limit: pointer(int64(2)), Since: time.Now().Add(-time.Hour), OnlyTasks: true,
		}
		first := must(client.Runs().List(ctx, page))
		equal(len(first.Rows), 2)
		equal(*first.Pagination.NumPages, 2)
		page.Offset = pointer(int64(2))
		equal(len(must(client.Runs().List(ctx, page)).Rows), 1)
		page.Statuses = &[]rest.V1TaskStatus{rest.V1TaskStatusFAILED}
		page.Offset = nil
		equal(len(must(client.Runs().List(ctx, page)).Rows), 0)
	}},
	{"cron_starts_runs", func() {
		workflow := must(client.Workflows().GetId(ctx, "go-on-cron"))
		params := rest.V1WorkflowRunListParams{WorkflowIds: &[]uuid.UUID{workflow}, OnlyTasks: true}
		eventually("a run by the cron has completed", func() bool {
			rows := listed(params)
			return len(rows) > 0 && rows[len(rows)-1].Status == rest.V1TaskStatusCOMPLETED
		})
		rows := listed(params)
		equal(rows[len(rows)-1].Output["word"], "cron")
		for _, cron := range *must(client.Crons().List(ctx, rest.CronWorkflowListParams{WorkflowId: &workflow})).Rows {
			deletion(client.Crons().Delete(ctx, cron.Metadata.Id))
		}
		equal(len(*must(client.Crons().List(ctx, rest.CronWorkflowListParams{WorkflowId: &workflow})).Rows), 0)
	}},
	{"cron_is_created_listed_and_deleted", func() {
		cron := must(client.Crons().Create(ctx, "go-echo", features.CreateCronTrigger{
			Name: "go-yearly", Expression: "0 0 1 1 *", Input: object{"word": "new year"},
			AdditionalMetadata: object{"a": "b"},
		}))
		equal(must(client.Crons().Get(ctx, cron.Metadata.Id)).Cron, "0 0 1 1 *")
		params := rest.CronWorkflowListParams{CronName: pointer("go-yearly")}
		rows := *must(client.Crons().List(ctx, params)).Rows
		equal(len(rows), 1)
		equal((*rows[0].AdditionalMetadata)["a"], "b")
		deletion(client.Crons().Delete(ctx, cron.Metadata.Id))
		equal(len(*must(client.Crons().List(ctx, params)).Rows), 0)
	}},
	{"schedule_starts_a_run", func() {
		must(client.Schedules().Create(ctx, "go-echo", features.CreateScheduledRunTrigger{
			TriggerAt: time.Now().Add(time.Second), Input: object{"word": "scheduled"},
			AdditionalMetadata: object{"schedule": program}, Priority: pointer(features.RunPriorityHigh),
		}))
		eventually("the run has completed", func() bool {
			runs := withMetadata("schedule:" + program)
			return len(runs) == 1 && runs[0].Status == rest.V1TaskStatusCOMPLETED
		})
		equal(withMetadata("schedule:" + program)[0].Output["word"], "scheduled")
	}},
	{"schedule_is_created_listed_and_deleted", func() {
		schedule := must(client.Schedules().Create(ctx, "go-echo", features.CreateScheduledRunTrigger{
			TriggerAt: time.Now().Add(24 * time.Hour), AdditionalMetadata: object{"later": program},
		}))
		equal(must(client.Schedules().Get(ctx, schedule.Metadata.Id)).WorkflowName, "go-echo")
		params := rest.WorkflowScheduledListParams{AdditionalMetadata: &[]string{"later:" + program}}
		equal(len(*must(client.Schedules().List(ctx, params)).Rows), 1)
		deletion(client.Schedules().Delete(ctx, schedule.Metadata.Id))
		equal(len(*must(client.Schedules().List(ctx, params)).Rows), 0)
	}},
	{"workflow_is_listed_and_deleted", func() {
		workflow := must(client.Workflows().Get(ctx, "go-deleted"))
		equal(*workflow.Description, "is deleted")
		// As for other deletions, but the SDK removes the name from its cache only after the status 200.
		_, err := client.Workflows().Delete(ctx, "go-deleted")
		deletion(err)
		rows := must(client.Workflows().List(ctx, &rest.WorkflowListParams{Name: pointer("go-deleted")})).Rows
		equal(len(*rows), 0)
	}},
	{"paused_worker_gets_no_run", func() {
		narrow := ""
		for _, worker := range *must(client.Workers().List(ctx)).Rows {
			if strings.HasSuffix(worker.Name, "go-narrow") && *worker.Status == rest.ACTIVE {
				narrow = worker.Metadata.Id
			}
		}
		equal(*must(client.Workers().Pause(ctx, narrow)).Status, "PAUSED")
		var waiting *hatchet.WorkflowRunRef
		// A real engine may assign runs to the worker for some seconds after the pause.
		eventually("a run waits", func() bool {
			waiting = start(ordered, job{})
			time.Sleep(time.Second)
			return isStatus(waiting.RunId, rest.V1TaskStatusQUEUED)
		})
		queues := *must(client.Metrics().GetTaskQueueMetrics(ctx)).Queues
		expect(len(queues) > 0, "no queue is counted")
		equal(*must(client.Workers().Unpause(ctx, narrow)).Status, "ACTIVE")
		must(waiting.Result())
	}},
}
