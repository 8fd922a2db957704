package parity

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/pack"
)

const packMagic = "MHVr"

// Prefix is where parity objects are: <Prefix><xx>/<pack id>.
const Prefix = "parity/"

// Name returns the name of a pack's parity object.
func Name(id blob.PackID) string {
	hex := id.String()
	return Prefix + hex[:2] + "/" + hex
}

// Object is the parity of one pack.
type Object struct {
	// Pack is whose parity it is, Sum the checksum at that pack's end.
	Pack  blob.PackID
	Shape Shape
	Sum   uint64
	sums  []byte // XXH64 of every data shard, then of every parity shard
	body  []byte // the parity shards; shorter when the object is cut off
}

// Sum returns the checksum at the end of a pack, by which its versions are told
// apart: there is only one.
func Sum(packed []byte) uint64 {
	return binary.LittleEndian.Uint64(packed[len(packed)-sumSize:])
}

// ObjectSize is the size of the parity object of a pack of size bytes.
func (s Scheme) ObjectSize(size int64) int {
	p := s.Shape(size)
	return 2*p.headSize() + p.Parity*p.Shard + tailSize
}

func (p Shape) headSize() int { return headerSize + 8*(p.Data+p.Parity) + sumSize }

// Encode makes the parity object of a whole pack in buf's space, which needs
// s.ObjectSize + one shard (s.EncodeSpace) so as not to be made anew.
func (c *Codec) Encode(buf []byte, s Scheme, id blob.PackID, packed []byte) ([]byte, error) {
	if len(packed) < pack.MinSize {
		return nil, fmt.Errorf("%d bytes are no pack", len(packed))
	}
	p := s.Shape(int64(len(packed)))
	coder, err := c.coder(p.Data, p.Parity)
	if err != nil {
		return nil, err
	}
	size := s.ObjectSize(int64(len(packed)))
	if cap(buf) < size+p.Shard {
		buf = make([]byte, size+p.Shard)
	}
	out, last := buf[:size:size], buf[size:size+p.Shard]
	head := p.headSize()
	putHeader(out, id, p, Sum(packed))
	sums := out[headerSize:]
	shards := make([][]byte, p.Data+p.Parity)
	for i := range p.Data {
		shard := packed[i*p.Shard:]
		if len(shard) < p.Shard {
			clear(last[copy(last, shard):])
			shard = last
		}
		shards[i] = shard[:p.Shard]
		binary.LittleEndian.PutUint64(sums[8*i:], xxhash.Sum64(shards[i]))
	}
	for i := range p.Parity {
		shards[p.Data+i] = out[head+i*p.Shard:][:p.Shard]
	}
	if err := coder.Encode(shards); err != nil {
		return nil, err
	}
	for i := p.Data; i < len(shards); i++ {
		binary.LittleEndian.PutUint64(sums[8*i:], xxhash.Sum64(shards[i]))
	}
	binary.LittleEndian.PutUint64(out[head-sumSize:], xxhash.Sum64(out[:head-sumSize]))
	return seal(out[:head+p.Parity*p.Shard], head), nil
}

// EncodeSpace is how many bytes Encode needs for a pack of size bytes.
func (s Scheme) EncodeSpace(size int64) int { return s.ObjectSize(size) + s.Shape(size).Shard }

func putHeader(out []byte, id blob.PackID, p Shape, sum uint64) {
	clear(out[:headerSize])
	copy(out, packMagic)
	binary.LittleEndian.PutUint16(out[4:], format)
	binary.LittleEndian.PutUint16(out[8:], uint16(p.Data))
	binary.LittleEndian.PutUint16(out[10:], uint16(p.Parity))
	binary.LittleEndian.PutUint32(out[12:], uint32(p.Shard))
	copy(out[16:], id[:])
	binary.LittleEndian.PutUint64(out[32:], uint64(p.Size))
	binary.LittleEndian.PutUint64(out[40:], sum)
}

// objectHead is the size of the head whose fixed part is given.
func objectHead(fixed []byte) int64 {
	return headerSize + 8*(int64(binary.LittleEndian.Uint16(fixed[8:]))+int64(binary.LittleEndian.Uint16(fixed[10:]))) + sumSize
}

