package postgres

import (
	"context"
	"fmt"
	"strings"

	"mahavishnu/fault"
)

// Replica is a standby as its primary sees it.
type Replica struct {
	Name string
	// Streaming: it has caught up once and receives what is written.
	Streaming bool
	// Synchronous: commits wait for it now.
	Synchronous bool
	// Flushed is up to where its disk has the log.
	Flushed LSN
}

// Replicas returns who streams from this server, and up to where its own disk has the log.
// One that has no such member's name (a backup, say) is not among them.
func (s *Server) Replicas(ctx context.Context) ([]Replica, LSN, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ProbeTimeout)
	defer cancel()
	conn, err := s.local(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer s.hangUp(ctx, conn)
	// The own position is read first: a standby that has it has all that was written before.
	var text string
	if err := conn.QueryRow(ctx, `SELECT pg_current_wal_flush_lsn()::text`).Scan(&text); err != nil {
		return nil, 0, fault.New("look for the standbys of", s.o.Name, err, "")
	}
	own, err := ParseLSN(text)
	if err != nil {
		return nil, 0, err
	}
	rows, err := conn.Query(ctx, `SELECT application_name, state = 'streaming', sync_state IN ('sync', 'quorum'),
		COALESCE(flush_lsn, '0/0')::text FROM pg_stat_replication ORDER BY application_name`)
	if err != nil {
		return nil, 0, fault.New("look for the standbys of", s.o.Name, err, "")
	}
	defer rows.Close()
	var all []Replica
	for rows.Next() {
		var r Replica
		if err := rows.Scan(&r.Name, &r.Streaming, &r.Synchronous, &text); err != nil {
			return nil, 0, fault.New("look for the standbys of", s.o.Name, err, "")
		}
		if r.Flushed, err = ParseLSN(text); err != nil {
			return nil, 0, err
		}
		if memberName.MatchString(r.Name) {
			all = append(all, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fault.New("look for the standbys of", s.o.Name, err, "")
	}
	return all, own, nil
}

// Everyone in place of members' names: a commit waits for any one standby.
const Everyone = "*"

// SetSynchronous says which members must have a commit on their disks before it is
// acknowledged: all of those named; nobody else's when there is none. It holds from now on,
// through restarts and promotions; a server that runs heeds it a moment later, as [Server.Replicas] shows.
func (s *Server) SetSynchronous(members ...string) error {
	if err := s.configure(setting{"synchronous_standby_names", synchronousNames(members)}); err != nil {
		return err
	}
	return s.reload()
}

func synchronousNames(members []string) string {
	if len(members) == 0 {
		return ""
	}
	quoted := make([]string, len(members))
	for i, m := range members {
		quoted[i] = m
		if m != Everyone {
			quoted[i] = `"` + strings.ReplaceAll(m, `"`, `""`) + `"`
		}
	}
	return fmt.Sprintf("FIRST %d (%s)", len(members), strings.Join(quoted, ", "))
}
