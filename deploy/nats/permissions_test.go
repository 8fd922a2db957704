package deploynats

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// may says who may publish to a subject; every other role must be refused by the
// server. Payloads are empty, so what is allowed does nothing.
var may = map[string][]string{
	// Nobody destroys.
	"$JS.API.STREAM.DELETE.DR_JOBS":                 {},
	"$JS.API.STREAM.DELETE.KV_dr_leases":            {},
	"$JS.API.STREAM.PURGE.DR_JOBS":                  {},
	"$JS.API.STREAM.PURGE.DR_AUDIT":                 {},
	"$JS.API.STREAM.PURGE.KV_dr_jobs":               {},
	"$JS.API.STREAM.MSG.DELETE.DR_AUDIT":            {},
	"$JS.API.STREAM.MSG.DELETE.DR_EVENTS":           {},
	"$JS.API.STREAM.MSG.DELETE.KV_dr_jobs":          {},
	"$JS.API.STREAM.PEER.REMOVE.DR_JOBS":            {},
	"$JS.API.STREAM.RESTORE.DR_JOBS":                {},
	"$JS.API.STREAM.SNAPSHOT.KV_dr_jobs":            {},
	"$JS.API.CONSUMER.DELETE.DR_JOBS.jobs-any":      {},
	"$JS.API.CONSUMER.PAUSE.DR_JOBS.jobs-any":       {},
	"$JS.API.STREAM.LEADER.STEPDOWN.DR_JOBS":        {},
	"$JS.API.STREAM.MSG.DELETE.DR_JOBS":             {"scheduler"},
	"$JS.API.STREAM.MSG.DELETE.DR_DEAD":             {"operator"},
	"$JS.API.STREAM.LEADER.STEPDOWN.KV_dr_leases":   {"coordinator"},
	"$JS.API.STREAM.LEADER.STEPDOWN.KV_dr_jobs":     {"coordinator"},
	"$JS.API.STREAM.LEADER.STEPDOWN.KV_dr_nodes":    {"coordinator"},
	"$JS.API.STREAM.CREATE.DR_JOBS":                 {"provisioner"},
	"$JS.API.STREAM.CREATE.ANOTHER":                 {"provisioner"},
	"$JS.API.STREAM.UPDATE.DR_JOBS":                 {"provisioner"},
	"$JS.API.CONSUMER.CREATE.DR_JOBS.mine":          {"provisioner"},
	"$JS.API.CONSUMER.CREATE.DR_EVENTS.mine":        {"provisioner", "scheduler", "operator"},
	"$JS.API.CONSUMER.CREATE.KV_dr_jobs.x.y":        {"scheduler", "operator"},
	"$JS.API.CONSUMER.CREATE.KV_dr_leases.x.y":      {"worker", "scheduler", "coordinator", "operator"},
	"$JS.API.CONSUMER.CREATE.KV_dr_catalog.x.y":     {"scheduler", "operator"},
	"$JS.API.CONSUMER.CREATE.KV_dr_nodes.x.y":       {"scheduler", "coordinator", "operator"},
	"$JS.API.CONSUMER.DELETE.DR_EVENTS.x":           {"scheduler"},
	"$JS.API.CONSUMER.DELETE.KV_dr_jobs.x":          {"scheduler", "operator"},
	"$JS.API.CONSUMER.DELETE.KV_dr_leases.x":        {"worker", "scheduler", "coordinator", "operator"},
	"$JS.API.CONSUMER.DELETE.KV_dr_catalog.x":       {"scheduler", "operator"},
	"$JS.API.CONSUMER.DELETE.KV_dr_nodes.x":         {"scheduler", "coordinator", "operator"},
	"$JS.API.INFO":                                  {"scheduler", "operator", "provisioner", "admin"}, // admin's is another account
	"$JS.API.STREAM.INFO.DR_JOBS":                   {"worker", "scheduler", "coordinator", "operator", "provisioner"},
	"$JS.API.STREAM.NAMES":                          {"operator"},
	"$JS.API.STREAM.LIST":                           {"operator"},
	"$JS.API.CONSUMER.NAMES.DR_JOBS":                {"operator"},
	"$JS.API.CONSUMER.LIST.DR_JOBS":                 {"scheduler", "operator", "provisioner"},
	"$JS.API.CONSUMER.INFO.DR_JOBS.x":               {"worker", "scheduler", "operator", "provisioner"},
	"$JS.API.CONSUMER.INFO.KV_dr_leases.x":          {"worker", "scheduler", "coordinator", "operator", "provisioner"},
	"$JS.API.CONSUMER.INFO.KV_dr_nodes.x":           {"scheduler", "coordinator", "operator", "provisioner"},
	"$JS.API.CONSUMER.MSG.NEXT.DR_JOBS.x":           {"worker"},
	"$JS.API.CONSUMER.MSG.NEXT.DR_EVENTS.x":         {"scheduler", "operator"},
	"$JS.ACK.DR_JOBS.x.1.1.1.1.0":                   {"worker"},
	"$JS.ACK.d.h.DR_JOBS.x.1.1.1.1.0":               {"worker"},
	"$JS.ACK.DR_EVENTS.x.1.1.1.1.0":                 {"scheduler"},
	"$JS.ACK.d.h.DR_EVENTS.x.1.1.1.1.0":             {"scheduler"},
	"$JS.FC.KV_dr_leases.x.y":                       {"worker", "scheduler", "coordinator", "operator"},
	"$JS.FC.d.h.KV_dr_leases.x.y":                   {"worker", "scheduler", "coordinator", "operator"},
	"$JS.FC.KV_dr_nodes.x.y":                        {"scheduler", "coordinator", "operator"},
	"$JS.FC.d.h.KV_dr_nodes.x.y":                    {"scheduler", "coordinator", "operator"},
	"$JS.API.STREAM.MSG.GET.KV_dr_jobs":             {"worker", "scheduler", "operator"},
	"$JS.API.STREAM.MSG.GET.KV_dr_leases":           {"worker", "scheduler", "coordinator", "operator"},
	"$JS.API.DIRECT.GET.DR_EVENTS":                  {"scheduler", "operator"},
	"$JS.API.DIRECT.GET.KV_dr_nodes.$KV.dr_nodes.x": {"scheduler", "coordinator", "operator"},
	"$SYS.REQ.ACCOUNT.PING.STATZ":                   {"coordinator"},
	"$SYS.REQ.ACCOUNT.PING.CONNZ":                   {},
	// Records and leases.
	"$KV.dr_jobs.j1":               {"worker", "scheduler", "operator"},
	"$KV.dr_catalog.s1":            {"scheduler"},
	"$KV.dr_nodes.n1":              {"coordinator"},
	"$KV.dr_leases.session.s1":     {"worker"},
	"$KV.dr_leases.repository.eu":  {"worker"},
	"$KV.dr_leases.lag.eu":         {"worker"},
	"$KV.dr_leases.copy.eu.us":     {"worker"},
	"$KV.dr_leases.copy.eu":        {},
	"$KV.dr_leases.copy.eu.us.x":   {},
	"$KV.dr_leases.island.n1":      {"worker", "scheduler"},
	"$KV.dr_leases.handover":       {"scheduler"},
	"$KV.dr_leases.scheduler":      {"scheduler"},
	"$KV.dr_leases.reconciler":     {"scheduler"},
	"$KV.dr_leases.catalog":        {"scheduler"},
	"$KV.dr_leases.coordinator":    {"coordinator"},
	"$KV.dr_leases.service-orders": {"coordinator"},
	"$KV.dr_leases.plan.board":     {"coordinator"},
	"$KV.dr_leases.region.eu":      {"coordinator"},
	// Jobs, and what is said of them.
	"dr.jobs.backup.eu":             {"scheduler", "operator"},
	"dr.events.backup.succeeded.eu": {"worker", "scheduler", "coordinator", "operator"},
	"dr.dead.backup.eu":             {"worker", "scheduler"},
	"dr.audit.failover":             {"coordinator", "operator"},
	"dr.progress.j1":                {"worker"},
	"dr.heartbeat.eu.n1":            {"worker", "scheduler", "coordinator"},
	"dr.control.job.j1":             {"scheduler", "coordinator", "operator"},
	"dr.control.coordinator.all":    {"coordinator", "operator"},
	"dr.control.opinion.eu.n1":      {"coordinator"},
	"dr.control.member.orders.pg1":  {"coordinator"},
	"_INBOX.operator.x.y":           {"worker", "scheduler", "coordinator"},
	"anything.else":                 {"admin"}, // in the system's account, where nobody listens
}

