package histories

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage/faults"
)

var update = flag.Bool("update", false, "write the table of docs/reliability.md anew")

// objectKind is a kind of object, in the table's words.
type objectKind struct {
	title  string
	prefix string
	not    string // names that begin so are of another kind
	large  bool   // damaged in a repository with packs of full size
}

// kinds are all kinds of objects a repository has. The test fails when it meets
// one that is not among them.
var kinds = []objectKind{
	{title: "configuration", prefix: "config", not: "config.copy"},
	{title: "configuration, copy", prefix: "config.copy"},
	{title: "pack of data", prefix: "packs/", large: true},
	{title: "parity of a pack", prefix: "parity/", not: "parity/stripes/", large: true},
	{title: "stripe of packs", prefix: "parity/stripes/", large: true},
	{title: "index fragment", prefix: "index/"},
	{title: "index fragment, copy", prefix: "copies/index/"},
	{title: "snapshot", prefix: "snapshots/"},
	{title: "snapshot, copy", prefix: "copies/snapshots/"},
	{title: "condemned list", prefix: "gc/condemned/"},
	{title: "condemned list, copy", prefix: "copies/gc/condemned/"},
	{title: "ledger", prefix: "ledger/"},
	{title: "ledger, copy", prefix: "copies/ledger/"},
	{title: "pin", prefix: "pins/"},
	{title: "pin, copy", prefix: "copies/pins/"},
	{title: "hold", prefix: "holds/"},
	{title: "hold, copy", prefix: "copies/holds/"},
}

// doubled are pairs of objects with the same bytes, and what else can be damaged
// at once.
var together = []struct {
	title   string
	victims func(objects map[string][]byte) []string
}{
	{"configuration, both", func(map[string][]byte) []string { return []string{"config", "config.copy"} }},
	{"index fragment, both", both("index/")},
	{"snapshot, both", both("snapshots/")},
	{"condemned list, both", both("gc/condemned/")},
	{"ledger, both", both("ledger/")},
	{"pin, both", both("pins/")},
	{"pack and its parity", func(objects map[string][]byte) []string {
		victim := largest(objects, objectKind{prefix: "packs/"})
		return []string{victim, strings.Replace(victim, "packs/", "parity/", 1)}
	}},
	{"pack and its stripe", func(objects map[string][]byte) []string {
		return []string{largest(objects, objectKind{prefix: "packs/"}), largest(objects, objectKind{prefix: "parity/stripes/"})}
	}},
	{"two packs of a stripe", func(objects map[string][]byte) []string {
		return bySize(objects, objectKind{prefix: "packs/"})[:2]
	}},
}

func both(prefix string) func(map[string][]byte) []string {
	return func(objects map[string][]byte) []string {
		victim := largest(objects, objectKind{prefix: prefix})
		return []string{victim, "copies/" + victim}
	}
}

func (k objectKind) is(name string) bool {
	return strings.HasPrefix(name, k.prefix) && (k.not == "" || !strings.HasPrefix(name, k.not)) && !passing(name)
}

// passing tells notes of who is at work and who waits for whom: their loss costs
// time only, and so they are neither kept twice nor checked.
func passing(name string) bool {
	return strings.HasPrefix(name, "gc/sessions/") || strings.HasPrefix(name, "gc/turns/") || name == "gc/seen" ||
		strings.HasPrefix(name, "gc/gone/") || // which tells by its name alone
		strings.HasSuffix(name, ".wait")
}

