//go:build !windows

package keeper_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
)

// marker is a member whose fence leaves a file that tells the epoch.
func marker(t *testing.T) (spec standby.Spec, fenced func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fenced")
	idle := []string{"true"}
	spec = standby.Spec{Command: &standby.CommandOptions{
		Service: "db", Member: "a", Health: idle, Promote: idle, Demote: idle,
		Fence: []string{"sh", "-c", "echo $MAHAVISHNU_EPOCH >" + file},
	}}
	return spec, func() string {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
}

func watchdog(t *testing.T, spec standby.Spec) keeper.Watchdog {
	t.Helper()
	t.Setenv(roleEnv, "watchdog")
	d, err := keeper.StartWatchdog([]string{"/proc/self/exe"}, spec, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestWatchdogStopsTheMemberOfAKeeperThatHangs(t *testing.T) {
	spec, fenced := marker(t)
	d := watchdog(t, spec)
	for range 20 {
		if err := d.Arm(7, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if fenced() != "" {
		t.Fatal("stopped though it was put off")
	}
	await(t, "it is stopped", func() bool { return fenced() == "7" })
	// It goes on watching: the keeper may wake and begin another tenure.
	if err := d.Arm(8, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	await(t, "the next tenure is stopped, too", func() bool { return fenced() == "8" })
}

func TestWatchdogStopsTheMemberOfAKeeperThatIsGone(t *testing.T) {
	spec, fenced := marker(t)
	d := watchdog(t, spec)
	if err := d.Arm(7, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil { // as the pipe of a killed process ends
		t.Fatal(err)
	}
	if fenced() != "7" {
		t.Error("the watchdog ended and the member was not stopped")
	}
	if err := d.Arm(8, time.Hour); err == nil {
		t.Error("a watchdog that is gone can be set")
	}
}

func TestWatchdogLeavesAMemberAloneThatWasStopped(t *testing.T) {
	spec, fenced := marker(t)
	d := watchdog(t, spec)
	if err := d.Arm(7, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := d.Disarm(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if at := fenced(); at != "" {
		t.Errorf("stopped under epoch %s", at)
	}
}

// TestWatchdogJudgesByTheClock holds the watchdog up while words wait for it: what they say of
// the past must not count from when they are read.
func TestWatchdogJudgesByTheClock(t *testing.T) {
	spec, fenced := marker(t)
	t.Setenv(roleEnv, "watchdog")
	number := filepath.Join(t.TempDir(), "pid")
	program := "echo $$ >" + number + "; exec /proc/" + strconv.Itoa(os.Getpid()) + "/exe"
	d, err := keeper.StartWatchdog([]string{"sh", "-c", program}, spec, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Arm(7, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	pid := 0
	await(t, "its number is known", func() bool {
		text, err := os.ReadFile(number)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := d.Arm(7, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	woken := time.Now()
	await(t, "it is stopped", func() bool { return fenced() == "7" })
	if took := time.Since(woken); took > 5*time.Second {
		t.Errorf("stopped %v after it woke: it counted from when it read the word", took)
	}
}

func TestWatchRefusesWhatIsNoKeeper(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"nothing": "", "no words": "hello\n", "no spec": `{"epoch":1}` + "\n", "no driver": `{"spec":{}}` + "\n"} {
		err := keeper.Watch(t.Context(), strings.NewReader(text), io.Discard, standby.Spec.Open, nil)
		if (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
