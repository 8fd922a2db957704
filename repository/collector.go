package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// Collector removes what is not needed. It knows nothing of trees: package
// snapshot/prune says what is needed, and in which order the steps come. Its
// methods are used by one goroutine.
type Collector struct {
	r     *Repository
	o     lease.Options
	lease *lease.Lease
	watch *lease.Watcher

	mu     sync.Mutex // guards what follows
	lost   error
	cancel map[*context.CancelCauseFunc]struct{}
}

// knownOptional are the optional features this program knows; who meets others
// must delete nothing.
var knownOptional = []string{}

// Collect begins a collector's session. End ends it.
func (r *Repository) Collect(ctx context.Context, o lease.Options) (*Collector, error) {
	for _, feature := range r.cfg.Optional {
		if !slices.Contains(knownOptional, feature) {
			return nil, fault.New("prune", r.be.Location(), fmt.Errorf("%w: %s", ErrUnknownFeature, feature), "use a newer version of this program to remove anything")
		}
	}
	if err := r.mayChange(ctx, "prune"); err != nil {
		return nil, err
	}
	o.Clock = clock.Or(o.Clock)
	c := &Collector{r: r, o: o, cancel: map[*context.CancelCauseFunc]struct{}{}}
	c.watch = lease.NewStore(r.be, r.keys).Watch(o.Keeper, o.Clock)
	var err error
	c.lease, err = r.beginLease(spend(ctx), lease.Collector, o, c.fenced)
	return c, err
}

// fenced ends everything that runs: another collector has taken this one's
// place.
func (c *Collector) fenced(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = err
	for cancel := range c.cancel {
		(*cancel)(err)
	}
}

// Guard returns the context to work under. It ends when the collector finds itself
// fenced, and what must be stored to make room may take the reserve's.
func (c *Collector) Guard(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(spend(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		cancel(c.lost)
	}
	c.cancel[&cancel] = struct{}{}
	return ctx, func() {
		c.mu.Lock()
		delete(c.cancel, &cancel)
		c.mu.Unlock()
		cancel(context.Canceled)
	}
}

// Settle goes through the sessions: see lease.Watcher.
func (c *Collector) Settle(ctx context.Context) (*lease.Census, error) {
	return c.watch.Settle(ctx, c.lease.ID(), settler{c.r})
}

// Turn takes this collector's turn. A *lease.BusyError says that another one is
// at work.
func (c *Collector) Turn(ctx context.Context, census *lease.Census) error {
	return c.lease.Turn(ctx, census)
}

// End ends the session, of which nothing stays, leaves to later collectors what
// this one has seen, and puts the reserve back, as far as there is room for it.
func (c *Collector) End(ctx context.Context) error {
	return errors.Join(c.watch.Note(spend(ctx)), c.lease.Clear(ctx), c.r.KeepReserve(ctx))
}

// Tidy finishes what others who died left half-done, beside what sweeping does:
// second copies, forgotten snapshots, notes.
func (c *Collector) Tidy(ctx context.Context) error {
	if err := c.settleMarks(ctx); err != nil {
		return err
	}
	if err := c.r.tidyGone(ctx); err != nil {
		return err
	}
	// What finds no room is mended by whoever comes later.
	if err := c.r.Mend(ctx); err != nil && !errors.Is(err, storage.ErrFull) {
		return err
	}
	return condemn.Tidy(ctx, c.r.be)
}

func (c *Collector) settleMarks(ctx context.Context) error {
	var names []string
	if err := c.r.eachMark(ctx, func(name string) { names = append(names, name) }); err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	claims, err := lease.NewStore(c.r.be, c.r.keys).Claims(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		marked, stays, err := c.r.marked(ctx, name)
		switch {
		case err == nil && stays:
			// Put again by the one it guards against, or retained when it was forgotten.
			if err = deleteTwice(ctx, c.r.be, name); errors.Is(err, storage.ErrRetained) {
				err = nil
			}
		case err == nil && marked:
			err = c.r.settleMark(ctx, name, claims.Has(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Condemned is a list of packs that are to go, and for whom it waits.
type Condemned struct {
	condemn.List
	Waiting []lease.ID
}

// Condemn puts packs on a list, and then notes who may rely on them: whoever had
// begun and not ended when the list was durable.
func (c *Collector) Condemn(ctx context.Context, packs []PackID) (Condemned, error) {
	list, err := condemn.Put(ctx, c.r.be, c.r.keys, packs)
	if err != nil {
		return Condemned{}, err
	}
	return c.await(ctx, list)
}

// await notes who is at work now as those to wait for.
func (c *Collector) await(ctx context.Context, list condemn.List) (Condemned, error) {
	census, err := c.watch.Look(ctx, c.lease.ID())
	if err != nil {
		return Condemned{}, err
	}
	sessions := census.IDs()
	return Condemned{List: list, Waiting: sessions}, condemn.Await(ctx, c.r.be, c.r.keys, list.Name, sessions)
}

// Condemned returns what is condemned. A list that says nothing of whom it waits
// for, because who put it died, waits for everybody who is at work now. damaged
// lists cannot be read in either copy.
func (c *Collector) Condemned(ctx context.Context) (lists []Condemned, damaged map[string]error, err error) {
	read, err := condemn.Read(ctx, c.r.be, c.r.keys)
	if err != nil {
		return nil, nil, err
	}
	for _, list := range read.Lists {
		sessions, known, err := condemn.Awaited(ctx, c.r.be, c.r.keys, list.Name)
		if err != nil {
			return nil, nil, err
		}
		next := Condemned{List: list, Waiting: sessions}
		if !known {
			if next, err = c.await(ctx, list); err != nil {
				return nil, nil, err
			}
		}
		lists = append(lists, next)
	}
	return lists, read.Damaged, nil
}

// Discard removes a list that cannot be read. No other collector may be at work
// that has read it before: then its packs are as good as any others, but while it
// is there every session must take all packs for condemned.
func (c *Collector) Discard(ctx context.Context, name string) error {
	if err := c.lease.Check(ctx); err != nil {
		return err
	}
	return condemn.Remove(ctx, c.r.be, name)
}

// Own tells whether a pack is one that this collector has stored.
func (c *Collector) Own(id PackID) bool { return id.Tag() == c.Tag() }

// Tag is what the ids of the packs end in that this collector stores.
func (c *Collector) Tag() [4]byte { return c.lease.ID().Tag() }

// writer returns a session that stores for the collector.
func (c *Collector) writer(ctx context.Context, archival bool) (*Session, error) {
	o, err := SessionOptions{Clock: c.o.Clock}.withDefaults(storage.Far(c.r.be.Location()))
	if err != nil {
		return nil, err
	}
	encs, err := newEncoders(o.Compression)
	if err != nil {
		return nil, err
	}
	s := &Session{r: c.r, o: o, encs: encs, enough: fragmentEntries, tag: c.lease.ID().Tag(), condemned: &condemn.Lists{}}
	if archival {
		s.flags = pack.FlagArchival
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.packs.init(s)
	s.protect.init(c.r, o.PackSize)
	s.view.Store(&view{})
	return s, nil
}

// Fragments that are not of this repository's making are left alone.
func isFragmentName(name string) (fragmentName [16]byte, ok bool) {
	id, err := blob.ParsePackID(strings.TrimPrefix(name, indexPrefix))
	return id, err == nil && strings.HasPrefix(name, indexPrefix)
}
