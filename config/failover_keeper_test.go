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
		{"postgres", "", "postgres: {data_dir: data}", "absolute path"},
		{"command", "mode: strict", "", "for kind postgres only"},
		{"command", "", "", "without a command for it"},
		{"command", "", "postgres: {data_dir: /data}", "is for services of kind postgres"},
		{"command", "", "commands: {health: [h], fence: [f], promote: [p], demote: [d]}", ""},
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
