package failover

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"mahavishnu/coordinator/plan"
	"mahavishnu/repository/keyring"
)

// failurePlan is the plan that a dead primary starts by itself.
const failurePlan = "single_server_failure"

func (s *system) configFile(m *machine) string { return filepath.Join(m.dir, "mahavishnu.yaml") }

// configure writes the machines' configurations. They are the defaults but for what is
// said in [Report.Settings].
func (s *system) configure() error {
	key := filepath.Join(s.dir, "key")
	if _, err := keyring.Create(key, s.clock.Now()); err != nil {
		return err
	}
	plans := filepath.Join(s.dir, "plans")
	if err := writePlan(plans); err != nil {
		return err
	}
	var voters, members []string
	for _, m := range s.machines {
		voters = append(voters, fmt.Sprintf("{node: %s, region: %s}", m.node, m.region))
		if m.member != "" {
			members = append(members, fmt.Sprintf(
				"        %s: {node: %s, region: %s, address: \"%s\", postgres: {bin_dir: %q, data_dir: %q, admin: postgres, replication: postgres, run_as: %q, write_probe: true, discard: true}}\n",
				m.member, m.node, m.region, m.database(), s.binDir, m.dataDir(), s.owner))
		}
	}
	for _, m := range s.machines {
		text := fmt.Sprintf(`backup: {directory: %q, encryption: {key_path: %q}}
regions: [%s]
node: {name: %s, region: %s, data_dir: %q, listen: "", log_format: json}
nats: {url: "nats://%s", replicas: %d}
failover:
  recovery: 1s
  plans: %q
  coordinators: [%s]
  services:
    %s:
      kind: postgres
      mode: synchronous
      members:
%s      routes:
        front: {listen: "%s"}
        dns: {servers: ["%s"], zone: %s, name: %s, key_file: %q, ttl: 1s}
`, filepath.Join(m.dir, "repository"), key, strings.Join(regions, ", "), m.node, m.region, m.stateDir(),
			m.queueAddr(), len(s.machines), plans, strings.Join(voters, ", "), service, strings.Join(members, ""),
			net.JoinHostPort(m.addr, frontPort), s.names.Address(), zone, host, s.names.KeyFile(keyName))
		if err := os.WriteFile(s.configFile(m), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// limits of the shipped plan keep it from failing over again and again, which is what is
// measured here.
var limits = regexp.MustCompile(`(?m)^limits:\n(  .*\n)+`)

// writePlan writes the shipped plan with other limits.
func writePlan(dir string) error {
	text, err := plan.ShippedText(failurePlan)
	if err != nil {
		return err
	}
	changed := limits.ReplaceAll(text, []byte("limits: {at_most: 100, within: 1m, quiet: 1s}\n"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, failurePlan+".yaml"), changed, 0o644)
}

// database is where a machine's database listens.
func (m *machine) database() string { return net.JoinHostPort(m.addr, "5432") }

// on starts processes on a machine.
func (s *system) on(m *machine) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		cmd.Env = append(os.Environ(), marker+"="+s.dir)
		return s.network.Start(m.region, cmd)
	}
}

// from dials from a machine.
func (s *system) from(m *machine) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return s.network.Dial(ctx, m.region, network, address)
	}
}
