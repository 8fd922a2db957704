// Package repository is what is stored: blobs sealed in packs, an index that
// finds them, and snapshots that say what they mean.
//
// A repository lives in any storage.Backend and describes itself: the backend
// and the key ring are all it takes to read it. docs/format.md specifies every
// byte.
//
// # Writing
//
// A [Session] stores blobs and ends in [Session.Commit], which makes exactly one
// object visible as its last step: the snapshot. Until then nothing refers to
// what was stored; a session that dies leaves blobs that the next one reuses.
// Many sessions may run at once, also on different machines. Writing needs no
// right to delete.
//
// # Reading
//
// [Repository.Load] returns one blob, [Repository.LoadPack] many blobs of one pack
// with few reads. Bytes are returned only after the seal and the content id have
// been checked: a damaged repository gives an error that names the blob and the
// pack, never wrong bytes. Where the index is damaged or lost, reading falls back
// on what packs say of themselves.
//
// # Damage
//
// With parity ([StandardParity]; docs/format.md says exactly what it promises) a pack
// is read right while 5 of its 64 shards or fewer are damaged, and otherwise while the
// other packs of its stripe are; a missing one too. Small objects are stored twice.
// What was read in such a way is counted ([Repository.Corrections]) and told
// ([OpenOptions]); [Repository.Repair] writes it back, byte for byte.
//
// # Rules
//
// Objects are written once and never changed. The commit order is packs, parity, index,
// snapshot, each durable before the next is visible. Ids and names tell nothing
// without the key ring. All sizes and offsets are bytes, all times UTC.
package repository
