package app

import (
	"context"
	"encoding/json"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/metrics"
	"mahavishnu/worker/handlers"
)

// measureEvery is how often the length of the queue is looked at.
const measureEvery = 15 * time.Second

// measureQueue keeps the gauges of the queue.
func (a *App) measureQueue(ctx context.Context) error {
	for {
		info, err := a.bus.Info(ctx)
		if err != nil {
			return err
		}
		a.metrics.SetDeadLetters(info.Dead)
		for _, c := range info.Consumers {
			a.metrics.SetQueue(c.Kind, c.Region, c.Waiting, c.Held)
		}
		if err := a.Clock.Sleep(ctx, measureEvery); err != nil {
			return err
		}
	}
}

// countEvents counts what becomes of jobs, from the time the process started.
func (a *App) countEvents(ctx context.Context) error {
	return a.bus.FollowEvents(ctx, bus.EventFilter{}, func(m bus.EventMessage) error {
		a.count(m.Event)
		return nil
	})
}

// count counts one event. Only those that end a job are told of in detail.
func (a *App) count(e messages.Event) {
	switch e.Outcome {
	case messages.OutcomeSucceeded, messages.OutcomeFailed, messages.OutcomeDead, messages.OutcomeCancelled:
	case messages.OutcomeRefused:
		a.metrics.DeadLetter(messages.DeadRefused)
		return
	case messages.OutcomeRedriven:
		a.metrics.Redriven()
		return
	default:
		return
	}
	switch e.Outcome {
	case messages.OutcomeDead:
		a.metrics.DeadLetter(messages.DeadExhausted)
	case messages.OutcomeFailed:
		a.metrics.DeadLetter(messages.DeadFailed)
	}
	switch e.Kind {
	case messages.KindBackup:
		a.countBackup(e)
	case messages.KindVerify:
		r := result[handlers.VerifyResult](e)
		a.metrics.VerifyEnded(e.Source, string(e.Outcome), e.Time, r.BytesRead, r.ProblemsTotal-r.HarmlessTotal)
		if r.Unprotected != nil {
			a.metrics.SetUnprotected(e.Region, *r.Unprotected)
		}
		if c := r.Coverage; c != nil {
			a.metrics.SetStorageUsed(e.Region, c.Bytes)
			a.metrics.SetUnverified(time.Duration(c.Oldest*float64(time.Second)), c.NeverBytes, c.OverdueBytes)
		}
	case messages.KindForget:
		if r := result[handlers.ForgetResult](e); !r.DryRun {
			a.metrics.SnapshotsForgotten(e.Source, r.Forgotten)
			for source, n := range r.Left {
				a.metrics.SetSnapshots(source, n)
			}
		}
	case messages.KindPrune:
		a.countPrune(e)
	case messages.KindRestore:
		a.metrics.RestoreEnded(e.Source, string(e.Outcome), result[handlers.RestoreResult](e).Duration)
	case messages.KindRestoreTest:
		a.countRestoreTests(e)
	case messages.KindReplicate:
		if r := result[handlers.ReplicateResult](e); r.From != "" {
			a.metrics.ReplicationEnded(metrics.Replication{
				From: r.From, To: r.To, Outcome: string(e.Outcome), Ended: e.Time,
				Objects: r.Copied, Bytes: r.CopiedBytes, Deleted: int64(r.Deleted),
			})
		}
	}
}

func (a *App) countBackup(e messages.Event) {
	r := result[handlers.BackupResult](e)
	outcome := string(e.Outcome)
	if r.UnreadableTotal > 0 {
		outcome = metrics.Partial
	}
	if r.Known > 0 {
		a.metrics.SetSnapshots(e.Source, r.Known)
	}
	a.metrics.BackupEnded(metrics.Backup{
		Source: e.Source, Type: r.Type, Outcome: outcome, Ended: e.Time,
		Duration: time.Duration(r.DurationMillis) * time.Millisecond,
		Size:     r.Bytes, Read: r.ReadBytes, Stored: r.StoredBytes, TakenOver: r.TakenOverBytes, Unreadable: r.UnreadableTotal,
	})
}

func (a *App) countPrune(e messages.Event) {
	r := result[handlers.PruneResult](e)
	if r.DryRun && len(r.Held) == 0 {
		return
	}
	p := metrics.Prune{
		Region: e.Region, Outcome: string(e.Outcome), Ended: e.Time,
		Unused: r.UnusedBytes, Reclaimed: r.RemovedBytes - r.WrittenBytes, Held: len(r.Held) > 0,
	}
	for _, w := range r.Waiting {
		p.Waiting += w.Bytes
	}
	if r.Unprotected != nil {
		a.metrics.SetUnprotected(e.Region, *r.Unprotected)
	}
	if e.Outcome == messages.OutcomeSucceeded {
		a.metrics.SetStorageUsed(e.Region, r.PackBytes-r.RemovedBytes+r.WrittenBytes)
	}
	a.metrics.PruneEnded(p)
}

func (a *App) countRestoreTests(e messages.Event) {
	for _, t := range result[handlers.RestoreTestResult](e).Tests {
		outcome := messages.OutcomeFailed
		if t.Passed {
			outcome = messages.OutcomeSucceeded
		}
		a.metrics.RestoreTestEnded(metrics.RestoreTest{
			Source: t.Source, Outcome: string(outcome), Ended: e.Time,
			RecoveryTime:  time.Duration(t.RTOMillis) * time.Millisecond,
			RecoveryPoint: time.Duration(t.RPOMillis) * time.Millisecond,
		})
	}
}

// result reads what a handler left. An event of another version, whose result
// looks different, counts as one without.
func result[T any](e messages.Event) (r T) {
	var read T
	if len(e.Result) > 0 && json.Unmarshal(e.Result, &read) == nil {
		r = read
	}
	return r
}
