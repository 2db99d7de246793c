package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hatchet-dev/hatchet/pkg/client/types"
	"github.com/hatchet-dev/hatchet/pkg/worker"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
)

type word struct {
	Word string `json:"word"`
}

type job struct {
	Key     string  `json:"key"`
	Seconds float64 `json:"seconds"`
	Units   int     `json:"units"`
}

type object = map[string]any

var echo = client.NewStandaloneTask("go-echo", func(ctx hatchet.Context, input word) (object, error) {
	return object{
		"word": input.Word, "metadata": ctx.AdditionalMetadata(), "priority": ctx.Priority(),
		"run": ctx.WorkflowRunId(), "worker": ctx.WorkerId(),
	}, nil
})

var flaky = client.NewStandaloneTask("go-flaky", func(ctx hatchet.Context, _ word) (object, error) {
	if ctx.RetryCount() < 2 {
		return nil, fmt.Errorf("attempt %d", ctx.RetryCount())
	}
	return object{"attempt": ctx.RetryCount(), "at": time.Now().UnixMilli()}, nil
}, hatchet.WithRetries(3), hatchet.WithRetryBackoff(2, 1))

var failing = client.NewStandaloneTask("go-failing", func(ctx hatchet.Context, _ word) (object, error) {
	return nil, fmt.Errorf("failed in attempt %d", ctx.RetryCount())
}, hatchet.WithRetries(1))

var fatal = client.NewStandaloneTask("go-fatal", func(ctx hatchet.Context, _ word) (object, error) {
	return nil, worker.NewNonRetryableError(fmt.Errorf("fatal in attempt %d", ctx.RetryCount()))
}, hatchet.WithRetries(3))

var late = client.NewStandaloneTask("go-late", func(ctx hatchet.Context, _ word) (object, error) {
	<-ctx.Done()
	return nil, errors.New("too late")
}, hatchet.WithExecutionTimeout(time.Second))

var refresh = client.NewStandaloneTask("go-refresh", func(ctx hatchet.Context, _ word) (object, error) {
	if err := ctx.RefreshTimeout("20s"); err != nil {
		return nil, err
	}
	time.Sleep(2500 * time.Millisecond)
	return object{"refreshed": true}, nil
}, hatchet.WithExecutionTimeout(2*time.Second))

