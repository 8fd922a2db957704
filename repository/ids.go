package repository

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/zeebo/blake3"

	"mahavishnu/repository/seal"
)

// hasher makes content ids: a keyed hash with a key for each kind, so that the
// same bytes as file content and as a directory are two blobs.
type hasher struct {
	data, tree sync.Pool // of hash.Hash, reset
}

func newHasher(keys *seal.Keys, h Hash) *hasher {
	start := func(kind Kind) func() any {
		key := keys.Secret("content id "+kind.String(), 32)
		return func() any {
			if h == BLAKE3 {
				b, err := blake3.NewKeyed(key)
				if err != nil {
					panic("repository: " + err.Error()) // the key has 32 bytes
				}
				return hash.Hash(b)
			}
			return hmac.New(sha256.New, key)
		}
	}
	n := &hasher{}
	n.data.New = start(KindData)
	n.tree.New = start(KindTree)
	return n
}

func (n *hasher) id(kind Kind, data []byte) (id ID) {
	pool := &n.data
	if kind == KindTree {
		pool = &n.tree
	}
	h := pool.Get().(hash.Hash)
	_, _ = h.Write(data) // never fails
	h.Sum(id[:0])
	h.Reset()
	pool.Put(h)
	return id
}

// BlobID returns the content id that data has, or would have, in this
// repository. It is how a file is compared with a snapshot without fetching
// anything.
func (r *Repository) BlobID(kind Kind, data []byte) ID { return r.ids.id(kind, data) }
