package fsmeta

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"mahavishnu/snapshot/tree"
)

// xattrs is access to the attributes of one entry, however it is reached.
// Each call follows the contract of the system call of the same name.
type xattrs interface {
	list(buf []byte) (int, error)
	get(name string, buf []byte) (int, error)
	set(name string, value []byte) error
	remove(name string) error
}

// readXattrs returns the attributes in byte order of their names. Attributes
// that only describe this machine's mounting of the file are passed over.
func readXattrs(x xattrs) ([]tree.Xattr, []Loss) {
	names, err := xattrNames(x)
	if err != nil {
		return nil, []Loss{{"attributes", err}}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var list []tree.Xattr
	var lost []Loss
	for _, name := range names {
		value, err := xattrValue(x, name)
		switch {
		case err == nil:
			list = append(list, tree.Xattr{Name: []byte(name), Value: value})
		case errors.Is(err, errNoXattr): // gone since it was listed
		default:
			lost = append(lost, Loss{"attribute " + name, err})
		}
	}
	slices.SortFunc(list, func(a, b tree.Xattr) int { return bytes.Compare(a.Name, b.Name) })
	return list, lost
}

// xattrNames lists the names; an entry or file system without any gives none.
func xattrNames(x xattrs) ([]string, error) {
	var small [512]byte
	buf := small[:]
	for {
		n, err := x.list(buf)
		if errors.Is(err, errXattrRange) {
			if n, err = x.list(nil); err == nil {
				buf = make([]byte, n+1024) // room for what is added meanwhile
				continue
			}
		}
		if err != nil {
			if xattrsUnsupported(err) {
				return nil, nil
			}
			return nil, err
		}
		if n == 0 {
			return nil, nil
		}
		return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
	}
}

func xattrValue(x xattrs, name string) ([]byte, error) {
	var small [256]byte
	buf := small[:]
	for {
		n, err := x.get(name, buf)
		if errors.Is(err, errXattrRange) {
			if n, err = x.get(name, nil); err == nil {
				buf = make([]byte, n+256)
				continue
			}
		}
		if err != nil || n == 0 {
			return nil, err
		}
		return bytes.Clone(buf[:n]), nil
	}
}

// syncXattrs makes the entry's attributes those of want, touching only what
// differs. It reports what could not be set or removed.
func syncXattrs(x xattrs, want []tree.Xattr) []Loss {
	have, lost := readXattrs(x)
	find := func(list []tree.Xattr, name []byte) (tree.Xattr, bool) {
		i, ok := slices.BinarySearchFunc(list, name, func(x tree.Xattr, name []byte) int { return bytes.Compare(x.Name, name) })
		if !ok {
			return tree.Xattr{}, false
		}
		return list[i], true
	}
	for _, h := range have {
		if _, wanted := find(want, h.Name); wanted || !removable(string(h.Name)) {
			continue
		}
		if err := x.remove(string(h.Name)); err != nil && !errors.Is(err, errNoXattr) {
			lost = append(lost, Loss{"removal of attribute " + string(h.Name), err})
		}
	}
	for _, w := range want {
		if h, ok := find(have, w.Name); ok && bytes.Equal(h.Value, w.Value) {
			continue
		}
		if err := x.set(string(w.Name), w.Value); err != nil {
			lost = append(lost, Loss{"attribute " + string(w.Name), err})
		}
	}
	return lost
}

// removable reports whether an attribute that the snapshot does not have is
// removed. Labels and measurements of the security modules come from the
// machine's policy, not from the files.
func removable(name string) bool {
	return !strings.HasPrefix(name, "security.") || name == "security.capability"
}
