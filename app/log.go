package app

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"mahavishnu/config"
	"mahavishnu/messages/natsserver"
)

// NewLogger returns the process's logger on w: JSON lines, or text for people
// where w is a terminal, as node.log_format and node.log_level say.
func NewLogger(w io.Writer, n config.Node) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(n.LogLevel)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("node.log_level: %w", err)
	}
	if n.LogFormat == "text" || (n.LogFormat != "json" && isTerminal(w)) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Str("node", n.Name).Str("region", n.Region).Logger(), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// serverLog passes what the embedded server says to the process's log. Its
// start-up chatter is for debugging; what it warns of is not.
type serverLog struct{ log zerolog.Logger }

func (l serverLog) Log(level natsserver.Level, line string) {
	at := zerolog.DebugLevel
	switch level {
	case natsserver.LevelWarn:
		at = zerolog.WarnLevel
	case natsserver.LevelError:
		at = zerolog.ErrorLevel
	}
	l.log.WithLevel(at).Str("part", "nats").Msg(line)
}