// bySize returns the objects of a kind, the largest first.
func bySize(objects map[string][]byte, k objectKind) []string {
	var names []string
	for name := range objects {
		if k.is(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := len(objects[b]) - len(objects[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

func largest(objects map[string][]byte, k objectKind) string {
	if names := bySize(objects, k); len(names) > 0 {
		return names[0]
	}
	return ""
}

// harms are the ways in which objects are damaged. nil is a missing object.
var harms = []struct {
	title string
	do    func(data []byte) []byte
}{
	{"bit flipped", func(data []byte) []byte { data[len(data)/2] ^= 4; return data }},
	{"4 KiB zeroed", func(data []byte) []byte { return zeroed(data, 4<<10) }},
	{"1 MiB zeroed", func(data []byte) []byte { return zeroed(data, 1<<20) }},
	{"truncated", func(data []byte) []byte { return data[:len(data)*2/3] }},
	{"empty", func([]byte) []byte { return []byte{} }},
	{"missing", func([]byte) []byte { return nil }},
	{"swapped", nil},
}

// unnoticed is the worst that can be.
const unnoticed = "finds nothing"

func zeroed(data []byte, n int) []byte {
	at := max(0, len(data)/2-n/2)
	clear(data[at:min(len(data), at+n)])
	return data
}

// matrixWorld is a repository with every kind of object, and packs large enough
// for a zeroed megabyte to be damage to a part of one.
func matrixWorld(t *testing.T, files int) *world {
	t.Helper()
	w := &world{
		t: t, dir: memoryDir(t), ring: keyring.Generate(fileTime), disk: faults.NewMemory(), stage: faults.NewStage(),
		attempts: map[int]*attempt{}, keeper: &keeper{held: map[string]bool{}}, parity: true,
	}
	r, err := repository.Create(t.Context(), w.disk, w.ring, repository.CreateOptions{CacheDir: w.dir + "/look", Parity: repository.StandardParity()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(r)
	for i := range 2 {
		if err := w.backupNow(t.Context(), r, i+1, content{"d0/f0": 1, "d1/f1": uint64(i + 2)}, fmt.Sprint("small-", i)); err != nil {
			t.Fatal(err)
		}
	}
	big := content{"d0/f0": 1}
	for i := range files {
		big[fmt.Sprintf("d1/f%02d", i)] = bigSeed + uint64(i)
	}
	s, err := r.Session(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := big.store(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	w.attempts[3] = &attempt{number: 3, content: big}
	snap, err := s.Commit(t.Context(), repository.Snapshot{Source: "s1", Type: "full", Time: fileTime, Root: root, Attempt: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Pin(t.Context(), snap, repository.Keep{Reason: "golden", Time: fileTime}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"audit", "anomaly"} {
		hold := repository.Hold{Source: "s0", Name: name, Keep: repository.Keep{Reason: name, Time: fileTime}}
		if err := r.Hold(t.Context(), hold); err != nil {
			t.Fatal(err)
		}
	}
	w.condemnSome(r)
	// A first look learns which snapshots there are.
	if report, err := snapshot.Verify(t.Context(), r, snapshot.VerifyOptions{}); err != nil {
		w.fail("verify: %v: %s", err, problems(report))
	}
	return w
}

// condemnSome leaves packs condemned: a session that lives keeps a prune from
// removing them.
func (w *world) condemnSome(r *repository.Repository) {
	ctx := context.Background()
	if err := w.backupNow(ctx, r, 4, content{"d2/f0": 33, "d2/f1": 34}, "forgotten"); err != nil {
		w.fail("backup: %v", err)
	}
	snaps, _, err := r.Snapshots(ctx, "s0")
	if err != nil {
		w.fail("snapshots: %v", err)
	}
	for _, snap := range snaps {
		if snap.Attempt == 4 {
			if err := r.DeleteSnapshot(ctx, snap); err != nil {
				w.fail("forget: %v", err)
			}
		}
	}
	s, err := r.Session(ctx, repository.SessionOptions{PackSize: 4 << 10, Lease: lease.Options{TTL: time.Hour}})
	if err != nil {
		w.fail("session: %v", err)
	}
	report, err := prune.Run(ctx, r, prune.Options{Clock: clock.System()})
	if err != nil {
		w.fail("prune: %v", err)
	}
	if len(report.Waiting) == 0 {
		w.fail("the prune condemned nothing: %+v", report)
	}
	if _, err := s.Abort(ctx); err != nil {
		w.fail("abort: %v", err)
	}
}

// TestCorruption damages every kind of object in every way and writes down what
// becomes of it: the table of docs/reliability.md.
func TestCorruption(t *testing.T) {
	small, large := matrixWorld(t, 1), matrixWorld(t, 17)
	objects := small.disk.Objects()
	for name := range objects {
		known := slices.ContainsFunc(kinds, func(k objectKind) bool { return k.is(name) })
		if !known && !passing(name) {
			t.Errorf("no line of the table speaks of %s", name)
		}
	}
	table := &strings.Builder{}
	fmt.Fprintf(table, "| object | damage | scrub, no key | verify | snapshots before repair | after repair |\n|---|---|---|---|---|---|\n")
	for _, k := range kinds {
		w := small
		if k.large {
			w = large
		}
		objects := w.disk.Objects()
		names := bySize(objects, k)
		if len(names) == 0 {
			t.Errorf("there is no %s", k.title)
			continue
		}
		for _, h := range harms {
			if h.do != nil {
				w.cell(t, table, k.title, h.title, map[string][]byte{names[0]: h.do(bytes.Clone(objects[names[0]]))})
			} else if len(names) > 1 {
				w.cell(t, table, k.title, h.title, map[string][]byte{names[0]: objects[names[1]], names[1]: objects[names[0]]})
			}
		}
	}
	for _, pair := range together {
		w := small
		if strings.HasPrefix(pair.title, "pack") || strings.HasPrefix(pair.title, "two packs") {
			w = large
		}
		objects := w.disk.Objects()
		for _, h := range harms[:len(harms)-1] {
			damaged := map[string][]byte{}
			for _, victim := range pair.victims(objects) {
				damaged[victim] = h.do(bytes.Clone(objects[victim]))
			}
			w.cell(t, table, pair.title, h.title, damaged)
		}
	}
	golden(t, "../../docs/reliability.md", "matrix", table.String())
}

// cell runs one damage and writes its line.
func (w *world) cell(t *testing.T, table *strings.Builder, kind, how string, damaged map[string][]byte) {
	t.Helper()
	x := *w
	x.t, x.disk = t, w.disk.Clone()
	ctx := t.Context()
	for name, data := range damaged {
		x.disk.Set(name, data)
	}
	seen := 0
	note := func(p repository.Problem) {
		if _, harmed := damaged[p.Object]; harmed {
			seen++
		}
	}
	switch _, err := repository.ScrubAll(ctx, x.disk, note, func(int64) {}); {
	case errors.Is(err, repository.ErrNotRepository):
		seen = len(damaged)
	case err != nil:
		t.Errorf("%s %s: scrub: %v", kind, how, err)
	}
	scrub := []string{"sees nothing", "sees it"}[min(seen, 1)]
	if 0 < seen && seen < len(damaged) {
		scrub = "sees one of the two"
	}
	found, restores, after := x.outcome(ctx, damaged, w.disk.Objects())
	fmt.Fprintf(table, "| %s | %s | %s | %s | %s | %s |\n", kind, how, scrub, found, restores, after)
	for _, cell := range []string{found, restores, after} {
		if cell == unnoticed && how == "missing" && strings.HasSuffix(kind, "both") && kind != "snapshot, both" {
			continue // nobody can tell that from one that was removed
		}
		if cell == unnoticed || strings.Contains(cell, "WRONG") {
			t.Errorf("%s, %s: %s", kind, how, cell)
		}
	}
}

// outcome verifies, restores, repairs and verifies again.
func (w *world) outcome(ctx context.Context, damaged, pristine map[string][]byte) (found, restores, after string) {
	cache := w.dir + "/matrix"
	if err := os.RemoveAll(cache); err != nil {
		w.fail("clear the cache: %v", err)
	}
	r, err := repository.Open(ctx, w.disk, w.ring, repository.OpenOptions{CacheDir: cache})
	if err != nil {
		return "does not open, and says why", "none", "-"
	}
	defer func() { w.close(r) }()
	restores = w.restorable(ctx, r)
	report, err := snapshot.Verify(ctx, r, snapshot.VerifyOptions{ReadData: 100})
	named := map[string]bool{}
	for _, p := range report.Problems {
		named[p.Object] = true
	}
	missed := slices.DeleteFunc(sortedNames(damaged), func(name string) bool { return named[name] })
	switch {
	case err != nil && !errors.Is(err, repository.ErrDamaged):
		found = "fails: " + err.Error()
	case len(missed) == len(damaged):
		found = unnoticed
	case len(missed) > 0:
		found = "names one of the two"
	case err == nil:
		found = "names it as harmless"
	default:
		found = "names it"
	}
	return found, restores, w.repaired(ctx, r, pristine)
}

// restorable counts the snapshots that restore bit for bit; those that do not
// must say so.
func (w *world) restorable(ctx context.Context, r *repository.Repository) string {
	snaps, _, err := r.Snapshots(ctx, "")
	if err != nil {
		return "fail: " + err.Error()
	}
	good, want := 0, 0
	for _, x := range w.attempts {
		if !x.forgotten && x.number != 4 {
			want++
		}
	}
	for _, snap := range snaps {
		err := w.attempts[snap.Attempt].content.restores(ctx, r, snap)
		switch {
		case err == nil:
			good++
		case !errors.Is(err, repository.ErrDamaged) && !errors.Is(err, repository.ErrBlobMissing):
			return "WRONG: " + err.Error()
		}
	}
	if good == want {
		return "all restore"
	}
	return fmt.Sprintf("%d of %d restore", good, want)
}

// repaired repairs and compares the storage with what it was before the damage.
func (w *world) repaired(ctx context.Context, r *repository.Repository, pristine map[string][]byte) string {
	_, err := r.Repair(ctx, repository.RepairOptions{Packs: true, Parity: true})
	if err != nil && !errors.Is(err, repository.ErrLeft) {
		return "fails: " + err.Error()
	}
	now := w.disk.Objects()
	var differ []string
	for _, name := range sortedNames(pristine) {
		if other, there := now[name]; !there || !bytes.Equal(other, pristine[name]) {
			differ = append(differ, name)
		}
	}
	added := 0
	for name := range now {
		// What the verification before has noted is no part of it.
		noted := strings.HasPrefix(name, "gc/") || strings.HasPrefix(strings.TrimPrefix(name, "copies/"), "ledger/")
		if _, there := pristine[name]; !there && !noted {
			added++
		}
	}
	identical := len(differ) == 0 && added == 0
	fresh := w.open()
	defer w.close(fresh)
	_, verifyErr := snapshot.Verify(ctx, fresh, snapshot.VerifyOptions{ReadData: 100})
	restores := w.restorable(ctx, fresh)
	switch {
	case identical && err == nil && verifyErr == nil:
		return "identical to before"
	case err == nil && verifyErr == nil && restores == "all restore":
		return "whole again, in other bytes"
	case identical:
		return "WRONG: identical, and " + errors.Join(err, verifyErr).Error()
	}
	return "not mended: " + restores
}

// golden compares a part of a document between two marks with what it should be.
func golden(t *testing.T, file, mark, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- "+mark+" begin -->\n"), []byte("<!-- "+mark+" end -->")
	at, until := bytes.Index(text, begin)+len(begin), bytes.Index(text, end)
	if at < len(begin) || until < at {
		t.Fatalf("%s has no marks for %s", file, mark)
	}
	if *update {
		text = slices.Concat(text[:at], []byte(want), text[until:])
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(text[at:until]), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("%s does not say what is so (-says +is); go test -run %s -update writes it:\n%s", path.Base(file), t.Name(), diff)
	}
}

// bigSeed is where the seeds of files of a megabyte begin.
const bigSeed = 1000

// bigBytes returns the bytes of such a file.
func bigBytes(seed uint64) []byte {
	out := make([]byte, 1<<20)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(out) // never fails
	return out
}
