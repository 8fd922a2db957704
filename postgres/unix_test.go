//go:build !windows

package postgres_test

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// bystander starts a program that has nothing to do with PostgreSQL.
func bystander(t *testing.T) (pid int, exited <-chan struct{}) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	return cmd.Process.Pid, ended
}
