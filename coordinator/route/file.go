package route

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"mahavishnu/durable"
	"mahavishnu/fault"
)

// File remembers, across restarts, what a router of this machine was pointed at,
// for ways that cannot remember it themselves. One process uses it at a time.
type File struct{ path string }

// Remembered is what a File holds.
type Remembered struct {
	// Promised is the highest epoch that a change was begun with. Whether it was
	// made may be unknown, so nothing lower may be done.
	Promised uint64 `json:"promised"`
	// State is the last change that is known to be made.
	State
}

// NewFile returns the file at a path, whose directory must exist by the time
// something is stored.
func NewFile(path string) *File { return &File{path: path} }

// Load reads the file; a missing one is nothing remembered.
func (f *File) Load() (Remembered, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Remembered{}, nil
	}
	if err != nil {
		return Remembered{}, fault.New("read what was routed from", f.path, err, "")
	}
	var r Remembered
	if err := json.Unmarshal(data, &r); err != nil {
		return Remembered{}, fault.New("read what was routed from", f.path, err, "the file is damaged: see where clients are led, write that epoch into it as {\"promised\": EPOCH}, and start again")
	}
	return r, nil
}

// Store replaces the file; when it returns, a power cut does not undo it.
func (f *File) Store(r Remembered) error {
	if err := f.store(r); err != nil {
		return fault.New("remember what was routed in", f.path, err, "see that the directory exists, is writable and has space")
	}
	return nil
}

func (f *File) store(r Remembered) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFile(f.path, append(data, '\n'))
}
