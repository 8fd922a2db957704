package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is how a DNS name leads to a target.
type Kind string

// The kinds.
const (
	// KindAddress are A and AAAA records with the target's addresses.
	KindAddress Kind = "address"
	// KindAlias is a CNAME record with the target's host.
	KindAlias Kind = "alias"
	// KindService is an SRV record with the target's host and port; the name
	// begins with the service, as "_postgresql._tcp.db.example.com".
	KindService Kind = "service"
)

// defaultTTL is short, because it is added to the recovery time that clients see.
const defaultTTL = 5 * time.Second

// Name is a DNS name that clients use, and how it leads to a target. Every
// record of the kind's types at this name belongs to the router; what else is
// there stays.
type Name struct {
	// Name is fully qualified, with or without the dot at its end.
	Name string
	Kind Kind
	// TTL is how long resolvers keep an answer, in whole seconds; 0 is 5 seconds.
	TTL time.Duration
}

// Record is one record in the form zone files are written in. The value of a
// record with a name in it ends in a dot.
type Record struct{ Name, Type, Value string }

// Check says what is wrong with the name.
func (n Name) Check() error {
	if err := checkName(n.Name); err != nil {
		return err
	}
	switch n.Kind {
	case KindAddress, KindAlias:
	case KindService:
		if labels := strings.Split(n.Name, "."); len(labels) < 3 || labels[0][0] != '_' || labels[1][0] != '_' {
			return fmt.Errorf(`%s cannot hold service records: write "_SERVICE._tcp.%s"`, n.Name, n.Name)
		}
	default:
		return fmt.Errorf("%q is no kind of record: use %s, %s or %s", n.Kind, KindAddress, KindAlias, KindService)
	}
	if n.TTL < 0 || n.TTL%time.Second != 0 || n.TTL > 24*time.Hour {
		return fmt.Errorf("a TTL of %v: use whole seconds, at most a day", n.TTL)
	}
	return nil
}

// FQDN is the name in lower case with the dot at its end.
func (n Name) FQDN() string { return fqdn(n.Name) }

// Epoch is the name of the TXT record with the mark. It is below the name, so
// that an alias can stand beside it.
func (n Name) Epoch() string { return "_epoch." + n.FQDN() }

// Seconds is the TTL.
func (n Name) Seconds() uint32 {
	if n.TTL == 0 {
		return uint32(defaultTTL / time.Second)
	}
	return uint32(n.TTL / time.Second)
}

// Types are those of the records that belong to the router.
func (n Name) Types() []string {
	switch n.Kind {
	case KindAlias:
		return []string{"CNAME"}
	case KindService:
		return []string{"SRV"}
	}
	return []string{"A", "AAAA"}
}

// Records lead to a target, in an order that depends on nothing else.
func (n Name) Records(t Target) ([]Record, error) {
	switch n.Kind {
	case KindAlias:
		if t.Host == "" {
			return nil, fmt.Errorf("member %s has no host for the alias %s", t.Member, n.Name)
		}
		return []Record{{n.FQDN(), "CNAME", fqdn(t.Host)}}, nil
	case KindService:
		if t.Host == "" || t.Port == 0 {
			return nil, fmt.Errorf("member %s needs host and port for the service record %s", t.Member, n.Name)
		}
		return []Record{{n.FQDN(), "SRV", fmt.Sprintf("0 0 %d %s", t.Port, fqdn(t.Host))}}, nil
	}
	var all []Record
	for _, a := range sorted(t.Addresses) {
		kind := "AAAA"
		if a.Is4() {
			kind = "A"
		}
		all = append(all, Record{n.FQDN(), kind, a.String()})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("member %s has no addresses for %s", t.Member, n.Name)
	}
	return all, nil
}

// Seen is the part of a target that this name's records can show.
func (n Name) Seen(t Target) Target {
	seen := Target{Member: t.Member}
	switch n.Kind {
	case KindAlias:
		seen.Host = fqdn(t.Host)
	case KindService:
		seen.Host, seen.Port = fqdn(t.Host), t.Port
	default:
		seen.Addresses = sorted(t.Addresses)
	}
	return seen
}

// Target reads back what records lead to. Records of other types are ignored.
func (n Name) Target(member string, records []Record) (Target, error) {
	t := Target{Member: member}
	for _, r := range records {
		if !slices.Contains(n.Types(), r.Type) {
			continue
		}
		switch r.Type {
		case "CNAME":
			t.Host = fqdn(r.Value)
		case "SRV":
			fields := strings.Fields(r.Value)
			if len(fields) != 4 {
				return Target{}, fmt.Errorf("%s has a service record %q", n.Name, r.Value)
			}
			port, err := strconv.ParseUint(fields[2], 10, 16)
			if err != nil {
				return Target{}, fmt.Errorf("%s has a service record %q", n.Name, r.Value)
			}
			t.Host, t.Port = fqdn(fields[3]), uint16(port)
		default:
			a, err := netip.ParseAddr(r.Value)
			if err != nil {
				return Target{}, fmt.Errorf("%s: %w", n.Name, err)
			}
			t.Addresses = append(t.Addresses, a)
		}
	}
	t.Addresses = sorted(t.Addresses)
	if len(t.Addresses) == 0 {
		t.Addresses = nil
	}
	return t, nil
}

func fqdn(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")) + "."
}

// checkName accepts names that need no escaping anywhere.
func checkName(name string) error {
	bare := strings.TrimSuffix(name, ".")
	if bare == "" {
		return errors.New("a DNS name is missing")
	}
	if len(bare) > 240 { // "_epoch." goes before it
		return fmt.Errorf("%q is too long for a DNS name", name)
	}
	for label := range strings.SplitSeq(bare, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("%q is no DNS name", name)
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return fmt.Errorf("%q is no DNS name: %q", name, c)
			}
		}
	}
	return nil
}
