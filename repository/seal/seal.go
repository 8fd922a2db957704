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

// Pack returns the cipher of a pack.
func (k *Keys) Pack(version uint32, id blob.PackID) (cipher.AEAD, error) {
	return k.aead(version, id[:], "mahavishnu v1 pack")
}

// aead derives a key from a version and a salt, and returns its cipher.
func (k *Keys) aead(version uint32, salt []byte, info string) (cipher.AEAD, error) {
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
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("start GCM: %w", err)
	}
	return aead, nil
}
