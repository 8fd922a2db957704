package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// nats runs the NATS command-line tool, with its standard input if there is any.
func (s *system) nats(stdin string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(natsCLI, append([]string{"--server", s.queue}, args...)...)
	cmd.Env = append(cmd.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"))
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("nats %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// jobs returns how many backup jobs have succeeded.
func (s *system) jobsDone(b *bus.Bus) int {
	s.t.Helper()
	done, err := b.Records().List(s.t.Context(), bus.Filter{Kinds: []messages.Kind{messages.KindBackup}, States: []messages.State{messages.StateSucceeded}})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(done)
}

// TestJobsTypedByHand speaks to the queue with the real NATS tool: a good
// message runs a backup, and every bad one ends among the dead letters with a
// sentence that tells what to fix. No worker stops, and nothing is lost.
func TestJobsTypedByHand(t *testing.T) {
	t.Parallel()
	s := newSystem(t, tree(t, corpus.Spec{Kind: corpus.Small, Files: 50, FileSize: 2000}), "")
	up, b := s.lead("up")
	subject := messages.JobSubject(messages.KindBackup, region)

	good := func(n int) {
		t.Helper()
		s.nats("", "pub", "-J", subject, `{"source":"home"}`)
		s.until(fmt.Sprintf("backup %d", n), func() bool { return s.jobsDone(b) == n })
	}
	good(1)

	bad := []struct {
		name, subject, payload string
		stdin                  bool
		// sentence must be in the reason.
		sentence []string
	}{
		{"a misspelt field", subject, `{"sorce":"home"}`, false, []string{`"sorce"`, `did you mean "source"`}},
		{"a wrong kind", "dr.jobs.bakup." + region, `{"source":"home"}`, false, []string{`"bakup"`, `"backup"`}},
		{"an unknown source", subject, `{"source":"hom"}`, false, []string{`no source "hom"`, `"home"`}},
		{"broken JSON", subject, `{"source":"home"`, false, []string{"JSON"}},
		{"2 MiB of junk", subject, strings.Repeat("junk ", 2<<20/5), true, []string{"2097150 bytes", "at most 1048576"}},
		{"a template", subject, `{"source":"{{name}}"}`, true, []string{"{{", "--no-templates"}},
		{"a region nobody serves", "dr.jobs.backup.mars", `{"source":"home"}`, false, []string{`"mars"`, region}},
		{"a wrong type", subject, `{"source":7}`, false, []string{"source", "string"}},
	}
	for n, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			if c.stdin {
				s.nats(c.payload, "pub", "-J", "--force-stdin", "--no-templates", c.subject)
			} else {
				s.nats("", "pub", "-J", c.subject, c.payload)
			}
			letter := s.deadLetter(n + 1)
			for _, part := range c.sentence {
				if !strings.Contains(letter.Reason, part) {
					t.Errorf("the reason does not say %s: %s", part, letter.Reason)
				}
			}
			if letter.Size != len(c.payload) || !strings.HasPrefix(c.payload, string(letter.Payload)) || len(letter.Payload) == 0 {
				t.Errorf("the letter keeps %d of %d bytes, sent were %d", len(letter.Payload), letter.Size, len(c.payload))
			}
			t.Log(letter.Reason)
			up.alive()
			good(n + 2)
		})
	}

	// A letter, mended, runs.
	s.must("jobs", "redrive", "1", "--payload", `{"source":"home"}`, "--config", s.config("leader", ""))
	s.until("the mended job", func() bool { return s.jobsDone(b) == len(bad)+2 })
}

// deadLetter waits for the nth dead letter as the command shows it.
func (s *system) deadLetter(n int) messages.DeadLetter {
	s.t.Helper()
	var letters []messages.DeadLetter
	s.until(fmt.Sprintf("dead letter %d", n), func() bool {
		out := s.must("jobs", "dead", "--json", "--config", s.config("leader", ""))
		letters = decode[struct{ Dead []messages.DeadLetter }](s.t, out).Dead
		return len(letters) == n
	})
	newest := letters[0]
	for _, l := range letters {
		if l.Sequence > newest.Sequence {
			newest = l
		}
	}
	return newest
}
