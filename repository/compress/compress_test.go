package compress

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
)

var settings = []Setting{{}, {Algorithm: Zstd, Level: 3}, {Algorithm: Zstd, Level: 19}, {Algorithm: Gzip}, {Algorithm: Gzip, Level: 9}, {Algorithm: None}}

func samples() map[string][]byte {
	random := make([]byte, 300000)
	_, _ = rand.Read(random)
	text := []byte(strings.Repeat("the quick brown fox ", 20000))
	return map[string][]byte{
		"empty": {}, "one": {1}, "zeros": make([]byte, 100000), "text": text, "random": random,
		"digits": []byte(hex.EncodeToString(random)),
		"short":  []byte("abcabcabcabcabcabcabcabcabcabcabcabcabcabc"), "mixed": append(bytes.Clone(random), text...),
	}
}

func TestRoundTrip(t *testing.T) {
	d, err := NewDecoder(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, s := range settings {
		e, err := NewEncoder(s)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range samples() {
			for _, room := range []int{len(want), len(want) + 1<<20} {
				buf := make([]byte, 10, 10+room)
				out, code, err := e.Append(buf, want)
				if err != nil || len(out)-10 > len(want) {
					t.Fatalf("%v %s: %d bytes became %d, %v", s, name, len(want), len(out)-10, err)
				}
				if len(want) > 0 && &out[0] != &buf[0] {
					t.Errorf("%v %s: the result is not where it should be", s, name)
				}
				got, err := d.Decode(nil, out[10:], code, len(want))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%v %s: %d bytes come back, %v", s, name, len(got), err)
				}
				if code == CodeNone {
					continue
				}
				for _, wrong := range []int{len(want) - 1, len(want) + 1} {
					if _, err := d.Decode(nil, out[10:], code, wrong); err == nil {
						t.Errorf("%v %s: decoded to %d bytes, there are %d", s, name, wrong, len(want))
					}
				}
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatCannotShrinkIsKept(t *testing.T) {
	for _, s := range settings {
		e, err := NewEncoder(s)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]Code{"random": CodeNone, "text": e.code, "zeros": e.code, "mixed": e.code, "digits": e.code} {
			if _, code, err := e.Append(nil, samples()[name]); err != nil || code != want {
				t.Errorf("%v %s: code %d, %v; want %d", s, name, code, err, want)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	d, err := NewDecoder(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, s := range settings {
		e, err := NewEncoder(s)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				want := []byte(strings.Repeat(fmt.Sprint("saver ", i), 3000+i))
				for range 3 {
					out, code, err := e.Append(nil, want)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := d.Decode(nil, out, code, len(want)); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%v: %v", s, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, s := range []Setting{{Algorithm: "lzma"}, {Algorithm: Gzip, Level: 10}, {Algorithm: Zstd, Level: 23}, {Level: -1}} {
		if _, err := NewEncoder(s); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range settings {
		e, err := NewEncoder(s)
		if err != nil {
			f.Fatal(err)
		}
		out, code, err := e.Append(nil, bytes.Repeat([]byte("fuzz"), 100))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out, uint8(code), 400)
	}
	d, err := NewDecoder(1 << 20)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, code uint8, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, err := d.Decode(nil, data, Code(code), size); err == nil && len(out) != size {
			t.Fatalf("%d bytes, want %d", len(out), size)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, s := range settings {
		for _, name := range []string{"text", "random"} {
			data := samples()[name][:256<<10]
			b.Run(fmt.Sprintf("%s-%d/%s", s.Algorithm, s.Level, name), func(b *testing.B) {
				e, err := NewEncoder(s)
				if err != nil {
					b.Fatal(err)
				}
				buf := make([]byte, 0, 1<<20)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := e.Append(buf, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
