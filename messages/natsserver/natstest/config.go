package natstest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// configEnv names the configuration file of a server process.
const configEnv = "MAHAVISHNU_NATSTEST_CONFIG"

// logEnv names the file that a server process writes its log to.
const logEnv = "MAHAVISHNU_NATSTEST_LOG"

// Configured is a server process that reads a configuration file of nats-server's,
// just as that program does.
type Configured struct {
	// Name is for people, File the configuration, Env the variables it refers to.
	Name, File string
	Env        []string
	// Run starts the process another way than exec does, in a network namespace say;
	// nil is cmd.Start.
	Run func(*exec.Cmd) error

	t   testing.TB
	cmd *exec.Cmd
	log string
}

// StartConfigured starts servers until the test ends; the package's TestMain must
// call [Main]. It returns when all of them listen; a cluster may still elect.
func StartConfigured(t testing.TB, servers ...*Configured) {
	t.Helper()
	dir := t.TempDir()
	for _, s := range servers {
		s.t, s.log = t, filepath.Join(dir, s.Name+".log")
		t.Cleanup(s.Kill)
	}
	var waits []func() error
	for _, s := range servers {
		waits = append(waits, s.begin())
	}
	for i, wait := range waits {
		if err := wait(); err != nil {
			t.Fatalf("server %s: %v\n%s", servers[i].Name, err, servers[i].Log())
		}
	}
}

// begin starts the process; wait returns when it listens.
func (s *Configured) begin() (wait func() error) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), s.Env...), configEnv+"="+s.File, logEnv+"="+s.log)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	run := s.Run
	if run == nil {
		run = (*exec.Cmd).Start
	}
	if err := run(cmd); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = cmd
	return func() error {
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			return fmt.Errorf("did not become ready: %q, %w", line, err)
		}
		return nil
	}
}

// Kill ends the server with SIGKILL.
func (s *Configured) Kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill() //nolint:errcheck // it may be gone already
		s.cmd.Wait()         //nolint:errcheck // killed is an error
		s.cmd = nil
	}
}

// Restart starts a killed server over its old data.
func (s *Configured) Restart() {
	s.t.Helper()
	if err := s.begin()(); err != nil {
		s.t.Fatalf("server %s: %v\n%s", s.Name, err, s.Log())
	}
}

// Pid is the process's.
func (s *Configured) Pid() int { return s.cmd.Process.Pid }

// Log is the end of what the server said.
func (s *Configured) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// FreePorts returns TCP ports of the loopback address that nobody listens on just
// now.
func FreePorts(t testing.TB, n int) []int { return freePorts(t, n) }

// serveConfig is the server process.
func serveConfig(file string) error {
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	o.NoSigs, o.LogFile = true, os.Getenv(logEnv)
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("it was not ready in time")
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte() // ends with the parent, which holds the other end
	return nil
}
