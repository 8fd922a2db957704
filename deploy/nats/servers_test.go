package deploynats

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// roles are the users of accounts.conf.
var roles = []string{"worker", "scheduler", "coordinator", "operator", "provisioner", "leaf", "admin"}

// site is what the configurations leave to the environment: certificates made for
// this test, and passwords.
type site struct {
	t                  testing.TB
	dir                string
	authority          *x509.CertPool
	ca, cert, key      string
	passwords          map[string]string
	environment, where []string
	// island is the section nats.island of processes' configurations.
	island string
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), passwords: map[string]string{}}
	s.certify()
	for _, role := range roles {
		password := role + "-secret"
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		s.passwords[role] = password
		s.environment = append(s.environment, "MAHAVISHNU_NATS_"+strings.ToUpper(role)+"="+string(hash))
	}
	s.environment = append(s.environment, "MAHAVISHNU_NATS_CA="+s.ca, "MAHAVISHNU_NATS_CERT="+s.cert, "MAHAVISHNU_NATS_KEY="+s.key)
	return s
}

// certify makes an authority and a certificate that is good for both sides.
func (s *site) certify() {
	s.t.Helper()
	fail := func(err error) {
		if err != nil {
			s.t.Helper()
			s.t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	fail(err)
	s.ca = s.pem("ca.pem", "CERTIFICATE", der)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "nats"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	fail(err)
	s.cert = s.pem("server.pem", "CERTIFICATE", leafDER)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	fail(err)
	s.key = s.pem("server.key", "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(der)
	fail(err)
	s.authority = x509.NewCertPool()
	s.authority.AddCert(parsed)
}

func (s *site) pem(name, kind string, der []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// server is one that reads a configuration of this directory.
func (s *site) server(name, file string, port int, more ...string) *natstest.Configured {
	s.where = append(s.where, "tls://"+at(port))
	env := append([]string{
		"MAHAVISHNU_NATS_NAME=" + name, "MAHAVISHNU_NATS_LISTEN=" + at(port),
		"MAHAVISHNU_NATS_STORE=" + filepath.Join(s.dir, name),
	}, s.environment...)
	return &natstest.Configured{Name: name, File: file, Env: append(env, more...)}
}

// one starts one-node.conf.
func (s *site) one() {
	s.t.Helper()
	natstest.StartConfigured(s.t, s.server("n1", "one-node.conf", natstest.FreePorts(s.t, 1)[0]))
}

// three starts a cluster of three from a configuration; the names tell the servers'
// regions, or have them behind a "@".
func (s *site) three(file string, names ...string) []*natstest.Configured {
	s.t.Helper()
	ports := natstest.FreePorts(s.t, 9)
	var routes []string
	for i := range 3 {
		routes = append(routes, fmt.Sprintf("MAHAVISHNU_NATS_ROUTE_%d=tls://%s", i+1, at(ports[3+i])))
	}
	var all []*natstest.Configured
	for i, name := range names {
		name, region, told := strings.Cut(name, "@")
		if !told {
			region = name[:max(strings.LastIndex(name, "-"), 0)]
		}
		all = append(all, s.server(name, file, ports[i], append([]string{
			"MAHAVISHNU_NATS_CLUSTER_LISTEN=" + at(ports[3+i]), "MAHAVISHNU_NATS_LEAF_LISTEN=" + at(ports[6+i]),
			"MAHAVISHNU_NATS_TAG=region:" + region,
		}, routes...)...))
		s.environment = append(s.environment, fmt.Sprintf("MAHAVISHNU_NATS_HUB_%d=tls://leaf:%s@%s", i+1, s.passwords["leaf"], at(ports[6+i])))
	}
	natstest.StartConfigured(s.t, all...)
	return all
}

// options are those of a role's connection.
func (s *site) options(role string) bus.Options {
	return bus.Options{
		URL: strings.Join(s.where, ","), Name: role, User: role, Password: s.passwords[role], InboxPrefix: "_INBOX." + role,
		TLS: &tls.Config{RootCAs: s.authority, MinVersion: tls.VersionTLS13},
	}
}

// connect logs in as a role; a cluster may need a while to let anybody in.
func (s *site) connect(role string, change ...func(*bus.Options)) *bus.Conn {
	s.t.Helper()
	o := s.options(role)
	for _, c := range change {
		c(&o)
	}
	c, err := bus.Connect(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() }) //nolint:errcheck // it is over
	return c
}

// provision makes the streams with the provisioner's rights.
func (s *site) provision(replicas int, regions ...string) {
	s.t.Helper()
	c := s.connect("provisioner", func(o *bus.Options) { o.Patience = time.Minute })
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	if err := bus.Provision(ctx, c, provisioned(replicas, regions...)); err != nil {
		s.t.Fatal(err)
	}
}

func provisioned(replicas int, regions ...string) bus.ProvisionOptions {
	return bus.ProvisionOptions{Regions: regions, Replicas: replicas, EventReaders: []string{"scheduler", "catalog"}}
}

// bind is a role's bus.
func (s *site) bind(role string, change ...func(*bus.Options)) *bus.Bus {
	s.t.Helper()
	b, err := bus.Bind(s.t.Context(), s.connect(role, change...))
	if err != nil {
		s.t.Fatalf("as %s: %v", role, err)
	}
	return b
}
