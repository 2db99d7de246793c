package main

import (
	"maps"
	"time"

	v0 "github.com/hatchet-dev/hatchet/pkg/client"
	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	"github.com/hatchet-dev/hatchet/pkg/client/types"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
	"github.com/hatchet-dev/hatchet/sdks/go/features"
)

type eventWithMetadata = v0.EventWithAdditionalMetadata

func eventMetadata(key, value string) v0.PushOpFunc {
	return v0.WithEventMetadata(map[string]string{key: value})
}

func eventScope(scope *string) v0.PushOpFunc { return v0.WithFilterScope(scope) }

// Starts two runs with the same key, the second while the first is running. The first does not end by itself.
func pair(task *hatchet.StandaloneTask) (first, second *hatchet.WorkflowRunRef) {
	first = start(task, job{Key: "a", Seconds: 50})
	becomes(first.RunId, rest.V1TaskStatusRUNNING)
	return first, start(task, job{Key: "a"})
}

// Sets the limit of a fixed key, which must exist before a task with it is registered.
func putRateLimit() {
	check(client.RateLimits().Upsert(features.CreateRatelimitOpts{Key: staticKey, Limit: 2, Duration: types.Second}))
}

var limitCases = []testCase{
	{"round_robin_queues_the_second_run_of_a_key", func() {
		first, second := pair(robin)
		must(robin.Run(ctx, job{Key: "b"}))
		expect(isStatus(first.RunId, rest.V1TaskStatusRUNNING), "the first run has ended")
		expect(isStatus(second.RunId, rest.V1TaskStatusQUEUED), "the second run is not queued")
		cancel(first.RunId)
		must(second.Result())
	}},
	{"cancel_in_progress_and_cancel_newest", func() {
		first, second := pair(replaced)
		becomes(first.RunId, rest.V1TaskStatusCANCELLED)
		becomes(second.RunId, rest.V1TaskStatusCOMPLETED)
		first, second = pair(refused)
		becomes(second.RunId, rest.V1TaskStatusCANCELLED)
		expect(isStatus(first.RunId, rest.V1TaskStatusRUNNING), "the first run has ended")
		cancel(first.RunId)
	}},
	{"static_rate_limit_spreads_runs_over_windows", func() {
		begin := time.Now()
		refs := []*hatchet.WorkflowRunRef{}
		for range 5 {
			refs = append(refs, start(staticRate, job{}))
		}
		for _, ref := range refs {
			must(ref.Result())
		}
		expect(time.Since(begin) > 900*time.Millisecond, "five runs in one window")
		rows := *must(client.RateLimits().List(ctx, &rest.RateLimitListParams{Search: pointer(staticKey)})).Rows
		equal(rows[0].LimitValue, 2)
		equal(rows[0].Window, "1 SECOND")
	}},
	{"dynamic_rate_limit_has_a_key_for_each_user", func() {
		must(dynamicRate.Run(ctx, job{Key: "x", Units: 2}))
		waiting := start(dynamicRate, job{Key: "x", Units: 2})
		must(dynamicRate.Run(ctx, job{Key: "y", Units: 3}))
		time.Sleep(500 * time.Millisecond)
		expect(isStatus(waiting.RunId, rest.V1TaskStatusQUEUED), "the limit had no effect")
		cancel(waiting.RunId)
		params := rest.RateLimitListParams{Search: pointer("go-user-")}
		// A real engine shows used units after about a second.
		eventually("the used units are shown", func() bool {
			values := map[string]int{}
			for _, row := range *must(client.RateLimits().List(ctx, &params)).Rows {
				values[row.Key] = row.Value
			}
			return maps.Equal(values, map[string]int{"go-user-x": 1, "go-user-y": 0})
		})
	}},
	{"higher_priority_runs_first", func() {
		blocker := start(ordered, job{Seconds: 50})
		becomes(blocker.RunId, rest.V1TaskStatusRUNNING)
		low := start(ordered, job{}, hatchet.WithRunPriority(features.RunPriorityLow))
		high := start(ordered, job{}, hatchet.WithRunPriority(features.RunPriorityHigh))
		cancel(blocker.RunId)
		at := func(ref *hatchet.WorkflowRunRef) float64 {
			return output(must(ref.Result()), "go-ordered")["at"].(float64)
		}
		expect(at(high) < at(low), "the run of low priority was first")
	}},
	{"released_slot_is_used_by_another_run", func() {
		releasing := start(releasing, job{Seconds: 50})
		becomes(releasing.RunId, rest.V1TaskStatusRUNNING)
		must(ordered.Run(ctx, job{}))
		expect(isStatus(releasing.RunId, rest.V1TaskStatusRUNNING), "the run has ended")
		cancel(releasing.RunId)
	}},
}
