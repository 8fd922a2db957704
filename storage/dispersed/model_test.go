package dispersed_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// model is what the storage must look like: with no more than m storages that were away,
// stale or lying since the last repair, every operation succeeds and every answer
// is right.
type model struct {
	p       *place
	others  []*dispersed.Backend // processes
	objects map[string][]byte
	bad     map[int]bool // storages that something was wrong with since the last repair
	old     []map[string][]byte
	puts    int
}

var modelNames = []string{"a", "d/b", "d/e/c", "config"}

const modelParity = 2

// TestModel plays random stories against the model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &model{objects: map[string][]byte{}, bad: map[int]bool{}}
		s.p = newPlace(t, 4, modelParity, quorum(4), func(c *dispersed.Config) { c.Patience = time.Minute })
		s.old = make([]map[string][]byte, 6)
		s.others = []*dispersed.Backend{s.p.Backend, nil}
		s.p.open(t)
		s.others[1] = s.p.Backend
		defer func() {
			for _, b := range s.others {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		r.Repeat(map[string]func(*rapid.T){
			"put": s.put, "create": s.create, "delete": s.remove, "read": s.read, "list": s.list, "sync": s.sync,
			"away": s.away, "back": s.back, "stale": s.stale, "lie": s.lie, "remember": s.remember, "repair": s.repair,
			"restart": func(*rapid.T) { s.restart(t) },
		})
	})
}

// process is one of two that use the storage by turns.
func (s *model) process(r *rapid.T) storage.Backend {
	return s.others[rapid.IntRange(0, 1).Draw(r, "process")]
}

func (s *model) name(r *rapid.T) string { return rapid.SampledFrom(modelNames).Draw(r, "name") }

func (s *model) data(r *rapid.T) []byte {
	s.puts++
	size := rapid.SampledFrom([]int{0, 1, 100, 5000, 70000, 200000}).Draw(r, "size")
	return noise(s.puts%250, size)
}

func (s *model) put(r *rapid.T) {
	name, data := s.name(r), s.data(r)
	if rapid.Bool().Draw(r, "same") && s.objects[name] != nil {
		data = s.objects[name]
	}
	if err := s.process(r).Put(r.Context(), name, data, storage.PutOptions{}); err != nil {
		r.Fatalf("put %s: %v", name, err)
	}
	s.objects[name] = data
}

func (s *model) create(r *rapid.T) {
	name, data := s.name(r), s.data(r)
	err := s.process(r).Put(r.Context(), name, data, storage.PutOptions{IfAbsent: true})
	if _, taken := s.objects[name]; taken {
		if !errors.Is(err, storage.ErrExists) {
			r.Fatalf("create %s, which exists: %v", name, err)
		}
		return
	}
	if err != nil {
		r.Fatalf("create %s: %v", name, err)
	}
	s.objects[name] = data
}

func (s *model) remove(r *rapid.T) {
	name := s.name(r)
	if err := s.process(r).Delete(r.Context(), name); err != nil {
		r.Fatalf("delete %s: %v", name, err)
	}
	delete(s.objects, name)
}

func (s *model) read(r *rapid.T) {
	name, be := s.name(r), s.process(r)
	want, there := s.objects[name]
	got, err := get(r.Context(), be, name, 0, -1)
	info, statErr := be.Stat(r.Context(), name)
	if !there {
		if !errors.Is(err, storage.ErrNotFound) || !errors.Is(statErr, storage.ErrNotFound) {
			r.Fatalf("%s, which is not there: %v, %v", name, err, statErr)
		}
		return
	}
	if err != nil || statErr != nil || !bytes.Equal(got, want) || info.Size != int64(len(want)) {
		r.Fatalf("%s: %v, %v, %d bytes, size %d, want %d", name, err, statErr, len(got), info.Size, len(want))
	}
	if len(want) > 0 {
		from := rapid.IntRange(0, len(want)-1).Draw(r, "from")
		n := rapid.IntRange(0, len(want)-from).Draw(r, "length")
		if got, err := get(r.Context(), be, name, int64(from), int64(n)); err != nil || !bytes.Equal(got, want[from:from+n]) {
			r.Fatalf("%s from %d, %d bytes: %v", name, from, n, err)
		}
	}
}

func (s *model) list(r *rapid.T) {
	got := map[string]int64{}
	err := s.process(r).List(r.Context(), "", func(i storage.Info) error {
		got[i.Name] = i.Size
		return nil
	})
	want := map[string]int64{}
	for name, data := range s.objects {
		want[name] = int64(len(data))
	}
	if err != nil || !maps.Equal(got, want) {
		r.Fatalf("list: %v, %v, want %v", got, err, want)
	}
}

