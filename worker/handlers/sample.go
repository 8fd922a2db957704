package handlers

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mahavishnu/fault"
	"mahavishnu/snapshot"
)

// SampleResult compares restored files with the live source.
type SampleResult struct {
	Share float64 `json:"share"`
	// Files were chosen. Of these, Same have equal content, and Moved changed or
	// went away since the backup, by their size and time.
	Files int64 `json:"files"`
	Same  int64 `json:"same"`
	Moved int64 `json:"moved"`
	// Different names the first files with equal size and time and other
	// content: the backup missed something, or one side is damaged.
	Different      []string `json:"different,omitempty"`
	DifferentTotal int64    `json:"different_total"`
	// Unreadable files of the source could not be compared.
	Unreadable int64 `json:"unreadable,omitempty"`
}

// sampler compares a share of the restored files with the live ones.
type sampler struct {
	restored, live string
	share          float64 // percent
	seed           string  // other seeds choose other files
	a, b           [64 << 10]byte
}

func (s *sampler) run(ctx context.Context) (*SampleResult, error) {
	if info, err := os.Stat(s.live); err == nil && !info.IsDir() {
		s.live = filepath.Dir(s.live) // a source that is a file is kept as its directory
	}
	result := &SampleResult{Share: s.share}
	err := filepath.WalkDir(s.restored, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(s.restored, path)
		if err != nil || !s.chosen(name) {
			return err
		}
		result.Files++
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.compare(path, name, result)
	})
	if err != nil {
		return nil, fault.New("compare with the live source", s.live, err, "")
	}
	return result, nil
}

// chosen picks files by a hash of their names, so that every attempt of a job
// picks the same ones.
func (s *sampler) chosen(name string) bool {
	h := fnv.New64a()
	io.WriteString(h, s.seed) //nolint:errcheck // a hash does not fail
	io.WriteString(h, "\x00") //nolint:errcheck // a hash does not fail
	io.WriteString(h, name)   //nolint:errcheck // a hash does not fail
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd // spread the last bytes (MurmurHash3's finalizer)
	return float64((x^x>>33)%1e6) < s.share*1e4
}

func (s *sampler) compare(restored, name string, result *SampleResult) error {
	live := filepath.Join(s.live, name)
	a, err := os.Lstat(restored)
	if err != nil {
		return err
	}
	unmoved := func() bool {
		b, err := os.Lstat(live)
		return err == nil && b.Mode().IsRegular() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	}
	if !unmoved() {
		result.Moved++
		return nil
	}
	same, err := s.equal(restored, live)
	switch {
	case !unmoved(): // it changed while it was read
		result.Moved++
	case err != nil:
		result.Unreadable++
	case same:
		result.Same++
	default:
		result.DifferentTotal++
		if len(result.Different) < maxDifferences {
			result.Different = append(result.Different, snapshot.Printable(filepath.ToSlash(name)))
		}
	}
	return nil
}

func (s *sampler) equal(x, y string) (bool, error) {
	a, err := os.Open(x)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(y)
	if err != nil {
		return false, err
	}
	defer b.Close()
	for {
		n, errA := io.ReadFull(a, s.a[:])
		m, errB := io.ReadFull(b, s.b[:])
		if !bytes.Equal(s.a[:n], s.b[:m]) {
			return false, nil
		}
		endA, endB := ended(errA), ended(errB)
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA || endB:
			return endA && endB, nil
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
