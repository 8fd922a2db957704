package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
)

// VerifyOptions says how much to verify. The zero value checks the structure for
// all snapshots.
type VerifyOptions struct {
	// Snapshots to answer for; nil means all of the repository.
	Snapshots []repository.Snapshot
	// ReadData is how much of the stored data to read, decode and compare, in
	// percent of the packs: 0 none, 100 all.
	ReadData float64
	// Seed chooses which packs, when not all: equal seeds choose equally, so
	// different ones in a row come round to everything.
	Seed uint64
	// Progress hears about bytes read. It may be nil.
	Progress Progress
	// OnProblem hears of each problem of an object as it is found, before it
	// is known what it affects. Calls come one at a time. It may be nil.
	OnProblem func(repository.Problem)
	// Clock is asked for the duration. Default: the machine's.
	Clock clock.Clock
}

// Bounds of what a report lists; the counts cover all.
const (
	reportedProblems = 1000
	reportedPaths    = 20
)

// VerifyProblem is something damaged, and what it means.
type VerifyProblem struct {
	// Object is its name in the storage, or a blob's id that no object holds.
	Object string
	// Kind is one of repository's Object constants, or "blob".
	Kind string
	Err  error
	// Harmless is true when nothing can need what is wrong.
	Harmless bool
	// Unreadable is true when the storage could not read the object. It may be
	// whole, and be read another time.
	Unreadable bool
	// LostBlobs is how many blobs cannot be read because of it, from here or
	// from anywhere else, and are needed.
	LostBlobs int
	// Affected are the snapshots that need them.
	Affected []Affected
}

// Affected is a snapshot that lost something.
type Affected struct {
	Snapshot string    `json:"snapshot"`
	Source   string    `json:"source"`
	Time     time.Time `json:"time"`
	Entries  int64     `json:"entries"` // that lost something
	Paths    []string  `json:"paths"`   // the first of them, printable
	last     string
}

// MarshalJSON writes the error as a sentence.
func (p VerifyProblem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Object     string     `json:"object"`
		Kind       string     `json:"kind"`
		Problem    string     `json:"problem"`
		Harmless   bool       `json:"harmless,omitempty"`
		Unreadable bool       `json:"unreadable,omitempty"`
		LostBlobs  int        `json:"lost_blobs"`
		Affected   []Affected `json:"affected"`
	}{p.Object, p.Kind, p.Err.Error(), p.Harmless, p.Unreadable, p.LostBlobs, append([]Affected{}, p.Affected...)})
}

// VerifyReport says what was verified and what was found.
type VerifyReport struct {
	Snapshots int `json:"snapshots"` // whose trees were walked
	// Entries and Bytes are what the verified snapshots hold; what several of
	// them share is counted once.
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
	// Packs in the storage, and how many of them were read byte by byte.
	Packs     int   `json:"packs"`
	PacksRead int   `json:"packs_read"`
	BytesRead int64 `json:"bytes_read"`
	// Unindexed packs are known to no index: left by a session that died or
	// still runs.
	Unindexed int `json:"unindexed_packs"`
	// Problems lists the first of them, harmful ones first.
	Problems      []VerifyProblem `json:"problems"`
	ProblemsTotal int             `json:"problems_total"`
	HarmlessTotal int             `json:"harmless_total"` // of ProblemsTotal
	Duration      time.Duration   `json:"duration_ns"`
}

// Verify checks that snapshots would restore: that every object is there and
// whole, that every tree can be walked, that every blob is where the index says
// it is, and by reading as much data as asked for. The error wraps
// repository.ErrDamaged when anything harmful was found, or repository.ErrUnreadable
// when all of that is objects the storage could not read; the report, complete
// in any case, names it and what it affects. One object that cannot be read never
// ends the run; a storage that is out of reach does, with ErrUnreachable.
func Verify(ctx context.Context, repo *repository.Repository, o VerifyOptions) (VerifyReport, error) {
	v := &verifier{
		repo: repo, o: o, progress: progressOr(o.Progress),
		objects: map[string]int{}, bad: map[repository.ID]int{}, sizes: map[repository.PackID]int64{},
	}
	clk := clock.Or(o.Clock)
	started := clk.Now()
	err := v.run(ctx)
	v.finish()
	v.report.Duration = clk.Now().Sub(started)
	if err == nil {
		err = v.verdict()
	}
	return v.report, err
}

// verdict is the error of a run that came to its end.
func (v *verifier) verdict() error {
	harmful, unreadable, served := 0, 0, 0
	for _, p := range v.problems {
		if errors.Is(p.Err, repository.ErrServed) {
			served++
		}
		switch {
		case p.Harmless:
		case p.Unreadable:
			unreadable++
		default:
			harmful++
		}
	}
	place := v.repo.Backend().Location()
	switch {
	case harmful > 0 && served == harmful+unreadable:
		return fault.New("verify", place, fmt.Errorf("%w: %d problems", repository.ErrDamaged, harmful+unreadable),
			"nothing is lost yet: mend it with `mahavishnu verify --repair`")
	case harmful > 0:
		return fault.New("verify", place, fmt.Errorf("%w: %d problems", repository.ErrDamaged, harmful+unreadable),
			"mend what can be mended with `mahavishnu verify --repair`; restore what is affected then from a snapshot that is not, or from a replica; a full backup stores again what the source still has")
	case unreadable > 0:
		return fault.New("verify", place, fmt.Errorf("%d objects: %w", unreadable, repository.ErrUnreadable),
			"look at the storage (the system's log tells of bad sectors), then verify again; copy what can be read to another disk")
	}
	return nil
}

