package corpus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// generator writes one file after another through the same buffers.
type generator struct {
	out   *bufio.Writer
	block []byte
}

func newGenerator() *generator {
	return &generator{out: bufio.NewWriterSize(io.Discard, 1<<20), block: make([]byte, 64<<10)}
}

// file writes file n of the tree and returns its size.
func (g *generator) file(dir string, s Spec, n int) (int64, error) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], s.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(n))
	source := rand.NewChaCha8(seed)

	path := filepath.Join(dir, s.path(n))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	g.out.Reset(f)
	size := s.size(n, source)
	err = g.content(s, n, source, size)
	if err == nil {
		err = g.out.Flush()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return size, err
}

func (s Spec) size(_ int, source *rand.ChaCha8) int64 {
	if s.Kind != Small {
		return s.FileSize
	}
	// The mean of FileSize * u for u in {1/4, 1/2, 1, 2} is just under FileSize.
	quarter := max(s.FileSize/4, 1)
	return quarter << (source.Uint64() % 4)
}

func (g *generator) content(s Spec, n int, source *rand.ChaCha8, size int64) error {
	write := g.words
	switch {
	case s.Kind == Incompressible, s.Kind == Mixed && n%5 < 2:
		write = g.random
	case s.Kind == Mixed && n%5 == 4:
		write = g.records
	}
	for size > 0 {
		part, err := write(source, size)
		if err != nil {
			return err
		}
		size -= part
	}
	return nil
}

func (g *generator) random(source *rand.ChaCha8, size int64) (int64, error) {
	block := g.block[:min(int64(len(g.block)), size)]
	if _, err := source.Read(block); err != nil {
		return 0, err
	}
	n, err := g.out.Write(block)
	return int64(n), err
}

// lexicon gives text about the redundancy of English prose: a small alphabet of
// words, drawn with a bias to the front.
var lexicon = func() (words [4096]string) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range words {
		word := make([]byte, 2+r.IntN(9))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgkqjxz"[min(r.IntN(26), r.IntN(26))]
		}
		words[i] = string(word) + " "
	}
	return words
}()

func (g *generator) words(source *rand.ChaCha8, size int64) (int64, error) {
	x := source.Uint64()
	word := lexicon[min(x&0xfff, x>>16&0xfff)]
	n, err := g.out.WriteString(word[:min(int64(len(word)), size)])
	return int64(n), err
}

func (g *generator) records(source *rand.ChaCha8, size int64) (int64, error) {
	x := source.Uint64()
	record := fmt.Appendf(g.block[:0], "%012d|%08x|%-24s|%6d.%02d|ACTIVE  \n", x%1e9, uint32(x>>32), lexicon[x>>40&0xfff], x>>20%1e6, x%100)
	n, err := g.out.Write(record[:min(int64(len(record)), size)])
	return int64(n), err
}
