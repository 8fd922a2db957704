package dispersed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Limits of a layout.
const (
	// MinData is the fewest data shards: with one, every storage would hold whole
	// objects, which is what replication is for.
	MinData = 2
	// MaxShards is the most shards, data and parity, of an object.
	MaxShards = 32
)

// Config says what a dispersed storage is made of.
type Config struct {
	// Backends are the k+m storages, each in a region of its own if they are to
	// fail apart. The order is part of what is stored: the first keeps shard 0.
	// [Backend.Close] closes them.
	Backends []backend.Backend
	// Places are opened by Open instead, when Backends is empty: as many as Parity may
	// fail to open, and are away until they can be.
	Places []Place
	// Data is k, how many storages are enough to read everything; from 2. Parity
	// is m, how many may be lost; from 1. k+m is at most 32.
	Data, Parity int
	// Quorum is how many storages must have an object before it counts as stored:
	// from max(k, m+1) to k+m. A confirmed write survives the loss of Quorum-k
	// storages at once, and of m as soon as it is complete, which takes no
	// longer than the slowest storage unless one is away. 0 is k plus half of m,
	// rounded up. With k itself writing goes on while m storages are away.
	Quorum int
	// NoHedging asks only the k storages that were the fastest, and another one
	// only when one of them failed. Otherwise another one is asked, too, when one
	// takes longer than 95 in 100 of its earlier reads.
	NoHedging bool
	// Patience is how long what needs all answers waits for the last storages when
	// a quorum has answered; 2 seconds when zero.
	Patience time.Duration
	// Behind is how many bytes of shards may wait for slow storages after their
	// objects were confirmed; 64 MiB when zero. Beyond it puts wait for all.
	Behind int64
	// Tell is told of storages that cannot be counted on, each once, if not nil. It may be
	// called by several goroutines at a time.
	Tell func(Notice)
	// Clock is the machine's when nil.
	Clock clock.Clock
}

// Place is a storage that is to be opened.
type Place struct {
	// Location names it to people when it cannot be opened. It holds no secret.
	Location string
	// Open opens it. Of every failure that the storage tries again by itself, failing is
	// told: it does not wait for it then.
	Open func(ctx context.Context, failing func(error)) (backend.Backend, error)
}

func checkShape(data, parity, quorum int) error {
	switch n := data + parity; {
	case data < MinData:
		return fmt.Errorf("%d data shards; at least %d are needed, for whole copies replicate instead", data, MinData)
	case parity < 1:
		return errors.New("no parity shards: the loss of any storage would lose everything")
	case data > MaxShards || parity > MaxShards || n > MaxShards:
		return fmt.Errorf("more than %d shards", MaxShards)
	case quorum != 0 && (quorum < minQuorum(data, parity) || quorum > n):
		return fmt.Errorf("a quorum of %d; with %d+%d it is from %d to %d", quorum, data, parity, minQuorum(data, parity), n)
	}
	return nil
}

// minQuorum makes any two quorums meet, any quorum meet any k storages, and lets a
// quorum read what it wrote.
func minQuorum(data, parity int) int { return max(data, parity+1) }

// DefaultQuorum is the quorum of a layout that names none.
func DefaultQuorum(data, parity int) int {
	return max(data+(parity+1)/2, minQuorum(data, parity))
}

const opOpen = "open storage"

// Open returns the storage that is spread over the configured ones. It reads and
// writes nothing yet.
func Open(ctx context.Context, c Config) (*Backend, error) {
	const op = opOpen
	err := checkShape(c.Data, c.Parity, c.Quorum)
	if n, given := c.Data+c.Parity, max(len(c.Backends), len(c.Places)); err == nil && given != n {
		err = fmt.Errorf("%d+%d needs %d storages and %d are given", c.Data, c.Parity, n, given)
	}
	if err != nil {
		return nil, fault.New(op, Scheme, err, "give as many storages as data and parity shards")
	}
	codec, err := newCodec(c.Data, c.Parity)
	if err != nil {
		return nil, fault.New(op, Scheme, err, "")
	}
	b := &Backend{
		codec: codec, k: c.Data, n: c.Data + c.Parity, quorum: c.Quorum,
		hedge: !c.NoHedging, patience: c.Patience, behind: c.Behind, clock: clock.Or(c.Clock),
		known: newKnown(maxKnown), identity: newIdentity(), history: newHistory(c.Data + c.Parity),
		tell: c.Tell, names: map[string]*nameLock{}, told: map[string]bool{},
	}
	if b.quorum == 0 {
		b.quorum = DefaultQuorum(c.Data, c.Parity)
	}
	if b.patience <= 0 {
		b.patience = 2 * time.Second
	}
	if b.behind <= 0 {
		b.behind = 64 << 20
	}
	for i, be := range c.Backends {
		b.members = append(b.members, &member{Backend: be, of: b, index: i})
	}
	b.life, b.end = context.WithCancelCause(context.Background())
	b.probes, b.endProbes = context.WithCancel(b.life)
	if len(c.Backends) == 0 {
		if err := b.openPlaces(ctx, c.Places); err != nil {
			b.end(errClosed)
			return nil, err
		}
	}
	return b, nil
}

// Location names the layout and every storage.
func (b *Backend) Location() string {
	var at []string
	for _, m := range b.members {
		at = append(at, m.Location())
	}
	return fmt.Sprintf("%s:%d+%d over %s", Scheme, b.k, b.n-b.k, strings.Join(at, ", "))
}
