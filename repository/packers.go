package repository

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/pack"
)

// packers lends open packs to savers. Each pack is used by one saver at a time,
// so that compressing and sealing need no lock; there are as many as cores, so
// that savers do not wait for each other. Buffers are a fixed number: a saver
// that fills a pack while all others are on their way to the storage waits.
type packers struct {
	s       *Session
	kinds   map[Kind]*packStack
	buffers bufferPool
}

// encoders compress the blobs of each kind.
type encoders map[Kind]*compress.Encoder

func newEncoders(s compress.Setting) (encoders, error) {
	data, err := compress.NewEncoder(s)
	if err != nil {
		return nil, err
	}
	trees, err := compress.NewEncoder(s.ForTrees())
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return encoders{KindData: data, KindTree: trees}, nil
}

func (e encoders) close() error { return errors.Join(e[KindData].Close(), e[KindTree].Close()) }

// openPack is a pack being filled.
type openPack struct{ *pack.Writer }

// packStack holds the idle packs of one kind. The last used is taken first, so
// that a single saver fills one pack after the other.
type packStack struct {
	slots chan struct{} // one for each pack that may be in use at once
	mu    sync.Mutex
	idle  []*openPack
}

func newPackStack(n int) *packStack {
	p := &packStack{slots: make(chan struct{}, n)}
	for range n {
		p.slots <- struct{}{}
	}
	return p
}

func (p *packStack) pop() *openPack {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return last
}

func (p *packStack) push(w *openPack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}

func (p *packers) init(s *Session) {
	p.s = s
	buffers := max(minBuffers, int(s.o.Budget/int64(s.o.PackSize)))
	// One buffer is always on its way or free; trees are a small part of all
	// bytes and share few packs.
	cores := runtime.GOMAXPROCS(0)
	trees := max(1, min(cores/4, buffers-2))
	data := max(1, min(cores, buffers-trees-1))
	p.kinds = map[Kind]*packStack{KindData: newPackStack(data), KindTree: newPackStack(trees)}
	p.buffers.init(buffers, s.o.PackSize)
}

// take lends an open pack with room for n bytes.
func (p *packers) take(ctx context.Context, kind Kind, n int) (*openPack, error) {
	stack := p.kinds[kind]
	select {
	case <-stack.slots:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w := stack.pop()
	if w != nil && !w.Fits(n) {
		p.send(w)
		w = nil
	}
	if w == nil {
		var err error
		if w, err = p.open(ctx, kind); err != nil {
			stack.slots <- struct{}{}
			return nil, err
		}
	}
	return w, nil
}

// give takes a pack back.
func (p *packers) give(w *openPack) {
	stack := p.kinds[w.Header().Kind]
	stack.push(w)
	stack.slots <- struct{}{}
}

// open starts a new pack.
func (p *packers) open(ctx context.Context, kind Kind) (*openPack, error) {
	buf, err := p.buffers.get(ctx, p.s.ctx)
	if err != nil {
		return nil, err
	}
	h := pack.Header{Kind: kind, Flags: p.s.flags, KeyVersion: p.s.r.keys.Current(), ID: blob.NewPackID(p.s.tag)}
	key, err := p.s.r.keys.Pack(h.KeyVersion, h.ID)
	if err != nil {
		p.buffers.put(buf)
		return nil, err
	}
	return &openPack{pack.NewWriter(buf, h, key, p.s.encs[kind], p.s.r.cfg.Padding == padding64th)}, nil
}

// send finishes a pack and stores it in the background.
func (p *packers) send(w *openPack) {
	data := w.Finish()
	p.s.puts.Go(func() {
		err := p.s.put(w.Header(), data)
		p.buffers.put(w.Buffer())
		if err == nil {
			entries := w.Entries()
			p.s.collect(indexPack(w.Header(), int64(len(data)), len(entries)), indexEntries(entries))
			err = p.s.flushSome(p.s.ctx)
		}
		if err != nil {
			p.s.cancel(p.s.fail(err)) // savers that wait for a buffer wake up
		}
	})
}

// finishAll sends every open pack. No saver may be active.
func (p *packers) finishAll() {
	for _, stack := range p.kinds {
		for w := stack.pop(); w != nil; w = stack.pop() {
			p.send(w)
		}
	}
}

func (p *packers) close() error { return p.buffers.close() }

// bufferPool lends buffers for packs, made when first needed.
type bufferPool struct {
	size  int
	slots chan struct{}
	mu    sync.Mutex
	free  [][]byte
}

func (b *bufferPool) init(n, size int) {
	b.size = size
	b.slots = make(chan struct{}, n)
	for range n {
		b.slots <- struct{}{}
	}
}

// get waits for a buffer until either context ends.
func (b *bufferPool) get(ctx, session context.Context) ([]byte, error) {
	select {
	case <-b.slots:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-session.Done():
		return nil, context.Cause(session)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		return buf, nil
	}
	buf, err := newBuffer(b.size)
	if err != nil {
		b.slots <- struct{}{}
		return nil, errors.Join(errors.New("no memory for a pack"), err)
	}
	return buf, nil
}

func (b *bufferPool) put(buf []byte) {
	b.mu.Lock()
	b.free = append(b.free, buf[:b.size])
	b.mu.Unlock()
	b.slots <- struct{}{}
}

// close gives the memory back. All buffers must have been put back.
func (b *bufferPool) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, buf := range b.free {
		errs = append(errs, freeBuffer(buf))
	}
	b.free = nil
	return errors.Join(errs...)
}