// verifier is one verification.
type verifier struct {
	repo     *repository.Repository
	o        VerifyOptions
	progress Progress
	report   VerifyReport
	sizes    map[repository.PackID]int64

	mu       sync.Mutex // guards what follows while packs are read in parallel
	problems []VerifyProblem
	objects  map[string]int        // problems by object
	bad      map[repository.ID]int // which problem a blob suffers from
}

func (v *verifier) run(ctx context.Context) error {
	if v.o.ReadData < 0 || v.o.ReadData > 100 || math.IsNaN(v.o.ReadData) {
		return fault.New("verify", v.repo.Backend().Location(), fmt.Errorf("read data %v percent", v.o.ReadData), "give a number from 0 to 100")
	}
	if err := v.repo.CheckObjects(ctx, func(p repository.Problem) error { v.found(p); return nil }); err != nil {
		return err
	}
	snaps := v.o.Snapshots
	if snaps == nil {
		var err error
		// The damaged ones are among the problems already.
		if snaps, _, err = v.repo.Snapshots(ctx, ""); err != nil {
			return err
		}
	}
	var packs []repository.PackID
	err := v.repo.Packs(ctx, func(p repository.PackInfo) error {
		v.report.Packs++
		if !p.Indexed {
			v.report.Unindexed++
		}
		v.sizes[p.ID] = p.Size
		packs = append(packs, p.ID)
		return nil
	})
	if err != nil {
		return err
	}
	if v.o.ReadData > 0 {
		if v.o.Snapshots != nil {
			if packs, err = v.needed(ctx, snaps); err != nil {
				return err
			}
		}
		if err := v.read(ctx, choosePacks(packs, v.o.ReadData, v.o.Seed)); err != nil {
			return err
		}
	}
	return v.walkAll(ctx, snaps)
}

// choosePacks takes a share of the packs, rounded up, in an order that depends
// on nothing but the seed.
func choosePacks(packs []repository.PackID, percent float64, seed uint64) []repository.PackID {
	rank := func(id repository.PackID) uint64 {
		h := fnv.New64a()
		for i := range 8 {
			_, _ = h.Write([]byte{byte(seed >> (8 * i))}) // never fails
		}
		_, _ = h.Write(id[:])
		x := h.Sum64()
		// FNV mixes its last bytes weakly (splitmix64's finalizer).
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	slices.SortFunc(packs, func(a, b repository.PackID) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b)) })
	n := int(math.Ceil(float64(len(packs)) * percent / 100))
	return packs[:min(n, len(packs))]
}

// read checks every byte of packs, as many at once as there are cores.
func (v *verifier) read(ctx context.Context, packs []repository.PackID) error {
	for _, id := range packs {
		v.progress.Add(ProgressDelta{ExpectBytes: v.sizes[id]})
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, id := range packs {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p, err := v.repo.CheckPack(ctx, id)
			if err != nil {
				return err
			}
			if p != nil {
				v.found(*p)
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			if p == nil || !errors.Is(p.Err, repository.ErrUnreadable) {
				v.report.PacksRead++
				v.report.BytesRead += v.sizes[id]
			}
			v.progress.Add(ProgressDelta{Bytes: v.sizes[id]})
			return nil
		})
	}
	return g.Wait()
}

// found notes an object's problem, once however often it is found.
func (v *verifier) found(p repository.Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i, ok := v.objects[p.Object]
	if !ok {
		i = v.add(VerifyProblem{Object: p.Object, Kind: p.Kind, Err: p.Err, Harmless: p.Harmless})
		if v.o.OnProblem != nil {
			v.o.OnProblem(p)
		}
	}
	for _, id := range p.Blobs {
		v.bad[id] = i
	}
}

// finish puts the report in order.
func (v *verifier) finish() {
	slices.SortStableFunc(v.problems, func(a, b VerifyProblem) int {
		rank := func(p VerifyProblem) int {
			switch {
			case p.Harmless:
				return 2
			case len(p.Affected) == 0:
				return 1
			}
			return 0
		}
		return cmp.Compare(rank(a), rank(b))
	})
	v.report.ProblemsTotal = len(v.problems)
	for _, p := range v.problems {
		if p.Harmless {
			v.report.HarmlessTotal++
		}
	}
	v.report.Problems = v.problems[:min(len(v.problems), reportedProblems)]
}

func (v *verifier) add(p VerifyProblem) int {
	i := len(v.problems)
	p.Unreadable = errors.Is(p.Err, repository.ErrUnreadable)
	v.problems = append(v.problems, p)
	v.objects[p.Object] = i
	return i
}

// blobProblem returns the problem that a blob suffers from, making one for a
// blob that no damaged object accounts for.
func (v *verifier) blobProblem(id repository.ID, err error) *VerifyProblem {
	i, ok := v.bad[id]
	if !ok {
		p := VerifyProblem{Object: "blob " + id.String(), Kind: "blob", Err: err}
		if lost := new(repository.BlobError); errors.As(err, &lost) && lost.Pack != (repository.PackID{}) {
			p.Object, p.Kind = lost.Pack.Object(), repository.ObjectPack
		}
		if i, ok = v.objects[p.Object]; !ok {
			i = v.add(p)
		}
		v.bad[id] = i
	}
	return &v.problems[i]
}
