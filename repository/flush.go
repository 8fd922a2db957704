package repository

import (
	"context"
	"errors"

	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// put stores a finished pack and then its parity.
func (s *Session) put(h pack.Header, data []byte) error {
	if err := s.r.be.Put(s.ctx, h.ID.Object(), data, storage.PutOptions{Cold: s.r.cold && h.Kind == KindData}); err != nil {
		return err
	}
	s.stats.packs.Add(1)
	s.stats.packBytes.Add(int64(len(data)))
	return s.protect.add(s.ctx, h.ID, data)
}

// collect notes a stored pack for the next fragment.
func (s *Session) collect(p index.Pack, entries []index.Entry) {
	s.doneMu.Lock()
	defer s.doneMu.Unlock()
	s.done.AddPack(p, entries)
}

// flushSome writes a fragment when enough is collected for one. When one is
// being written already there is nothing to do: what came meanwhile waits for
// the next.
func (s *Session) flushSome(ctx context.Context) error {
	if !s.flushMu.TryLock() {
		return nil
	}
	defer s.flushMu.Unlock()
	return s.flushLocked(ctx, s.enough)
}

// flush writes everything that is collected, and the last stripe.
func (s *Session) flush(ctx context.Context) error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if err := s.protect.finish(ctx); err != nil {
		return err
	}
	if err := s.flushLocked(ctx, 0); err != nil {
		return err
	}
	return s.protect.sync(ctx, nil)
}

// flushLocked makes the packs collected so far durable, with their parity, and then writes their
// index fragment, if they hold at least atLeast blobs. After a failure they
// stay collected, for another try.
func (s *Session) flushLocked(ctx context.Context, atLeast int) error {
	s.doneMu.Lock()
	batch := s.done
	if batch.Empty() || batch.Len() < atLeast {
		s.doneMu.Unlock()
		return nil
	}
	s.done = index.Builder{}
	s.doneMu.Unlock()

	if err := s.writeFragment(ctx, &batch); err != nil {
		s.doneMu.Lock()
		defer s.doneMu.Unlock()
		batch.Join(&s.done)
		s.done = batch
		return err
	}
	return nil
}

func (s *Session) writeFragment(ctx context.Context, batch *index.Builder) error {
	packs := batch.Packs()
	names := make([]string, len(packs))
	for i, p := range packs {
		names[i] = p.ID.Object()
	}
	if err := s.protect.sync(ctx, names); err != nil {
		return err
	}
	batch.SetStored(s.o.Clock.Now().Unix())
	text, err := batch.Build()
	if err != nil {
		return err
	}
	name := indexPrefix + randomHex(16)
	sealed, err := s.r.keys.Seal(seal.TypeIndex, name, batch.Stored())
	if err != nil {
		return err
	}
	err = putTwice(ctx, s.r.be, name, sealed)
	if err != nil && !errors.Is(err, storage.ErrExists) { // repeated by a retry below us
		return err
	}
	f, err := s.r.index.add(name, text)
	if err != nil {
		return err
	}
	// First in the view, then out of pending: Has looks in the other order.
	s.view.Store(s.view.Load().with(f))
	batch.Each(func(id ID) { s.pending.Drop(id) })
	return nil
}
