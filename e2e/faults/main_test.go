//go:build linux

package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"mahavishnu/lab/process"
)

// mahavishnu is the program under test, built once.
var mahavishnu string

func TestMain(m *testing.M) {
	if role := os.Getenv(memberEnv); role != "" {
		if err := serveMember(role); err != nil {
			fmt.Fprintln(os.Stderr, "member:", err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "mahavishnu-faults-")
	if err == nil {
		mahavishnu, err = process.Build(context.Background(), ".", "mahavishnu/cmd/mahavishnu", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Worlds wait for most of their time, so that there may be more at a time than there
	// are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(worldsAtATime(), runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := process.Verify(mahavishnu, m.Run())
	os.RemoveAll(dir)
	os.Exit(code)
}

// now is a clock that all processes of this machine share, in nanoseconds.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// quickWorlds is how many worlds there are at a time, unless FAULTS_WORLDS says otherwise.
const quickWorlds = 6

func worldsAtATime() int {
	if n, err := strconv.Atoi(os.Getenv("FAULTS_WORLDS")); err == nil && n > 0 {
		return n
	}
	return quickWorlds
}
