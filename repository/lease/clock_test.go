package lease

import (
	"time"

	"mahavishnu/clock"
)

// offset is a clock that is ahead of the machine's, or behind.
type offset struct {
	clock.Clock
	by time.Duration
}

func shifted(by time.Duration) clock.Clock { return offset{clock.System(), by} }

func (o offset) Now() time.Time { return o.Clock.Now().Add(o.by) }
