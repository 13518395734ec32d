// Adds or processes jobs with asynq. Arguments: add or process, socket of the store, number of jobs.
// Prints the jobs, the seconds from the first to the last, and this process's CPU seconds in that time, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

const (
	producers   = 64
	concurrency = 100
	kind        = "sms"
)

var payload = []byte(`{"message":"hello, world","to":"4912345678"}`)

type outcome struct {
	Jobs     int64   `json:"jobs"`
	Duration float64 `json:"duration_s"`
	CPU      float64 `json:"cpu_s"`
}

type stopwatch struct {
	started time.Time
	cpu     float64
}

func start() stopwatch { return stopwatch{time.Now(), cpuSeconds()} }

func (s stopwatch) stop(jobs int64) outcome {
	return outcome{jobs, time.Since(s.started).Seconds(), cpuSeconds() - s.cpu}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func add(redis asynq.RedisClientOpt, jobs int64) outcome {
	client := asynq.NewClient(redis)
	defer client.Close()
	var next atomic.Int64
	var group sync.WaitGroup
	watch := start()
	for range producers {
		group.Go(func() {
			for next.Add(1) <= jobs {
				if _, err := client.Enqueue(asynq.NewTask(kind, payload)); err != nil {
					fail(err)
				}
			}
		})
	}
	group.Wait()
	return watch.stop(jobs)
}

func process(redis asynq.RedisClientOpt, jobs int64) outcome {
	server := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel})
	var first sync.Once
	var watch stopwatch
	var done atomic.Int64
	ended := make(chan outcome, 1)
	handle := func(context.Context, *asynq.Task) error {
		first.Do(func() { watch = start() })
		if done.Add(1) == jobs {
			ended <- watch.stop(jobs)
		}
		return nil
	}
	if err := server.Start(asynq.HandlerFunc(handle)); err != nil {
		fail(err)
	}
	result := <-ended
	server.Shutdown()
	return result
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	jobs, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		fail(err)
	}
	redis := asynq.RedisClientOpt{Network: "unix", Addr: os.Args[2], PoolSize: concurrency}
	steps := map[string]func(asynq.RedisClientOpt, int64) outcome{"add": add, "process": process}
	text, err := json.Marshal(steps[os.Args[1]](redis, jobs))
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}
