package compare

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	lab "mahavishnu/lab/process"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/peers"
	"mahavishnu/loadtest/process"
)

var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// programs returns what is compared here: the real programs, all of them.
func programs(t *testing.T) (process.Runner, []peers.Program) {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "loadtest-programs-"); built.err != nil {
			return
		}
		for _, name := range []string{"mahavishnu", "loadtest"} {
			if _, built.err = lab.Build(t.Context(), ".", "mahavishnu/cmd/"+name, built.dir); built.err != nil {
				return
			}
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	r := process.Runner{Self: filepath.Join(built.dir, "loadtest")}
	found, notes, err := peers.Find(t.Context(), r, peers.Options{
		Families: peers.Families(), Program: filepath.Join(built.dir, "mahavishnu"), Self: r.Self,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"restic", "borg", "cp -a", "bare pipeline", peers.OwnName} {
		if !slices.ContainsFunc(found, func(p peers.Program) bool { return p.Name == name }) {
			t.Fatalf("%s was not found (%q); .ci/packages installs what is compared", name, notes)
		}
	}
	return r, found
}

func TestAllProgramsDoTheSameWork(t *testing.T) {
	r, found := programs(t)
	dir := filepath.Join(t.TempDir(), "work")
	c, err := Run(t.Context(), Options{
		Corpus: corpus.Spec{Kind: corpus.Mixed, Files: 5, FileSize: 400_000}, Runs: 1, Programs: found, Dir: dir, Runner: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Measured {
		if m.Failure != "" {
			t.Errorf("%s, %s: %s", m.Program, m.Work, m.Failure)
		}
		if m.Wall <= 0 || m.PeakMemory <= 0 {
			t.Errorf("%s, %s: not measured: %+v", m.Program, m.Work, m.Usage)
		}
	}
	for _, p := range c.Programs {
		want := []Work{FirstBackup, Unchanged, Check, Restore}
		switch p.Name {
		case "cp -a":
			want = []Work{FirstBackup, Restore}
		case "bare pipeline":
			want = []Work{FirstBackup}
		}
		for _, work := range want {
			i := slices.IndexFunc(c.Summaries(work), func(s Summary) bool { return s.Program.Name == p.Name })
			if i < 0 || len(c.Summaries(work)[i].Wall) != 1 {
				t.Errorf("%s did not do its %s", p.Name, work)
			}
		}
		// 40 % of it is random, and ours keeps 2 MiB in reserve.
		most := int64(3_000_000)
		if p.Kind == peers.Ours {
			most += 2 << 20
		}
		if stored := c.StoredAt(p.Name, 0); stored < 800_000 || stored > most {
			t.Errorf("%s stored %d bytes of %d", p.Name, stored, c.Corpus.Bytes)
		}
	}
	if best := c.Best(FirstBackup); best != "restic" && best != "borg" && !strings.HasPrefix(best, "restic ") && best != "kopia" {
		t.Errorf("the best peer is %q", best)
	}
	if len(c.Aims(peers.OwnName)) != 6 { // two of the first backup and the restore each, the check, memory
		t.Errorf("aims: %+v", c.Aims(peers.OwnName))
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// only returns the programs with these names.
func only(found []peers.Program, names ...string) []peers.Program {
	return slices.DeleteFunc(slices.Clone(found), func(p peers.Program) bool { return !slices.Contains(names, p.Name) })
}

func TestVersionsAreBackedUpOneAfterAnother(t *testing.T) {
	r, found := programs(t)
	for _, test := range []struct {
		spec     corpus.Spec
		programs []peers.Program
	}{
		{corpus.Spec{Kind: corpus.Versions, Files: 100, FileSize: 5000}, only(found, "restic", "borg", peers.OwnName, "cp -a")},
		{corpus.Spec{Kind: corpus.Database, Files: 1, FileSize: 4 << 20}, only(found, peers.OwnName)},
	} {
		spec := test.spec
		c, err := Run(t.Context(), Options{
			Corpus: spec, Versions: 2, Runs: 1, Programs: test.programs, Dir: filepath.Join(t.TempDir(), "work"), Runner: r,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Corpus.Versions) != 2 || c.Corpus.Versions[1].Changed == "" || c.Logical() <= c.Corpus.Versions[0].Bytes {
			t.Errorf("%s: versions %+v", spec.Kind, c.Corpus.Versions)
		}
		for _, m := range c.Measured {
			if m.Failure != "" {
				t.Errorf("%s, %s, version %d: %s", m.Program, m.Work, m.Version+1, m.Failure)
			}
		}
		for _, p := range c.Programs {
			first, last := c.StoredAt(p.Name, 0), c.StoredAt(p.Name, 1)
			if first <= 0 || last <= first || last > 9*first/4 {
				t.Errorf("%s, %s: %d bytes stored after the first version and %d after the second", spec.Kind, p.Name, first, last)
			}
			if p.Kind == peers.Limit {
				t.Errorf("%s was compared on versions", p.Name)
			}
		}
	}
}

// broken is a program that fails at a step.
func broken(name string, p peers.Program, change func(*peers.Plan)) peers.Program {
	plan := p.Plan
	p.Name = name
	p.Plan = func(at peers.Place) peers.Plan {
		changed := plan(at)
		change(&changed)
		return changed
	}
	return p
}

func TestAProgramThatFailsIsToldAndSpoilsNothing(t *testing.T) {
	r, found := programs(t)
	cp := found[slices.IndexFunc(found, func(p peers.Program) bool { return p.Name == "cp -a" })]
	no := process.Command{Args: []string{"cp", "/nonexistent/a", "/nonexistent/b"}}
	o := Options{
		Corpus: corpus.Spec{Kind: corpus.Small, Files: 20, FileSize: 1000}, Runs: 2,
		Dir: filepath.Join(t.TempDir(), "work"), Runner: r,
		Programs: []peers.Program{
			broken("cannot start", cp, func(p *peers.Plan) { p.Prepare = []process.Command{no} }),
			broken("cannot back up", cp, func(p *peers.Plan) { p.Backup = func(int) process.Command { return no } }),
			broken("restores something else", cp, func(p *peers.Plan) {
				p.Restore = func() process.Command { return process.Command{Args: []string{"mkdir", p.Root}} }
			}),
			cp,
		},
	}
	c, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]Work{}
	for _, m := range c.Measured {
		if m.Failure != "" {
			failed[m.Program] = m.Work
		}
	}
	want := map[string]Work{"cannot start": FirstBackup, "cannot back up": FirstBackup, "restores something else": Restore}
	for name, work := range want {
		if failed[name] != work {
			t.Errorf("%s: failed at %q, want %q", name, failed[name], work)
		}
	}
	if len(failed) != len(want) {
		t.Errorf("failed: %v", failed)
	}
	second := slices.IndexFunc(c.Measured, func(m Measure) bool { return m.Run == 1 })
	if c.Measured[0].Program == c.Measured[second].Program {
		t.Errorf("both runs began with %s", c.Measured[0].Program)
	}
	for _, s := range c.Summaries(Restore) {
		if s.Program.Name == "cp -a" && len(s.Wall) != 2 {
			t.Errorf("the program that works was measured %d times", len(s.Wall))
		}
	}
}

func TestInterruptedItLeavesNothing(t *testing.T) {
	r, found := programs(t)
	found = only(found, "cp -a", peers.OwnName)
	for _, keep := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		dir := filepath.Join(t.TempDir(), "work")
		c, err := Run(ctx, Options{
			Corpus: corpus.Spec{Kind: corpus.Small, Files: 20, FileSize: 1000}, Runs: 1, Programs: found, Dir: dir, Keep: keep, Runner: r,
			Progress: func(what string) {
				if strings.Contains(what, string(Restore)) {
					cancel()
				}
			},
		})
		if err == nil {
			t.Fatal("an interrupted comparison ended well")
		}
		if len(c.Measured) == 0 {
			t.Error("what was measured before is lost")
		}
		if _, err := os.Stat(dir); os.IsNotExist(err) == keep {
			t.Errorf("keep is %v, and the directory: %v", keep, err)
		}
	}
}

func TestItRefusesToBegin(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	some := []peers.Program{{Name: "some", Plan: func(peers.Place) peers.Plan { return peers.Plan{} }}}
	small := corpus.Spec{Kind: corpus.Small, Files: 1, FileSize: 1}
	for _, test := range []struct {
		says string
		o    Options
	}{
		{"not empty", Options{Corpus: small, Runs: 1, Programs: some, Dir: full}},
		{"nothing to do", Options{Corpus: small, Programs: some, Dir: filepath.Join(full, "x")}},
		{"are needed", Options{Corpus: corpus.Spec{Kind: corpus.Mixed, Files: 1 << 20, FileSize: 1 << 40}, Runs: 1, Programs: some, Dir: filepath.Join(full, "x")}},
	} {
		_, err := Run(t.Context(), test.o)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v; want one that says %q", err, test.says)
		}
		if _, err := os.Stat(filepath.Join(full, "x")); !os.IsNotExist(err) {
			t.Errorf("%s: an empty directory is left: %v", test.says, err)
		}
	}
	if _, err := os.Stat(filepath.Join(full, "mine")); err != nil {
		t.Errorf("what was there is not: %v", err)
	}
}

// What was measured before a comparison was cut off is not measured again, what a
// program had only begun is.
func TestACutOffComparisonIsResumed(t *testing.T) {
	r, found := programs(t)
	found = slices.DeleteFunc(found, func(p peers.Program) bool { return p.Name != "cp -a" && p.Name != "borg" })
	spec := corpus.Spec{Kind: corpus.Mixed, Files: 3, FileSize: 100_000}
	ctx, cut := context.WithCancel(t.Context())
	var saved []Comparison
	first, err := Run(ctx, Options{
		Corpus: spec, Runs: 2, Programs: found, Dir: filepath.Join(t.TempDir(), "work"), Runner: r,
		Save: func(c Comparison) error { saved = append(saved, c); return nil },
		Progress: func(what string) {
			if strings.HasPrefix(what, "run 2 of 2: "+found[0].Name+": "+string(Check)) || strings.HasPrefix(what, "run 2 of 2: "+found[0].Name+": "+string(Restore)) {
				cut()
			}
		},
	})
	if err == nil || len(saved) != 3 {
		t.Fatalf("it was cut off in its last program: %v, saved %d times", err, len(saved))
	}
	var began []string
	second, err := Run(t.Context(), Options{
		Corpus: spec, Runs: 2, Programs: found, Dir: filepath.Join(t.TempDir(), "work"), Runner: r, Before: first,
		Progress: func(what string) { began = append(began, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range began {
		if strings.HasPrefix(what, "run") && !strings.HasPrefix(what, "run 2 of 2: "+found[0].Name) {
			t.Errorf("measured again: %s", what)
		}
	}
	whole := saved[2]
	for i, p := range found {
		for run := range 2 {
			got, want := len(second.of(run, p)), len(whole.of(0, p))
			if got != want {
				t.Errorf("program %d in run %d has %d measures, not %d", i, run, got, want)
			}
		}
	}
	if _, err := Run(t.Context(), Options{
		Corpus: corpus.Spec{Kind: corpus.Mixed, Files: 4, FileSize: 100_000}, Runs: 2, Programs: found,
		Dir: filepath.Join(t.TempDir(), "work"), Runner: r, Before: first,
	}); err == nil {
		t.Error("figures of different trees were put together")
	}
}
