package main

import (
	"context"
	"fmt"
	"sync"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// members tells people of the storages of a dispersed one that cannot be counted on: of
// each once in a command, however often it is opened.
type members struct {
	warnf func(format string, args ...any)

	mu   sync.Mutex
	told map[string]bool
}

func (m *members) tell(n storage.MemberNotice) {
	key := fmt.Sprint(n.Location, " ", n.Problem)
	m.mu.Lock()
	told := m.told[key]
	if m.told == nil {
		m.told = map[string]bool{}
	}
	m.told[key] = true
	advice := n.Advice()
	advised := m.told[advice] // of others with the same problem
	m.told[advice] = true
	m.mu.Unlock()
	switch {
	case told:
	case advised:
		m.warnf("%s", n)
	default:
		m.warnf("%s; %s", n, advice)
	}
}

// checkMembers names the storages of a dispersed one that cannot be counted on: what is
// confirmed without them has less to lose.
func (x *examination) checkMembers(ctx context.Context, check string, be storage.Backend) {
	d, ok := dispersed.Of(be)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, remotePatience)
	defer cancel()
	notices, err := d.Examine(ctx)
	if err != nil {
		x.add(check, bad, hintOr(err, "check the network and the storages"), "%v", err)
		return
	}
	for _, n := range notices {
		x.add(check, bad, n.Advice(), "%s", n)
	}
}
