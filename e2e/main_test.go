package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
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
		mahavishnu, err = process.Build(context.Background(), ".", "mahavishnu/cmd/mahavishnu", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if natsCLI, err = exec.LookPath("nats"); err != nil {
		// Not on the path: `make test` puts it there, a plain `go test` builds it.
		natsCLI, err = process.Build(context.Background(), "../tools", "github.com/nats-io/natscli/nats", dir)
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
