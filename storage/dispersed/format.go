package dispersed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// The format of a shard; docs/dispersal.md specifies every byte.
const (
	magic   = "MHVd"
	format  = 1
	headLen = 128
	sumLen  = 8
	cellLen = 16 << 10
	// maxSize bounds the objects of a believable head.
	maxSize = 1 << 40
)

// Flags of a head.
const (
	flagGone        = 1 << iota // a tombstone: the object was deleted
	flagConditional             // it was put on the condition that there is none
	allFlags        = flagGone | flagConditional
)

// goneLen is the length of a tombstone. It is odd, as that of no shard is, so that
// listings tell them apart.
const goneLen = headLen + 1

// Errors of shards.
var (
	errDamaged = errors.New("damaged shard")
	errFormat  = errors.New("shard in a format this program does not know")
	errOther   = errors.New("shard of something else")
)

// generation names a put. It is random.
type generation [16]byte

func (g generation) String() string { return hex.EncodeToString(g[:]) }

// version orders the puts and deletions of a name: by seq, which is the time of the
// put in nanoseconds and more than that of all that it knows of; and by chance
// among those that did not know of each other.
type version struct {
	seq uint64
	gen generation
}

func (v version) compare(w version) int {
	if v.seq != w.seq {
		if v.seq < w.seq {
			return -1
		}
		return 1
	}
	return bytes.Compare(v.gen[:], w.gen[:])
}

// nameHash ties a shard to the name it was put under.
type nameHash [sha256.Size]byte

func hashName(name string) nameHash { return sha256.Sum256([]byte(name)) }

// head is what every shard says of itself.
type head struct {
	version
	data, parity, index uint8
	flags               uint8
	size                int64 // of the object
	name                nameHash
	time                int64 // of the put by its writer's clock, nanoseconds since 1970; for people
	sum                 uint64
}

func (h *head) gone() bool { return h.flags&flagGone != 0 }

func (h *head) conditional() bool { return h.flags&flagConditional != 0 }

func (h *head) shape() shape { return newShape(int(h.data), h.size) }

// tombstone returns the bytes that stand for a deleted object.
func (h *head) tombstone() []byte {
	out := make([]byte, goneLen)
	h.put(out)
	return out
}

// put writes the head into out.
func (h *head) put(out []byte) {
	clear(out[:headLen])
	copy(out, magic)
	binary.LittleEndian.PutUint16(out[4:], format)
	out[6], out[7], out[8], out[9] = h.data, h.parity, h.index, h.flags
	binary.LittleEndian.PutUint32(out[12:], cellLen)
	binary.LittleEndian.PutUint64(out[16:], uint64(h.size))
	binary.LittleEndian.PutUint64(out[24:], h.seq)
	copy(out[32:], h.gen[:])
	copy(out[48:], h.name[:])
	binary.LittleEndian.PutUint64(out[80:], uint64(h.time))
	binary.LittleEndian.PutUint64(out[88:], h.sum)
	binary.LittleEndian.PutUint64(out[headLen-sumLen:], xxhash.Sum64(out[:headLen-sumLen]))
}

// parseHead reads the head at the start of a shard.
func parseHead(in []byte) (*head, error) {
	if len(in) < headLen || string(in[:4]) != magic {
		return nil, fmt.Errorf("%w: it does not start like one", errDamaged)
	}
	if xxhash.Sum64(in[:headLen-sumLen]) != binary.LittleEndian.Uint64(in[headLen-sumLen:]) {
		return nil, fmt.Errorf("%w: the checksum of its head does not match", errDamaged)
	}
	if v := binary.LittleEndian.Uint16(in[4:]); v != format {
		return nil, fmt.Errorf("%w: format %d", errFormat, v)
	}
	h := &head{
		data: in[6], parity: in[7], index: in[8], flags: in[9],
		size:    int64(binary.LittleEndian.Uint64(in[16:])),
		version: version{seq: binary.LittleEndian.Uint64(in[24:]), gen: generation(in[32:48])},
		name:    nameHash(in[48:80]),
		time:    int64(binary.LittleEndian.Uint64(in[80:])),
		sum:     binary.LittleEndian.Uint64(in[88:]),
	}
	switch cell := binary.LittleEndian.Uint32(in[12:]); {
	case h.flags&^allFlags != 0 || cell != cellLen:
		return nil, fmt.Errorf("%w: flags %#x, cells of %d bytes", errFormat, h.flags, cell)
	case checkShape(int(h.data), int(h.parity), 0) != nil, h.index >= h.data+h.parity,
		h.size < 0 || h.size > maxSize, h.gone() && h.size != 0, h.seq == 0 || h.seq > math.MaxInt64:
		return nil, fmt.Errorf("%w: its head contradicts itself", errDamaged)
	}
	return h, nil
}

