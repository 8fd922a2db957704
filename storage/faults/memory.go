package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"mahavishnu/storage"
	"mahavishnu/storage/backend"
)

// Memory is a backend that keeps objects in memory: as fast as a proof by many
// thousand steps needs it. It keeps the whole contract, and lists names in order,
// so that what a test does is the same each time.
//
// Bytes are never changed in place, so a [Memory.Clone] costs no copy of them.
type Memory struct {
	mu      sync.RWMutex
	objects map[string][]byte
}

var _ storage.Backend = (*Memory)(nil)

// NewMemory returns an empty place.
func NewMemory() *Memory { return &Memory{objects: map[string][]byte{}} }

// Clone returns a second place with the same objects.
func (m *Memory) Clone() *Memory {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return &Memory{objects: maps.Clone(m.objects)}
}

// Objects returns all objects by name. The bytes must not be changed.
func (m *Memory) Objects() map[string][]byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.objects)
}

// Set replaces an object, or with nil removes it: damage, from outside all rules.
func (m *Memory) Set(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data == nil {
		delete(m.objects, name)
		return
	}
	m.objects[name] = data
}

func (m *Memory) look(ctx context.Context, op, name string) ([]byte, error) {
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	data, ok := m.objects[name]
	if !ok {
		return nil, &storage.Error{Op: op, Object: name, Err: storage.ErrNotFound}
	}
	return data, nil
}

// begin is what every operation on an object checks first.
func begin(ctx context.Context, op, name string) error {
	if err := backend.CheckName(op, name); err != nil {
		return err
	}
	return ended(ctx, op, name)
}

func ended(ctx context.Context, op, name string) error {
	if ctx.Err() != nil {
		return &storage.Error{Op: op, Object: name, Err: context.Cause(ctx)}
	}
	return nil
}

// Put stores an object.
func (m *Memory) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	const op = "put"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	data = append([]byte{}, data...) // never nil: an empty object is one
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken && o.IfAbsent {
		return &storage.Error{Op: op, Object: name, Err: storage.ErrExists}
	}
	m.objects[name] = data
	return nil
}

// Get reads an object.
func (m *Memory) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "get"
	data, err := m.look(ctx, op, name)
	if err != nil {
		return nil, err
	}
	size := int64(len(data))
	if length < 0 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return nil, &storage.Error{Op: op, Object: name, Err: storage.ErrShort}
	}
	return io.NopCloser(bytes.NewReader(data[offset : offset+length])), nil
}

// Stat describes an object.
func (m *Memory) Stat(ctx context.Context, name string) (storage.Info, error) {
	data, err := m.look(ctx, "stat", name)
	return storage.Info{Name: name, Size: int64(len(data))}, err
}

// List lists objects by name.
func (m *Memory) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	const op = "list"
	if err := errors.Join(backend.CheckPrefix(op, prefix), ended(ctx, op, prefix)); err != nil {
		return err
	}
	m.mu.RLock()
	var infos []storage.Info
	for name, data := range m.objects {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, storage.Info{Name: name, Size: int64(len(data))})
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(infos, func(a, b storage.Info) int { return strings.Compare(a.Name, b.Name) })
	for _, info := range infos {
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes an object.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := begin(ctx, "delete", name); err != nil {
		return err
	}
	m.Set(name, nil)
	return nil
}

// Sync checks that the objects are there: here nothing is lost with the power.
func (m *Memory) Sync(ctx context.Context, names []string) error {
	const op = "sync"
	if err := ended(ctx, op, m.Location()); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := m.look(ctx, op, name); err != nil {
			return err
		}
	}
	return nil
}

// Location says that there is none.
func (m *Memory) Location() string { return "memory" }

// Close does nothing.
func (m *Memory) Close() error { return nil }
