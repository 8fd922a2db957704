//go:build !linux

package disk

import (
	"errors"

	"mahavishnu/fault"
)

// Disk is there on Linux only.
type Disk struct{}

// Mount makes no disk here.
func Mount(file, _ string) (*Disk, error) {
	return nil, fault.New("make a disk in", file, errors.New("file systems are frozen on Linux only"), "")
}

// Stall does nothing here.
func (*Disk) Stall() error { return errors.ErrUnsupported }

// Thaw does nothing here.
func (*Disk) Thaw() error { return nil }

// Close does nothing here.
func (*Disk) Close() error { return nil }
