package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"mahavishnu/fault"
)

// walPage is the size of a page of the write-ahead log; it begins with its own address.
const walPage = 8 << 10

// agrees compares this server's log, which ends at a position of a timeline, with a primary's
// history, and returns up to where both have the same. Numbers do not suffice: two servers that
// were promoted without hearing of each other give different histories the same number, maybe
// from the same position on. So the log's bytes before the parting are compared; records
// carry times and checksums, and pages their address. A text instead of a position says why
// the two have nothing in common that can be proven.
func (s *Server) agrees(ctx context.Context, primary *pgx.Conn, past ancestry, timeline uint32, end LSN) (why string, at LSN, err error) {
	own, err := s.ownPast(timeline)
	if err != nil {
		return "", 0, fault.New("read the history of", s.o.DataDir, err, "")
	}
	on, at, ok := past.parting(timeline, end, own)
	if !ok {
		return fmt.Sprintf("its timeline %d and the primary's %d have no ancestor in common", timeline, past.timeline), 0, nil
	}
	var size int64
	if err := primary.QueryRow(ctx, `SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'`).Scan(&size); err != nil {
		return "", 0, err
	}
	from := (at - 1) &^ (walPage - 1)
	if from%LSN(size) >= walPage {
		from -= walPage // the page alone may be little more than its header
	}
	length := int64(at - from)
	var mine []byte
	for tli := on; tli <= timeline && mine == nil; tli++ {
		name, offset := segment(tli, from, size)
		if mine, err = s.logBytes(name, offset, length); err != nil {
			return "", 0, fault.New("read the log of", s.o.DataDir, err, "")
		}
	}
	if mine == nil {
		return fmt.Sprintf("it has no log before %s any more to compare with the primary's", at), 0, nil
	}
	// After a switch the primary has the segment under its new timeline's name, too.
	for tli := on; tli <= past.timeline; tli++ {
		name, offset := segment(tli, from, size)
		var theirs []byte
		if err := primary.QueryRow(ctx, `SELECT pg_read_binary_file($1, $2, $3, true)`, "pg_wal/"+name, offset, length).Scan(&theirs); err != nil {
			return "", 0, err
		}
		if len(theirs) == 0 {
			continue
		}
		if !bytes.Equal(mine, theirs) {
			return fmt.Sprintf("its log differs from the primary's before %s, though both call it timeline %d", at, on), 0, nil
		}
		return "", at, nil
	}
	return fmt.Sprintf("the primary has no log before %s any more, from which it would have to stream", at), 0, nil
}

// ownPast reads the history file of a timeline that this server has.
func (s *Server) ownPast(timeline uint32) ([]branch, error) {
	if timeline <= 1 {
		return nil, nil
	}
	text, err := os.ReadFile(s.path("pg_wal", fmt.Sprintf("%08X.history", timeline)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseHistory(string(text))
}

// logBytes reads a part of a segment; nil when there is no such segment.
func (s *Server) logBytes(name string, offset, length int64) ([]byte, error) {
	f, err := os.Open(s.path("pg_wal", name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, length)
	if _, err := f.ReadAt(data, offset); err != nil {
		return nil, err
	}
	return data, nil
}

// segment returns the name of the file that has a position, and where in it that is.
func segment(timeline uint32, at LSN, size int64) (name string, offset int64) {
	number, perLog := uint64(at)/uint64(size), (uint64(1)<<32)/uint64(size)
	return fmt.Sprintf("%08X%08X%08X", timeline, number/perLog, number%perLog), int64(uint64(at) % uint64(size))
}
