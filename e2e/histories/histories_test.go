package histories

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage/faults"
)

// errStorage is a failure of the storage that the history made.
var errStorage = errors.New("the storage failed")

func isInjected(err error) bool {
	return errors.Is(err, errStorage) || errors.Is(err, faults.ErrStopped) || errors.Is(err, context.Canceled)
}

// TestHistories plays histories until the steps asked for are played.
func TestHistories(t *testing.T) {
	want := int64(300)
	if text := os.Getenv("HISTORIES_STEPS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want = n
	}
	dir := memoryDir(t)
	began := time.Now()
	defer func() {
		if firstFailure != "" {
			t.Logf("the first history that failed:\n%s", firstFailure)
		}
	}()
	for round := 0; steps.Load() < want && !t.Failed(); round++ {
		rapid.Check(t, func(rt *rapid.T) {
			if steps.Load() >= want {
				return
			}
			runs++
			cryptotest.SetGlobalRandom(t, rapid.Uint64().Draw(rt, "randomness"))
			inBubble(t, func(t *testing.T) { play(t, rt, fmt.Sprintf("%s/%d", dir, runs)) })
		})
	}
	t.Logf("%d steps, %d storage operations in %d histories, %v: %d quiet prunes, %d packs removed, %d bytes rescued, %d sessions fenced, %d snapshots of dead sessions published",
		steps.Load(), operations.Load(), runs, time.Since(began).Round(time.Millisecond), quiets.Load(), removed.Load(), rescued.Load(), fenced.Load(), published.Load())
}

var runs int

// memoryDir returns a directory in memory where the system has one.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mahavishnu-histories-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// play plays one history.
func play(t *testing.T, rt *rapid.T, dir string) {
	defer os.RemoveAll(dir)
	w := &world{
		t: rt, draw: rt, dir: dir, ring: keyring.Generate(fileTime), disk: faults.NewMemory(), stage: faults.NewStage(),
		attempts: map[int]*attempt{}, keeper: &keeper{held: map[string]bool{}}, parity: rapid.Bool().Draw(rt, "parity"),
	}
	w.cache = faults.Wrap(w.disk)
	for i := range w.sources {
		w.sources[i] = source{name: fmt.Sprint("s", i)}
	}
	o := repository.CreateOptions{CacheDir: dir + "/look"}
	if w.parity {
		o.Parity = repository.StandardParity()
		o.Parity.Stripe = rapid.IntRange(2, 4).Draw(rt, "packs in a stripe")
	}
	r, err := repository.Create(context.Background(), w.disk, w.ring, o)
	if err != nil {
		t.Fatal(err)
	}
	w.close(r)
	defer w.end()
	rt.Repeat(map[string]func(*rapid.T){
		"":             func(t *rapid.T) { w.now(t); steps.Add(1); w.check() },
		"backup":       w.backupRaw,
		"file backup":  w.backup,
		"forget":       w.forget,
		"restore":      w.read,
		"go on":        w.goOn,
		"go on long":   w.goOnLong,
		"finish":       func(t *rapid.T) { w.now(t); w.finish() },
		"fail":         w.failOnce,
		"kill":         func(t *rapid.T) { w.now(t); w.kill(w.pick(t)) },
		"power cut":    w.powerCut,
		"lose lease":   w.loseLease,
		"prune":        w.collect,
		"quiet":        w.quiet,
		"damage":       w.harm,
		"verify":       w.verify,
		"repair":       w.mend,
		"to the brink": w.toTheBrink,
		"rotate key":   w.rotate,
		"time passes":  w.timePasses,
		"clock jumps":  w.clockJumps,
	})
	w.quiet(rt)
	w.check()
}

// end kills what is left, also when the history broke off in the middle.
func (w *world) end() {
	for _, a := range w.actors {
		a.Kill()
		a.cancel()
	}
	for _, a := range w.actors {
		for a.running.Load() {
			time.Sleep(time.Minute)
		}
	}
}

