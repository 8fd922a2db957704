package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// accept makes records for jobs that were sent by hand and that no worker has
// taken yet, so that people see them and can cancel them. A worker that comes
// at the same moment makes the record itself: one of the two finds it there.
func (r *Reconciler) accept(ctx context.Context, entries []bus.Entry, queued map[string][]bus.QueuedMessage, now time.Time, report *Report) error {
	known := make(map[string]bool, len(entries))
	for _, e := range entries {
		known[e.Job.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(queued)) {
		first := queued[id][0] // they are in the order of the stream
		if known[id] || first.ByHand.Kind == "" || now.Sub(first.Stored) < r.o.Every {
			continue
		}
		rec := messages.NewRecord(first.ByHand, first.Stored)
		switch _, err := r.o.Bus.Records().Create(ctx, rec); {
		case errors.Is(err, bus.ErrExists):
			continue
		case err != nil:
			return fmt.Errorf("accept job %s: %w", id, err)
		}
		report.Accepted = append(report.Accepted, id)
		if err := r.o.Bus.PublishEvent(ctx, messages.NewEvent(rec, messages.OutcomeAccepted, rec.Created)); err != nil {
			return fmt.Errorf("accept job %s: %w", id, err)
		}
	}
	return nil
}
