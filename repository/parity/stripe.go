package parity

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/pack"
)

const (
	stripeMagic = "MHVx"
	memberSize  = 32
	// stripeShard is how many bytes of a stripe's body share a checksum.
	stripeShard = 64 << 10
)

// StripePrefix is where stripes are: <StripePrefix><stripe id>.
const StripePrefix = Prefix + "stripes/"

// StripeID names a stripe by its members: whoever makes a stripe of the same
// packs makes the same object.
type StripeID [16]byte

// String returns 32 hexadecimal digits.
func (id StripeID) String() string { return hex.EncodeToString(id[:]) }

// Object returns the name of the stripe's object.
func (id StripeID) Object() string { return StripePrefix + id.String() }

// ParseStripeID reads what String wrote.
func ParseStripeID(s string) (StripeID, error) {
	var id StripeID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, fmt.Errorf("%q is not the id of a stripe", s)
	}
	return StripeID(b), nil
}

// Member is a pack of a stripe.
type Member struct {
	ID   blob.PackID
	Size uint32
	Sum  uint64 // the checksum at the pack's end
}

// Head is what a stripe says of itself.
type Head struct {
	ID      StripeID
	Members []Member // ascending by id
	Length  int      // of the body: the size of its longest pack
	sums    []byte   // XXH64 of every shard of the body
	size    int      // of the head itself
}

// Find returns a member.
func (h *Head) Find(id blob.PackID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(h.Members, id, func(m Member, id blob.PackID) int { return m.ID.Compare(id) })
	if !ok {
		return Member{}, false
	}
	return h.Members[i], true
}

// Size is that of the stripe's object.
func (h *Head) Size() int { return 2*h.size + h.Length + tailSize }

// idOf makes the id of the stripe with a table of members.
func idOf(table []byte) StripeID {
	sum := sha256.Sum256(table)
	return StripeID(sum[:16])
}

// IDOf returns the id of a stripe of packs, ascending by id.
func IDOf(members []Member) StripeID { return idOf(appendTable(nil, members)) }

func appendTable(b []byte, members []Member) []byte {
	for _, m := range members {
		b = append(b, m.ID[:]...)
		b = binary.LittleEndian.AppendUint32(b, m.Size)
		b = binary.LittleEndian.AppendUint32(b, 0) // reserved
		b = binary.LittleEndian.AppendUint64(b, m.Sum)
	}
	return b
}

func stripeHeadSize(members, length int) int {
	return headerSize + members*memberSize + 8*shardsOf(length) + sumSize
}

func shardsOf(length int) int { return (length + stripeShard - 1) / stripeShard }

func stripeHead(fixed []byte) int64 {
	members := int64(binary.LittleEndian.Uint16(fixed[6:]))
	length := min(binary.LittleEndian.Uint64(fixed[32:]), pack.MaxSize+1)
	return headerSize + members*memberSize + 8*int64(shardsOf(int(length))) + sumSize
}

// ErrMore means that a head is longer than what was given of it.
var ErrMore = errors.New("more of the object is needed")

// ParseHead reads a stripe's head from the first bytes of its object. When they
// are too few it returns ErrMore, and how many are needed.
func ParseHead(id StripeID, start []byte) (*Head, int, error) {
	if len(start) >= headerSize && string(start[:4]) == stripeMagic {
		if n := stripeHead(start); n > int64(len(start)) && n <= maxHead {
			return nil, int(n), ErrMore
		}
	}
	head, err := wholeHead(start, stripeMagic, stripeHead)
	if err != nil {
		return nil, 0, err
	}
	h, err := parseHead(id, head)
	return h, 0, err
}

// ParseTail reads a stripe's head from the last bytes of its object.
func ParseTail(id StripeID, end []byte) (*Head, error) {
	head, err := lastHead(end, stripeMagic, stripeHead)
	if err != nil {
		return nil, err
	}
	return parseHead(id, head)
}

// HeadRead is how much of a stripe's object is read to have its head: enough for
// 128 packs of 16 MiB.
const HeadRead = 8 << 10

func parseHead(id StripeID, head []byte) (*Head, error) {
	members := int(binary.LittleEndian.Uint16(head[6:]))
	length := binary.LittleEndian.Uint64(head[32:])
	table := head[headerSize:][:members*memberSize]
	if length > pack.MaxSize || members == 0 || binary.LittleEndian.Uint32(head[12:]) != stripeShard {
		return nil, fmt.Errorf("%w: its head contradicts itself", ErrDamaged)
	}
	h := &Head{ID: StripeID(head[16:32]), Length: int(length), size: len(head)}
	h.sums = slices.Clone(head[headerSize+len(table) : len(head)-sumSize])
	longest := uint32(0)
	for ; len(table) > 0; table = table[memberSize:] {
		m := Member{
			ID:   blob.PackID(table[:16]),
			Size: binary.LittleEndian.Uint32(table[16:]),
			Sum:  binary.LittleEndian.Uint64(table[24:]),
		}
		if n := len(h.Members); n > 0 && h.Members[n-1].ID.Compare(m.ID) >= 0 || m.Size < pack.MinSize {
			return nil, fmt.Errorf("%w: its table contradicts itself", ErrDamaged)
		}
		longest = max(longest, m.Size)
		h.Members = append(h.Members, m)
	}
	if uint64(longest) != length {
		return nil, fmt.Errorf("%w: its table contradicts itself", ErrDamaged)
	}
	if h.ID != id || idOf(head[headerSize:][:members*memberSize]) != id {
		return h, fmt.Errorf("%w: stripe %s", ErrOther, h.ID)
	}
	return h, nil
}

