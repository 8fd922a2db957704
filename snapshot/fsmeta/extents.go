package fsmeta

import (
	"iter"
	"os"
)

// Extent is a run of a file: data, or a hole that reads as zeros and occupies
// nothing.
type Extent struct {
	Offset, Length int64
	Hole           bool
}

// Extents yields the runs of the first size bytes of f, in order, without gaps
// and never two of a kind in a row. A file system that cannot tell holes apart
// gives one run of data. An error ends the sequence. The file's own offset is
// moved: read with ReadAt.
func Extents(f *os.File, size int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		for off := int64(0); off < size; {
			start, end, err := NextData(f, off, size)
			if err != nil {
				yield(Extent{}, err)
				return
			}
			if start > off && !yield(Extent{Offset: off, Length: start - off, Hole: true}, nil) {
				return
			}
			if end > start && !yield(Extent{Offset: start, Length: end - start}, nil) {
				return
			}
			off = end
		}
	}
}
