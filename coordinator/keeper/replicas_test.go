package keeper_test

import (
	"context"

	"mahavishnu/coordinator/standby"
)

func (m *member) SetSynchronous(_ context.Context, members []string) error {
	defer m.lock()()
	m.waitsFor, m.secured = members, map[string]int{}
	return nil
}

func (m *member) Replicas(context.Context) ([]standby.Replica, error) {
	defer m.lock()()
	m.s.replicate(m)
	var all []standby.Replica
	for name, r := range m.s.members {
		if r.follows != m.name || !r.up || r.hangs || r.cut {
			delete(m.secured, name)
			continue
		}
		m.secured[name]++
		waited := false
		for _, w := range m.waitsFor {
			waited = waited || w == name
		}
		all = append(all, standby.Replica{Name: name, Streaming: true, Secured: waited && m.secured[name] > 2})
	}
	return all, nil
}

var (
	_ standby.Driver       = (*member)(nil)
	_ standby.Synchronizer = (*member)(nil)
	_ standby.Starter      = (*member)(nil)
)
