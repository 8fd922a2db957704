package corpus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
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

// Sizes of real files are about log-normal, with a few large ones that hold most
// of the bytes: "A Five-Year Study of File-System Metadata" (Agrawal and others,
// FAST 2007) measured a sigma of 2.5. Ours is less, and the tail is cut. Instead
// of drawing them, sizes walk through the distribution in steps of the golden
// section, so that trees of one specification come out equally large.
const (
	sigma   = 2.0
	largest = 250 // times the mean
)

// medianShare is the median of such sizes, as a share of their mean: the mean is
// exp(sigma^2/2) medians. Cutting the tail takes some of it away again.
var medianShare = 1 / (math.Exp(sigma*sigma/2) * 0.985)

func (s Spec) size(n int, source *rand.ChaCha8) int64 {
	switch s.Kind {
	case Small:
		// The mean of FileSize * u for u in {1/4, 1/2, 1, 2} is just under FileSize.
		quarter := max(s.FileSize/4, 1)
		return quarter << (source.Uint64() % 4)
	case Files, Versions:
		_, place := math.Modf(float64(n)*math.Phi + float64(s.Seed%1000)/1000)
		normal := math.Sqrt2 * math.Erfinv(2*place-1)
		size := float64(s.FileSize) * medianShare * math.Exp(sigma*normal)
		return int64(min(max(size, 1), largest*float64(s.FileSize)))
	}
	return s.FileSize
}

func (g *generator) content(s Spec, n int, source *rand.ChaCha8, size int64) error {
	write := g.words
	switch {
	case s.Kind == Incompressible, s.Kind == Mixed && n%5 < 2:
		write = g.random
	case s.Kind == Mixed && n%5 == 4:
		write = g.records
	case s.Kind == Files:
		switch draw := source.Uint64() % 100; {
		case draw < 35:
			write = g.random
		case draw < 50:
			write = g.records
		}
	case s.Kind == Versions:
		write = g.source
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
