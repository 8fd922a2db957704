package repository

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"mahavishnu/repository/compress"
)

// corpus is a set of 1 MiB blobs; each use is made different by its first bytes.
func corpus(name string) [][]byte {
	const n, size = 16, 1 << 20
	blobs := make([][]byte, n)
	for i := range blobs {
		switch name {
		case "text":
			blobs[i] = make([]byte, 0, size+64)
			words := []string{"backup ", "restore ", "snapshot ", "the ", "of ", "repository ", "pack\n", "index "}
			x := uint32(i + 1)
			for len(blobs[i]) < size {
				x = x*1664525 + 1013904223
				blobs[i] = fmt.Appendf(blobs[i], "%s%d ", words[x>>13&7], x>>20&255)
			}
			blobs[i] = blobs[i][:size]
		case "random":
			blobs[i] = make([]byte, size)
			s := uint64(i + 1)
			for j := 0; j < size; j += 8 {
				s ^= s << 13
				s ^= s >> 7
				s ^= s << 17
				for k := range 8 {
					blobs[i][j+k] = byte(s >> (8 * k))
				}
			}
		}
	}
	return blobs
}

// BenchmarkSave is the way of a chunk from hash to pack, on all cores, with the
// packs written to a real directory.
func BenchmarkSave(b *testing.B) {
	for _, data := range []string{"text", "random"} {
		for _, h := range []Hash{SHA256, BLAKE3} {
			for _, c := range []compress.Setting{{}, {Algorithm: compress.None}} {
				b.Run(fmt.Sprintf("%s/%s/%s", data, h, cmpName(c)), func(b *testing.B) {
					r, _ := newRepo(b, CreateOptions{Hash: h})
					s, err := r.Session(b.Context(), SessionOptions{Compression: c})
					if err != nil {
						b.Fatal(err)
					}
					blobs := corpus(data)
					b.SetBytes(1 << 20)
					b.ReportAllocs()
					b.ResetTimer()
					saveAll(b, s, blobs, b.N)
					if _, err := s.Abort(context.Background()); err != nil {
						b.Fatal(err)
					}
				})
			}
		}
	}
}

func cmpName(c compress.Setting) string {
	if c.Algorithm == "" {
		return "zstd"
	}
	return string(c.Algorithm)
}

func saveAll(b *testing.B, s *Session, blobs [][]byte, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 1<<20)
			for {
				i := int(next.Add(1))
				if i > n {
					return
				}
				copy(buf, blobs[i%len(blobs)])
				buf[0], buf[1], buf[2], buf[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
				if _, _, err := s.Save(b.Context(), KindData, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkSaveKnown is what an unchanged chunk costs.
func BenchmarkSaveKnown(b *testing.B) {
	r, _ := newRepo(b, CreateOptions{})
	s := startSession(b, r, SessionOptions{PackSize: defaultPackSize})
	data := corpus("text")[0]
	mustSave(b, s, KindData, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		mustSave(b, s, KindData, data)
	}
}

// BenchmarkSaveSmall is the way of a file of 2 KiB.
func BenchmarkSaveSmall(b *testing.B) {
	r, _ := newRepo(b, CreateOptions{})
	s := startSession(b, r, SessionOptions{PackSize: defaultPackSize})
	data := corpus("text")[0][:2048]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		data[0], data[1], data[2], data[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		mustSave(b, s, KindData, data)
	}
}

// BenchmarkLoadPack is reading back whole packs.
func BenchmarkLoadPack(b *testing.B) {
	for _, data := range []string{"text", "random"} {
		b.Run(data, func(b *testing.B) {
			r, _ := newRepo(b, CreateOptions{})
			s := startSession(b, r, SessionOptions{PackSize: defaultPackSize})
			saveAll(b, s, corpus(data), 64)
			mustCommit(b, s, Snapshot{Root: mustSave(b, s, KindTree, nil)})
			packs := map[PackID][]Wanted{}
			r.EachBlob(func(id ID, l Location) bool {
				packs[l.Pack] = append(packs[l.Pack], Wanted{ID: id, Offset: l.Offset, Stored: l.Stored, Raw: l.Raw})
				return true
			})
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for b.Loop() {
				for id, wanted := range packs {
					_, err := r.LoadPack(b.Context(), id, wanted, nil, func(_ Wanted, _ []byte, err error) error { return err })
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkCheckPack is the full check of all data, on one core.
func BenchmarkCheckPack(b *testing.B) {
	r, _ := newRepo(b, CreateOptions{})
	s := startSession(b, r, SessionOptions{PackSize: defaultPackSize})
	saveAll(b, s, corpus("random"), 31)
	mustCommit(b, s, Snapshot{Root: mustSave(b, s, KindTree, nil)})
	b.SetBytes(31 << 20)
	for b.Loop() {
		err := r.Packs(b.Context(), func(p PackInfo) error {
			problem, err := r.CheckPack(b.Context(), p.ID)
			if problem != nil {
				err = problem.Err
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
