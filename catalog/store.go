package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"mahavishnu/fault"
	"mahavishnu/messages/bus"
)

// Store keeps small values by key: snapshot ids of hexadecimal digits. It is
// safe for concurrent use; the last write wins.
type Store interface {
	// Put writes a value, whatever the key held.
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes a key; a missing one is no error.
	Delete(ctx context.Context, key string) error
	// Each calls fn for every key, in no order that matters.
	Each(ctx context.Context, fn func(key string, value []byte) error) error
}

// Memory is a Store that ends with the process.
type Memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	m.values[key] = bytes.Clone(value)
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

// Each implements [Store].
func (m *Memory) Each(_ context.Context, fn func(string, []byte) error) error {
	m.mu.Lock()
	values := maps.Clone(m.values)
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := fn(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// File is a Store in one file of JSON lines, for work without a queue. Every
// change appends a line; opening it drops what was overtaken. One process at a
// time may change it. What a crash cuts off is ignored: it is a cache.
type File struct {
	path string
	Memory
}

// line is one change: a value, or null for a deletion.
type line struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// OpenFile opens the catalog file at path, or begins one.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("open catalog", path, err, "delete it and rebuild: mahavishnu catalog rebuild")
	}
	lines, ctx := 0, context.Background()
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var l line
		if err := decoder.Decode(&l); err != nil {
			if !errors.Is(err, io.EOF) {
				lines = len(data) // a torn tail: write the file anew
			}
			break
		}
		lines++
		if string(l.Value) == "null" {
			err = f.Memory.Delete(ctx, l.Key)
		} else {
			err = f.Memory.Put(ctx, l.Key, l.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	if lines > 2*len(f.values)+64 {
		return f, f.rewrite()
	}
	return f, nil
}

// Put implements [Store].
func (f *File) Put(ctx context.Context, key string, value []byte) error {
	return errors.Join(f.append(line{key, value}), f.Memory.Put(ctx, key, value))
}

// Delete implements [Store].
func (f *File) Delete(ctx context.Context, key string) error {
	return errors.Join(f.append(line{key, json.RawMessage("null")}), f.Memory.Delete(ctx, key))
}

func (f *File) append(l line) (err error) {
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode catalog entry %s: %w", l.Key, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fault.New("write catalog", f.path, err, "")
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fault.New("write catalog", f.path, err, "")
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		return fault.New("write catalog", f.path, err, "")
	}
	return nil
}

// rewrite replaces the file by one line per key.
func (f *File) rewrite() error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		if err := encoder.Encode(line{key, f.values[key]}); err != nil {
			return fmt.Errorf("encode catalog entry %s: %w", key, err)
		}
	}
	next := f.path + ".new"
	err := os.WriteFile(next, text.Bytes(), 0o600)
	if err == nil {
		err = os.Rename(next, f.path)
	}
	if err != nil {
		return fault.New("write catalog", f.path, err, "")
	}
	return nil
}

// Bucket is a Store in a bucket of the queue, shared by all processes.
type Bucket struct{ Store *bus.Store }

// bucketPrefix sets the snapshots apart from whatever else the bucket holds.
const bucketPrefix = "snapshot."

// Put implements [Store].
func (b Bucket) Put(ctx context.Context, key string, value []byte) error {
	_, err := b.Store.Put(ctx, bucketPrefix+key, value)
	return err
}

// Delete implements [Store].
func (b Bucket) Delete(ctx context.Context, key string) error {
	return b.Store.Delete(ctx, bucketPrefix+key, 0)
}

// Each implements [Store].
func (b Bucket) Each(ctx context.Context, fn func(string, []byte) error) error {
	return b.Store.Each(ctx, bucketPrefix+"*", func(v bus.Value) error { return fn(v.Key[len(bucketPrefix):], v.Data) })
}
