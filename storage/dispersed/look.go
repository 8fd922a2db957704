package dispersed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// lookAt reads the head of what a member has under path, which is the object's own
// name or where its shards wait. What is there and is not a shard of the object for
// that member is errDamaged or errOther.
func (b *Backend) lookAt(ctx context.Context, m *member, name, path string) (*head, error) {
	buf := make([]byte, headLen)
	if err := readAt(ctx, m, path, 0, buf); err != nil {
		if errors.Is(err, backend.ErrShort) {
			err = fmt.Errorf("%w: shorter than its head", errDamaged)
		}
		return nil, err
	}
	return b.checkHead(m, name, buf)
}

func (b *Backend) checkHead(m *member, name string, buf []byte) (*head, error) {
	h, err := parseHead(buf)
	switch {
	case err != nil:
		return nil, err
	case h.name != hashName(name):
		return nil, fmt.Errorf("%w: of an object with another name", errOther)
	case int(h.index) != m.index:
		return nil, fmt.Errorf("%w: shard %d, here is the place of shard %d", errOther, h.index, m.index)
	case int(h.data) != b.k || int(h.data+h.parity) != b.n:
		return nil, fmt.Errorf("%w: of %d+%d shards, here are %d+%d", errOther, h.data, h.parity, b.k, b.n-b.k)
	}
	return h, nil
}

// view is what the members said they have under a name.
type view []reply[*head]

func (b *Backend) noView() view {
	v := make(view, b.n)
	for i, m := range b.members {
		v[i] = reply[*head]{m: m, err: errSlow}
	}
	return v
}

// top is the newest version that anybody has; nil when nobody has any.
func (v view) top() *head {
	var top *head
	for _, r := range v {
		if r.err == nil && (top == nil || r.value.compare(top.version) > 0) {
			top = r.value
		}
	}
	return top
}

// has counts the members with exactly that version.
func (v view) has(version version) int {
	n := 0
	for _, r := range v {
		if r.err == nil && r.value.version == version {
			n++
		}
	}
	return n
}

// silent counts the members that did not answer, wrong those that have what cannot be
// used.
func (v view) silent() (silent, wrong int) {
	for _, r := range v {
		switch {
		case unusable(r.err):
			wrong++
		case r.err != nil && !errors.Is(r.err, backend.ErrNotFound):
			silent++
		}
	}
	return silent, wrong
}

// settled returns a version of which so many have a shard that nothing newer can be
// confirmed: k members have it, and what is confirmed is with more than m.
func (v view) settled(k int) *head {
	for _, r := range v {
		if r.err == nil && !r.value.gone() && v.has(r.value.version) >= k {
			return r.value
		}
	}
	return nil
}

// found is what there is under a name.
type found struct {
	head *head // of the object; nil when there is none
	top  *head // the newest of all that was seen, tombstones too
	view view
	// paths are where the shard of each member lies; "" when it has none.
	paths []string
	// doubtful says that a writer may have been at work in the middle of the look.
	doubtful bool
}

// look finds out what there is under a name. With all it asks all members, and waits
// for them as long as patience is; otherwise as many as it takes.
func (b *Backend) look(ctx context.Context, op, name string, all bool) (*found, error) {
	v := b.noView()
	if !all {
		order, explore := b.order(0, b.k)
		first := b.k
		if explore {
			first++
		}
		missing := 0
		race(ctx, b, order, first, 0, func(ctx context.Context, m *member) (*head, error) {
			return b.lookAt(ctx, m, name, name)
		}, func(r reply[*head]) (need int) {
			v[r.m.index] = r
			if errors.Is(r.err, backend.ErrNotFound) {
				missing++
			}
			if top := v.top(); top == nil {
				// So many can tell that there is nothing when nobody has anything.
				return b.n - b.k + 1 - missing
			} else if v.settled(b.k) == nil {
				return max(1, b.k-v.has(top.version))
			}
			return 0
		})
	}
	if v.settled(b.k) == nil {
		b.survey(ctx, false) // what is not there may have been lost
		if all || v.top() != nil || !b.absent(v) || b.doubted(v) {
			v = b.viewAll(ctx, name)
		}
	}
	for range maxLooks {
		f, err := b.judge(ctx, op, name, v)
		if !f.doubtful {
			return f, err
		}
		// Shards take their place before those that waited are removed: only when no
		// place changed meanwhile, there was nothing to see in between.
		again := b.viewAll(ctx, name)
		if again.same(v) || ctx.Err() != nil {
			return f, err
		}
		v = again
	}
	return &found{view: v, top: v.top(), paths: make([]string, b.n)}, errMoving(op, name)
}

// maxLooks is how often a name is looked at again that others change meanwhile.
const maxLooks = 50

func errMoving(op, name string) error {
	return fault.New(op, name, &backend.TemporaryError{Err: errMoved}, "try again when it is not written at the same time")
}

// viewAll asks all members what they have under a name.
func (b *Backend) viewAll(ctx context.Context, name string) view {
	return ask(ctx, b, b.k, func(ctx context.Context, m *member) (*head, error) {
		return b.lookAt(ctx, m, name, name)
	})
}

// same tells whether all members that answer say the same in both views.
func (v view) same(w view) bool {
	for i := range v {
		if (v[i].err == nil) != (w[i].err == nil) || v[i].err == nil && v[i].value.version != w[i].value.version {
			return false
		}
	}
	return true
}

