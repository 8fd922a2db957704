package faults

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/storage"
)

// Loss is what a power cut does to an object that was put and not synced.
type Loss func(i int, data []byte) (left []byte, exists bool)

// LoseAll takes every object that was not synced.
func LoseAll(int, []byte) ([]byte, bool) { return nil, false }

// LoseHalf cuts every object in half: its name reached the disk, and the first
// half of its bytes.
func LoseHalf(_ int, data []byte) ([]byte, bool) { return data[:len(data)/2], true }

// LoseBytes leaves every object's name and size, and zeros for bytes.
func LoseBytes(_ int, data []byte) ([]byte, bool) { return make([]byte, len(data)), true }

// LoseMixed does something else to each object: whole, empty, cut, zeroed in the
// middle, gone.
func LoseMixed(i int, data []byte) ([]byte, bool) {
	switch i % 5 {
	case 0:
		return data, true
	case 1:
		return nil, true
	case 2:
		return data[:len(data)*2/3], true
	case 3:
		left := slices.Clone(data)
		clear(left[len(left)/3 : len(left)*2/3])
		return left, true
	}
	return nil, false
}

// remember notes what an object was before its first change that is not
// durable, and tells whether this is the first.
func (f *Backend) remember(ctx context.Context, name string) (first bool, err error) {
	f.mu.Lock()
	_, known := f.unsynced[name]
	f.mu.Unlock()
	if known {
		return false, nil
	}
	data, err := storage.ReadAll(ctx, f.inner, name, 1<<40, nil)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.unsynced[name]; known {
		return false, nil // another put of it was faster
	}
	f.unsynced[name] = before{existed: err == nil, data: data}
	f.order = append(f.order, name)
	return true, nil
}

func (f *Backend) forget(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		delete(f.unsynced, name)
	}
	f.order = slices.DeleteFunc(f.order, func(name string) bool { return slices.Contains(names, name) })
}

// PowerCut applies a loss to everything that was changed and not synced, in the
// order of the changes. An object that was there before comes back as it was
// when the loss takes the new one. The wrapped backend then is what a machine
// finds when it starts again; use it, not the wrapper, from here.
func (f *Backend) PowerCut(ctx context.Context, loss Loss) error {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.changing.Lock() // waits for changes that run
	defer f.changing.Unlock()
	f.cut = true
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, name := range f.order {
		old := f.unsynced[name]
		data, err := storage.ReadAll(ctx, f.inner, name, 1<<40, nil)
		if err != nil {
			return err
		}
		left, exists := old.data, old.existed
		if now, kept := loss(i, data); kept {
			left, exists = now, true
		}
		if exists {
			err = f.inner.Put(ctx, name, left, storage.PutOptions{})
		} else {
			err = f.inner.Delete(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
