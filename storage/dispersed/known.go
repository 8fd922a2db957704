package dispersed

import (
	"sync"
	"time"
)

// maxKnown is how many heads are remembered, about 4 MB of them; knownFor how long one
// is believed without asking.
const (
	maxKnown = 1 << 14
	knownFor = time.Minute
)

// known remembers what the current version of an object is, for ranges of it to be
// read with one request to each member.
type known struct {
	mu    sync.Mutex
	max   int
	heads map[string]knownHead
}

type knownHead struct {
	head head
	seen time.Time
}

func newKnown(limit int) *known { return &known{max: limit, heads: map[string]knownHead{}} }

// set remembers the head of an object that was put or looked at now.
func (k *known) set(name string, h head, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, has := k.heads[name]; !has && len(k.heads) >= k.max {
		for old := range k.heads { // any: which is no matter
			delete(k.heads, old)
			break
		}
	}
	k.heads[name] = knownHead{h, now}
}

// get returns the head of an object that was seen a short time before.
func (k *known) get(name string, now time.Time) (head, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.heads[name]
	return e.head, ok && now.Sub(e.seen) < knownFor
}

func (k *known) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.heads, name)
}
