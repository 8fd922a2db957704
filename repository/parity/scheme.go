package parity

import "fmt"

// Scheme says how much parity a repository keeps. The zero value is none.
type Scheme struct {
	// Data is into how many shards a full pack is cut, Shards how many parity
	// shards are made of them: as many damaged shards can be mended. Zero
	// parity shards mean that packs have no parity of their own.
	Data   int `json:"data"`
	Shards int `json:"shards"`
	// Stripe is how many packs share one stripe at most. Zero means no stripes.
	Stripe int `json:"stripe"`
}

// Standard is the scheme for storage that has no redundancy of its own: 5/64 for
// damage within packs and 1/32 for whole packs.
func Standard() Scheme { return Scheme{Data: 64, Shards: 5, Stripe: 32} }

const (
	// block is the unit of shard sizes in bytes: no sector is in two shards.
	block = 4096
	// maxShards is how many shards the arithmetic of 8 bits has names for.
	maxShards = 256
	// maxMembers bounds the packs of a stripe.
	maxMembers = 255
)

// None tells whether there is no parity at all.
func (s Scheme) None() bool { return s.Shards == 0 && s.Stripe == 0 }

// Validate refuses a scheme that cannot be.
func (s Scheme) Validate() error {
	switch {
	case s.Data < 0 || s.Shards < 0 || s.Stripe < 0:
		return fmt.Errorf("parity %d+%d in stripes of %d: numbers are not negative", s.Data, s.Shards, s.Stripe)
	case (s.Data == 0) != (s.Shards == 0):
		return fmt.Errorf("parity of %d data and %d parity shards: use both or none", s.Data, s.Shards)
	case s.Data+s.Shards > maxShards:
		return fmt.Errorf("parity of %d data and %d parity shards: at most %d in all", s.Data, s.Shards, maxShards)
	case s.Stripe == 1 || s.Stripe > maxMembers:
		return fmt.Errorf("stripes of %d packs: use 2 to %d, or 0 for none", s.Stripe, maxMembers)
	}
	return nil
}

// Shape is how a pack of one size is cut into shards.
type Shape struct {
	Size   int64 // of the pack in bytes
	Shard  int   // size of a shard in bytes
	Data   int   // shards of the pack; the last is filled up with zeros
	Parity int   // parity shards
}

// Shape returns how a pack of size bytes, which has some, is cut: into as few
// shards as make them multiples of 4 KiB, with as many parity shards as the
// scheme says but never more than data shards, so that a small pack costs at most
// itself once more.
func (s Scheme) Shape(size int64) Shape {
	shard := (size + int64(s.Data) - 1) / int64(s.Data)
	shard = (shard + block - 1) / block * block
	shard = min(shard, size)
	data := int((size + shard - 1) / shard)
	return Shape{Size: size, Shard: int(shard), Data: data, Parity: min(s.Shards, data)}
}

// Padded is the size of all data shards in bytes.
func (p Shape) Padded() int { return p.Shard * p.Data }
