package prune

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/repository"
	"mahavishnu/repository/pack"
)

const mib = 1 << 20

// use is a pack of 16 MiB with that much of it needed, in percent.
func use(n byte, live int64) repository.PackUse {
	p := repository.PackUse{
		ID: repository.PackID{n}, Size: 16 * mib, Indexed: true, Kind: repository.KindData, KeyVersion: 2, Blobs: 16, LiveBlobs: int(live),
	}
	p.Live = (p.Size - pack.MinSize - 16*pack.EntrySize) * live / 100
	return p
}

func with(p repository.PackUse, change func(*repository.PackUse)) repository.PackUse {
	change(&p)
	return p
}

func TestPlan(t *testing.T) {
	size := func(n int64) func(*repository.PackUse) {
		return func(p *repository.PackUse) { p.Size, p.Live = n, n-pack.MinSize-16*pack.EntrySize }
	}
	var eight, mixed []repository.PackUse
	for i := range byte(8) {
		eight = append(eight, with(use(i, 100), size(mib)))
		mixed = append(mixed, with(use(i, 100), func(p *repository.PackUse) { size(mib)(p); p.Archival = i%2 == 0 }))
	}
	for _, c := range []struct {
		name string
		in   planInput
		want string
	}{
		{"all needed", planInput{packs: []repository.PackUse{use(1, 100)}}, "keep all of it is needed;"},
		{"nothing needed", planInput{packs: []repository.PackUse{use(1, 0)}}, "remove no snapshot needs it;"},
		{"no index", planInput{packs: []repository.PackUse{with(use(1, 0), func(p *repository.PackUse) { p.Indexed = false })}}, "remove no index names it: left by a session that died;"},
		{"condemned", planInput{packs: []repository.PackUse{with(use(1, 50), func(p *repository.PackUse) { p.Condemned = true })}}, "remove condemned by an earlier run;"},
		{
			"at work", planInput{
				packs:  []repository.PackUse{with(use(1, 0), func(p *repository.PackUse) { p.ID[15], p.Indexed = 9, false })},
				atWork: map[[4]byte]bool{{0, 0, 0, 9}: true},
			}, "keep of a session that is at work;",
		},
		{"to the last byte", planInput{packs: []repository.PackUse{use(1, 99)}}, "repack part of it is not needed;"},
		{
			"what padding hides", planInput{packs: []repository.PackUse{with(use(1, 100), func(p *repository.PackUse) {
				p.LiveBlobs, p.Live = 15, p.Live-40
			})}}, "repack part of it is not needed;",
		},
		{"within what may stay", planInput{packs: []repository.PackUse{use(1, 97)}, maxUnused: 5}, "keep little of it is not needed;"},
		{
			"the most wasteful first",
			planInput{packs: []repository.PackUse{use(1, 97), use(2, 10), use(3, 97)}, maxUnused: 5},
			"keep little of it is not needed;repack part of it is not needed;keep little of it is not needed;",
		},
		{
			"as much as allowed",
			planInput{packs: []repository.PackUse{use(1, 50), use(2, 50), use(3, 50)}, maxRepack: 17 * mib},
			"repack part of it is not needed;repack part of it is not needed;later part of it is not needed;",
		},
		{"one at least", planInput{packs: []repository.PackUse{use(1, 50)}, maxRepack: 1}, "repack part of it is not needed;"},
		{"old key", planInput{packs: []repository.PackUse{use(1, 100)}, current: 3, reseal: true}, "repack sealed with version 2 of the key;"},
		{"old key that may stay", planInput{packs: []repository.PackUse{use(1, 100)}, current: 3}, "keep all of it is needed;"},
		{"few small", planInput{packs: eight[:7]}, repeat("keep all of it is needed;", 7)},
		{"many small", planInput{packs: eight}, repeat("repack small, merged with others;", 8)},
		{
			"few small, and one more that the run leaves",
			planInput{packs: append(slices.Clone(eight[:7]), use(7, 50))},
			repeat("repack small, merged with others;", 7) + "repack part of it is not needed;",
		},
		{
			"few small, and one of another tier that the run leaves",
			planInput{packs: append(slices.Clone(eight[:7]), with(use(7, 50), func(p *repository.PackUse) { p.Archival = true }))},
			repeat("keep all of it is needed;", 7) + "repack part of it is not needed;",
		},
		{"small of two tiers", planInput{packs: mixed}, repeat("keep all of it is needed;", 8)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			for _, d := range plan(c.in) {
				got += fmt.Sprintf("%s %s;", d.action, d.reason)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func repeat(s string, n int) (out string) {
	for range n {
		out += s
	}
	return out
}

func TestLines(t *testing.T) {
	var all []decision
	for i := range byte(10) {
		all = append(all, decision{use: use(i, 0), action: Remove, reason: "no snapshot needs it"})
	}
	all = append(all, decision{use: use(20, 100), action: Keep, reason: "all of it is needed"})
	got := lines(all)
	if len(got) != 2 || got[0].Packs != 10 || got[0].Bytes != 160*mib || len(got[0].Examples) != examples || got[1].Live != all[10].use.Live {
		t.Errorf("%+v", got)
	}
}
