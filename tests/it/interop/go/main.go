// Uses each feature of the Go SDK once and prints the results, with the workers and the caller in one process.
//
// Runs the cases whose names are the arguments, or all.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hatchet-dev/hatchet/pkg/client/rest"
	hatchet "github.com/hatchet-dev/hatchet/sdks/go"
)

const caseTimeout = 60 * time.Second

var (
	client = must(hatchet.NewClient())
	ctx    = context.Background()
	// Selects the runs of this program in lists: an engine may have runs of earlier programs.
	program = uuid.NewString()
)

// A case panics if it fails.
type testCase struct {
	name string
	body func()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(condition bool, format string, args ...any) {
	if !condition {
		panic(fmt.Sprintf(format, args...))
	}
}

func equal(actual, expected any) {
	expect(fmt.Sprint(actual) == fmt.Sprint(expected), "%v instead of %v", actual, expected)
}

// Waits until a condition is true.
func eventually(what string, condition func() bool) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if condition() {
			return
		}
	}
	panic("timed out: " + what)
}

func run(test testCase) (passed bool) {
	done := make(chan any, 1)
	begin := time.Now()
	go func() {
		defer func() {
			if failure := recover(); failure != nil {
				done <- fmt.Sprintf("%v\n%s", failure, debug.Stack())
			} else {
				done <- nil
			}
		}()
		test.body()
	}()
	var failure any = "timed out"
	select {
	case failure = <-done:
	case <-time.After(caseTimeout):
	}
	if failure != nil {
		fmt.Printf("FAIL %s\n%v\n", test.name, failure)
		return false
	}
	fmt.Printf("ok   %s %.1fs\n", test.name, time.Since(begin).Seconds())
	return true
}

// Starts a worker for each zone, and one with a single slot.
func startWorkers() []func() error {
	start := func(name string, slots int, workflows []hatchet.WorkflowBase) func() error {
		labels := map[string]any{"zone": name}
		worker := must(client.NewWorker(
			name, hatchet.WithWorkflows(workflows...), hatchet.WithSlots(slots), hatchet.WithLabels(labels),
		))
		return must(worker.Start())
	}
	stops := []func() error{start("go-a", 20, flows), start("go-b", 20, flows), start("go-narrow", 1, narrowFlows)}
	eventually("all workers are active", func() bool {
		active := 0
		for _, worker := range *must(client.Workers().List(ctx)).Rows {
			if strings.HasPrefix(worker.Name, "go-") && *worker.Status == rest.ACTIVE {
				active++
			}
		}
		return active >= len(stops)
	})
	return stops
}

func main() {
	putRateLimit()
	stops := startWorkers()
	cases := slices.Concat(taskCases, workflowCases, limitCases, manageCases, rustCases)
	passed, selected := 0, 0
	for _, test := range cases {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], test.name) {
			continue
		}
		selected++
		if run(test) {
			passed++
		}
	}
	for _, stop := range stops {
		if err := stop(); err != nil {
			fmt.Printf("FAIL stop of a worker: %v\n", err)
			passed--
		}
	}
	fmt.Printf("%d of %d passed\n", passed, selected)
	if passed != selected {
		os.Exit(1)
	}
}
