package dispersed

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Every storage holds a record of what it is: of which set, in which place. Without it
// an empty directory, which is what a disk that is not mounted leaves behind, would
// pass for a good storage, and the copy of one storage for another one.
const (
	recordName  = area + "member"
	recordMagic = "MHVm"
	recordLen   = 64
	// flagFilling says that the storage was adopted by a repair that has not made good
	// yet all that was lost with it.
	flagFilling = 1
)

// Errors of storages that are no members of the set. They are as good as away.
var (
	// errEmptied is wrapped by what is said of a storage without a record, or with a damaged one.
	errEmptied = errors.New("it holds no record of being a part of this repository: it is not mounted, was emptied, or is another one")
	// errForeign is wrapped by what is said of a storage that belongs elsewhere.
	errForeign = errors.New("it is another storage than the one that belongs here")
)

// setID names a set of storages that belong together. It is random.
type setID [16]byte

func (id setID) String() string { return hex.EncodeToString(id[:4]) }

func newSetID() setID {
	var id setID
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// membership is what the record of a storage says.
type membership struct {
	set                 setID
	data, parity, index uint8
	filling             bool
	since               int64 // when it was written, nanoseconds since 1970
}

func (r membership) encode() []byte {
	buf := make([]byte, recordLen)
	copy(buf, recordMagic)
	binary.LittleEndian.PutUint16(buf[4:], format)
	buf[6], buf[7], buf[8] = r.data, r.parity, r.index
	if r.filling {
		buf[9] = flagFilling
	}
	copy(buf[16:], r.set[:])
	binary.LittleEndian.PutUint64(buf[32:], uint64(r.since))
	binary.LittleEndian.PutUint64(buf[recordLen-8:], xxhash.Sum64(buf[:recordLen-8]))
	return buf
}

// parseMembership reads a record. One that is damaged is as good as none; one of a
// format that is not known is not touched.
func parseMembership(buf []byte) (membership, error) {
	switch {
	case len(buf) != recordLen || string(buf[:4]) != recordMagic,
		binary.LittleEndian.Uint64(buf[recordLen-8:]) != xxhash.Sum64(buf[:recordLen-8]):
		return membership{}, fmt.Errorf("%w: its record is damaged", errEmptied)
	case binary.LittleEndian.Uint16(buf[4:]) != format || buf[9]&^flagFilling != 0:
		return membership{}, fmt.Errorf("%w: its record is of a format that this program does not know", errForeign)
	}
	return membership{
		set: setID(buf[16:32]), data: buf[6], parity: buf[7], index: buf[8],
		filling: buf[9] == flagFilling, since: int64(binary.LittleEndian.Uint64(buf[32:])),
	}, nil
}

// fits checks that a storage belongs where it is.
func (r membership) fits(b *Backend, m *member) error {
	switch {
	case int(r.data) != b.k || int(r.data)+int(r.parity) != b.n:
		return fmt.Errorf("%w: it is of %d+%d storages, here are %d+%d", errForeign, r.data, r.parity, b.k, b.n-b.k)
	case int(r.index) != m.index:
		return fmt.Errorf("%w: it is storage %d, or a copy of it", errForeign, r.index+1)
	}
	return nil
}

func stranger(err error) bool { return errors.Is(err, errEmptied) || errors.Is(err, errForeign) }
