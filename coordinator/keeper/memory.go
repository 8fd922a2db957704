package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"mahavishnu/durable"
	"mahavishnu/fault"
)

// role is what a member was when it was last heard of.
type role string

const (
	rolePrimary role = "primary"
	roleStandby role = "standby"
	// roleFenced: it was stopped by order and waits for another.
	roleFenced role = "fenced"
)

// memory is what a keeper must not forget when it is killed.
type memory struct {
	// Command is the highest epoch of a coordinator that was obeyed; Tenure the highest of
	// a lease that the member was promoted under or joined.
	Command uint64 `json:"command"`
	Tenure  uint64 `json:"tenure"`
	Role    role   `json:"role,omitempty"`
	// Owed is the epoch of a fence that the member was not told of, because its process was
	// not there; 0 is none.
	Owed uint64 `json:"owed,omitempty"`
}

// state is the memory in its file. It is safe for concurrent use.
type state struct {
	path string

	// writing is held while the file is written, which takes long when the disk hangs; mu is
	// held for moments only, so that what is remembered can be read meanwhile.
	writing sync.Mutex
	mu      sync.Mutex
	now     memory
	// heard is the highest epoch of a coordinator that was obeyed before it could be
	// written down.
	heard uint64
	// owed is what Owed is to be, which is written down after what is more urgent.
	owed uint64
}

func openState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return &state{path: path}, nil
	}
	if err != nil {
		return nil, fault.New("read the keeper's state", path, err, "")
	}
	m, err := decodeMemory(data)
	if err != nil {
		return nil, fault.New("read the keeper's state", path, err, "without it an old order could be obeyed: restore the file, or write the service's last epochs into it")
	}
	return &state{path: path, now: m, owed: m.Owed}, nil
}

func decodeMemory(data []byte) (memory, error) {
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		return memory{}, err
	}
	switch m.Role {
	case "", rolePrimary, roleStandby, roleFenced:
		return m, nil
	}
	return memory{}, fmt.Errorf("%q is no role", m.Role)
}

func (s *state) get() memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// change writes what fn makes of the memory, before it counts.
func (s *state) change(fn func(*memory)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	before, next := s.now, s.now
	next.Command, next.Owed = max(next.Command, s.heard), s.owed
	s.mu.Unlock()
	fn(&next)
	if next == before {
		return nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.path, append(data, '\n')); err != nil {
		return fault.New("write the keeper's state", s.path, err, "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = next
	return nil
}

// obey remembers a coordinator's epoch, or refuses it.
func (s *state) obey(epoch uint64) error {
	if err := s.hear(epoch); err != nil {
		return err
	}
	return s.change(func(m *memory) { m.Command = max(m.Command, epoch) })
}

// hear refuses a coordinator's epoch, or refuses lower ones from now on, without writing
// anything: the disk may be what hangs. The next change writes it down.
func (s *state) hear(epoch uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen := max(s.now.Command, s.heard); epoch < seen {
		return fmt.Errorf("%w: a coordinator of epoch %d orders, and one of epoch %d was obeyed", ErrStale, epoch, seen)
	}
	s.heard = epoch
	return nil
}

// owe remembers a fence that the member has to be told of, or with 0 that there is none. The
// next change writes it down.
func (s *state) owe(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = epoch
}

// owes tells which fence the member has to be told of, and whether that is written down.
func (s *state) owes() (epoch uint64, written bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed, s.owed == s.now.Owed
}
