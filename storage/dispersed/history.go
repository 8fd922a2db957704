package dispersed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mahavishnu/storage/backend"
)

// errRolledBack is wrapped by what is said of a storage that holds an older state than
// it had.
var errRolledBack = errors.New("it holds an older state than the one it had")

// history is what the storages say of each other's past: which marks they had, by their
// seals, and which they have.
type history struct {
	turn chan struct{} // held by who reads or writes it

	mu     sync.Mutex
	read   time.Time // when it was read last; zero: never
	merged map[version]bool
	quorum int      // the least of all seals; 0: there is none
	had    []uint64 // by storage: the highest mark that it is known to have had
	has    []uint64 // the highest that it has
	listed []bool   // whether it said so
	sure   []bool   // whether it was asked again because that was less
	past   []past
	// given is when losses were last accepted, by seals, and first what it was when this
	// process began.
	given, first uint64
	begun        bool
}

// past is what a storage lists.
type past struct{ marks, seals []version }

func newHistory(n int) *history {
	return &history{
		turn: make(chan struct{}, 1), merged: map[version]bool{},
		had: make([]uint64, n), has: make([]uint64, n), listed: make([]bool, n), sure: make([]bool, n), past: make([]past, n),
	}
}

// expire has the history read anew: a storage answers again, perhaps with an older state.
func (h *history) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = time.Time{}
}

// top is the highest mark.
func (p past) top() uint64 {
	top := uint64(0)
	for _, v := range p.marks {
		top = max(top, v.seq)
	}
	return top
}

// seems tells whether a storage seems to have had more than it has.
func (h *history) seems(m *member) (has, had uint64, seems bool) {
	filling := m.filling() // which is known, and counts already
	h.mu.Lock()
	defer h.mu.Unlock()
	i := m.index
	return h.has[i], h.had[i], !filling && h.listed[i] && h.has[i] < h.had[i]
}

// lags tells whether a storage is known to have had more than it has.
func (h *history) lags(m *member) (has, had uint64, lags bool) {
	has, had, lags = h.seems(m)
	h.mu.Lock()
	defer h.mu.Unlock()
	return has, had, lags && h.sure[m.index]
}

// against says that a storage was rolled back; nil when nothing is known of that.
func (h *history) against(m *member) error {
	has, had, lags := h.lags(m)
	switch {
	case !lags:
		return nil
	case has == 0:
		return fmt.Errorf("%w: that of %s is gone", errRolledBack, when(had))
	}
	return fmt.Errorf("%w: that of %s, instead of that of %s", errRolledBack, when(has), when(had))
}

func when(seq uint64) string { return time.Unix(0, int64(seq)).UTC().Format(time.RFC3339) }

// lost tells whether a storage may have lost its shard of a version with the state that it
// had: the version is from the time between what it has and what it had.
func (h *history) lost(m *member, v version) bool {
	has, had, lags := h.lags(m)
	return lags && v.seq+uint64(clockSkew) > has && v.seq < had+uint64(clockSkew)
}

// leastQuorum is how many shards an object had at least when it was confirmed.
func (b *Backend) leastQuorum() int {
	b.history.mu.Lock()
	defer b.history.mu.Unlock()
	if q := b.history.quorum; q > 0 {
		return min(q, b.quorum)
	}
	return b.quorum
}

// listHistory reads which marks and seals a storage has.
func (b *Backend) listHistory(ctx context.Context, m *member) (past, error) {
	var p past
	err := m.List(ctx, historyDir, func(i backend.Info) error {
		switch v, sealed, ok := parseHistory(i.Name); {
		case !ok:
		case sealed:
			p.seals = append(p.seals, v)
		default:
			p.marks = append(p.marks, v)
		}
		return nil
	})
	return p, err
}

// survey reads the history, unless that was done not long ago; with now in any case.
// What does not answer says nothing.
func (b *Backend) survey(ctx context.Context, now bool) {
	h := b.history
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-h.turn }()
	h.mu.Lock()
	recent := !h.read.IsZero() && b.clock.Now().Sub(h.read) < knownFor
	h.mu.Unlock()
	if now || !recent {
		b.readHistory(ctx)
	}
}

// sureOfLag is how often a storage is asked that seems to be rolled back: others add to its
// marks, and remove old ones, while they are listed.
const sureOfLag = 3

// readHistory reads the history; the caller has the turn.
func (b *Backend) readHistory(ctx context.Context) {
	h := b.history
	replies := ask(ctx, b, b.k, b.listHistory)
	seals := b.readSeals(ctx, replies)
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	for v, s := range seals {
		h.merge(v, s)
	}
	h.forget(replies)
	for i, r := range replies {
		if h.listed[i] = r.err == nil; r.err == nil {
			h.past[i], h.has[i] = r.value, r.value.top()
		}
	}
	h.mu.Unlock()
	for _, m := range b.members {
		// What a storage had is known from after it was listed, perhaps.
		for range sureOfLag {
			if _, _, seems := h.seems(m); !seems {
				break
			}
			p, err := b.listHistory(ctx, m)
			h.mu.Lock()
			if h.listed[m.index] = err == nil; err == nil {
				h.past[m.index], h.has[m.index] = p, p.top()
			}
			h.mu.Unlock()
		}
	}
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	h.read = b.clock.Now()
	for i := range b.n {
		h.sure[i] = h.listed[i] && h.has[i] < h.had[i]
	}
	if !h.begun {
		h.begun, h.first = true, h.given
	}
	h.mu.Unlock()
	for _, m := range b.members {
		if err := h.against(m); err != nil {
			b.notify(m.olderNotice(err))
		}
	}
}

// merge takes what a seal says; the caller holds mu.
func (h *history) merge(v version, s seal) {
	h.merged[v] = true
	for i, seq := range s.marks {
		h.had[i] = max(h.had[i], seq)
	}
	if h.quorum == 0 || s.quorum < h.quorum {
		h.quorum = s.quorum
	}
	h.given = max(h.given, s.given)
}

// forget lets go of seals that nobody has any more; the caller holds mu.
func (h *history) forget(replies []reply[past]) {
	left := map[version]bool{}
	for _, r := range replies {
		for _, v := range r.value.seals {
			if h.merged[v] {
				left[v] = true
			}
		}
	}
	h.merged = left
}

// readSeals reads the seals that were not read before, each from any of the storages that
// list it.
func (b *Backend) readSeals(ctx context.Context, replies []reply[past]) map[version]seal {
	set, _ := b.identity.get()
	has := map[version][]*member{}
	b.history.mu.Lock()
	for _, r := range replies {
		for _, v := range r.value.seals {
			if r.err == nil && !b.history.merged[v] {
				has[v] = append(has[v], r.m)
			}
		}
	}
	b.history.mu.Unlock()
	read := map[version]seal{}
	for v, members := range has {
		for _, m := range members {
			s, err := readSeal(ctx, m, v)
			if err == nil && s.set == set && len(s.marks) == b.n && s.quorum >= minQuorum(b.k, b.n-b.k) {
				read[v] = s
				break
			}
		}
	}
	return read
}

func readSeal(ctx context.Context, m *member, v version) (seal, error) {
	r, err := m.Get(ctx, sealName(v), 0, -1)
	if err != nil {
		return seal{}, err
	}
	buf, err := io.ReadAll(io.LimitReader(r, maxSeal+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return seal{}, err
	}
	return parseSeal(buf)
}
