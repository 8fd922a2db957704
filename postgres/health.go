package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"mahavishnu/fault"
)

// Role is what a server does.
type Role string

// Roles. A server whose role is not known answers without saying: it starts, shuts down,
// or has no connection left.
const (
	RolePrimary Role = "primary"
	RoleStandby Role = "standby"
	RoleUnknown Role = "unknown"
)

// Health is how a server is.
type Health struct {
	// Running says that its processes are there.
	Running bool
	// Role is what it does, or by its files what it was when it went down.
	Role Role
	// Writable says that it takes writes now.
	Writable bool
	// Timeline is the history that it writes or replays.
	Timeline uint32
	// Position is up to where its own disk has the log: written, or received as a standby.
	Position LSN
	// Replayed is up to where a standby shows it.
	Replayed LSN
	// Streaming says that a standby is connected to what it replays from.
	Streaming bool
	// LagBytes is what a standby has yet to replay of all that it knows its primary has.
	LagBytes int64
	// LagTime is how old the last transaction is that a standby shows; 0 when it shows all
	// it knows of, however long ago that was.
	LagTime time.Duration
	// Detail is a sentence for people.
	Detail string
}

// probeSQL asks for everything at once. received_tli is the one being streamed; a
// checkpoint's may be behind it.
const probeSQL = `
WITH r AS MATERIALIZED (SELECT pg_is_in_recovery() AS recovering)
SELECT r.recovering,
       current_setting('transaction_read_only') = 'on',
       CASE WHEN r.recovering THEN '' ELSE pg_walfile_name(pg_current_wal_flush_lsn()) END,
       GREATEST(c.timeline_id, w.received_tli, m.min_recovery_end_timeline),
       COALESCE(CASE WHEN r.recovering THEN GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_flush_lsn() END, '0/0')::text,
       COALESCE(CASE WHEN r.recovering THEN pg_last_wal_replay_lsn() END, '0/0')::text,
       COALESCE(w.status, ''),
       COALESCE(w.latest_end_lsn, '0/0')::text,
       COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8
FROM r, pg_control_checkpoint() c, pg_control_recovery() m
LEFT JOIN pg_stat_wal_receiver w ON true`

// writeProbeSQL writes a record that means nothing to anybody, and waits for the disk.
const writeProbeSQL = `SELECT pg_logical_emit_message(true, 'mahavishnu', '')`

// Health looks at the server through a new connection, because a postmaster that is
// frozen answers on old ones. What is down is told from its files. [ErrUnresponsive] is
// a server that is there and does not answer in the time for a probe.
func (s *Server) Health(ctx context.Context) (Health, error) {
	probe, cancel := context.WithTimeout(ctx, s.o.ProbeTimeout)
	defer cancel()
	h, err := s.probe(probe)
	if err == nil {
		return h, nil
	}
	alive, aerr := s.Alive()
	if aerr != nil {
		return Health{Role: RoleUnknown}, errors.Join(err, aerr)
	}
	if alive {
		if ctx.Err() != nil {
			return Health{Running: true, Role: RoleUnknown}, context.Cause(ctx)
		}
		return Health{Running: true, Role: RoleUnknown},
			fault.New("look at PostgreSQL in", s.o.DataDir, fmt.Errorf("%w: %w", ErrUnresponsive, err), "")
	}
	return s.files(ctx)
}

func (s *Server) probe(ctx context.Context) (Health, error) {
	conn, err := s.local(ctx)
	if err != nil {
		return speechless(err)
	}
	defer s.hangUp(ctx, conn)
	h, readOnly, err := look(ctx, conn)
	if err != nil {
		return speechless(err)
	}
	if h.Role == RolePrimary && !readOnly {
		h.Writable = true
		if s.o.WriteProbe {
			if _, err := conn.Exec(ctx, writeProbeSQL); err != nil {
				return speechless(err)
			}
		}
	}
	return h, nil
}

// speechless makes a health of a refusal: a server that refuses is there.
func speechless(err error) (Health, error) {
	if code, ok := answered(err); ok && (code == cannotConnectNow || code == tooManyConnections) {
		return Health{Running: true, Role: RoleUnknown, Detail: err.Error()}, nil
	}
	return Health{}, err
}

func look(ctx context.Context, conn *pgx.Conn) (h Health, readOnly bool, err error) {
	h = Health{Running: true, Role: RolePrimary}
	var recovering bool
	var segment, position, replayed, receiver, known string
	var timeline int64
	var age float64
	err = conn.QueryRow(ctx, probeSQL).Scan(&recovering, &readOnly, &segment, &timeline, &position, &replayed, &receiver, &known, &age)
	if err != nil {
		return Health{}, false, err
	}
	h.Timeline = uint32(timeline)
	if h.Position, err = ParseLSN(position); err != nil {
		return Health{}, false, err
	}
	if !recovering {
		h.Timeline, err = segmentTimeline(segment)
		return h, readOnly, err
	}
	h.Role, h.Streaming = RoleStandby, receiver == "streaming"
	if h.Replayed, err = ParseLSN(replayed); err != nil {
		return Health{}, false, err
	}
	end, err := ParseLSN(known)
	if err != nil {
		return Health{}, false, err
	}
	if end = max(end, h.Position); end > h.Replayed {
		h.LagBytes = int64(end - h.Replayed)
		h.LagTime = time.Duration(age * float64(time.Second))
	}
	if !h.Streaming {
		h.Detail = "it is not connected to a primary"
	}
	return h, readOnly, nil
}

// segmentTimeline reads the timeline of a segment's name, its first eight digits.
func segmentTimeline(name string) (uint32, error) {
	if len(name) < 8 {
		return 0, fmt.Errorf("%q is no segment of the write-ahead log", name)
	}
	n, err := strconv.ParseUint(name[:8], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no segment of the write-ahead log", name)
	}
	return uint32(n), nil
}

// files tells what a server that is down was.
func (s *Server) files(ctx context.Context) (Health, error) {
	if !s.has("PG_VERSION") {
		return Health{Role: RoleUnknown, Detail: "there is no data directory"}, nil
	}
	c, err := s.Control(ctx)
	if err != nil {
		return Health{Role: RoleUnknown}, err
	}
	h := Health{Role: RolePrimary, Timeline: c.Timeline, Position: c.Checkpoint, Detail: "it is down, last " + c.State}
	if c.Standby() {
		h.Role, h.Position = RoleStandby, max(c.Checkpoint, c.RecoveryEnd)
		h.Timeline = max(c.Timeline, c.RecoveryTimeline)
		h.Replayed = h.Position
	}
	return h, nil
}
