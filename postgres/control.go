package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"mahavishnu/fault"
)

// Control is what pg_control says of a data directory: the truth about a server that is down.
type Control struct {
	// SystemID names the database cluster; all its copies share it.
	SystemID string
	// State is PostgreSQL's: "in production", "shut down", "in archive recovery", ...
	State string
	// Timeline and Checkpoint are those of the last checkpoint.
	Timeline   uint32
	Checkpoint LSN
	// RecoveryEnd and RecoveryTimeline are up to where a standby must replay before it is
	// consistent; 0 on a primary.
	RecoveryEnd      LSN
	RecoveryTimeline uint32
	// Rewindable says that pg_rewind can tell which pages changed: data checksums or wal_log_hints.
	Rewindable bool
}

// Standby tells whether the server was a standby when it last wrote the file.
func (c Control) Standby() bool {
	return strings.Contains(c.State, "recovery") && c.State != crashRecovery
}

// Clean tells whether it was shut down in an orderly way.
func (c Control) Clean() bool { return strings.HasPrefix(c.State, "shut down") }

// crashRecovery is the state of a primary that replays its own log after a crash.
const crashRecovery = "in crash recovery"

// Control reads pg_control. It may be called whether the server runs or not.
func (s *Server) Control(ctx context.Context) (Control, error) {
	text, err := s.run(ctx, "pg_controldata", "-D", s.o.DataDir)
	if err != nil {
		return Control{}, fault.New("read the control file of", s.o.DataDir, err, "")
	}
	c, err := parseControl(text)
	if err != nil {
		return Control{}, fault.New("read the control file of", s.o.DataDir, err, "are the programs in bin_dir of the server's version?")
	}
	return c, nil
}

func parseControl(text string) (Control, error) {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	c := Control{SystemID: fields["Database system identifier"], State: fields["Database cluster state"]}
	if c.SystemID == "" || c.State == "" {
		return Control{}, fmt.Errorf("pg_controldata prints no identifier and no state")
	}
	for key, to := range map[string]*LSN{
		"Latest checkpoint location": &c.Checkpoint, "Minimum recovery ending location": &c.RecoveryEnd,
	} {
		at, err := ParseLSN(fields[key])
		if err != nil {
			return Control{}, fmt.Errorf("%s: %w", key, err)
		}
		*to = at
	}
	for key, to := range map[string]*uint32{
		"Latest checkpoint's TimeLineID": &c.Timeline, "Min recovery ending loc's timeline": &c.RecoveryTimeline,
	} {
		n, err := strconv.ParseUint(fields[key], 10, 32)
		if err != nil {
			return Control{}, fmt.Errorf("%s: %w", key, err)
		}
		*to = uint32(n)
	}
	version := fields["Data page checksum version"]
	c.Rewindable = version != "" && version != "0" || fields["wal_log_hints setting"] == "on"
	return c, nil
}
