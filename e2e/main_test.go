package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"mahavishnu/lab/process"
	"mahavishnu/messages/natsserver/natstest"
)

// The programs under test, built once.
var mahavishnu, natsCLI string

func TestMain(m *testing.M) {
	natstest.Main()
	playRole()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mahavishnu-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		mahavishnu, err = build(dir, "..", "./cmd/mahavishnu")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if natsCLI, err = exec.LookPath("nats"); err != nil {
		// Not on the path: `make test` puts it there, a plain `go test` builds it.
		natsCLI, err = build(dir, "../tools", "github.com/nats-io/natscli/nats")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(testsAtATime())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	return process.Verify(mahavishnu, code)
}

// testsAtATime is how many parallel tests run at once: they wait for others' timers half of their
// time, so that it may be more than there are processors.
func testsAtATime() int { return max(4, runtime.GOMAXPROCS(0)) }

func build(dir, module, pkg string) (string, error) {
	program := filepath.Join(dir, filepath.Base(pkg))
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.Command("go", "build", "-C", module, "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}
