//go:build !linux

package usertest

import (
	"os"
	"testing"
)

// Run runs body, which needs to be without privilege. Only on Linux can a test
// become another user by itself.
func Run(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("this system lets root do everything, and a test cannot become another user here")
	}
	body(t)
}
