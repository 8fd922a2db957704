package corpus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// What a day does to a database, as shares of the pages of a relation.
const (
	clusteredShare = 0.02
	scatteredShare = 0.01
	indexShare     = 0.02
	growth         = 0.05 // of the history, of its first size
)

const (
	pageSize   = 8 << 10
	pageHeader = 24
	// segment is how many pages a file has at most: 1 GiB, as PostgreSQL's.
	segment = 1 << 17
)

// relation is a table or an index.
type relation struct {
	number int // names its files
	share  float64
	fill   func(row []byte, draw *rand.Rand) // a row or an index entry
	row    int                               // its size
}

var (
	table   = relation{number: 16385, share: 0.75, fill: accountRow, row: 136}
	lookup  = relation{number: 16390, share: 0.10, fill: indexEntry, row: 16}
	history = relation{number: 16395, share: 0.15, fill: historyRow, row: 72}
)

// pages of a relation on the first day.
func (s Spec) pages(r relation) int {
	return max(int(float64(s.Bytes())*r.share)/pageSize, 1)
}

func (r relation) path(dir string, page int) string {
	name := fmt.Sprint(r.number)
	if n := page / segment; n > 0 {
		name += fmt.Sprintf(".%d", n)
	}
	return filepath.Join(dir, "base", "16384", name)
}

func writeDatabase(ctx context.Context, dir string, s Spec) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(table.path(dir, 0)), 0o755); err != nil {
		return 0, err
	}
	var total int64
	for _, r := range []relation{table, lookup, history} {
		n := s.pages(r)
		if err := r.extend(ctx, dir, s, 0, n, 0); err != nil {
			return total, err
		}
		total += int64(n) * pageSize
	}
	return total, nil
}

