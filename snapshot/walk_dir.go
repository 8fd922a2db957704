package snapshot

import (
	"errors"
	"sync/atomic"

	"mahavishnu/snapshot/fsmeta"
)

// keepOpen is the depth from which on a directory is closed while those below it
// are walked, and opened again when they are done. Trees may be deeper than a
// process may have files open.
const keepOpen = 32

// directory is one that is being walked.
type directory struct {
	up         *directory // nil for the root
	name       string
	path       string // from the source's root
	depth      int
	id         inode
	dir        *fsmeta.Dir // nil while it is closed
	incomplete atomic.Bool // an entry of it could not be read
}

func (d *directory) join(name string) string {
	if d.path == "" {
		return name
	}
	return d.path + "/" + name
}

// release closes a deep directory; nobody may be using it.
func (d *directory) release() {
	if d.depth >= keepOpen {
		d.close()
	}
}

func (d *directory) close() {
	if d.dir != nil {
		d.dir.Close()
		d.dir = nil
	}
}

var errMoved = errors.New("the directory was moved or replaced while it was read")

// open opens a directory again that release has closed. Only the way from the
// nearest open one is gone, and no symbolic link is followed on it.
func (d *directory) open() error {
	if d.dir != nil {
		return nil
	}
	var way []string
	from := d
	for ; from.dir == nil; from = from.up {
		way = append(way, from.name)
	}
	at := from.dir
	for i := len(way) - 1; i >= 0; i-- {
		next, err := at.Sub(way[i])
		if at != from.dir {
			at.Close()
		}
		if err != nil {
			return err
		}
		at = next
	}
	n, err := at.Stat()
	if err == nil && (inode{n.Device, n.Inode}) != d.id {
		err = errMoved
	}
	if err != nil {
		at.Close()
		return err
	}
	d.dir = at
	return nil
}
