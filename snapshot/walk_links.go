package snapshot

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/snapshot/tree"
)

// inode identifies a file among all that are mounted.
type inode struct{ device, number uint64 }

// links lets the content of an inode with several names be read once. An inode
// is forgotten when all its names were seen.
type links struct {
	mu    sync.Mutex
	known map[inode]*link
}

type link struct {
	done   chan struct{} // closed when node and ok are set
	ok     bool
	node   tree.Node
	unseen uint64 // names not yet met
}

// claim returns the record of an inode, and whether the caller is to read it
// and must call settle.
func (l *links) claim(id inode, names uint64) (*link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.known[id]; ok {
		if k.unseen--; k.unseen == 0 {
			delete(l.known, id)
		}
		return k, false
	}
	if l.known == nil {
		l.known = map[inode]*link{}
	}
	k := &link{done: make(chan struct{}), unseen: names - 1}
	l.known[id] = k
	return k, true
}

// settle hands the node to those who wait for it, or nil: then one of them
// tries under its own name.
func (l *links) settle(id inode, k *link, n *tree.Node) {
	l.mu.Lock()
	if n != nil {
		k.node, k.ok = *n, true
	} else if l.known[id] == k {
		delete(l.known, id)
	}
	l.mu.Unlock()
	close(k.done)
}

// wait returns the node that another name of the inode gave, or nil when that
// name failed.
func (k *link) wait(ctx context.Context) (*tree.Node, error) {
	select {
	case <-k.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !k.ok {
		return nil, nil
	}
	n := k.node
	return &n, nil
}

// linkGroup is the number under which the names of an inode find each other in
// a snapshot. On the root's device it is the inode's own number, so that a
// restart, which may number devices anew, does not change the entries.
func linkGroup(id inode, root uint64) uint64 {
	if id.device == root {
		return id.number
	}
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], id.device)
	binary.LittleEndian.PutUint64(b[8:], id.number)
	return xxhash.Sum64(b[:]) | 1<<63
}
