package lease

import (
	"encoding/json"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asChild makes this test program a process that tells who it is, judges what it
// is given, and then waits to be killed.
const asChild = "LEASE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		judge(os.Stdin, os.Stdout)
		return
	}
	goleak.VerifyTestMain(m)
}

// judge tells of each process whether it has ended.
func judge(in io.Reader, out io.Writer) {
	answers := json.NewEncoder(out)
	_ = answers.Encode(self())
	for asked := json.NewDecoder(in); ; {
		var p Process
		if asked.Decode(&p) != nil {
			return
		}
		_ = answers.Encode(p.gone())
	}
}
