package dispersed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Depth is how thoroughly [Backend.Check] looks.
type Depth int

// Depths of a check.
const (
	// Lengths compares the listings of the storages: what is missing or cut off is
	// found, at the price of a listing.
	Lengths Depth = iota
	// Heads reads the head of every shard, too: what is of an older version is found,
	// at the price of a small request to each storage for every object.
	Heads
	// Cells reads every byte: whatever differs is found.
	Cells
)

// Problem is what is wrong with a shard, or with an object.
type Problem string

// Problems of shards.
const (
	// Missing shards are not where they should be.
	Missing Problem = "missing"
	// Damaged ones are shorter or longer, or do not have their checksums.
	Damaged Problem = "damaged"
	// Stale ones are of an older version, or of an object that was deleted.
	Stale Problem = "stale"
	// Unfinished are remainders of a put that never was confirmed.
	Unfinished Problem = "unfinished"
	// Emptied storages hold no record of being a part of the set: a disk that is not
	// mounted, or one that is new. A repair makes such a storage a part of it.
	Emptied Problem = "emptied"
	// Foreign storages belong to another set or in another place. A repair leaves them alone.
	Foreign Problem = "foreign"
	// RolledBack storages hold an older state than the one that they had. A repair makes
	// them count again when they have everything.
	RolledBack Problem = "rolled back"
	// Away storages cannot be opened or do not answer: only [Notice] says so, a check
	// counts them in Report.Away.
	Away Problem = "away"
	// Unreadable objects have fewer good shards than are needed; Storage is 0.
	Unreadable Problem = "unreadable"
)

// Finding is one problem.
type Finding struct {
	// Name is the object's.
	Name string
	// Storage is the number of the storage, from 1 as in the URL.
	Storage int
	// Problem is what is wrong there.
	Problem Problem
	// Repaired says that it was made good.
	Repaired bool
	// Err is why it was not, or what is known besides.
	Err error
}

// CheckOptions say what is checked.
type CheckOptions struct {
	// Prefix limits it to names that start with it; "" is everything.
	Prefix string
	// Depth is how thorough it is.
	Depth Depth
	// KeepUnfinished is how long remainders of puts and deletions that nobody finished
	// stay before a repair removes them: longer than any put may take. 0 is a day.
	KeepUnfinished time.Duration
	// LetGo names objects that a repair lets go of if too few good shards of them are left
	// and all storages say so, or takes back to what they were before. [Backend.LetGo] sees to it that they were accepted.
	LetGo map[string]bool
	// Found is told of every problem, one at a time, if not nil. Its error ends the
	// check.
	Found func(Finding) error
}

// Report sums up a check.
type Report struct {
	// Objects and Bytes are those that there are, Stored the bytes of their shards.
	Objects int
	Bytes   int64
	Stored  int64
	// Away are the storages, from 1, that could not be listed.
	Away []int
	// Problems counts what was found, Repaired how many of them were made good.
	Problems map[Problem]int
	Repaired int
	// Reduced counts the objects of which storages that answer lack good shards.
	Reduced int
	// Cleaned counts remainders of puts and deletions that were removed.
	Cleaned int
}

// Whole tells whether every object has all its shards on all storages.
func (r Report) Whole() bool {
	open := 0
	for _, n := range r.Problems {
		open += n
	}
	return open == r.Repaired && len(r.Away) == 0
}

// Check looks for shards that are missing or wrong. It changes nothing.
func (b *Backend) Check(ctx context.Context, o CheckOptions) (Report, error) {
	return b.check(ctx, "check", o, false)
}

// Repair looks for shards that are missing or wrong and makes them anew of the others;
// it removes what deletions and puts left that nobody finished.
func (b *Backend) Repair(ctx context.Context, o CheckOptions) (Report, error) {
	return b.check(ctx, "repair", o, true)
}

// checking is a check under way.
type checking struct {
	b      *Backend
	op     string
	o      CheckOptions
	repair bool
	listed []bool
	older  []reply[struct{}] // storages that were rolled back, and what is known of it

	mu     sync.Mutex
	report Report
	fresh  int             // remainders that are kept for now
	open   map[string]bool // directories of objects that are not as they should be
}

// whole tells whether all storages have every object. What a put left that was never
// confirmed, or is under way, is none.
func (c *checking) whole() bool {
	open := 0
	for _, n := range c.report.Problems {
		open += n
	}
	return open == c.report.Repaired+c.fresh && len(c.report.Away) == 0
}

// atOnce is how many objects are checked at the same time.
const atOnce = 4

func (b *Backend) check(ctx context.Context, op string, o CheckOptions, repair bool) (Report, error) {
	if err := backend.CheckPrefix(op, o.Prefix); err != nil {
		return Report{}, err
	}
	if o.KeepUnfinished <= 0 {
		o.KeepUnfinished = 24 * time.Hour
	}
	c := &checking{b: b, op: op, o: o, repair: repair, report: Report{Problems: map[Problem]int{}}, open: map[string]bool{}}
	if err := b.ready(ctx, op, o.Prefix, repair); err != nil {
		return c.report, err
	}
	if err := c.members(ctx); err != nil {
		return c.report, err
	}
	all, listed, err := b.listAll(ctx, op, o.Prefix, b.n)
	if err != nil {
		return c.report, err
	}
	c.listed = listed
	for i, ok := range listed {
		if !ok && b.members[i].refused() == nil {
			c.report.Away = append(c.report.Away, i+1)
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for name, e := range all {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return c.object(groupCtx, name, e) })
	}
	if err := group.Wait(); err != nil {
		return c.report, err
	}
	if err := ended(ctx, op, o.Prefix); err != nil {
		return c.report, err
	}
	if repair && o.Prefix == "" {
		err = c.clean(ctx)
	}
	if err == nil {
		err = c.settled(ctx)
	}
	return c.report, err
}

