package natsserver

import (
	"fmt"
	"sync"
)

// Level is how serious a log line is.
type Level int

// The levels of a log line.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// Logger receives the server's log lines. It must not block, and is called
// from many goroutines.
type Logger interface{ Log(l Level, line string) }

// logAdapter turns the server's logger calls into lines, and remembers the
// last complaint: the server reports why it cannot start nowhere else.
type logAdapter struct {
	to   Logger
	mu   sync.Mutex
	last string
	died bool
}

// fatal reports whether the server said that it cannot go on.
func (a *logAdapter) fatal() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.died
}

func (a *logAdapter) complaint() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *logAdapter) log(l Level, format string, v []any) {
	if a.to == nil && l < LevelError {
		return
	}
	line := fmt.Sprintf(format, v...)
	if l == LevelError {
		a.mu.Lock()
		a.last = line
		a.mu.Unlock()
	}
	if a.to != nil {
		a.to.Log(l, line)
	}
}

// Noticef implements the server's logger.
func (a *logAdapter) Noticef(format string, v ...any) { a.log(LevelInfo, format, v) }

// Warnf implements the server's logger.
func (a *logAdapter) Warnf(format string, v ...any) { a.log(LevelWarn, format, v) }

// Errorf implements the server's logger.
func (a *logAdapter) Errorf(format string, v ...any) { a.log(LevelError, format, v) }

// Fatalf implements the server's logger. It does not end the process: Start
// reports what it heard.
func (a *logAdapter) Fatalf(format string, v ...any) {
	a.log(LevelError, format, v)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.died = true
}

// Debugf implements the server's logger.
func (a *logAdapter) Debugf(format string, v ...any) { a.log(LevelDebug, format, v) }

// Tracef implements the server's logger.
func (a *logAdapter) Tracef(format string, v ...any) { a.log(LevelDebug, format, v) }
