//go:build !windows

package keeper_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/lab/wire"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// TestRandomFaultsOverRealServers does what TestRandomFaults does with leases and records on a
// NATS server, which each node reaches over a wire of its own that is cut and mended.
func TestRandomFaultsOverRealServers(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t).ClientURL()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: "provision"})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	var all atomic.Int64
	t.Run("services", func(t *testing.T) {
		for seed := range uint64(6) {
			mode := []keeper.Mode{keeper.Asynchronous, keeper.Synchronous, keeper.Strict}[seed%3]
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, mode, seed, "a", "b")
				c.service, c.timing, c.pause, c.patience = fmt.Sprintf("db%d", seed), messages.TimingFor(1200*time.Millisecond), 300*time.Millisecond, 1500*time.Millisecond
				buses, wires := map[string]*bus.Bus{}, map[string]*wire.Wire{}
				for _, n := range c.names {
					wires[n] = lay(t, url)
					conn, err := bus.Connect(t.Context(), bus.Options{URL: "nats://" + wires[n].Addr(), Name: n, Patience: 500 * time.Millisecond})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { conn.Close() })
					if buses[n], err = bus.Bind(t.Context(), conn); err != nil {
						t.Fatal(err)
					}
				}
				c.leases = func(n string) keeper.Leases { return busLeases{buses[n].Leases()} }
				c.record = func(n string) keeper.Records {
					store, err := buses[n].Store(messages.BucketLeases)
					if err != nil {
						t.Error(err)
					}
					return keeper.BusRecords(store)
				}
				c.sever = func(n string) { wires[n].Cut() }
				c.join = func() {
					for _, w := range wires {
						w.Mend()
					}
				}
				c.begin()
				tenures := c.steps(30)
				t.Logf("%d tenures, %d rows", tenures, len(c.s.told))
				all.Add(int64(tenures))
			})
		}
	})
	if n := all.Load(); n < 8 {
		t.Errorf("only %d tenures: the test tests little", n)
	}
}
