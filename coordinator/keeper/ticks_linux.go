package keeper

import "golang.org/x/sys/unix"

// ticks reads the clock that a keeper and its watchdog share: nanoseconds since the machine
// started, those that it was suspended for included.
func ticks() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("the kernel has no clock: " + err.Error())
	}
	return t.Nano()
}
