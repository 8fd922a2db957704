package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"mahavishnu/repository"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
)

// Places in a repository that have a part of their own here.
const (
	copyPrefix     = "copies/"
	snapshotPrefix = "snapshots/"
	indexPrefix    = "index/"
	packPrefix     = "packs/"
	ledgerPrefix   = "ledger/"
	doubtPrefix    = "ledger/bad-"
	pinPrefix      = "pins/"
	holdPrefix     = "holds/"
	turnPrefix     = "gc/turns/"
	parityPrefix   = parity.Prefix
	configName     = "config"
	configCopy     = "config.copy"

	// forgottenPrefix comes before the whole name of a snapshot that is forgotten.
	forgottenPrefix = "gc/forgotten/"
)

// class is what an object is to replication. Objects go to the replica in the
// order data, parity, index, snapshots, and leave it in the other.
type class uint8

const (
	classNone     class = iota // stays where it is
	classSnapshot              // a pair: the object and its second copy
	classKeep                  // pairs: pins, holds, doubts
	classIndex                 // a pair
	classParity                // of a pack, or a stripe
	classPack
	classConfig
)

// paired tells the classes of small objects, which are kept twice.
func (c class) paired() bool { return c == classSnapshot || c == classKeep || c == classIndex }

// classOf tells the class of an object, of a second copy that of its object.
// What belongs to one place stays there: everything below gc/ (sessions, lists,
// marks), the ledger of what was verified in that place, and what is below
// [Prefix].
func classOf(name string) class {
	bare := strings.TrimPrefix(name, copyPrefix)
	switch repository.KindOf(name) {
	case repository.ObjectPack:
		return classPack
	case repository.ObjectParity:
		return classParity
	case repository.ObjectIndex:
		return classIndex
	case repository.ObjectSnapshot:
		return classSnapshot
	case repository.ObjectKeep:
		return classKeep
	case repository.ObjectLedger:
		if strings.HasPrefix(bare, doubtPrefix) {
			return classKeep
		}
	case repository.ObjectConfig:
		return classConfig
	}
	return classNone
}

// key is an object's name, in 17 bytes: there may be millions.
type key [17]byte

// Kinds of keys: the names of the first four follow from 16 bytes.
const (
	keyNamed byte = iota
	keyPack
	keyParity
	keyStripe
	keyIndex
)

func (k key) kind() byte { return k[0] }

// render returns the name of a key that is not keyNamed.
func (k key) render() string {
	id := hex.EncodeToString(k[1:])
	switch k.kind() {
	case keyPack:
		return packPrefix + id[:2] + "/" + id
	case keyParity:
		return parity.Prefix + id[:2] + "/" + id
	case keyStripe:
		return parity.StripePrefix + id
	case keyIndex:
		return indexPrefix + id
	}
	return ""
}

// keyOf returns the key of a name. That of a name of no known form is a hash.
func keyOf(name string) key {
	var k key
	kind := keyNamed
	switch {
	case strings.HasPrefix(name, packPrefix):
		kind = keyPack
	case strings.HasPrefix(name, parity.StripePrefix):
		kind = keyStripe
	case strings.HasPrefix(name, parity.Prefix):
		kind = keyParity
	case strings.HasPrefix(name, indexPrefix):
		kind = keyIndex
	}
	if kind != keyNamed && len(name) >= 2*len(k[1:]) {
		k[0] = kind
		if _, err := hex.Decode(k[1:], []byte(name[len(name)-2*len(k[1:]):])); err == nil && k.render() == name {
			return k
		}
	}
	sum := sha256.Sum256([]byte(name))
	k[0] = keyNamed
	copy(k[1:], sum[:])
	return k
}

// shard tells whose share a pack or its parity is: both are one's.
func (k key) shard(n int) int {
	return int((uint32(k[1])<<16 | uint32(k[2])<<8 | uint32(k[3])) % uint32(max(n, 1)))
}

// packOfData tells whether the object is a pack of data, and not one of trees: a pack's
// header says so in the clear.
func packOfData(name string, data []byte) bool {
	if keyOf(name).kind() != keyPack {
		return false
	}
	h, err := pack.ParseHeader(data)
	return err == nil && h.Kind == repository.KindData
}
