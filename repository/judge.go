package repository

import (
	"bytes"
	"strings"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
)

// Judge tells whether bytes that somebody offers as an object of a repository are
// ones that it stored under that name: several versions of an object may be
// there, of which somebody else wrote some.
type Judge struct{ keys *seal.Keys }

// NewJudge returns one for the repository that says cfg of itself. Without a key ring,
// nil, it compares checksums, which anybody can make; with one, only what was sealed by
// its keys passes.
func NewJudge(cfg Config, ring *keyring.Ring) *Judge {
	if ring == nil {
		return &Judge{}
	}
	return &Judge{keys: seal.NewKeys(ring, cfg.rawID())}
}

// Whole returns why data is not what was stored under the name of an object; nil when
// it is, or when that cannot be told: of objects of no known kind, and of those that
// newer programs or key rings have written. It changes no data.
func (j *Judge) Whole(object string, data []byte) error {
	kind := KindOf(object)
	if kind == ObjectUnknown {
		return nil
	}
	err := ScrubBytes(object, data)
	if err == nil && j.keys != nil {
		switch kind {
		case ObjectPack:
			err = j.pack(object, data)
		case ObjectIndex, ObjectSnapshot, ObjectLedger, ObjectKeep:
			err = j.sealed(strings.TrimPrefix(object, copyPrefix), data)
		}
	}
	if !Damaged(err) {
		return nil
	}
	return damage(err)
}

// sealed opens an object under its name, which is part of the seal.
func (j *Judge) sealed(name string, data []byte) error {
	_, err := j.keys.Open(seal.TypeOf(data), name, bytes.Clone(data))
	return err
}

// pack opens the footer of a pack, which its keys alone can have sealed.
func (j *Judge) pack(object string, data []byte) error {
	id, _ := parsePackObject(object)
	t, err := pack.ParseTrailer(data[len(data)-pack.TrailerSize:], int64(len(data)))
	if err != nil {
		return err
	}
	key, err := j.keys.Pack(t.KeyVersion, id)
	if err != nil {
		return err
	}
	footer := data[t.FooterOffset:][:t.FooterSize]
	_, err = pack.Decoder{Kind: t.Kind, Key: key}.Footer(t, bytes.Clone(footer))
	return err
}
