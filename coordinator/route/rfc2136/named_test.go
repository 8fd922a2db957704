package rfc2136

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/named"
)

const (
	zone      = "ha.example.test"
	dbName    = "db." + zone
	aliasName = "www." + zone
	srvName   = "_postgresql._tcp.db." + zone

	goodSecret   = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAwMDE="
	forgedSecret = "Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2VkLTAwMDE="
)

// nameServer is a real BIND with the zone, in a directory of its own.
type nameServer struct {
	*named.Server
	t       *testing.T
	dir     string
	address string
}

// startNamed starts BIND on a free port of the loopback address until the test
// ends. The zone may be updated as the package's documentation says, and no more.
func startNamed(t *testing.T) *nameServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{t: t, dir: t.TempDir(), address: l.Addr().String()}
	l.Close()
	n.Server, err = named.Start(t.Context(), named.Options{
		Dir: n.dir, Address: n.address, Zone: zone,
		Records: "unrelated IN TXT \"stays\"\ntaken IN CNAME unrelated\n_epoch.foreign IN TXT \"written by somebody else\"\n",
		Keys: []named.Key{
			{Name: "mahavishnu", Algorithm: SHA256, Secret: goodSecret, Grants: grants()},
			{Name: "mahavishnu-long", Algorithm: SHA512, Secret: goodSecret, Grants: grants()},
			{Name: "suite", Algorithm: SHA256, Secret: goodSecret, Grants: []string{"zonesub ANY"}},
			{Name: "powerless", Algorithm: SHA256, Secret: goodSecret},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

// grants are those that the package's documentation asks for.
func grants() []string {
	var all []string
	for name, types := range map[string]string{dbName: "A AAAA", aliasName: "CNAME", "taken." + zone: "A AAAA", srvName: "SRV"} {
		all = append(all, "name "+name+" "+types, "name _epoch."+name+" TXT")
	}
	return all
}

func keyFile(name, algorithm, secret string) string {
	return named.Key{Name: name, Algorithm: algorithm, Secret: secret}.File()
}

func (n *nameServer) start() {
	n.t.Helper()
	if err := n.Restart(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// server is a router to this one server, for the name of the kind.
func (n *nameServer) server(kind route.Kind, key Key) route.Router {
	return n.router(Options{Name: nameOf(kind), Key: key})
}

func (n *nameServer) router(o Options) route.Router {
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
func (n *nameServer) dig(name, kind string) string {
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
	path, err := named.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
