package replication

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// notesName is the one object in which a replica keeps what it must remember. Only the
// end of a run writes it. Without it deletions wait anew, and nothing else is lost.
const notesName = Prefix + "notes"

const (
	notesMagic  = "MHVreplN"
	notesFormat = 1
	notesHead   = 8 + 4 + 4 + 16 + 4 + 4 + 4 + 4
	goneSize    = 17 + 1 + 8
	seenSize    = 17 + 8
	// maxNotes bounds what is read, in bytes: 10 million entries.
	maxNotes = 256 << 20

	flagTurn = 1 // the turn is known
	flagLost = 1 // of an entry
)

// errNewer means that a newer program wrote the notes.
var errNewer = errors.New("a newer program wrote it")

// gone is an object of the replica that the primary does not have.
type gone struct {
	since time.Time // when a run first missed it; whole seconds
	// lost: nobody deleted it in the primary, it got lost there. It stays.
	lost bool
}

// notes is what a replica remembers between runs.
type notes struct {
	repo [16]byte
	// turn is the collectors' turn in the primary when the last run ended, as far as
	// it was known.
	turn     uint32
	turnSeen bool
	gone     map[key]gone
	// seen is the modification time of the primary's object when its bytes were last
	// compared, in nanoseconds of Unix time: a small object that changed is looked at
	// again. Nothing else rests on it.
	seen map[key]int64
}

func newNotes(repo [16]byte) *notes {
	return &notes{repo: repo, gone: map[key]gone{}, seen: map[key]int64{}}
}

func (k key) compare(o key) int { return bytes.Compare(k[:], o[:]) }

// encode returns the bytes that docs/replication.md specifies.
func (n *notes) encode() []byte {
	data := make([]byte, 0, notesHead+len(n.gone)*goneSize+len(n.seen)*seenSize+sumSize)
	le := binary.LittleEndian
	data = append(data, notesMagic...)
	data = le.AppendUint32(data, notesFormat)
	var flags uint32
	if n.turnSeen {
		flags = flagTurn
	}
	data = le.AppendUint32(data, flags)
	data = append(data, n.repo[:]...)
	data = le.AppendUint32(data, n.turn)
	data = le.AppendUint32(data, 0)
	data = le.AppendUint32(data, uint32(len(n.gone)))
	data = le.AppendUint32(data, uint32(len(n.seen)))
	for _, k := range slices.SortedFunc(maps.Keys(n.gone), key.compare) {
		g := n.gone[k]
		data = append(data, k[:]...)
		var flag byte
		if g.lost {
			flag = flagLost
		}
		data = append(data, flag)
		data = le.AppendUint64(data, uint64(g.since.Unix()))
	}
	for _, k := range slices.SortedFunc(maps.Keys(n.seen), key.compare) {
		data = append(data, k[:]...)
		data = le.AppendUint64(data, uint64(n.seen[k]))
	}
	return sum(data)
}

// decodeNotes is the reverse of encode.
func decodeNotes(data []byte) (*notes, error) {
	body, err := unsum(data)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if len(body) < notesHead || string(body[:8]) != notesMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", errRecord)
	}
	if f := le.Uint32(body[8:]); f != notesFormat {
		return nil, fmt.Errorf("%w: its format is %d, this program knows %d", errNewer, f, notesFormat)
	}
	n := newNotes([16]byte(body[16:32]))
	n.turnSeen, n.turn = le.Uint32(body[12:])&flagTurn != 0, le.Uint32(body[32:])
	goneCount, seenCount := uint64(le.Uint32(body[40:])), uint64(le.Uint32(body[44:]))
	body = body[notesHead:]
	if uint64(len(body)) != goneCount*goneSize+seenCount*seenSize {
		return nil, fmt.Errorf("%w: %d bytes do not hold %d and %d entries", errRecord, len(body), goneCount, seenCount)
	}
	var last key
	for i := range goneCount {
		k := key(body[:17])
		if i > 0 && last.compare(k) >= 0 || body[17]&^flagLost != 0 {
			return nil, fmt.Errorf("%w: entry %d", errRecord, i)
		}
		n.gone[k] = gone{lost: body[17]&flagLost != 0, since: time.Unix(int64(le.Uint64(body[18:])), 0).UTC()}
		last, body = k, body[goneSize:]
	}
	for i := range seenCount {
		k := key(body[:17])
		if i > 0 && last.compare(k) >= 0 {
			return nil, fmt.Errorf("%w: entry %d", errRecord, goneCount+i)
		}
		n.seen[k] = int64(le.Uint64(body[17:]))
		last, body = k, body[seenSize:]
	}
	return n, nil
}

// readNotes returns what the replica remembers; nothing when there are no notes, or
// damaged ones, or those of another repository: then all delays begin anew.
func readNotes(ctx context.Context, be storage.Backend, repo [16]byte) (*notes, error) {
	data, err := storage.ReadAll(ctx, be, notesName, maxNotes, nil)
	if errors.Is(err, storage.ErrNotFound) {
		return newNotes(repo), nil
	}
	if err != nil {
		return nil, err
	}
	n, err := decodeNotes(data)
	switch {
	case errors.Is(err, errNewer):
		return nil, fault.New("read", notesName+" in "+be.Location(), err, "replicate with the newest version in use")
	case err != nil || n.repo != repo:
		return newNotes(repo), nil //nolint:nilerr // notes only spare work and make deletions wait
	}
	return n, nil
}

func (n *notes) store(ctx context.Context, be storage.Backend) error {
	return be.Put(ctx, notesName, n.encode(), storage.PutOptions{Sync: true})
}

// repoID returns the 16 bytes of a repository's id.
func repoID(id string) (bytes [16]byte) {
	if n, err := hex.DecodeString(id); err == nil {
		copy(bytes[:], n)
	}
	return bytes
}