// absent tells whether it is certain that no object can be read, of members of which
// none has a shard.
func (b *Backend) absent(v view) bool {
	silent, wrong := v.silent()
	if v.top() != nil || silent+wrong >= b.k {
		return false
	}
	// Members that are being filled would say the same of what was lost with them.
	filling := 0
	for _, r := range v {
		if errors.Is(r.err, backend.ErrNotFound) && r.m.filling() {
			filling++
		}
	}
	return silent+wrong+filling < minQuorum(b.k, b.n-b.k)
}

// doubted tells whether a member that was rolled back says that there is nothing: then
// the others are asked, too.
func (b *Backend) doubted(v view) bool {
	return slices.ContainsFunc(v, func(r reply[*head]) bool {
		return errors.Is(r.err, backend.ErrNotFound) && b.history.against(r.m) != nil
	})
}

// judge decides what a view means; DESIGN.md says why it is right. What was seen is
// returned with an error, too.
func (b *Backend) judge(ctx context.Context, op, name string, v view) (*found, error) {
	f := &found{top: v.top(), view: v, paths: make([]string, b.n)}
	if err := ended(ctx, op, name); err != nil {
		return f, err
	}
	if h := v.settled(b.k); h != nil {
		f.take(h, name)
		for i, r := range v {
			if !answered(r.err) { // it may well have its shard
				f.paths[i] = name
			}
		}
		return f, nil
	}
	silent, wrong := v.silent()
	if b.absent(v) {
		return f, nil
	}
	versions := v.versions()
	for _, h := range versions {
		if h.gone() {
			f.head, f.paths = nil, make([]string, b.n)
			return f, nil
		}
		f.doubtful = true
		waiting, quiet := b.waitingShards(ctx, name, h.version)
		n, lost, older := 0, 0, 0
		f.take(h, name)
		for i := range b.n {
			if f.paths[i] == "" && waiting[i] {
				f.paths[i] = stagedPath(name, h.version)
			}
			switch {
			case f.paths[i] != "":
				n++
			case errors.Is(v[i].err, backend.ErrNotFound) && b.members[i].lost(h.version):
				lost++
			case reverted(v[i], h.version):
				older++
			}
		}
		switch {
		case n >= b.k:
			f.doubtful = false
			return f, nil
		case n+max(silent, quiet) >= b.k:
			return f, b.tooFew(ctx, op, name, b.k, errsOf(v)...)
		case n+max(silent, quiet)+wrong+lost >= b.k,
			older > 0 && n+max(silent, quiet)+wrong+lost+older >= b.leastQuorum():
			return f, b.damaged(op, name, v)
		}
	}
	f.head, f.paths = nil, make([]string, b.n)
	if len(versions) == 0 {
		// Nobody has anything that can be used, and too many cannot tell.
		if silent == 0 {
			return f, b.damaged(op, name, v)
		}
		return f, b.tooFew(ctx, op, name, b.k, errsOf(v)...)
	}
	if silent >= b.k {
		return f, b.tooFew(ctx, op, name, b.k, errsOf(v)...)
	}
	return f, nil
}

// reverted tells whether a member that has no shard of a version, or an older one, may have
// lost it with the state that it had.
func reverted(r reply[*head], v version) bool {
	older := errors.Is(r.err, backend.ErrNotFound) || r.err == nil && r.value.compare(v) < 0
	return older && r.m.of.history.lost(r.m, v)
}

// sure tells of each member whether it said that it has its shard.
func (f *found) sure() []bool {
	sure := make([]bool, len(f.paths))
	for i, r := range f.view {
		sure[i] = r.err == nil && f.paths[i] != ""
	}
	return sure
}

// take makes h what was found, with the shards that are in their place.
func (f *found) take(h *head, name string) {
	f.head = h
	for i, r := range f.view {
		f.paths[i] = ""
		if r.err == nil && r.value.version == h.version {
			f.paths[i] = name
		}
	}
}

// versions returns one head of each version, the newest first.
func (v view) versions() []*head {
	var all []*head
	for _, r := range v {
		if r.err == nil && !slices.ContainsFunc(all, func(h *head) bool { return h.version == r.value.version }) {
			all = append(all, r.value)
		}
	}
	slices.SortFunc(all, func(x, y *head) int { return y.compare(x.version) })
	return all
}

// damaged is the error for an object of which too many shards are wrong.
func (b *Backend) damaged(op, name string, v view) error {
	var reasons []string
	for i, r := range v {
		switch {
		case unusable(r.err):
			reasons = append(reasons, fmt.Sprintf("storage %d: %v", i+1, r.err))
		case v.top() != nil && errors.Is(r.err, backend.ErrNotFound) && r.m.lost(v.top().version):
			reasons = append(reasons, fmt.Sprintf("storage %d: it was emptied, and may have had a shard", i+1))
		case v.top() != nil && reverted(r, v.top().version):
			// To what it was put back is told once, of the storage: see [Notice].
			reasons = append(reasons, fmt.Sprintf("storage %d: it was rolled back", i+1))
		}
	}
	return fault.New(op, name, damagedError(reasons), fmt.Sprintf("%d good shards are needed: repair the storages, or take the object from a replica", b.k))
}

// waitingShards tells which members have a shard of a version that waits to take its
// place, and how many did not say.
func (b *Backend) waitingShards(ctx context.Context, name string, version version) (has []bool, quiet int) {
	path := stagedPath(name, version)
	has = make([]bool, b.n)
	for i, r := range ask(ctx, b, b.k, func(ctx context.Context, m *member) (*head, error) {
		return b.lookAt(ctx, m, name, path)
	}) {
		has[i] = r.err == nil && r.value.version == version && !r.value.gone()
		if !answered(r.err) {
			quiet++
		}
	}
	return has, quiet
}
