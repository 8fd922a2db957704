package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/lab/process"
)

// TestMain lets the test's binary be the NATS server of a machine.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == QueueCommand {
		if err := ServeQueue(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// A whole system loses its primary once, on each kind of network that there is: clients
// are served by the other member, nothing that was acknowledged is lost, every phase is
// known, and nothing is left behind.
func TestAFailoverIsMeasured(t *testing.T) {
	program, err := process.Build(t.Context(), ".", "mahavishnu/cmd/mahavishnu", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := process.Left(program); len(left) > 0 {
			t.Errorf("watchdogs are left behind: %v", left)
		}
	})
	networks := map[string]bool{"loopback": true}
	if os.Geteuid() == 0 {
		networks["namespaces"] = false
	}
	for name, loopback := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "failover-") // t.TempDir is closed to the databases' user
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			saved := 0
			r, err := Measure(t.Context(), Options{
				Faults: []Fault{Killed}, Ways: []Way{ByFront, ByDNS}, Runs: 1, Program: program, Self: self, Dir: dir, Loopback: loopback,
				Save: func(Report) error { saved++; return nil }, Progress: func(what string) { t.Log(what) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Runs) != 1 || saved != 1 || len(r.Notes) > 0 {
				t.Fatalf("%d runs, saved %d times, notes %q", len(r.Runs), saved, r.Notes)
			}
			run := r.Runs[0]
			if run.Error != "" || run.From != "a" || run.To != "b" || run.Acked == 0 || len(run.Lost) > 0 || run.Late > 0 {
				t.Errorf("%+v", run)
			}
			if run.Promoted <= 0 || run.Began <= 0 || run.Routed < run.Began || run.Away[ByFront] <= 0 || run.Away[ByDNS] <= 0 || len(run.Steps) == 0 {
				t.Errorf("a moment is not known: %+v", run)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// seconds makes durations readable.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func TestPhasesFollowEachOther(t *testing.T) {
	whole := Run{Suspected: seconds(1), Verdict: seconds(1.5), Began: seconds(1.6), Free: seconds(3), Promoted: seconds(3.4)}
	for name, c := range map[string]struct {
		run  Run
		want string
	}{
		"each in its turn":               {whole, "1.00 s 0.50 s 0.10 s 1.40 s 0.40 s"},
		"a keeper's word came first":     {Run{Suspected: seconds(0.2), Began: seconds(0.3), Free: seconds(0.4), Promoted: seconds(0.6)}, "0.20 s 0.00 s 0.10 s 0.10 s 0.20 s"},
		"a verdict after the plan began": {Run{Suspected: seconds(1), Verdict: seconds(9), Began: seconds(2), Free: seconds(3), Promoted: seconds(4)}, "1.00 s 1.00 s 0.00 s 1.00 s 1.00 s"},
	} {
		var got []string
		sum := time.Duration(0)
		for _, p := range Phases() {
			got, sum = append(got, exact(c.run.Took()[p])), sum+c.run.Took()[p]
		}
		if strings.Join(got, " ") != c.want || sum != c.run.Promoted {
			t.Errorf("%s: %v, in all %v", name, got, sum)
		}
	}
}

func TestAReportSaysWhatLimitsAndWhatWasLost(t *testing.T) {
	r := Report{Notes: []string{"something broke"}}
	for i := range 10 {
		r.Runs = append(r.Runs, Run{
			Number: i + 1, Fault: Frozen, From: "a", To: "b", LeaderLost: i%2 == 1, Acked: 100,
			Suspected: seconds(1), Verdict: seconds(1.5), Began: seconds(1.6), Free: seconds(3 + float64(i)), Promoted: seconds(3.5 + float64(i)),
			Away: map[Way]time.Duration{ByFront: seconds(4), ByDNS: seconds(5)},
		})
	}
	r.Runs[3].Lost, r.Runs[4].Late, r.Runs[5].Error = []int64{7, 8}, 1, "it hung"
	text := strings.Join(strings.Fields(r.Document().Text()), " ")
	for _, want := range []string{
		"9 failovers", "2 were lost; 1 were acknowledged by an old primary",
		"frozen 9 7.50 s 12.50 s 12.50 s 12.50 s 900 2 MISSED until the old primary has stopped for certain",
		"frozen dns 9 5.00 s", "frozen lost, too 4", "NOT MEASURED: it hung", "something broke",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, r.Document().Text())
		}
	}
	page, err := r.Document().HTML()
	if err != nil || !strings.Contains(string(page), "<polyline") {
		t.Errorf("%v\n%s", err, page)
	}
}

func TestFaultsTakeTurnsAndAreResumed(t *testing.T) {
	b := bench{o: Options{Faults: []Fault{Killed, Frozen}, Runs: 2}, report: &Report{Runs: []Run{{Fault: Killed}, {Fault: Frozen}, {Fault: Killed}}}}
	if left := b.left(); fmt.Sprint(left) != "[frozen]" || !b.leads(Frozen) || b.leads(Killed) {
		t.Errorf("left %v", left)
	}
	b.report.Runs = nil
	if left := b.left(); fmt.Sprint(left) != "[killed frozen killed frozen]" || b.leads(Frozen) {
		t.Errorf("left %v", left)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	if _, err := ParseFaults([]string{"flooded"}); err == nil || !strings.Contains(err.Error(), "flooded") {
		t.Error(err)
	}
	if _, err := ParseWays([]string{"post"}); err == nil {
		t.Error("a way that is none was accepted")
	}
	if err := possible([]Fault{Isolated}, false, errors.New("no namespaces")); err == nil || !strings.Contains(err.Error(), "no namespaces") {
		t.Error(err)
	}
	if err := possible([]Fault{Killed, Frozen}, false, errors.New("no namespaces")); err != nil {
		t.Error(err)
	}
}

// A directory that databases cannot enter is refused before anything is started, and named.
func TestDirectoryThatOnlyRootEnters(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("whoever is not root measures with databases that run as himself")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := workDir(filepath.Join(closed, "w")); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("%v", err)
	}
}
