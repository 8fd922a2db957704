package dispersed

import (
	"context"
	"slices"

	"mahavishnu/storage/backend"
)

// Commit implements backend.Committer.
func (b *Backend) Commit() {
	if _, formed := b.identity.get(); formed {
		b.committed()
	}
}

// committed has the storages note, behind what is going on, that what is confirmed until
// now was there: see [Backend.record].
func (b *Backend) committed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recordAgain = true
	if b.recording {
		return
	}
	b.recording = true
	b.running.Go(func() {
		for b.moreToRecord() {
			// Without it a loss of more than m storages may go unnoticed, which is all.
			_ = b.record(b.life, recording{})
		}
	})
}

func (b *Backend) moreToRecord() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	more := b.recordAgain && b.life.Err() == nil
	b.recordAgain = false
	if !more {
		b.recording = false
	}
	return more
}

// recording is what is to be recorded beside that the storages were there.
type recording struct {
	all   bool // those that were rolled back have everything again
	given bool // what they lack was let go of
}

// record gives every storage a mark, and then all of them a seal that says who has it.
// Storages that were rolled back get no mark, since that would hide it, unless all of them
// have everything again.
func (b *Backend) record(ctx context.Context, what recording) error {
	h := b.history
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-h.turn }()
	b.readHistory(ctx)
	h.mu.Lock()
	listed, before := slices.Clone(h.listed), slices.Clone(h.past)
	h.mu.Unlock()
	v := b.nextMark()
	marked := ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		err := h.against(m)
		switch {
		case !listed[m.index]:
			return struct{}{}, errSlow // nobody knows what it has
		case err != nil && !what.all:
			return struct{}{}, err
		}
		return struct{}{}, m.Put(ctx, markName(v), nil, backend.PutOptions{Sync: true})
	})
	s := b.seal(v, marked, what.given)
	sealed := ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.Put(ctx, sealName(v), s.encode(), backend.PutOptions{Sync: true})
	})
	if count(sealed) == 0 {
		return b.tooFew(ctx, "put", historyDir, 1, errsOf(sealed)...)
	}
	ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		i := m.index
		for _, name := range h.outdated(before[i], marked[i].err == nil, sealed[i].err == nil) {
			if err := m.Delete(ctx, name); err != nil {
				return struct{}{}, err // it is of no use, and does no harm
			}
		}
		return struct{}{}, nil
	})
	return nil
}

// nextMark returns a mark that is higher than all that were seen.
func (b *Backend) nextMark() version {
	h := b.history
	h.mu.Lock()
	defer h.mu.Unlock()
	seq := uint64(max(b.clock.Now().UnixNano(), 1))
	for i := range b.n {
		seq = max(seq, h.has[i]+1, h.had[i]+1)
	}
	return version{seq, random()}
}

// seal returns what is known when some storages have a new mark.
func (b *Backend) seal(v version, marked []reply[struct{}], given bool) seal {
	h := b.history
	set, _ := b.identity.get()
	quorum := b.leastQuorum()
	h.mu.Lock()
	defer h.mu.Unlock()
	if given {
		h.given, h.first = v.seq, v.seq
	}
	s := seal{set: set, quorum: quorum, given: h.given, marks: slices.Clone(h.had)}
	for i, r := range marked {
		if r.err == nil {
			s.marks[i], h.has[i] = v.seq, v.seq
		}
	}
	h.merge(v, s)
	return s
}

// outdated returns what a storage needs no more that has a newer mark, or seal: all seals
// that are part of the newer one, and all marks but the newest before it, for those who
// are listing them at this moment.
func (h *history) outdated(p past, marked, sealed bool) (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range p.seals {
		if sealed && h.merged[v] {
			names = append(names, sealName(v))
		}
	}
	top := p.top()
	for _, v := range p.marks {
		if marked && v.seq < top {
			names = append(names, markName(v))
		}
	}
	return names
}
