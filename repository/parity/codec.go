package parity

import (
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// Codec does the arithmetic, on the goroutine that calls it. It is safe for
// concurrent use; the zero value is ready.
type Codec struct {
	mu     sync.Mutex
	coders map[[2]int]reedsolomon.Encoder
}

// coder returns the coder of a number of shards. Each costs some kilobytes, and a
// repository has few shapes of packs but the last of sessions; those are made
// anew when there are too many.
func (c *Codec) coder(data, parity int) (reedsolomon.Encoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]int{data, parity}
	if e, ok := c.coders[key]; ok {
		return e, nil
	}
	e, err := reedsolomon.New(data, parity,
		reedsolomon.WithCauchyMatrix(), reedsolomon.WithMaxGoroutines(1), reedsolomon.WithInversionCache(false))
	if err != nil {
		return nil, fmt.Errorf("%d data and %d parity shards: %w", data, parity, err)
	}
	if c.coders == nil || len(c.coders) >= maxCoders {
		c.coders = map[[2]int]reedsolomon.Encoder{}
	}
	c.coders[key] = e
	return e, nil
}

const maxCoders = 64