// object checks one name.
func (c *checking) object(ctx context.Context, name string, e *entry) error {
	if c.o.Depth == Lengths && c.fits(e) {
		return nil
	}
	l, unlock := c.b.lock(ctx, name)
	defer unlock()
	f, err := c.b.lookLong(ctx, c.op, name)
	if err := ended(ctx, c.op, name); err != nil {
		return err
	}
	switch {
	case f.head != nil && err == nil:
		return c.shards(ctx, l, name, e, f)
	case err != nil && errors.Is(err, backend.ErrDamaged):
		return c.lost(ctx, name, f, err)
	case err != nil:
		c.keep(name)
		return c.found(ctx, Finding{Name: name, Problem: Unreadable, Err: err}, nil)
	case f.top != nil && f.top.gone():
		return c.deleted(ctx, name, f)
	}
	return c.unfinished(ctx, name, f)
}

// fits tells whether the lengths of all shards that are listed are those of one
// object, and counts it.
func (c *checking) fits(e *entry) bool {
	b := c.b
	var at []int
	for i, ok := range c.listed {
		if ok {
			at = append(at, i)
		}
	}
	last := at[len(at)-1]
	size, ok := sizeOf(b.k, at[0], e.lengths[at[0]], last, e.lengths[last])
	if !ok {
		return false
	}
	s := newShape(b.k, size)
	for _, i := range at {
		if e.lengths[i] != s.shardLen(i) {
			return false
		}
	}
	c.count(s, size)
	return true
}

func (c *checking) count(s shape, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Objects++
	c.report.Bytes += size
	for i := range c.b.n {
		c.report.Stored += s.shardLen(i)
	}
}

// shards checks those of an object that is there.
func (c *checking) shards(ctx context.Context, l *nameLock, name string, e *entry, f *found) error {
	s := f.head.shape()
	c.count(s, f.head.size)
	wrong := make([]Problem, c.b.n)
	for i, r := range f.view {
		switch {
		case r.err == nil && r.value.version == f.head.version:
			if c.listed[i] && e.lengths[i] >= 0 && e.lengths[i] != s.shardLen(i) {
				wrong[i] = Damaged
			}
		case r.err == nil:
			wrong[i] = Stale // newer perhaps, of a version of which too few shards are left
		case errors.Is(r.err, backend.ErrNotFound):
			wrong[i] = Missing
		case unusable(r.err):
			wrong[i] = Damaged
		}
		if c.o.Depth == Cells && wrong[i] == "" && r.err == nil {
			if err := c.cells(ctx, r.m, name, f.head); errors.Is(err, errDamaged) {
				wrong[i] = Damaged
			} else if err != nil {
				return err
			}
		}
	}
	return c.mend(ctx, l, name, f, wrong)
}

// cells reads a whole shard.
func (c *checking) cells(ctx context.Context, m *member, name string, h *head) error {
	s := h.shape()
	sum := newSummer(h.version, h.name, uint8(m.index))
	for first := int64(0); first < s.rows; {
		last := min(s.rows, first+span/cellLen)
		buf := make([]byte, s.at(last-1)+s.cell(last-1)+sumLen-s.at(first))
		if err := readAt(ctx, m, name, s.at(first), buf); errors.Is(err, backend.ErrShort) || errors.Is(err, backend.ErrNotFound) {
			return fmt.Errorf("%w: cut off", errDamaged)
		} else if err != nil {
			return err
		}
		for row := first; row < last; row++ {
			at := s.at(row) - s.at(first)
			if !sum.check(row, buf[at:at+s.cell(row)+sumLen]) {
				return fmt.Errorf("%w: cell %d", errDamaged, row)
			}
		}
		first = last
	}
	return nil
}

// found counts a problem, after mend, if any, has made it good.
func (c *checking) found(ctx context.Context, f Finding, mend func(context.Context) error) error {
	if mend != nil && c.repair {
		if f.Err = mend(ctx); f.Err == nil {
			f.Repaired = true
		}
	}
	if err := ended(ctx, c.op, f.Name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Problems[f.Problem]++
	if f.Repaired {
		c.report.Repaired++
	} else {
		c.open[dirOf(f.Name)] = true
		if errors.Is(f.Err, errFresh) {
			c.fresh++
		}
	}
	if c.o.Found != nil {
		return c.o.Found(f)
	}
	return nil
}

// keep keeps what waits for an object from being cleaned away.
func (c *checking) keep(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[dirOf(name)] = true
}

// lookLong is a look that waits for all members.
func (b *Backend) lookLong(ctx context.Context, op, name string) (*found, error) {
	v := ask(ctx, b, b.n, func(ctx context.Context, m *member) (*head, error) {
		return b.lookAt(ctx, m, name, name)
	})
	f, err := b.judge(ctx, op, name, v)
	if f.doubtful {
		return b.look(ctx, op, name, true)
	}
	return f, err
}

// errFresh means that a remainder may belong to a put that is under way.
var errFresh = errors.New("it is kept for now: a put that is under way may finish it")

// old tells whether what was begun at a time, in nanoseconds since 1970, has been left.
func (c *checking) old(nanoseconds uint64) bool {
	now := c.b.clock.Now().Add(-c.o.KeepUnfinished).UnixNano()
	return now > 0 && nanoseconds < uint64(now)
}

func (c *checking) hint(err error) error {
	return fault.WithHint(err, "run the repair again when all storages are back")
}
