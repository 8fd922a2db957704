// Command mahavishnu is the operator's binary: it backs up, verifies, restores,
// and runs the roles that do so by themselves.
//
// Every command is one file with an options struct, a function newXCommand that
// binds flags to it, and a function runX(ctx, env, options) that does the work
// and returns an error; nothing below main exits or reads global state. What an
// error means to a script is decided in one place, exitCode.
//
// An interrupt ends the command's context; commands stop at the next safe point
// and say what is kept. A second interrupt ends the process at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mahavishnu/clock"
)

func main() {
	tuneMemory(os.LookupEnv)
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(&interruptedError{<-signals})
		os.Exit(awaitSecond(signals))
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// awaitSecond waits for somebody to insist. Signals within a second of the
// first are the same wish: wrappers pass on what the terminal sent already.
func awaitSecond(signals chan os.Signal) int {
	_ = clock.System().Sleep(context.Background(), time.Second) // cannot end early
	select {
	case <-signals:
	default:
	}
	<-signals
	return exitInterrupted
}

// interruptedError is the cause of a context that a signal ended.
type interruptedError struct{ signal os.Signal }

func (e *interruptedError) Error() string { return "stopped by " + e.signal.String() }
