package dispersed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mahavishnu/storage/backend"
)

// election is how several writers agree on one version of an object that is not there:
// Disk Paxos (Gafni and Lamport, 2003), with a storage for each disk, and with empty
// objects whose names say all for the blocks. Blocks are only ever added, so that one
// listing reads what all writers wrote to a storage.
type election struct {
	*put
	own     version
	shards  *shards // of own, which wait
	below   uint64  // candidates up to here were deleted
	counter uint64  // of the ballot; the highest that was seen afterwards
	records []string
}

// Records of an election, empty objects in the object's directory:
// promise-COUNTER-WRITER and accept-COUNTER-WRITER-VERSION. A writer is named by the
// version that it would put, which tells its time as well.
const (
	promisePrefix = "promise-"
	acceptPrefix  = "accept-"
)

// ballot orders the attempts of all writers.
type ballot struct {
	counter uint64
	writer  version
}

func (x ballot) compare(y ballot) int {
	return cmp.Or(cmp.Compare(x.counter, y.counter), x.writer.compare(y.writer))
}

func (x ballot) String() string { return fmt.Sprintf("%016x-%s", x.counter, x.writer) }

// Lengths of ballots and versions in names.
const (
	versionLen = 16 + 1 + 2*len(generation{})
	ballotLen  = 16 + 1 + versionLen
)

func parseBallot(s string) (x ballot, ok bool) {
	if len(s) != ballotLen {
		return x, false
	}
	n, err := strconv.ParseUint(s[:16], 16, 64)
	x.counter = n
	x.writer, ok = parseVersion(s[17:])
	return x, ok && err == nil && x.String() == s
}

// record is what one name in the directory means.
type record struct {
	ballot  ballot
	value   version // accepted, or waiting
	kind    string  // the prefix
	ordered bool    // it has a ballot
}

// time is when its writer began, in nanoseconds since 1970.
func (r record) time() uint64 {
	if r.ordered {
		return r.ballot.writer.seq
	}
	return r.value.seq
}

func parseRecord(base string) (r record, ok bool) {
	switch {
	case strings.HasPrefix(base, promisePrefix):
		r.kind, r.ordered = promisePrefix, true
		r.ballot, ok = parseBallot(base[len(promisePrefix):])
	case strings.HasPrefix(base, acceptPrefix):
		r.kind, r.ordered = acceptPrefix, true
		rest := base[len(acceptPrefix):]
		if len(rest) != ballotLen+1+versionLen || rest[ballotLen] != '-' {
			return r, false
		}
		var named bool
		r.ballot, ok = parseBallot(rest[:ballotLen])
		r.value, named = parseVersion(rest[ballotLen+1:])
		ok = ok && named
	case strings.HasPrefix(base, stagedPrefix):
		r.kind = stagedPrefix
		r.value, ok = parseVersion(base[len(stagedPrefix):])
	}
	return r, ok
}

// candidate is a version that may be elected, and where its shards wait.
type candidate struct {
	version
	waiting []bool
}

// majority is how many storages an election needs: any two of them meet.
func (b *Backend) majority() int { return b.n/2 + 1 }

// elect returns the version that is elected. From then on no other one can be.
func (e *election) elect() (candidate, error) {
	mine := ballot{e.counter, e.own}
	first, err := e.write(promisePrefix + mine.String())
	if err != nil {
		return candidate{}, err
	}
	if e.overtaken(mine, first) {
		return candidate{}, errContended
	}
	chosen, err := e.choose(first)
	if err != nil {
		return candidate{}, err
	}
	second, err := e.write(acceptPrefix + mine.String() + "-" + chosen.String())
	if err != nil {
		return candidate{}, err
	}
	if e.overtaken(mine, second) {
		return candidate{}, errContended
	}
	return chosen, nil
}

// write puts a record to all storages, and returns what each has afterwards.
func (e *election) write(base string) ([]reply[[]record], error) {
	dir := dirOf(e.name)
	e.records = append(e.records, base)
	replies := ask(e.ctx, e.b, e.b.majority(), func(ctx context.Context, m *member) ([]record, error) {
		if err := m.Put(ctx, dir+base, nil, backend.PutOptions{Sync: true}); err != nil {
			return nil, err
		}
		var all []record
		err := m.List(ctx, dir, func(i backend.Info) error {
			if r, ok := parseRecord(strings.TrimPrefix(i.Name, dir)); ok {
				all = append(all, r)
			}
			return nil
		})
		return all, m.counts(err)
	})
	if count(replies) < e.b.majority() {
		return nil, e.b.tooFew(e.ctx, opPut, e.name, e.b.majority(), errsOf(replies)...)
	}
	return replies, nil
}

// overtaken tells whether another writer began a higher ballot. It notes the highest
// counter for the next try.
func (e *election) overtaken(mine ballot, replies []reply[[]record]) bool {
	over := false
	for _, r := range replies {
		for _, rec := range r.value {
			if r.err == nil && rec.ordered && rec.ballot.compare(mine) > 0 {
				over = true
				e.counter = max(e.counter, rec.ballot.counter)
			}
		}
	}
	return over
}

// choose returns what this ballot must propose: what the highest ballot before it
// accepted, which may be elected already; else this writer's own. A version of
// which too few shards wait was not elected, or is in its place already, or was
// deleted: shards wait at a quorum before the version is proposed, and are taken away
// only then or when the version lost.
func (e *election) choose(replies []reply[[]record]) (candidate, error) {
	accepted := map[version]ballot{}
	waiting := map[version][]bool{}
	silent := 0
	for _, r := range replies {
		if r.err != nil {
			silent++
			continue
		}
		for _, rec := range r.value {
			switch {
			case rec.kind == acceptPrefix && rec.value.seq > e.below:
				if has, ok := accepted[rec.value]; !ok || rec.ballot.compare(has) > 0 {
					accepted[rec.value] = rec.ballot
				}
			case rec.kind == stagedPrefix:
				if waiting[rec.value] == nil {
					waiting[rec.value] = make([]bool, e.b.n)
				}
				waiting[rec.value][r.m.index] = true
			}
		}
	}
	var versions []version
	for v := range accepted {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(x, y version) int { return accepted[y].compare(accepted[x]) })
	for _, v := range versions {
		has := 0
		for _, w := range waiting[v] {
			if w {
				has++
			}
		}
		switch {
		case v == e.own || has >= e.b.k:
			return candidate{v, waiting[v]}, nil
		case has+silent >= e.b.k:
			return candidate{}, e.b.tooFew(e.ctx, opPut, e.name, e.b.k, errsOf(replies)...)
		}
	}
	return candidate{e.own, waiting[e.own]}, nil
}

// withdraw removes what this writer left, and returns of how many storages it is known
// that none of its shards waits there.
func (e *election) withdraw() int {
	gone := e.unstage(e.own)
	e.erase(e.ctx)
	return gone
}

// tidy removes what is of no use any more behind a put that is confirmed. What it
// does not reach is garbage that [Backend.Repair] removes.
func (e *election) tidy() {
	path, b := stagedPath(e.name, e.own), e.b
	b.running.Go(func() {
		ask(b.life, b, b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
			return struct{}{}, m.Delete(ctx, path)
		})
		e.erase(b.life)
	})
}

// erase deletes this writer's records.
func (e *election) erase(ctx context.Context) {
	dir := dirOf(e.name)
	for _, base := range e.records {
		ask(ctx, e.b, e.b.majority(), func(ctx context.Context, m *member) (struct{}, error) {
			return struct{}{}, m.Delete(ctx, dir+base)
		})
	}
	e.records = nil
}
