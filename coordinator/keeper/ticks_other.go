//go:build !linux

package keeper

import "mahavishnu/clock"

// ticks reads the clock that a keeper and its watchdog share. Outside Linux it is the
// wall clock, so that a step of it may stop the member early, or late by as much.
func ticks() int64 { return clock.System().Now().UnixNano() }
