//go:build !linux

package netlab

import (
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
)

// region exists on Linux only.
type region struct{}

func openRegion(netip.Addr) (*region, error) {
	return nil, fmt.Errorf("%w: %s has no network namespaces", ErrRefused, runtime.GOOS)
}

func (*region) read(func([]byte))         {}
func (*region) write([]byte)              {}
func (*region) start(*exec.Cmd) error     { return ErrRefused }
func (*region) inside(func() error) error { return ErrRefused }
func (*region) close() error              { return nil }
