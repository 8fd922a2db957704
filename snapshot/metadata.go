package snapshot

import (
	"bytes"
	"slices"

	"mahavishnu/snapshot/tree"
)

// metaDiff names the pieces of metadata that a restore must keep and in which
// two entries of one type differ: "mode", "owner", "time", "target", "device",
// "attributes". Inode, device, change time and the names of owners belong to the
// machine and are not compared. Attribute values must be loaded.
func metaDiff(a, b *tree.Node) []string {
	var diff []string
	note := func(differs bool, what string) {
		if differs {
			diff = append(diff, what)
		}
	}
	// The mode of a symbolic link means nothing and cannot be set.
	note(a.Mode != b.Mode && a.Type != tree.Symlink, "mode")
	note(a.UID != b.UID || a.GID != b.GID, "owner")
	note(a.ModTime != b.ModTime, "time")
	note(!bytes.Equal(a.LinkTarget, b.LinkTarget), "target")
	note(a.Rdev != b.Rdev, "device")
	note(!sameXattrs(a.Xattrs, b.Xattrs), "attributes")
	return diff
}

// sameXattrs compares attributes whose values are loaded.
func sameXattrs(a, b []tree.Xattr) bool {
	return slices.EqualFunc(a, b, func(x, y tree.Xattr) bool {
		return bytes.Equal(x.Name, y.Name) && bytes.Equal(x.Value, y.Value)
	})
}
