package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
	"mahavishnu/storage"
)

// thawPoll is how often a thawing is looked after, unless the caller says
// otherwise: archives take minutes to hours.
const thawPoll = 5 * time.Minute

// ThawOptions says how what a restore needs is brought back from an archive class of
// the storage. The zero value keeps it readable for a week and takes the storage's
// usual speed.
type ThawOptions struct {
	// Include and Exclude are those of the restore.
	Include, Exclude []string
	// Days is how long it stays readable. Default 7.
	Days int
	// Speed is "bulk", "standard" or "expedited".
	Speed string
	// Poll is how often to look. Default 5 minutes.
	Poll time.Duration
	// OnState hears how far it is, whenever it was looked after. It may be nil.
	OnState func(ThawState)
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
}

// ThawState is how far a thawing is.
type ThawState struct {
	// Ready is how many packs can be read, Waiting how many cannot yet.
	Ready   int `json:"ready"`
	Waiting int `json:"waiting"`
	// Bytes of all packs that are needed, as the index knows them.
	Bytes int64 `json:"bytes"`
	// Requests is how many requests for thawing were made so far: what the storage
	// bills beside the bytes.
	Requests int `json:"requests"`
	// Expected is how long the storage's documentation says that the rest may take
	// from now; 0 when nothing waits.
	Expected time.Duration `json:"-"`
}

// Thaw makes the data that a restore needs readable, and waits until it is. Packs are
// asked for all at once, so that it takes as long as the slowest of them. Interrupted,
// it goes on where it was: what was asked for is on its way.
func Thaw(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, o ThawOptions) (ThawState, error) {
	packs, size, err := dataPacks(ctx, repo, snap, o.Include, o.Exclude)
	state := ThawState{Bytes: size}
	if err != nil {
		return state, err
	}
	if o.Days <= 0 {
		o.Days = 7
	}
	if o.Poll <= 0 {
		o.Poll = thawPoll
	}
	o.Clock = clock.Or(o.Clock)
	for {
		now, err := repo.Thaw(ctx, packs, storage.ThawOptions{Days: o.Days, Speed: o.Speed})
		state.Requests += now.Asked
		if err != nil {
			return state, err
		}
		state.Ready, state.Waiting, state.Expected = now.Ready, now.Waiting, now.Expected
		if o.OnState != nil {
			o.OnState(state)
		}
		if state.Waiting == 0 {
			return state, nil
		}
		if err := o.Clock.Sleep(ctx, o.Poll); err != nil {
			return state, err
		}
	}
}

// dataPacks returns the packs that hold the content of what is selected, sorted, and
// how large they are. What no index knows is left to the restore.
func dataPacks(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, include, exclude []string) ([]repository.PackID, int64, error) {
	choice, err := newSelection(include, exclude)
	if err != nil {
		return nil, 0, fault.New("thaw snapshot", snap.ID, err, "")
	}
	loader := treeLoader{repo}
	root, err := loadRoot(ctx, loader, snap)
	if err != nil {
		return nil, 0, err
	}
	c := &packCollector{repo: repo, loader: loader, choice: choice, packs: map[repository.PackID]bool{}}
	// What is lost the restore names.
	if err := eachEntry(ctx, loader, "", root.Content, func(string, error) {}, func(at string, n tree.Node) (bool, error) { return c.entry(ctx, at, n) }); err != nil {
		return nil, 0, err
	}
	packs := slices.SortedFunc(maps.Keys(c.packs), repository.PackID.Compare)
	return packs, repo.SizeOf(packs), nil
}

// packCollector notes where the content of files is.
type packCollector struct {
	repo   *repository.Repository
	loader tree.Loader
	choice *selection
	under  string // the directory whose whole content was chosen last; "" is none
	packs  map[repository.PackID]bool
}

// entry notes a file that is selected, and tells whether a directory has to be seen.
// Entries come in the order of the tree.
func (c *packCollector) entry(ctx context.Context, at string, n tree.Node) (below bool, err error) {
	isDir := n.Type == tree.Dir
	if c.choice.excluded(at, isDir) {
		return false, nil
	}
	chosen := c.choice.all() || c.under != "" && strings.HasPrefix(at, c.under+"/") || c.choice.included(at, isDir)
	if isDir {
		if chosen && !strings.HasPrefix(at, c.under+"/") {
			c.under = at
		}
		return chosen || c.choice.leadsTo(at), nil
	}
	if chosen {
		if err := c.file(ctx, n.Content); err != nil {
			return false, fmt.Errorf("%s: %w", Printable(at), err)
		}
	}
	return false, nil
}

func (c *packCollector) file(ctx context.Context, content tree.Content) error {
	for list := tree.NewExtents(c.loader, content); ; {
		e, err := list.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || e.Hole():
			continue
		}
		if loc, ok := c.repo.Locate(repository.ID(e.ID)); ok {
			c.packs[loc.Pack] = true
		}
	}
}
