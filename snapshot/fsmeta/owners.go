package fsmeta

import (
	"os/user"
	"strconv"
	"sync"
)

// Owners translates between numeric ids and names, remembering the answers:
// each question may go to a directory service. The zero value is ready.
type Owners struct {
	mu     sync.Mutex
	users  map[uint32]string
	groups map[uint32]string
	uids   map[string]lookup
	gids   map[string]lookup
}

type lookup struct {
	id    uint32
	known bool
}

// User returns the name of uid on this machine, or "".
func (o *Owners) User(uid uint32) string {
	return remember(&o.mu, &o.users, uid, func() string {
		u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
		if err != nil {
			return "" // no such user: the number is all there is
		}
		return u.Username
	})
}

// Group returns the name of gid on this machine, or "".
func (o *Owners) Group(gid uint32) string {
	return remember(&o.mu, &o.groups, gid, func() string {
		g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
		if err != nil {
			return ""
		}
		return g.Name
	})
}

// UID returns the id of the named user on this machine.
func (o *Owners) UID(name string) (uint32, bool) {
	l := remember(&o.mu, &o.uids, name, func() lookup {
		u, err := user.Lookup(name)
		if err != nil {
			return lookup{}
		}
		return parseID(u.Uid)
	})
	return l.id, l.known
}

// GID returns the id of the named group on this machine.
func (o *Owners) GID(name string) (uint32, bool) {
	l := remember(&o.mu, &o.gids, name, func() lookup {
		g, err := user.LookupGroup(name)
		if err != nil {
			return lookup{}
		}
		return parseID(g.Gid)
	})
	return l.id, l.known
}

func parseID(s string) lookup {
	id, err := strconv.ParseUint(s, 10, 32)
	return lookup{uint32(id), err == nil}
}

// remember answers from m, asking once per key; the lock is held while asking
// so that a slow directory service gets one question, not one per goroutine.
func remember[K comparable, V any](mu *sync.Mutex, m *map[K]V, key K, ask func() V) V {
	mu.Lock()
	defer mu.Unlock()
	if v, ok := (*m)[key]; ok {
		return v
	}
	if *m == nil {
		*m = make(map[K]V)
	}
	v := ask()
	(*m)[key] = v
	return v
}
