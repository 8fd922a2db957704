// Package pipeline does what no backup can do without, and nothing else: it
// reads every file, hashes, compresses and seals it in chunks of one MiB, and
// writes packs of 32 MiB, each once. It keeps no index and no names, so nothing
// can be restored from what it writes. It shows how fast the machine would let a
// backup be.
//
// As many goroutines as cores carry chunks from the file into a pack; writing is
// done by others, so that the cores need not wait for the disk.
package pipeline

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
)

// Sizes in bytes.
const (
	ChunkSize = 1 << 20
	PackSize  = 32 << 20
	// partSize is how much of a file one goroutine takes on.
	partSize = 64 << 20
	// block is what direct writes must be multiples of.
	block = 4 << 10
	// overhead is what a sealed chunk may be longer than its text: zstd's
	// framing, the nonce and the tag.
	overhead = 1 << 12
)

// Result tells what was done.
type Result struct {
	Files  int64 `json:"files"`
	Bytes  int64 `json:"bytes"`
	Stored int64 `json:"stored"`
	// Direct is false where the file system does not write past the page cache.
	Direct bool `json:"direct"`
}

// part is a piece of a file.
type part struct {
	path      string
	from, end int64
}

// run is one use of the pipeline.
type run struct {
	to     string
	aead   cipher.AEAD
	parts  chan part
	full   chan *pack // to be written
	free   chan *pack
	packs  atomic.Int64
	nonces atomic.Uint64
	files  atomic.Int64
	bytes  atomic.Int64
	stored atomic.Int64
	cached atomic.Bool // some pack went through the page cache
}

type pack struct {
	memory []byte
	n      int
}

// Run carries everything below from into packs in to, which is made.
func Run(ctx context.Context, from, to string) (Result, error) {
	const op = "run the bare pipeline"
	if err := os.MkdirAll(to, 0o700); err != nil {
		return Result{}, fault.New(op, to, err, "")
	}
	key, err := aes.NewCipher(make([]byte, 32)) // nothing here is kept secret
	if err != nil {
		return Result{}, fault.New(op, to, err, "")
	}
	aead, err := cipher.NewGCM(key)
	if err != nil {
		return Result{}, fault.New(op, to, err, "")
	}
	cores := runtime.GOMAXPROCS(0)
	r := &run{to: to, aead: aead, parts: make(chan part, 256), full: make(chan *pack), free: make(chan *pack, cores+2)}
	for range cores + 2 {
		memory, err := allocate(PackSize)
		if err != nil {
			return Result{}, fault.New(op, to, err, "")
		}
		defer release(memory)
		r.free <- &pack{memory: memory}
	}
	if err := r.all(ctx, from, cores); err != nil {
		return Result{}, fault.New(op, from, err, "")
	}
	return Result{Files: r.files.Load(), Bytes: r.bytes.Load(), Stored: r.stored.Load(), Direct: !r.cached.Load()}, nil
}

func (r *run) all(ctx context.Context, from string, cores int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(r.parts)
		return r.walk(ctx, from)
	})
	group.Go(func() error {
		defer close(r.full)
		carriers, ctx := errgroup.WithContext(ctx)
		for range cores {
			carriers.Go(func() error { return r.carry(ctx) })
		}
		return carriers.Wait()
	})
	for range 2 {
		group.Go(func() error { return r.write(ctx) })
	}
	return group.Wait()
}

// walk hands out files, large ones in parts.
func (r *run) walk(ctx context.Context, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		r.files.Add(1)
		for at := int64(0); at < info.Size(); at += partSize {
			select {
			case r.parts <- part{path, at, min(at+partSize, info.Size())}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
}

// carry takes parts of files through hash, compression and seal into packs.
func (r *run) carry(ctx context.Context) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(ChunkSize), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return err
	}
	c := carrier{run: r, enc: enc, chunk: make([]byte, ChunkSize), small: make([]byte, 0, ChunkSize+overhead)}
	for p := range r.parts {
		if err := c.file(ctx, p); err != nil {
			return err
		}
	}
	if c.pack == nil {
		return nil
	}
	return c.hand(ctx)
}

type carrier struct {
	*run
	enc          *zstd.Encoder
	chunk, small []byte
	pack         *pack
}

func (c *carrier) file(ctx context.Context, p part) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := p.from; at < p.end; {
		n, err := f.ReadAt(c.chunk[:min(ChunkSize, p.end-at)], at)
		if err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		at += int64(n)
		if err := c.one(ctx, c.chunk[:n]); err != nil {
			return err
		}
	}
	return nil
}

// one takes a chunk into the pack: its hash, a nonce, the sealed bytes.
func (c *carrier) one(ctx context.Context, text []byte) error {
	id := sha256.Sum256(text)
	c.small = c.enc.EncodeAll(text, c.small[:0])
	need := len(id) + c.aead.NonceSize() + len(c.small) + c.aead.Overhead()
	if c.pack != nil && c.pack.n+need > PackSize {
		if err := c.hand(ctx); err != nil {
			return err
		}
	}
	if c.pack == nil {
		select {
		case c.pack = <-c.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	out := append(c.pack.memory[:c.pack.n], id[:]...)
	at := len(out)
	out = binary.LittleEndian.AppendUint64(out, c.nonces.Add(1))
	out = append(out, 0, 0, 0, 0)
	out = c.aead.Seal(out, out[at:], c.small, id[:])
	c.pack.n = len(out)
	c.bytes.Add(int64(len(text)))
	return nil
}

// hand gives the pack to those who write.
func (c *carrier) hand(ctx context.Context) error {
	select {
	case c.full <- c.pack:
		c.pack = nil
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes packs until there are no more.
func (r *run) write(ctx context.Context) error {
	for p := range r.full {
		path := filepath.Join(r.to, fmt.Sprintf("%06d", r.packs.Add(1)))
		size := (p.n + block - 1) / block * block
		clear(p.memory[p.n:size])
		direct, err := writeOnce(path, p.memory[:size])
		if err != nil {
			return err
		}
		if !direct {
			r.cached.Store(true)
		}
		r.stored.Add(int64(size))
		p.n = 0
		select {
		case r.free <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