// shape is how an object of a size is cut: into rows of k cells, each followed by
// its checksum in the shard it belongs to. All rows but the last have full cells;
// those of the last are as short as they can be with an even length.
type shape struct {
	k    int
	size int64 // of the object
	rows int64
	last int64 // length of a cell of the last row
}

func newShape(k int, size int64) shape {
	s := shape{k: k, size: size, rows: (size + int64(k)*cellLen - 1) / (int64(k) * cellLen)}
	if s.rows > 0 {
		rest := size - (s.rows-1)*s.row()
		s.last = (rest + int64(k) - 1) / int64(k)
		s.last += s.last & 1
	}
	return s
}

// row is how many bytes of the object a full row holds.
func (s shape) row() int64 { return int64(s.k) * cellLen }

// cell is the length of the cells of a row.
func (s shape) cell(row int64) int64 {
	if row == s.rows-1 {
		return s.last
	}
	return cellLen
}

// at is where the cell of a row begins in every shard.
func (s shape) at(row int64) int64 { return headLen + row*(cellLen+sumLen) }

// end is where the last cell's checksum ends.
func (s shape) end() int64 {
	if s.rows == 0 {
		return headLen
	}
	return s.at(s.rows-1) + s.last + sumLen
}

// missing is how many bytes the cells of a data row set hold beyond the object:
// less than 2k.
func (s shape) missing() int64 {
	if s.rows == 0 {
		return 0
	}
	return int64(s.k)*((s.rows-1)*cellLen+s.last) - s.size
}

// shardLen is the length of a shard. The filling behind the cells tells by its
// length alone how many bytes are missing in the last row, so that a listing knows
// sizes: see [sizeOf].
func (s shape) shardLen(index int) int64 { return s.end() + 2*int64(index)*s.missing() }

// isGone tells whether an object of that length is a tombstone.
func isGone(length int64) bool { return length == goneLen }

// sizeOf returns the size of the object of which two shards have the given
// lengths, and whether there is one.
func sizeOf(k, i int, lengthI int64, j int, lengthJ int64) (int64, bool) {
	if i > j {
		i, lengthI, j, lengthJ = j, lengthJ, i, lengthI
	}
	if i == j || lengthI&1 != 0 || lengthJ&1 != 0 {
		return 0, false
	}
	missing, rest := (lengthJ-lengthI)/int64(2*(j-i)), (lengthJ-lengthI)%int64(2*(j-i))
	cells := lengthI - 2*int64(i)*missing - headLen
	if rest != 0 || missing < 0 || missing >= int64(2*k) || cells < 0 {
		return 0, false
	}
	rows := (cells + cellLen + sumLen - 1) / (cellLen + sumLen)
	size := int64(k)*(cells-rows*sumLen) - missing
	if size < 0 || size > maxSize {
		return 0, false
	}
	s := newShape(k, size)
	return size, s.shardLen(i) == lengthI && s.shardLen(j) == lengthJ
}

// summer makes the checksums of the cells of one shard, each over what the cell
// belongs to, too: a cell of another put, shard or row never passes.
type summer struct {
	seed   uint64
	digest *xxhash.Digest
}

func newSummer(v version, name nameHash, index uint8) summer {
	var tie [57]byte
	binary.LittleEndian.PutUint64(tie[:], v.seq)
	copy(tie[8:], v.gen[:])
	copy(tie[24:], name[:])
	tie[56] = index
	return summer{seed: xxhash.Sum64(tie[:]), digest: xxhash.New()}
}

func (s summer) sum(row int64, cell []byte) uint64 {
	s.digest.ResetWithSeed(s.seed + uint64(row))
	_, _ = s.digest.Write(cell) // never fails
	return s.digest.Sum64()
}
