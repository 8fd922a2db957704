package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

func newJobsDeadCommand(e *env) *cobra.Command {
	var o bus.DeadFilter
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List messages that could not be run, each with what to fix",
		Long: `List dead letters: messages that could not be understood, and jobs that used up
their attempts. Nothing is lost: each keeps its message and says what to fix.
"jobs redrive NUMBER" sends one again.`,
		Example: "  mahavishnu jobs dead\n  mahavishnu jobs dead --kind backup --last 5\n  mahavishnu jobs dead show 12\n  mahavishnu jobs dead remove 12",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return runJobsDead(cmd.Context(), e, o)
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List dead letters", Example: "  mahavishnu jobs dead list",
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runJobsDead(cmd.Context(), e, o) },
	}
	for _, c := range []*cobra.Command{cmd, list} {
		c.Flags().StringVar(&o.Kind, "kind", "", "only this `KIND`, as it was written")
		c.Flags().StringVar(&o.Region, "region", "", "only this `REGION`, as it was written")
		c.Flags().IntVar(&o.Limit, "last", 50, "only the newest `N`; 0 shows all")
	}
	show := &cobra.Command{
		Use: "show NUMBER", Short: "Show a dead letter with its message", Example: "  mahavishnu jobs dead show 12",
		Args: takes(1, 1, "the letter's number"),
		RunE: func(cmd *cobra.Command, args []string) error { return runJobsDeadShow(cmd.Context(), e, args[0]) },
	}
	remove := &cobra.Command{
		Use: "remove NUMBER", Short: "Throw a dead letter away", Example: "  mahavishnu jobs dead remove 12",
		Args: takes(1, 1, "the letter's number"),
		RunE: func(cmd *cobra.Command, args []string) error { return runJobsDeadRemove(cmd.Context(), e, args[0]) },
	}
	cmd.AddCommand(exits(list), exits(show), exits(remove))
	return exits(cmd)
}

func runJobsDead(ctx context.Context, e *env, o bus.DeadFilter) error {
	return e.withQueue(ctx, func(q *queue) error {
		letters, err := q.Dead().List(ctx, o)
		if err != nil {
			return err
		}
		e.term.Document(struct {
			Dead []messages.DeadLetter `json:"dead"`
		}{nonNil(letters)})
		if len(letters) == 0 {
			e.term.Printf("no dead letter")
			return nil
		}
		// The reason is what counts, and it is a sentence: it gets a line of
		// its own instead of a narrow column.
		for _, l := range letters {
			e.term.Printf("%d  %s  %s  %s\n   %s\n   %s", l.Sequence, terminal.Moment(l.Time.Local()), l.Cause, terminal.Name(l.Subject),
				terminal.Name(l.Reason), terminal.Cut(preview(l), 100))
		}
		e.term.Sayf("\nsend one again, as it is or corrected: mahavishnu jobs redrive NUMBER [--payload JSON] [--subject SUBJECT]")
		return nil
	})
}

// preview renders the beginning of a message, whatever it is.
func preview(l messages.DeadLetter) string {
	if l.Size == 0 {
		return "(empty message)"
	}
	text := l.Payload[:min(len(l.Payload), 512)]
	for range utf8.UTFMax - 1 { // a letter may have been cut in two
		if utf8.Valid(text) || len(text) == 0 {
			break
		}
		text = text[:len(text)-1]
	}
	if !utf8.Valid(text) {
		return fmt.Sprintf("(%s that are not text)", terminal.Bytes(l.Size))
	}
	return terminal.Name(strings.Join(strings.Fields(string(text)), " "))
}

func letterNumber(text string) (uint64, error) {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || number == 0 {
		return 0, usagef("mahavishnu jobs dead", "%q is not the number of a dead letter; mahavishnu jobs dead shows them", text)
	}
	return number, nil
}

func runJobsDeadShow(ctx context.Context, e *env, text string) error {
	number, err := letterNumber(text)
	if err != nil {
		return err
	}
	return e.withQueue(ctx, func(q *queue) error {
		l, err := q.Dead().Get(ctx, number)
		if err != nil {
			return err
		}
		e.term.Document(l)
		var f terminal.Fields
		f.Add("letter", text)
		f.Add("time", terminal.Moment(l.Time.Local()))
		f.Add("cause", string(l.Cause))
		f.Add("reason", l.Reason)
		f.Add("subject", l.Subject)
		f.Add("job", l.Job)
		f.Add("attempts", terminal.Count(l.Attempts))
		f.Add("size", terminal.Bytes(l.Size))
		var b strings.Builder
		b.WriteString(f.String())
		if utf8.Valid(l.Payload) {
			block(&b, "message", string(l.Payload))
		} else {
			block(&b, "message", preview(l))
		}
		if l.Truncated {
			fmt.Fprintf(&b, "  … only the first %s were kept\n", terminal.Bytes(len(l.Payload)))
		}
		e.term.Printf("%s", b.String())
		return nil
	})
}

