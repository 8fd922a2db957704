// Package seal turns key rings into keys for one repository, and whole objects
// (index fragments, snapshots) into sealed ones and back. docs/format.md
// specifies it byte by byte.
//
// Every pack and every object has a key of its own: HKDF-SHA256 of a version of
// the sealing key, salted with the repository's id and a random salt. So no
// counter used as a nonce can ever repeat under one key.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/keyring"
)

// TagSize is what sealing adds to a text, in bytes.
const TagSize = 16

// ErrOpen means that sealed bytes are not what was sealed under that name with
// that key.
var ErrOpen = errors.New("the seal does not open: the bytes were changed, or belong elsewhere")

// Keys derives the keys of one repository.
type Keys struct {
	ring *keyring.Ring
	repo []byte // the repository's 16-byte id
}

// NewKeys returns the keys of the repository with the 16-byte id.
func NewKeys(ring *keyring.Ring, repo []byte) *Keys { return &Keys{ring: ring, repo: repo} }

// Current is the key version that seals new objects.
func (k *Keys) Current() uint32 { return k.ring.Current() }

// Secret returns n bytes that never change while the repository lives.
func (k *Keys) Secret(info string, n int) []byte {
	return k.ring.DeriveID(k.repo, "mahavishnu v1 "+info, n)
}

// PackKey is what opens one pack.
type PackKey struct {
	AEAD  cipher.AEAD  // of what the records hold
	Block cipher.Block // of the records' headers
}

// Pack returns the key of a pack.
func (k *Keys) Pack(version uint32, id blob.PackID) (PackKey, error) {
	aead, err := k.aead(version, id[:], "mahavishnu v1 pack")
	if err != nil {
		return PackKey{}, err
	}
	block, err := k.block(version, id[:], "mahavishnu v1 pack record headers")
	return PackKey{AEAD: aead, Block: block}, err
}

// block derives a key from a version and a salt, and returns its cipher.
func (k *Keys) block(version uint32, salt []byte, info string) (cipher.Block, error) {
	full := make([]byte, 0, 64)
	full = append(append(full, k.repo...), salt...)
	key, err := k.ring.DeriveSeal(version, full, info)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("start AES: %w", err)
	}
	return block, nil
}

func (k *Keys) aead(version uint32, salt []byte, info string) (cipher.AEAD, error) {
	block, err := k.block(version, salt, info)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("start GCM: %w", err)
	}
	return aead, nil
}