// goOn lets one program do a few operations.
func (w *world) goOn(t *rapid.T) {
	w.now(t)
	a := w.pick(t)
	w.stage.Torn(rapid.Uint64().Draw(t, "listings"))
	for range rapid.IntRange(1, 6).Draw(t, "operations") {
		if !w.step(a, (*faults.Step).Go) {
			break
		}
	}
}

// goOnLong lets one program do many, while all others stall.
func (w *world) goOnLong(t *rapid.T) {
	w.now(t)
	a := w.pick(t)
	for range rapid.IntRange(10, 60).Draw(t, "operations") {
		if !w.step(a, (*faults.Step).Go) {
			break
		}
	}
}

// brinks are the operations before which it matters most that somebody stalls or
// dies.
var brinks = map[string]func(*faults.Step) bool{
	"ticket":    func(s *faults.Step) bool { return s.Op == faults.Put && strings.HasSuffix(s.Name, ".end") },
	"snapshot":  func(s *faults.Step) bool { return s.Op == faults.Put && strings.HasPrefix(s.Name, "snapshots/") },
	"index":     func(s *faults.Step) bool { return s.Op == faults.Put && strings.HasPrefix(s.Name, "index/") },
	"condemned": func(s *faults.Step) bool { return s.Op == faults.Put && strings.HasPrefix(s.Name, "gc/condemned/") },
	"deletion":  func(s *faults.Step) bool { return s.Op == faults.Delete },
	"list":      func(s *faults.Step) bool { return s.Op == faults.List },
}

// toTheBrink lets one program go on until it is about to do something that
// matters, and then perhaps kills it.
func (w *world) toTheBrink(t *rapid.T) {
	w.now(t)
	a := w.pick(t)
	brink := brinks[rapid.SampledFrom(slices.Sorted(maps.Keys(brinks))).Draw(t, "brink")]
	for range 120 {
		if slices.ContainsFunc(w.stage.WaitingOf(a.Actor), brink) || !w.step(a, (*faults.Step).Go) {
			break
		}
	}
	if a.running.Load() && rapid.IntRange(0, 2).Draw(t, "kill") == 0 {
		w.kill(a)
	}
}

// failOnce lets one operation fail: without effect, or after it.
func (w *world) failOnce(t *rapid.T) {
	w.now(t)
	a := w.pick(t)
	lost := rapid.Bool().Draw(t, "done, and the answer lost")
	w.injected = true
	w.step(a, func(s *faults.Step) {
		if lost {
			s.Lose(errStorage)
		} else {
			s.Refuse(errStorage)
		}
	})
}

// losses is what a power cut may do.
var losses = map[string]faults.Loss{
	"all": faults.LoseAll, "half": faults.LoseHalf, "bytes": faults.LoseBytes, "mixed": faults.LoseMixed,
}

// powerCut kills everybody and takes what was not synced.
func (w *world) powerCut(t *rapid.T) {
	w.now(t)
	how := rapid.SampledFrom([]string{"all", "half", "bytes", "mixed"}).Draw(t, "loss")
	w.tell("power cut: %s", how)
	w.kill(w.actors...)
	if err := w.cache.PowerCut(context.Background(), losses[how]); err != nil {
		w.fail("power cut: %v", err)
	}
	w.cache = faults.Wrap(w.disk)
}

func (w *world) timePasses(t *rapid.T) {
	w.now(t)
	d := rapid.SampledFrom([]time.Duration{10 * time.Second, leaseTTL / 3, leaseTTL, 3 * leaseTTL, 25 * time.Hour}).Draw(t, "time")
	w.tell("%v pass", d)
	w.pass(d)
}

func (w *world) clockJumps(t *rapid.T) {
	w.now(t)
	a := w.pick(t)
	by := rapid.SampledFrom([]time.Duration{-48 * time.Hour, 48 * time.Hour, -time.Minute, time.Hour}).Draw(t, "jump")
	w.tell("the clock of %s jumps by %v", a.Name, by)
	a.clock.offset.Add(int64(by))
}
