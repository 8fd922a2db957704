package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// three is three machines in three regions: two beside a member each of the service orders, a on
// eu-1 and b on us-1, and a witness, ap-1, that runs the queue.
type three struct {
	*system
	bus     *bus.Bus
	all     map[string]*running
	service string // what the configuration says of it
}

// newThree starts them, and returns when a leads and b follows.
func newThree(t *testing.T, kind, a, b string) *three {
	t.Helper()
	x := &three{
		system: newSystem(t, t.TempDir(), ""), all: map[string]*running{},
		service: fmt.Sprintf("{kind: %s, members: {a: %s, b: %s}}", kind, a, b),
	}
	x.all["ap-1"] = x.start("ap-1", "up", "--config", x.machine("ap-1"))
	x.until("the queue's address", func() bool {
		x.all["ap-1"].alive()
		text, err := os.ReadFile(filepath.Join(x.dir, "ap-1", "nats.url"))
		x.queue = strings.TrimSpace(string(text))
		return err == nil && x.queue != ""
	})
	x.bus = x.bind(x.all["ap-1"])
	for _, node := range []string{"eu-1", "us-1"} {
		x.launch(node)
	}
	x.until("a leads and b follows", func() bool {
		a, b := x.says("a"), x.says("b")
		return a.Holds && a.Writable && b.Healthy && b.Role == "standby"
	})
	return x
}

// launch starts a coordinator.
func (x *three) launch(node string) {
	x.t.Helper()
	x.all[node] = x.start(node, "coordinator", "--config", x.machine(node))
}

func (x *three) path(node string) string { return filepath.Join(x.dir, node+".yml") }

// machine writes the configuration of one of them.
func (x *three) machine(node string) string {
	x.t.Helper()
	queue := "listen: 127.0.0.1:0"
	if x.queue != "" {
		queue = fmt.Sprintf("url: %q, replicas: 1", x.queue)
	}
	text := fmt.Sprintf(`
backup: {storage: {local: {path: %q}}, encryption: {key_path: %q}}
regions: [eu, us, ap]
node: {name: %s, region: %s, data_dir: %q, listen: "", log_format: json}
nats: {%s}
failover:
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services: {orders: %s}
`, x.access.Location, x.access.KeyPath, node, node[:2], filepath.Join(x.dir, node), queue, x.service)
	if err := os.WriteFile(x.path(node), []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return x.path(node)
}

// says is what a member's keeper says; nothing when it does not answer.
func (x *three) says(name string) messages.MemberState {
	x.t.Helper()
	reply, err := x.bus.CommandMember(x.t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Service: "orders", Member: name})
	if err != nil && !errors.Is(err, bus.ErrNobody) {
		x.t.Fatal(err)
	}
	return reply.State
}
