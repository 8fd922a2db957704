package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// services is a configuration of this machine, "n1", and another.
const services = `
node: {name: n1}
failover:
  coordinators: [{node: %s, region: local}]
  services:
    db:
      kind: postgres
      members:
        a: {node: n1, region: local, address: "10.0.0.1:5432", postgres: {data_dir: /data, admin: admin, bin_dir: "%s"}}
        b: {node: n2, region: local, address: "10.0.0.2:5432"}
      routes: {hook: {command: [no-such-program], current: ["%s", "1"], rehearse: [/etc]}}
    queue:
      kind: command
      members:
        a: {node: n1, region: local, address: "10.0.0.1:81", commands: {health: ["%s"], fence: [/nowhere/fence], promote: [no-such-program], demote: ["%s"], rejoin: [no-such-program]}}
        b: {node: n2, region: local, address: "10.0.0.2:81", commands: {health: [x], fence: [x], promote: [x], demote: [x]}}
    web:
      kind: http
      members:
        a: {node: n1, region: local, address: "http://10.0.0.1", token_file: token, stop: [no-such-program]}
        b: {node: n2, region: local, address: "http://10.0.0.2", token_file: elsewhere}
        c: {region: local, address: "http://10.0.0.3/?probe=1"}
        d: {node: n1, region: local, address: "http://10.0.0.4", token_file: good}
`

// What a coordinator would not start with on this machine is refused by who asks for that,
// and by nobody else; what orders to its members need is told.
func TestWhatHasToBeOnThisMachine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the messages hold paths as Unix writes them")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "good"), []byte("hunter2\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mahavishnu.yaml")
	load := func(voter string, options ...Option) (*Config, error) {
		return Parse(file, fmt.Appendf(nil, services, voter, dir, self, self, self), options...)
	}
	c, err := load("n1")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, n := range c.memberNotices() {
		told = append(told, strings.ReplaceAll(n.String(), dir, "$DIR"))
	}
	want := []string{
		"failover.services.queue.members.a.commands.fence: This machine cannot run it: /nowhere/fence cannot be run: no such file or directory.",
		`failover.services.queue.members.a.commands.promote: This machine cannot run it: there is no program "no-such-program" in PATH: install it, or write its whole path.`,
		`failover.services.queue.members.a.commands.rejoin: This machine cannot run it: there is no program "no-such-program" in PATH: install it, or write its whole path.`,
		"failover.services.web.members.a.token_file: The token of orders to this member cannot be counted on: $DIR/token does not exist.",
		`failover.services.web.members.a.stop: This machine cannot run it: there is no program "no-such-program" in PATH: install it, or write its whole path.`,
		"failover.services.web.members.c.node: No node is beside this member, so it is only watched: nobody can stop it, promote it or make it follow.",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}

	const db = "failover.services.db."
	for voter, want := range map[string][]string{
		"n1": {
			db + `members.a.postgres.bin_dir: $DIR/pg_controldata cannot be run: no such file or directory`,
			db + "members.a.postgres.replication: is missing, and this member is beside this node: name a role that may stream",
			db + `routes.hook.command: there is no program "no-such-program" in PATH: install it, or write its whole path`,
			db + "routes.hook.rehearse: /etc cannot be run: is a directory",
		},
		"n2": {
			db + `members.a.postgres.bin_dir: $DIR/pg_controldata cannot be run: no such file or directory`,
			db + "members.a.postgres.replication: is missing, and this member is beside this node: name a role that may stream",
		},
	} {
		_, err := load(voter, Machine())
		var errs Errors
		if !errors.As(err, &errs) {
			t.Fatalf("%s: %v, want Errors", voter, err)
		}
		var told []string
		for _, e := range errs {
			if e.Line == 0 {
				t.Errorf("%s: without a line", e.Key)
			}
			told = append(told, strings.ReplaceAll(e.Key+": "+e.Message, dir, "$DIR"))
		}
		for _, text := range want {
			if !strings.Contains(strings.Join(told, "\n")+"\n", text+"\n") {
				t.Errorf("%s: it does not say\n%s\nbut\n%s", voter, text, strings.Join(told, "\n"))
			}
		}
		if len(told) != len(want) {
			t.Errorf("%s: %d errors, want %d:\n%s", voter, len(told), len(want), strings.Join(told, "\n"))
		}
	}
}
