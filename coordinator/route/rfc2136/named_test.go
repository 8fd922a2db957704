package rfc2136

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/route"
)

const (
	zone      = "ha.example.test"
	dbName    = "db." + zone
	aliasName = "www." + zone
	srvName   = "_postgresql._tcp.db." + zone

	goodSecret   = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAwMDE="
	forgedSecret = "Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2VkLTAwMDE="
)

// named is a real BIND with the zone, in a directory of its own.
type named struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
	log     *bytes.Buffer
}

// startNamed starts BIND on a free port of the loopback address until the test
// ends. The zone may be updated as the package's documentation says, and no more.
func startNamed(t *testing.T) *named {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	n := &named{t: t, dir: t.TempDir(), address: address}
	_, port, _ := net.SplitHostPort(address)
	n.write("good.key", keyFile("mahavishnu", SHA256, goodSecret))
	n.write("long.key", keyFile("mahavishnu-long", SHA512, goodSecret))
	n.write("suite.key", keyFile("suite", SHA256, goodSecret))
	n.write("powerless.key", keyFile("powerless", SHA256, goodSecret))
	n.write("zone", `$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
unrelated IN TXT "stays"
taken IN CNAME unrelated
_epoch.foreign IN TXT "written by somebody else"
`)
	n.write("named.conf", fmt.Sprintf(`
options {
	directory "%[1]s";
	listen-on port %[2]s { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file "%[1]s/named.pid";
	session-keyfile "%[1]s/session.key";
	recursion no;
	dnssec-validation no;
	notify no;
	allow-transfer { none; };
	minimal-responses yes;
};
controls { };
include "%[1]s/good.key";
include "%[1]s/long.key";
include "%[1]s/powerless.key";
include "%[1]s/suite.key";
zone "%[3]s" {
	type primary;
	file "%[1]s/zone";
	update-policy {
%[4]s		grant suite zonesub ANY;
	};
};
`, n.dir, port, zone, grants("mahavishnu", "mahavishnu-long")))
	n.start()
	t.Cleanup(n.stop)
	return n
}

func grants(keys ...string) string {
	var b strings.Builder
	for _, key := range keys {
		for name, types := range map[string]string{dbName: "A AAAA", aliasName: "CNAME", "taken." + zone: "A AAAA", srvName: "SRV"} {
			fmt.Fprintf(&b, "\t\tgrant %s name %s %s;\n\t\tgrant %s name _epoch.%s TXT;\n", key, name, types, key, name)
		}
	}
	return b.String()
}

func keyFile(name, algorithm, secret string) string {
	return fmt.Sprintf("key \"%s\" {\n\talgorithm %s;\n\tsecret \"%s\";\n};\n", name, algorithm, secret)
}

func (n *named) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *named) start() {
	n.t.Helper()
	n.log = new(bytes.Buffer)
	n.cmd = exec.Command(program(n.t, "named"), "-g", "-4", "-n", "1", "-c", filepath.Join(n.dir, "named.conf"))
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s := n.server(route.KindAddress, goodKey(n.t))
		if _, _, err := s.Current(n.t.Context()); err == nil {
			return
		} else if time.Now().After(deadline) {
			n.stop()
			n.t.Fatalf("named does not answer: %v\n%s", err, n.log)
		}
	}
}

func (n *named) stop() {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Kill() //nolint:errcheck // it may be gone already
	n.cmd.Wait()         //nolint:errcheck // killed is an error
	n.cmd = nil
}

// server is a router to this one server, for the name of the kind.
func (n *named) server(kind route.Kind, key Key) route.Router {
	return n.router(Options{Name: nameOf(kind), Key: key})
}

func (n *named) router(o Options) route.Router {
	n.t.Helper()
	if o.Servers == nil {
		o.Servers = []string{n.address}
	}
	o.Zone = zone
	r, err := New(o)
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func nameOf(kind route.Kind) route.Name {
	names := map[route.Kind]string{route.KindAddress: dbName, route.KindAlias: aliasName, route.KindService: srvName}
	return route.Name{Name: names[kind], Kind: kind}
}

func goodKey(t *testing.T) Key {
	t.Helper()
	k, err := NewKey("mahavishnu", SHA256, goodSecret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// dig asks like any client, with a program that is not ours.
func (n *named) dig(name, kind string) string {
	n.t.Helper()
	_, port, _ := net.SplitHostPort(n.address)
	out, err := exec.CommandContext(n.t.Context(), program(n.t, "dig"), "+short", "+tcp", "@127.0.0.1", "-p", port, name, kind).CombinedOutput()
	if err != nil {
		n.t.Fatalf("dig: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := "/usr/sbin/" + name // not on everybody's path
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run .ci/packages", name)
	}
	return path
}