// Parse reads the parity object of a pack, whole or as far as it is. It keeps
// data.
func Parse(id blob.PackID, data []byte) (*Object, error) {
	head, err := anyHead(data, packMagic, objectHead)
	if err != nil {
		return nil, err
	}
	o := &Object{
		Pack: blob.PackID(head[16:32]),
		Shape: Shape{
			Size:   int64(binary.LittleEndian.Uint64(head[32:])),
			Shard:  int(binary.LittleEndian.Uint32(head[12:])),
			Data:   int(binary.LittleEndian.Uint16(head[8:])),
			Parity: int(binary.LittleEndian.Uint16(head[10:])),
		},
		Sum:  binary.LittleEndian.Uint64(head[40:]),
		sums: head[headerSize : len(head)-sumSize],
	}
	if err := o.Shape.check(); err != nil {
		return nil, err
	}
	if o.Pack != id {
		return nil, fmt.Errorf("%w: of pack %s", ErrOther, o.Pack)
	}
	body := data[min(len(head), len(data)):]
	o.body = body[:min(len(body), o.Shape.Parity*o.Shape.Shard)]
	return o, nil
}

func (p Shape) check() error {
	if p.Size < pack.MinSize || p.Size > pack.MaxSize || p.Shard < 1 || int64(p.Shard) > p.Size ||
		p.Data < 1 || p.Data+p.Parity > maxShards || (p.Size+int64(p.Shard)-1)/int64(p.Shard) != int64(p.Data) {
		return fmt.Errorf("%w: its head contradicts itself", ErrDamaged)
	}
	return nil
}

func (o *Object) sum(i int) uint64 { return binary.LittleEndian.Uint64(o.sums[8*i:]) }

// parityShard returns a parity shard, if it is whole.
func (o *Object) parityShard(i int) []byte {
	start := i * o.Shape.Shard
	if start+o.Shape.Shard > len(o.body) {
		return nil
	}
	shard := o.body[start:][:o.Shape.Shard]
	if xxhash.Sum64(shard) != o.sum(o.Shape.Data+i) {
		return nil
	}
	return shard
}

// Whole tells whether shard is the pack's i-th, as it was.
func (o *Object) Whole(i int, shard []byte) bool { return xxhash.Sum64(shard) == o.sum(i) }

// Bad returns the numbers of the data shards that are not what they were. data
// holds the pack as it was read, filled up with zeros to Shape.Padded.
func (o *Object) Bad(data []byte) []int {
	var bad []int
	for i := range o.Shape.Data {
		if !o.Whole(i, data[i*o.Shape.Shard:][:o.Shape.Shard]) {
			bad = append(bad, i)
		}
	}
	return bad
}

// Mend makes data, as for Bad, what the pack was, and returns how many shards
// were not. With ErrBeyond data stays as it is. Whoever calls it checks the pack's
// own checksum afterwards, which is another one.
func (c *Codec) Mend(o *Object, data []byte) (mended int, err error) {
	bad := o.Bad(data)
	if len(bad) == 0 {
		return 0, nil
	}
	p := o.Shape
	shards := make([][]byte, p.Data+p.Parity)
	for i := range p.Data {
		shards[i] = data[i*p.Shard:][:p.Shard]
	}
	good := 0
	for i := range p.Parity {
		if shard := o.parityShard(i); shard != nil {
			shards[p.Data+i] = shard
			good++
		}
	}
	if len(bad) > good {
		return 0, fmt.Errorf("%w: %d of %d shards, with %d parity shards", ErrBeyond, len(bad), p.Data, good)
	}
	for _, i := range bad {
		shards[i] = nil
	}
	coder, err := c.coder(p.Data, p.Parity)
	if err != nil {
		return 0, err
	}
	if err := coder.ReconstructData(shards); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBeyond, err)
	}
	for _, i := range bad {
		if !o.Whole(i, shards[i]) {
			return 0, fmt.Errorf("%w: shard %d comes out wrong", ErrBeyond, i)
		}
	}
	for _, i := range bad {
		copy(data[i*p.Shard:][:p.Shard], shards[i])
	}
	return len(bad), nil
}
