package dispersed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Names of marks and seals. A mark is an empty object whose name, a version, is all that
// it says: the storage was there at that time. A seal, which all storages hold, says
// which marks each of them has been seen to have. DESIGN.md says what follows.
const (
	historyDir = area + "history/"
	markPrefix = "mark-"
	sealPrefix = "seal-"
)

// The format of a seal; docs/dispersal.md specifies every byte.
const (
	sealMagic   = "MHVs"
	sealHeadLen = 32
)

// errSeal means that a seal cannot be used. Others say the same.
var errSeal = errors.New("damaged seal")

// seal says which mark each storage has been seen to have.
type seal struct {
	set    setID
	quorum int      // the least that confirmed what was stored before
	given  uint64   // the mark with which losses were last accepted; 0: never
	marks  []uint64 // by storage; 0: none
}

func (s seal) encode() []byte {
	buf := make([]byte, sealHeadLen+8*len(s.marks)+sumLen)
	copy(buf, sealMagic)
	binary.LittleEndian.PutUint16(buf[4:], format)
	buf[6], buf[7] = uint8(len(s.marks)), uint8(s.quorum)
	binary.LittleEndian.PutUint64(buf[8:], s.given)
	copy(buf[16:], s.set[:])
	for i, seq := range s.marks {
		binary.LittleEndian.PutUint64(buf[sealHeadLen+8*i:], seq)
	}
	end := len(buf) - sumLen
	binary.LittleEndian.PutUint64(buf[end:], xxhash.Sum64(buf[:end]))
	return buf
}

// parseSeal reads a seal.
func parseSeal(buf []byte) (seal, error) {
	if len(buf) < sealHeadLen+sumLen || string(buf[:4]) != sealMagic {
		return seal{}, fmt.Errorf("%w: it does not begin like one", errSeal)
	}
	end := len(buf) - sumLen
	n := int(buf[6])
	switch {
	case binary.LittleEndian.Uint64(buf[end:]) != xxhash.Sum64(buf[:end]):
		return seal{}, fmt.Errorf("%w: its checksum does not match", errSeal)
	case binary.LittleEndian.Uint16(buf[4:]) != format:
		return seal{}, fmt.Errorf("%w: of a format that this program does not know", errSeal)
	case n > MaxShards, end != sealHeadLen+8*n, buf[7] == 0 || int(buf[7]) > n, binary.LittleEndian.Uint64(buf[8:]) > math.MaxInt64:
		return seal{}, fmt.Errorf("%w: it contradicts itself", errSeal)
	}
	s := seal{set: setID(buf[16:32]), quorum: int(buf[7]), given: binary.LittleEndian.Uint64(buf[8:]), marks: make([]uint64, n)}
	for i := range s.marks {
		if s.marks[i] = binary.LittleEndian.Uint64(buf[sealHeadLen+8*i:]); s.marks[i] > math.MaxInt64 {
			return seal{}, fmt.Errorf("%w: it contradicts itself", errSeal)
		}
	}
	return s, nil
}

// maxSeal is the length of the longest seal.
const maxSeal = sealHeadLen + 8*MaxShards + sumLen

// parseHistory reads a name below historyDir.
func parseHistory(name string) (v version, sealed, ok bool) {
	base, ok := strings.CutPrefix(name, historyDir)
	rest, marked := strings.CutPrefix(base, markPrefix)
	if !marked {
		rest, sealed = strings.CutPrefix(base, sealPrefix)
	}
	if !ok || !marked && !sealed {
		return v, false, false
	}
	v, ok = parseVersion(rest)
	return v, sealed, ok && v.seq <= math.MaxInt64
}

func markName(v version) string { return historyDir + markPrefix + v.String() }

func sealName(v version) string { return historyDir + sealPrefix + v.String() }
