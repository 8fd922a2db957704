package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(o Options) (t *Terminal, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return New(out, err, o), out, err
}

func TestStreams(t *testing.T) {
	for _, c := range []struct {
		name             string
		options          Options
		wantOut, wantErr string
	}{
		{"plain", Options{}, "result\nall well\n", "warning: mind this\n"},
		{"quiet", Options{Quiet: true}, "result\n", "warning: mind this\n"},
		{"verbose", Options{Verbose: true}, "result\nall well\ndetail\n", "warning: mind this\n"},
		{"json", Options{JSON: true}, `{"event":"warning","message":"mind this"}` + "\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			term, out, errs := pair(c.options)
			term.Printf("result")
			term.Sayf("all %s", "well")
			term.Detailf("detail\n")
			term.Warnf("mind %s", "this")
			if diff := cmp.Diff(c.wantOut, out.String()); diff != "" {
				t.Errorf("standard output (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.wantErr, errs.String()); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	cause := fault.New("open repository", "file:///backups", errors.New("it is not there"), "run mahavishnu doctor")
	term, out, errs := pair(Options{})
	term.Failure("mahavishnu", 1, cause)
	if got, want := errs.String(), "mahavishnu: open repository file:///backups: it is not there\n  → run mahavishnu doctor\n"; got != want || out.Len() > 0 {
		t.Errorf("text: %q and %q on standard output, want %q", got, out, want)
	}
	term, out, errs = pair(Options{JSON: true})
	term.Failure("mahavishnu", 1, cause)
	want := `{"event":"error","code":1,"message":"open repository file:///backups: it is not there","hints":["run mahavishnu doctor"]}` + "\n"
	if got := out.String(); got != want || errs.Len() > 0 {
		t.Errorf("JSON: %q and %q on standard error, want %q", got, errs, want)
	}
}

func TestDocumentAndEmptyEvent(t *testing.T) {
	term, out, _ := pair(Options{JSON: true})
	term.Document(map[string]int{"a": 1})
	term.Event("done", struct{}{})
	if got, want := out.String(), "{\n  \"a\": 1\n}\n{\"event\":\"done\"}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	term.Document(func() {})
	if term.Err() == nil {
		t.Error("a document that cannot be encoded was swallowed")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAFullDiskBehindTheOutputIsTold(t *testing.T) {
	term := New(full{}, &bytes.Buffer{}, Options{})
	term.Printf("result")
	if err := term.Err(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Err() = %v", err)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, out, errs := pair(Options{})
		term.live, term.columns = true, func() int { return 120 }
		p := term.Progress("backing up")
		p.Update(func(w *Work) {
			w.Files, w.Bytes, w.TotalBytes, w.Path = 3, 512<<20, 1<<30, "a/b"
		})
		time.Sleep(drawEvery + time.Millisecond)
		synctest.Wait()
		term.Printf("a line in between")
		work, elapsed := p.Stop()
		if work.Files != 3 || elapsed != drawEvery+time.Millisecond {
			t.Errorf("Stop() = %+v, %v", work, elapsed)
		}
		want := "\rbacking up   50 % · 512 MiB of 1.0 GiB · 3 files · 2.5 GiB/s · 1.0 s left  a/b\x1b[K\r\x1b[K"
		if diff := cmp.Diff(want, errs.String()); diff != "" {
			t.Errorf("standard error (-want +got):\n%s", diff)
		}
		if out.String() != "a line in between\n" {
			t.Errorf("standard output: %q", out)
		}
		p.Stop() // again is harmless
	})
}

func TestProgressOfThingsThatAreNoFiles(t *testing.T) {
	for want, w := range map[string]Work{
		"walking  3 of 10 snapshots · 2.0 s":                         {Files: 3, TotalFiles: 10, Unit: "snapshot"},
		"walking  3 snapshots · 2.0 s":                               {Files: 3, Unit: "snapshot"},
		"walking  2.0 s":                                             {Unit: "snapshot"},
		"walking   50 % · 1.0 KiB of 2.0 KiB · 512 B/s · 1.0 s left": {Bytes: 1 << 10, TotalBytes: 2 << 10, Unit: "pack"},
	} {
		if got := line("walking", w, pace{512, 1024}, 2*time.Second, 100); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProgressPipedIsSilentAndAsJSONIsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		piped, out, errs := pair(Options{})
		p := piped.Progress("restoring")
		time.Sleep(time.Minute)
		p.Stop()
		if out.Len()+errs.Len() > 0 {
			t.Errorf("piped: %q %q", out, errs)
		}

		script, out, _ := pair(Options{JSON: true})
		p = script.Progress("restoring")
		p.Update(func(w *Work) { w.Bytes, w.TotalBytes = 100, 300 })
		time.Sleep(eventEvery + time.Millisecond)
		synctest.Wait()
		p.Stop()
		var got struct {
			Event string
			ProgressEvent
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		want := ProgressEvent{Verb: "restoring", Seconds: 1, Bytes: 100, TotalBytes: 300, Rate: 100, SecondsLeft: 2}
		if diff := cmp.Diff(want, got.ProgressEvent); diff != "" || got.Event != "progress" {
			t.Errorf("event %q (-want +got):\n%s", got.Event, diff)
		}
	})
}
