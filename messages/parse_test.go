package messages_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mahavishnu/messages"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file under testdata, or rewrites it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

func TestParse(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		subject, payload string
		want             messages.Job
	}{
		{"dr.jobs.backup.us-east-1", `{"source":"home"}`, messages.Job{
			Kind: messages.KindBackup, Region: "us-east-1", Spec: &messages.BackupSpec{Source: "home"},
		}},
		{"dr.jobs.backup.any", ` { "id":"nightly/20261123T020000Z", "source":"home", "type":"full", "tags":["a","b"], "priority":3,
			"not_before":"2026-11-23T02:00:00Z", "deadline":"2026-11-23T03:00:00Z", "labels":{"team":"x"}, "max_attempts":2, "exclude":["*.tmp"] } `, messages.Job{
			Kind: messages.KindBackup, Region: "any",
			Envelope: messages.Envelope{
				ID: "nightly/20261123T020000Z", Priority: 3, NotBefore: at, Deadline: at.Add(time.Hour),
				Labels: map[string]string{"team": "x"}, MaxAttempts: 2,
			},
			Spec: &messages.BackupSpec{Source: "home", Type: messages.BackupFull, Tags: []string{"a", "b"}, Exclude: []string{"*.tmp"}},
		}},
		{"dr.jobs.verify.any", `{"read_data":12.5}`, messages.Job{Kind: messages.KindVerify, Region: "any", Spec: &messages.VerifySpec{ReadData: 12.5}}},
		{"dr.jobs.prune.r", `{}`, messages.Job{Kind: messages.KindPrune, Region: "r", Spec: &messages.PruneSpec{}}},
	} {
		got, err := messages.Parse(c.subject, []byte(c.payload))
		if err != nil {
			t.Errorf("%s %s: %v", c.subject, c.payload, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.subject, c.payload, diff)
		}
		payload, err := got.Payload()
		if err != nil {
			t.Fatal(err)
		}
		again, err := messages.Parse(got.Subject(), payload)
		if err != nil {
			t.Fatalf("the job's own payload %s: %v", payload, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("payload %s does not come back:\n%s", payload, diff)
		}
	}
}

// TestRefusals keeps every sentence a person may read in one file, where a
// reviewer sees whether it tells what to fix.
func TestRefusals(t *testing.T) {
	const backup = "dr.jobs.backup.us-east-1"
	var out strings.Builder
	for _, c := range []struct{ subject, payload string }{
		{"dr.jobs.bakup.us-east-1", `{"source":"home"}`},
		{"dr.jobs.zzz.us-east-1", `{}`},
		{"dr.jobs.backup", `{}`},
		{"dr.jobs.backup.a.b", `{}`},
		{"dr.events.x", `{}`},
		{backup, ``},
		{backup, `  `},
		{backup, `{"sorce":"home"}`},
		{backup, `{"Source":"home"}`},
		{backup, `{"source":"home","snapshot":"x"}`},
		{backup, `{"source":"home","source":"mail"}`},
		{backup, `{"source":7}`},
		{backup, `{"source":["home"]}`},
		{backup, `{"source":null}`},
		{backup, `{"source":"home","tags":"a"}`},
		{backup, `{"source":"home","tags":["a",7]}`},
		{backup, `{"source":"home","tags":[""]}`},
		{backup, `{"source":"home","priority":1.5}`},
		{backup, `{"source":"home","priority":"high"}`},
		{backup, `{"source":"home","priority":10}`},
		{backup, `{"source":"home","not_before":"tomorrow"}`},
		{backup, `{"source":"home","not_before":"2026-01-02T00:00:00Z","deadline":"2026-01-01T00:00:00Z"}`},
		{backup, `{"source":"home","labels":{"a":1}}`},
		{backup, `{"source":"home","labels":[]}`},
		{backup, `{"source":"home","id":"a b"}`},
		{backup, `{"source":"home","type":"incremetal"}`},
		{backup, `{"source":"home","max_attempts":-1}`},
		{backup, `{}`},
		{backup, `{"source":"ho\nme"}`},
		{backup, `{"source":"` + strings.Repeat("x", 300) + `"}`},
		{backup, `{"source":"home"`},
		{backup, `{source:home}`},
		{backup, "{\n  \"source\": \"home\",\n  \"type\": full\n}"},
		{backup, `{"source":"home",}`},
		{backup, `{"source":"home"} {"source":"mail"}`},
		{backup, `"home"`},
		{backup, `["home"]`},
		{backup, `home`},
		{backup, `{"source":"{{template}}"}`},
		{backup, `{{template}}`},
		{backup, `{"source":"<no value>"}`},
		{backup, "\xff\xfe{}"},
		{backup, strings.Repeat("x", messages.MaxPayload+1)},
		{"dr.jobs.verify.any", `{"read_data":101}`},
		{"dr.jobs.verify.any", `{"repair":"yes"}`},
		{"dr.jobs.restore.any", `{"snapshot":"latest"}`},
		{"dr.jobs.restore.any", `{"snapshot":"latest","target":"/etc"}`},
		{"dr.jobs.restore.any", `{"snapshot":"latest","target":"t","overwrite":"allways"}`},
		{"dr.jobs.replicate.any", `{"to":"a b"}`},
		{"dr.jobs.drill.any", `{}`},
		{"dr.jobs.prune.any", `{"dryrun":true}`},
	} {
		_, err := messages.Parse(c.subject, []byte(c.payload))
		var refused *messages.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s %s: %v, want a RefusedError", c.subject, c.payload, err)
			continue
		}
		shown := c.payload
		if len(shown) > 120 {
			shown = shown[:40] + "…"
		}
		fmt.Fprintf(&out, "%s %q\n    %v\n", c.subject, shown, refused)
	}
	golden(t, "refusals.txt", []byte(out.String()))
}

