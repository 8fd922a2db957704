package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/snapshot/prune"
)

// keepLast is how many snapshots of each source the policy keeps.
const keepLast = 4

// many is one repository that many processes work on at once.
type many struct {
	*system
	writers int
	until   time.Time
	config  string

	mu       sync.Mutex
	expected map[string]string   // digest of a source, by the tag of its backup
	commits  map[string][]string // tags of confirmed backups, by source, oldest first
	count    map[string]int      // what happened
	bad      []error
}

// TestManyAtOnce lets writers that never stop back up sources that change, two
// prunes and the retention policy work on one repository at the same time, each a
// process, and interrupts and kills them at random moments. Every snapshot restores
// bit for bit all the while; when all is quiet one prune leaves no garbage.
//
// MANY_MINUTES is for how long; `make soak` says ten, with ten writers.
func TestManyAtOnce(t *testing.T) {
	m := &many{
		system: newSystem(t, "", "x"), writers: 3, until: time.Now().Add(6 * time.Second),
		expected: map[string]string{}, commits: map[string][]string{}, count: map[string]int{},
	}
	if text := os.Getenv("MANY_MINUTES"); text != "" {
		d, err := time.ParseDuration(text + "m")
		if err != nil {
			t.Fatal(err)
		}
		m.writers, m.until = 10, time.Now().Add(d)
	}
	m.configure()
	m.must("backup", m.dir, "--direct", "--exclude", "/*", "--allow-empty", "--source", "first", "--tag", "first", "--quiet",
		"--repository", m.access.Location, "--key", m.access.KeyPath)
	var wg sync.WaitGroup
	for i := range m.writers {
		wg.Go(func() { m.write(i) })
	}
	wg.Go(func() { m.prune(true) })
	wg.Go(func() { m.prune(false) })
	wg.Go(m.forget)
	wg.Go(m.spotCheck)
	wg.Wait()
	for _, err := range m.bad {
		t.Error(err)
	}
	m.settled()
	m.print()
}

// configure writes what forget and prune need to know.
func (m *many) configure() {
	m.t.Helper()
	sources := strings.Builder{}
	for i := range m.writers {
		dir := filepath.Join(m.dir, fmt.Sprintf("w%d", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			m.t.Fatal(err)
		}
		fmt.Fprintf(&sources, "  w%d: {path: %q, region: %s}\n", i, dir, region)
	}
	text := fmt.Sprintf(`
backup:
  storage: {local: {path: %q}}
  encryption: {key_path: %q}
  retention: {keep_last: %d}
regions: [%s]
sources:
%snode: {name: test, region: %s, data_dir: %q, listen: ""}
`, m.access.Location, m.access.KeyPath, keepLast, region, sources.String(), region, filepath.Join(m.dir, "data"))
	m.config = filepath.Join(m.dir, "many.yml")
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *many) over() bool { return time.Now().After(m.until) }

func (m *many) add(what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count[what] += n
}

func (m *many) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bad = append(m.bad, fmt.Errorf(format, args...))
}

// command runs the program and interrupts it after a while, if it is there still;
// 0 does not.
func (m *many) command(interruptAfter time.Duration, args ...string) (code int, out, errs string) {
	return m.process(args[0], exec.Command(mahavishnu, args...), interruptAfter, interrupt)
}

