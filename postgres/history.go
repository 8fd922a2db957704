package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// branch is where a timeline's history left that of its parent.
type branch struct {
	timeline uint32
	end      LSN
}

// ancestry is the history of a primary: the timelines before its own, oldest first, each with
// the position up to which it is a part of the history.
type ancestry struct {
	timeline uint32
	position LSN
	before   []branch
}

// end returns up to where a timeline is a part of the history.
func (a ancestry) end(timeline uint32) (LSN, bool) {
	if timeline == a.timeline {
		return a.position, true
	}
	for _, b := range a.before {
		if b.timeline == timeline {
			return b.end, true
		}
	}
	return 0, false
}

// parting compares the history with that of a server whose log ends at a position of a
// timeline, whose own past is given. It returns the last position that by the numbers both
// have, and of which timeline; it is the end when the server has nothing that the history lacks.
func (a ancestry) parting(timeline uint32, end LSN, past []branch) (uint32, LSN, bool) {
	if at, ok := a.end(timeline); ok {
		return timeline, min(at, end), true
	}
	for _, b := range slices.Backward(past) {
		if at, ok := a.end(b.timeline); ok {
			return b.timeline, min(at, b.end), true
		}
	}
	return 0, 0, false
}

// readAncestry asks a primary for its history.
func readAncestry(ctx context.Context, primary *pgx.Conn) (ancestry, error) {
	h, _, err := look(ctx, primary)
	if err != nil {
		return ancestry{}, err
	}
	if h.Role != RolePrimary {
		return ancestry{}, fmt.Errorf("it is no primary but a %s", h.Role)
	}
	a := ancestry{timeline: h.Timeline, position: h.Position}
	if a.timeline == 1 {
		return a, nil
	}
	var text string
	if err := primary.QueryRow(ctx, `SELECT pg_read_file($1)`, fmt.Sprintf("pg_wal/%08X.history", a.timeline)).Scan(&text); err != nil {
		return ancestry{}, err
	}
	a.before, err = parseHistory(text)
	return a, err
}

// parseHistory reads a timeline's history file: lines of parent, position and reason.
func parseHistory(text string) ([]branch, error) {
	var all []branch
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return nil, fmt.Errorf("%q is no line of a timeline's history", line)
		}
		n, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no line of a timeline's history", line)
		}
		end, err := ParseLSN(fields[1])
		if err != nil {
			return nil, err
		}
		all = append(all, branch{uint32(n), end})
	}
	return all, nil
}
