// Package keyring holds the secrets of repositories: one id key that never
// changes, and versions of the sealing key, of which the newest seals and all
// open.
//
// The ring lives in one file outside every repository (mode 0600 or refused),
// or on paper as recovery text. Whoever loses it loses every backup; whoever
// reads it reads every backup. A [Ring] shows its fingerprint when printed,
// never a key.
//
// Keys are 32 random bytes. No key is used as it is: every repository, pack and
// object has its own, derived by HKDF-SHA256 (RFC 5869).
package keyring

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// KeySize is the length of every key in bytes.
const KeySize = 32

// Errors a caller may decide on.
var (
	// ErrNoRing means that there is no key ring at the path.
	ErrNoRing = errors.New("no key ring there")
	// ErrMode means that others could read the key ring's file.
	ErrMode = errors.New("others may read the key ring")
	// ErrExists means that a key ring is there already.
	ErrExists = errors.New("a key ring exists already")
	// ErrDamaged means that the file or text is not whole.
	ErrDamaged = errors.New("key ring is damaged")
	// ErrNoVersion means that the ring lacks a version of the key.
	ErrNoVersion = errors.New("key version is not in the ring")
)

// Version is one version of the sealing key, as shown to people.
type Version struct {
	// Number counts from 1.
	Number uint32
	// Created is when it was made, to the second.
	Created time.Time
	// Current is true for the version that seals new objects.
	Current bool
	// Fingerprint names the key without telling it.
	Fingerprint string
}

// Ring is a key ring in memory. It never changes once made, so it may be
// shared; [Ring.Rotated] returns a new one.
type Ring struct {
	idKey    [KeySize]byte
	created  time.Time
	versions []version // by number, ascending; the last one seals
}

type version struct {
	number  uint32
	key     [KeySize]byte
	created time.Time
}

// Generate makes a new ring with one version, created at the time now.
func Generate(now time.Time) *Ring {
	r := &Ring{created: now.UTC().Truncate(time.Second)}
	fillRandom(r.idKey[:])
	return r.Rotated(now)
}

// Rotated returns a ring with one version more, which seals from now on. Old
// versions stay: what they sealed must open.
func (r *Ring) Rotated(now time.Time) *Ring {
	next := &Ring{idKey: r.idKey, created: r.created, versions: append([]version(nil), r.versions...)}
	v := version{number: r.Current() + 1, created: now.UTC().Truncate(time.Second)}
	fillRandom(v.key[:])
	next.versions = append(next.versions, v)
	return next
}

func fillRandom(b []byte) {
	// crypto/rand.Read never fails: it ends the program when the system has
	// no randomness.
	_, _ = rand.Read(b)
}

// Current returns the number of the version that seals new objects.
func (r *Ring) Current() uint32 {
	if len(r.versions) == 0 {
		return 0
	}
	return r.versions[len(r.versions)-1].number
}

// Versions lists the versions, oldest first.
func (r *Ring) Versions() []Version {
	list := make([]Version, len(r.versions))
	for i, v := range r.versions {
		list[i] = Version{
			Number: v.number, Created: v.created, Current: v.number == r.Current(),
			Fingerprint: fingerprint("sealing key", v.key[:]),
		}
	}
	return list
}

// Fingerprint names the ring: the same for every rotation of it, different for
// every other ring. It tells nothing about the keys.
func (r *Ring) Fingerprint() string { return fingerprint("id key", r.idKey[:]) }

// fingerprint returns 16 hexadecimal digits in groups of four.
func fingerprint(what string, key []byte) string {
	sum := derive(key, nil, "mahavishnu v1 fingerprint "+what, 8)
	s := hex.EncodeToString(sum)
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

// DeriveID returns n bytes derived from the id key, for what must never change
// while a repository lives: content ids, the chunker's table, snapshot names.
func (r *Ring) DeriveID(salt []byte, info string, n int) []byte {
	return derive(r.idKey[:], salt, info, n)
}

// DeriveSeal returns a 32-byte sealing key derived from a version of the key.
func (r *Ring) DeriveSeal(number uint32, salt []byte, info string) ([]byte, error) {
	for _, v := range r.versions {
		if v.number == number {
			return derive(v.key[:], salt, info, KeySize), nil
		}
	}
	return nil, fmt.Errorf("version %d: %w", number, ErrNoVersion)
}

func derive(key, salt []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, key, salt, info, n)
	if err != nil {
		// Only a length beyond 255 hashes fails; lengths are constants here.
		panic("keyring: " + err.Error())
	}
	return out
}

// Format prints the fingerprint for every verb, so that no log, error or dump
// shows a key.
func (r Ring) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "key ring "+r.Fingerprint())
}
