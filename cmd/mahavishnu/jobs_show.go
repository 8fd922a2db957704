package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/messages"
	"mahavishnu/terminal"
)

func newJobsShowCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "show JOB",
		Short:   "Show a job: what it is, every step, its result",
		Example: "  mahavishnu jobs show backup-20261123T020000Z-5e0b1c2d3e4f5a6b\n  mahavishnu jobs show 5e0b1c2d3e4f5a6b --json",
		Args:    takes(1, 1, "the job's id"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runJobsShow(cmd.Context(), e, args[0]) },
	})
}

func runJobsShow(ctx context.Context, e *env, id string) error {
	return e.withQueue(ctx, func(q *queue) error {
		entry, err := q.job(ctx, id)
		if err != nil {
			return err
		}
		e.term.Document(entry.Record)
		e.term.Printf("%s", describeJob(e, entry.Record))
		return nil
	})
}

func describeJob(e *env, r messages.Record) string {
	var f terminal.Fields
	f.Add("job", r.Job.ID)
	f.Add("kind", string(r.Job.Kind)+" for region "+r.Job.Region)
	f.Add("state", string(r.State))
	f.Add("created", terminal.Moment(r.Created.Local())+" ("+terminal.Ago(r.Created, e.clock.Now())+")")
	if !r.Finished.IsZero() {
		f.Add("finished", terminal.Moment(r.Finished.Local()))
	}
	f.Add("attempts", fmt.Sprintf("%d, of which %d failed", r.Attempt, r.Spent))
	if r.Worker != "" {
		f.Add("worker", r.Worker)
	}
	if note := jobNote(r, e.clock.Now()); note != "" && !r.State.Final() {
		f.Add("now", note)
	}
	var b strings.Builder
	b.WriteString(f.String())
	block(&b, "asked for", compactJSON(r.Job.Spec))
	block(&b, "result", indentJSON(r.Result))
	if r.Error != "" {
		block(&b, "error", r.Error)
	}
	block(&b, "stack", r.Stack)
	if len(r.History) > 0 {
		table := terminal.NewTable("time", "state", "attempt>", "worker", "note")
		for _, step := range r.History {
			table.Row(terminal.Moment(step.At.Local()), string(step.State), terminal.Count(step.Attempt), step.Worker, step.Note)
		}
		b.WriteString("\n" + table.String())
	}
	return b.String()
}

// block adds a titled, indented text, unless it is empty.
func block(b *strings.Builder, title, text string) {
	text = strings.TrimSpace(text)
	if text == "" || text == "null" || text == "{}" {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for line := range strings.Lines(text) {
		b.WriteString("  " + terminal.Name(strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")) + "\n")
	}
}

func compactJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func indentJSON(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}