func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	for _, k := range messages.Kinds() {
		got, err := messages.Schema(k)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("schema", string(k)+".json"), got)
	}
	if _, err := messages.Schema("bakup"); err == nil {
		t.Error("an unknown kind has a schema")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"source", "snapshot", "tags", "read_data"}
	for name, want := range map[string]string{
		"sorce": "source", "SOURCE": "source", "soruce": "source", "readdata": "read_data", "tag": "tags",
		"snapshots": "snapshot", "zzz": "", "": "", "completely_else": "",
	} {
		if got := messages.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "backup-20260101T020000Z-0123456789abcdef": true, "nightly/20260101T020000Z": true, "a=b": true,
		"": false, "a b": false, "a.b": false, "-a": false, "/a": false, "a/": false, "a//b": false, "a*": false, "ä": false,
		strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
	} {
		if got := messages.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
	for name, want := range map[string]bool{"us-east-1": true, "any": true, "A_1": true, "": false, "a/b": false, "a.b": false, "*": false, strings.Repeat("a", 65): false} {
		if got := messages.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
	if got := messages.DeadSubject("bak up", strings.Repeat("x", 99)); got != "dr.dead.unknown.unknown" {
		t.Errorf("a subject nobody could publish to became %s", got)
	}
	at := time.Date(2026, 11, 23, 4, 5, 6, 789, time.FixedZone("x", 3600))
	if got := messages.AdHocID(at, 42); got != "adhoc-20261123T030506Z-42" || !messages.ValidID(got) {
		t.Errorf("AdHocID = %s", got)
	}
	one, two := messages.NewID(messages.KindRestoreTest, at), messages.NewID(messages.KindRestoreTest, at)
	if one == two || !messages.ValidID(one) || !strings.HasPrefix(one, "restore_test-20261123T030506Z-") {
		t.Errorf("NewID = %s, %s", one, two)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("dr.jobs.backup.us-east-1", []byte(`{"source":"home","tags":["a"],"labels":{"a":"b"},"deadline":"2026-01-01T00:00:00Z"}`))
	f.Add("dr.jobs.restore.any", []byte(`{"snapshot":"x","target":"y","overwrite":"always"}`))
	f.Add("dr.jobs.verify.any", []byte(`{"read_data":1e2}`))
	f.Add("dr.jobs.bakup.any", []byte(`{"a":{"b":[1,2,{}]}}`))
	f.Add("dr.jobs.prune.any", []byte("{\"\\u0000\":\xff}"))
	f.Fuzz(func(t *testing.T, subject string, payload []byte) {
		job, err := messages.Parse(subject, payload)
		var refused *messages.RefusedError
		if err != nil {
			if !errors.As(err, &refused) || refused.Error() == "" {
				t.Fatalf("not a refusal people can read: %v", err)
			}
			return
		}
		again, err := job.Payload()
		if err != nil {
			t.Fatalf("a parsed job has no payload: %v", err)
		}
		back, err := messages.Parse(job.Subject(), again)
		if err != nil {
			t.Fatalf("%s from %s: %v", again, payload, err)
		}
		// An empty list is none, written or not.
		if diff := cmp.Diff(job, back, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s does not come back: %s", payload, diff)
		}
	})
}
