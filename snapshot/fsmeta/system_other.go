//go:build !linux && !darwin

package fsmeta

import (
	"errors"
	"io/fs"
	"path/filepath"

	"mahavishnu/snapshot/tree"
)

const (
	keepsOwners = false
	keepsXattrs = false
)

var (
	errNoXattr    = errors.New("no such attribute")
	errXattrRange = errors.New("attribute too long")
)

// localName refuses what the system would take for a path, a device or a
// stream: "a\b", "nul", "a:b".
func localName(name string) bool { return filepath.IsLocal(name) && filepath.Base(name) == name }

func addSystem(*tree.Node, fs.FileInfo) {}

func xattrsUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// xattrByFD stands for attributes where there are none.
type xattrByFD uintptr

func (xattrByFD) list([]byte) (int, error)        { return 0, nil }
func (xattrByFD) get(string, []byte) (int, error) { return 0, errNoXattr }
func (xattrByFD) set(string, []byte) error        { return errors.ErrUnsupported }
func (xattrByFD) remove(string) error             { return nil }
