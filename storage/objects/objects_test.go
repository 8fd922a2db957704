package objects

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"mahavishnu/storage/backend"
)

func promise(data []byte) Promise {
	sum := md5.Sum(data)
	return Promise{Length: int64(len(data)), Hash: md5.New(), Sum: sum[:], Failed: func(err error) error { return fmt.Errorf("read a: %w", err) }}
}

// However a body arrives: what was promised comes, and an end.
func TestBodyArrives(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1000)
	for name, from := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
		"with more behind it": func(r io.Reader) io.Reader { return io.MultiReader(r, strings.NewReader("more")) },
	} {
		body := Body(io.NopCloser(from(bytes.NewReader(data))), promise(data))
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: after the end: %d, %v", name, n, err)
		}
	}
	if got, err := io.ReadAll(Body(Empty(), promise(nil))); err != nil || len(got) != 0 {
		t.Errorf("an empty body: %d bytes, %v", len(got), err)
	}
}

// A body that ends early is a failure that may pass, and never an end.
func TestBodyThatEndsEarly(t *testing.T) {
	data := make([]byte, 1000)
	for name, from := range map[string]io.Reader{
		"end":            bytes.NewReader(data[:999]),
		"unexpected end": io.MultiReader(bytes.NewReader(data[:10]), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"nothing":        bytes.NewReader(nil),
	} {
		_, err := io.ReadAll(Body(io.NopCloser(from), promise(data)))
		var temporary *backend.TemporaryError
		if !errors.As(err, &temporary) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v is no TemporaryError, or looks like an end", name, err)
		}
	}
	reset := &url.Error{Op: "Get", URL: "https://host/a?signature=hush", Err: syscall.ECONNRESET}
	_, err := io.ReadAll(Body(io.NopCloser(iotest.ErrReader(reset)), promise(data)))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset: %v", err)
	}
}

// A wrong checksum is told before the last byte is handed out, to whoever never asks
// for the end as well.
func TestBodyThatChanged(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1000)
	p := promise(data)
	data[500] = 'y'
	for name, from := range map[string]io.Reader{"at once": bytes.NewReader(data), "byte by byte": iotest.OneByteReader(bytes.NewReader(data))} {
		p.Hash = md5.New()
		n, err := io.ReadFull(Body(io.NopCloser(from), p), make([]byte, 1000))
		var temporary *backend.TemporaryError
		if n == 1000 || !errors.Is(err, backend.ErrDamaged) || !errors.As(err, &temporary) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	p.Sum = nil // not told: the length is all there is
	if _, err := io.ReadAll(Body(io.NopCloser(bytes.NewReader(data)), p)); err != nil {
		t.Errorf("without a checksum: %v", err)
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		span  Span
		size  int64
		want  int64
		short bool
	}{
		{Span{0, -1}, 10, 10, false},
		{Span{10, -1}, 10, 0, false},
		{Span{11, -1}, 10, 0, true},
		{Span{0, 10}, 10, 10, false},
		{Span{1, 10}, 10, 0, true},
		{Span{10, 0}, 10, 0, false},
		{Span{11, 0}, 10, 0, true},
		{Span{-1, 5}, 10, 0, true},
		{Span{1 << 62, 1 << 62}, 10, 0, true},
		{Span{0, -1}, 0, 0, false},
		{Span{5, 3}, 10, 3, false},
	} {
		got, err := c.span.Within(c.size)
		if got != c.want || errors.Is(err, backend.ErrShort) != c.short {
			t.Errorf("%+v within %d = %d, %v; want %d", c.span, c.size, got, err, c.want)
		}
	}
	for span, want := range map[Span]bool{{0, -1}: false, {0, 5}: false, {0, 0}: true, {-1, 5}: true, {1 << 62, 1}: true, {0, 1 << 62}: true} {
		if span.Look() != want {
			t.Errorf("%+v.Look() = %v", span, !want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-99/100", "bytes 5-5/6", "bytes */10", "bytes 9-5/10", "bytes 0-9223372036854775807/1", "", "items 0-1/2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		first, n, total, ok := ParseContentRange(header)
		if ok && (first < 0 || n < 1 || first+n > total || first+n < 0) {
			t.Errorf("%q is %d, %d, %d", header, first, n, total)
		}
		if !ok && (first|n|total) != 0 {
			t.Errorf("%q is refused and is %d, %d, %d", header, first, n, total)
		}
	})
}

func TestStored(t *testing.T) {
	var s Stored
	s.Add("a")
	s.Add("b")
	s.Add("c")
	s.Forget("b")
	if got := s.Take([]string{"a", "b", "d"}); len(got) != 2 || got[0] != "b" || got[1] != "d" {
		t.Errorf("unknown are %q, want b and d", got)
	}
	if got := s.Take([]string{"a", "c"}); len(got) != 1 || got[0] != "a" {
		t.Errorf("then unknown are %q, want a, which was taken", got)
	}
	for i := range most + 10 {
		s.Add(fmt.Sprint(i))
	}
	if len(s.names) > most {
		t.Errorf("%d names are remembered, more than %d", len(s.names), most)
	}
}

func TestCheck(t *testing.T) {
	if err := Check(t.Context(), "put", "../a"); !errors.Is(err, backend.ErrBadName) {
		t.Errorf("a bad name: %v", err)
	}
	why := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := Check(ctx, "put", "a"); err != nil {
		t.Error(err)
	}
	cancel(why)
	var e *backend.Error
	if err := Check(ctx, "put", "a"); !errors.Is(err, why) || !errors.As(err, &e) || e.Op != "put" || e.Object != "a" {
		t.Errorf("after the end: %v", err)
	}
}

// URLs, which may carry signatures, are never shown; failures that may pass are marked once.
func TestNetwork(t *testing.T) {
	err := Network(&url.Error{Op: "Put", URL: "https://host/a?sig=hush", Err: syscall.ECONNRESET})
	var temporary *backend.TemporaryError
	if !errors.As(err, &temporary) || !errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "hush") {
		t.Errorf("a reset: %v", err)
	}
	if again := Network(err); again != err { //nolint:errorlint // the very same
		t.Errorf("marked twice: %v", again)
	}
	ended := Network(&url.Error{Op: "Get", URL: "https://host/a?sig=hush", Err: io.EOF})
	if !errors.As(ended, &temporary) || errors.Is(ended, io.EOF) {
		t.Errorf("a connection that was closed: %v", ended)
	}
	final := errors.New("wrong certificate")
	if got := Network(&url.Error{Op: "Put", URL: "https://host/a?sig=hush", Err: final}); got != final { //nolint:errorlint // the very same
		t.Errorf("what lasts: %v", got)
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"  one line ": "one line", "first\nsecond": "first", "a\tb\x00c": "a b c", "\xff\xfe": "?", strings.Repeat("x", 400): strings.Repeat("x", 300) + "...",
	} {
		if got := Line(text); got != want {
			t.Errorf("Line(%.20q) = %.20q", text, got)
		}
	}
}
