package config

import (
	"strings"
	"testing"
)

func TestKeepIsChecked(t *testing.T) {
	t.Parallel()
	const text = `
regions: [eu, us]
node: {name: n1, region: eu}
nats: {url: "nats://127.0.0.1:4222"}
failover:
  coordinators: [{node: n1, region: eu}]
  services:
    db:
      kind: KIND
      MORE
      members:
        a: {node: n1, region: eu, address: "127.0.0.1:5432", CONTROL}
        b: {node: n2, region: us, address: "127.0.0.1:5433", CONTROL}
`
	for _, c := range []struct{ kind, more, control, want string }{
		{"postgres", "mode: strict", "postgres: {bin_dir: /bin, data_dir: /data}", ""},
		{"postgres", "mode: hasty", "", "hasty"},
		{"postgres", "patience: 48h", "", "patience"},
		{"postgres", "retake: 48h", "", "retake"},
		{"postgres", "rejoin: sometimes", "", "who makes a member follow again"},
		{"postgres", "rejoin: by_hand", "", ""},
		{"postgres", "", "postgres: {data_dir: data}", "absolute path"},
		{"command", "mode: strict", "", "for kind postgres only"},
		{"command", "", "", "without a command for it"},
		{"command", "", "postgres: {data_dir: /data}", "is for services of kind postgres"},
		{"command", "", "commands: {health: [h], fence: [f], promote: [p], demote: [d]}", ""},
		{"command", "", "commands: {health: [h], fence: [f], promote: [p], demote: [d]}, stop: [kill, it]", ""},
		{"postgres", "", "stop: [kill, it]", "is ended without it"},
		{"command", "", `stop: [""]`, "has to begin with a program"},
	} {
		control := c.control
		if control == "" {
			control = `token_file: ""`
		}
		more := c.more
		if more == "" {
			more = "probe_every: 1s"
		}
		doc := strings.NewReplacer("KIND", c.kind, "MORE", more, "CONTROL", control).Replace(text)
		_, err := Parse("test.yaml", []byte(doc))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestWhoMakesMembersFollow(t *testing.T) {
	t.Parallel()
	able := map[string]FailoverMember{"a": {Commands: FailoverCommands{Rejoin: []string{"follow"}}}, "b": {}}
	for _, c := range []struct {
		service FailoverService
		member  string
		want    bool
	}{
		{FailoverService{Kind: ServicePostgres}, "a", true},
		{FailoverService{Kind: ServicePostgres, Rejoin: RejoinAutomatic}, "a", true},
		{FailoverService{Kind: ServicePostgres, Rejoin: RejoinByHand}, "a", false},
		{FailoverService{Kind: ServiceHTTP}, "b", true},
		{FailoverService{Kind: ServiceCommand, Members: able}, "a", true},
		{FailoverService{Kind: ServiceCommand, Members: able}, "b", false},
		{FailoverService{Kind: ServiceCommand, Members: able, Rejoin: RejoinByHand}, "a", false},
	} {
		if got := c.service.RejoinsByItself(c.member); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
