package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
	"github.com/edsrzf/mmap-go"
)

// File is a fragment read from a memory-mapped file.
type File struct {
	*Fragment
	mapped mmap.MMap
}

// OpenFile maps the file of a fragment. Its checksum is compared by reading it
// once, apart from the mapping, so that the check does not make every page
// resident.
func OpenFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := checkSum(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m, err := mmap.Map(f, mmap.RDONLY, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %s: %w", path, err), f.Close())
	}
	fragment, err := parse(m)
	if err != nil {
		return nil, errors.Join(err, m.Unmap(), f.Close())
	}
	fragment.file = f
	return &File{Fragment: fragment, mapped: m}, nil
}

// Shrink keeps look-ups from making the entries resident: from now on they read
// what they need from the file, and what they touched until now is let go. That
// costs each look-up that finds something a few system calls, so it is for indexes
// that are large.
func (f *File) Shrink() {
	if !f.apart.Swap(true) {
		release(f.mapped)
	}
}

func checkSum(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < HeaderSize+sumSize {
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, info.Size())
	}
	sum := xxhash.New()
	if _, err := io.CopyN(sum, f, info.Size()-sumSize); err != nil {
		return err
	}
	var want [sumSize]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return err
	}
	if sum.Sum64() != binary.LittleEndian.Uint64(want[:]) {
		return fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	return nil
}

// Close unmaps the file. The fragment must not be used any more.
func (f *File) Close() error { return errors.Join(f.mapped.Unmap(), f.file.Close()) }