func (s *model) sync(r *rapid.T) {
	name, be := s.name(r), s.process(r)
	// What a process put it believes to be there, until it looks.
	_, _ = be.Stat(r.Context(), name)
	err := be.Sync(r.Context(), []string{name})
	if _, there := s.objects[name]; there != (err == nil) || !there && !errors.Is(err, storage.ErrNotFound) {
		// Fewer than a quorum may have a shard when some lost theirs: then it is not durable.
		if !there || !temporary(err) || len(s.bad) == 0 {
			r.Fatalf("sync %s: %v", name, err)
		}
	}
}

// victim chooses a storage for something to be wrong with: one of those that had
// something already, or a new one while they are fewer than m.
func (s *model) victim(r *rapid.T) int {
	i := rapid.IntRange(0, 5).Draw(r, "storage")
	if !s.bad[i] && len(s.bad) == modelParity {
		bad := slices.Sorted(maps.Keys(s.bad))
		i = bad[i%len(bad)]
	}
	s.bad[i] = true
	return i
}

// away stops a storage. What goes on behind confirmed puts comes to its end before: a
// quorum of k alone survives no loss.
func (s *model) away(r *rapid.T) {
	s.quiet(r)
	s.p.stop(s.victim(r))
}

func (s *model) back(*rapid.T) { s.p.start() }

// remember keeps what a storage has, for it to become stale later.
func (s *model) remember(r *rapid.T) {
	i := rapid.IntRange(0, 5).Draw(r, "storage")
	s.old[i] = s.p.memory[i].Objects()
}

// stale brings a storage back to an earlier state.
func (s *model) stale(r *rapid.T) {
	s.quiet(r)
	i := s.victim(r)
	for name := range s.p.memory[i].Objects() {
		s.p.memory[i].Set(name, nil)
	}
	for name, data := range s.old[i] {
		s.p.memory[i].Set(name, data)
	}
}

// lie damages a shard, or whatever a storage has.
func (s *model) lie(r *rapid.T) {
	s.quiet(r)
	i := s.victim(r)
	names := slices.Sorted(maps.Keys(s.p.memory[i].Objects()))
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(r, "name")
	kinds := slices.Sorted(maps.Keys(damages))
	kind := rapid.SampledFrom(kinds).Draw(r, "damage")
	data := s.p.memory[i].Objects()[name]
	if len(data) < 128+16<<10+8 && kind == "bit in a sum" {
		kind = "garbage"
	}
	if len(data) == 0 {
		kind = "lost"
	}
	if data := damages[kind].do(data); len(data) == 0 && kind == "empty" {
		s.p.memory[i].Set(name, []byte{})
	} else {
		s.p.memory[i].Set(name, data)
	}
}

// quiet waits until nothing goes on behind confirmed puts.
func (s *model) quiet(r *rapid.T) {
	for i := range s.others {
		if err := s.others[i].Close(); err != nil {
			r.Fatal(err)
		}
		b, err := dispersed.Open(r.Context(), s.p.config)
		if err != nil {
			r.Fatal(err)
		}
		s.others[i] = b
	}
}

func (s *model) restart(t *testing.T) {
	for i := range s.others {
		if err := s.others[i].Close(); err != nil {
			t.Fatal(err)
		}
		s.p.open(t)
		s.others[i] = s.p.Backend
	}
}

// repair brings everything back; from then on other storages may fail.
func (s *model) repair(r *rapid.T) {
	s.quiet(r)
	s.p.start()
	o := dispersed.CheckOptions{Depth: dispersed.Cells}
	if rapid.Bool().Draw(r, "later") {
		o.KeepUnfinished = time.Nanosecond
	}
	var left []string
	o.Found = func(f dispersed.Finding) error {
		if !f.Repaired {
			left = append(left, fmt.Sprintf("%s at %d: %s, %v", f.Name, f.Storage, f.Problem, f.Err))
		}
		return nil
	}
	b := s.others[0]
	report, err := b.Repair(r.Context(), o)
	if err != nil {
		r.Fatalf("repair: %v", err)
	}
	if o.KeepUnfinished > 0 && !report.Whole() {
		r.Fatalf("repair: %+v: %v", report, left)
	}
	o.Found = nil
	if report, err = b.Check(r.Context(), o); err != nil || o.KeepUnfinished > 0 && len(report.Problems) > 0 {
		r.Fatalf("check after the repair: %+v, %v", report, err)
	}
	if report.Objects != len(s.objects) {
		r.Fatalf("%d objects after the repair, want %d", report.Objects, len(s.objects))
	}
	if o.KeepUnfinished > 0 {
		clear(s.bad)
		s.old = make([]map[string][]byte, 6)
	}
}
