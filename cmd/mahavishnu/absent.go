package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// absentPatience is how long reading them may take: who may not read them waits for the
// end of it.
const absentPatience = 3 * time.Second

// absentNodes are the nodes that were there, as the leading coordinator wrote down, and
// are not among those heard now; those that were heard last come first.
func absentNodes(ctx context.Context, q *queue, heard []messages.Heartbeat) ([]messages.NodeRecord, error) {
	absent := []messages.NodeRecord{}
	store, err := q.Store(messages.BucketNodes)
	if err != nil {
		return absent, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, absentPatience, errors.New("no answer"))
	defer cancel()
	err = store.Each(ctx, "", func(v bus.Value) error {
		record, err := messages.DecodeNodeRecord(v.Data)
		if err != nil || messages.NodeKey(record.Region, record.Node) != v.Key {
			return nil //nolint:nilerr // another version's, or what a check of the queue left
		}
		if !slices.ContainsFunc(heard, func(h messages.Heartbeat) bool { return h.Region == record.Region && h.Node == record.Node }) {
			absent = append(absent, record)
		}
		return nil
	})
	slices.SortFunc(absent, func(a, b messages.NodeRecord) int {
		return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.Node, b.Node))
	})
	return absent, err
}

// printAbsent shows them.
func printAbsent(e *env, absent []messages.NodeRecord) {
	if len(absent) == 0 {
		return
	}
	table := terminal.NewTable("not heard", "region", "roles", "last heard", "why")
	for _, n := range absent {
		why := "not known: see that it runs"
		if n.State == messages.NodeLeft {
			why = "it was told to stop"
		}
		table.Row(n.Node, n.Region, strings.Join(n.Roles, ", "), terminal.Ago(n.Seen, e.clock.Now()), why)
	}
	e.term.Printf("\n%s", table)
}
