// Package parity keeps what it takes to make damaged packs whole again.
//
// There are two kinds of parity objects, and neither needs a key:
//
//   - A pack's own ([Object]): Reed-Solomon shards over its stored bytes, with a
//     checksum for every shard. It mends what is wrong in a part of the pack:
//     flipped bits, unreadable sectors, a zeroed megabyte.
//   - A stripe ([Stripe]): the exclusive or of up to 32 packs. It brings back a
//     pack that is missing, empty, cut off, or damaged all over, from the others
//     of its stripe.
//
// # The promise
//
// With the standard [Scheme] (64 data shards, 5 parity shards, stripes of 32
// packs; about 11 % in all) a pack is made whole, byte for byte, when
//
//   - any 5 of its 64 shards are damaged or cannot be read, which covers every
//     run of damage up to a megabyte in a pack of 16 MiB, or
//   - whatever happened to it, as long as the other packs of its stripe are whole
//     or can be made so by the first rule.
//
// Where both its own parity object and a stripe are damaged too, what is left of
// both is used together. It is not made whole when two packs of one stripe have
// each more than 5 damaged shards in a place where both are damaged, and
// damage to a whole disk is beyond any parity on it: that is what replicas are for.
//
// docs/format.md specifies every byte. The arithmetic is that of
// github.com/klauspost/reedsolomon, behind this package.
package parity
