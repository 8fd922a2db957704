package netlab

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"mahavishnu/lab/netlab"
	"mahavishnu/lab/process"
	"mahavishnu/messages/natsserver/natstest"
)

// built is the program under test, built once.
var built struct {
	once      sync.Once
	dir, path string
	err       error
}

func buildProgram(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "mahavishnu-netlab-"); built.err != nil {
			return
		}
		built.path, built.err = process.Build(t.Context(), ".", "mahavishnu/cmd/mahavishnu", built.dir)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	natstest.Main()
	playMember()
	code := m.Run()
	code = process.Verify(built.path, code) // tests build it
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

func newLab(t *testing.T, regions ...string) *netlab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	lab, err := netlab.New(netlab.Options{Regions: regions, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}
