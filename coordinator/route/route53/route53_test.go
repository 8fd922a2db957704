package route53

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/routetest"
	"mahavishnu/fault"
)

// No real Route 53 can be had in a test. These run against a server of the test's
// own, which keeps the semantics that fencing stands on; what they prove is that
// the router uses them rightly, not that AWS keeps them.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pg1, pg2 = routetest.Targets()[0], routetest.Targets()[1]

func (s *service) open(t *testing.T, change ...func(*Options)) route.Router {
	t.Helper()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	o := Options{
		Zone: zoneID, Name: route.Name{Name: "db.example.test", Kind: route.KindAddress},
		AccessKey: accessKey, SecretKey: secretKey, Endpoint: s.URL, Timeout: 20 * time.Second,
	}
	for _, c := range change {
		c(&o)
	}
	r, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.CloseClientConnections() })
	return r
}

func TestConformance(t *testing.T) {
	for _, name := range []route.Name{
		{Name: "db.example.test", Kind: route.KindAddress},
		{Name: "www.example.test", Kind: route.KindAlias},
		{Name: "_postgresql._tcp.db.example.test", Kind: route.KindService},
	} {
		t.Run(string(name.Kind), func(t *testing.T) {
			routetest.Run(t, func(t *testing.T) routetest.Subject {
				s := startService(t)
				// Two coordinators; more of them would only read more AWS configuration.
				both := []route.Router{s.open(t, func(o *Options) { o.Name = name }), s.open(t, func(o *Options) { o.Name = name })}
				opened := 0
				return routetest.Subject{Open: func(*testing.T) route.Router { opened++; return both[opened%2] }}
			})
		})
	}
}

func TestBatches(t *testing.T) {
	s := startService(t)
	r := s.open(t)
	point(t, r, pg1, 41)
	if a, aaaa, txt := s.values("db.example.test.", "A"), s.values("db.example.test.", "AAAA"), s.values("_epoch.db.example.test.", "TXT"); a != "192.0.2.1" || aaaa != "2001:db8::1" || txt != `"epoch=41" "member=pg1"` {
		t.Errorf("A %s, AAAA %s, TXT %s", a, aaaa, txt)
	}
	point(t, r, pg2, 42)
	if a, aaaa := s.values("db.example.test.", "A"), s.values("db.example.test.", "AAAA"); a != "198.51.100.2" || aaaa != "" {
		t.Errorf("A %s, AAAA %s", a, aaaa)
	}
	if s.values("zz.example.test.", "A") != "192.0.2.99" {
		t.Error("a neighbour was changed")
	}
}

// TestServiceRefusesStale sends the batch of a coordinator that read before
// another one wrote.
func TestServiceRefusesStale(t *testing.T) {
	s := startService(t)
	r := s.open(t)
	point(t, r, pg1, 41)
	z := r.(*zone)
	read, err := z.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	point(t, s.open(t), pg2, 43)
	if err := z.Swap(t.Context(), read, route.State{Epoch: 42, Target: z.name.Seen(pg1)}); !errors.Is(err, route.ErrChanged) {
		t.Errorf("the stale batch: %v", err)
	}
	if a := s.values("db.example.test.", "A"); a != "198.51.100.2" {
		t.Errorf("A is %s", a)
	}
}

func TestLostAnswers(t *testing.T) {
	for what, how := range map[string]answering{"applied": applyLose, "not applied": loseAll, "the service failed": failing} {
		s := startService(t)
		s.answer = func(batch int) answering {
			if batch == 1 {
				return how
			}
			return honestly
		}
		r := s.open(t)
		if err := r.Point(t.Context(), pg1, 41); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if a := s.values("db.example.test.", "A"); a != "192.0.2.1" {
			t.Errorf("%s: A is %s", what, a)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := startService(t)
	s.answer = func(int) answering { return deny }
	err := s.open(t).Point(t.Context(), pg1, 1)
	if err == nil || errors.Is(err, route.ErrUnknown) || !strings.Contains(strings.Join(fault.Hints(err), " "), "route53:ChangeResourceRecordSets") {
		t.Errorf("without rights: %v, hints %q", err, fault.Hints(err))
	}
	for what, c := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"another key":       {func(o *Options) { o.AccessKey = "AKIDSTRANGER" }, "SignatureDoesNotMatch"},
		"another zone":      {func(o *Options) { o.Zone = "Z9" }, "NoSuchHostedZone"},
		"a foreign TXT":     {func(o *Options) { o.Name.Name = "foreign.example.test" }, "no mark"},
		"a weighted record": {func(o *Options) { o.Name.Name = "weighted.example.test" }, "routing policy"},
	} {
		err := s.open(t, c.change).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secretKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, o := range map[string]Options{
		"no zone": {Name: route.Name{Name: "db.example.test", Kind: route.KindAddress}},
		"no name": {Zone: zoneID},
	} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func point(t *testing.T, r route.Router, target route.Target, epoch uint64) {
	t.Helper()
	if err := r.Point(t.Context(), target, epoch); err != nil {
		t.Fatalf("%v (hints %q)", err, fault.Hints(err))
	}
}
