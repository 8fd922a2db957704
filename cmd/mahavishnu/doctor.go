package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/terminal"
)

func newDoctorCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "doctor",
		Short: "Check the whole set-up; say what is wrong and how to fix it",
		Long: `Check the configuration, the key ring, the storage, the repository, the sources,
the copies in other regions that this one makes, the queue and the clock. Of object
stores it tries what the credentials allow, whether objects can be kept from being
deleted, and how far the server's clock is off. For everything that is wrong it names
the cause and the command that mends it. It changes nothing, but for a small object
that it writes into each storage and removes again.

It ends with 0 when nothing is wrong, 2 when the configuration is, else with 1.`,
		Example: "  mahavishnu doctor\n  mahavishnu doctor --repository /mnt/backups --key ~/mahavishnu.key\n  mahavishnu doctor --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), e) },
	})
}

// verdict is how a check came out.
type verdict string

const (
	good    verdict = "ok"
	note    verdict = "note" // nothing to mend now, but worth knowing
	bad     verdict = "FAIL"
	skipped verdict = "skip" // could not be checked because of what failed before
)

// finding is what one check found.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	// Found is a sentence: what was seen, or what is wrong.
	Found string `json:"found"`
	// Fix is the command, or the change, that mends it.
	Fix string `json:"fix,omitempty"`
}

// examination collects findings and what later checks build on.
type examination struct {
	e        *env
	cfg      *config.Config
	findings []finding
}

func (x *examination) add(check string, v verdict, fix, format string, args ...any) {
	x.findings = append(x.findings, finding{Check: check, Verdict: v, Found: fmt.Sprintf(format, args...), Fix: fix})
}

// failures returns how many findings are to be mended.
func (x *examination) failures() int {
	n := 0
	for _, f := range x.findings {
		if f.Verdict == bad {
			n++
		}
	}
	return n
}

func runDoctor(ctx context.Context, e *env) error {
	x := &examination{e: e}
	configured := x.checkConfiguration()
	ring := x.checkKey()
	place := x.checkStorage(ctx)
	x.checkRepository(ctx, ring, place)
	x.checkReplication(ctx)
	x.checkQueue(ctx)
	e.term.Document(struct {
		OK       bool      `json:"ok"`
		Findings []finding `json:"findings"`
	}{x.failures() == 0, x.findings})
	if !e.term.JSON {
		x.print()
	}
	failures := x.failures()
	switch {
	case failures == 0:
		return nil
	case !configured:
		return reported{&usageError{"mahavishnu doctor", errors.New("the configuration is wrong")}}
	default:
		return reported{fmt.Errorf("%s wrong", terminal.Plural(failures, "thing"))}
	}
}

func (x *examination) print() {
	width := 0
	for _, f := range x.findings {
		width = max(width, len(f.Check))
	}
	indent := strings.Repeat(" ", width+8)
	tones := map[verdict]terminal.Tone{good: terminal.Good, note: terminal.Doubt, bad: terminal.Bad}
	for _, f := range x.findings {
		if x.e.term.Quiet && (f.Verdict == good || f.Verdict == skipped) {
			continue
		}
		mark := x.e.term.Mark(tones[f.Verdict], fmt.Sprintf("%-4s", f.Verdict))
		x.e.term.Printf("%s  %-*s  %s", mark, width, f.Check, strings.ReplaceAll(strings.TrimSpace(f.Found), "\n", "\n"+indent))
		if f.Fix != "" {
			x.e.term.Printf("%s→ %s", indent, strings.ReplaceAll(f.Fix, "\n", "\n"+indent+"  "))
		}
	}
	switch failures := x.failures(); {
	case failures > 0:
		x.e.term.Printf("\n%s to mend; the lines marked → say how", terminal.Plural(failures, "thing"))
	default:
		x.e.term.Sayf("\nnothing is wrong")
	}
}
