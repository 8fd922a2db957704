package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Code is how an algorithm is written in a blob's record.
type Code uint8

// The codes. They are part of the format.
const (
	CodeNone Code = 0
	CodeZstd Code = 1
	CodeGzip Code = 2
)

// ErrCorrupt means that compressed bytes do not give what they should.
var ErrCorrupt = errors.New("compressed data is corrupt")

// Encoder compresses blobs. It is safe for concurrent use: as many goroutines
// as there are cores work at once, each with an encoder of its own that is
// reused.
type Encoder struct {
	code  Code
	zstd  *zstd.Encoder
	gzips sync.Pool // of *gzip.Writer
}

// NewEncoder returns an encoder of the setting.
func NewEncoder(s Setting) (*Encoder, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	switch s.Algorithm {
	case None:
		return &Encoder{code: CodeNone}, nil
	case Gzip:
		level := s.Level
		if level == 0 {
			level = 6
		}
		e := &Encoder{code: CodeGzip}
		e.gzips.New = func() any {
			w, err := gzip.NewWriterLevel(io.Discard, level)
			if err != nil {
				panic("compress: " + err.Error()) // Validate allows 1 to 9 only
			}
			return w
		}
		return e, nil
	}
	// Blobs are compressed one by one, so the seal's integrity check makes the
	// one of zstd needless. Each encoder keeps a window of history, and by
	// default room for a second: at the best level that is 64 MiB a core.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel(s.Level)), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true),
		// At its fastest the library leaves blocks without a match as they are. Hexadecimal digits and base64 shrink all the same.
		zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	return &Encoder{code: CodeZstd, zstd: z}, nil
}

// window is how far back zstd looks: all of a blob that chunking makes.
const window = 4 << 20

func zstdLevel(level int) zstd.EncoderLevel {
	if level == 0 {
		return zstd.SpeedFastest
	}
	return zstd.EncoderLevelFromZstd(level)
}

// Close lets go of the encoders.
func (e *Encoder) Close() error {
	if e.zstd == nil {
		return nil
	}
	return e.zstd.Close()
}

// minGain is the part of a blob that compression must save to be kept: less is
// not worth the work of every later read.
const minGain = 64

// Append appends src to dst, compressed when that saves at least 1/64 of it. It
// returns the longer slice and how src was written. dst may be the front of a
// larger buffer: when it has room for src, no other memory is used for the
// result.
func (e *Encoder) Append(dst, src []byte) ([]byte, Code, error) {
	if e.code == CodeNone || len(src) < 32 || !shrinks(src) {
		return append(dst, src...), CodeNone, nil
	}
	out, err := e.compress(dst, src)
	if err != nil {
		return nil, 0, err
	}
	if len(out)-len(dst) > len(src)-max(len(src)/minGain, 1) {
		return append(dst, src...), CodeNone, nil
	}
	if cap(dst)-len(dst) >= len(src) && &out[:1][0] != &dst[:1][0] {
		// It outgrew dst on its way, and then ended shorter.
		return append(dst, out[len(dst):]...), e.code, nil
	}
	return out, e.code, nil
}

func (e *Encoder) compress(dst, src []byte) ([]byte, error) {
	if e.code == CodeZstd {
		return e.zstd.EncodeAll(src, dst), nil
	}
	w := e.gzips.Get().(*gzip.Writer)
	defer e.gzips.Put(w)
	buf := bytes.NewBuffer(dst)
	w.Reset(buf)
	_, err := w.Write(src)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return buf.Bytes(), nil
}

// Decoder expands blobs. It is safe for concurrent use.
type Decoder struct {
	zstd  *zstd.Decoder
	gzips sync.Pool // of *gzip.Reader
}

// NewDecoder returns a decoder of blobs up to limit bytes.
func NewDecoder(limit int) (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(uint64(limit)), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	return &Decoder{zstd: z}, nil
}

// Close lets go of the decoders.
func (d *Decoder) Close() { d.zstd.Close() }

// Decode expands src, written by code, into dst's space; the result must have
// size bytes exactly. With CodeNone the result is src itself.
func (d *Decoder) Decode(dst, src []byte, code Code, size int) ([]byte, error) {
	if code == CodeNone {
		if len(src) != size {
			return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(src), size)
		}
		return src, nil
	}
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	var out []byte
	var err error
	switch code {
	case CodeZstd:
		out, err = d.zstd.DecodeAll(src, dst[:0:size])
	case CodeGzip:
		out, err = d.gunzip(dst[:size], src)
	default:
		return nil, fmt.Errorf("unknown compression %d: %w", code, ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(out), size)
	}
	return out, nil
}

func (d *Decoder) gunzip(dst, src []byte) ([]byte, error) {
	r, _ := d.gzips.Get().(*gzip.Reader)
	if r == nil {
		r = new(gzip.Reader)
	}
	defer d.gzips.Put(r)
	in := bytes.NewReader(src)
	if err := r.Reset(in); err != nil {
		return nil, err
	}
	r.Multistream(false)
	if _, err := io.ReadFull(r, dst); err != nil {
		return nil, err
	}
	// Reading to the end checks gzip's own checksum, and that no more comes.
	var one [1]byte
	if n, err := r.Read(one[:]); n != 0 || !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("longer than it should be"), err)
	}
	return dst, nil
}
