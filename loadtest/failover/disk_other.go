//go:build !linux

package failover

import (
	"errors"

	"mahavishnu/fault"
)

// disk is there on Linux only.
type disk struct{ at string }

func mountDisk(file, _ string) (*disk, error) {
	return nil, fault.New("make a disk in", file, errors.New("file systems are frozen on Linux only"), "")
}

func (*disk) stall() error { return errors.ErrUnsupported }
func (*disk) thaw() error  { return nil }
func (*disk) close() error { return nil }
