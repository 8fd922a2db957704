package process

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/clock"
)

// TestMain lets this binary be the process in between, and the measured one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "measure" {
		if err := Measure(context.Background(), clock.System(), os.Args[2]); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	switch os.Getenv("WORK") {
	case "":
		goleak.VerifyTestMain(m)
	case "fail":
		_, _ = os.Stderr.WriteString(strings.Repeat("much is said before the end. ", 10_000) + "the reason is this")
		os.Exit(3)
	case "memory":
		held := make([]byte, 100<<20)
		for i := range held {
			held[i] = 1
		}
		runtime.KeepAlive(held)
	case "wait":
		_ = os.WriteFile(os.Getenv("STARTED"), nil, 0o600)
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsageIsThatOfTheProgramAlone(t *testing.T) {
	r := Runner{Self: self(t)}
	small, _, err := r.Run(t.Context(), Command{Args: []string{self(t)}, Env: []string{"WORK=nothing"}, Sync: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	large, _, err := r.Run(t.Context(), Command{Args: []string{self(t)}, Env: []string{"WORK=memory"}})
	if err != nil {
		t.Fatal(err)
	}
	if small.Wall <= 0 || small.CPU() <= 0 {
		t.Errorf("nothing was measured: %+v", small)
	}
	if runtime.GOOS == "windows" {
		return // peaks are not told
	}
	if large.PeakMemory < 100<<20 || small.PeakMemory > 90<<20 {
		t.Errorf("peaks of %d and %d bytes; the programs hold next to nothing and 100 MiB", small.PeakMemory, large.PeakMemory)
	}
}

func TestAFailureTellsWhatWasSaidLast(t *testing.T) {
	for _, r := range []Runner{{}, {Self: self(t)}} {
		_, _, err := r.Run(t.Context(), Command{Args: []string{self(t)}, Env: []string{"WORK=fail"}})
		if err == nil || !strings.Contains(err.Error(), "the reason is this") {
			t.Errorf("the error hides the reason: %v", err)
		} else if n := len(err.Error()); n > 40<<10 {
			t.Errorf("the error has %d bytes", n)
		}
	}
}

func TestWhatIsNotThereIsAnError(t *testing.T) {
	for _, r := range []Runner{{}, {Self: self(t)}} {
		if _, _, err := r.Run(t.Context(), Command{Args: []string{"/nonexistent/program"}}); err == nil {
			t.Error("a program that is not there was measured")
		}
		if _, _, err := r.Run(t.Context(), Command{}); err == nil {
			t.Error("no program was measured")
		}
	}
	if got := Find("no-program-has-this-name"); got != "" {
		t.Errorf("found %s", got)
	}
}

func TestWhoeverIsInterruptedStopsTheProgram(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for {
			if _, err := os.Stat(started); err == nil || ctx.Err() != nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	// Told to end, a process that does not listen ends at once; waiting for it
	// would take an hour.
	_, _, err := Runner{}.Run(ctx, Command{Args: []string{self(t)}, Env: []string{"WORK=wait", "STARTED=" + started}})
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("an interrupted program ended with %v", err)
	}
}