func waitUntilCancelled(ctx hatchet.Context, _ word) (object, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

var slow = client.NewStandaloneTask("go-slow", waitUntilCancelled)

var stream = client.NewStandaloneTask("go-stream", func(ctx hatchet.Context, input word) (object, error) {
	// Chunks before the subscription of the reader are lost. So the task repeats a chunk until the reader creates the file.
	for _, err := os.Stat(input.Word); err != nil; _, err = os.Stat(input.Word) {
		ctx.PutStream("repeated;")
		time.Sleep(50 * time.Millisecond)
	}
	for n := range 20 {
		ctx.PutStream(fmt.Sprintf("chunk %d;", n))
	}
	// A real engine ends the stream with the run, and may drop chunks that it has not sent by then.
	for range 600 {
		if latest, _ := os.ReadFile(input.Word); string(latest) == "chunk 19;" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return object{"chunks": 20}, nil
})

var logs = client.NewStandaloneTask("go-logs", func(ctx hatchet.Context, _ word) (object, error) {
	ctx.Log("first line")
	ctx.Log("second line")
	return object{}, nil
})

var parent = client.NewStandaloneTask("go-parent", func(ctx hatchet.Context, _ word) (object, error) {
	runs := []string{}
	for _, key := range []string{"one", "two"} {
		child, err := echo.Run(ctx, word{key}, hatchet.WithRunKey(key), hatchet.WithRunPriority(3))
		if err != nil {
			return nil, err
		}
		runs = append(runs, into(child)["run"].(string))
	}
	if ctx.RetryCount() == 0 {
		return nil, errors.New("the children are created once although the parent is retried")
	}
	return object{"runs": runs}, nil
}, hatchet.WithRetries(1))

var stickyChild = client.NewStandaloneTask("go-sticky-child", work,
	hatchet.WithWorkflowStickyStrategy(types.StickyStrategy_HARD))

var stickyParent = client.NewStandaloneTask("go-sticky-parent", func(ctx hatchet.Context, _ word) (object, error) {
	child, err := stickyChild.Run(ctx, job{}, hatchet.WithRunSticky(true))
	if err != nil {
		return nil, err
	}
	return object{"same": into(child)["worker"] == ctx.WorkerId()}, nil
}, hatchet.WithWorkflowStickyStrategy(types.StickyStrategy_HARD))

var slowParent = client.NewStandaloneTask("go-slow-parent", func(ctx hatchet.Context, _ word) (object, error) {
	child, err := slow.RunNoWait(ctx, word{"child"}, hatchet.WithRunMetadata(map[string]string{"child-of": program}))
	if err != nil {
		return nil, err
	}
	_, err = child.Result()
	return nil, err
})

func dag() *hatchet.Workflow {
	dag := client.NewWorkflow("go-dag")
	left := dag.NewTask("left", func(_ hatchet.Context, input word) (word, error) { return input, nil })
	right := dag.NewTask("right", func(_ hatchet.Context, input word) (word, error) { return input, nil })
	dag.NewTask("both", func(ctx hatchet.Context, _ word) (object, error) {
		var one, two word
		if err := errors.Join(ctx.ParentOutput(left, &one), ctx.ParentOutput(right, &two)); err != nil {
			return nil, err
		}
		return object{"both": one.Word + two.Word}, nil
	}, hatchet.WithParents(left, right))
	dag.OnFailure(func(ctx hatchet.Context, _ word) (object, error) { return object{}, nil })
	return dag
}

func broken() *hatchet.Workflow {
	broken := client.NewWorkflow("go-broken")
	boom := broken.NewTask("boom", func(ctx hatchet.Context, _ word) (object, error) { return nil, errors.New("boom") })
	broken.NewTask("unreached", func(ctx hatchet.Context, _ word) (object, error) {
		return nil, errors.New("unreached")
	}, hatchet.WithParents(boom))
	broken.OnFailure(func(ctx hatchet.Context, _ word) (object, error) {
		return object{"failed": ctx.StepRunErrors()["boom"]}, nil
	})
	return broken
}

// A task that waits for a time, one that waits for an event, one that is skipped, and one that is not.
func graph() *hatchet.Workflow {
	graph := client.NewWorkflow("go-graph")
	empty := func(ctx hatchet.Context, _ word) (object, error) { return object{}, nil }
	start := graph.NewTask("start", func(_ hatchet.Context, input word) (object, error) {
		return object{"length": len(input.Word)}, nil
	})
	slept := graph.NewTask("slept", empty, hatchet.WithParents(start),
		hatchet.WithWaitFor(hatchet.SleepCondition(time.Second)))
	called := graph.NewTask("called", empty, hatchet.WithParents(start), hatchet.WithWaitFor(hatchet.OrCondition(
		hatchet.SleepCondition(time.Minute), hatchet.UserEventCondition("go:go", "input.word == 'go'"))))
	short := graph.NewTask("short", empty, hatchet.WithParents(start),
		hatchet.WithSkipIf(hatchet.ParentCondition(start, "output.length > 3")))
	long := graph.NewTask("long", empty, hatchet.WithParents(start),
		hatchet.WithSkipIf(hatchet.ParentCondition(start, "output.length <= 3")))
	graph.NewTask("join", func(ctx hatchet.Context, _ word) (object, error) {
		return object{"short": !ctx.WasSkipped(short), "long": !ctx.WasSkipped(long)}, nil
	}, hatchet.WithParents(slept, called, short, long))
	return graph
}

func onEvent(ctx hatchet.Context, input word) (object, error) {
	return object{"word": input.Word, "filter": ctx.FilterPayload(), "key": ctx.TriggeringEventKey()}, nil
}

var triggered = client.NewStandaloneTask("go-on-event", onEvent, hatchet.WithEvents("go:exact", "go:wildcard:*"))

var filtered = client.NewStandaloneTask("go-filtered", onEvent, hatchet.WithEvents("go:filtered"))

var onCron = client.NewStandaloneTask("go-on-cron", func(_ hatchet.Context, input word) (word, error) {
	return input, nil
}, hatchet.WithCron("*/1 * * * * *"), hatchet.WithWorkflowCronInput(word{"cron"}))

var once = client.NewStandaloneTask("go-once", func(_ hatchet.Context, input word) (word, error) {
	return input, nil
}, hatchet.WithWorkflowIdempotency(hatchet.IdempotencyConfig{Expression: "'go-once:' + input.word", TTL: time.Minute}))

var onceAtATime = client.NewStandaloneTask("go-once-at-a-time", func(_ hatchet.Context, input word) (word, error) {
	return input, nil
}, hatchet.WithWorkflowIdempotency(hatchet.IdempotencyConfig{
	Expression: "'go-once-at-a-time:' + input.word", TTL: time.Minute, Method: hatchet.IdempotencyMethodStatus,
}))

func work(ctx hatchet.Context, input job) (object, error) {
	select {
	case <-time.After(time.Duration(input.Seconds * float64(time.Second))):
		return object{"worker": ctx.WorkerId(), "at": time.Now().UnixNano()}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func pointer[T any](value T) *T { return &value }

func byKey(strategy types.WorkflowConcurrencyLimitStrategy) types.Concurrency {
	return types.Concurrency{Expression: "input.key", MaxRuns: pointer(int32(1)), LimitStrategy: &strategy}
}

var robin = client.NewStandaloneTask("go-robin", work, hatchet.WithConcurrency(pointer(byKey(types.GroupRoundRobin))))

var replaced = client.NewStandaloneTask("go-replaced", work,
	hatchet.WithWorkflowConcurrency(byKey(types.CancelInProgress)))

var refused = client.NewStandaloneTask("go-refused", work,
	hatchet.WithWorkflowConcurrency(byKey(types.CancelNewest)))

const staticKey = "go-static"

var staticRate = client.NewStandaloneTask("go-static-rate", work,
	hatchet.WithRateLimits(&types.RateLimit{Key: staticKey, Units: pointer(1)}))

var dynamicRate = client.NewStandaloneTask("go-dynamic-rate", work, hatchet.WithRateLimits(&types.RateLimit{
	// The engine requires a fixed key, too, which has no effect.
	Key: "go-user", KeyExpr: pointer("'go-user-' + input.key"), UnitsExpr: pointer("input.units"),
	LimitValueExpr: pointer("3"), Duration: pointer(types.Hour),
}))

// Two tasks, each of which returns its worker.
func stickyDag() *hatchet.Workflow {
	sticky := client.NewWorkflow("go-sticky", hatchet.WithWorkflowStickyStrategy(types.StickyStrategy_HARD))
	first := sticky.NewTask("first", work)
	sticky.NewTask("second", work, hatchet.WithParents(first))
	return sticky
}

var deleted = client.NewStandaloneTask("go-deleted", work, hatchet.WithWorkflowVersion("1"),
	hatchet.WithWorkflowDescription("is deleted"))

// The tasks below have a worker with a single slot.

var ordered = client.NewStandaloneTask("go-ordered", work)

var releasing = client.NewStandaloneTask("go-releasing", func(ctx hatchet.Context, input job) (object, error) {
	if err := ctx.ReleaseSlot(); err != nil {
		return nil, err
	}
	return work(ctx, input)
})

var (
	dagFlow    = dag()
	brokenFlow = broken()
	graphFlow  = graph()
	stickyFlow = stickyDag()

	flows = slices.Concat(
		[]hatchet.WorkflowBase{dagFlow, brokenFlow, graphFlow, stickyFlow, robin, replaced, refused, staticRate},
		[]hatchet.WorkflowBase{echo, flaky, failing, fatal, late, refresh, slow, stream, logs, parent, stickyParent, stickyChild},
		[]hatchet.WorkflowBase{slowParent, triggered, filtered, onCron, once, onceAtATime, dynamicRate, deleted},
	)
	narrowFlows = []hatchet.WorkflowBase{ordered, releasing}
)
