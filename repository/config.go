package repository

import (
	"time"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/parity"
)

type (
	// ID is a blob's content id.
	ID = blob.ID
	// PackID is the random name of a pack.
	PackID = blob.PackID
	// Kind tells what a blob is for.
	Kind = blob.Kind
)

// The kinds of blobs.
const (
	KindData = blob.KindData
	KindTree = blob.KindTree
)

// ParseID reads what ID.String wrote.
func ParseID(s string) (ID, error) { return blob.ParseID(s) }

// Hash is the keyed hash that makes content ids.
type Hash string

// The hashes a repository may be created with.
const (
	SHA256 Hash = "sha256" // HMAC-SHA-256
	BLAKE3 Hash = "blake3" // keyed BLAKE3
)

// Chunker holds what everybody who cuts files for this repository must agree
// on, or nothing would be found twice. Sizes are bytes.
type Chunker struct {
	Algorithm string `json:"algorithm"`
	Min       int    `json:"min"`
	Avg       int    `json:"avg"`
	Max       int    `json:"max"`
}

// DefaultChunker is used when CreateOptions names none.
func DefaultChunker() Chunker {
	return Chunker{Algorithm: "gear-v1", Min: 512 << 10, Avg: 1 << 20, Max: 4 << 20}
}

// Parity says how much parity a repository keeps. All zero means none.
type Parity = parity.Scheme

// StandardParity is for storage without redundancy of its own: about 11 % of
// what packs take.
func StandardParity() Parity { return parity.Standard() }

// Config is what a repository says of itself, stored twice, without a secret.
type Config struct {
	// Version of the format; this program knows 1.
	Version int `json:"version"`
	// ID is the random identity of the repository: 32 hexadecimal digits.
	ID string `json:"id"`
	// Created is when, to the second.
	Created time.Time `json:"created"`
	// Required features: a program that does not know one must not open it.
	Required []string `json:"required"`
	// Optional features: a program that does not know one may read and add, but
	// must delete nothing.
	Optional []string `json:"optional"`
	// Hash makes the content ids.
	Hash Hash `json:"hash"`
	// Chunker parameters.
	Chunker Chunker `json:"chunker"`
	// Padding of blobs: "64th" or "none".
	Padding string `json:"padding"`
	// Parity parameters; sessions and repairs keep as much.
	Parity Parity `json:"parity"`
	// KeyCheck tells the right key ring from a wrong one.
	KeyCheck string `json:"key_check"`
}