// extend writes the pages from..end, which are not there yet.
func (r relation) extend(ctx context.Context, dir string, s Spec, from, end, day int) error {
	const batch = 128 // pages written at once
	var next atomic.Int64
	next.Store(int64(from))
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buffer := make([]byte, batch*pageSize)
			for {
				at := int(next.Add(batch)) - batch
				if at >= end {
					return nil
				}
				if err := context.Cause(ctx); err != nil {
					return err
				}
				for n := at; n < min(at+batch, end); n++ {
					r.page(buffer[(n-at)*pageSize:][:pageSize], s, n, day)
				}
				if err := r.write(dir, at, buffer[:(min(at+batch, end)-at)*pageSize]); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// write puts pages into their files; they may go across the end of one.
func (r relation) write(dir string, page int, data []byte) error {
	for len(data) > 0 {
		here := min(len(data), (segment-page%segment)*pageSize)
		f, err := os.OpenFile(r.path(dir, page), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(data[:here], int64(page%segment)*pageSize)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		page, data = page+here/pageSize, data[here:]
	}
	return nil
}

// page fills a page: header, line pointers from the front, rows from the back.
func (r relation) page(p []byte, s Spec, n, day int) {
	draw := rand.New(rand.NewPCG(s.Seed^uint64(r.number)<<32, uint64(n)))
	rows := (pageSize - pageHeader) / (r.row + 4)
	clear(p)
	upper := pageSize
	for i := range rows {
		upper -= r.row
		// Offset, two bits of state (1: in use), length.
		binary.LittleEndian.PutUint32(p[pageHeader+4*i:], uint32(upper)|1<<15|uint32(r.row)<<17)
		r.fill(p[upper:][:r.row], draw)
	}
	binary.LittleEndian.PutUint16(p[12:], uint16(pageHeader+4*rows)) // lower
	binary.LittleEndian.PutUint16(p[14:], uint16(upper))
	binary.LittleEndian.PutUint16(p[16:], pageSize)   // special
	binary.LittleEndian.PutUint16(p[18:], pageSize|4) // layout version
	sign(p, n, day)
}

// sign gives a page the log position of its last change, and its checksum.
func sign(p []byte, n, day int) {
	binary.LittleEndian.PutUint64(p, uint64(day+1)<<32+uint64(n)*pageSize)
	binary.LittleEndian.PutUint16(p[8:], 0)
	sum := uint32(2166136261)
	for _, b := range p {
		sum = (sum ^ uint32(b)) * 16777619
	}
	binary.LittleEndian.PutUint16(p[8:], uint16(sum)^uint16(sum>>16))
}

// accountRow is a row's header, numbers, a time, and words.
func accountRow(row []byte, draw *rand.Rand) {
	rowHeader(row, draw)
	binary.LittleEndian.PutUint32(row[24:], draw.Uint32()%100_000_000)
	binary.LittleEndian.PutUint32(row[28:], draw.Uint32()%10_000)
	binary.LittleEndian.PutUint64(row[32:], 700_000_000_000_000+draw.Uint64()%1e13) // microseconds
	binary.LittleEndian.PutUint64(row[40:], draw.Uint64())                          // a token
	for rest := row[48:]; len(rest) > 0; {
		n := copy(rest, lexicon[min(draw.Uint32()&0xfff, draw.Uint32()&0xfff)])
		rest = rest[n:]
	}
}

func historyRow(row []byte, draw *rand.Rand) {
	rowHeader(row, draw)
	binary.LittleEndian.PutUint32(row[24:], draw.Uint32()%100_000_000)
	binary.LittleEndian.PutUint32(row[28:], draw.Uint32()%2_000)
	binary.LittleEndian.PutUint64(row[32:], 700_000_000_000_000+draw.Uint64()%1e13)
	copy(row[40:], lexicon[draw.Uint32()&0xff])
}

func rowHeader(row []byte, draw *rand.Rand) {
	binary.LittleEndian.PutUint32(row, 700+draw.Uint32()%5000)  // inserted by
	binary.LittleEndian.PutUint32(row[12:], draw.Uint32()%1000) // place
	binary.LittleEndian.PutUint32(row[18:], 0x0902_0004)        // what the row has
	row[22] = 24                                                // where its data begins
}

func indexEntry(row []byte, draw *rand.Rand) {
	binary.LittleEndian.PutUint32(row, draw.Uint32()%100_000)
	binary.LittleEndian.PutUint16(row[4:], uint16(draw.Uint32()%60))
	row[6] = 16
	binary.LittleEndian.PutUint32(row[8:], draw.Uint32()%100_000_000)
}

// advanceDatabase is a day of work.
func advanceDatabase(ctx context.Context, dir string, s Spec, day int) (string, error) {
	draw := rand.New(rand.NewChaCha8(versionSeed(s, day)))
	pages := s.pages(table)
	clustered, scattered := 0, 0
	for clustered < max(int(clusteredShare*float64(pages)), 1) {
		from, run := draw.IntN(pages), 8+draw.IntN(249)
		for n := from; n < min(from+run, pages); n++ {
			if err := table.touch(ctx, dir, n, day, draw); err != nil {
				return "", err
			}
			clustered++
		}
	}
	for ; scattered < max(int(scatteredShare*float64(pages)), 1); scattered++ {
		if err := table.touch(ctx, dir, draw.IntN(pages), day, draw); err != nil {
			return "", err
		}
	}
	keys := max(int(indexShare*float64(s.pages(lookup))), 1)
	for range keys {
		if err := lookup.touch(ctx, dir, draw.IntN(s.pages(lookup)), day, draw); err != nil {
			return "", err
		}
	}
	first := s.pages(history)
	grown := max(int(growth*float64(first)), 1)
	from := first + (day-1)*grown
	if err := history.extend(ctx, dir, s, from, from+grown, day); err != nil {
		return "", err
	}
	return fmt.Sprintf("pages: %d changed in runs, %d alone, %d of the index, %d added", clustered, scattered, keys, grown), nil
}

// touch changes one to three rows of a page.
func (r relation) touch(ctx context.Context, dir string, n, day int, draw *rand.Rand) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	f, err := os.OpenFile(r.path(dir, n), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var p [pageSize]byte
	at := int64(n%segment) * pageSize
	if _, err := f.ReadAt(p[:], at); err != nil {
		return err
	}
	rows := (int(binary.LittleEndian.Uint16(p[12:])) - pageHeader) / 4
	for range 1 + draw.IntN(3) {
		i := draw.IntN(rows)
		r.fill(p[pageSize-(i+1)*r.row:][:r.row], draw)
	}
	sign(p[:], n, day)
	_, err = f.WriteAt(p[:], at)
	return err
}
