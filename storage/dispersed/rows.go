package dispersed

import (
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// errMoved means that a member whose shard was seen to lie in one place has it not
// there any more: it took its own place meanwhile, or was replaced.
var errMoved = errors.New("the shards moved while they were read")

// part is what a range needs: cells of the rows from first to last, the last
// excluded.
type part struct {
	shape       shape
	first, last int64
	// columns are the data cells that are needed, when they all lie in one row.
	columns []int
	cells   [][][]byte // by row and member: the cells that arrived and are good
	good    []int      // by row: how many
	replied []bool     // by member
	wrong   []error    // by member: why it did not help
}

func newPart(h *head, n int, offset, end int64) *part {
	s := h.shape()
	p := &part{shape: s, first: offset / s.row(), last: (end-1)/s.row() + 1, wrong: make([]error, n), replied: make([]bool, n)}
	if p.last-p.first == 1 {
		cell, from := s.cell(p.first), p.first*s.row()
		for c := (offset - from) / cell; c <= (end-1-from)/cell; c++ {
			p.columns = append(p.columns, int(c))
		}
	}
	rows := p.last - p.first
	p.good = make([]int, rows)
	p.cells = make([][][]byte, rows)
	for i := range p.cells {
		p.cells[i] = make([][]byte, n)
	}
	return p
}

// bounds are where the rows lie in a shard.
func (p *part) bounds() (offset, length int64) {
	last := p.last - 1
	return p.shape.at(p.first), p.shape.at(last) + p.shape.cell(last) + sumLen - p.shape.at(p.first)
}

// add takes the cells of a member that pass their checksums, and tells whether all
// did.
func (p *part) add(sum summer, index int, buf []byte) bool {
	all := true
	start := p.shape.at(p.first)
	for row := p.first; row < p.last; row++ {
		at := p.shape.at(row) - start
		cell := buf[at : at+p.shape.cell(row)+sumLen]
		if !sum.check(row, cell) {
			all = false
			continue
		}
		p.cells[row-p.first][index] = cell[:len(cell)-sumLen]
		p.good[row-p.first]++
	}
	return all
}

// lacking returns how many more members must deliver good cells: those of the needed
// columns while they can be had, or as many as all can be made of.
func (p *part) lacking() int {
	rows := 0
	for _, n := range p.good {
		rows = max(rows, p.shape.k-n)
	}
	if len(p.columns) == 0 {
		return rows
	}
	columns := 0
	for _, c := range p.columns {
		switch {
		case p.cells[0][c] != nil:
		case p.replied[c]:
			return rows
		default:
			columns++
		}
	}
	return min(columns, rows)
}

// rows reads the bytes from offset to end of one version.
func (b *Backend) rows(ctx context.Context, o *object, offset, end int64) ([]byte, error) {
	const op = "get"
	p := newPart(&o.head, b.n, offset, end)
	at, length := p.bounds()
	order, first := b.readers(o, p, length)
	race(ctx, b, order, first, class(length), func(ctx context.Context, m *member) ([]byte, error) {
		path := o.name
		if o.paths != nil {
			path = o.paths[m.index]
		}
		buf := make([]byte, length)
		return buf, readAt(ctx, m, path, at, buf)
	}, func(r reply[[]byte]) (need int) {
		if r.err == nil && !p.add(newSummer(o.head.version, o.head.name, uint8(r.m.index)), r.m.index, r.value) {
			r.err = fmt.Errorf("%w: cells do not have their checksums", errDamaged)
		}
		p.replied[r.m.index], p.wrong[r.m.index] = true, r.err
		return p.lacking()
	})
	if p.lacking() > 0 {
		return nil, b.unreadable(ctx, op, o, p)
	}
	return b.assemble(op, o, p, offset, end)
}

// readers returns the members to ask, in that order, and how many of them at once.
// A range that lies in fewer cells of one row than k needs only those members; the
// others follow when one of them is slow or wrong.
func (b *Backend) readers(o *object, p *part, length int64) (order []*member, first int) {
	ranked, explore := b.order(class(length), b.k)
	has := func(m *member) bool { return o.paths == nil || o.paths[m.index] != "" }
	direct := map[int]bool{}
	if len(p.columns) > 0 && len(p.columns) < b.k {
		for _, c := range p.columns {
			if has(b.members[c]) && !b.members[c].shunned() {
				direct[c] = true
				order = append(order, b.members[c])
			}
		}
		if len(order) < len(p.columns) {
			direct, order = map[int]bool{}, nil
		}
	}
	for _, m := range ranked {
		if has(m) && !direct[m.index] {
			order = append(order, m)
		}
	}
	switch {
	case len(direct) > 0:
		return order, len(direct)
	case explore:
		return order, b.k + 1
	}
	return order, b.k
}

// unreadable says why a part cannot be made.
func (b *Backend) unreadable(ctx context.Context, op string, o *object, p *part) error {
	if err := ended(ctx, op, o.name); err != nil {
		return err
	}
	var wrong []string
	moved, silent := false, 0
	for i, err := range p.wrong {
		switch {
		case err == nil:
		case unusable(err), errors.Is(err, backend.ErrShort):
			wrong = append(wrong, fmt.Sprintf("storage %d: %v", i+1, err))
		case errors.Is(err, backend.ErrNotFound):
			if o.sure != nil && o.sure[i] {
				moved = true
			}
		default:
			silent++
		}
	}
	switch {
	case moved, len(wrong) == 0 && silent == 0:
		return fault.New(op, o.name, &backend.TemporaryError{Err: errMoved}, "")
	case silent > 0:
		return b.tooFew(ctx, op, o.name, b.k, p.wrong...)
	}
	return fault.New(op, o.name, damagedError(wrong), fmt.Sprintf("%d good shards are needed: repair the storages, or take the object from a replica", b.k))
}

// direct tells whether nothing has to be computed for a row.
func (p *part) direct(cells [][]byte) bool {
	for c := range p.shape.k {
		needed := len(p.columns) == 0 || c >= p.columns[0] && c <= p.columns[len(p.columns)-1]
		if needed && cells[c] == nil {
			return false
		}
	}
	return true
}

// assemble makes the bytes from offset to end of cells.
func (b *Backend) assemble(op string, o *object, p *part, offset, end int64) ([]byte, error) {
	out := make([]byte, 0, end-offset)
	for i, cells := range p.cells {
		row := p.first + int64(i)
		if !p.direct(cells) {
			for c := range cells {
				if cells[c] == nil {
					cells[c] = []byte{}
				}
			}
			if err := b.codec.data(cells); err != nil {
				return nil, fault.New(op, o.name, err, "")
			}
		}
		length, start := p.shape.cell(row), row*p.shape.row()
		for c := range b.k {
			from := start + int64(c)*length
			lo, hi := max(offset, from), min(end, from+length)
			if lo < hi {
				out = append(out, cells[c][lo-from:hi-from]...)
			}
		}
	}
	if offset == 0 && end == o.head.size && xxhash.Sum64(out) != o.head.sum {
		return nil, fault.New(op, o.name, fmt.Errorf("%w: the shards are good and make other bytes than were put", backend.ErrDamaged), "")
	}
	return out, nil
}
