package standby

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"mahavishnu/durable"
	"mahavishnu/fault"
)

// Epochs remembers the highest epoch that a member has seen, in a file. It is safe for concurrent use.
type Epochs struct {
	path string

	mu   sync.Mutex
	seen uint64
}

// OpenEpochs reads the file, which need not be there yet.
func OpenEpochs(path string) (*Epochs, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return &Epochs{path: path}, nil
	}
	if err != nil {
		return nil, fault.New("read the highest epoch seen in", path, err, "")
	}
	seen, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return nil, fault.New("read the highest epoch seen in", path, err, "write the epoch of the service's lease into it, as a number")
	}
	return &Epochs{path: path, seen: seen}, nil
}

// Seen returns the highest epoch.
func (e *Epochs) Seen() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// Check returns ErrStale for an epoch below the highest, and remembers nothing.
func (e *Epochs) Check(epoch uint64) error {
	if seen := e.Seen(); epoch < seen {
		return fmt.Errorf("%w: %d after %d", ErrStale, epoch, seen)
	}
	return nil
}

// Accept remembers an epoch for good before it returns, or returns ErrStale.
func (e *Epochs) Accept(epoch uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case epoch < e.seen:
		return fmt.Errorf("%w: %d after %d", ErrStale, epoch, e.seen)
	case epoch == e.seen:
		return nil
	}
	if err := durable.WriteFile(e.path, []byte(strconv.FormatUint(epoch, 10)+"\n")); err != nil {
		return fault.New("remember the epoch in", e.path, err, "")
	}
	e.seen = epoch
	return nil
}
