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

	"mahavishnu/fault"
)

// KeySize is the length of every key in bytes.
const KeySize = 32

// fingerprintLen is the length of a fingerprint: four groups of four digits.
const fingerprintLen = 19

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
	// ErrCurrent means that the version seals new objects and cannot be dropped.
	ErrCurrent = errors.New("it is the version that seals new backups")
)

// Version is one version of the sealing key, as shown to people.
type Version struct {
	// Number counts from 1.
	Number uint32
	// Created is when it was made, to the second.
	Created time.Time
	// Current is true for the version that seals new objects.
	Current bool
	// Dropped is when the key was taken out of the ring; zero for one in it.
	Dropped time.Time
	// Fingerprint names the key without telling it, also when it was dropped.
	Fingerprint string
}

// Ring is a key ring in memory. It never changes once made, so it may be
// shared; [Ring.Rotated] and [Ring.Without] return a new one.
type Ring struct {
	idKey    [KeySize]byte
	created  time.Time
	versions []version // by number, ascending; the last one seals
}

// version is a version of the key. Of a dropped one only the fingerprint is left,
// so that what it sealed, should any of it turn up, can be told from damage.
type version struct {
	number      uint32
	key         [KeySize]byte
	created     time.Time
	dropped     time.Time
	fingerprint string // of a dropped one
}

func (v version) print() string {
	if !v.dropped.IsZero() {
		return v.fingerprint
	}
	return fingerprint("sealing key", v.key[:])
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

// Without returns a ring without the key of a version, dropped at the time now.
func (r *Ring) Without(number uint32, now time.Time) (*Ring, error) {
	next := &Ring{idKey: r.idKey, created: r.created, versions: append([]version(nil), r.versions...)}
	for i, v := range next.versions {
		switch {
		case v.number != number:
		case number == r.Current():
			return nil, fmt.Errorf("version %d: %w", number, ErrCurrent)
		case !v.dropped.IsZero():
			return nil, v.missing()
		default:
			next.versions[i] = version{
				number: number, created: v.created, dropped: now.UTC().Truncate(time.Second), fingerprint: v.print(),
			}
			return next, nil
		}
	}
	return nil, fmt.Errorf("version %d: %w", number, ErrNoVersion)
}

// missing says that a version was dropped, and who may have it still.
func (v version) missing() error {
	return fault.WithHint(fmt.Errorf("version %d (%s): %w: it was dropped on %s", v.number, v.fingerprint, ErrNoVersion, v.dropped.Format(time.DateOnly)),
		"a recovery copy printed before that holds it: recover it to a file of its own, and name that with --key")
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
			Dropped: v.dropped, Fingerprint: v.print(),
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
		if v.number == number && !v.dropped.IsZero() {
			return nil, v.missing()
		}
		if v.number == number {
			return derive(v.key[:], salt, info, KeySize), nil
		}
	}
	return nil, fault.WithHint(fmt.Errorf("version %d: %w", number, ErrNoVersion),
		"the ring was rotated since this copy of it was made: use the newest one")
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
