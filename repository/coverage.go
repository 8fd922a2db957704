package repository

import (
	"time"

	"mahavishnu/repository/index"
	"mahavishnu/repository/ledger"
)

// Coverage says how long the bytes of a repository have gone unverified. Bytes
// are those of packs that an index knows, as stored.
type Coverage struct {
	Packs int   `json:"packs"`
	Bytes int64 `json:"bytes"`
	// Never was verified: no byte of these was ever opened and hashed.
	NeverPacks int   `json:"never_verified_packs"`
	NeverBytes int64 `json:"never_verified_bytes"`
	// Oldest is how long the byte that waits longest has gone unverified, in
	// seconds: since it was last known to be right, or else since it was stored.
	Oldest float64 `json:"oldest_unverified_seconds"`
	// MaxAge is the promise, in seconds: no byte goes unverified for longer. 0 is
	// none. Overdue are bytes that have.
	MaxAge       float64 `json:"max_age_seconds"`
	OverdueBytes int64   `json:"overdue_bytes"`
}

// Within is the share of bytes that were verified, or stored, within the
// promised time, from 0 to 1.
func (c Coverage) Within() float64 {
	if c.Bytes == 0 {
		return 1
	}
	return float64(c.Bytes-c.OverdueBytes) / float64(c.Bytes)
}

// Coverage works out how long bytes have gone unverified, by the index and a
// ledger. maxAge is the promise, 0 for none.
func (r *Repository) Coverage(l ledger.Ledger, now time.Time, maxAge time.Duration) Coverage {
	c := Coverage{MaxAge: maxAge.Seconds()}
	seen := map[PackID]bool{}
	for _, f := range r.index.fragments() {
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			if seen[p.ID] {
				continue
			}
			seen[p.ID] = true
			c.Packs++
			c.Bytes += int64(p.Size)
			if l.Mark(p.ID).Verified() == 0 {
				c.NeverPacks++
				c.NeverBytes += int64(p.Size)
			}
			age := max(0, now.Unix()-r.waitsSince(p, l, now))
			c.Oldest = max(c.Oldest, float64(age))
			if maxAge > 0 && age > int64(maxAge/time.Second) {
				c.OverdueBytes += int64(p.Size)
			}
		}
	}
	return c
}

// waitsSince is since when a pack has gone unverified, in Unix seconds. When the
// time it was stored is not known, or lies in the future because a clock was
// wrong, it may be as old as the repository.
func (r *Repository) waitsSince(p index.Pack, l ledger.Ledger, now time.Time) int64 {
	if at := l.Mark(p.ID).Verified(); at > 0 {
		return at
	}
	if p.Stored > 0 && p.Stored <= now.Add(clockSkew).Unix() {
		return p.Stored
	}
	return r.cfg.Created.Unix()
}

// WaitsSince is since when a pack has gone unverified, in Unix seconds.
func (r *Repository) WaitsSince(p PackInfo, l ledger.Ledger, now time.Time) int64 {
	return r.waitsSince(index.Pack{ID: p.ID, Stored: p.Stored}, l, now)
}
