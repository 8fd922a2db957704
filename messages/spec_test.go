package messages_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"mahavishnu/messages"
)

// TestSpecificationExamples reads docs/protocol.md as a second implementation
// would: every example in it must be what the code reads.
func TestSpecificationExamples(t *testing.T) {
	raw, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, k := range messages.Kinds() {
		row := regexp.MustCompile("(?m)^\\| " + string(k) + " \\| (.*) \\| `(.*)` \\|$").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("no row for %s", k)
			continue
		}
		if _, err := messages.Parse("dr.jobs."+string(k)+".any", []byte(row[2])); err != nil {
			t.Errorf("the example of %s: %v", k, err)
		}
		schema, err := messages.Schema(k)
		if err != nil {
			t.Fatal(err)
		}
		var s struct{ Properties map[string]any }
		if err := json.Unmarshal(schema, &s); err != nil {
			t.Fatal(err)
		}
		for field := range s.Properties {
			if !strings.Contains(row[1], "`"+field+"`") && !strings.Contains(text, "\n| `"+field+"` |") {
				t.Errorf("the field %s of %s is not explained", field, k)
			}
		}
	}
	strict := func(v any) func(string) error {
		return func(block string) error {
			d := json.NewDecoder(strings.NewReader(block))
			d.DisallowUnknownFields()
			return d.Decode(v)
		}
	}
	readers := []func(string) error{
		func(block string) error { _, err := messages.DecodeRecord([]byte(block)); return err },
		strict(&messages.LeaseValue{}), strict(&messages.Event{}), strict(&messages.DeadLetter{}),
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) != len(readers) {
		t.Fatalf("%d JSON examples, want %d", len(blocks), len(readers))
	}
	for i, read := range readers {
		if err := read(blocks[i][1]); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
	for _, o := range []messages.Outcome{
		messages.OutcomeAccepted, messages.OutcomeStarted, messages.OutcomeSucceeded, messages.OutcomeRetrying, messages.OutcomeSnoozed,
		messages.OutcomeInterrupted, messages.OutcomeFailed, messages.OutcomeDead, messages.OutcomeCancelled, messages.OutcomeRefused,
		messages.OutcomeRedriven, messages.OutcomeMissed, messages.OutcomeSkipped,
	} {
		if !strings.Contains(text, "`"+string(o)+"`") {
			t.Errorf("the outcome %s is not explained", o)
		}
	}
}