func runJobsDeadRemove(ctx context.Context, e *env, text string) error {
	number, err := letterNumber(text)
	if err != nil {
		return err
	}
	return e.withQueue(ctx, func(q *queue) error {
		if err := q.Dead().Remove(ctx, number); err != nil {
			return err
		}
		e.term.Sayf("removed dead letter %d", number)
		return nil
	})
}

type jobsRedriveOptions struct {
	payload string
	subject string
}

func newJobsRedriveCommand(e *env) *cobra.Command {
	var o jobsRedriveOptions
	cmd := &cobra.Command{
		Use:   "redrive NUMBER|JOB",
		Short: "Send a dead letter again, or give a finished job a new start",
		Long: `Send a dead letter again, as it is or corrected, or put a failed, dead or
cancelled job back into the queue with all its attempts.`,
		Example: `  mahavishnu jobs redrive 12
  mahavishnu jobs redrive 12 --payload '{"source":"home"}'
  mahavishnu jobs redrive 5e0b1c2d3e4f5a6b`,
		Args: takes(1, 1, "the dead letter's number or the job's id"),
		RunE: func(cmd *cobra.Command, args []string) error { return runJobsRedrive(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.payload, "payload", "", "send this `JSON` instead; @FILE reads it from a file")
	cmd.Flags().StringVar(&o.subject, "subject", "", "send it to this `SUBJECT` instead, as in dr.jobs.backup.REGION")
	return exits(cmd)
}

// edit returns what to change in the letter's message.
func (o jobsRedriveOptions) edit() (bus.Edit, error) {
	edit := bus.Edit{Subject: o.subject, Payload: []byte(o.payload)}
	if path, ok := strings.CutPrefix(o.payload, "@"); ok {
		payload, err := os.ReadFile(path)
		if err != nil {
			return bus.Edit{}, fault.New("read payload", path, err, "")
		}
		edit.Payload = payload
	}
	if len(edit.Payload) > 0 && !json.Valid(edit.Payload) {
		return bus.Edit{}, usagef("mahavishnu jobs redrive", "the payload is not JSON: %s", terminal.Cut(string(edit.Payload), 60))
	}
	return edit, nil
}

func runJobsRedrive(ctx context.Context, e *env, what string, o jobsRedriveOptions) error {
	edit, err := o.edit()
	if err != nil {
		return err
	}
	return e.withQueue(ctx, func(q *queue) error {
		number, err := strconv.ParseUint(what, 10, 64)
		if err != nil {
			if o != (jobsRedriveOptions{}) {
				return usagef("mahavishnu jobs redrive", "--payload and --subject correct dead letters; a job runs as it was written")
			}
			return e.reviveJob(ctx, q, what)
		}
		submitted, err := q.Dead().Redrive(ctx, number, edit)
		if err != nil {
			return err
		}
		e.term.Document(struct {
			Job string `json:"job"`
		}{submitted.ID})
		e.term.Printf("dead letter %d is in the queue again as job %s\nfollow it: mahavishnu jobs watch %s", number, submitted.ID, submitted.ID)
		return nil
	})
}

// reviveJob gives a finished job a new start.
func (e *env) reviveJob(ctx context.Context, q *queue, id string) error {
	entry, err := q.job(ctx, id)
	if err != nil {
		return err
	}
	entry, err = q.Revive(ctx, entry.Job.ID, "redriven by "+whoami())
	if errors.Is(err, messages.ErrNotFinal) || errors.Is(err, messages.ErrFinished) {
		return fault.New("redrive job", id, fmt.Errorf("it is %s", entry.State), "only a failed, dead or cancelled job can be revived; see: mahavishnu jobs show "+id)
	}
	if err != nil {
		return err
	}
	e.term.Document(entry.Record)
	e.term.Printf("job %s is in the queue again\nfollow it: mahavishnu jobs watch %s", entry.Job.ID, entry.Job.ID)
	return nil
}
