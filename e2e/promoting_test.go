package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
)

// member is how a service of files is controlled. Its promotion takes until the file NAME.may
// is there.
const memberScript = `#!/bin/sh
cd "$1"; name=$2
case $3 in
health)
	if [ -e $name.up ]; then echo '{"role": "primary", "writable": true}'
	else echo '{"role": "standby", "streaming": true, "position": "1"}'; fi ;;
promote)
	echo $MAHAVISHNU_EPOCH >>$name.promoting
	until [ -e $name.may ]; do sleep 0.05; done
	touch $name.up ;;
fence|demote|rejoin) rm -f $name.up ;;
esac
`

// alone is one machine with both members of a service of files.
type alone struct {
	*system
	state, path string
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	x := &alone{system: newSystem(t, t.TempDir(), "")}
	x.state, x.path = filepath.Join(x.dir, "state"), filepath.Join(x.dir, "n1.yml")
	script := filepath.Join(x.dir, "member.sh")
	if err := os.Mkdir(x.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(memberScript), 0o700); err != nil {
		t.Fatal(err)
	}
	var members strings.Builder
	for _, name := range []string{"a", "b"} {
		l, err := net.Listen("tcp", "127.0.0.1:0") // what coordinators see of it: it is there
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		fmt.Fprintf(&members, "        %s: {node: n1, region: eu, address: %q, commands: {", name, l.Addr())
		for _, verb := range []string{"health", "fence", "promote", "demote", "rejoin"} {
			fmt.Fprintf(&members, "%s: [%q, %q, %s, %s], ", verb, script, x.state, name, verb)
		}
		members.WriteString("}}\n")
	}
	text := fmt.Sprintf(`
backup: {storage: {local: {path: %q}}, encryption: {key_path: %q}}
regions: [eu]
node: {name: n1, region: eu, data_dir: %q, listen: "", log_format: json}
nats: {listen: 127.0.0.1:0}
failover:
  coordinators: [{node: n1, region: eu}]
  services:
    orders:
      kind: command
      members:
%s`, x.access.Location, x.access.KeyPath, filepath.Join(x.dir, "n1"), members.String())
	if err := os.WriteFile(x.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *alone) has(name string) bool {
	_, err := os.Stat(filepath.Join(x.state, name))
	return err == nil
}

func (x *alone) touch(name string) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.state, name), nil, 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// promotions counts how often a member's promotion was begun.
func (x *alone) promotions(name string) int {
	data, _ := os.ReadFile(filepath.Join(x.state, name+".promoting"))
	return strings.Count(string(data), "\n")
}

// execution is the newest one, as the journal has it: without a state when there is none,
// in an unknown one while nobody answers.
func (x *alone) execution() plan.Execution {
	x.t.Helper()
	code, out, _ := x.run("failover", "journal", "--json", "--config", x.path)
	if code != 0 {
		return plan.Execution{State: "unknown"}
	}
	all := decode[struct {
		Executions []plan.Execution `json:"executions"`
	}](x.t, out).Executions
	if len(all) == 0 {
		return plan.Execution{}
	}
	return all[0]
}

// The machine that hands a service over is killed while the new member is being promoted. Its keeper
// makes that member the primary by itself when it is back, and the plan's order
// meets it at that: it waits for the end, and goes on from there.
func TestKilledWhilePromoting(t *testing.T) {
	t.Parallel()
	x := newAlone(t)
	x.touch("a.may")
	p := x.start("n1", "up", "--config", x.path)
	handOver := func(from, to string) bool {
		p.alive()
		code, _, _ := x.run("failover", "execute", "single_server_failure", "--graceful", "--detach",
			"--set", "service=orders", "--set", "from="+from, "--set", "to="+to, "--config", x.path)
		return code == 0
	}
	// The first primary is promoted as soon as keepers have looked at their members.
	x.until("the service has its first primary", func() bool {
		state := x.execution().State
		if state == "" || state == plan.StateRolledBack {
			handOver("b", "a")
		}
		return state == plan.StateCommitted
	})
	x.until("it is handed over", func() bool { return handOver("a", "b") })
	x.until("the new member is being promoted", func() bool { return x.promotions("b") == 1 })
	p.Kill()
	p = x.start("n1 again", "up", "--config", x.path)
	x.until("it is being promoted again", func() bool { p.alive(); return x.promotions("b") == 2 })
	x.until("the plan has ordered it again", func() bool { p.alive(); return x.attempts("start-new") > 1 })
	time.Sleep(3 * time.Second) // it would have used up its attempts by now
	if n := x.attempts("start-new"); n != 2 {
		t.Errorf("the order was given %d times, and has to wait for what is under way", n)
	}
	x.touch("b.may")
	x.until("the plan has ended", func() bool { p.alive(); return x.execution().State.Final() })
	e := x.execution()
	for _, entry := range e.Entries {
		t.Logf("%-16s undo=%-5v %-11s %s%s", entry.Step, entry.Undo, entry.Outcome, entry.Output, entry.Error)
	}
	if e.State != plan.StateCommitted || !x.has("b.up") || x.has("a.up") {
		t.Errorf("%s %s: a is up: %v, b is up: %v", e.State, e.Error, x.has("a.up"), x.has("b.up"))
	}
	if x.promotions("b") != 2 {
		t.Errorf("b was promoted %d times, want once before the end and once after", x.promotions("b"))
	}
	x.until("nothing keeps it from being handed back", func() bool { return handOver("b", "a") })
}

// attempts counts how often a step of the newest execution was begun.
func (x *alone) attempts(step string) int {
	n := 0
	for _, entry := range x.execution().Entries {
		if entry.Step == step && !entry.Undo {
			n++
		}
	}
	return n
}