// mayHear says who may subscribe to a subject.
var mayHear = map[string][]string{
	">":                            {"admin"},
	"$JS.API.>":                    {"admin"},
	"_INBOX.>":                     {"admin"},
	"_INBOX.worker.>":              {"worker", "admin"},
	"_INBOX.scheduler.>":           {"scheduler", "admin"},
	"_INBOX.coordinator.>":         {"coordinator", "admin"},
	"_INBOX.operator.>":            {"operator", "admin"},
	"_INBOX.provisioner.>":         {"provisioner", "admin"},
	"dr.jobs.>":                    {"admin"},
	"dr.events.>":                  {"operator", "admin"},
	"dr.progress.*":                {"operator", "admin"},
	"dr.heartbeat.>":               {"coordinator", "operator", "admin"},
	"dr.control.job.j1":            {"worker", "coordinator", "admin"},
	"dr.control.member.orders.pg1": {"coordinator", "admin"},
	"dr.control.opinion.>":         {"coordinator", "operator", "admin"},
	"$KV.dr_leases.>":              {"admin"},
}

// raw is a plain connection of a role's, the way an intruder with its password has
// one.
func (s *site) raw(role string) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(strings.Join(s.where, ","), nats.UserInfo(role, s.passwords[role]),
		nats.Secure(&tls.Config{RootCAs: s.authority, MinVersion: tls.VersionTLS13}),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // what is refused is asked for below
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// refused reports whether the server refused what was just done with a subject. Its
// word comes before the answer to the flush.
func refused(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	err := nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`)
}

func TestPermissionsBothWays(t *testing.T) {
	s := newSite(t)
	s.one()
	for _, role := range roles {
		if role == "leaf" {
			continue // servers log in as it, see TestRegionsOwnServer
		}
		nc := s.raw(role)
		allowed, denied := 0, 0
		for subject, who := range may {
			if role == "admin" && !slices.Contains(who, role) {
				continue // another account: what it says is heard by nobody here
			}
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			was, should := !refused(t, nc, subject), slices.Contains(who, role)
			if was != should {
				t.Errorf("%s may publish to %s: %v, and should: %v", role, subject, was, should)
			}
			if was {
				allowed++
			} else {
				denied++
			}
		}
		for subject, who := range mayHear {
			sub, err := nc.SubscribeSync(subject)
			if err != nil {
				t.Fatal(err)
			}
			was, should := !refused(t, nc, subject), slices.Contains(who, role)
			if was != should {
				t.Errorf("%s may subscribe to %s: %v, and should: %v", role, subject, was, should)
			}
			if was {
				allowed++
			} else {
				denied++
			}
			sub.Unsubscribe() //nolint:errcheck // a refused one is gone already
		}
		t.Logf("%-11s %2d allowed, %2d denied", role, allowed, denied)
	}
}

// TestEveryPermissionIsTried finds what accounts.conf allows or denies that no
// subject above tries.
func TestEveryPermissionIsTried(t *testing.T) {
	s := newSite(t)
	for _, variable := range append(s.environment, "MAHAVISHNU_NATS_NAME=n1", "MAHAVISHNU_NATS_LISTEN=127.0.0.1:-1", "MAHAVISHNU_NATS_STORE="+s.dir) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	o, err := server.ProcessConfigFile("one-node.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.SyncAlways {
		t.Error("writes are acknowledged before the disk has them")
	}
	tried := func(pattern, role string, table map[string][]string, allowed bool) bool {
		for subject, who := range table {
			if slices.Contains(who, role) == allowed && server.SubjectsCollide(pattern, subject) {
				return true
			}
		}
		return false
	}
	users := 0
	for _, u := range o.Users {
		if u.Permissions == nil || u.Username == "leaf" {
			continue
		}
		users++
		for _, p := range []struct {
			what  string
			of    *server.SubjectPermission
			table map[string][]string
		}{{"publish to", u.Permissions.Publish, may}, {"subscribe to", u.Permissions.Subscribe, mayHear}} {
			for _, pattern := range p.of.Allow {
				if !tried(pattern, u.Username, p.table, true) {
					t.Errorf("nobody tries that %s may %s %s", u.Username, p.what, pattern)
				}
			}
			for _, pattern := range p.of.Deny {
				if !tried(pattern, u.Username, p.table, false) {
					t.Errorf("nobody tries that %s may not %s %s", u.Username, p.what, pattern)
				}
			}
		}
	}
	if users != 5 {
		t.Errorf("%d users have permissions", users)
	}
}