// role runs a process with little patience, and kills it after a while; 0 does
// not.
func (m *many) role(kill time.Duration, r role) (code int, out, errs string) {
	r.Location, r.Key = m.access.Location, m.access.KeyPath
	env, err := r.env()
	if err != nil {
		m.fail("%v", err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = env
	return m.process(r.Do, cmd, kill, os.Kill)
}

// process runs a process and sends it a signal after a while. code is -1 for one
// that a signal ended.
func (m *many) process(what string, cmd *exec.Cmd, after time.Duration, with os.Signal) (code int, out, errs string) {
	cmd.Dir = m.dir
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		m.fail("%v", err)
		return 1, "", ""
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { cmd.Process.Signal(with) }) //nolint:errcheck // it may have ended
		defer timer.Stop()
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		m.fail("%v", err)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		m.add(what+"s killed", 1)
	}
	if cmd.ProcessState.ExitCode() == 130 {
		m.add(what+"s interrupted", 1)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// patience is the time to live of the sessions of processes that are killed.
const patience = 2 * time.Second

// sometimes returns when to kill a process that takes about so long: one in three
// is, from its first moment to a little after its end.
func sometimes(takes time.Duration) time.Duration {
	if rand.IntN(3) > 0 {
		return 0
	}
	return 1 + time.Duration(rand.Int64N(int64(takes*3/2)))
}

// write backs one source up again and again, changed each time.
func (m *many) write(i int) {
	source, dir := fmt.Sprintf("w%d", i), filepath.Join(m.dir, fmt.Sprintf("w%d", i))
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	takes := 300 * time.Millisecond
	for n := 1; !m.over(); n++ {
		if err := change(rng, dir); err != nil {
			m.fail("%v", err)
			return
		}
		digest, err := digestOf(dir)
		if err != nil {
			m.fail("%v", err)
			return
		}
		tag := fmt.Sprintf("%s-%d", source, n)
		m.mu.Lock()
		m.expected[tag] = digest
		m.mu.Unlock()
		kind := []string{"incremental", "incremental", "full"}[rng.IntN(3)]
		began := time.Now()
		code, errs := 0, ""
		if i%2 == 0 {
			code, _, errs = m.role(sometimes(takes), role{Do: "backup", Path: dir, Source: source, Tag: tag, Type: kind, TTL: patience})
		} else {
			code, _, errs = m.command(sometimes(takes), "backup", dir, "--direct", "--source", source, "--tag", tag, "--type", kind,
				"--repository", m.access.Location, "--key", m.access.KeyPath, "--quiet")
		}
		switch code {
		case 0:
			takes = (takes + time.Since(began)) / 2
			m.add("backups committed", 1)
			m.mu.Lock()
			m.commits[source] = append(m.commits[source], tag)
			m.mu.Unlock()
		case 5:
			m.add("backups fenced", 1)
		case -1, 130:
		default:
			m.fail("backup %s: exit code %d\n%s", tag, code, errs)
		}
	}
}

// prune prunes again and again, by one program or another.
func (m *many) prune(program bool) {
	for !m.over() {
		var code int
		var out, errs string
		if program {
			code, out, errs = m.command(sometimes(2*time.Second), "prune", "--direct", "--json", "--config", m.config)
		} else {
			code, out, errs = m.role(sometimes(2*time.Second), role{Do: "prune", TTL: patience, Wait: 5 * patience})
		}
		var report prune.Report
		switch {
		case code == -1, code == 130:
			continue
		case strings.Contains(out+errs, "another prune is at work"):
			m.add("prunes that found another at work", 1)
		case code == 5:
			m.add("prunes fenced", 1)
		case code != 0:
			m.fail("prune: exit code %d\n%s%s", code, out, errs)
		case lastDocument(out, &report) != nil:
			m.fail("prune prints no report: %s", out)
		default:
			m.add("prunes done", 1)
			m.add("sessions fenced as dead", len(report.Fenced))
			m.add("snapshots of dead sessions published", len(report.Published))
			m.add("bytes rescued", int(report.RescuedBytes))
			m.add("bytes removed", int(report.RemovedBytes))
			m.add("packs removed", report.RemovedPacks)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
	}
}

// lastDocument reads the last of several JSON documents: events may come before.
func lastDocument(text string, v any) error {
	for in := json.NewDecoder(strings.NewReader(text)); ; {
		var document json.RawMessage
		err := in.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(document, v)
		}
		if err != nil {
			return err
		}
	}
}

// forget applies the policy again and again.
func (m *many) forget() {
	for !m.over() {
		code, _, errs := m.command(sometimes(400*time.Millisecond), "forget", "--config", m.config)
		if code > 0 && code != 130 {
			m.fail("forget: exit code %d\n%s", code, errs)
		}
		m.add("policies applied", 1)
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
	}
}

// spotCheck restores one snapshot after the other.
func (m *many) spotCheck() {
	for !m.over() {
		time.Sleep(200 * time.Millisecond)
		snaps := m.snapshots()
		if len(snaps) == 0 {
			continue
		}
		snap := snaps[rand.IntN(len(snaps))]
		if snap.Source == "first" {
			continue
		}
		if err := m.restore(snap); err != nil {
			gone := !slices.ContainsFunc(m.snapshots(), func(s repository.Snapshot) bool { return s.ID == snap.ID })
			if !gone {
				m.fail("snapshot %s of %s: %v", snap.ID, snap.Source, err)
			}
			m.add("restores of what was forgotten meanwhile", 1)
			continue
		}
		m.add("restores compared meanwhile", 1)
	}
}

func (m *many) snapshots() []repository.Snapshot {
	code, out, errs := m.command(0, "snapshots", "--json", "--repository", m.access.Location, "--key", m.access.KeyPath)
	if code != 0 {
		m.fail("snapshots: exit code %d\n%s", code, errs)
		return nil
	}
	var listed struct {
		Snapshots []repository.Snapshot
		Damaged   []json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil || len(listed.Damaged) > 0 {
		m.fail("snapshots: %v, damaged: %s", err, listed.Damaged)
	}
	return listed.Snapshots
}

// restore restores a snapshot and compares it with what its source was.
func (m *many) restore(snap repository.Snapshot) error {
	target, err := os.MkdirTemp(m.dir, "restored-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(target)
	code, _, errs := m.command(0, "restore", snap.ID, "--direct", "--quiet", "--target", target, "--repository", m.access.Location, "--key", m.access.KeyPath)
	if code != 0 {
		return fmt.Errorf("restore: exit code %d\n%s", code, errs)
	}
	digest, err := digestOf(target)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if want := m.expected[snap.Tags[0]]; digest != want {
		return fmt.Errorf("the tree of %s has the digest %s, its source had %s", snap.Tags[0], digest, want)
	}
	return nil
}

// settled checks everything when nobody is at work any more.
func (m *many) settled() {
	m.t.Helper()
	ctx := m.t.Context()
	// Those who were killed are known to be dead only after a time: let it fly. The
	// first prune finishes what they left, the second has a quiet repository.
	for range 2 {
		report, err := prune.Run(ctx, m.open().Repository, prune.Options{Wait: 24 * time.Hour, Clock: flying{clock.System()}})
		if err != nil || !report.Clean() {
			m.t.Fatalf("a last prune: %v, %+v", err, report)
		}
		m.add("sessions fenced as dead", len(report.Fenced))
		m.add("snapshots of dead sessions published", len(report.Published))
		m.add("bytes rescued", int(report.RescuedBytes))
		m.add("bytes removed", int(report.RemovedBytes))
	}
	found, err := prune.Run(ctx, m.open().Repository, prune.Options{DryRun: true})
	if err != nil || found.UnusedBytes > 0 || found.UnindexedPacks > 0 || !found.Clean() {
		m.t.Errorf("by prune's own measure garbage is left: %+v, %v", found, err)
	}
	unneeded, err := countUnneeded(ctx, m.open().Repository)
	if err != nil || unneeded > 0 {
		m.t.Errorf("%d places of blobs are needed by no snapshot, %v", unneeded, err)
	}
	m.noStrays()
	m.must("verify", "--read-data", "100", "--config", m.config)
	left := map[string]bool{}
	for _, snap := range m.snapshots() {
		if snap.Source == "first" {
			continue
		}
		left[snap.Tags[0]] = true
		if err := m.restore(snap); err != nil {
			m.t.Errorf("snapshot %s: %v", snap.ID, err)
		}
		m.add("snapshots restored at the end", 1)
	}
	for source, tags := range m.commits {
		// Snapshots of killed programs may count among the last, too.
		if newest := tags[len(tags)-1]; !left[newest] {
			m.t.Errorf("the newest snapshot of %s, %s, is gone", source, newest)
		}
	}
	for _, err := range m.bad {
		m.t.Error(err)
	}
}

// noStrays wants nobody at work and nothing condemned. What may stay is the
// prune's own session, and the tickets of processes that were killed after they had
// committed: each guards the name of its snapshot while that is there.
func (m *many) noStrays() {
	m.t.Helper()
	strays, err := filepath.Glob(filepath.Join(m.access.Location, "gc", "[cs]*", "*"))
	if err != nil {
		m.t.Error(err)
	}
	for _, path := range strays {
		if ext := filepath.Ext(path); ext != ".end" { // that of one who died guards its snapshot's name
			m.t.Errorf("left: %s", path)
		}
	}
}

// flying is a clock on which time passes a thousand times faster.
type flying struct{ clock.Clock }

const haste = 1000

func (c flying) Now() time.Time {
	now := c.Clock.Now()
	return now.Add(haste * now.Sub(flyingSince))
}

func (c flying) Sleep(ctx context.Context, d time.Duration) error { return c.Clock.Sleep(ctx, d/haste) }

func (c flying) NewTimer(d time.Duration) clock.Timer {
	return flyingTimer{c.Clock.NewTimer(d / haste)}
}

type flyingTimer struct{ clock.Timer }

func (t flyingTimer) Reset(d time.Duration) bool { return t.Timer.Reset(d / haste) }

// flyingSince is when the clocks agreed.
var flyingSince = time.Now()

// print shows what happened.
func (m *many) print() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, what := range slices.Sorted(func(yield func(string) bool) {
		for what := range m.count {
			if !yield(what) {
				return
			}
		}
	}) {
		fmt.Fprintf(w, "%d\t %s\t\n", m.count[what], what)
	}
	if err := w.Flush(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("%d writers:\n%s", m.writers, b.String())
}

// change adds, replaces and removes a few files; many have the bytes of files that
// other sources have too.
func change(rng *rand.Rand, dir string) error {
	for range 1 + rng.IntN(6) {
		path := filepath.Join(dir, fmt.Sprintf("d%d", rng.IntN(3)), fmt.Sprintf("f%d", rng.IntN(12)))
		if rng.IntN(5) == 0 {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		data := make([]byte, 100+rng.IntN(40_000))
		var key [32]byte
		key[0] = byte(rng.IntN(60))
		_, _ = rand.NewChaCha8(key).Read(data) // never fails
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	// So that it is never empty.
	return os.WriteFile(filepath.Join(dir, "always"), fmt.Append(nil, rng.Uint64()), 0o600)
}

// digestOf sums up names, modes, times and bytes of a tree.
func digestOf(dir string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %v %d\n", rel, info.Mode(), info.ModTime().UnixNano())
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%d\n", len(data))
		_, _ = sum.Write(data) // never fails
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