// Body returns the exclusive or of the members from the stripe's object, as far
// as it is there, and whether every byte of it is as it was written. The head may
// come from elsewhere.
func (h *Head) Body(data []byte) (body []byte, whole bool) {
	body = data[min(h.size, len(data)):]
	body = body[:min(len(body), h.Length)]
	whole = len(body) == h.Length
	for i := 0; whole && i < shardsOf(h.Length); i++ {
		shard := body[i*stripeShard : min((i+1)*stripeShard, h.Length)]
		whole = xxhash.Sum64(shard) == binary.LittleEndian.Uint64(h.sums[8*i:])
	}
	return body, whole
}

// Builder adds packs to a stripe. It is used by one goroutine at a time.
type Builder struct {
	buf     []byte // room for a head, the body so far, room for the rest
	front   int    // where the body starts
	length  int    // of the body so far
	members []Member
}

// BuilderSpace is how many bytes a Builder of up to members packs of up to size
// bytes needs.
func BuilderSpace(members, size int) int {
	return 2*stripeHeadSize(members, size) + size + tailSize
}

// NewBuilder returns a builder for up to members packs of up to size bytes in
// the space of buf, BuilderSpace bytes of zeros.
func NewBuilder(buf []byte, members, size int) *Builder {
	return &Builder{buf: buf, front: stripeHeadSize(members, size)}
}

// Len is how many packs the stripe has so far.
func (b *Builder) Len() int { return len(b.members) }

// Members returns the packs so far, in no particular order.
func (b *Builder) Members() []Member { return b.members }

// Add adds a whole pack that is not in the stripe yet.
func (b *Builder) Add(id blob.PackID, packed []byte) {
	b.members = append(b.members, Member{ID: id, Size: uint32(len(packed)), Sum: Sum(packed)})
	b.xor(packed)
}

// AddStripe adds all packs of another stripe, none of which are in this one.
// body is that stripe's.
func (b *Builder) AddStripe(h *Head, body []byte) {
	b.members = append(b.members, h.Members...)
	b.xor(body)
}

// Remove takes a whole pack out again.
func (b *Builder) Remove(id blob.PackID, packed []byte) {
	b.members = slices.DeleteFunc(b.members, func(m Member) bool { return m.ID == id })
	b.xor(packed)
}

func (b *Builder) xor(data []byte) {
	XOR(b.buf[b.front:], data)
	b.length = max(b.length, len(data))
}

// Finish returns the stripe's id and its object, in the builder's space: valid
// until Reset. There must be a pack.
func (b *Builder) Finish() (StripeID, []byte) {
	slices.SortFunc(b.members, func(x, y Member) int { return cmp.Or(x.ID.Compare(y.ID), cmp.Compare(x.Sum, y.Sum)) })
	// Packs that were taken out may have been the longest.
	length := 0
	for _, m := range b.members {
		length = max(length, int(m.Size))
	}
	size := stripeHeadSize(len(b.members), length)
	head := b.buf[b.front-size : b.front]
	clear(head)
	copy(head, stripeMagic)
	binary.LittleEndian.PutUint16(head[4:], format)
	binary.LittleEndian.PutUint16(head[6:], uint16(len(b.members)))
	binary.LittleEndian.PutUint32(head[12:], stripeShard)
	binary.LittleEndian.PutUint64(head[32:], uint64(length))
	table := head[headerSize:][:len(b.members)*memberSize]
	appendTable(table[:0], b.members)
	id := idOf(table)
	copy(head[16:], id[:])
	body := b.buf[b.front:][:length]
	sums := head[headerSize+len(table):]
	for i := range shardsOf(length) {
		shard := body[i*stripeShard : min((i+1)*stripeShard, length)]
		binary.LittleEndian.PutUint64(sums[8*i:], xxhash.Sum64(shard))
	}
	binary.LittleEndian.PutUint64(head[size-sumSize:], xxhash.Sum64(head[:size-sumSize]))
	return id, seal(b.buf[b.front-size:b.front+length], size)
}

// Reset empties the builder.
func (b *Builder) Reset() {
	clear(b.buf[:min(len(b.buf), b.front+b.length+b.front+tailSize)])
	b.length, b.members = 0, b.members[:0]
}
